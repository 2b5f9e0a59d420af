//! Version 5: the total is called `balance` and counts hundredths, at schema version 3; the map is gone.

use statehouse::prelude::*;

use crate::v4::Total;
use crate::{Rows, amount};

/// Event time between two audits.
const AUDIT_MS: i64 = 1000;

/// What is kept of a key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// All amounts, in hundredths.
    pub hundredths: u64,
    /// Records since it is a struct.
    pub count: u64,
    /// When the newest record was, since version 4.
    pub last: Option<i64>,
    /// How many audits there were.
    pub audits: u64,
}

/// Keeps totals.
pub struct Ledger {
    balance: ValueState<Balance>,
    audit: Timer,
    rows: Rows,
}

impl Operator for Ledger {
    const NAME: &str = "ledger";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("numbers", Self::on_number);
        let of_total = |Total { sum, count, last }: Total| {
            Ok(Balance { hundredths: sum * 100, count, last, audits: 0 })
        };
        Ledger {
            balance: setup
                .value("balance")
                .at_version(3)
                .formerly("total")
                .migrate_from(1, |sum: u64| {
                    Ok(Balance { hundredths: sum * 100, ..Balance::default() })
                })
                .migrate_from(2, of_total),
            audit: setup.event_timer("audit", Self::on_audit).formerly("review"),
            rows: Rows::declare(setup, "v5"),
        }
    }
}

impl Ledger {
    fn on_number(&mut self, number: Record<u64, i64>) -> Result<()> {
        let amount = amount(number.value);
        let hundredths = self.balance.update(|balance| {
            balance.count += 1;
            balance.last = balance.last.max(Some(number.time));
            balance.hundredths += amount * 100;
            balance.hundredths
        });
        self.audit.set((number.time.div_euclid(AUDIT_MS) + 1) * AUDIT_MS);
        self.rows.emit(number.key, amount, hundredths / 100)
    }

    fn on_audit(&mut self, _: Fired<u64>) -> Result<()> {
        self.balance.update(|balance| balance.audits += 1);
        Ok(())
    }
}
