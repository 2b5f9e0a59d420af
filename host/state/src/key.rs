//! Keys, their stable hash, and key groups: the units that state is partitioned, moved and stored by.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::column::Column;

/// The stable hash of a key's bytes: XXH3, 64 bits, seed 0. Part of the checkpoint format.
pub fn hash_bytes(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// The stable hash of a numeric key: that of its eight bytes, least significant first.
pub fn hash_word(key: u64) -> u64 {
    xxh3_64(&key.to_le_bytes())
}

/// Appends the hash of every key.
pub fn hash_column(keys: &Column, hashes: &mut Vec<u64>) {
    match keys {
        Column::Words(words) => hashes.extend(words.iter().map(|&word| hash_word(word))),
        Column::Bytes(bytes) => hashes.extend(bytes.iter().map(hash_bytes)),
    }
}

/// One of a job's key groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyGroup(pub u16);

impl fmt::Display for KeyGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key group {}", self.0)
    }
}

/// How many key groups a job has. Fixed for the life of its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct KeyGroups(u32);

impl KeyGroups {
    /// The most that a job may have.
    pub const MAX: u32 = 32_768;
    /// What a job has unless it says otherwise.
    pub const DEFAULT: Self = Self(128);

    /// A number of key groups, from 1 to [`KeyGroups::MAX`].
    pub fn new(count: u32) -> Option<Self> {
        (1..=Self::MAX).contains(&count).then_some(Self(count))
    }

    /// How many there are.
    pub fn count(self) -> u32 {
        self.0
    }

    /// The group of a key with this hash: the hash's upper 32 bits, scaled to the number of groups.
    #[inline]
    pub fn group_of(self, hash: u64) -> KeyGroup {
        KeyGroup((((hash >> 32) * u64::from(self.0)) >> 32) as u16)
    }

    /// The groups that task `task` of `parallelism` owns: contiguous, and every group has one owner.
    pub fn range_of_task(self, task: u32, parallelism: u32) -> KeyGroupRange {
        let bound = |task: u32| {
            (u64::from(task) * u64::from(self.0)).div_ceil(u64::from(parallelism)) as u32
        };
        KeyGroupRange { start: bound(task), end: bound(task + 1) }
    }

    /// The task of `parallelism` that owns a group.
    #[inline]
    pub fn task_of(self, group: KeyGroup, parallelism: u32) -> u32 {
        ((u64::from(group.0) * u64::from(parallelism)) / u64::from(self.0)) as u32
    }
}

impl TryFrom<u32> for KeyGroups {
    type Error = String;
    fn try_from(count: u32) -> Result<Self, String> {
        Self::new(count)
            .ok_or_else(|| format!("{count} key groups: there must be 1 to {}", Self::MAX))
    }
}

impl From<KeyGroups> for u32 {
    fn from(groups: KeyGroups) -> Self {
        groups.0
    }
}

/// A contiguous range of key groups, `start` included, `end` not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct KeyGroupRange {
    pub start: u32,
    pub end: u32,
}

impl KeyGroupRange {
    /// Every group of a job.
    pub fn all(groups: KeyGroups) -> Self {
        Self { start: 0, end: groups.count() }
    }

    /// Whether the group is in the range.
    pub fn contains(self, group: KeyGroup) -> bool {
        (self.start..self.end).contains(&u32::from(group.0))
    }

    /// The groups in order.
    pub fn iter(self) -> impl Iterator<Item = KeyGroup> {
        let range: Range<u32> = self.start..self.end;
        range.map(|group| KeyGroup(group as u16))
    }

    /// How many groups it holds.
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether it holds none, which happens when there are more tasks than groups.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_has_the_one_task_that_its_range_names() {
        for count in [1, 7, 128, 1000, KeyGroups::MAX] {
            let groups = KeyGroups::new(count).unwrap();
            for parallelism in [1, 2, 3, 5, 64, 128] {
                for task in 0..parallelism {
                    for group in groups.range_of_task(task, parallelism).iter() {
                        assert_eq!(
                            groups.task_of(group, parallelism),
                            task,
                            "{count}/{parallelism}"
                        );
                    }
                }
                let owned: usize = (0..parallelism)
                    .map(|task| groups.range_of_task(task, parallelism).len())
                    .sum();
                assert_eq!(owned, count as usize);
            }
        }
    }

    #[test]
    fn the_hash_is_the_one_of_the_format() {
        assert_eq!(hash_bytes(b""), 0x2d06_8005_38d3_94c2);
        assert_eq!(hash_word(0x6867_6665_6463_6261), hash_bytes(b"abcdefgh"));
    }
}
