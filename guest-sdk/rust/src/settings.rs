//! The strings of the job file's `config` table, and what the operator asked of them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What the job file says, what the operator asked for, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    given: BTreeMap<String, String>,
    asked: Vec<String>,
    refusals: Vec<String>,
}

impl Settings {
    pub(crate) fn new(given: &[(String, String)]) -> Self {
        Self { given: given.iter().cloned().collect(), ..Self::default() }
    }

    pub(crate) fn get(&mut self, name: &str) -> Option<&str> {
        if !self.asked.iter().any(|asked| asked == name) {
            self.asked.push(name.to_owned());
        }
        self.given.get(name).map(String::as_str)
    }

    pub(crate) fn parse<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Option<T> {
        self.read(name, |text| text.parse().map_err(|error: T::Err| error.to_string()))
    }

    pub(crate) fn duration(&mut self, name: &str) -> Option<Duration> {
        self.read(name, parse_duration)
    }

    fn read<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        match parse(self.get(name)?) {
            Ok(value) => Some(value),
            Err(error) => {
                let text = &self.given[name];
                self.refusals.push(format!("setting `{name}` is `{text}`: {error}"));
                None
            }
        }
    }

    pub(crate) fn refuse(&mut self, reason: String) {
        self.refusals.push(reason);
    }

    /// Whether the operator can work with what was given.
    ///
    /// # Errors
    /// All that is wrong, in one sentence.
    pub(crate) fn check(&self) -> Result<(), String> {
        let unknown = self.given.keys().filter(|name| !self.asked.contains(name));
        let unknown = unknown.map(|name| match self.asked.as_slice() {
            [] => format!("there is no setting `{name}`: the operator has none"),
            asked => format!("there is no setting `{name}`: it has `{}`", asked.join("`, `")),
        });
        let wrong: Vec<_> = self.refusals.iter().cloned().chain(unknown).collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }
}

/// Reads `250ms`, `10s`, `5m`, `24h`, `7d` and their sums (`1h30m`).
fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a duration like `250ms`, `10s`, `5m`, `24h` or `1h30m`".to_owned();
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit_millis = match rest[..letters].trim() {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            "d" => 24 * 60 * 60 * 1000,
            _ => return Err(wrong()),
        };
        rest = &rest[letters..];
        let millis = number.checked_mul(unit_millis).ok_or_else(wrong)?;
        total = total.checked_add(Duration::from_millis(millis)).ok_or_else(wrong)?;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_nonsense_is_refused() {
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration("7d"), Ok(Duration::from_secs(7 * 86_400)));
        for wrong in
            ["", "10", "h", "1 year", "-1s", "99999999999999999999s", "18446744073709551615d"]
        {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn all_that_is_wrong_with_the_settings_is_said_at_once() {
        let given = [("a", "x"), ("typo", "1")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let mut settings = Settings::new(&given);
        assert_eq!(settings.parse::<u32>("a"), None);
        assert_eq!(settings.get("b"), None);
        assert_eq!(
            settings.check().unwrap_err(),
            "setting `a` is `x`: invalid digit found in string; \
             there is no setting `typo`: it has `a`, `b`"
        );
    }
}
