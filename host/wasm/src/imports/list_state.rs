//! Interface `list-state`.

use std::ops::Bound;

use statehouse_operator::Failure;
use statehouse_state::{Cell, Column, Entries, Scan, StateId, StateKind, ValueLayout};
use wasmtime::component::WasmList;

use super::{Caller, Interface};
use crate::bindings::{CellThere, ColumnGiven, ColumnThere, ListPageGiven, ListsGiven};
use crate::columns::{check_layout, give_column};
use crate::host::{Host, with_call, with_scratch};

pub(super) fn define(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func_wrap("load-all", |store: Caller<'_>, args: (u32, u32)| {
        Ok((load_all(store, args)?,))
    })?;
    interface.func_wrap("scan", |store: Caller<'_>, args: Scanned| Ok((scan(store, args)?,)))?;
    interface.func_wrap("append", append)?;
    interface.func_wrap("replace", replace)?;
    interface.func_wrap("remove", |mut store: Caller<'_>, args: Numbered| {
        let (state, slots, numbers) = args;
        with_call(&mut store, |call, memory| {
            let (slots, numbers) = (slots.as_le_slice(memory), numbers.as_le_slice(memory));
            call.remove_elements(StateId(state), slots, numbers)
        })
    })?;
    interface.func_wrap("clear", |mut store: Caller<'_>, args: (u32, WasmList<u32>)| {
        let (state, slots) = args;
        values_of(store.data(), state).map_err(wasmtime::Error::new)?;
        with_call(&mut store, |call, memory| call.clear(StateId(state), slots.as_le_slice(memory)))
    })?;
    interface.func_wrap("touch", |mut store: Caller<'_>, args: (u32, WasmList<u32>)| {
        let (state, slots) = args;
        with_call(&mut store, |call, memory| {
            call.touch_lists(StateId(state), slots.as_le_slice(memory))
        })
    })?;
    interface.func_wrap("add", |mut store: Caller<'_>, args: (u32, u32, CellThere)| {
        let (state, slot, value) = args;
        with_scratch(&mut store, |call, memory, scratch| {
            value.copy_to(memory, &mut scratch.values);
            call.append(StateId(state), &[slot], &scratch.values)
        })
    })?;
    interface.func_wrap("get", |store: Caller<'_>, args: (u32, u32)| Ok((get(store, args)?,)))
}

type Scanned = (u32, u32, Option<u64>, u32);
type Numbered = (u32, WasmList<u32>, WasmList<u64>);
type Appended = (u32, WasmList<u32>, ColumnThere);
type Replaced = (u32, WasmList<u32>, WasmList<u32>, ColumnThere);

/// The layout of a list's values.
fn values_of(host: &Host, state: u32) -> Result<ValueLayout, Failure> {
    Ok(host.collection(state, StateKind::List)?.0.layout.value)
}

fn load_all(mut store: Caller<'_>, (state, limit): (u32, u32)) -> wasmtime::Result<ListsGiven> {
    let layout = values_of(store.data(), state).map_err(wasmtime::Error::new)?;
    let bytes = store.data().page_bytes;
    let all =
        with_call(&mut store, |call, _| call.load_all(StateId(state), limit as usize, bytes))?;
    let (ends, complete) = (all.ends, all.complete.into_bits());
    Ok(ListsGiven { ends, complete, values: give_column(all.entries.values, layout) })
}

fn scan(
    mut store: Caller<'_>,
    (state, slot, after, limit): Scanned,
) -> wasmtime::Result<ListPageGiven> {
    let layout = values_of(store.data(), state).map_err(wasmtime::Error::new)?;
    let bytes = store.data().page_bytes;
    let mut found = Entries::new(true, layout.is_words());
    let more = with_call(&mut store, |call, _| {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(Cell::Word(after)));
        let scan = Scan { from, ..Scan::all(slot, limit as usize) };
        call.scan(StateId(state), &scan, bytes, &mut found)
    })?;
    let Column::Words(numbers) = found.keys else { unreachable!("elements are numbered") };
    Ok(ListPageGiven { numbers, values: give_column(found.values, layout), more })
}

fn append(mut store: Caller<'_>, (state, slots, values): Appended) -> wasmtime::Result<()> {
    check(store.data(), state, &values).map_err(wasmtime::Error::new)?;
    with_scratch(&mut store, |call, memory, scratch| {
        values.copy_to(memory, &mut scratch.values)?;
        call.append(StateId(state), slots.as_le_slice(memory), &scratch.values)
    })
}

fn replace(
    mut store: Caller<'_>,
    (state, slots, counts, values): Replaced,
) -> wasmtime::Result<()> {
    check(store.data(), state, &values).map_err(wasmtime::Error::new)?;
    with_scratch(&mut store, |call, memory, scratch| {
        values.copy_to(memory, &mut scratch.values)?;
        let (slots, counts) = (slots.as_le_slice(memory), counts.as_le_slice(memory));
        call.replace(StateId(state), slots, counts, &scratch.values)
    })
}

fn get(mut store: Caller<'_>, (state, slot): (u32, u32)) -> wasmtime::Result<ColumnGiven> {
    let layout = values_of(store.data(), state).map_err(wasmtime::Error::new)?;
    let bytes = store.data().page_bytes;
    let values = with_call(&mut store, |call, _| {
        call.touch_lists(StateId(state), &[slot])?;
        call.list(StateId(state), slot, bytes)
    })?;
    Ok(give_column(values, layout))
}

/// Numbers of the wrong sign or kind are words all the same, so this is where they are told apart.
fn check(host: &Host, state: u32, values: &ColumnThere) -> Result<(), Failure> {
    let (declared, _) = host.collection(state, StateKind::List)?;
    check_layout("state", &declared.name, declared.layout.value, values)
}
