//! Event times as they are written in text.

use serde::{Deserialize, Serialize};

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeFormat {
    /// `2013-01-01T10:00:00Z`, with any offset, fraction, and a space for the `T` if need be.
    Rfc3339,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    Ms,
    /// Seconds since 1970-01-01T00:00:00Z, with a fraction or not.
    S,
}

impl TimeFormat {
    /// Milliseconds since 1970-01-01T00:00:00Z; what is finer is cut off.
    pub(crate) fn parse(self, text: &str) -> Result<i64, String> {
        let (time, what) = match self {
            Self::Rfc3339 => (rfc3339(text.as_bytes()), "an RFC 3339 time"),
            Self::Ms => (text.parse().ok(), "a number of milliseconds"),
            Self::S => (seconds(text), "a number of seconds"),
        };
        time.ok_or_else(|| format!("`{text}` is not {what}"))
    }
}

fn seconds(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    let milliseconds = fraction_milliseconds(fraction.as_bytes())?;
    let signed = if whole.starts_with('-') { -milliseconds } else { milliseconds };
    seconds.checked_mul(1000)?.checked_add(signed)
}

fn fraction_milliseconds(digits: &[u8]) -> Option<i64> {
    let mut milliseconds = 0;
    for place in 0..digits.len().max(3) {
        let digit = digits.get(place).unwrap_or(&b'0');
        if !digit.is_ascii_digit() {
            return None;
        }
        if place < 3 {
            milliseconds = milliseconds * 10 + i64::from(digit - b'0');
        }
    }
    Some(milliseconds)
}

fn rfc3339(text: &[u8]) -> Option<i64> {
    let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    let sound = text.len() >= 20
        && marks.iter().all(|&(place, mark)| text[place] == mark)
        && matches!(text[10], b'T' | b't' | b' ');
    if !sound {
        return None;
    }
    let (year, month, day) = (number(&text[0..4])?, number(&text[5..7])?, number(&text[8..10])?);
    let (hour, minute) = (number(&text[11..13])?, number(&text[14..16])?);
    // A leap second is the first of the next minute.
    let second = number(&text[17..19])?;
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut rest = &text[19..];
    let mut milliseconds = 0;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        milliseconds = fraction_milliseconds(&fraction[..digits])?;
        rest = &fraction[digits..];
    }
    let minutes = days_since_1970(year, month, day) * 1440 + hour * 60 + minute - offset(rest)?;
    Some((minutes * 60 + second) * 1000 + milliseconds)
}

/// Minutes east of Greenwich.
fn offset(text: &[u8]) -> Option<i64> {
    match text {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), hour @ .., b':', m1, m2] if hour.len() == 2 => {
            let (hours, minutes) = (number(hour)?, number(&[*m1, *m2])?);
            let east = hours * 60 + minutes;
            (hours <= 23 && minutes <= 59).then_some(if *sign == b'-' { -east } else { east })
        }
        _ => None,
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0'))
    })
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the proleptic Gregorian calendar, counted in years that begin in March so that the leap day is the last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::TimeFormat::{self, Ms, Rfc3339, S};

    fn check(format: TimeFormat, text: &str, expected: Option<i64>) {
        assert_eq!(format.parse(text).ok(), expected, "{text}");
    }

    #[test]
    fn times_are_read_to_the_millisecond() {
        check(Rfc3339, "1970-01-01T00:00:00Z", Some(0));
        check(Rfc3339, "2013-01-01T10:00:00Z", Some(1_357_034_400_000));
        check(Rfc3339, "2013-01-01 05:00:00.5-05:00", Some(1_357_034_400_500));
        check(Rfc3339, "2024-02-29t23:59:59.123456z", Some(1_709_251_199_123));
        check(Rfc3339, "1969-12-31T23:59:59.999Z", Some(-1));
        check(Rfc3339, "2016-12-31T23:59:60Z", Some(1_483_228_800_000));
        check(Ms, "-5", Some(-5));
        check(S, "1357034400", Some(1_357_034_400_000));
        check(S, "-0.25", Some(-250));
        check(S, "1.5", Some(1500));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "NA",
            "2013-01-01",
            "2013-01-01T10:00:00",
            "2013-13-01T10:00:00Z",
            "2013-02-29T10:00:00Z",
            "2013-01-01T24:00:00Z",
            "2013-01-01T10:00:00.Z",
            "2013-01-01T10:00:00+1:00",
            "2013-01-01T10:00:00Zx",
            "２013-01-01T10:00:00Z",
        ] {
            check(Rfc3339, text, None);
        }
        check(Ms, "1.5", None);
        check(S, "1.x", None);
        check(S, "9223372036854775807", None);
    }
}
