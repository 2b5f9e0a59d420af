//! Interface `map-state`.

use statehouse_operator::{Failure, Prefix};
use statehouse_state::{Entries, KeyLayout, Scan, StateId, StateKind, ValueLayout, Window};
use wasmtime::component::WasmList;

use super::state::empty_window;
use super::{Caller, Interface};
use crate::bindings::{
    BoundThere, CellGiven, CellThere, ColumnThere, MapPageGiven, MapsGiven, WindowGiven,
};
use crate::columns::{check_layout, give, give_column, give_row, value_layout};
use crate::host::{Host, with_call, with_scratch};

pub(super) fn define(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func_wrap("load", |store: Caller<'_>, args: Keyed| Ok((load(store, args)?,)))?;
    interface.func_wrap("load-all", |store: Caller<'_>, args: (u32, u32)| {
        Ok((load_all(store, args)?,))
    })?;
    interface.func_wrap("scan", |store: Caller<'_>, args: Scanned| Ok((scan(store, args)?,)))?;
    interface.func_wrap("scan-prefix", |store: Caller<'_>, args: Prefixed| {
        Ok((scan_prefix(store, args)?,))
    })?;
    interface.func_wrap("put", put)?;
    interface.func_wrap("remove", remove)?;
    interface.func_wrap("clear", |mut store: Caller<'_>, args: (u32, WasmList<u32>)| {
        let (state, slots) = args;
        layouts(store.data(), state).map_err(wasmtime::Error::new)?;
        with_call(&mut store, |call, memory| call.clear(StateId(state), slots.as_le_slice(memory)))
    })?;
    interface.func_wrap("touch", touch)?;
    interface.func_wrap("get", |store: Caller<'_>, args: (u32, u32, CellThere)| {
        Ok((get(store, args)?,))
    })?;
    interface.func_wrap(
        "set",
        |mut store: Caller<'_>, args: (u32, u32, CellThere, CellThere)| {
            let (state, slot, key, value) = args;
            with_scratch(&mut store, |call, memory, scratch| {
                key.copy_to(memory, &mut scratch.keys);
                value.copy_to(memory, &mut scratch.values);
                call.put(StateId(state), &[slot], &scratch.keys, &scratch.values)
            })
        },
    )?;
    interface.func_wrap("delete", |mut store: Caller<'_>, args: (u32, u32, CellThere)| {
        let (state, slot, key) = args;
        with_scratch(&mut store, |call, memory, scratch| {
            key.copy_to(memory, &mut scratch.keys);
            call.remove_entries(StateId(state), &[slot], &scratch.keys)
        })
    })?;
    interface.func_wrap("is-empty", |mut store: Caller<'_>, (state, slot): (u32, u32)| {
        layouts(store.data(), state).map_err(wasmtime::Error::new)?;
        Ok((with_call(&mut store, |call, _| call.is_empty(StateId(state), slot))?,))
    })
}

type Keyed = (u32, WasmList<u32>, ColumnThere);
type Scanned = (u32, u32, BoundThere, BoundThere, u32);
type Prefixed = (u32, u32, WasmList<u8>, Option<WasmList<u8>>, u32);
type Put = (u32, WasmList<u32>, ColumnThere, ColumnThere);

/// The layouts of a map's keys and values.
fn layouts(host: &Host, state: u32) -> Result<(KeyLayout, ValueLayout), Failure> {
    let (declared, key) = host.collection(state, StateKind::Map)?;
    Ok((key, declared.layout.value))
}

fn no_entries((key, value): (KeyLayout, ValueLayout)) -> Entries {
    Entries::new(key.is_words(), value.is_words())
}

fn page(found: Entries, more: bool, (key, value): (KeyLayout, ValueLayout)) -> MapPageGiven {
    let keys = give_column(found.keys, value_layout(key));
    MapPageGiven { keys, values: give_column(found.values, value), more }
}

fn load(mut store: Caller<'_>, (state, slots, keys): Keyed) -> wasmtime::Result<WindowGiven> {
    check(store.data(), state, &keys, None).map_err(wasmtime::Error::new)?;
    let (_, value) = layouts(store.data(), state).map_err(wasmtime::Error::new)?;
    let window = with_scratch(&mut store, |call, memory, scratch| {
        let slots = slots.as_le_slice(memory);
        keys.copy_to(memory, &mut scratch.keys)?;
        let mut window = empty_window(value.is_words(), slots.len());
        call.load_entries(StateId(state), slots, &scratch.keys, &mut window)?;
        Ok(window)
    })?;
    Ok(give(window, value))
}

fn load_all(mut store: Caller<'_>, (state, limit): (u32, u32)) -> wasmtime::Result<MapsGiven> {
    let (key, value) = layouts(store.data(), state).map_err(wasmtime::Error::new)?;
    let bytes = store.data().page_bytes;
    let all =
        with_call(&mut store, |call, _| call.load_all(StateId(state), limit as usize, bytes))?;
    Ok(MapsGiven {
        ends: all.ends,
        complete: all.complete.into_bits(),
        keys: give_column(all.entries.keys, value_layout(key)),
        values: give_column(all.entries.values, value),
    })
}

fn scan(
    mut store: Caller<'_>,
    (state, slot, start, end, limit): Scanned,
) -> wasmtime::Result<MapPageGiven> {
    let layouts = layouts(store.data(), state).map_err(wasmtime::Error::new)?;
    let bytes = store.data().page_bytes;
    let mut found = no_entries(layouts);
    let more = with_call(&mut store, |call, memory| {
        let (from, to) = (start.bound(memory), end.bound(memory));
        let scan = Scan { slot, from, to, limit: limit as usize };
        call.scan(StateId(state), &scan, bytes, &mut found)
    })?;
    Ok(page(found, more, layouts))
}

fn scan_prefix(
    mut store: Caller<'_>,
    (state, slot, prefix, after, limit): Prefixed,
) -> wasmtime::Result<MapPageGiven> {
    let layouts = layouts(store.data(), state).map_err(wasmtime::Error::new)?;
    let bytes = store.data().page_bytes;
    let mut found = no_entries(layouts);
    let more = with_call(&mut store, |call, memory| {
        let after = after.as_ref().map(|after| after.as_le_slice(memory));
        let prefix = prefix.as_le_slice(memory);
        let prefix = Prefix { slot, bytes: prefix, after, limit: limit as usize };
        call.scan_prefix(StateId(state), &prefix, bytes, &mut found)
    })?;
    Ok(page(found, more, layouts))
}

fn put(mut store: Caller<'_>, (state, slots, keys, values): Put) -> wasmtime::Result<()> {
    check(store.data(), state, &keys, Some(&values)).map_err(wasmtime::Error::new)?;
    with_scratch(&mut store, |call, memory, scratch| {
        keys.copy_to(memory, &mut scratch.keys)?;
        values.copy_to(memory, &mut scratch.values)?;
        call.put(StateId(state), slots.as_le_slice(memory), &scratch.keys, &scratch.values)
    })
}

fn remove(mut store: Caller<'_>, (state, slots, keys): Keyed) -> wasmtime::Result<()> {
    check(store.data(), state, &keys, None).map_err(wasmtime::Error::new)?;
    with_scratch(&mut store, |call, memory, scratch| {
        keys.copy_to(memory, &mut scratch.keys)?;
        call.remove_entries(StateId(state), slots.as_le_slice(memory), &scratch.keys)
    })
}

fn touch(mut store: Caller<'_>, (state, slots, keys): Keyed) -> wasmtime::Result<()> {
    check(store.data(), state, &keys, None).map_err(wasmtime::Error::new)?;
    with_scratch(&mut store, |call, memory, scratch| {
        keys.copy_to(memory, &mut scratch.keys)?;
        call.touch_entries(StateId(state), slots.as_le_slice(memory), &scratch.keys)
    })
}

fn get(
    mut store: Caller<'_>,
    (state, slot, key): (u32, u32, CellThere),
) -> wasmtime::Result<Option<CellGiven>> {
    let (_, value) = layouts(store.data(), state).map_err(wasmtime::Error::new)?;
    with_scratch(&mut store, |call, memory, scratch| {
        key.copy_to(memory, &mut scratch.keys);
        let mut window = Window::new(value.is_words());
        call.load_entries(StateId(state), &[slot], &scratch.keys, &mut window)?;
        call.touch_entries(StateId(state), &[slot], &scratch.keys)?;
        Ok(give_row(&window))
    })
}

/// Numbers of the wrong sign or kind are words all the same, so this is where they are told apart.
fn check(
    host: &Host,
    state: u32,
    keys: &ColumnThere,
    values: Option<&ColumnThere>,
) -> Result<(), Failure> {
    let (declared, key) = host.collection(state, StateKind::Map)?;
    check_layout("the map key of state", &declared.name, value_layout(key), keys)?;
    values.map_or(Ok(()), |values| {
        check_layout("state", &declared.name, declared.layout.value, values)
    })
}
