//! Instances: one operator of a component, running.

use std::collections::BTreeMap;
use std::fmt;
use std::mem;

use statehouse_operator::{Call, Description, Failure, Migrations, Operator, Rows, TimerRows};
use statehouse_state::{Column, KeyLayout, StateId, ValueLayout};
use wasmtime::component::{
    ComponentExportIndex, ComponentNamedList, Instance, Lift, Lower, TypedFunc,
};
use wasmtime::{AsContextMut, PoolConcurrencyLimitError, Store};

use crate::bindings::{BatchIn, Migrate, OnTimers, Open, Process, Refusal, TimerBatchIn};
use crate::columns::{lend, take_column, value_layout};
use crate::component::{Component, Shared};
use crate::error::Error;
use crate::host::{Host, misuse};
use crate::limits::Limits;
use crate::{migration, trap};

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
    migrate: Option<Migrate<'static>>,
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
        let migrate = match &shared.exports.migration {
            Some(exports) => Some(started.function(&exports.migrate)?),
            None => None,
        };
        let arguments = (self.description.name.clone(), self.settings.clone());
        let (opened,) = started.call("open", &self.limits, |store| open.call(store, arguments))?;
        opened
            .map_err(|reason| Error::Refused { operator: self.description.name.clone(), reason })?;
        Ok(Running { started, process, on_timers, migrate })
    }

    /// Makes one call with the invocation in the store's data, where imports find it.
    fn invoke<R>(
        &mut self,
        call: &mut Call,
        act: impl FnOnce(&mut Running) -> wasmtime::Result<(Result<R, Refusal>,)>,
    ) -> Result<R, Failure> {
        let mut running = self.take_running()?;
        mem::swap(&mut running.started.store.data_mut().call, call);
        running.started.begin(&self.limits);
        let result = act(&mut running);
        mem::swap(&mut running.started.store.data_mut().call, call);
        self.finish(running, result)
    }

    /// Makes one call outside of any invocation: imports that need one trap.
    fn convert<R>(
        &mut self,
        act: impl FnOnce(&mut Running) -> wasmtime::Result<(Result<R, Refusal>,)>,
    ) -> Result<R, Failure> {
        let mut running = self.take_running()?;
        running.started.begin(&self.limits);
        let result = act(&mut running);
        self.finish(running, result)
    }

    /// The instance, or a new one if the last one trapped.
    fn take_running(&mut self) -> Result<Running, Failure> {
        match self.running.take() {
            Some(running) => Ok(running),
            None => self.run().map_err(|error| Failure::Host {
                reason: format!("no new instance of operator `{}`: {error}", self.description.name),
            }),
        }
    }

    /// Keeps the instance if it can go on.
    fn finish<R>(
        &mut self,
        running: Running,
        result: wasmtime::Result<(Result<R, Refusal>,)>,
    ) -> Result<R, Failure> {
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

    fn migrations(&self) -> Migrations {
        self.component.migrations(&self.description.name).clone()
    }

    fn migrate(
        &mut self,
        state: StateId,
        from_version: u32,
        values: &Column,
    ) -> Result<Column, Failure> {
        self.convert_rows(state, from_version, values)
    }
}

impl WasmOperator {
    /// Makes the call `migrate` and checks what comes back.
    fn convert_rows(
        &mut self,
        state: StateId,
        from_version: u32,
        values: &Column,
    ) -> Result<Column, Failure> {
        let Some(declared) = self.description.states.get(state.0 as usize) else {
            return Err(Failure::Host { reason: format!("there is no state {}", state.0) });
        };
        let (name, layout) = (declared.name.clone(), declared.value);
        // What words mean was declared by an older version; the guest knows.
        let lent = lend(values, ValueLayout::U64);
        let converted = self.convert(|running| {
            let migrate: Migrate<'_> =
                running.migrate.ok_or_else(|| wasmtime::Error::new(migration::missing()))?;
            migrate.call(&mut running.started.store, (state.0, from_version, lent))
        });
        let taken = converted.and_then(|given| {
            let column = take_column(given, layout).map_err(misuse)?;
            if column.len() == values.len() {
                return Ok(column);
            }
            Err(misuse(format!("{} values came out and {} went in", column.len(), values.len())))
        });
        taken.map_err(|failure| match failure {
            Failure::Trapped { reason } => {
                // An instance that did not keep to the contract did not trap, and is not to be trusted either.
                self.running = None;
                let what =
                    format!("`migrate` of state `{name}` from schema version {from_version}");
                let reason = format!("{what}, which reaches no state, timer or output: {reason}");
                Failure::Trapped { reason }
            }
            Failure::Refused { row, reason } => {
                Failure::Refused { row: row.filter(|&row| (row as usize) < values.len()), reason }
            }
            other => other,
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
