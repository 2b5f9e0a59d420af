//! Numbers, sizes, times and tables as people read them.

use std::time::Duration;

/// A number with a comma every three digits.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things: `1 record`, `2,000 records`. For nouns that take an `s`.
pub fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", count(number))
}

/// Bytes in the largest unit that leaves at least one.
pub fn bytes(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < units.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", units[unit])
}

/// A rate, per second.
pub fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate >= 1e9 => format!("{:.1} G/s", rate / 1e9),
        rate if rate >= 1e6 => format!("{:.1} M/s", rate / 1e6),
        rate if rate >= 1e4 => format!("{:.0} k/s", rate / 1e3),
        rate => format!("{rate:.0}/s"),
    }
}

/// A duration with the precision that fits its length.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// The last second that RFC 3339 can write, in milliseconds since 1970.
const TIME_MS_MAX: u64 = 253_402_300_799_000;

/// A time in milliseconds since 1970, as RFC 3339 in UTC with whole seconds; as the number where that has no form.
pub fn time(milliseconds: i64) -> String {
    match u64::try_from(milliseconds) {
        Ok(since @ 0..=TIME_MS_MAX) => {
            let time = std::time::UNIX_EPOCH + Duration::from_millis(since);
            humantime::format_rfc3339_seconds(time).to_string()
        }
        _ => format!("{milliseconds} ms"),
    }
}

/// How a column of a table stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Rows under headings, columns two spaces apart, lines without spaces at their ends.
pub fn table<const N: usize>(columns: [(&str, Align); N], rows: &[[String; N]]) -> String {
    let mut widths = columns.map(|(heading, _)| heading.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let mut line = |cells: [&str; N]| {
        let mut line = String::new();
        for (place, cell) in cells.into_iter().enumerate() {
            let pad = " ".repeat(widths[place] - cell.chars().count());
            let gap = if place == 0 { "" } else { "  " };
            match columns[place].1 {
                Align::Left => line.extend([gap, cell, &pad]),
                Align::Right => line.extend([gap, &pad, cell]),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    line(columns.map(|(heading, _)| heading));
    for row in rows {
        line(row.each_ref().map(String::as_str));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn one_thing_has_no_plural() {
        let texts = [0, 1, 2000].map(|number| counted(number, "record"));
        assert_eq!(texts, ["0 records", "1 record", "2,000 records"]);
    }

    #[test]
    fn sizes_rates_and_durations_have_fitting_units() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(20 << 10), "20.0 KiB");
        assert_eq!(bytes(3 << 29), "1.5 GiB");
        assert_eq!(rate(999.4), "999/s");
        assert_eq!(rate(12_345.0), "12 k/s");
        assert_eq!(rate(10_250_000.0), "10.2 M/s");
        assert_eq!(duration(Duration::from_millis(12)), "12 ms");
        assert_eq!(duration(Duration::from_millis(3210)), "3.2 s");
        assert_eq!(duration(Duration::from_secs(3725)), "1 h 2 min");
        assert_eq!(duration(Duration::from_secs(90_000)), "1 d 1 h");
    }

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(time(1_357_000_000_999), "2013-01-01T00:26:40Z");
        assert_eq!(time(253_402_300_799_000), "9999-12-31T23:59:59Z");
        assert_eq!(time(-5), "-5 ms");
        assert_eq!(time(i64::MAX - 1), "9223372036854775806 ms");
    }

    #[test]
    fn tables_are_aligned() {
        let rows = [["a".to_owned(), "1".to_owned()], ["long".to_owned(), "1,000".to_owned()]];
        let text = table([("node", Align::Left), ("in", Align::Right)], &rows);
        assert_eq!(text, "node     in\na         1\nlong  1,000\n");
    }
}
