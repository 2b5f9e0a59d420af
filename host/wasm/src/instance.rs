//! Instances: one operator of a component, running.

use std::collections::BTreeMap;
use std::fmt;
use std::mem;

use statehouse_operator::{Call, Description, Failure, Operator, Rows, TimerRows};
use statehouse_state::KeyLayout;
use wasmtime::component::{
    ComponentExportIndex, ComponentNamedList, Instance, Lift, Lower, TypedFunc,
};
use wasmtime::{AsContextMut, PoolConcurrencyLimitError, Store};

use crate::bindings::{BatchIn, OnTimers, Open, Process, Refusal, TimerBatchIn};
use crate::columns::{lend, value_layout};
use crate::component::{Component, Shared};
use crate::error::Error;
use crate::host::Host;
use crate::limits::Limits;
use crate::trap;

/// An operator of a component, for one task.
///
/// It holds one instance at most. An instance that trapped, or ran past a limit, is thrown away with all that it had
/// in memory, and the next call is made to a new one.
pub struct WasmOperator {
    component: Component,
    description: Description,
    settings: Vec<(String, String)>,
    limits: Limits,
    running: Option<Running>,
}

/// An instance that was opened.
struct Running {
    started: Started,
    process: Process<'static>,
    on_timers: OnTimers<'static>,
}

/// An instance.
pub(crate) struct Started {
    store: Store<Host>,
    instance: Instance,
}

impl fmt::Debug for WasmOperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasmOperator")
            .field("operator", &self.description.name)
            .field("component", &self.component)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl WasmOperator {
    /// Makes an instance and opens it as the operator of that name, with the strings of the job file.
    ///
    /// # Errors
    /// If the component has no such operator, no instance can be made, or the operator refuses its settings.
    pub fn open(
        component: &Component,
        operator: &str,
        settings: &BTreeMap<String, String>,
        limits: Limits,
    ) -> Result<Self, Error> {
        let description = component.operator(operator)?.clone();
        let mut opened = Self {
            component: component.clone(),
            description,
            settings: settings.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            limits,
            running: None,
        };
        opened.running = Some(opened.run()?);
        Ok(opened)
    }

    /// The component that it is an operator of.
    pub fn component(&self) -> &Component {
        &self.component
    }

    /// Bytes of linear memory that the instance has now.
    pub fn memory_bytes(&self) -> usize {
        self.running.as_ref().map_or(0, |running| running.started.store.data().memory.used_bytes())
    }

    fn run(&self) -> Result<Running, Error> {
        let shared = &self.component.shared;
        let mut started = start(shared, Some(&self.description), &self.limits)?;
        let open: Open = started.function(&shared.exports.open)?;
        let process = started.function(&shared.exports.process)?;
        let on_timers = started.function(&shared.exports.on_timers)?;
        let arguments = (self.description.name.clone(), self.settings.clone());
        let (opened,) = started.call("open", &self.limits, |store| open.call(store, arguments))?;
        opened
            .map_err(|reason| Error::Refused { operator: self.description.name.clone(), reason })?;
        Ok(Running { started, process, on_timers })
    }

    /// Makes one call with the invocation in the store's data, where imports find it.
    fn invoke(
        &mut self,
        call: &mut Call,
        act: impl FnOnce(&mut Running) -> wasmtime::Result<(Result<(), Refusal>,)>,
    ) -> Result<(), Failure> {
        let mut running = match self.running.take() {
            Some(running) => running,
            None => self.run().map_err(|error| Failure::Host {
                reason: format!("no new instance of operator `{}`: {error}", self.description.name),
            })?,
        };
        mem::swap(&mut running.started.store.data_mut().call, call);
        running.started.begin(&self.limits);
        let result = act(&mut running);
        mem::swap(&mut running.started.store.data_mut().call, call);
        match result {
            Ok((outcome,)) => {
                self.running = Some(running);
                outcome.map_err(|refusal| Failure::Refused {
                    row: refusal.row,
                    reason: refusal.reason,
                })
            }
            Err(error) => Err(trap::failure(&error, running.started.store.data(), &self.limits)),
        }
    }
}

impl Operator for WasmOperator {
    fn description(&self) -> &Description {
        &self.description
    }

    fn process(&mut self, rows: Rows<'_>, call: &mut Call) -> Result<(), Failure> {
        let Some(port) = self.description.inputs.get(rows.port as usize) else {
            return Err(Failure::Host { reason: format!("there is no input port {}", rows.port) });
        };
        let key = port.key.as_ref().map_or(KeyLayout::U64, |key| key.layout);
        let batch = BatchIn {
            port: rows.port,
            times: rows.times,
            slots: rows.slots,
            keys: rows.keys.map(|keys| lend(keys, value_layout(key))),
            values: lend(rows.values, port.value.layout),
        };
        self.invoke(call, |running| {
            let process: Process<'_> = running.process;
            process.call(&mut running.started.store, (batch,))
        })
    }

    fn on_timers(&mut self, timers: TimerRows<'_>, call: &mut Call) -> Result<(), Failure> {
        let key = self.description.state_key().map_or(KeyLayout::U64, |key| key.layout);
        let batch = TimerBatchIn {
            timer: timers.timer.0,
            times: timers.times,
            namespaces: timers.namespaces,
            slots: timers.slots,
            keys: lend(timers.keys, value_layout(key)),
        };
        self.invoke(call, |running| {
            let on_timers: OnTimers<'_> = running.on_timers;
            on_timers.call(&mut running.started.store, (batch,))
        })
    }
}

/// Makes an instance, for an operator or (to be asked what there is) for none.
pub(crate) fn start(
    shared: &Shared,
    description: Option<&Description>,
    limits: &Limits,
) -> Result<Started, Error> {
    let host = Host::new(description, limits);
    let mut store = Store::new(shared.engine.wasmtime(), host);
    store.limiter(|host| &mut host.memory);
    store.epoch_deadline_trap();
    store.set_epoch_deadline(limits.deadline_ticks());
    match shared.pre.instantiate(&mut store) {
        Ok(instance) => Ok(Started { store, instance }),
        Err(error) if error.is::<PoolConcurrencyLimitError>() => {
            Err(Error::InstancesExhausted { instances: shared.engine.settings().instances })
        }
        Err(error) => {
            let failure = trap::failure(&error, store.data(), limits);
            Err(trap::error("start", failure))
        }
    }
}

impl Started {
    /// A function of the contract, if it has the type that the contract says.
    pub(crate) fn function<P, R>(
        &mut self,
        index: &ComponentExportIndex,
    ) -> Result<TypedFunc<P, R>, Error>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        self.instance
            .get_typed_func(&mut self.store, index)
            .map_err(|error| Error::Contract { reason: format!("{error:#}") })
    }

    fn begin(&mut self, limits: &Limits) {
        self.store.data_mut().begin();
        self.store.as_context_mut().set_epoch_deadline(limits.deadline_ticks());
    }

    /// A call outside of any invocation.
    pub(crate) fn call<R>(
        &mut self,
        name: &'static str,
        limits: &Limits,
        act: impl FnOnce(&mut Store<Host>) -> wasmtime::Result<R>,
    ) -> Result<R, Error> {
        self.begin(limits);
        act(&mut self.store)
            .map_err(|error| trap::error(name, trap::failure(&error, self.store.data(), limits)))
    }
}

#[cfg(test)]
mod tests;
