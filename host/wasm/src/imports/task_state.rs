//! Interface `task-state`.

use statehouse_operator::Failure;

use super::{Caller, Interface};
use crate::bindings::{CellGiven, CellThere, ColumnGiven, ColumnThere, EntriesGiven};
use crate::columns::{check_layout, give_cell, give_column, value_layout};
use crate::host::{Host, misuse, with_call, with_scratch};

pub(super) fn define(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func_wrap("load", |store: Caller<'_>, (state,): (u32,)| {
        Ok((load(&store, state).map_err(wasmtime::Error::new)?,))
    })?;
    interface.func_wrap("replace", |mut store: Caller<'_>, args: (u32, ColumnThere)| {
        let (state, values) = args;
        check(store.data(), state, None, Some(&values)).map_err(wasmtime::Error::new)?;
        with_scratch(&mut store, |call, memory, scratch| {
            values.copy_to(memory, &mut scratch.values)?;
            call.replace_task_list(state, &scratch.values)
        })
    })?;
    interface.func_wrap("append", |mut store: Caller<'_>, args: (u32, ColumnThere)| {
        let (state, values) = args;
        check(store.data(), state, None, Some(&values)).map_err(wasmtime::Error::new)?;
        with_scratch(&mut store, |call, memory, scratch| {
            values.copy_to(memory, &mut scratch.values)?;
            call.append_task_list(state, &scratch.values)
        })
    })?;
    interface.func_wrap("load-map", |store: Caller<'_>, (state,): (u32,)| {
        Ok((load_map(&store, state).map_err(wasmtime::Error::new)?,))
    })?;
    interface
        .func_wrap("get", |store: Caller<'_>, args: (u32, CellThere)| Ok((get(store, &args)?,)))?;
    interface.func_wrap("put", put)?;
    interface.func_wrap("remove", |mut store: Caller<'_>, args: (u32, ColumnThere)| {
        let (state, keys) = args;
        check(store.data(), state, Some(&keys), None).map_err(wasmtime::Error::new)?;
        with_scratch(&mut store, |call, memory, scratch| {
            keys.copy_to(memory, &mut scratch.keys)?;
            call.remove_broadcast(state, &scratch.keys)
        })
    })?;
    interface.func_wrap("clear", |mut store: Caller<'_>, (state,): (u32,)| {
        with_call(&mut store, |call, _| call.clear_broadcast(state))
    })
}

fn load(store: &Caller<'_>, state: u32) -> Result<ColumnGiven, Failure> {
    let layout = store.data().task_state(state)?.layout;
    Ok(give_column(store.data().call.task_list(state)?.clone(), layout.value))
}

fn load_map(store: &Caller<'_>, state: u32) -> Result<EntriesGiven, Failure> {
    let layout = store.data().task_state(state)?.layout;
    let entries = store.data().call.broadcast_entries(state)?;
    // Only maps have entries, and they have keys.
    let key = layout.key.map_or(layout.value, value_layout);
    let (keys, values) = (entries.keys, entries.values);
    Ok(EntriesGiven { keys: give_column(keys, key), values: give_column(values, layout.value) })
}

fn get(
    mut store: Caller<'_>,
    (state, key): &(u32, CellThere),
) -> wasmtime::Result<Option<CellGiven>> {
    with_call(&mut store, |call, memory| {
        Ok(call.broadcast_entry(*state, key.cell(memory))?.map(give_cell))
    })
}

fn put(
    mut store: Caller<'_>,
    (state, keys, values): (u32, ColumnThere, ColumnThere),
) -> wasmtime::Result<()> {
    check(store.data(), state, Some(&keys), Some(&values)).map_err(wasmtime::Error::new)?;
    with_scratch(&mut store, |call, memory, scratch| {
        keys.copy_to(memory, &mut scratch.keys)?;
        values.copy_to(memory, &mut scratch.values)?;
        call.put_broadcast(state, &scratch.keys, &scratch.values)
    })
}

/// Numbers of the wrong sign or kind are words all the same, so this is where they are told apart.
fn check(
    host: &Host,
    state: u32,
    keys: Option<&ColumnThere>,
    values: Option<&ColumnThere>,
) -> Result<(), Failure> {
    let declared = host.task_state(state)?;
    if let Some(keys) = keys {
        let Some(key) = declared.layout.key else {
            return Err(misuse(format!("task state `{}` is a list, and no map", declared.name)));
        };
        check_layout("the map key of task state", &declared.name, value_layout(key), keys)?;
    }
    values.map_or(Ok(()), |values| {
        check_layout("task state", &declared.name, declared.layout.value, values)
    })
}
