//! `parse`: from rows of text to flights, keyed by destination, at their scheduled departure in
//! UTC.

use serde::{Deserialize, Serialize};
use statehouse::prelude::*;

use crate::time::{day_number, parse_hour};

/// A row of the file: its columns, by the names in its header.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    pub year: String,
    pub month: String,
    pub day: String,
    pub dep_time: String,
    pub sched_dep_time: String,
    pub dep_delay: String,
    pub arr_time: String,
    pub sched_arr_time: String,
    pub arr_delay: String,
    pub carrier: String,
    pub flight: String,
    pub tailnum: String,
    pub origin: String,
    pub dest: String,
    pub air_time: String,
    pub distance: String,
    pub hour: String,
    pub minute: String,
    pub time_hour: String,
}

/// What the other operators want to know of a flight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flight {
    pub carrier: String,
    pub number: i64,
    pub origin: String,
    /// Whether it never left.
    pub cancelled: bool,
    /// Minutes, negative if early; `None` if it did not arrive, or it is not known when.
    pub arrival_delay: Option<i64>,
}

pub struct Parse {
    flights: KeyedOutput<String, Flight>,
}

impl Operator for Parse {
    const NAME: &str = "parse";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.input("rows", Self::on_row);
        Parse { flights: setup.keyed_output("flights") }
    }
}

impl Parse {
    fn on_row(&mut self, row: Record<(), Json<Row>>) -> Result<()> {
        let Json(row) = row.value;
        let (time, flight) = check(&row)?;
        self.flights.emit_at(time, &row.dest, &flight)
    }
}

/// Checks every field of a row. Returns the scheduled departure and the flight.
fn check(row: &Row) -> Result<(i64, Flight)> {
    let (year, month, day) = (
        number("year", &row.year, 1900, 2100)?,
        number("month", &row.month, 1, 12)?,
        number("day", &row.day, 1, 31)?,
    );
    if day_number(year, month, day).is_none() {
        bail!("day: there is no {year}-{month:02}-{day:02}");
    }
    let departed = or_na(&row.dep_time, |text| clock("dep_time", text))?;
    let scheduled = clock("sched_dep_time", &row.sched_dep_time)?;
    let departure_delay = or_na(&row.dep_delay, |text| minutes_late("dep_delay", text))?;
    if departed.is_some() != departure_delay.is_some() {
        bail!("dep_delay: `{}` does not go with dep_time `{}`", row.dep_delay, row.dep_time);
    }
    let arrived = or_na(&row.arr_time, |text| clock("arr_time", text))?;
    clock("sched_arr_time", &row.sched_arr_time)?;
    let arrival_delay = or_na(&row.arr_delay, |text| minutes_late("arr_delay", text))?;
    if arrival_delay.is_some() && (arrived.is_none() || departed.is_none()) {
        bail!("arr_delay: `{}` of a flight that did not arrive", row.arr_delay);
    }
    let carrier = letters("carrier", &row.carrier, 2..=2)?;
    let flight = number("flight", &row.flight, 1, 9999)?;
    or_na(&row.tailnum, |text| letters("tailnum", text, 3..=6).map(drop))?;
    let origin = letters("origin", &row.origin, 3..=3)?;
    letters("dest", &row.dest, 3..=3)?;
    or_na(&row.air_time, |text| number("air_time", text, 1, 24 * 60))?;
    number("distance", &row.distance, 1, 25_000)?;
    let hour = number("hour", &row.hour, 0, 23)?;
    let minute = number("minute", &row.minute, 0, 59)?;
    if hour * 100 + minute != scheduled {
        bail!("minute: {hour}:{minute:02} is not sched_dep_time `{}`", row.sched_dep_time);
    }
    let Some(time_hour) = parse_hour(&row.time_hour) else {
        bail!("time_hour: `{}` is not a full hour like 2013-01-31T23:00:00Z", row.time_hour);
    };
    let flight = Flight {
        carrier: carrier.to_owned(),
        number: flight,
        origin: origin.to_owned(),
        cancelled: departed.is_none(),
        arrival_delay,
    };
    Ok((time_hour + minute * 60_000, flight))
}

/// `None` for `NA`, the file's word for what is not there.
fn or_na<T>(text: &str, read: impl Fn(&str) -> Result<T>) -> Result<Option<T>> {
    if text == "NA" { Ok(None) } else { read(text).map(Some) }
}

fn number(field: &str, text: &str, min: i64, max: i64) -> Result<i64> {
    match text.parse() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => bail!("{field}: `{text}` is not a whole number from {min} to {max}"),
    }
}

/// A time of day as the file writes it: 517 is 5:17. Midnight is 2400.
fn clock(field: &str, text: &str) -> Result<i64> {
    match text.parse() {
        Ok(time) if (0..=2400).contains(&time) && time % 100 < 60 => Ok(time),
        _ => bail!("{field}: `{text}` is not a time of day like 517 or 2359"),
    }
}

/// Minutes, up to a week.
fn minutes_late(field: &str, text: &str) -> Result<i64> {
    number(field, text, -7 * 24 * 60, 7 * 24 * 60)
}

fn letters<'a>(
    field: &str,
    text: &'a str,
    length: std::ops::RangeInclusive<usize>,
) -> Result<&'a str> {
    let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    if length.contains(&text.len()) && text.chars().all(fits) {
        return Ok(text);
    }
    let (min, max) = (length.start(), length.end());
    let many = if min == max { min.to_string() } else { format!("{min} to {max}") };
    bail!("{field}: `{text}` is not {many} capital letters and digits");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let [year, month, day, dep_time, sched_dep_time, dep_delay, arr_time, sched_arr_time, rest] =
            ["2013", "1", "1", "517", "515", "2", "830", "819", "11"].map(str::to_owned);
        let [carrier, flight, tailnum, origin, dest, air_time, distance, hour, minute, time_hour] =
            ["UA", "1545", "N14228", "EWR", "IAH", "227", "1400", "5", "15", "2013-01-01T10:00:00Z"]
                .map(str::to_owned);
        Row {
            year,
            month,
            day,
            dep_time,
            sched_dep_time,
            dep_delay,
            arr_time,
            sched_arr_time,
            arr_delay: rest,
            carrier,
            flight,
            tailnum,
            origin,
            dest,
            air_time,
            distance,
            hour,
            minute,
            time_hour,
        }
    }

    #[test]
    fn a_good_row_becomes_a_flight_at_its_scheduled_departure() {
        let mut parse = TestHarness::<Parse>::new();
        parse.send("rows", (), Json(row()), 0);
        let flights = parse.take_records::<String, Flight>("flights");
        assert_eq!(flights[0].key, "IAH");
        assert_eq!(flights[0].time, 1_357_034_400_000 + 15 * 60_000);
        assert_eq!(flights[0].value.arrival_delay, Some(11));
        assert!(!flights[0].value.cancelled);
    }

    #[test]
    fn a_cancelled_flight_has_neither_departure_nor_arrival() {
        let na = || "NA".to_owned();
        let row = Row {
            dep_time: na(),
            dep_delay: na(),
            arr_time: na(),
            arr_delay: na(),
            air_time: na(),
            tailnum: na(),
            ..row()
        };
        let (_, flight) = check(&row).unwrap();
        assert!(flight.cancelled && flight.arrival_delay.is_none());
    }

    #[test]
    fn a_bad_row_is_refused_with_the_field_s_name_and_the_others_pass() {
        let mut parse = TestHarness::<Parse>::new();
        let wrong = |change: fn(&mut Row)| {
            let mut row = row();
            change(&mut row);
            Json(row)
        };
        let batch = parse.batch("rows").push((), Json(row()), 0);
        let batch = batch.push((), wrong(|row| row.arr_delay = "eleven".into()), 0);
        let batch = batch.push((), wrong(|row| row.dest = "Iah".into()), 0);
        let batch = batch.push((), wrong(|row| row.day = "32".into()), 0);
        let batch = batch.push((), wrong(|row| row.dep_delay = "NA".into()), 0);
        let batch = batch.push((), wrong(|row| row.minute = "16".into()), 0);
        let batch = batch.push((), wrong(|row| row.time_hour = "2013-02-30T10:00:00Z".into()), 0);
        batch.push((), Json(row()), 0).send();
        assert_eq!(parse.take_values::<Flight>("flights").len(), 2);
        let rejects = parse.take_rejects();
        let fields: Vec<_> =
            rejects.iter().map(|reject| reject.reason.split(':').next().unwrap()).collect();
        assert_eq!(fields, ["arr_delay", "dest", "day", "dep_delay", "minute", "time_hour"]);
        assert_eq!(
            rejects[0].reason,
            "arr_delay: `eleven` is not a whole number from -10080 to 10080"
        );
    }

    #[test]
    fn a_row_without_one_of_the_columns_is_refused_with_its_name() {
        #[derive(Serialize)]
        struct Short {
            year: u32,
        }
        let mut parse = TestHarness::<Parse>::new();
        parse.send("rows", (), Json(Short { year: 2013 }), 0);
        assert!(parse.take_rejects()[0].reason.contains("expected a string"));
    }
}
