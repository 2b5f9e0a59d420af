//! q7, highest bid: which bids had the highest price, every 10 seconds?
//!
//! A question about all bids has no key that would spread the work. So it is asked twice: each auction finds its own
//! highest bids, and windows of windows find the highest of those. The second operator has little left to do.

use std::time::Duration;

use statehouse::prelude::*;

use crate::event::Bid;

const SIZE: Duration = Duration::from_secs(10);

/// The bids with the highest price.
pub struct Highest;

impl Aggregate for Highest {
    type Input = Bid;
    type Accumulator = Vec<Bid>;
    type Output = Vec<Bid>;

    fn add(highest: &mut Vec<Bid>, bid: &Bid) {
        let price = highest.first().map_or(0, |highest| highest.price);
        if bid.price > price {
            highest.clear();
        }
        if bid.price >= price {
            highest.push(bid.clone());
        }
    }

    fn merge(highest: &mut Vec<Bid>, other: &Vec<Bid>) {
        for bid in other {
            Self::add(highest, bid);
        }
    }

    fn result(highest: &Vec<Bid>) -> Vec<Bid> {
        highest.clone()
    }
}

/// Keyed by auction.
pub struct HighestOfAuction {
    bids: Windowed<Highest>,
    late: Counter,
    highest: KeyedOutput<i64, Bid>,
}

impl Operator for HighestOfAuction {
    const NAME: &str = "q7-auctions";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("bids", Self::on_bid);
        HighestOfAuction {
            bids: setup.windows("bids", Windows::tumbling(SIZE), Self::on_window),
            late: setup.counter("late_bids"),
            highest: setup.keyed_output("highest"),
        }
    }
}

impl HighestOfAuction {
    fn on_bid(&mut self, bid: Record<u64, Bid>) -> Result<()> {
        if !self.bids.add(&bid.value) {
            self.late.add(1);
        }
        Ok(())
    }

    /// The window's last instant lies in the same window of the next operator.
    fn on_window(&mut self, window: Window<u64, Vec<Bid>>) -> Result<()> {
        for bid in window.result {
            self.highest.emit_at(window.end - 1, &window.end, &bid)?;
        }
        Ok(())
    }
}

/// A bid that no other one of its window was above.
#[derive(Serialize, Deserialize)]
pub struct HighestBid {
    window_end: i64,
    auction: u64,
    bidder: u64,
    price: u64,
    date_time: i64,
    extra: String,
}

/// Keyed by the window's end.
pub struct HighestBids {
    bids: Windowed<Highest>,
    late: Counter,
    highest: Output<Json<HighestBid>>,
}

impl Operator for HighestBids {
    const NAME: &str = "q7";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("bids", Self::on_bid);
        HighestBids {
            bids: setup.windows("bids", Windows::tumbling(SIZE), Self::on_window),
            late: setup.counter("late_bids"),
            highest: setup.output("highest"),
        }
    }
}

impl HighestBids {
    fn on_bid(&mut self, bid: Record<i64, Bid>) -> Result<()> {
        if !self.bids.add(&bid.value) {
            self.late.add(1);
        }
        Ok(())
    }

    fn on_window(&mut self, window: Window<i64, Vec<Bid>>) -> Result<()> {
        for bid in window.result {
            let Bid { auction, bidder, price, date_time, extra, .. } = bid;
            let window_end = window.end;
            let row = HighestBid { window_end, auction, bidder, price, date_time, extra };
            self.highest.emit(&Json(row))?;
        }
        Ok(())
    }
}
