//! `stats`: each destination's day, as soon as the watermark has passed it, and again when it is
//! corrected.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use statehouse::prelude::*;

use crate::parse::Flight;
use crate::time::{DAY, day_text};

/// One destination's day. Of several rows for the same day the one with the highest revision
/// counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DayRow {
    pub dest: String,
    /// UTC, of the scheduled departure.
    pub day: String,
    /// 1, and one more with every correction.
    pub revision: u32,
    pub flights: u64,
    pub cancelled: u64,
    /// Flights with a known arrival delay: those that the next three are computed from.
    pub arrived: u64,
    /// Minutes.
    pub arrival_delay_sum: i64,
    pub arrival_delay_mean: Option<f64>,
    /// 95th percentile by nearest rank: the smallest delay that at least 95 % of the flights do
    /// not exceed.
    pub arrival_delay_p95: Option<i64>,
}

/// A flight that came too late to be counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LateFlight {
    pub dest: String,
    pub day: String,
    pub carrier: String,
    pub flight: i64,
}

/// What is kept of a day until no correction can come any more.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Day {
    flights: u64,
    cancelled: u64,
    /// In order of arrival here.
    delays: Vec<i64>,
    revision: u32,
    /// Whether a flight came since the last row was emitted.
    changed: bool,
}

pub struct Stats {
    allowed_lateness: i64,
    /// By number of the day, those that are not closed for good.
    days: ValueState<BTreeMap<i64, Day>>,
    end_of_day: Timer,
    end_of_lateness: Timer,
    rows: KeyedOutput<String, Json<DayRow>>,
    late: Output<Json<LateFlight>>,
    late_flights: Counter,
    context: Context,
}

impl Operator for Stats {
    const NAME: &str = "stats";

    fn new(setup: &mut Setup<Self>) -> Self {
        let allowed_lateness = setup.config_duration("allowed_lateness", Duration::from_hours(24));
        setup.keyed_input("flights", Self::on_flight);
        Stats {
            allowed_lateness: allowed_lateness.as_millis() as i64,
            days: setup.value("days"),
            end_of_day: setup.event_timer("end-of-day", Self::on_end_of_day),
            end_of_lateness: setup.event_timer("end-of-lateness", Self::on_end_of_lateness),
            rows: setup.keyed_output("days"),
            late: setup.output("late"),
            late_flights: setup.counter("late_flights"),
            context: setup.context(),
        }
    }
}

impl Stats {
    fn on_flight(&mut self, record: Record<String, Flight>) -> Result<()> {
        let number = record.time.div_euclid(DAY);
        let end = (number + 1) * DAY;
        let last_call = end.saturating_add(self.allowed_lateness);
        let flight = record.value;
        if self.context.watermark() >= last_call {
            self.late_flights.add(1);
            return self.late.emit(&Json(LateFlight {
                dest: record.key,
                day: day_text(number),
                carrier: flight.carrier,
                flight: flight.number,
            }));
        }
        self.days.update(|days| {
            let day = days.entry(number).or_default();
            day.flights += 1;
            day.cancelled += u64::from(flight.cancelled);
            day.delays.extend(flight.arrival_delay);
            day.changed = true;
        });
        // For a day that is over, this one is due at once: that is how a late flight leads to a
        // corrected row, one for all late flights that come together.
        self.end_of_day.set(end);
        self.end_of_lateness.set(last_call);
        Ok(())
    }

    fn on_end_of_day(&mut self, fired: Fired<String>) -> Result<()> {
        let number = fired.time / DAY - 1;
        match self.days.update(|days| days.get_mut(&number)?.next_row(&fired.key, number)) {
            Some(row) => self.rows.emit_at(last_instant(number), &fired.key, &Json(row)),
            None => Ok(()),
        }
    }

    fn on_end_of_lateness(&mut self, fired: Fired<String>) -> Result<()> {
        let number = (fired.time - self.allowed_lateness) / DAY - 1;
        let mut days = self.days.take().unwrap_or_default();
        let closed = days.remove(&number);
        if !days.is_empty() {
            self.days.set(days);
        }
        match closed.and_then(|mut day| day.next_row(&fired.key, number)) {
            Some(row) => self.rows.emit_at(last_instant(number), &fired.key, &Json(row)),
            None => Ok(()),
        }
    }
}

/// The event time of a day's row: the last millisecond of the day.
fn last_instant(number: i64) -> i64 {
    (number + 1) * DAY - 1
}

impl Day {
    /// The day's row, if it changed since the last one.
    fn next_row(&mut self, dest: &str, number: i64) -> Option<DayRow> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        self.revision += 1;
        self.delays.sort_unstable();
        let arrived = self.delays.len();
        let sum: i64 = self.delays.iter().sum();
        // The rank is counted from 1.
        let rank = (arrived * 95).div_ceil(100);
        Some(DayRow {
            dest: dest.to_owned(),
            day: day_text(number),
            revision: self.revision,
            flights: self.flights,
            cancelled: self.cancelled,
            arrived: arrived as u64,
            arrival_delay_sum: sum,
            arrival_delay_mean: (arrived > 0).then(|| sum as f64 / arrived as f64),
            arrival_delay_p95: rank.checked_sub(1).map(|place| self.delays[place]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight(arrival_delay: Option<i64>) -> Flight {
        let (carrier, origin) = ("UA".to_owned(), "EWR".to_owned());
        Flight { carrier, number: 1, origin, cancelled: arrival_delay.is_none(), arrival_delay }
    }

    fn rows(stats: &mut TestHarness<Stats>) -> Vec<DayRow> {
        stats.take_values::<Json<DayRow>>("days").into_iter().map(|Json(row)| row).collect()
    }

    #[test]
    fn a_day_is_summed_up_when_the_watermark_passes_its_end() {
        let mut stats = TestHarness::<Stats>::new();
        for delay in 1..=40 {
            stats.send("flights", "IAH", flight(Some(delay)), delay * 1000);
        }
        stats.send("flights", "IAH", flight(None), DAY - 1);
        stats.send("flights", "IAH", flight(Some(500)), DAY);
        stats.advance_watermark(DAY - 1);
        assert_eq!(rows(&mut stats), []);
        stats.advance_watermark(DAY);
        let expected = DayRow {
            dest: "IAH".into(),
            day: "1970-01-01".into(),
            revision: 1,
            flights: 41,
            cancelled: 1,
            arrived: 40,
            arrival_delay_sum: 820,
            arrival_delay_mean: Some(20.5),
            arrival_delay_p95: Some(38),
        };
        assert_eq!(rows(&mut stats), [expected]);
    }

    #[test]
    fn a_day_without_arrivals_has_no_mean() {
        let mut stats = TestHarness::<Stats>::new();
        stats.send("flights", "IAH", flight(None), 0);
        stats.advance_watermark(DAY);
        let row = &rows(&mut stats)[0];
        assert_eq!((row.flights, row.cancelled, row.arrived), (1, 1, 0));
        assert_eq!((row.arrival_delay_mean, row.arrival_delay_p95), (None, None));
    }

    #[test]
    fn late_flights_correct_the_row_until_the_allowed_lateness_is_over() {
        let mut stats = TestHarness::<Stats>::new().config("allowed_lateness", "1h");
        let hour = DAY / 24;
        stats.send("flights", "IAH", flight(Some(10)), 0);
        stats.advance_watermark(DAY + 1000);
        assert_eq!(rows(&mut stats)[0].revision, 1);
        let late = stats.batch("flights").push("IAH", flight(Some(20)), 5);
        late.push("IAH", flight(Some(30)), 6).send();
        stats.advance_watermark(DAY + 1000);
        let corrected = rows(&mut stats);
        assert_eq!(corrected.len(), 1, "two late flights of one batch lead to one row");
        assert_eq!((corrected[0].revision, corrected[0].flights), (2, 3));

        stats.advance_watermark(DAY + hour);
        assert_eq!(rows(&mut stats), []);
        assert_eq!(stats.state::<BTreeMap<i64, Day>>("days", "IAH").map(drop), None);
        assert!(stats.timers("end-of-day", "IAH").is_empty());
        stats.send("flights", "IAH", flight(Some(40)), 7);
        let late = stats.take_values::<Json<LateFlight>>("late");
        assert_eq!((late[0].0.dest.as_str(), late[0].0.day.as_str()), ("IAH", "1970-01-01"));
        assert_eq!(stats.metric("late_flights"), 1.0);
        assert_eq!(stats.state::<BTreeMap<i64, Day>>("days", "IAH").map(drop), None);
    }

    #[test]
    fn without_allowed_lateness_a_day_is_still_summed_up_once() {
        let mut stats = TestHarness::<Stats>::new().config("allowed_lateness", "0s");
        stats.send("flights", "IAH", flight(Some(10)), 0);
        stats.advance_watermark(3 * DAY);
        assert_eq!(rows(&mut stats).len(), 1);
        assert_eq!(stats.state::<BTreeMap<i64, Day>>("days", "IAH").map(drop), None);
    }
}
