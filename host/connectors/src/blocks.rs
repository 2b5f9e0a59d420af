//! Which blocks a task has still to make: a few arithmetic sequences.
//!
//! **Invariant:** the last sequence of every task runs to the end of all blocks, and those of all tasks together hold
//! every block from the furthest of them on. Sequences before it are what slower tasks left when the number of tasks
//! changed.

use serde::{Deserialize, Serialize};

/// `next`, `next + step`, … below `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sequence {
    next: u64,
    step: u64,
    end: u64,
}

impl Sequence {
    fn left(&self) -> u64 {
        self.end.saturating_sub(self.next).div_ceil(self.step)
    }
}

/// Blocks in the order in which they are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Blocks(Vec<Sequence>);

impl Blocks {
    /// Blocks 0 to `end`.
    pub(crate) fn all(end: u64) -> Self {
        Self(vec![Sequence { next: 0, step: 1, end }])
    }

    /// The block that comes next.
    pub(crate) fn next(&self) -> Option<u64> {
        self.0.iter().find(|sequence| sequence.left() > 0).map(|sequence| sequence.next)
    }

    /// Goes past it.
    pub(crate) fn advance(&mut self) {
        while self.0.len() > 1 && self.0[0].left() == 0 {
            self.0.remove(0);
        }
        if let Some(first) = self.0.first_mut() {
            first.next = first.next.saturating_add(first.step);
        }
    }

    /// How many are left.
    pub(crate) fn left(&self) -> u64 {
        self.0.iter().map(Sequence::left).sum()
    }

    /// Whether the very last block is among those left.
    pub(crate) fn has_last(&self) -> bool {
        let has = |sequence: &Sequence, last: u64| {
            sequence.end > last
                && sequence.next <= last
                && (last - sequence.next).is_multiple_of(sequence.step)
        };
        let end = self.0.last().map_or(0, |tail| tail.end);
        end > 0 && self.0.iter().any(|sequence| has(sequence, end - 1))
    }

    /// The part of one task of `parallelism`.
    pub(crate) fn share(&self, task: u32, parallelism: u32) -> Self {
        let part = |sequence: &Sequence| Sequence {
            next: sequence.next.saturating_add(sequence.step.saturating_mul(task.into())),
            step: sequence.step.saturating_mul(parallelism.into()),
            end: sequence.end,
        };
        let mut parts: Vec<_> = self.0.iter().map(part).collect();
        let tail = parts.pop();
        parts.retain(|sequence| sequence.left() > 0);
        parts.extend(tail);
        Self(parts)
    }

    /// What all tasks have left of `end` blocks.
    pub(crate) fn merge(tasks: impl Iterator<Item = Self>, end: u64) -> Self {
        let (mut parts, mut tails) = (Vec::new(), Vec::new());
        for mut task in tasks {
            tails.extend(task.0.pop());
            parts.extend(task.0);
        }
        let furthest = tails.iter().map(|tail| tail.next).max().unwrap_or(0).min(end);
        parts.extend(tails.into_iter().map(|tail| Sequence { end: furthest, ..tail }));
        parts.retain(|sequence| sequence.left() > 0);
        parts.push(Sequence { next: furthest, step: 1, end });
        Self(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_made_once_however_often_the_tasks_change() {
        for end in [0, 1, 5, 100] {
            let mut made = vec![0; end as usize];
            let mut merged = Blocks::all(end);
            for (round, parallelism) in [1u32, 3, 2, 4, 1].into_iter().enumerate() {
                let last_round = round == 4;
                let mut tasks: Vec<_> =
                    (0..parallelism).map(|task| merged.share(task, parallelism)).collect();
                for (task, blocks) in tasks.iter_mut().enumerate() {
                    let steps = if last_round { usize::MAX } else { 2 + 5 * task };
                    for _ in 0..steps {
                        let (Some(block), left) = (blocks.next(), blocks.left()) else { break };
                        made[block as usize] += 1;
                        blocks.advance();
                        assert_eq!(blocks.left(), left - 1);
                    }
                }
                merged = Blocks::merge(tasks.into_iter(), end);
            }
            assert_eq!(merged.next(), None);
            assert!(made.iter().all(|&times| times == 1), "{made:?}");
        }
    }
}
