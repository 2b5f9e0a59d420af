//! Printing: data to stdout, errors and remarks to stderr, colours only on a terminal.

use std::fmt::Display;
use std::io::{self, Write};

use anstream::{AutoStream, ColorChoice};
use serde::Serialize;

const ERROR: anstyle::Style =
    anstyle::Style::new().bold().fg_color(Some(anstyle::Color::Ansi(anstyle::AnsiColor::Red)));

/// Prints data.
pub(super) fn data(text: impl Display) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    write!(out, "{text}")?;
    Ok(out.flush()?)
}

/// Prints one JSON value on lines of its own.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    data(format_args!("{text}\n"))
}

/// What came of printing, for commands whose exit code says more than what they print: that the reader has left, as
/// `head` does, is no reason to end before that is known.
pub(super) fn if_read(printed: anyhow::Result<()>) -> anyhow::Result<()> {
    match printed {
        Err(error) if is_closed_pipe(&error) => Ok(()),
        other => other,
    }
}

/// Prints a remark for the user beside the data.
pub(super) fn remark(text: impl Display) {
    // A closed stderr is no reason to fail.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints an error and its causes.
pub(super) fn error(error: &anyhow::Error) {
    let mut err = AutoStream::new(io::stderr().lock(), ColorChoice::Auto);
    let _ = writeln!(err, "{ERROR}error{ERROR:#}: {}", chain(error));
}

/// An error and its causes on one line. A cause that its effect quotes already is not said again.
fn chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// Whether nobody reads stdout any more, as in `statehouse … | head`.
pub(super) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn causes_follow_the_error_and_are_said_once() {
        let missing = io::Error::from(io::ErrorKind::NotFound);
        let error = anyhow::Error::new(missing).context("cannot read `a`").context("outer");
        assert_eq!(chain(&error), "outer: cannot read `a`: entity not found");
        let error = Err::<(), _>(anyhow::anyhow!("inner")).context("outer: inner").unwrap_err();
        assert_eq!(chain(&error), "outer: inner");
    }
}
