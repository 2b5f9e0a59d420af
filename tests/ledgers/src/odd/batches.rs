//! Versions that start well, and then do not do what they should.

use std::hint::black_box;

use statehouse::prelude::*;

use crate::{Rows, amount};

/// Traps on records of a key whose total has reached a threshold: again and again, however often it is restarted.
pub struct Trapping {
    fault_at: u64,
    total: ValueState<u64>,
    rows: Rows,
}

impl Operator for Trapping {
    const NAME: &str = "ledger";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("numbers", Self::on_number);
        Trapping {
            fault_at: setup.config_or("fault-at", 0),
            total: setup.value("total"),
            rows: Rows::declare(setup, "trapping"),
        }
    }
}

impl Trapping {
    fn on_number(&mut self, number: Record<u64, i64>) -> Result<()> {
        let amount = amount(number.value);
        let total = self.total.get_or_default() + amount;
        assert!(total < self.fault_at, "the total of key {} has reached {total}", number.key);
        self.total.set(total);
        self.rows.emit(number.key, amount, total)
    }
}

/// Takes its time.
pub struct Slow {
    spins: u64,
    total: ValueState<u64>,
    rows: Rows,
}

impl Operator for Slow {
    const NAME: &str = "ledger";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("numbers", Self::on_number);
        Slow {
            spins: setup.config_or("spins", 100_000),
            total: setup.value("total"),
            rows: Rows::declare(setup, "slow"),
        }
    }
}

impl Slow {
    fn on_number(&mut self, number: Record<u64, i64>) -> Result<()> {
        for spin in 0..self.spins {
            black_box(spin);
        }
        let amount = amount(number.value);
        let total = self.total.get_or_default() + amount;
        self.total.set(total);
        self.rows.emit(number.key, amount, total)
    }
}

/// Counts every record, and says so for every second one only.
pub struct Quiet {
    total: ValueState<u64>,
    turns: ValueState<bool>,
    rows: Rows,
}

impl Operator for Quiet {
    const NAME: &str = "ledger";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("numbers", Self::on_number);
        Quiet {
            total: setup.value("total"),
            turns: setup.value("turns"),
            rows: Rows::declare(setup, "quiet"),
        }
    }
}

impl Quiet {
    fn on_number(&mut self, number: Record<u64, i64>) -> Result<()> {
        let amount = amount(number.value);
        let total = self.total.get_or_default() + amount;
        self.total.set(total);
        let speaks = self.turns.get_or_default();
        self.turns.set(!speaks);
        if speaks { self.rows.emit(number.key, amount, total) } else { Ok(()) }
    }
}
