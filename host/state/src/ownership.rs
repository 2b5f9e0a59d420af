//! Whether keys and segments belong to a task: checks that every backend makes, and what it says.

use crate::column::Column;
use crate::error::Error;
use crate::key::{KeyGroup, KeyGroupRange, KeyGroups};

/// Refuses keys that come without their hashes, or not in the layout declared.
pub(crate) fn check_form(keys: &Column, hashes: &[u64], words: bool) -> Result<(), Error> {
    if keys.is_words() == words && keys.len() == hashes.len() {
        return Ok(());
    }
    Err(Error::Access {
        reason: format!(
            "{} keys come with {} hashes, or not in the layout declared",
            keys.len(),
            hashes.len()
        ),
    })
}

/// Refuses keys of groups that the task does not own.
pub(crate) fn check_owned(
    hashes: &[u64],
    key_groups: KeyGroups,
    range: KeyGroupRange,
) -> Result<(), Error> {
    let outside = |hash: &u64| !range.contains(key_groups.group_of(*hash));
    match hashes.iter().position(outside) {
        Some(slot) => Err(not_owned(slot, key_groups.group_of(hashes[slot]), range)),
        None => Ok(()),
    }
}

/// What to say of a key of a group that the task does not own.
pub(crate) fn not_owned(slot: usize, group: KeyGroup, range: KeyGroupRange) -> Error {
    Error::Access {
        reason: format!(
            "the key of slot {slot} belongs to {group}, and this task owns key groups {}..{}",
            range.start, range.end
        ),
    }
}

/// Refuses a segment of a group that the task does not own.
pub(crate) fn check_segment(group: KeyGroup, range: KeyGroupRange) -> Result<(), Error> {
    if range.contains(group) {
        return Ok(());
    }
    let reason = format!("this task owns key groups {}..{}", range.start, range.end);
    Err(Error::Segment { group, reason })
}

/// Refuses a key in a segment of a group that is not its own.
pub(crate) fn check_record(hash: u64, group: KeyGroup, key_groups: KeyGroups) -> Result<(), Error> {
    let owner = key_groups.group_of(hash);
    if owner == group {
        return Ok(());
    }
    let reason = format!(
        "it holds a key of {owner}; the job was snapshotted with another number of key groups than {}",
        key_groups.count()
    );
    Err(Error::Segment { group, reason })
}
