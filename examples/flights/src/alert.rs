//! `alert`: days on which a destination's mean arrival delay doubled.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use statehouse::prelude::*;

use crate::stats::DayRow;

/// A day that was at least `factor` times as late as the days before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DelayAlert {
    pub dest: String,
    pub day: String,
    /// Of the day, in minutes.
    pub arrival_delay_mean: f64,
    /// Of the previous days together, in minutes.
    pub previous_mean: f64,
    /// Of the row that led to the alert.
    pub revision: u32,
}

/// What is kept of a day.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Past {
    revision: u32,
    arrived: u64,
    delay_sum: i64,
    alerted: bool,
}

pub struct Alert {
    /// How many days with arrivals a day is compared with.
    days: usize,
    factor: f64,
    /// Minutes that a day's mean must reach, however punctual the days before it were.
    minimum_delay: f64,
    history: ValueState<BTreeMap<String, Past>>,
    alerts: Output<Json<DelayAlert>>,
}

impl Operator for Alert {
    const NAME: &str = "alert";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("days", Self::on_day);
        Alert {
            days: setup.config_or("days", 7),
            factor: setup.config_or("factor", 2.0),
            minimum_delay: setup.config_or("minimum_delay", 15.0),
            history: setup.value("history"),
            alerts: setup.output("alerts"),
        }
    }
}

impl Alert {
    fn on_day(&mut self, record: Record<String, Json<DayRow>>) -> Result<()> {
        let Json(row) = record.value;
        if row.arrived == 0 {
            return Ok(());
        }
        let alert = self.history.update(|history| {
            let past = history.entry(row.day.clone()).or_default();
            if row.revision <= past.revision {
                return None;
            }
            past.revision = row.revision;
            past.arrived = row.arrived;
            past.delay_sum = row.arrival_delay_sum;
            let alerted = past.alerted;
            let alert = self.compare(history, row).filter(|_| !alerted);
            if let Some(alert) = &alert
                && let Some(past) = history.get_mut(&alert.day)
            {
                past.alerted = true;
            }
            // As many days again stay for corrections that are still to come.
            while history.len() > 2 * self.days + 1 {
                history.pop_first();
            }
            alert
        });
        match alert {
            Some(alert) => self.alerts.emit(&Json(alert)),
            None => Ok(()),
        }
    }

    /// The alert that a day deserves, by what is known of the days before it.
    fn compare(&self, history: &BTreeMap<String, Past>, row: DayRow) -> Option<DelayAlert> {
        let previous = || history.range(..row.day.clone()).rev().take(self.days);
        if previous().count() < self.days {
            return None;
        }
        let arrived: u64 = previous().map(|(_, past)| past.arrived).sum();
        let delay_sum: i64 = previous().map(|(_, past)| past.delay_sum).sum();
        let previous_mean = delay_sum as f64 / arrived as f64;
        let mean = row.arrival_delay_mean?;
        let late = mean >= self.minimum_delay && mean >= self.factor * previous_mean;
        late.then_some(DelayAlert {
            dest: row.dest,
            day: row.day,
            arrival_delay_mean: mean,
            previous_mean,
            revision: row.revision,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(day: u32, revision: u32, arrived: u64, sum: i64) -> Json<DayRow> {
        Json(DayRow {
            dest: "IAH".into(),
            day: format!("2013-01-{day:02}"),
            revision,
            flights: arrived,
            cancelled: 0,
            arrived,
            arrival_delay_sum: sum,
            arrival_delay_mean: (arrived > 0).then(|| sum as f64 / arrived as f64),
            arrival_delay_p95: None,
        })
    }

    fn after_a_week(arrived: u64, sum: i64) -> TestHarness<Alert> {
        let mut alert = TestHarness::<Alert>::new();
        for day in 1..=7 {
            alert.send("days", "IAH", row(day, 1, arrived, sum), 0);
        }
        alert
    }

    fn days(alert: &mut TestHarness<Alert>) -> Vec<String> {
        let alerts = alert.take_values::<Json<DelayAlert>>("alerts");
        alerts.into_iter().map(|Json(alert)| alert.day).collect()
    }

    #[test]
    fn twice_the_delay_of_seven_days_is_an_alert_and_less_is_not() {
        let mut alert = after_a_week(10, 100);
        alert.send("days", "IAH", row(8, 1, 10, 199), 0);
        assert!(days(&mut alert).is_empty());
        let mut alert = after_a_week(10, 100);
        alert.send("days", "IAH", row(8, 1, 10, 200), 0);
        let Json(first) = alert.take_values::<Json<DelayAlert>>("alerts").remove(0);
        assert_eq!((first.arrival_delay_mean, first.previous_mean), (20.0, 10.0));
    }

    #[test]
    fn a_small_delay_is_no_alert_and_six_days_are_too_few() {
        let mut alert = after_a_week(10, -50);
        alert.send("days", "IAH", row(8, 1, 10, 149), 0);
        assert!(days(&mut alert).is_empty());
        alert.send("days", "IAH", row(9, 1, 10, 150), 0);
        assert_eq!(days(&mut alert), ["2013-01-09"]);

        let mut alert = TestHarness::<Alert>::new();
        for day in 1..=6 {
            alert.send("days", "IAH", row(day, 1, 10, 10), 0);
        }
        alert.send("days", "IAH", row(7, 1, 10, 1000), 0);
        assert!(days(&mut alert).is_empty());
    }

    #[test]
    fn days_without_arrivals_do_not_count_among_the_seven() {
        let mut alert = TestHarness::<Alert>::new();
        for day in 1..=14 {
            let arrived = if day % 2 == 0 { 10 } else { 0 };
            alert.send("days", "IAH", row(day, 1, arrived, 10 * arrived as i64), 0);
        }
        alert.send("days", "IAH", row(15, 1, 10, 200), 0);
        assert_eq!(days(&mut alert), ["2013-01-15"]);
    }

    #[test]
    fn a_correction_changes_the_history_and_alerts_at_most_once() {
        let mut alert = after_a_week(10, 100);
        alert.send("days", "IAH", row(8, 1, 10, 190), 0);
        assert!(days(&mut alert).is_empty());
        alert.send("days", "IAH", row(8, 2, 10, 210), 0);
        assert_eq!(days(&mut alert), ["2013-01-08"]);
        alert.send("days", "IAH", row(8, 3, 10, 220), 0);
        assert!(days(&mut alert).is_empty());
        // Day 8 counts with its correction: (6 * 100 + 220) / 70 is 11.7.
        alert.send("days", "IAH", row(9, 1, 10, 234), 0);
        assert!(days(&mut alert).is_empty());
        alert.send("days", "IAH", row(9, 2, 10, 235), 0);
        assert_eq!(days(&mut alert), ["2013-01-09"]);
    }
}
