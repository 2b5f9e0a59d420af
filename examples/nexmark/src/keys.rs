//! By what events are keyed. A record's key decides which task sees it, and which state.
//!
//! Each operator here takes all events and lets through those that some queries want.

use statehouse::prelude::*;

use crate::event::{Auction, Bid, Event, Person};

/// People, and the auctions that they sell in: for q3 and q8.
pub struct Sellers {
    people: KeyedOutput<u64, Person>,
    auctions: KeyedOutput<u64, Auction>,
}

impl Operator for Sellers {
    const NAME: &str = "sellers";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.input("events", Self::on_event);
        Sellers { people: setup.keyed_output("people"), auctions: setup.keyed_output("auctions") }
    }
}

impl Sellers {
    fn on_event(&mut self, event: Record<(), Event>) -> Result<()> {
        match event.value {
            Event::Person(person) => self.people.emit(&person.id, &person),
            Event::Auction(auction) => self.auctions.emit(&auction.seller, &auction),
            Event::Bid(_) => Ok(()),
        }
    }
}

/// Auctions, and the bids for them: for q4, q9 and q20.
pub struct Auctions {
    auctions: KeyedOutput<u64, Auction>,
    bids: KeyedOutput<u64, Bid>,
}

impl Operator for Auctions {
    const NAME: &str = "auctions";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.input("events", Self::on_event);
        Auctions { auctions: setup.keyed_output("auctions"), bids: setup.keyed_output("bids") }
    }
}

impl Auctions {
    fn on_event(&mut self, event: Record<(), Event>) -> Result<()> {
        match event.value {
            Event::Person(_) => Ok(()),
            Event::Auction(auction) => self.auctions.emit(&auction.id, &auction),
            Event::Bid(bid) => self.bids.emit(&bid.auction, &bid),
        }
    }
}

/// Bids by what they are for: for q5, q7, q17 and q19.
pub struct BidsByAuction {
    bids: KeyedOutput<u64, Bid>,
}

impl Operator for BidsByAuction {
    const NAME: &str = "bids-by-auction";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.input("events", Self::on_event);
        BidsByAuction { bids: setup.keyed_output("bids") }
    }
}

impl BidsByAuction {
    fn on_event(&mut self, event: Record<(), Event>) -> Result<()> {
        let Event::Bid(bid) = event.value else { return Ok(()) };
        self.bids.emit(&bid.auction, &bid)
    }
}

/// Bids by who made them: for q11 and q12.
pub struct BidsByBidder {
    bids: KeyedOutput<u64, Bid>,
}

impl Operator for BidsByBidder {
    const NAME: &str = "bids-by-bidder";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.input("events", Self::on_event);
        BidsByBidder { bids: setup.keyed_output("bids") }
    }
}

impl BidsByBidder {
    fn on_event(&mut self, event: Record<(), Event>) -> Result<()> {
        let Event::Bid(bid) = event.value else { return Ok(()) };
        self.bids.emit(&bid.bidder, &bid)
    }
}

/// Bids by bidder and auction together: for q18. A key can be anything that serde can write.
pub struct BidsByPair {
    bids: KeyedOutput<(u64, u64), Bid>,
}

impl Operator for BidsByPair {
    const NAME: &str = "bids-by-pair";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.input("events", Self::on_event);
        BidsByPair { bids: setup.keyed_output("bids") }
    }
}

impl BidsByPair {
    fn on_event(&mut self, event: Record<(), Event>) -> Result<()> {
        let Event::Bid(bid) = event.value else { return Ok(()) };
        self.bids.emit(&(bid.bidder, bid.auction), &bid)
    }
}
