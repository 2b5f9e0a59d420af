//! The content of one key group: its segments put together, in order.

use std::cmp::Ordering;

use bytes::Bytes;
use statehouse_checkpoint::NewSegment;
use statehouse_state::segment::{Reader, Record, Writer};
use statehouse_state::{Cell, KeyGroup, KeyLayout};

use crate::error::Error;
use crate::view::OperatorView;

/// A segment's bytes.
#[derive(Debug, Clone)]
pub(crate) struct SegmentBytes {
    pub(crate) full: bool,
    pub(crate) entries: u64,
    pub(crate) bytes: Bytes,
}

/// The segments of a key group, oldest first.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) group: KeyGroup,
    pub(crate) segments: Vec<SegmentBytes>,
}

impl Content {
    /// The last record about each thing, in the order of states, keys and entries. Those that remove are among them.
    pub(crate) fn last_records<'a>(
        &'a self,
        view: &OperatorView,
        wanted: impl Fn(&Record<'_>) -> bool,
    ) -> Result<Vec<Record<'a>>, Error> {
        let mut records = Vec::new();
        for segment in &self.segments {
            let opened = Reader::open(self.group, &segment.bytes, view.schema());
            let mut reader = opened.map_err(|source| view.state_error(source))?;
            while let Some(record) = reader.next().map_err(|source| view.state_error(source))? {
                if wanted(&record) {
                    records.push(record);
                }
            }
        }
        // Stable: of records about the same thing, the newest stays the last.
        records.sort_by(|one, other| compare(view, one, other));
        let mut kept: Vec<Record<'a>> = Vec::with_capacity(records.len());
        for record in records {
            match kept.last_mut() {
                Some(last) if compare(view, last, &record).is_eq() => *last = record,
                _ => kept.push(record),
            }
        }
        Ok(kept)
    }

    /// What is there: the last records that set something.
    pub(crate) fn records<'a>(
        &'a self,
        view: &OperatorView,
        wanted: impl Fn(&Record<'_>) -> bool,
    ) -> Result<Vec<Record<'a>>, Error> {
        let mut records = self.last_records(view, wanted)?;
        records.retain(sets);
        Ok(records)
    }

    /// The group as one full segment. Yields the segment as it is if it is the only one.
    pub(crate) fn merged(self, view: &OperatorView) -> Result<NewSegment, Error> {
        let group = self.group.0;
        if let [SegmentBytes { full: true, entries, bytes }] = self.segments.as_slice() {
            let (entries, bytes) = (*entries, bytes.to_vec());
            return Ok(NewSegment { group, full: true, entries, bytes });
        }
        let mut writer = Writer::new(view.schema());
        for record in self.records(view, |_| true)? {
            writer.record(&record);
        }
        let entries = writer.entries();
        Ok(NewSegment { group, full: true, entries, bytes: writer.finish() })
    }
}

/// Whether a record sets something, and does not remove it.
pub(crate) fn sets(record: &Record<'_>) -> bool {
    match record {
        Record::Value { value, .. } | Record::Entry { value, .. } => value.is_some(),
        Record::Timer { set, .. } => *set,
    }
}

/// The order of what records are about; equal if it is the same thing.
pub(crate) fn compare(view: &OperatorView, one: &Record<'_>, other: &Record<'_>) -> Ordering {
    let place = |record: &Record<'_>| match record {
        Record::Value { state, .. } | Record::Entry { state, .. } => (false, state.0),
        Record::Timer { timer, .. } => (true, timer.0),
    };
    let keys = || cells(view.schema().key(), one.key(), other.key());
    place(one).cmp(&place(other)).then_with(keys).then_with(|| match (one, other) {
        (Record::Entry { state, entry, .. }, Record::Entry { entry: theirs, .. }) => {
            let layout = view.state(*state).entry_key().unwrap_or(KeyLayout::Bytes);
            cells(layout, *entry, *theirs)
        }
        (
            Record::Timer { time, namespace, .. },
            Record::Timer { time: other_time, namespace: other_namespace, .. },
        ) => (time, namespace).cmp(&(other_time, other_namespace)),
        _ => Ordering::Equal,
    })
}

/// The order of cells of that layout.
pub(crate) fn cells(layout: KeyLayout, one: Cell<'_>, other: Cell<'_>) -> Ordering {
    match (layout, one, other) {
        (KeyLayout::S64, Cell::Word(one), Cell::Word(other)) => (one as i64).cmp(&(other as i64)),
        _ => one.cmp(&other),
    }
}
