//! Goes over what RocksDB has of one state, without looking at what was before.

use rocksdb::{ErrorKind, ReadOptions};

use super::database::Database;
use super::keys;
use crate::error::Error;

/// Where a walk ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// There is nothing more.
    End,
    /// It goes on with this key.
    At(Vec<u8>),
    /// From this key on too much in a row was not there any more.
    Gone(Vec<u8>),
}

/// What a walk may do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// How often it looks for the next group.
    pub(super) seeks: usize,
    /// How many keys in a row may be gone; 0 for any number.
    pub(super) gone: u64,
}

/// Is called with a key and its value. Whether to go on.
type Visit<'v> = dyn FnMut(&[u8], &[u8]) -> Result<bool, Error> + 'v;

/// Is called with the number of a prefix, a key that begins so, and its value. Whether to go on.
type VisitPrefixed<'v> = dyn FnMut(usize, &[u8], &[u8]) -> Result<bool, Error> + 'v;

/// Calls with the keys and values of a tag from a key on, group by group up to a key, until told to stop.
pub(super) fn groups(
    database: &Database,
    tag: u16,
    (from, end): (&[u8], &[u8]),
    limits: Limits,
    visit: &mut Visit<'_>,
) -> Result<Stop, Error> {
    let mut read_options = ReadOptions::default();
    read_options.fill_cache(false);
    read_options.set_max_skippable_internal_keys(limits.gone);
    read_options.set_iterate_upper_bound(end);
    let mut rows = database.db().raw_iterator_opt(read_options);
    let mut next = from.to_vec();
    for _ in 0..limits.seeks {
        rows.seek(&next);
        loop {
            let Some((key, value)) = rows.item() else {
                return match rows.status() {
                    Err(error) if error.kind() == ErrorKind::Incomplete => Ok(Stop::Gone(next)),
                    Err(error) => Err(database.error("read", &error)),
                    Ok(()) => Ok(Stop::End),
                };
            };
            let (group, found) = keys::head(key).ok_or_else(|| database.damaged("a key"))?;
            if found != tag {
                next.clear();
                keys::push_head(&mut next, group + u16::from(found > tag), tag);
                break;
            }
            if !visit(key, value)? {
                return Ok(Stop::At(key.to_vec()));
            }
            next.clear();
            next.extend_from_slice(key);
            // The first key after it.
            next.push(0);
            rows.next();
        }
    }
    Ok(Stop::At(next))
}

/// Calls with the keys and values that begin with one of some prefixes, which are in order, from the prefix of this
/// number on and this key, if there is one; with the prefix's number first. Told to stop, it says where to go on.
pub(super) fn prefixes(
    database: &Database,
    prefixes: &[Vec<u8>],
    (first, from): (usize, Option<Vec<u8>>),
    visit: &mut VisitPrefixed<'_>,
) -> Result<Option<(usize, Vec<u8>)>, Error> {
    let Some(last) = prefixes.last() else { return Ok(None) };
    let mut read_options = ReadOptions::default();
    read_options.set_iterate_upper_bound(keys::successor(last.clone()));
    let mut rows = database.db().raw_iterator_opt(read_options);
    let mut from = from;
    for (number, prefix) in prefixes.iter().enumerate().skip(first) {
        rows.seek(from.take().as_deref().unwrap_or(prefix));
        while let Some((key, value)) = rows.item().filter(|(key, _)| key.starts_with(prefix)) {
            if !visit(number, key, value)? {
                return Ok(Some((number, key.to_vec())));
            }
            rows.next();
        }
        rows.status().map_err(|error| database.error("read", &error))?;
    }
    Ok(None)
}
