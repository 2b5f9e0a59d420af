//! The running invocation, shared by the handles of one operator instance.

use std::cell::{Cell, RefCell};

use crate::error::{Error, Result};
use crate::host::Host;
use crate::lineage::Lineage;

/// The slot of a record that has no key.
pub(crate) const NO_SLOT: u32 = u32::MAX;

/// What an instance is being called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not called: the operator is being set up, or at rest.
    Idle,
    /// Records of a batch.
    Records,
    /// Timers that are due.
    Timers,
}

/// Which row of which invocation is being handled, and what went wrong with it.
pub(crate) struct Call {
    pub(crate) host: Box<dyn Host>,
    pub(crate) slot: Cell<u32>,
    pub(crate) time: Cell<i64>,
    pub(crate) row: Cell<u32>,
    pub(crate) slots: Cell<u32>,
    pub(crate) phase: Cell<Phase>,
    /// Whether the records are those of a broadcast input.
    pub(crate) broadcast: Cell<bool>,
    faulted: Cell<bool>,
    fault: RefCell<Option<Error>>,
    pub(crate) rejected: RefCell<(Vec<u32>, Vec<String>)>,
    pub(crate) processing_time: Cell<Option<i64>>,
    pub(crate) watermark: Cell<Option<i64>>,
    pub(crate) random: Cell<Option<u64>>,
    /// What states and timers were before, while the operator declares them.
    pub(crate) lineage: RefCell<Lineage>,
}

/// Something that holds back what a handler did until the invocation ends.
pub(crate) trait Pending {
    /// Does what can fail, before anything is handed to the host.
    fn prepare(&self) -> Result<()> {
        Ok(())
    }
    /// Hands it to the host.
    fn send(&self, host: &dyn Host);
    /// Forgets it.
    fn discard(&self);
}

impl Call {
    pub(crate) fn new(host: Box<dyn Host>) -> Self {
        Self {
            host,
            slot: Cell::new(NO_SLOT),
            time: Cell::new(0),
            row: Cell::new(0),
            slots: Cell::new(0),
            phase: Cell::new(Phase::Idle),
            broadcast: Cell::new(false),
            faulted: Cell::new(false),
            fault: RefCell::new(None),
            rejected: RefCell::default(),
            processing_time: Cell::new(None),
            watermark: Cell::new(None),
            random: Cell::new(None),
            lineage: RefCell::default(),
        }
    }

    /// Begins an invocation, or ends it with `Phase::Idle`.
    pub(crate) fn turn(&self, phase: Phase, slots: u32) {
        self.phase.set(phase);
        self.slots.set(slots);
        self.slot.set(NO_SLOT);
        self.broadcast.set(false);
        self.processing_time.set(None);
        self.watermark.set(None);
        self.random.set(None);
        let (rows, reasons) = &mut *self.rejected.borrow_mut();
        rows.clear();
        reasons.clear();
        self.take_fault();
    }

    /// Goes to a row.
    #[inline(always)]
    pub(crate) fn enter(&self, row: u32, slot: u32, time: i64) {
        self.row.set(row);
        self.slot.set(slot);
        self.time.set(time);
    }

    /// Notes that the current row cannot be handled, for calls that have no way to return it.
    #[cold]
    pub(crate) fn fault(&self, error: Error) {
        self.faulted.set(true);
        self.fault.borrow_mut().get_or_insert(error);
    }

    #[inline(always)]
    pub(crate) fn is_faulted(&self) -> bool {
        self.faulted.get()
    }

    #[cold]
    pub(crate) fn take_fault(&self) -> Option<Error> {
        self.faulted.set(false);
        self.fault.borrow_mut().take()
    }

    /// Notes that something keyed was used where there is no key.
    #[cold]
    pub(crate) fn no_key(&self, what: &str, name: &str) {
        let reason = if self.phase.get() == Phase::Idle {
            "outside of a handler: there is no key"
        } else {
            "for a record without a key: only records of keyed inputs have state and timers"
        };
        self.fault(Error::new(format_args!("{what} `{name}` was used {reason}")));
    }
}
