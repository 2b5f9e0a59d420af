//! q20, expand bid with auction: bids with what they are for, in one category.
//!
//! A join like q3, but the side that is looked up never leaves: what is not wanted is remembered as such, so that bids
//! for it do not wait for ever.

use statehouse::prelude::*;

use crate::event::{Auction, Bid};

const CATEGORY: u64 = 10;

/// A bid and its auction.
#[derive(Serialize, Deserialize)]
pub struct ExpandedBid {
    #[serde(flatten)]
    bid: Bid,
    item_name: String,
    description: String,
    initial_bid: u64,
    reserve: u64,
    auction_date_time: i64,
    expires: i64,
    seller: u64,
    category: u64,
    auction_extra: String,
}

/// An auction that has come.
#[derive(Clone, Serialize, Deserialize)]
enum Known {
    Wanted(Auction),
    OtherCategory,
}

/// Keyed by auction.
pub struct ExpandedBids {
    auction: ValueState<Known>,
    /// Bids whose auction has not come yet.
    waiting: ListState<Bid>,
    bids: Output<Json<ExpandedBid>>,
}

impl Operator for ExpandedBids {
    const NAME: &str = "q20";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("auctions", Self::on_auction);
        setup.keyed_input("bids", Self::on_bid);
        ExpandedBids {
            auction: setup.value("auction"),
            waiting: setup.list("waiting"),
            bids: setup.output("bids"),
        }
    }
}

impl ExpandedBids {
    fn on_auction(&mut self, auction: Record<u64, Auction>) -> Result<()> {
        let known = match auction.value {
            auction if auction.category == CATEGORY => Known::Wanted(auction),
            _ => Known::OtherCategory,
        };
        for bid in self.waiting.get() {
            self.expand(&known, bid)?;
        }
        self.waiting.clear();
        self.auction.set(known);
        Ok(())
    }

    fn on_bid(&mut self, bid: Record<u64, Bid>) -> Result<()> {
        self.auction.with(|known| match known {
            Some(known) => self.expand(known, bid.value),
            None => {
                self.waiting.add(&bid.value);
                Ok(())
            }
        })
    }

    fn expand(&self, known: &Known, bid: Bid) -> Result<()> {
        let Known::Wanted(auction) = known else { return Ok(()) };
        let auction = auction.clone();
        self.bids.emit(&Json(ExpandedBid {
            bid,
            item_name: auction.item_name,
            description: auction.description,
            initial_bid: auction.initial_bid,
            reserve: auction.reserve,
            auction_date_time: auction.date_time,
            expires: auction.expires,
            seller: auction.seller,
            category: auction.category,
            auction_extra: auction.extra,
        }))
    }
}
