//! Version 4: an optional field more, which is compatible, and a map and a timer that are new.

use statehouse::prelude::*;

use crate::{Rows, amount};

/// Event time between two reviews.
const REVIEW_MS: i64 = 1000;

/// What is kept of a key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    /// All amounts.
    pub sum: u64,
    /// Records since it is a struct.
    pub count: u64,
    /// When the newest record was, since version 4.
    pub last: Option<i64>,
}

/// Keeps totals, and those of the time since the last review.
pub struct Ledger {
    total: ValueState<Total>,
    days: MapState<i64, u64>,
    review: Timer,
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
                .migrate_from(1, |sum: u64| Ok(Total { sum, count: 0, last: None })),
            days: setup.map("days"),
            review: setup.event_timer("review", Self::on_review),
            rows: Rows::declare(setup, "v4"),
        }
    }
}

impl Ledger {
    fn on_number(&mut self, number: Record<u64, i64>) -> Result<()> {
        let amount = amount(number.value);
        let sum = self.total.update(|total| {
            total.count += 1;
            total.last = total.last.max(Some(number.time));
            total.sum += amount;
            total.sum
        });
        let day = number.time.div_euclid(REVIEW_MS);
        self.days.insert(&day, self.days.get(&day).unwrap_or(0) + amount);
        self.review.set((day + 1) * REVIEW_MS);
        self.rows.emit(number.key, amount, sum)
    }

    /// Forgets the day that is over.
    fn on_review(&mut self, fired: Fired<u64>) -> Result<()> {
        self.days.remove(&(fired.time.div_euclid(REVIEW_MS) - 1));
        Ok(())
    }
}
