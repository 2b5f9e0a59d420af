//! The names of output files, and the tokens that checkpoints know them by.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use statehouse_engine::ConnectorError;

/// What one task wrote in one epoch of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) task: u32,
    pub(super) epoch: u64,
    /// Counts the fresh runs that wrote to the directory.
    pub(super) run: u32,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "part-{}-{}", self.task, self.epoch)?;
        if self.run > 0 {
            write!(f, "-r{}", self.run)?;
        }
        f.write_str(".jsonl")
    }
}

impl FromStr for Part {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let parse = || {
            let mut pieces = name.strip_prefix("part-")?.strip_suffix(".jsonl")?.split('-');
            let (task, epoch) = (pieces.next()?.parse().ok()?, pieces.next()?.parse().ok()?);
            let run = match pieces.next() {
                Some(piece) => piece.strip_prefix('r')?.parse().ok()?,
                None => 0,
            };
            pieces.next().is_none().then_some(Self { task, epoch, run })
        };
        parse().ok_or(())
    }
}

/// What a checkpoint stores of one task: an epoch without records too, so that a resumed run knows where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Token {
    pub(super) task: u32,
    pub(super) epoch: u64,
    pub(super) run: u32,
    /// Whether there is a file.
    file: bool,
}

impl Token {
    pub(super) fn new(part: Part, file: bool) -> Self {
        Self { task: part.task, epoch: part.epoch, run: part.run, file }
    }

    /// The file that it stands for.
    pub(super) fn part(&self) -> Option<Part> {
        self.file.then_some(Part { task: self.task, epoch: self.epoch, run: self.run })
    }

    pub(super) fn write(&self) -> Value {
        json!({ "task": self.task, "epoch": self.epoch, "run": self.run, "file": self.file })
    }

    /// Reads a token; null stands for none.
    pub(super) fn read(token: &Value) -> Option<Result<Self, ConnectorError>> {
        if token.is_null() {
            return None;
        }
        Some(Self::deserialize(token).map_err(|error| {
            ConnectorError::new(format!(
                "the checkpoint's token {token} is not one of a jsonl sink ({error}): the job's sink was another \
                 one then; restore the old settings, or start over with --fresh"
            ))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for part in [Part { task: 0, epoch: 1, run: 0 }, Part { task: 12, epoch: 345, run: 6 }] {
            assert_eq!(part.to_string().parse(), Ok(part));
        }
        assert_eq!(Part { task: 3, epoch: 4, run: 0 }.to_string(), "part-3-4.jsonl");
        assert_eq!(Part { task: 3, epoch: 4, run: 2 }.to_string(), "part-3-4-r2.jsonl");
        for name in ["part-1.jsonl", "part-1-2", "part-1-2-3.jsonl", "part-1-2-r3-4.jsonl", "x"] {
            assert_eq!(name.parse::<Part>(), Err(()), "{name}");
        }
    }
}
