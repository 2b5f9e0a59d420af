//! Version 2: other code, the same state.

use statehouse::prelude::*;

use crate::{Rows, amount};

/// Keeps totals.
pub struct Ledger {
    total: ValueState<u64>,
    rows: Rows,
}

impl Operator for Ledger {
    const NAME: &str = "ledger";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("numbers", Self::on_number);
        Ledger { total: setup.value("total"), rows: Rows::declare(setup, "v2") }
    }
}

impl Ledger {
    fn on_number(&mut self, number: Record<u64, i64>) -> Result<()> {
        let amount = amount(number.value);
        let total = self.total.update(|total| {
            *total += amount;
            *total
        });
        self.rows.emit(number.key, amount, total)
    }
}
