//! What RocksDB must know of the states by itself, since it merges and cleans up on threads of its own.
//!
//! A tag means one thing as long as a database lives, so what was said of it once stays; only the length of a
//! time-to-live may change. More tags can be added at any time, without a lock that readers would wait for.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rocksdb::MergeOperands;

use super::keys::{self, TIMER_TAGS};
use crate::backend::Now;
use crate::declaration::{Merge, Ttl, ValueLayout};
use crate::{merge, ttl};

/// Tags that are made room for together.
const CHUNK: usize = 64;

/// The merges and times-to-live of states, by tag.
pub(super) struct Tagged {
    chunks: Vec<OnceLock<Box<[OnceLock<Known>; CHUNK]>>>,
}

/// What is known of a tag.
#[derive(Debug)]
struct Known {
    merge: Option<(Merge, ValueLayout)>,
    ttl: Option<Ttl>,
    /// The length of the time-to-live as it is now.
    milliseconds: AtomicU64,
}

impl fmt::Debug for Tagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tagged").finish_non_exhaustive()
    }
}

impl Default for Tagged {
    fn default() -> Self {
        let chunks = usize::from(TIMER_TAGS).div_ceil(CHUNK);
        Self { chunks: (0..chunks).map(|_| OnceLock::new()).collect() }
    }
}

impl Tagged {
    /// Says what a state's tag stands for, or how long its values live from now on.
    pub(super) fn add(&self, tag: u16, merge: Option<(Merge, ValueLayout)>, ttl: Option<Ttl>) {
        let tag = usize::from(tag);
        let chunk =
            self.chunks[tag / CHUNK].get_or_init(|| Box::new([const { OnceLock::new() }; CHUNK]));
        let milliseconds = ttl.map_or(0, |ttl| ttl.milliseconds);
        let new = || Known { merge, ttl, milliseconds: AtomicU64::new(milliseconds) };
        let known = chunk[tag % CHUNK].get_or_init(new);
        known.milliseconds.store(milliseconds, Ordering::Relaxed);
    }

    fn known(&self, tag: u16) -> Option<&Known> {
        let tag = usize::from(tag);
        self.chunks.get(tag / CHUNK)?.get()?[tag % CHUNK].get()
    }

    /// Merges what RocksDB has gathered for a key.
    pub(super) fn merge(
        &self,
        key: &[u8],
        base: Option<&[u8]>,
        operands: &MergeOperands,
    ) -> Option<Vec<u8>> {
        let (_, tag) = keys::head(key)?;
        let (merge, layout) = self.known(tag)?.merge?;
        let mut rest = operands.iter();
        let mut value = match base {
            Some(base) => base.to_vec(),
            None => rest.next()?.to_vec(),
        };
        for operand in rest {
            if layout.is_words() {
                let word = u64::from_le_bytes(value.as_slice().try_into().ok()?);
                let delta = u64::from_le_bytes(operand.try_into().ok()?);
                let merged = merge::words(merge, layout, word, delta);
                value.copy_from_slice(&merged.to_le_bytes());
            } else {
                merge::bytes(merge, &mut value, operand);
            }
        }
        Some(value)
    }

    /// Whether a value's time is up.
    pub(super) fn is_expired(&self, key: &[u8], value: &[u8], now: Now) -> bool {
        let known = keys::head(key).and_then(|(_, tag)| self.known(tag));
        let Some((known, ttl)) = known.and_then(|known| Some((known, known.ttl?))) else {
            return false;
        };
        let milliseconds = known.milliseconds.load(Ordering::Relaxed);
        let ttl = Ttl { milliseconds, ..ttl };
        keys::read_stamp(value).is_some_and(|(stamp, _)| ttl::is_expired(&ttl, stamp, now))
    }
}
