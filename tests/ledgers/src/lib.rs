//! The operator `ledger` in five versions, and in versions that misbehave: what tests swap one for another.
//!
//! Every version has the input `numbers` (u64 → i64, as the generator makes them) and the output `totals`
//! (u64 → JSON). A number becomes an amount from 1 to 256, is added to its key's total, and a row goes out for it:
//! `{"by": "v1", "amount": 5, "total": 17}`. A key's totals only ever grow, so the rows alone tell whether all is well:
//! in the order of their totals, each total is the one before it and the amount, and the first one is its amount. A
//! record that was lost leaves a gap, and one that counted twice has two rows or too large a step.
//!
//! | component | state | what it does |
//! |---|---|---|
//! | `ledger-v1` | `total`: u64 | |
//! | `ledger-v2` | the same | other code, the same state |
//! | `ledger-v3` | `total` at version 2: a struct | converts the values of version 1 |
//! | `ledger-v4` | the struct with an optional field more, a map `days`, a timer `review` | compatible with v3 |
//! | `ledger-v5` | `balance` at version 3, which was `total`; no map; the timer is called `audit` | converts 1 and 2 |
//! | `ledger-trapping` | as v2 | traps on records of a key whose total has reached the setting `fault-at` (default 0) |
//! | `ledger-slow` | as v2 | spins `spins` times (default 100,000) for each record |
//! | `ledger-quiet` | as v2 | gives no row for every second record of a key |
//! | `ledger-looping` | as v2 | never returns from `open` |
//! | `ledger-hungry` | as v2 | takes 256 MiB in `open` |
//! | `ledger-picky` | as v3 | refuses to convert totals that 7 divides with a remainder of 3 |
//! | `ledger-unmapped` | `sum`: u64 | has another name for its state, and does not say what it was |
//! | `ledger-rekeyed` | as v2 | keyed by text |
//! | `ledger-rewired` | as v2 | its output is called `sums` |
//!
//! All take the settings `fault-at` and `spins`, so that the same job file goes with every one.

pub mod odd;
pub mod v1;
pub mod v2;
pub mod v3;
pub mod v4;
pub mod v5;

use statehouse::prelude::*;

/// What goes out for a record.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The version of the code that made it.
    pub by: String,
    /// What the record added.
    pub amount: u64,
    /// The key's total with it.
    pub total: u64,
}

/// Where the rows go.
pub struct Rows {
    by: &'static str,
    totals: KeyedOutput<u64, Json<Row>>,
}

impl Rows {
    /// The output that every version has, and the settings that they share.
    pub fn declare<O>(setup: &mut Setup<O>, by: &'static str) -> Self {
        // A setting that nobody asks for would refuse the job.
        let _ = ["fault-at", "spins"].map(|name| setup.config(name).is_some());
        Self { by, totals: setup.keyed_output("totals") }
    }

    /// Sends a row.
    pub fn emit(&self, key: u64, amount: u64, total: u64) -> Result<()> {
        self.totals.emit(&key, &Json(Row { by: self.by.to_owned(), amount, total }))
    }
}

/// What a number adds.
pub fn amount(number: i64) -> u64 {
    (number as u64 & 0xff) + 1
}
