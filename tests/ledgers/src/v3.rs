//! Version 3: the total is a struct, at schema version 2.

use statehouse::prelude::*;

use crate::{Rows, amount};

/// What is kept of a key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    /// All amounts.
    pub sum: u64,
    /// Records since it is a struct.
    pub count: u64,
}

/// Keeps totals.
pub struct Ledger {
    total: ValueState<Total>,
    rows: Rows,
}

impl Operator for Ledger {
    const NAME: &str = "ledger";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("numbers", Self::on_number);
        Ledger {
            total: setup
                .value("total")
                .at_version(2)
                .migrate_from(1, |sum: u64| Ok(Total { sum, count: 0 })),
            rows: Rows::declare(setup, "v3"),
        }
    }
}

impl Ledger {
    fn on_number(&mut self, number: Record<u64, i64>) -> Result<()> {
        let amount = amount(number.value);
        let sum = self.total.update(|total| {
            total.count += 1;
            total.sum += amount;
            total.sum
        });
        self.rows.emit(number.key, amount, sum)
    }
}
