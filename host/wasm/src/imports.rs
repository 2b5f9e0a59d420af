//! What guests can call: one file an interface of the contract. Whoever breaks the contract traps.

use wasmtime::component::{Linker, LinkerInstance};
use wasmtime::{Engine, StoreContextMut};

use crate::host::Host;

mod context;
mod list_state;
mod map_state;
mod output;
mod state;
mod task_state;
mod timers;

pub(crate) use state::SingleAccess;

type Interface<'a> = LinkerInstance<'a, Host>;
type Caller<'a> = StoreContextMut<'a, Host>;

/// The interfaces that can be imported, with their functions.
pub(crate) const INTERFACES: [&str; 9] = [
    "statehouse:operator/types@0.1.0",
    "statehouse:operator/describe@0.1.0",
    "statehouse:operator/state@0.1.0",
    "statehouse:operator/list-state@0.1.0",
    "statehouse:operator/map-state@0.1.0",
    "statehouse:operator/task-state@0.1.0",
    "statehouse:operator/timers@0.1.0",
    "statehouse:operator/output@0.1.0",
    "statehouse:operator/context@0.1.0",
];

/// Everything that a guest may import. Two of the interfaces hold types only.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    let [types, describe, state, list_state, map_state, task_state, timers, output, context] =
        INTERFACES;
    linker.instance(types)?;
    linker.instance(describe)?;
    state::define(&mut linker.instance(state)?)?;
    list_state::define(&mut linker.instance(list_state)?)?;
    map_state::define(&mut linker.instance(map_state)?)?;
    task_state::define(&mut linker.instance(task_state)?)?;
    timers::define(&mut linker.instance(timers)?)?;
    output::define(&mut linker.instance(output)?)?;
    context::define(&mut linker.instance(context)?)?;
    Ok(linker)
}
