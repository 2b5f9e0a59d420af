//! What differs between two checkpoints, without reading what both share.
//!
//! A key group whose chain is the same in both, and tables with the same files, are not read. Of chains with the same
//! beginning only the ends are read: they name what was written since. What a value was before is in the beginning
//! then, and is not known unless it is read as well ([`DiffOptions::values_before`]). Groups without a common beginning
//! are read and compared as a whole.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::sync::Arc;

use statehouse_checkpoint::{SegmentRef, TablesRef};
use statehouse_state::segment::Record;
use statehouse_state::{KeyGroup, KeyGroupRange};

use crate::content::{Content, compare, sets};
use crate::error::Error;
use crate::groups::{Groups, Source};
use crate::inside::Inside;
use crate::row::Row;
use crate::view::{OperatorView, Part};

/// What is compared, and how closely.
#[derive(Debug, Clone, Default)]
pub struct DiffOptions {
    /// Only this operator.
    pub operator: Option<String>,
    /// Only the state or timers of this name.
    pub part: Option<String>,
    /// Reads what both share of a key group that differs, so that every old value is known.
    pub values_before: bool,
}

/// What one side has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Side<'a> {
    /// It is not there.
    Absent,
    /// It is there.
    Present(Row<'a>),
    /// What it is lies in what both share, and was not read.
    Shared,
}

/// A row that is not the same on both sides.
#[derive(Debug, Clone, Copy)]
pub struct Difference<'a> {
    /// Which row; its value is of no meaning here.
    pub row: Row<'a>,
    /// What the first has.
    pub old: Side<'a>,
    /// What the second has.
    pub new: Side<'a>,
}

impl Difference<'_> {
    /// What happened from the first to the second, in one word.
    pub fn kind(&self) -> &'static str {
        match (self.old, self.new) {
            (Side::Absent, Side::Present(_)) => "added",
            (_, Side::Absent) => "removed",
            (Side::Present(_), Side::Present(_)) => "changed",
            // Whether it was there before is not known.
            (Side::Shared, Side::Present(_)) => "set",
            // Only the first has written it since they went different ways.
            (_, Side::Shared) => "reset",
        }
    }
}

/// How much a comparison had to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compared {
    /// Rows that differ.
    pub differences: u64,
    /// Key groups that were not read, because both have the same segments or tables.
    pub groups_same: u64,
    /// Key groups of which only the ends of the chains were read.
    pub groups_ends: u64,
    /// Key groups that were read as a whole.
    pub groups_whole: u64,
}

/// Is called with each difference.
type Visit<'v, E> = dyn FnMut(&OperatorView, &Difference<'_>) -> Result<(), E> + 'v;

impl Inside {
    /// Calls with every row that differs from this one to `other`: operator by operator, in the order of a scan.
    ///
    /// # Errors
    /// If the two have no common form, something cannot be read, or `visit` fails.
    pub async fn diff<E: From<Error>>(
        &self,
        other: &Self,
        options: &DiffOptions,
        visit: &mut Visit<'_, E>,
    ) -> Result<Compared, E> {
        if self.manifest.key_groups != other.manifest.key_groups {
            let (mine, theirs) = (self.manifest.key_groups, other.manifest.key_groups);
            let reason =
                format!("{} has {mine} key groups, and {} has {theirs}", self.name, other.name);
            return Err(Error::Incomparable { reason }.into());
        }
        let mut compared = Compared::default();
        let mut count = |view: &OperatorView, difference: &Difference<'_>| {
            compared.differences += 1;
            visit(view, difference)
        };
        let mut totals = Compared::default();
        let (mine, theirs) = (self.operators()?, other.operators()?);
        if let Some(wanted) = &options.operator
            && !mine.iter().chain(&theirs).any(|view| view.id() == wanted)
        {
            self.operator(wanted)?;
        }
        let gone = mine.iter().filter(|view| theirs.iter().all(|other| other.id() != view.id()));
        for view in theirs.iter().chain(gone) {
            if options.operator.as_ref().is_some_and(|wanted| wanted != view.id()) {
                continue;
            }
            let of = |views: &[OperatorView]| {
                views.iter().find(|other| other.id() == view.id()).cloned()
            };
            let pair = Pair::new(of(&mine), of(&theirs), options)?;
            pair.groups(self, other, options, &mut totals, &mut count).await?;
            pair.tasks(self, other, &mut count).await?;
        }
        Ok(Compared { differences: compared.differences, ..totals })
    }
}

/// One operator on both sides; `None` where it is not there. Both views declare the same.
struct Pair {
    old: Option<Arc<OperatorView>>,
    new: Option<Arc<OperatorView>>,
    part: Option<Part>,
}

impl Pair {
    fn new(
        old: Option<OperatorView>,
        new: Option<OperatorView>,
        options: &DiffOptions,
    ) -> Result<Self, Error> {
        let (old, new) = match (old, new) {
            (Some(old), Some(new)) => {
                let new = new.joined(&old)?;
                (Some(old.described_as(&new)), Some(new))
            }
            alone => alone,
        };
        let view = new.as_ref().or(old.as_ref()).expect("one side has the operator");
        let part = options.part.as_deref().map(|name| view.part(name)).transpose()?;
        Ok(Self { old: old.map(Arc::new), new: new.map(Arc::new), part })
    }

    fn view(&self) -> &Arc<OperatorView> {
        self.new.as_ref().or(self.old.as_ref()).expect("one side has the operator")
    }

    async fn groups<E: From<Error>>(
        &self,
        old: &Inside,
        new: &Inside,
        options: &DiffOptions,
        totals: &mut Compared,
        visit: &mut Visit<'_, E>,
    ) -> Result<(), E> {
        let view = self.view();
        let plan = self.plan(options, totals);
        let olds: Vec<_> = plan.iter().map(|planned| (planned.group, planned.old)).collect();
        let news: Vec<_> = plan.iter().map(|planned| (planned.group, planned.new)).collect();
        let mut olds = Groups::new(view, &old.store, &old.folders, &olds);
        let mut news = Groups::new(view, &new.store, &old.folders, &news);
        for planned in &plan {
            let (Some(old), Some(new)) = (olds.next().await?, news.next().await?) else {
                unreachable!("every group that was asked for is yielded");
            };
            self.group(&old, &new, planned.ends, visit)?;
        }
        Ok(())
    }

    /// What is to be read.
    fn plan(&self, options: &DiffOptions, totals: &mut Compared) -> Vec<Planned<'_>> {
        if matches!(self.part, Some(Part::Task(_))) {
            return Vec::new();
        }
        let mut plan = Vec::new();
        for group in KeyGroupRange::all(self.view().key_groups()).iter() {
            let old = self.old.as_deref().map_or(Source::Nothing, |view| view.source(group));
            let new = self.new.as_deref().map_or(Source::Nothing, |view| view.source(group));
            let planned = Planned::new(group, old, new, options.values_before);
            match planned {
                None if old == Source::Nothing => {}
                None => totals.groups_same += 1,
                Some(planned) if planned.ends => {
                    totals.groups_ends += 1;
                    plan.push(planned);
                }
                Some(planned) => {
                    totals.groups_whole += 1;
                    plan.push(planned);
                }
            }
        }
        plan
    }

    fn group<E: From<Error>>(
        &self,
        old: &Content,
        new: &Content,
        ends: bool,
        visit: &mut Visit<'_, E>,
    ) -> Result<(), E> {
        let view = self.view();
        let wanted = |record: &Record<'_>| self.part.is_none_or(|part| part == part_of(record));
        let (old, new) = (old.last_records(view, wanted)?, new.last_records(view, wanted)?);
        let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
        let unnamed = if ends { Side::Shared } else { Side::Absent };
        while let Some((one, other)) = next_pair(view, &mut old, &mut new) {
            let some = other.or(one).expect("one of the two has a record");
            let row = Row::of(view, some);
            let difference = Difference {
                row,
                old: one.map_or(unnamed, |record| present(view, record)),
                new: other.map_or(unnamed, |record| present(view, record)),
            };
            if difference.old != difference.new {
                visit(view, &difference)?;
            }
        }
        Ok(())
    }

    async fn tasks<E: From<Error>>(
        &self,
        old: &Inside,
        new: &Inside,
        visit: &mut Visit<'_, E>,
    ) -> Result<(), E> {
        let refs = |view: &Option<Arc<OperatorView>>| {
            let tasks = view.iter().flat_map(|view| &view.recorded.tasks);
            tasks.map(|task| (task.task, task.state.clone())).collect::<Vec<_>>()
        };
        if refs(&self.old) == refs(&self.new)
            || matches!(self.part, Some(Part::State(_) | Part::Timer(_)))
        {
            return Ok(());
        }
        let view = self.view();
        let read = async |inside: &Inside, view: &Option<Arc<OperatorView>>| match view {
            Some(view) => inside.task_states(view).await,
            None => Ok(Vec::new()),
        };
        let (olds, news) = (read(old, &self.old).await?, read(new, &self.new).await?);
        let mut pairs = BTreeMap::new();
        for row in olds.iter().flat_map(|states| states.rows(view)) {
            pairs.insert((row.part, row.owner, row.within), (Side::Present(row), Side::Absent));
        }
        for row in news.iter().flat_map(|states| states.rows(view)) {
            let pair = pairs.entry((row.part, row.owner, row.within));
            pair.or_insert((Side::Absent, Side::Absent)).1 = Side::Present(row);
        }
        for ((part, owner, within), (old, new)) in pairs {
            if old != new && self.part.is_none_or(|wanted| wanted == part) {
                let row = Row { part, owner, within, value: None, expires_ms: None };
                visit(view, &Difference { row, old, new })?;
            }
        }
        Ok(())
    }
}

/// A key group that is to be read.
struct Planned<'m> {
    group: KeyGroup,
    old: Source<'m>,
    new: Source<'m>,
    /// Whether only the ends of the chains are read.
    ends: bool,
}

impl<'m> Planned<'m> {
    /// `None` if both are the same.
    fn new(group: KeyGroup, old: Source<'m>, new: Source<'m>, values_before: bool) -> Option<Self> {
        match (old, new) {
            (Source::Nothing, Source::Nothing) => None,
            (Source::Segments(one), Source::Segments(other)) => {
                let common = common(one, other);
                if common == one.len() && common == other.len() {
                    return None;
                }
                let ends = common > 0 && !values_before;
                let from = if ends { common } else { 0 };
                let (old, new) = (Source::Segments(&one[from..]), Source::Segments(&other[from..]));
                Some(Self { group, old, new, ends })
            }
            (Source::Tables(one), Source::Tables(other)) if are_same(one, other) => None,
            _ => Some(Self { group, old, new, ends: false }),
        }
    }
}

/// How many segments two chains have in common at the beginning.
fn common(one: &[SegmentRef], other: &[SegmentRef]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// Whether two sets of tables hold the same. Files that are made anew each time say nothing: they only list the others.
fn are_same(one: &TablesRef, other: &TablesRef) -> bool {
    let contents = |tables: &TablesRef| {
        let lasting = tables.files.iter().filter(|file| file.identity.is_some());
        let mut contents: Vec<_> =
            lasting.map(|file| (file.identity.clone(), file.content.size_bytes())).collect();
        contents.sort();
        contents
    };
    one.files == other.files
        || (one.start, one.end, contents(one)) == (other.start, other.end, contents(other))
}

fn part_of(record: &Record<'_>) -> Part {
    match record {
        Record::Value { state, .. } | Record::Entry { state, .. } => Part::State(*state),
        Record::Timer { timer, .. } => Part::Timer(*timer),
    }
}

fn present<'a>(view: &OperatorView, record: &Record<'a>) -> Side<'a> {
    if sets(record) { Side::Present(Row::of(view, record)) } else { Side::Absent }
}

/// The next record of both, if they are about the same thing, or of the one that comes first.
fn next_pair<'r, 'a>(
    view: &OperatorView,
    old: &mut Peekable<impl Iterator<Item = &'r Record<'a>>>,
    new: &mut Peekable<impl Iterator<Item = &'r Record<'a>>>,
) -> Option<(Option<&'r Record<'a>>, Option<&'r Record<'a>>)>
where
    'a: 'r,
{
    let order = match (old.peek(), new.peek()) {
        (None, None) => return None,
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (Some(one), Some(other)) => compare(view, one, other),
    };
    let one = if order.is_le() { old.next() } else { None };
    let other = if order.is_ge() { new.next() } else { None };
    Some((one, other))
}
