//! Interface `timers`.

use statehouse_state::TimerId;
use wasmtime::component::WasmList;

use super::{Caller, Interface};
use crate::host::with_call;

type Change = (u32, WasmList<u32>, WasmList<i64>);
type ChangeIn = (u32, WasmList<u32>, WasmList<i64>, WasmList<u64>);

pub(super) fn define(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func_wrap("set", |store: Caller<'_>, args: Change| change(store, &args, true))?;
    interface.func_wrap("delete", |store: Caller<'_>, args: Change| change(store, &args, false))?;
    interface
        .func_wrap("set-in", |store: Caller<'_>, args: ChangeIn| change_in(store, &args, true))?;
    interface
        .func_wrap("delete-in", |store: Caller<'_>, args: ChangeIn| change_in(store, &args, false))
}

fn change(mut store: Caller<'_>, args: &Change, set: bool) -> wasmtime::Result<()> {
    let (timer, slots, times) = args;
    with_call(&mut store, |call, memory| {
        let slots = slots.as_le_slice(memory);
        call.change_timers(TimerId(*timer), slots, times.as_le_slice(memory), set)
    })
}

fn change_in(mut store: Caller<'_>, args: &ChangeIn, set: bool) -> wasmtime::Result<()> {
    let (timer, slots, times, namespaces) = args;
    with_call(&mut store, |call, memory| {
        let (slots, times) = (slots.as_le_slice(memory), times.as_le_slice(memory));
        let namespaces = namespaces.as_le_slice(memory);
        call.change_timers_in(TimerId(*timer), slots, times, namespaces, set)
    })
}
