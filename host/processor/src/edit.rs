//! Editing: a new manifest with some values set, deleted or imported.
//!
//! What changes in a key group becomes an increment at the end of its chain, so an edit costs what it changes. An
//! operator whose state is in tables is written anew as segments first, because nothing can be appended to tables.

mod import;
mod request;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use statehouse_checkpoint::{Manifest, NewSegment, PackSettings, Statistics, extend_groups};
use statehouse_operator::CellBuf;
use statehouse_state::segment::{Record, Stamped, Writer};
use statehouse_state::{StateId, TimerId};

use crate::error::Error;
use crate::groups::Groups;
use crate::inside::Inside;
use crate::rewrite::merge_all;
use crate::view::OperatorView;

/// Something that is to be done, in the order of requests.
#[derive(Debug, Clone)]
enum Change {
    /// Sets a value, or an entry of a collection.
    Put { state: StateId, key: CellBuf, entry: Option<CellBuf>, value: CellBuf, stamp: i64 },
    /// Removes a value, or an entry of a collection.
    Remove { state: StateId, key: CellBuf, entry: Option<CellBuf> },
    /// Removes everything that a key has in a state.
    Clear { state: StateId, key: CellBuf },
    /// Sets or deletes a timer.
    Timer { timer: TimerId, key: CellBuf, time: i64, namespace: u64, set: bool },
}

impl Change {
    fn key(&self) -> &CellBuf {
        match self {
            Self::Put { key, .. }
            | Self::Remove { key, .. }
            | Self::Clear { key, .. }
            | Self::Timer { key, .. } => key,
        }
    }
}

/// What is to be changed in one operator, by key group.
#[derive(Debug, Clone)]
struct OfOperator {
    view: OperatorView,
    groups: BTreeMap<u16, Vec<Change>>,
}

/// What is to be changed. Requests take effect in the order in which they are made.
#[derive(Debug, Clone)]
pub struct Edits {
    place: String,
    manifest: Manifest,
    now_ms: i64,
    operators: BTreeMap<String, OfOperator>,
}

/// A manifest with edited state.
#[derive(Debug, Clone)]
pub struct Edited {
    /// For the caller to pin; until then nothing refers to what was written.
    pub manifest: Manifest,
    /// Values, entries and timers that were set or removed.
    pub changes: u64,
}

/// What a record is about, and what it says: a value and its stamp, nothing to remove it.
type Net = BTreeMap<About, Option<(CellBuf, i64)>>;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    State(u32, CellBuf, Option<CellBuf>),
    Timer(u32, CellBuf, i64, u64),
}

impl Inside {
    /// Writes the changes into the store of the manifest.
    ///
    /// # Errors
    /// If something cannot be read or written.
    pub async fn edit(&self, edits: &Edits, settings: PackSettings) -> Result<Edited, Error> {
        let mut manifest = self.manifest.clone();
        manifest.created_ms = edits.now_ms;
        manifest.statistics = Statistics::default();
        let mut changes = 0;
        for (id, edit) in &edits.operators {
            let view = Arc::new(edit.view.clone());
            let mut writer = self.writer(settings);
            let in_tables = !view.recorded.tables.is_empty();
            let mut chained: BTreeSet<u16> = view.recorded.groups.keys().copied().collect();
            if in_tables {
                let groups = self.groups(&view, None);
                merge_all(&view, groups, async |segment| {
                    chained.insert(segment.group);
                    Ok::<_, Error>(writer.add_segment(segment).await?)
                })
                .await?;
            }
            let cleared = self.cleared(&view, edit).await?;
            for (&group, requested) in &edit.groups {
                let is_first = !chained.contains(&group);
                let net = net(requested, &cleared);
                if let Some(segment) = segment(&view, group, is_first, &net) {
                    changes += segment.entries;
                    writer.add_segment(segment).await?;
                }
            }
            let written = writer.finish().await?;
            manifest.statistics.packs += written.packs;
            manifest.statistics.pack_bytes += written.pack_bytes;
            let operator = manifest.operators.iter_mut().find(|operator| operator.id == *id);
            let operator = operator.expect("the view was made of the same manifest");
            let before = if in_tables { BTreeMap::new() } else { operator.groups.clone() };
            operator.groups = extend_groups(&before, written.segments).map_err(|source| {
                let epoch = self.manifest.epoch;
                statehouse_checkpoint::Error::Protocol { epoch, source }
            })?;
            operator.tables = Vec::new();
        }
        self.spill(&mut manifest, settings).await?;
        Ok(Edited { manifest, changes })
    }

    /// The entries of the keys that are to be cleared, as they are now. Only their key groups are read.
    async fn cleared(
        &self,
        view: &Arc<OperatorView>,
        edit: &OfOperator,
    ) -> Result<Vec<About>, Error> {
        let mut keys = BTreeSet::new();
        for change in edit.groups.values().flatten() {
            if let Change::Clear { state, key } = change {
                keys.insert((state.0, key.clone()));
            }
        }
        let groups: BTreeSet<_> = keys.iter().map(|(_, key)| view.group_of(key)).collect();
        let sources: Vec<_> = groups.into_iter().map(|group| (group, view.source(group))).collect();
        let mut groups = Groups::new(view, &self.store, &self.folders, &sources);
        let mut found = Vec::new();
        while let Some(content) = groups.next().await? {
            for record in content.records(view, |_| true)? {
                let (state, entry) = match record {
                    Record::Value { state, .. } => (state, None),
                    Record::Entry { state, entry, .. } => (state, Some(CellBuf::from(entry))),
                    Record::Timer { .. } => continue,
                };
                let key = CellBuf::from(record.key());
                if keys.contains(&(state.0, key.clone())) {
                    found.push(About::State(state.0, key, entry));
                }
            }
        }
        Ok(found)
    }
}

/// What the changes come to, one after the other.
fn net(changes: &[Change], there: &[About]) -> Net {
    let mut net = Net::new();
    for change in changes {
        match change.clone() {
            Change::Put { state, key, entry, value, stamp } => {
                net.insert(About::State(state.0, key, entry), Some((value, stamp)));
            }
            Change::Remove { state, key, entry } => {
                net.insert(About::State(state.0, key, entry), None);
            }
            Change::Clear { state, key } => {
                let is_of = |about: &About| matches!(about, About::State(id, of, _) if (*id, of) == (state.0, &key));
                net.iter_mut()
                    .filter(|(about, _)| is_of(about))
                    .for_each(|(_, value)| *value = None);
                net.extend(
                    there.iter().filter(|about| is_of(about)).map(|about| (about.clone(), None)),
                );
            }
            Change::Timer { timer, key, time, namespace, set } => {
                let value = set.then_some((CellBuf::Word(0), 0));
                net.insert(About::Timer(timer.0, key, time, namespace), value);
            }
        }
    }
    net
}

/// The changes of a group as a segment: an increment, or the whole state of a group that has none yet.
fn segment(view: &OperatorView, group: u16, is_first: bool, net: &Net) -> Option<NewSegment> {
    let mut writer = Writer::new(view.schema());
    for (about, value) in net {
        if is_first && value.is_none() {
            continue;
        }
        match about {
            About::State(state, key, entry) => {
                let value = value.as_ref();
                let value =
                    value.map(|(value, stamp)| Stamped { value: value.cell(), stamp: *stamp });
                match entry {
                    Some(entry) => writer.entry(StateId(*state), key.cell(), entry.cell(), value),
                    None => writer.value(StateId(*state), key.cell(), value),
                }
            }
            About::Timer(timer, key, time, namespace) => {
                writer.timer(TimerId(*timer), key.cell(), *time, *namespace, value.is_some());
            }
        }
    }
    let entries = writer.entries();
    (entries > 0).then(|| NewSegment { group, full: is_first, entries, bytes: writer.finish() })
}
