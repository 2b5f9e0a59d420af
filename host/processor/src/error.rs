//! What can go wrong with looking inside and editing.

use std::path::PathBuf;

/// An error about the state of a checkpoint or savepoint. Each names the object that it is about.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Store(#[from] statehouse_checkpoint::Error),
    #[error("state of operator `{operator}`")]
    State {
        operator: String,
        #[source]
        source: statehouse_state::Error,
    },
    #[error("the recorded description of operator `{operator}` cannot be read: {reason}")]
    Description { operator: String, reason: String },
    #[error("{place} has no operator `{name}` with state; {known}")]
    NoOperator { place: String, name: String, known: String },
    #[error("operator `{operator}` has no state or timer `{name}`; {known}")]
    NoState { operator: String, name: String, known: String },
    #[error("operator `{operator}` is not keyed, so it has no state by key")]
    NotKeyed { operator: String },
    #[error(
        "the key {text} is no key of operator `{operator}`, whose keys are {expected}: {reason}"
    )]
    Key { operator: String, text: String, expected: String, reason: String },
    #[error("{text} is no value of state `{state}` of operator `{operator}`: {reason}")]
    Value { operator: String, state: String, text: String, reason: String },
    #[error("{reason}")]
    Refused { reason: String },
    #[error("the two cannot be compared: {reason}")]
    Incomparable { reason: String },
    #[error("`{}` cannot be {what}: {reason}", path.display())]
    File { path: PathBuf, what: &'static str, reason: String },
    #[error("`{}`, {place}: {reason}", path.display())]
    Import { path: PathBuf, place: String, reason: String },
}

impl Error {
    pub(crate) fn file(path: &std::path::Path, what: &'static str, reason: impl ToString) -> Self {
        Self::File { path: path.to_owned(), what, reason: reason.to_string() }
    }
}

/// `there are a, b and so on`, for messages about names that are not there.
pub(crate) fn known<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    match names.is_empty() {
        true => "there is none".to_owned(),
        false => format!("there is `{}`", names.join("`, `")),
    }
}
