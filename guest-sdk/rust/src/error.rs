//! Why a record, or a job, is refused: a sentence for people.

use std::fmt;

/// What handlers return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operator refused a record. It goes to the log and into the dead-letter record.
///
/// Every error type of other crates turns into it by `?`; [`bail!`](crate::bail) makes one from a
/// sentence.
///
/// ```
/// use statehouse::prelude::*;
///
/// fn minutes(text: &str) -> Result<i64> {
///     let minutes = text.parse()?;
///     if minutes >= 60 {
///         bail!("{minutes} is not a minute of the hour");
///     }
///     Ok(minutes)
/// }
/// assert_eq!(minutes("75").unwrap_err().to_string(), "75 is not a minute of the hour");
/// ```
pub struct Error(Box<str>);

impl Error {
    /// An error that says `reason`.
    pub fn new(reason: impl fmt::Display) -> Self {
        Self(reason.to_string().into())
    }

    /// The same error with what it was about in front: `about: reason`.
    #[must_use]
    pub fn about(self, about: impl fmt::Display) -> Self {
        Self(format!("{about}: {}", self.0).into())
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            reason = format!("{reason}: {cause}");
            source = cause.source();
        }
        Self(reason.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes an [`Error`] from a format string, as `format!` does.
#[macro_export]
macro_rules! error {
    ($($sentence:tt)*) => { $crate::Error::new(::std::format_args!($($sentence)*)) };
}

/// Returns early with an [`Error`] made from a format string.
#[macro_export]
macro_rules! bail {
    ($($sentence:tt)*) => { return ::std::result::Result::Err($crate::error!($($sentence)*)) };
}
