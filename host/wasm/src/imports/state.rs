//! Interface `state`: windows in bulk, and single values for languages without an SDK.

use statehouse_operator::Failure;
use statehouse_state::{BytesColumn, Column, Presence, StateId, Window};
use wasmtime::component::WasmList;

use super::{Caller, Interface};
use crate::bindings::{CellThere, ColumnThere, WindowGiven};
use crate::columns::{check_layout, give};
use crate::host::{Host, misuse, with_call, with_scratch};

mod single;

pub(crate) use single::SingleAccess;

pub(super) fn define(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface
        .func_wrap("load", |store: Caller<'_>, (state,): (u32,)| Ok((load(store, state)?,)))?;
    interface.func_wrap("store", store)?;
    interface.func_wrap("remove", remove)?;
    interface.func_wrap("merge", merge)?;
    interface.func_wrap("merge-one", merge_one)?;
    interface.func_wrap("touch", |mut store: Caller<'_>, args: (u32, WasmList<u32>)| {
        let (state, slots) = args;
        with_call(&mut store, |call, memory| call.touch(StateId(state), slots.as_le_slice(memory)))
    })?;
    interface.func_wrap("get-word", |mut store: Caller<'_>, (state, slot): (u32, u32)| {
        Ok((single::word(store.data_mut(), state, slot).map_err(wasmtime::Error::new)?,))
    })?;
    interface.func_wrap("get-bytes", |mut store: Caller<'_>, (state, slot): (u32, u32)| {
        Ok((single::bytes(store.data_mut(), state, slot).map_err(wasmtime::Error::new)?,))
    })?;
    interface.func_wrap("set-word", |mut store: Caller<'_>, args: (u32, u32, u64)| {
        let (state, slot, value) = args;
        single::set_word(store.data_mut(), state, slot, value).map_err(wasmtime::Error::new)
    })?;
    interface.func_wrap("set-bytes", |mut store: Caller<'_>, args: (u32, u32, Vec<u8>)| {
        let (state, slot, value) = args;
        single::set_bytes(store.data_mut(), state, slot, &value).map_err(wasmtime::Error::new)
    })
}

fn load(mut store: Caller<'_>, state: u32) -> wasmtime::Result<WindowGiven> {
    let host = store.data_mut();
    let layout = host.state(state).map_err(wasmtime::Error::new)?.layout.value;
    let slots = host.call.slots() as usize;
    let mut window = empty_window(layout.is_words(), slots);
    host.call.load(StateId(state), &mut window).map_err(wasmtime::Error::new)?;
    Ok(give(window, layout))
}

/// A window with room for that many slots, so that filling it does not grow it step by step.
pub(super) fn empty_window(words: bool, slots: usize) -> Window {
    let values = if words {
        Column::Words(Vec::with_capacity(slots))
    } else {
        Column::Bytes(BytesColumn::with_capacity(slots, 0))
    };
    Window { present: Presence::default(), values, too_large: false }
}

type Stored = (u32, WasmList<u32>, ColumnThere);

fn store(mut store: Caller<'_>, (state, slots, values): Stored) -> wasmtime::Result<()> {
    let host = store.data_mut();
    checked(host, state, &values).map_err(wasmtime::Error::new)?;
    let id = StateId(state);
    with_scratch(&mut store, |call, memory, scratch| {
        let slots = slots.as_le_slice(memory);
        match values.words(memory) {
            Some(words) => call.store_words(id, slots, words),
            None => {
                values.copy_to(memory, &mut scratch.values)?;
                call.store(id, slots, &scratch.values)
            }
        }
    })
}

fn merge(mut store: Caller<'_>, (state, slots, deltas): Stored) -> wasmtime::Result<()> {
    checked(store.data_mut(), state, &deltas).map_err(wasmtime::Error::new)?;
    with_scratch(&mut store, |call, memory, scratch| {
        deltas.copy_to(memory, &mut scratch.values)?;
        call.merge(StateId(state), slots.as_le_slice(memory), &scratch.values)
    })
}

fn merge_one(
    mut store: Caller<'_>,
    (state, slot, delta): (u32, u32, CellThere),
) -> wasmtime::Result<()> {
    let host = store.data_mut();
    host.state(state).map_err(wasmtime::Error::new)?;
    host.singles[state as usize].forget();
    with_scratch(&mut store, |call, memory, scratch| {
        delta.copy_to(memory, &mut scratch.values);
        call.merge(StateId(state), &[slot], &scratch.values)
    })
}

fn checked(host: &mut Host, state: u32, values: &ColumnThere) -> Result<(), Failure> {
    let declared = host.state(state)?;
    check_layout("state", &declared.name, declared.layout.value, values)?;
    host.singles[state as usize].forget();
    Ok(())
}

fn remove(mut store: Caller<'_>, (state, slots): (u32, WasmList<u32>)) -> wasmtime::Result<()> {
    match store.data_mut().singles.get_mut(state as usize) {
        Some(single) => single.forget(),
        None => return Err(wasmtime::Error::new(misuse(format!("there is no state {state}")))),
    }
    with_call(&mut store, |call, memory| call.remove(StateId(state), slots.as_le_slice(memory)))
}
