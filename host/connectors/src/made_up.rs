//! Sources whose records are a function of their index alone.
//!
//! Records are cut into blocks of one batch each, and blocks are dealt out to tasks; so a position is a block, and any
//! number of tasks can take over from any other.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use statehouse_engine::{Clock, ConnectorError, Malformed, Polled, Progress, Source};
use statehouse_operator::Batch;

use crate::blocks::Blocks;

/// Makes records. Called once a batch.
pub(crate) trait MakeRecords: Send + fmt::Debug {
    /// Makes the records `first` to `first + rows`, exclusive: always the same ones.
    fn make(&self, first: u64, rows: usize) -> Batch;
}

/// What is the same for all such sources.
#[derive(Debug)]
pub(crate) struct MadeUp {
    /// The connector's name, for messages.
    pub(crate) what: &'static str,
    /// The connector's settings. A position is worth something only under the same, but for `rate`.
    pub(crate) settings: Value,
    /// How many records there are, if there is an end.
    pub(crate) records: Option<u64>,
    /// Records in a batch.
    pub(crate) batch: u64,
    /// Records per second of all tasks together, if there is a limit.
    pub(crate) rate: Option<u64>,
}

impl MadeUp {
    /// The share of task `task` of `parallelism`, at the positions that are restored.
    pub(crate) fn open(
        mut self,
        clock: &Arc<dyn Clock>,
        records: Box<dyn MakeRecords>,
        (task, parallelism): (u32, u32),
        restored: &[Value],
    ) -> Result<Box<dyn Source>, ConnectorError> {
        if let Some(members) = self.settings.as_object_mut() {
            members.remove("rate");
        }
        let (blocks, done) = self.restore(task, parallelism, restored)?;
        let pace = self.rate.map(|rate| Pace {
            rate: u128::from(rate),
            parallelism,
            since: clock.now(),
            given: 0,
            clock: Arc::clone(clock),
        });
        Ok(Box::new(MadeUpSource { of: self, records, task, parallelism, blocks, done, pace }))
    }

    fn restore(
        &self,
        task: u32,
        parallelism: u32,
        restored: &[Value],
    ) -> Result<(Blocks, u64), ConnectorError> {
        let all = match self.records {
            Some(records) => records.div_ceil(self.batch),
            None => u64::MAX / self.batch,
        };
        if restored.is_empty() {
            return Ok((Blocks::all(all).share(task, parallelism), 0));
        }
        let what = self.what;
        let mut positions = Vec::with_capacity(restored.len());
        for value in restored {
            let other = |found: &dyn fmt::Display| {
                ConnectorError::new(format!(
                    "the checkpoint's position is not one of a {what} ({found}): the job's source was another one \
                     then; restore the old settings, or start over with --fresh"
                ))
            };
            let position = Position::deserialize(value).map_err(|error| other(&error))?;
            if position.connector != what {
                return Err(other(&format_args!("it is one of a {}", position.connector)));
            }
            if position.settings != self.settings {
                return Err(ConnectorError::new(format!(
                    "the {what}'s settings were {} in the run that is resumed and are {} now: restore them, or start \
                     over with --fresh",
                    position.settings, self.settings
                )));
            }
            positions.push(position);
        }
        let same = positions.len() == parallelism as usize
            && positions.iter().all(|position| position.parallelism == parallelism);
        if same && let Some(own) = positions.iter().find(|position| position.task == task) {
            return Ok((own.blocks.clone(), own.done));
        }
        let done: u64 = positions.iter().map(|position| position.done).sum();
        let merged = Blocks::merge(positions.into_iter().map(|position| position.blocks), all);
        Ok((merged.share(task, parallelism), if task == 0 { done } else { 0 }))
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    connector: String,
    settings: Value,
    task: u32,
    parallelism: u32,
    done: u64,
    blocks: Blocks,
}

/// Holds records back so that all tasks together give so many a second.
#[derive(Debug)]
struct Pace {
    rate: u128,
    parallelism: u32,
    since: i64,
    given: u128,
    clock: Arc<dyn Clock>,
}

impl Pace {
    fn is_due(&self) -> bool {
        let due = self.given * 1000 * u128::from(self.parallelism) / self.rate;
        let passed = self.clock.now().saturating_sub(self.since);
        due <= u128::try_from(passed).unwrap_or(0)
    }
}

#[derive(Debug)]
struct MadeUpSource {
    of: MadeUp,
    records: Box<dyn MakeRecords>,
    task: u32,
    parallelism: u32,
    blocks: Blocks,
    done: u64,
    pace: Option<Pace>,
}

impl Source for MadeUpSource {
    fn poll(&mut self) -> Result<Polled, ConnectorError> {
        let Some(block) = self.blocks.next() else { return Ok(Polled::End) };
        if self.pace.as_ref().is_some_and(|pace| !pace.is_due()) {
            return Ok(Polled::Idle);
        }
        let first = block * self.of.batch;
        let end = self.of.records.unwrap_or(u64::MAX);
        let batch = self.records.make(first, (end - first).min(self.of.batch) as usize);
        self.blocks.advance();
        self.done += batch.len() as u64;
        if let Some(pace) = &mut self.pace {
            pace.given += batch.len() as u128;
        }
        Ok(Polled::Batch(batch))
    }

    fn position(&self) -> Value {
        json!({
            "connector": self.of.what,
            "settings": self.of.settings,
            "task": self.task,
            "parallelism": self.parallelism,
            "done": self.done,
            "blocks": self.blocks,
        })
    }

    fn take_malformed(&mut self) -> Vec<Malformed> {
        Vec::new()
    }

    fn progress(&self) -> Progress {
        let total = self.of.records.map(|records| {
            let left = self.blocks.left().saturating_mul(self.of.batch);
            // The last block may be short: whoever has it says so.
            let missing = records.next_multiple_of(self.of.batch) - records;
            let short = if self.blocks.has_last() { missing } else { 0 };
            self.done + left - short
        });
        Progress { done: self.done, total }
    }
}
