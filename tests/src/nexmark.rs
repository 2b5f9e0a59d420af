//! The answers of Nexmark's queries, each computed from all events at once in the plainest way.
//!
//! Independent of what they check: they know the events of the crate `nexmark` and nothing of operators, state or
//! windows. The unit tests of `examples/nexmark` include this file.

use std::collections::{BTreeMap, BTreeSet};

use ::nexmark::EventGenerator;
use ::nexmark::config::NexmarkConfig;
use ::nexmark::event::{Auction, Bid, Event, Person};
use serde_json::{Value, json};

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

/// Who sells in particular states.
///
/// ```sql
/// SELECT P.name, P.city, P.state, A.id
/// FROM auction A JOIN person P ON A.seller = P.id
/// WHERE A.category = 10 AND (P.state = 'or' OR P.state = 'id' OR P.state = 'ca')
/// ```
///
/// Over all events: each pair has one row, whichever came first.
pub fn q3(events: &[Event]) -> Vec<Value> {
    let people = grouped(people(events), |person| person.id);
    let mut rows = Vec::new();
    for auction in auctions(events).filter(|auction| auction.category == 10) {
        for person in people.get(&auction.seller).into_iter().flatten() {
            if ["or", "id", "ca"].contains(&&*person.state) {
                let Person { name, city, state, .. } = person;
                rows.push(
                    json!({"name": name, "city": city, "state": state, "auction": auction.id}),
                );
            }
        }
    }
    rows
}

/// Each auction with the bids that were in time, the best first; those without any are left out.
fn contested(events: &[Event]) -> Vec<(&Auction, Vec<&Bid>)> {
    let bids = grouped(bids(events), |bid| bid.auction);
    let mut contested = Vec::new();
    for auction in auctions(events) {
        let of_auction = bids.get(&auction.id).into_iter().flatten().copied();
        let mut in_time: Vec<_> = of_auction
            .filter(|bid| auction.date_time <= bid.date_time && bid.date_time <= auction.expires)
            .collect();
        in_time.sort_by_key(best_first);
        if !in_time.is_empty() {
            contested.push((auction, in_time));
        }
    }
    contested
}

/// Average price for a category.
///
/// ```sql
/// SELECT Q.category, AVG(Q.final)
/// FROM (SELECT MAX(B.price) AS final, A.category
///       FROM auction A, bid B
///       WHERE A.id = B.auction AND B.dateTime BETWEEN A.dateTime AND A.expires
///       GROUP BY A.id, A.category) Q
/// GROUP BY Q.category
/// ```
///
/// An auction counts once it has expired. The stream has a row for each auction that sells; the last one of a category
/// is the answer.
pub fn q4(events: &[Event]) -> Vec<Value> {
    let sold = contested(events).into_iter();
    let prices = sold.map(|(auction, bids)| {
        (auction.category, bids.iter().map(|bid| bid.price).max().expect("there is a bid"))
    });
    let rows = grouped(prices, |(category, _)| *category).into_iter().map(|(category, prices)| {
        let sum: usize = prices.iter().map(|(_, price)| price).sum();
        let average = sum as f64 / prices.len() as f64;
        json!({"category": category, "average": average, "auctions": prices.len()})
    });
    rows.collect()
}

/// Hot items.
///
/// ```sql
/// SELECT AuctionBids.auction, AuctionBids.num
/// FROM (SELECT auction, COUNT(*) AS num, window_start, window_end
///       FROM TABLE(HOP(TABLE bid, DESCRIPTOR(dateTime), INTERVAL '2' SECOND, INTERVAL '10' SECOND))
///       GROUP BY auction, window_start, window_end) AS AuctionBids
/// JOIN (SELECT MAX(CountBids.num) AS maxn, window_start, window_end
///       FROM (... the same counts ...) AS CountBids
///       GROUP BY window_start, window_end) AS MaxBids
/// ON AuctionBids.window_start = MaxBids.window_start AND AuctionBids.window_end = MaxBids.window_end
///    AND AuctionBids.num >= MaxBids.maxn
/// ```
///
/// A window that begins at a time has the bids from then on and before 10 s later; it has a row for each auction that
/// no other one had more bids than. The rows here say their window.
pub fn q5(events: &[Event]) -> Vec<Value> {
    let times = bids(events).map(|bid| bid.date_time);
    let ends: BTreeSet<u64> =
        times.flat_map(|time| (1..=5).map(move |slide| (time / 2_000 + slide) * 2_000)).collect();
    let mut rows = Vec::new();
    for end in ends {
        let inside =
            bids(events).filter(|bid| end - 10_000 <= bid.date_time && bid.date_time < end);
        let counts = grouped(inside, |bid| bid.auction);
        let most = counts.values().map(Vec::len).max();
        for (auction, bids) in counts.iter().filter(|(_, bids)| Some(bids.len()) == most) {
            rows.push(json!({
                "window_start": end - 10_000, "window_end": end, "auction": auction, "bids": bids.len(),
            }));
        }
    }
    rows
}

/// Highest bid.
///
/// ```sql
/// SELECT B.auction, B.price, B.bidder, B.dateTime, B.extra
/// FROM bid B
/// JOIN (SELECT MAX(price) AS maxprice, window_end AS dateTime
///       FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(dateTime), INTERVAL '10' SECOND))
///       GROUP BY window_start, window_end) B1
/// ON B.price = B1.maxprice
/// WHERE B.dateTime BETWEEN B1.dateTime - INTERVAL '10' SECOND AND B1.dateTime
/// ```
///
/// Taken at its word, a bid at the first instant of the next window belongs to both. Here a bid belongs to the one
/// window that it counts in. Several bids with the highest price all have a row.
pub fn q7(events: &[Event]) -> Vec<Value> {
    let mut rows = Vec::new();
    for (window, bids) in grouped(bids(events), |bid| bid.date_time / 10_000) {
        let highest = bids.iter().map(|bid| bid.price).max();
        for bid in bids.iter().filter(|bid| Some(bid.price) == highest) {
            rows.push(json!({
                "window_end": (window + 1) * 10_000, "auction": bid.auction, "bidder": bid.bidder, "price": bid.price,
                "date_time": bid.date_time, "extra": bid.extra,
            }));
        }
    }
    rows
}

/// Monitor new users.
///
/// ```sql
/// SELECT P.id, P.name, P.starttime
/// FROM (SELECT id, name, window_start AS starttime, window_end AS endtime
///       FROM TABLE(TUMBLE(TABLE person, DESCRIPTOR(dateTime), INTERVAL '10' SECOND))
///       GROUP BY id, name, window_start, window_end) P
/// JOIN (SELECT seller, window_start AS starttime, window_end AS endtime
///       FROM TABLE(TUMBLE(TABLE auction, DESCRIPTOR(dateTime), INTERVAL '10' SECOND))
///       GROUP BY seller, window_start, window_end) A
/// ON P.id = A.seller AND P.starttime = A.starttime AND P.endtime = A.endtime
/// ```
pub fn q8(events: &[Event]) -> Vec<Value> {
    let sold: BTreeSet<_> =
        auctions(events).map(|auction| (auction.seller, auction.date_time / 10_000)).collect();
    let new =
        people(events).filter(|person| sold.contains(&(person.id, person.date_time / 10_000)));
    let row = |person: &Person| {
        let start = person.date_time / 10_000 * 10_000;
        json!({"id": person.id, "name": person.name, "window_start": start})
    };
    new.map(row).collect()
}

/// Winning bids.
///
/// ```sql
/// SELECT id, itemName, description, initialBid, reserve, dateTime, expires, seller, category, extra,
///        bidder, price, bid_dateTime, bid_extra
/// FROM (SELECT A.*, B.bidder, B.price, B.dateTime AS bid_dateTime, B.extra AS bid_extra,
///              ROW_NUMBER() OVER (PARTITION BY A.id ORDER BY B.price DESC, B.dateTime ASC) AS rownum
///       FROM auction A, bid B
///       WHERE A.id = B.auction AND B.dateTime BETWEEN A.dateTime AND A.expires)
/// WHERE rownum <= 1
/// ```
///
/// One row for each auction that had a bid, once it has expired. Of bids with the same price and time the one of the
/// lower bidder wins, where the SQL leaves it open.
pub fn q9(events: &[Event]) -> Vec<Value> {
    let row = |(auction, bids): (&Auction, Vec<&Bid>)| {
        let mut row = serde_json::to_value(auction).expect("an auction can be written as JSON");
        let winner = bids[0];
        row["bidder"] = json!(winner.bidder);
        row["price"] = json!(winner.price);
        row["bid_date_time"] = json!(winner.date_time);
        row["bid_extra"] = json!(winner.extra);
        row
    };
    contested(events).into_iter().map(row).collect()
}

/// User sessions.
///
/// ```sql
/// SELECT bidder, COUNT(*) AS bid_count, SESSION_START(dateTime, INTERVAL '10' SECOND), SESSION_END(...)
/// FROM bid
/// GROUP BY bidder, SESSION(dateTime, INTERVAL '10' SECOND)
/// ```
///
/// Two bids that are exactly 10 s apart are in one session, as in Flink. A session ends 10 s after its last bid.
pub fn q11(events: &[Event]) -> Vec<Value> {
    let mut rows = Vec::new();
    for (bidder, bids) in grouped(bids(events), |bid| bid.bidder) {
        let mut times: Vec<u64> = bids.iter().map(|bid| bid.date_time).collect();
        times.sort_unstable();
        for session in times.chunk_by(|earlier, later| later - earlier <= 10_000) {
            rows.push(json!({
                "bidder": bidder, "bids": session.len(), "session_start": session[0],
                "session_end": session[session.len() - 1] + 10_000,
            }));
        }
    }
    rows
}

/// Processing time windows.
///
/// ```sql
/// SELECT bidder, COUNT(*) AS bid_count, window_start, window_end
/// FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(p_time), INTERVAL '10' SECOND))
/// GROUP BY bidder, window_start, window_end
/// ```
///
/// The answer follows from when each event was processed, which is given here with the event.
pub fn q12(events: &[(i64, Event)], window: i64) -> Vec<Value> {
    let bids = events.iter().filter_map(|(now, event)| match event {
        Event::Bid(bid) => Some((bid.bidder, now.div_euclid(window) * window)),
        _ => None,
    });
    let row = |((bidder, start), bids): (_, Vec<_>)| json!({"bidder": bidder, "bids": bids.len(), "window_start": start, "window_end": start + window});
    grouped(bids, |bid| *bid).into_iter().map(row).collect()
}

/// How many bids each bidder made: what the windows of q12 add up to, however they were cut.
pub fn bids_of_bidders(events: &[Event]) -> BTreeMap<u64, u64> {
    let counts = grouped(bids(events), |bid| bid.bidder).into_iter();
    counts.map(|(bidder, bids)| (bidder as u64, bids.len() as u64)).collect()
}

/// Auction statistics.
///
/// ```sql
/// SELECT auction, DATE_FORMAT(dateTime, 'yyyy-MM-dd') AS day, COUNT(*) AS total_bids,
///        COUNT(*) FILTER (WHERE price < 10000) AS rank1_bids,
///        COUNT(*) FILTER (WHERE price >= 10000 AND price < 1000000) AS rank2_bids,
///        COUNT(*) FILTER (WHERE price >= 1000000) AS rank3_bids,
///        MIN(price), MAX(price), AVG(price), SUM(price)
/// FROM bid
/// GROUP BY auction, DATE_FORMAT(dateTime, 'yyyy-MM-dd')
/// ```
///
/// Days are those of UTC. The stream has a row for each bid; the last one of an auction's day is the answer.
pub fn q17(events: &[Event]) -> Vec<Value> {
    let mut rows = Vec::new();
    for ((auction, day), bids) in
        grouped(bids(events), |bid| (bid.auction, bid.date_time / 86_400_000))
    {
        let prices: Vec<usize> = bids.iter().map(|bid| bid.price).collect();
        let rank = |range: std::ops::Range<usize>| {
            prices.iter().filter(|price| range.contains(*price)).count()
        };
        // The tests' events lie around the one midnight.
        let day = match day {
            16_630 => "2015-07-14",
            16_631 => "2015-07-15",
            _ => panic!("day {day} is not one of the tests'"),
        };
        let sum: usize = prices.iter().sum();
        rows.push(json!({
            "auction": auction, "day": day, "total_bids": prices.len(), "rank1_bids": rank(0..10_000),
            "rank2_bids": rank(10_000..1_000_000), "rank3_bids": rank(1_000_000..usize::MAX),
            "min_price": prices.iter().min(), "max_price": prices.iter().max(),
            "avg_price": sum as f64 / prices.len() as f64, "sum_price": sum,
        }));
    }
    rows
}

/// Find last bid.
///
/// ```sql
/// SELECT auction, bidder, price, channel, url, dateTime, extra
/// FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY bidder, auction ORDER BY dateTime DESC) AS rank_number FROM bid)
/// WHERE rank_number <= 1
/// ```
///
/// Of bids at one time the one with the higher price is the last, where the SQL leaves it open. The stream has a row
/// for each bid that was the last when it came; the last row of a pair is the answer.
pub fn q18(events: &[Event]) -> Vec<Value> {
    let pairs = grouped(bids(events), |bid| (bid.bidder, bid.auction));
    let last =
        pairs.values().filter_map(|bids| bids.iter().max_by_key(|bid| (bid.date_time, bid.price)));
    last.map(|bid| json!(bid)).collect()
}

/// Auction top 10.
///
/// ```sql
/// SELECT *
/// FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY auction ORDER BY price DESC) AS rank_number FROM bid)
/// WHERE rank_number <= 10
/// ```
///
/// Bids with the same price are ordered by time, then by bidder, where the SQL leaves it open. The stream has a row
/// for every place that changes; the last one of an auction's place is the answer.
pub fn q19(events: &[Event]) -> Vec<Value> {
    let mut rows = Vec::new();
    for mut bids in grouped(bids(events), |bid| bid.auction).into_values() {
        bids.sort_by_key(best_first);
        for (place, bid) in bids.iter().take(10).enumerate() {
            let mut row = json!(bid);
            row["rank"] = json!(place + 1);
            rows.push(row);
        }
    }
    rows
}

/// Expand bid with auction.
///
/// ```sql
/// SELECT B.auction, B.bidder, B.price, B.channel, B.url, B.dateTime, B.extra, A.itemName, A.description,
///        A.initialBid, A.reserve, A.dateTime, A.expires, A.seller, A.category, A.extra
/// FROM bid AS B INNER JOIN auction AS A ON B.auction = A.id
/// WHERE A.category = 10
/// ```
///
/// Over all events: a bid may come before its auction, or after it has expired.
pub fn q20(events: &[Event]) -> Vec<Value> {
    let bids = grouped(bids(events), |bid| bid.auction);
    let mut rows = Vec::new();
    for auction in auctions(events).filter(|auction| auction.category == 10) {
        for bid in bids.get(&auction.id).into_iter().flatten() {
            let mut row = json!(bid);
            for (name, value) in [
                ("item_name", json!(auction.item_name)),
                ("description", json!(auction.description)),
                ("initial_bid", json!(auction.initial_bid)),
                ("reserve", json!(auction.reserve)),
                ("auction_date_time", json!(auction.date_time)),
                ("expires", json!(auction.expires)),
                ("seller", json!(auction.seller)),
                ("category", json!(auction.category)),
                ("auction_extra", json!(auction.extra)),
            ] {
                row[name] = value;
            }
            rows.push(row);
        }
    }
    rows
}
