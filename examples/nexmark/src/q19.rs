//! q19, auction top 10: which are the ten highest bids of each auction?
//!
//! A list state holds the ten, best first. Most bids are not among them and only read it.

use statehouse::prelude::*;

use crate::event::Bid;

const PLACES: usize = 10;

/// A bid and its place. Of several rows for an auction's place the last one counts.
#[derive(Serialize, Deserialize)]
pub struct RankedBid {
    rank: usize,
    #[serde(flatten)]
    bid: Bid,
}

/// Keyed by auction.
pub struct TopBids {
    top: ListState<Bid>,
    bids: Output<Json<RankedBid>>,
}

impl Operator for TopBids {
    const NAME: &str = "q19";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("bids", Self::on_bid);
        TopBids { top: setup.list("top"), bids: setup.output("bids") }
    }
}

impl TopBids {
    fn on_bid(&mut self, bid: Record<u64, Bid>) -> Result<()> {
        let mut top = self.top.get();
        let place = top.partition_point(|other| other.beats(&bid.value));
        if place == PLACES {
            return Ok(());
        }
        top.insert(place, bid.value);
        top.truncate(PLACES);
        for (place, bid) in top.iter().enumerate().skip(place) {
            self.bids.emit(&Json(RankedBid { rank: place + 1, bid: bid.clone() }))?;
        }
        self.top.replace(top);
        Ok(())
    }
}
