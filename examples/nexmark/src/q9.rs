//! q9, winning bids: who won each auction, and for how much?
//!
//! A join with an end: an auction waits for bids until it expires by the watermark, which is what its timer is for.
//! A bid may also come before its auction, since the two travel apart.

use std::time::Duration;

use statehouse::prelude::*;

use crate::event::{Auction, Bid};

/// An auction that was won, and the bid that won it.
#[derive(Serialize, Deserialize)]
pub struct WinningBid {
    #[serde(flatten)]
    pub auction: Auction,
    pub bidder: u64,
    pub price: u64,
    pub bid_date_time: i64,
    pub bid_extra: String,
}

/// Keyed by auction. Its output is keyed by category, for q4.
pub struct WinningBids {
    auction: ValueState<Auction>,
    best: ValueState<Bid>,
    /// Bids whose auction has not come yet.
    early: ListState<Bid>,
    closed: Timer,
    winners: KeyedOutput<u64, Json<WinningBid>>,
}

impl Operator for WinningBids {
    const NAME: &str = "q9";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("auctions", Self::on_auction);
        setup.keyed_input("bids", Self::on_bid);
        // A bid counts if its auction began before it. Once the watermark is past the bid, such an auction cannot come
        // any more, so a bid that still waits then is for an auction that begins too late, is closed, or never comes.
        let past = Ttl::after(Duration::from_secs(1)).event_time();
        WinningBids {
            auction: setup.value("auction"),
            best: setup.value("best"),
            early: setup.expiring(past).list("early"),
            closed: setup.event_timer("closed", Self::on_closed),
            winners: setup.keyed_output("winners"),
        }
    }
}

impl WinningBids {
    fn on_auction(&mut self, auction: Record<u64, Auction>) -> Result<()> {
        let auction = auction.value;
        for bid in self.early.get() {
            self.offer(&auction, bid);
        }
        self.early.clear();
        // A bid at the very last instant counts, so the auction is over one later.
        self.closed.set(auction.expires + 1);
        self.auction.set(auction);
        Ok(())
    }

    fn on_bid(&mut self, bid: Record<u64, Bid>) -> Result<()> {
        self.auction.with(|auction| match auction {
            Some(auction) => self.offer(auction, bid.value),
            None => self.early.add(&bid.value),
        });
        Ok(())
    }

    /// Takes a bid if it is in time and the best so far.
    fn offer(&self, auction: &Auction, bid: Bid) {
        let in_time = (auction.date_time..=auction.expires).contains(&bid.date_time);
        if in_time && self.best.with(|best| best.is_none_or(|best| bid.beats(best))) {
            self.best.set(bid);
        }
    }

    fn on_closed(&mut self, _: Fired<u64>) -> Result<()> {
        let (Some(auction), Some(bid)) = (self.auction.take(), self.best.take()) else {
            return Ok(());
        };
        let Bid { bidder, price, date_time: bid_date_time, extra: bid_extra, .. } = bid;
        let category = auction.category;
        let row = WinningBid { auction, bidder, price, bid_date_time, bid_extra };
        self.winners.emit(&category, &Json(row))
    }
}
