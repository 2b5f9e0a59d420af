//! Every query without Wasm, against the answer that a plain computation gives.

#[expect(dead_code, reason = "the integration test needs the rest")]
#[path = "../../../tests/src/nexmark.rs"]
mod oracle;

use serde::de::DeserializeOwned;
use serde_json::Value;
use statehouse::Batch;
use statehouse::prelude::*;

use crate::event::{Auction, Bid, Event, Person};
use crate::{keys, q3, q4, q5, q7, q8, q9, q11, q12, q17, q18, q19, q20};
use oracle::{House, Query, sorted};

/// A minute of events around midnight, somewhat out of order.
const HOUSE: House =
    House { events: 6000, base_time: 1_436_918_370_000, event_rate: 100, out_of_order: 25 };

/// Longer than a group of events that is out of order.
const LAG: i64 = 500;

/// The generator's event as the source hands it out.
fn ours(event: &nexmark::event::Event) -> Event {
    let value = serde_json::to_value(event).unwrap();
    serde_json::from_value(value).unwrap()
}

fn time(event: &Event) -> i64 {
    match event {
        Event::Person(person) => person.date_time,
        Event::Auction(auction) => auction.date_time,
        Event::Bid(bid) => bid.date_time,
    }
}

/// Adds an event to a port's batch, if that is where it goes.
type Route<O> = for<'h> fn(Batch<'h, O>, &Event) -> Batch<'h, O>;

fn people<'h, O: Operator>(batch: Batch<'h, O>, event: &Event) -> Batch<'h, O> {
    let Event::Person(person) = event else { return batch };
    batch.push(person.id, person.clone(), person.date_time)
}

fn auctions<'h, O: Operator>(batch: Batch<'h, O>, event: &Event) -> Batch<'h, O> {
    let Event::Auction(auction) = event else { return batch };
    batch.push(auction.id, auction.clone(), auction.date_time)
}

fn auctions_by_seller<'h, O: Operator>(batch: Batch<'h, O>, event: &Event) -> Batch<'h, O> {
    let Event::Auction(auction) = event else { return batch };
    batch.push(auction.seller, auction.clone(), auction.date_time)
}

fn bids<'h, O: Operator>(batch: Batch<'h, O>, event: &Event) -> Batch<'h, O> {
    let Event::Bid(bid) = event else { return batch };
    batch.push(bid.auction, bid.clone(), bid.date_time)
}

fn bids_by_bidder<'h, O: Operator>(batch: Batch<'h, O>, event: &Event) -> Batch<'h, O> {
    let Event::Bid(bid) = event else { return batch };
    batch.push(bid.bidder, bid.clone(), bid.date_time)
}

fn bids_by_pair<'h, O: Operator>(batch: Batch<'h, O>, event: &Event) -> Batch<'h, O> {
    let Event::Bid(bid) = event else { return batch };
    batch.push((bid.bidder, bid.auction), bid.clone(), bid.date_time)
}

/// Hands an operator all events, a batch for each port at a time, and the watermarks between them.
fn played<O: Operator>(ports: &[(&str, Route<O>)]) -> TestHarness<O> {
    let mut harness = TestHarness::<O>::new();
    let events: Vec<Event> = HOUSE.events().iter().map(ours).collect();
    let mut newest = i64::MIN;
    for events in events.chunks(100) {
        for (port, route) in ports {
            events.iter().fold(harness.batch(port), route).send();
        }
        newest = events.iter().map(time).fold(newest, i64::max);
        harness.advance_watermark(newest - LAG);
    }
    harness.advance_watermark(i64::MAX);
    harness
}

/// Takes the rows of an output.
fn rows<R: Serialize + DeserializeOwned + 'static, O: Operator>(
    harness: &mut TestHarness<O>,
    output: &str,
) -> Vec<Value> {
    let values = harness.take_values::<Json<R>>(output);
    values.iter().map(|Json(row)| serde_json::to_value(row).unwrap()).collect()
}

#[track_caller]
fn check<R: Serialize + DeserializeOwned + 'static, O: Operator>(
    query: &str,
    mut harness: TestHarness<O>,
    output: &str,
) {
    Query::named(query).check(&HOUSE.events(), rows::<R, O>(&mut harness, output));
}

#[test]
fn q3_finds_local_items_whichever_side_comes_first() {
    let early = [("auctions", auctions_by_seller as Route<_>), ("people", people)];
    check::<q3::LocalItem, q3::LocalItems>("q3", played(&early), "items");
    let late = [("people", people as Route<_>), ("auctions", auctions_by_seller)];
    check::<q3::LocalItem, q3::LocalItems>("q3", played(&late), "items");
}

#[test]
fn q4_averages_what_auctions_sold_for() {
    let mut winning = played::<q9::WinningBids>(&[("auctions", auctions), ("bids", bids)]);
    let mut averages = TestHarness::<q4::CategoryPrices>::new();
    for winner in winning.take_records::<u64, Json<q9::WinningBid>>("winners") {
        averages.send("winners", winner.key, winner.value, winner.time);
    }
    check::<q4::CategoryPrice, _>("q4", averages, "averages");
}

#[test]
fn q5_finds_the_auctions_with_the_most_bids_of_each_window() {
    let mut counts = played::<q5::BidCounts>(&[("bids", bids)]);
    assert_eq!(counts.metric("late_bids"), 0.0);
    let mut hot = TestHarness::<q5::HotItems>::new();
    for count in counts.take_records::<i64, q5::BidCount>("counts") {
        hot.send("counts", count.key, count.value, count.time);
    }
    hot.advance_watermark(i64::MAX);
    check::<q5::HotItem, _>("q5", hot, "items");
}

#[test]
fn q7_finds_the_highest_bids_of_each_window() {
    let mut auctions = played::<q7::HighestOfAuction>(&[("bids", bids)]);
    assert_eq!(auctions.metric("late_bids"), 0.0);
    let mut highest = TestHarness::<q7::HighestBids>::new();
    for bid in auctions.take_records::<i64, Bid>("highest") {
        highest.send("bids", bid.key, bid.value, bid.time);
    }
    highest.advance_watermark(i64::MAX);
    assert_eq!(highest.metric("late_bids"), 0.0);
    check::<q7::HighestBid, _>("q7", highest, "highest");
}

#[test]
fn q8_finds_who_joined_and_sold_in_one_window() {
    let ports = [("people", people as Route<_>), ("auctions", auctions_by_seller)];
    check::<q8::NewSeller, q8::NewSellers>("q8", played(&ports), "sellers");
}

#[test]
fn q9_finds_the_winning_bids_of_auctions_that_come_before_or_after_their_bids() {
    let early = [("bids", bids as Route<_>), ("auctions", auctions)];
    check::<q9::WinningBid, q9::WinningBids>("q9", played(&early), "winners");
    let late = [("auctions", auctions as Route<_>), ("bids", bids)];
    check::<q9::WinningBid, q9::WinningBids>("q9", played(&late), "winners");
}

#[test]
fn q11_counts_the_bids_of_each_session() {
    let sessions = played::<q11::UserSessions>(&[("bids", bids_by_bidder)]);
    assert_eq!(sessions.metric("late_bids"), 0.0);
    check::<q11::UserSession, _>("q11", sessions, "sessions");
}

#[test]
fn q12_counts_the_bids_of_each_window_of_the_clock() {
    let mut harness = TestHarness::<q12::UserWindows>::new().config("window", "3s");
    let mut arrivals = Vec::new();
    for (place, event) in HOUSE.events().into_iter().enumerate() {
        let now = place as i64 * 7;
        harness.advance_processing_time(now);
        bids_by_bidder(harness.batch("bids"), &ours(&event)).send();
        arrivals.push((now, event));
    }
    harness.advance_processing_time(i64::MAX / 2);
    let found = rows::<q12::UserWindow, _>(&mut harness, "windows");
    assert_eq!(sorted(found), sorted(oracle::windows::q12(&arrivals, 3000)));
}

#[test]
fn q17_keeps_statistics_of_each_day() {
    let statistics = played::<q17::AuctionStatistics>(&[("bids", bids)]);
    check::<q17::AuctionDay, _>("q17", statistics, "statistics");
}

#[test]
fn q18_keeps_the_last_bid_of_each_pair() {
    let last = played::<q18::LastBids>(&[("bids", bids_by_pair)]);
    check::<Bid, _>("q18", last, "bids");
}

#[test]
fn q19_keeps_the_ten_highest_bids() {
    check::<q19::RankedBid, q19::TopBids>("q19", played(&[("bids", bids)]), "bids");
}

#[test]
fn q20_joins_bids_with_auctions_that_come_before_or_after_them() {
    let early = [("bids", bids as Route<_>), ("auctions", auctions)];
    check::<q20::ExpandedBid, q20::ExpandedBids>("q20", played(&early), "bids");
    let late = [("auctions", auctions as Route<_>), ("bids", bids)];
    check::<q20::ExpandedBid, q20::ExpandedBids>("q20", played(&late), "bids");
}

/// How many of the events an operator of `keys` lets out, by output.
fn passed<O: Operator>(
    outputs: &[&str],
    take: fn(&mut TestHarness<O>, &str) -> usize,
) -> Vec<usize> {
    let mut harness = TestHarness::<O>::new();
    for event in HOUSE.events() {
        let event = ours(&event);
        let at = time(&event);
        harness.send("events", (), event, at);
    }
    outputs.iter().map(|output| take(&mut harness, output)).collect()
}

#[test]
fn events_go_where_their_keys_say() {
    let bids = HOUSE.events as usize * 46 / 50;
    let (people, auctions) = (HOUSE.events as usize / 50, HOUSE.events as usize * 3 / 50);
    let sellers =
        passed::<keys::Sellers>(&["people", "auctions"], |harness, output| match output {
            "people" => harness.take_records::<u64, Person>(output).len(),
            _ => harness.take_records::<u64, Auction>(output).len(),
        });
    assert_eq!(sellers, [people, auctions]);
    let both = passed::<keys::Auctions>(&["auctions", "bids"], |harness, output| match output {
        "auctions" => harness.take_records::<u64, Auction>(output).len(),
        _ => harness.take_records::<u64, Bid>(output).len(),
    });
    assert_eq!(both, [auctions, bids]);
    let pairs = passed::<keys::BidsByPair>(&["bids"], |harness, output| {
        let records = harness.take_records::<(u64, u64), Bid>(output);
        let keyed =
            |bid: &&Record<(u64, u64), Bid>| bid.key == (bid.value.bidder, bid.value.auction);
        records.iter().filter(keyed).count()
    });
    assert_eq!(pairs, [bids]);
    let by_auction = passed::<keys::BidsByAuction>(&["bids"], |harness, output| {
        let records = harness.take_records::<u64, Bid>(output);
        records.iter().filter(|bid| bid.key == bid.value.auction).count()
    });
    assert_eq!(by_auction, [bids]);
    let by_bidder = passed::<keys::BidsByBidder>(&["bids"], |harness, output| {
        let records = harness.take_records::<u64, Bid>(output);
        records.iter().filter(|bid| bid.key == bid.value.bidder).count()
    });
    assert_eq!(by_bidder, [bids]);
}
