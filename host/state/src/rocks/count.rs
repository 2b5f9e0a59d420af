//! How many values a state has: exactly if there are none or few, else about.

use rocksdb::Range;

use super::cells::Cached;
use super::migrate::Sweep;
use super::walk::{self, Limits, Stop};
use super::{RocksBackend, keys};
use crate::declaration::StateId;
use crate::error::Error;

/// Values that are counted one by one.
const COUNTED_MAX: u64 = 1000;

/// Keys that are looked at, and keys in a row that may be gone, before the count is given up.
const LOOKS_MAX: u32 = 10_000;
const GONE_MAX: u64 = 100_000;

/// Key groups whose tables are asked for their size.
const SAMPLED_MAX: usize = 64;

impl RocksBackend {
    /// How many values or entries a state has. None only if there are none.
    pub(super) fn count_values(&self, state: StateId) -> u64 {
        let Some(&tag) = self.tags.states.get(state.0 as usize) else { return 0 };
        let sweep = self.sweeps.iter().find(|sweep| sweep.old_tag() == tag);
        // What a sweep has been through is what it left behind.
        let outside = match sweep {
            Some(sweep) if sweep.dirty.is_none() => sweep.left(),
            _ => self.cells.place_of(state).map_or(0, |place| self.cells.dirty_values(place)),
        };
        let first = keys::first(self.range.start, tag);
        let from = match sweep {
            Some(sweep) => sweep.next.as_ref(),
            None => Some(&first),
        };
        let stored = match from.map(|from| self.count_stored(state, sweep, (tag, from))) {
            Some(Ok((counted, true))) => counted,
            // That storage fails is found out by whoever reads the values.
            Some(Ok((counted, false))) => self.estimate(tag).max(counted),
            Some(Err(_)) => self.estimate(tag).max(1),
            None => 0,
        };
        stored + outside
    }

    /// Counts what RocksDB has from a key on, without what caches know better. Whether that is all.
    fn count_stored(
        &self,
        state: StateId,
        sweep: Option<&Sweep>,
        (tag, from): (u16, &[u8]),
    ) -> Result<(u64, bool), Error> {
        let place = self.cells.place_of(state);
        let words = self.schema.key().is_words();
        let (mut counted, mut looks) = (0, LOOKS_MAX);
        let limits = Limits { seeks: usize::MAX, gone: GONE_MAX };
        let part = (from, &keys::first(self.range.end, 0)[..]);
        let stop = walk::groups(&self.database, tag, part, limits, &mut |key, _| {
            looks -= 1;
            let (cell, _) =
                keys::read_key(key, words).ok_or_else(|| self.database.damaged("a key"))?;
            let cached = place.map(|place| self.cells.cached(place, cell.hash(), cell));
            let counts = match cached {
                Some(Cached::Value { dirty, .. }) => !dirty,
                Some(Cached::Absent { .. } | Cached::Delta(_)) => false,
                Some(Cached::Unknown) | None => true,
            };
            let counts = counts && !sweep.is_some_and(|sweep| sweep.has_left(key));
            counted += u64::from(counts);
            Ok(counted < COUNTED_MAX && looks > 0)
        })?;
        // Where it gave up, there may be something.
        let all = stop == Stop::End;
        Ok((if all { counted } else { counted.max(1) }, all))
    }

    /// About how many values a state has in tables, by its share of their size.
    fn estimate(&self, tag: u16) -> u64 {
        let groups = self.range.len();
        let step = groups.div_ceil(SAMPLED_MAX).max(1);
        let sampled = (self.range.start..self.range.end).step_by(step);
        let part = |group| (keys::first(group, tag), keys::first(group, tag + 1));
        let mut ranges: Vec<_> = sampled.map(part).collect();
        let samples = ranges.len() as u64;
        ranges.push((keys::first(self.range.start, 0), keys::first(self.range.end, 0)));
        let ranges: Vec<_> = ranges.iter().map(|(from, to)| Range::new(from, to)).collect();
        let sizes = self.database.db().get_approximate_sizes(&ranges);
        let Some((&all, parts)) = sizes.split_last() else { return 0 };
        let part: u64 = parts.iter().sum();
        let keys = self.database.property("rocksdb.estimate-num-keys");
        let part = u128::from(part) * groups as u128 / u128::from(samples.max(1));
        let share = part * u128::from(keys) / u128::from(all.max(1));
        u64::try_from(share).unwrap_or(keys).min(keys)
    }
}
