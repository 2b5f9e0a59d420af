//! q18, find last bid: what did each user bid last in each auction?
//!
//! Deduplication: one value for each key, which only a newer bid replaces.

use statehouse::prelude::*;

use crate::event::Bid;

/// Keyed by bidder and auction. Of several rows for a pair the last one counts.
pub struct LastBids {
    last: ValueState<Bid>,
    bids: Output<Json<Bid>>,
}

impl Operator for LastBids {
    const NAME: &str = "q18";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("bids", Self::on_bid);
        LastBids { last: setup.value("last"), bids: setup.output("bids") }
    }
}

impl LastBids {
    fn on_bid(&mut self, bid: Record<(u64, u64), Bid>) -> Result<()> {
        let Record { value: bid, .. } = bid;
        // Of two bids in one millisecond the higher one was the last.
        let newer = |last: &Bid| (bid.date_time, bid.price) > (last.date_time, last.price);
        if self.last.with(|last| last.is_none_or(newer)) {
            let row = Json(bid);
            self.bids.emit(&row)?;
            self.last.set(row.0);
        }
        Ok(())
    }
}
