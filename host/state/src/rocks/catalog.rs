//! The catalog: the one entry of a database that says what the others are.
//!
//! States and timers have tags, which stay theirs whatever order an operator declares them in. Names tell them apart,
//! and states of one name their schema versions. A tag is given once: what was dropped may still be in table files.
//! The catalog also tells table files apart from all others: a file is the database that wrote it, by the identity that
//! RocksDB gave that, and the file's number there. A database that adopts the files of another has an identity of its
//! own, so it notes what the files were called before.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use rocksdb::WriteBatch;
use serde::{Deserialize, Serialize};

use super::database::Database;
use super::keys::{CATALOG, TIMER_TAGS};
use super::tagged::Tagged;
use crate::declaration::KeyLayout;
use crate::declaration::{StateDeclaration, StateId, TimerDeclaration, TimerId};
use crate::error::Error;
use crate::key::{KeyGroupRange, KeyGroups};
use crate::segment::Schema;

/// The version of the layout. Version 1, which is still read, had no two states of one name, and no numbers of the next
/// tags.
const VERSION: u32 = 2;

/// What a database is about, as JSON under one key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Catalog {
    version: u32,
    key: KeyLayout,
    key_groups: KeyGroups,
    pub(super) range: KeyGroupRange,
    /// Greater than the number of every list element.
    pub(super) next_element: u64,
    /// The identity of the database that wrote this.
    database: String,
    /// What table files that came from other databases were called, by the number that they have here.
    adopted: BTreeMap<u64, String>,
    states: Vec<Entry<StateDeclaration>>,
    timers: Vec<Entry<TimerDeclaration>>,
    /// No state had this tag or a greater one; likewise for timers.
    #[serde(default)]
    next_state_tag: u16,
    #[serde(default)]
    next_timer_tag: u16,
}

/// A declaration and its tag.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry<T> {
    tag: u16,
    declaration: T,
}

/// The tags of an operator's states and timers, by id.
#[derive(Debug, Clone, Default)]
pub(super) struct Tags {
    pub(super) states: Vec<u16>,
    pub(super) timers: Vec<u16>,
}

/// What to make of the stamps of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stamps {
    /// They are those of the operator, or neither has any.
    Same,
    /// Which of the two has stamps: they are not the same, or on another clock.
    Differ { theirs: bool, ours: bool },
}

/// What a catalog's tags are to an operator.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) states: Vec<(u16, StateId, Stamps)>,
    pub(super) timers: Vec<(u16, TimerId)>,
    /// Whether there are others, which are dropped.
    pub(super) drops: bool,
}

impl Catalog {
    /// The catalog of a new database.
    pub(super) fn new(
        schema: &Schema,
        key_groups: KeyGroups,
        range: KeyGroupRange,
    ) -> Result<Self, Error> {
        let mut catalog = Self {
            version: VERSION,
            key: schema.key(),
            key_groups,
            range,
            next_element: 0,
            database: String::new(),
            adopted: BTreeMap::new(),
            states: Vec::new(),
            timers: Vec::new(),
            next_state_tag: 0,
            next_timer_tag: 0,
        };
        catalog.declare(schema)?;
        Ok(catalog)
    }

    /// Reads the catalog of a database.
    pub(super) fn read(database: &Database) -> Result<Self, Error> {
        let read = database.db().get_pinned(CATALOG);
        let json = read
            .map_err(|error| database.error("read", &error))?
            .ok_or_else(|| database.damaged("the catalog, which is not there,"))?;
        let mut catalog: Self =
            serde_json::from_slice(&json).map_err(|_| database.damaged("the catalog"))?;
        if !(1..=VERSION).contains(&catalog.version) {
            return Err(Error::Tables {
                path: database.path().to_owned(),
                reason: format!(
                    "its layout has version {}, and this program reads versions 1 to {VERSION}",
                    catalog.version
                ),
            });
        }
        catalog.version = VERSION;
        Ok(catalog)
    }

    /// Appends the catalog as it is.
    pub(super) fn write_into(&self, batch: &mut WriteBatch) {
        let json = serde_json::to_vec(self).expect("names and numbers can be written as JSON");
        batch.put(CATALOG, json);
    }

    /// Takes in an operator's declarations: tags for those that are new, the newest form of the others.
    ///
    /// # Errors
    /// If there are no tags left. Nothing has changed then.
    pub(super) fn declare(&mut self, schema: &Schema) -> Result<(), Error> {
        let mut to = self.clone();
        for state in schema.states() {
            let (entries, next) = (&mut to.states, &mut to.next_state_tag);
            declare(entries, next, 1..TIMER_TAGS, state, StateDeclaration::is_same)
                .map_err(|reason| Error::Declaration { state: state.name.clone(), reason })?;
        }
        for timer in schema.timers() {
            let (entries, next) = (&mut to.timers, &mut to.next_timer_tag);
            declare(entries, next, TIMER_TAGS..u16::MAX, timer, is_timer)
                .map_err(|reason| Error::Timers { timer: timer.name.clone(), reason })?;
        }
        *self = to;
        Ok(())
    }

    /// Forgets the states and timers that an operator does not declare. Returns their tags.
    pub(super) fn retain_declared(&mut self, schema: &Schema) -> Vec<u16> {
        let mut dropped = Vec::new();
        self.states.retain(|Entry { tag, declaration }| {
            let stays = schema.states().iter().any(|state| state.is_same(declaration));
            dropped.extend((!stays).then_some(*tag));
            stays
        });
        self.timers.retain(|Entry { tag, declaration }| {
            let stays = schema.timers().iter().any(|timer| is_timer(timer, declaration));
            dropped.extend((!stays).then_some(*tag));
            stays
        });
        dropped
    }

    /// The tags of an operator that was [declared](Self::declare).
    pub(super) fn tags(&self, schema: &Schema) -> Tags {
        let state = |state: &StateDeclaration| tag(&self.states, |other| state.is_same(other));
        let timer = |timer: &TimerDeclaration| tag(&self.timers, |other| is_timer(timer, other));
        Tags {
            states: schema.states().iter().map(state).collect(),
            timers: schema.timers().iter().map(timer).collect(),
        }
    }

    /// What RocksDB must know of the states.
    pub(super) fn tagged(&self) -> Tagged {
        let tagged = Tagged::default();
        self.describe_to(&tagged);
        tagged
    }

    /// Says what RocksDB must know of the states.
    pub(super) fn describe_to(&self, tagged: &Tagged) {
        for Entry { tag, declaration } in &self.states {
            let merge = declaration.merge.map(|merge| (merge, declaration.value));
            tagged.add(*tag, merge, declaration.ttl);
        }
    }

    /// Finds the catalog's states and timers among those of an operator.
    ///
    /// # Errors
    /// If the operator has other keys or key groups, or declares one of them otherwise, or not at all and does not drop
    /// it.
    pub(super) fn sources(
        &self,
        path: &Path,
        schema: &Schema,
        key_groups: KeyGroups,
    ) -> Result<Sources, Error> {
        let refuse = |reason| Err(Error::Tables { path: path.to_owned(), reason });
        if self.key != schema.key() {
            let (theirs, ours) = (self.key, schema.key());
            return refuse(format!(
                "its keys are {theirs:?}, and the operator's keys are {ours:?}"
            ));
        }
        if self.key_groups != key_groups {
            return refuse(format!(
                "it has {} key groups, and the job has {}, which cannot change",
                self.key_groups.count(),
                key_groups.count()
            ));
        }
        let mut sources = Sources { states: Vec::new(), timers: Vec::new(), drops: false };
        for Entry { tag, declaration: theirs } in &self.states {
            let Some(id) = schema.states().iter().position(|state| state.is_same(theirs)) else {
                if schema.drops_unclaimed() {
                    sources.drops = true;
                    continue;
                }
                return refuse(format!(
                    "it holds state `{}` of schema version {}, which the operator does not declare; declare it \
                     again, or drop it",
                    theirs.name, theirs.schema_version
                ));
            };
            let ours = &schema.states()[id];
            let form = |state: &StateDeclaration| {
                (state.kind, state.value, state.entry_key(), state.merge)
            };
            if form(theirs) != form(ours) {
                return refuse(format!(
                    "it holds state `{}` as {}, and the operator declares it as {}",
                    theirs.name,
                    describe(theirs),
                    describe(ours)
                ));
            }
            let domain = |state: &StateDeclaration| state.ttl.map(|ttl| ttl.domain);
            let stamps = if domain(theirs) == domain(ours) {
                Stamps::Same
            } else {
                Stamps::Differ { theirs: theirs.ttl.is_some(), ours: ours.ttl.is_some() }
            };
            sources.states.push((*tag, StateId(id as u32), stamps));
        }
        for Entry { tag, declaration: theirs } in &self.timers {
            let Some(id) = schema.timers().iter().position(|timer| is_timer(timer, theirs)) else {
                if schema.drops_unclaimed() {
                    sources.drops = true;
                    continue;
                }
                return refuse(format!(
                    "it holds timers `{}`, which the operator does not declare; declare them again, or drop them",
                    theirs.name
                ));
            };
            let ours = &schema.timers()[id];
            if theirs.domain != ours.domain {
                return refuse(format!(
                    "it holds timers `{}` in {:?}, and the operator declares them in {:?}",
                    theirs.name, theirs.domain, ours.domain
                ));
            }
            sources.timers.push((*tag, TimerId(id as u32)));
        }
        Ok(sources)
    }

    /// The identity of a table file, by its number.
    pub(super) fn identity(&self, number: u64) -> String {
        let adopted = self.adopted.get(&number).cloned();
        adopted.unwrap_or_else(|| format!("{}-{number}", self.database))
    }

    /// Notes which database this is the catalog of now. Tables that are there already keep their identity.
    pub(super) fn move_to(&mut self, database: &Database, tables: &[u64]) -> Result<(), Error> {
        self.adopted = tables.iter().map(|&number| (number, self.identity(number))).collect();
        let identity = database.db().get_db_identity();
        let identity = identity.map_err(|error| database.error("read the identity of", &error))?;
        self.database = String::from_utf8_lossy(&identity).into_owned();
        Ok(())
    }

    /// Forgets tables that are gone.
    pub(super) fn retain(&mut self, is_there: impl Fn(u64) -> bool) {
        self.adopted.retain(|&number, _| is_there(number));
    }
}

impl Sources {
    /// Whether all is there as the operator expects it: stamps are where it has them, and nothing is dropped.
    pub(super) fn fit_as_they_are(&self) -> bool {
        !self.drops && self.states.iter().all(|(_, _, stamps)| *stamps == Stamps::Same)
    }
}

/// Whether two declarations are of one family.
fn is_timer(one: &TimerDeclaration, other: &TimerDeclaration) -> bool {
    one.name == other.name
}

fn declare<T: Clone>(
    entries: &mut Vec<Entry<T>>,
    next: &mut u16,
    tags: Range<u16>,
    new: &T,
    is: impl Fn(&T, &T) -> bool,
) -> Result<(), String> {
    if let Some(entry) = entries.iter_mut().find(|entry| is(&entry.declaration, new)) {
        entry.declaration = new.clone();
        return Ok(());
    }
    let after = entries.iter().map(|entry| entry.tag + 1).max().unwrap_or(tags.start);
    let tag = after.max(*next);
    if tag >= tags.end {
        return Err(format!(
            "the files of this task have had {} states or families of timers, which is all that they can tell apart; \
             stop the job with a portable savepoint and resume it from that",
            tags.len()
        ));
    }
    *next = tag + 1;
    entries.push(Entry { tag, declaration: new.clone() });
    Ok(())
}

fn tag<T>(entries: &[Entry<T>], is: impl Fn(&T) -> bool) -> u16 {
    let entry = entries.iter().find(|entry| is(&entry.declaration));
    entry.expect("every declaration was given a tag").tag
}

fn describe(state: &StateDeclaration) -> String {
    let mut text = format!("{:?} of {:?}", state.kind, state.value);
    if let Some(entry) = state.map_key {
        text += &format!(" by {entry:?}");
    }
    if let Some(merge) = state.merge {
        text += &format!(" with {merge:?}");
    }
    text
}
