//! q17, auction statistics: how many bids does an auction get each day, in which range, and at what prices?
//!
//! A map state holds one entry for each day. A bid reads and writes its own day's entry, however many days there are.

use statehouse::prelude::*;

use crate::event::Bid;

const DAY: i64 = 24 * 60 * 60 * 1000;

/// An auction's day so far. Of several rows for a day the one with the most bids counts.
#[derive(Serialize, Deserialize)]
pub struct AuctionDay {
    auction: u64,
    /// In UTC.
    day: String,
    total_bids: u64,
    /// Below 100.00.
    rank1_bids: u64,
    /// Below 10000.00.
    rank2_bids: u64,
    /// All others.
    rank3_bids: u64,
    min_price: u64,
    max_price: u64,
    avg_price: f64,
    sum_price: u64,
}

/// What is kept of a day.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Statistics {
    ranks: [u64; 3],
    lowest: u64,
    highest: u64,
    sum: u64,
}

impl Statistics {
    fn bids(&self) -> u64 {
        self.ranks.iter().sum()
    }

    fn add(&mut self, price: u64) {
        self.lowest = if self.bids() == 0 { price } else { self.lowest.min(price) };
        self.highest = self.highest.max(price);
        self.sum += price;
        let rank = match price {
            0..10_000 => 0,
            10_000..1_000_000 => 1,
            _ => 2,
        };
        self.ranks[rank] += 1;
    }
}

/// Keyed by auction.
pub struct AuctionStatistics {
    /// By number of the day since 1970-01-01.
    days: MapState<i64, Statistics>,
    statistics: Output<Json<AuctionDay>>,
}

impl Operator for AuctionStatistics {
    const NAME: &str = "q17";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("bids", Self::on_bid);
        AuctionStatistics { days: setup.map("days"), statistics: setup.output("statistics") }
    }
}

impl AuctionStatistics {
    fn on_bid(&mut self, bid: Record<u64, Bid>) -> Result<()> {
        let day = bid.time.div_euclid(DAY);
        let statistics = self.days.update(&day, |statistics| {
            statistics.add(bid.value.price);
            statistics.clone()
        });
        let total_bids = statistics.bids();
        let [rank1_bids, rank2_bids, rank3_bids] = statistics.ranks;
        self.statistics.emit(&Json(AuctionDay {
            auction: bid.key,
            day: day_text(day),
            total_bids,
            rank1_bids,
            rank2_bids,
            rank3_bids,
            min_price: statistics.lowest,
            max_price: statistics.highest,
            avg_price: statistics.sum as f64 / total_bids as f64,
            sum_price: statistics.sum,
        }))
    }
}

/// `2015-07-15` for day 16631, by the Gregorian calendar: eras of 400 years, years from March on.
fn day_text(day: i64) -> String {
    let day = day + 719_468;
    let (era, day_of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day_of_month:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_written_by_the_calendar() {
        let check = |day, text: &str| assert_eq!(day_text(day), text);
        check(0, "1970-01-01");
        check(-1, "1969-12-31");
        check(11_016, "2000-02-29");
        check(16_631, "2015-07-15");
        check(47_540, "2100-02-28");
        check(47_541, "2100-03-01");
    }
}
