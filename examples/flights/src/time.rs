//! Days and instants in UTC, as far as the flights need them.

/// Milliseconds of a day.
pub const DAY: i64 = 24 * 60 * 60 * 1000;

/// Days from 1970-01-01 to a date of the Gregorian calendar; `None` if there is no such date.
pub fn day_number(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years begin in March here, so that the leap day is the last of its year.
    let march_year = if month <= 2 { year - 1 } else { year };
    let days_before_month = (153 * ((month + 9) % 12) + 2) / 5;
    let leap_days =
        march_year.div_euclid(4) - march_year.div_euclid(100) + march_year.div_euclid(400);
    let number = march_year * 365 + leap_days + days_before_month + day - 1 - 719_468;
    (date(number) == (year, month, day)).then_some(number)
}

/// The date of a day, as year, month, day.
fn date(day_number: i64) -> (i64, i64, i64) {
    let shifted = day_number + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let months_since_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * months_since_march + 2) / 5 + 1;
    let month = (months_since_march + 2) % 12 + 1;
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// A day as `2013-01-31`.
pub fn day_text(day_number: i64) -> String {
    let (year, month, day) = date(day_number);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Milliseconds since 1970-01-01T00:00:00Z of a full hour written as `2013-01-31T23:00:00Z`.
pub fn parse_hour(text: &str) -> Option<i64> {
    let (date, hour) = text.strip_suffix(":00:00Z")?.split_once('T')?;
    let mut parts = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let hour: i64 = hour.parse().ok().filter(|hour| (0..24).contains(hour))?;
    let number = day_number(year, month, day)?;
    let instant = number * DAY + hour * 60 * 60 * 1000;
    // Only the one way to write it is accepted.
    (text == format!("{}T{hour:02}:00:00Z", day_text(number))).then_some(instant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_each_other_s_inverse() {
        assert_eq!(day_number(1970, 1, 1), Some(0));
        assert_eq!(day_number(2013, 1, 1), Some(15_706));
        assert_eq!(day_text(15_706 + 58), "2013-02-28");
        for number in -800_000..800_000 {
            let (year, month, day) = date(number);
            assert_eq!(day_number(year, month, day), Some(number));
        }
        for (year, month, day) in [(2013, 2, 29), (1900, 2, 29), (2013, 13, 1), (2013, 4, 31)] {
            assert_eq!(day_number(year, month, day), None);
        }
        assert!(day_number(2000, 2, 29).is_some());
    }

    #[test]
    fn hours_are_read_in_one_notation_only() {
        assert_eq!(parse_hour("2013-01-01T10:00:00Z"), Some(1_357_034_400_000));
        let wrong =
            ["", "2013-1-1T10:00:00Z", "2013-01-01T24:00:00Z", "2013-01-01T10:30:00Z", "NA"];
        for text in wrong {
            assert_eq!(parse_hour(text), None, "{text}");
        }
    }
}
