//! The host's side of one instance: what the imports work on.

use std::mem;

use statehouse_operator::{Call, Description, Failure};
use statehouse_state::{Column, KeyLayout, StateKind, ValueLayout};
use wasmtime::StoreContextMut;

use crate::imports::SingleAccess;
use crate::limits::{Limits, MemoryLimiter};

/// The data of an instance's store.
#[derive(Debug)]
pub(crate) struct Host {
    /// The running invocation; idle between invocations.
    pub(crate) call: Call,
    pub(crate) memory: MemoryLimiter,
    /// What the guest last logged as an error in this call: a panic's message, mostly.
    pub(crate) last_error: Option<String>,
    pub(crate) states: Vec<Named<StateLayout>>,
    /// Task states: those with a key layout are maps.
    pub(crate) task_states: Vec<Named<PortLayout>>,
    pub(crate) outputs: Vec<Named<PortLayout>>,
    /// For the single forms of state access, a window a state.
    pub(crate) singles: Vec<SingleAccess>,
    pub(crate) scratch: Scratch,
    /// The most bytes of lists and maps that one call returns.
    pub(crate) page_bytes: usize,
}

/// Something declared, and its layout.
#[derive(Debug)]
pub(crate) struct Named<L> {
    pub(crate) name: String,
    pub(crate) layout: L,
}

/// The kind of a state, and the layouts of its columns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StateLayout {
    pub(crate) kind: StateKind,
    pub(crate) value: ValueLayout,
    /// That of its entries' keys, if it is a collection.
    pub(crate) entry: Option<KeyLayout>,
}

/// The layouts of a port's columns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PortLayout {
    pub(crate) key: Option<KeyLayout>,
    pub(crate) value: ValueLayout,
}

/// Columns on their way from the guest, kept for their memory.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) keys: Column,
    pub(crate) values: Column,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { keys: Column::empty(true), values: Column::empty(true) }
    }
}

impl Host {
    /// For an instance of that operator, or of none yet.
    pub(crate) fn new(description: Option<&Description>, limits: &Limits) -> Self {
        let states: Vec<_> = description
            .into_iter()
            .flat_map(|description| &description.states)
            .map(|state| Named {
                name: state.name.clone(),
                layout: StateLayout {
                    kind: state.kind,
                    value: state.value,
                    entry: state.entry_key(),
                },
            })
            .collect();
        let task_states = description
            .into_iter()
            .flat_map(|description| &description.task_states)
            .map(|state| Named {
                name: state.name.clone(),
                layout: PortLayout { key: state.map_key, value: state.value },
            })
            .collect();
        let outputs = description
            .into_iter()
            .flat_map(|description| &description.outputs)
            .map(|port| Named {
                name: port.name.clone(),
                layout: PortLayout {
                    key: port.key.as_ref().map(|key| key.layout),
                    value: port.value.layout,
                },
            })
            .collect();
        Self {
            call: Call::idle(),
            memory: MemoryLimiter::new(limits),
            last_error: None,
            singles: states.iter().map(|_| SingleAccess::default()).collect(),
            states,
            task_states,
            outputs,
            scratch: Scratch::default(),
            page_bytes: limits.page_bytes(),
        }
    }

    /// Forgets what belonged to the call before.
    pub(crate) fn begin(&mut self) {
        self.memory.refused = false;
        self.last_error = None;
        for single in &mut self.singles {
            single.forget();
        }
    }

    /// The layout of a state.
    pub(crate) fn state(&self, state: u32) -> Result<&Named<StateLayout>, Failure> {
        self.states.get(state as usize).ok_or_else(|| misuse(format!("there is no state {state}")))
    }

    /// The layout of a list or map, and that of its entries' keys.
    pub(crate) fn collection(
        &self,
        state: u32,
        kind: StateKind,
    ) -> Result<(&Named<StateLayout>, KeyLayout), Failure> {
        let declared = self.state(state)?;
        match declared.layout.entry {
            Some(entry) if declared.layout.kind == kind => Ok((declared, entry)),
            _ => Err(misuse(format!(
                "state `{}` is a {:?} state, and no {kind:?} state",
                declared.name, declared.layout.kind
            ))),
        }
    }

    /// The layout of a task state.
    pub(crate) fn task_state(&self, state: u32) -> Result<&Named<PortLayout>, Failure> {
        let found = self.task_states.get(state as usize);
        found.ok_or_else(|| misuse(format!("there is no task state {state}")))
    }
}

/// A guest that broke the contract. Returned by an import, it traps the guest.
pub(crate) fn misuse(reason: String) -> Failure {
    Failure::Trapped { reason }
}

/// Lets an import work on the call while the guest's memory can be read beside it.
pub(crate) fn with_call<R>(
    store: &mut StoreContextMut<'_, Host>,
    act: impl FnOnce(&mut Call, &StoreContextMut<'_, Host>) -> Result<R, Failure>,
) -> wasmtime::Result<R> {
    let mut call = mem::replace(&mut store.data_mut().call, Call::idle());
    let result = act(&mut call, store);
    store.data_mut().call = call;
    result.map_err(wasmtime::Error::new)
}

/// The same, with columns for what comes from the guest.
pub(crate) fn with_scratch<R>(
    store: &mut StoreContextMut<'_, Host>,
    act: impl FnOnce(&mut Call, &StoreContextMut<'_, Host>, &mut Scratch) -> Result<R, Failure>,
) -> wasmtime::Result<R> {
    let mut scratch = mem::take(&mut store.data_mut().scratch);
    let result = with_call(store, |call, memory| act(call, memory, &mut scratch));
    store.data_mut().scratch = scratch;
    result
}
