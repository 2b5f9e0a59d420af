//! The events of the auction house, as the source `nexmark` makes them.
//!
//! The source's bytes name the variant and have the fields in this order.

use statehouse::prelude::*;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    Person(Person),
    Auction(Auction),
    Bid(Bid),
}

/// Somebody joined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Person {
    pub id: u64,
    pub name: String,
    pub email_address: String,
    pub credit_card: String,
    pub city: String,
    /// Two small letters.
    pub state: String,
    /// This and all other times are milliseconds since 1970-01-01T00:00:00Z.
    pub date_time: i64,
    pub extra: String,
}

/// An auction began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Auction {
    pub id: u64,
    pub item_name: String,
    pub description: String,
    /// This and all other prices are cents.
    pub initial_bid: u64,
    pub reserve: u64,
    pub date_time: i64,
    /// The last instant at which a bid counts.
    pub expires: i64,
    pub seller: u64,
    pub category: u64,
    pub extra: String,
}

/// Somebody bid.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Bid {
    pub auction: u64,
    pub bidder: u64,
    pub price: u64,
    pub channel: String,
    pub url: String,
    pub date_time: i64,
    pub extra: String,
}

impl Bid {
    /// Whether it goes before another bid for the same thing: a higher price, then an earlier time, then whose number
    /// is lower, so that there is always one answer.
    pub fn beats(&self, other: &Self) -> bool {
        (other.price, self.date_time, self.bidder) < (self.price, other.date_time, other.bidder)
    }
}
