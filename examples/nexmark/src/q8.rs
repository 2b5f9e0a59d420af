//! q8, monitor new users: who joined and opened an auction within the same 10 seconds?
//!
//! A join within a window: both inputs add to the same windows, and a window that saw both sides has a row.

use std::time::Duration;

use statehouse::prelude::*;

use crate::event::{Auction, Person};

const SIZE: Duration = Duration::from_secs(10);

/// One of the two sides.
pub enum Side {
    Joined { name: String },
    Sells,
}

/// Both sides of a window.
pub struct Both;

impl Aggregate for Both {
    type Input = Side;
    type Accumulator = (Option<String>, bool);
    type Output = Option<String>;

    fn add((name, sells): &mut Self::Accumulator, side: &Side) {
        match side {
            Side::Joined { name: joined } => *name = Some(joined.clone()),
            Side::Sells => *sells = true,
        }
    }

    fn merge((name, sells): &mut Self::Accumulator, (other, also): &Self::Accumulator) {
        *name = name.take().or_else(|| other.clone());
        *sells |= also;
    }

    /// The name of one who joined and sells.
    fn result((name, sells): &Self::Accumulator) -> Option<String> {
        name.clone().filter(|_| *sells)
    }
}

/// One who joined in the window and opened an auction in it.
#[derive(Serialize, Deserialize)]
pub struct NewSeller {
    id: u64,
    name: String,
    window_start: i64,
}

/// Keyed by person.
pub struct NewSellers {
    sides: Windowed<Both>,
    late: Counter,
    sellers: Output<Json<NewSeller>>,
}

impl Operator for NewSellers {
    const NAME: &str = "q8";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("people", Self::on_person);
        setup.keyed_input("auctions", Self::on_auction);
        NewSellers {
            sides: setup.windows("sides", Windows::tumbling(SIZE), Self::on_window),
            late: setup.counter("late_events"),
            sellers: setup.output("sellers"),
        }
    }
}

impl NewSellers {
    fn on_person(&mut self, person: Record<u64, Person>) -> Result<()> {
        self.add(Side::Joined { name: person.value.name })
    }

    fn on_auction(&mut self, _: Record<u64, Auction>) -> Result<()> {
        self.add(Side::Sells)
    }

    fn add(&self, side: Side) -> Result<()> {
        if !self.sides.add(&side) {
            self.late.add(1);
        }
        Ok(())
    }

    fn on_window(&mut self, window: Window<u64, Option<String>>) -> Result<()> {
        let Some(name) = window.result else { return Ok(()) };
        let row = NewSeller { id: window.key, name, window_start: window.start };
        self.sellers.emit(&Json(row))
    }
}
