//! Operators that look like others and misbehave.

use std::fmt;
use std::sync::Arc;

use statehouse_engine::OperatorFactory;
use statehouse_operator::evolution::Migrations;
use statehouse_operator::{Call, Description, Failure, Operator, Rows, TimerRows};
use statehouse_state::{Column, StateId};

/// What is wrong with an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It cannot be made.
    Open,
    /// It fails for good after so many invocations that went well.
    After(u32),
    /// It takes every number for one that is larger by one: what it keeps and what it says is wrong.
    Wrong,
}

/// Makes operators with a fault.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn OperatorFactory>,
    fault: Fault,
}

impl Faulty {
    /// What that factory makes, with this fault.
    pub fn new(inner: Arc<dyn OperatorFactory>, fault: Fault) -> Self {
        Self { inner, fault }
    }
}

impl OperatorFactory for Faulty {
    fn description(&self) -> &Description {
        self.inner.description()
    }

    fn migrations(&self) -> Migrations {
        self.inner.migrations()
    }

    fn component(&self) -> Option<String> {
        self.inner.component()
    }

    fn open(&self, task: u32) -> Result<Box<dyn Operator>, String> {
        if self.fault == Fault::Open {
            return Err("it does not like its settings".to_owned());
        }
        let inner = self.inner.open(task)?;
        Ok(Box::new(FaultyOperator { inner, fault: self.fault, invocations: 0 }))
    }
}

struct FaultyOperator {
    inner: Box<dyn Operator>,
    fault: Fault,
    invocations: u32,
}

impl fmt::Debug for FaultyOperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyOperator").field("fault", &self.fault).finish_non_exhaustive()
    }
}

impl FaultyOperator {
    fn count(&mut self) -> Result<(), Failure> {
        self.invocations += 1;
        match self.fault {
            Fault::After(most) if self.invocations > most => {
                Err(Failure::Host { reason: "it cannot be made to work again".to_owned() })
            }
            _ => Ok(()),
        }
    }
}

impl Operator for FaultyOperator {
    fn description(&self) -> &Description {
        self.inner.description()
    }

    fn process(&mut self, rows: Rows<'_>, call: &mut Call) -> Result<(), Failure> {
        self.count()?;
        match (self.fault, rows.values) {
            (Fault::Wrong, Column::Words(values)) => {
                let values = Column::Words(values.iter().map(|value| value + 1).collect());
                self.inner.process(Rows { values: &values, ..rows }, call)
            }
            _ => self.inner.process(rows, call),
        }
    }

    fn on_timers(&mut self, timers: TimerRows<'_>, call: &mut Call) -> Result<(), Failure> {
        self.count()?;
        self.inner.on_timers(timers, call)
    }

    fn migrations(&self) -> Migrations {
        self.inner.migrations()
    }

    fn migrate(&mut self, state: StateId, from: u32, values: &Column) -> Result<Column, Failure> {
        self.inner.migrate(state, from, values)
    }
}
