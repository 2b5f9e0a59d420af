//! Queries that put people, auctions and bids together.

use std::collections::BTreeSet;

use ::nexmark::event::{Auction, Bid, Event, Person};
use serde_json::{Value, json};

use super::{auctions, best_first, bids, grouped, people};

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
