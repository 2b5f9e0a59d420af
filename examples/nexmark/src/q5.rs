//! q5, hot items: which auctions had the most bids in the last 10 seconds, every 2 seconds?
//!
//! Two operators. The first counts each auction's bids in sliding windows; the second, keyed by window, compares the
//! auctions' counts when the window is over.

use std::cmp::Ordering;
use std::time::Duration;

use statehouse::prelude::*;

use crate::event::Bid;

const SIZE: Duration = Duration::from_secs(10);
const SLIDE: Duration = Duration::from_secs(2);

/// How many there were.
pub struct Count;

impl Aggregate for Count {
    type Input = ();
    type Accumulator = u64;
    type Output = u64;

    fn add(count: &mut u64, _: &()) {
        *count += 1;
    }

    fn merge(count: &mut u64, other: &u64) {
        *count += other;
    }

    fn result(count: &u64) -> u64 {
        *count
    }
}

/// An auction's bids in one window.
#[derive(Clone, Serialize, Deserialize)]
pub struct BidCount {
    auction: u64,
    bids: u64,
}

/// Keyed by auction.
pub struct BidCounts {
    bids: Windowed<Count>,
    late: Counter,
    counts: KeyedOutput<i64, BidCount>,
}

impl Operator for BidCounts {
    const NAME: &str = "q5-counts";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("bids", Self::on_bid);
        BidCounts {
            bids: setup.windows("bids", Windows::sliding(SIZE, SLIDE), Self::on_window),
            late: setup.counter("late_bids"),
            counts: setup.keyed_output("counts"),
        }
    }
}

impl BidCounts {
    fn on_bid(&mut self, _: Record<u64, Bid>) -> Result<()> {
        if !self.bids.add(&()) {
            self.late.add(1);
        }
        Ok(())
    }

    /// Hands the count to the window, at the window's last instant: so it is there before the window is over.
    fn on_window(&mut self, window: Window<u64, u64>) -> Result<()> {
        let count = BidCount { auction: window.key, bids: window.result };
        self.counts.emit_at(window.end - 1, &window.end, &count)
    }
}

/// An auction that had as many bids as any in the window.
#[derive(Serialize, Deserialize)]
pub struct HotItem {
    window_start: i64,
    window_end: i64,
    auction: u64,
    bids: u64,
}

/// Keyed by the window's end.
pub struct HotItems {
    most: ValueState<u64>,
    /// The auctions with that many.
    auctions: ListState<u64>,
    over: Timer,
    items: Output<Json<HotItem>>,
}

impl Operator for HotItems {
    const NAME: &str = "q5";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("counts", Self::on_count);
        HotItems {
            most: setup.value("most"),
            auctions: setup.list("auctions"),
            over: setup.event_timer("over", Self::on_over),
            items: setup.output("items"),
        }
    }
}

impl HotItems {
    fn on_count(&mut self, count: Record<i64, BidCount>) -> Result<()> {
        let BidCount { auction, bids } = count.value;
        match bids.cmp(&self.most.get_or_default()) {
            Ordering::Less => {}
            Ordering::Equal => self.auctions.add(&auction),
            Ordering::Greater => {
                self.most.set(bids);
                self.auctions.replace([auction]);
            }
        }
        self.over.set(count.key);
        Ok(())
    }

    fn on_over(&mut self, window: Fired<i64>) -> Result<()> {
        let bids = self.most.take().unwrap_or_default();
        let (window_start, window_end) = (window.key - SIZE.as_millis() as i64, window.key);
        for auction in self.auctions.get() {
            self.items.emit(&Json(HotItem { window_start, window_end, auction, bids }))?;
        }
        self.auctions.clear();
        Ok(())
    }
}
