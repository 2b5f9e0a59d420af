//! The answers of Nexmark's queries, each computed from all events at once in the plainest way.
//!
//! Independent of what they check: they know the events of the crate `nexmark` and nothing of operators, state or
//! windows. The unit tests of `examples/nexmark` include this file.

// The paths hold wherever this file is included.
#[path = "nexmark/joins.rs"]
pub mod joins;
#[path = "nexmark/rankings.rs"]
pub mod rankings;
#[path = "nexmark/windows.rs"]
pub mod windows;

use std::collections::BTreeMap;

use ::nexmark::EventGenerator;
use ::nexmark::config::NexmarkConfig;
use ::nexmark::event::{Auction, Bid, Event, Person};
use serde_json::Value;

use self::joins::{q3, q4, q8, q9, q20};
use self::rankings::{q17, q18, q19};
use self::windows::{q5, q7, q11};

/// What the source is told, and how many events it makes.
#[derive(Debug, Clone, Copy)]
pub struct House {
    /// How many events.
    pub events: u64,
    /// The first one's time.
    pub base_time: u64,
    /// Events per second.
    pub event_rate: u32,
    /// Events that come out of order among each other.
    pub out_of_order: u32,
}

impl House {
    /// The events, in the order in which they come.
    pub fn events(&self) -> Vec<Event> {
        let config = NexmarkConfig {
            base_time: self.base_time,
            first_rate: self.event_rate as usize,
            next_rate: self.event_rate as usize,
            out_of_order_group_size: self.out_of_order as usize,
            ..NexmarkConfig::default()
        };
        EventGenerator::new(config).take(self.events as usize).collect()
    }
}

/// A query whose answer follows from the events alone: all but q12.
#[derive(Debug, Clone, Copy)]
pub struct Query {
    /// `q3`, for example.
    pub name: &'static str,
    /// Its rows.
    pub answer: fn(&[Event]) -> Vec<Value>,
    /// By which fields rows are told apart if later ones replace earlier ones; none if every row stays.
    pub key: &'static [&'static str],
}

/// The queries with such an answer.
pub const QUERIES: [Query; 11] = [
    Query { name: "q3", answer: q3, key: &[] },
    Query { name: "q4", answer: q4, key: &["category"] },
    Query { name: "q5", answer: q5, key: &[] },
    Query { name: "q7", answer: q7, key: &[] },
    Query { name: "q8", answer: q8, key: &[] },
    Query { name: "q9", answer: q9, key: &[] },
    Query { name: "q11", answer: q11, key: &[] },
    Query { name: "q17", answer: q17, key: &["auction", "day"] },
    Query { name: "q18", answer: q18, key: &["bidder", "auction"] },
    Query { name: "q19", answer: q19, key: &["auction", "rank"] },
    Query { name: "q20", answer: q20, key: &[] },
];

impl Query {
    /// The query of that name.
    pub fn named(name: &str) -> Self {
        *QUERIES.iter().find(|query| query.name == name).expect("there is such a query")
    }

    /// Compares the rows that came, in their order, with the answer. Panics at the first difference.
    #[track_caller]
    pub fn check(&self, events: &[Event], rows: Vec<Value>) {
        let (found, expected) = (sorted(last_rows(rows, self.key)), sorted((self.answer)(events)));
        assert!(!expected.is_empty(), "{}: the events are too few for an answer", self.name);
        for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found, expected, "{}: row {place} by order", self.name);
        }
        assert_eq!(found.len(), expected.len(), "{}: rows", self.name);
    }
}

/// The last row of each key; all rows if there is no key.
pub fn last_rows(rows: Vec<Value>, key: &[&str]) -> Vec<Value> {
    if key.is_empty() {
        return rows;
    }
    let of_row = |row: &Value| key.iter().map(|field| row[field].to_string()).collect::<Vec<_>>();
    let last: BTreeMap<_, _> = rows.into_iter().map(|row| (of_row(&row), row)).collect();
    last.into_values().collect()
}

/// The rows in an order that does not depend on how they came.
pub fn sorted(mut rows: Vec<Value>) -> Vec<Value> {
    rows.sort_by_cached_key(Value::to_string);
    rows
}

fn people(events: &[Event]) -> impl Iterator<Item = &Person> {
    events.iter().filter_map(|event| match event {
        Event::Person(person) => Some(person),
        _ => None,
    })
}

fn auctions(events: &[Event]) -> impl Iterator<Item = &Auction> {
    events.iter().filter_map(|event| match event {
        Event::Auction(auction) => Some(auction),
        _ => None,
    })
}

fn bids(events: &[Event]) -> impl Iterator<Item = &Bid> {
    events.iter().filter_map(|event| match event {
        Event::Bid(bid) => Some(bid),
        _ => None,
    })
}

/// Groups in the order of their keys, each in the order of the events.
fn grouped<T, K: Ord>(rows: impl Iterator<Item = T>, key: impl Fn(&T) -> K) -> BTreeMap<K, Vec<T>> {
    let mut groups: BTreeMap<K, Vec<T>> = BTreeMap::new();
    for row in rows {
        groups.entry(key(&row)).or_default().push(row);
    }
    groups
}

/// The higher price first, then the earlier time, then the lower bidder.
fn best_first(bid: &&Bid) -> (std::cmp::Reverse<usize>, u64, usize) {
    (std::cmp::Reverse(bid.price), bid.date_time, bid.bidder)
}
