//! Versions that do not fit the state, or the job, that they would take over.

use statehouse::prelude::*;

use crate::v3::Total;
use crate::{Row, Rows, amount};

/// Refuses to convert some of the totals.
pub struct Picky {
    total: ValueState<Total>,
    rows: Rows,
}

impl Operator for Picky {
    const NAME: &str = "ledger";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("numbers", Self::on_number);
        let convert = |sum: u64| {
            if sum % 7 == 3 {
                bail!("a total of {sum} is not to its taste");
            }
            Ok(Total { sum, count: 0 })
        };
        Picky {
            total: setup.value("total").at_version(2).migrate_from(1, convert),
            rows: Rows::declare(setup, "picky"),
        }
    }
}

impl Picky {
    fn on_number(&mut self, number: Record<u64, i64>) -> Result<()> {
        let amount = amount(number.value);
        let sum = self.total.update(|total| {
            total.sum += amount;
            total.sum
        });
        self.rows.emit(number.key, amount, sum)
    }
}

/// Calls its state something else, and does not say what it was.
pub struct Unmapped {
    sum: ValueState<u64>,
    rows: Rows,
}

impl Operator for Unmapped {
    const NAME: &str = "ledger";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("numbers", Self::on_number);
        Unmapped { sum: setup.value("sum"), rows: Rows::declare(setup, "unmapped") }
    }
}

impl Unmapped {
    fn on_number(&mut self, number: Record<u64, i64>) -> Result<()> {
        let amount = amount(number.value);
        let sum = self.sum.get_or_default() + amount;
        self.sum.set(sum);
        self.rows.emit(number.key, amount, sum)
    }
}

/// Wants keys of another type.
pub struct Rekeyed {
    total: ValueState<u64>,
    rows: Rows,
}

impl Operator for Rekeyed {
    const NAME: &str = "ledger";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("numbers", Self::on_number);
        Rekeyed { total: setup.value("total"), rows: Rows::declare(setup, "rekeyed") }
    }
}

impl Rekeyed {
    fn on_number(&mut self, number: Record<String, i64>) -> Result<()> {
        let amount = amount(number.value);
        let total = self.total.get_or_default() + amount;
        self.total.set(total);
        self.rows.emit(number.key.parse()?, amount, total)
    }
}

/// Calls its output something else.
pub struct Rewired {
    total: ValueState<u64>,
    sums: KeyedOutput<u64, Json<Row>>,
}

impl Operator for Rewired {
    const NAME: &str = "ledger";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("numbers", Self::on_number);
        let _ = ["fault-at", "spins"].map(|name| setup.config(name).is_some());
        Rewired { total: setup.value("total"), sums: setup.keyed_output("sums") }
    }
}

impl Rewired {
    fn on_number(&mut self, number: Record<u64, i64>) -> Result<()> {
        let amount = amount(number.value);
        let total = self.total.get_or_default() + amount;
        self.total.set(total);
        self.sums.emit(&number.key, &Json(Row { by: "rewired".to_owned(), amount, total }))
    }
}
