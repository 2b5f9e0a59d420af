//! Queries about bids by time.

use std::collections::{BTreeMap, BTreeSet};

use ::nexmark::event::Event;
use serde_json::{Value, json};

use super::{bids, grouped};

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
    let row = |((bidder, start), bids): (_, Vec<_>)| {
        let (bids, end) = (bids.len(), start + window);
        json!({"bidder": bidder, "bids": bids, "window_start": start, "window_end": end})
    };
    grouped(bids, |bid| *bid).into_iter().map(row).collect()
}

/// How many bids each bidder made: what the windows of q12 add up to, however they were cut.
pub fn bids_of_bidders(events: &[Event]) -> BTreeMap<u64, u64> {
    let counts = grouped(bids(events), |bid| bid.bidder).into_iter();
    counts.map(|(bidder, bids)| (bidder as u64, bids.len() as u64)).collect()
}
