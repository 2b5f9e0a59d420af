//! The key groups of an operator, one after the other, whatever form the manifest has them in.
//!
//! Chains are read segment by segment. Tables are fetched to a temporary folder, and read there by a thread of its own
//! that hands each key group over as one full segment, so that what comes after sees segments only. At most a few
//! groups are in memory at a time.

use std::collections::VecDeque;
use std::sync::Arc;

use statehouse_checkpoint::{CheckpointStore, SegmentReader, SegmentRef, TablesRef};
use statehouse_state::{KeyGroup, KeyGroupRange};

use crate::content::{Content, SegmentBytes};
use crate::error::Error;
use crate::tables::{Folders, TableGroups};
use crate::view::OperatorView;

/// Where the content of a key group is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Source<'m> {
    /// Nowhere: it has none.
    Nothing,
    /// In segments, of which the first need not be full.
    Segments(&'m [SegmentRef]),
    /// In tables, with others.
    Tables(&'m TablesRef),
}

impl OperatorView {
    /// Where the content of a group is.
    pub(crate) fn source(&self, group: KeyGroup) -> Source<'_> {
        let number = u32::from(group.0);
        let holds = |tables: &&TablesRef| (tables.start..tables.end).contains(&number);
        match (self.recorded.groups.get(&group.0), self.recorded.tables.iter().find(holds)) {
            (Some(chain), _) => Source::Segments(chain),
            (None, Some(tables)) => Source::Tables(tables),
            (None, None) => Source::Nothing,
        }
    }

    /// The groups that may have content, with where it is.
    pub(crate) fn sources(&self) -> Vec<(KeyGroup, Source<'_>)> {
        let all = KeyGroupRange::all(self.key_groups()).iter();
        let all = all.map(|group| (group, self.source(group)));
        all.filter(|(_, source)| *source != Source::Nothing).collect()
    }
}

/// What is to be read next.
enum Step {
    Group(KeyGroup, Vec<(bool, u64)>),
    Tables(TablesRef, KeyGroupRange),
}

/// Reads groups in the order in which they were asked for.
pub(crate) struct Groups {
    view: Arc<OperatorView>,
    store: CheckpointStore,
    folders: Folders,
    steps: VecDeque<Step>,
    segments: SegmentReader,
    tables: Option<TableGroups>,
}

impl Groups {
    /// A reader of these groups. Every one of them is yielded, those without content too.
    pub(crate) fn new(
        view: &Arc<OperatorView>,
        store: &CheckpointStore,
        folders: &Folders,
        sources: &[(KeyGroup, Source<'_>)],
    ) -> Self {
        let (mut steps, mut refs) = (VecDeque::new(), Vec::new());
        for (group, source) in sources {
            match source {
                Source::Nothing => steps.push_back(Step::Group(*group, Vec::new())),
                Source::Segments(segments) => {
                    let attributes = segments.iter().map(|segment| (segment.full, segment.entries));
                    steps.push_back(Step::Group(*group, attributes.collect()));
                    refs.extend(segments.iter());
                }
                Source::Tables(tables) => {
                    let number = u32::from(group.0);
                    match steps.back_mut() {
                        Some(Step::Tables(last, range))
                            if last == *tables && range.end == number =>
                        {
                            range.end += 1;
                        }
                        _ => {
                            let range = KeyGroupRange { start: number, end: number + 1 };
                            steps.push_back(Step::Tables((*tables).clone(), range));
                        }
                    }
                }
            }
        }
        Self {
            view: Arc::clone(view),
            store: store.clone(),
            folders: folders.clone(),
            steps,
            segments: store.read_segments(refs),
            tables: None,
        }
    }

    /// The next group; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Content>, Error> {
        loop {
            if let Some(tables) = &mut self.tables {
                if let Some(content) = tables.next().await? {
                    return Ok(Some(content));
                }
                self.tables = None;
            }
            match self.steps.pop_front() {
                None => return Ok(None),
                Some(Step::Tables(tables, range)) => {
                    let folder = self.folders.fetch(&self.store, &tables).await?;
                    self.tables = Some(TableGroups::start(folder, &self.view, range));
                }
                Some(Step::Group(group, attributes)) => {
                    let mut segments = Vec::with_capacity(attributes.len());
                    for (full, entries) in attributes {
                        let bytes = self.segments.next().await?;
                        let bytes = bytes.expect("the reader yields as many as it was given");
                        segments.push(SegmentBytes { full, entries, bytes });
                    }
                    return Ok(Some(Content { group, segments }));
                }
            }
        }
    }
}
