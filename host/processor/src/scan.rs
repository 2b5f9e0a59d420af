//! Reading rows: of one key, of one state, of a whole operator; and counting them.

use std::collections::BTreeMap;
use std::sync::Arc;

use statehouse_operator::CellBuf;
use statehouse_state::segment::Record;
use statehouse_state::{Cell, TaskStateKind, TaskStates};

use crate::error::Error;
use crate::groups::Groups;
use crate::inside::Inside;
use crate::row::{Owner, Row, Within};
use crate::view::{OperatorView, Part};

/// Which rows are wanted.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those of this state, or these timers.
    pub part: Option<Part>,
    /// Only those of this key. Only its key group is read then.
    pub key: Option<CellBuf>,
    /// No more than so many.
    pub limit: Option<u64>,
}

impl Filter {
    fn wants_part(&self, part: Part) -> bool {
        self.part.is_none_or(|wanted| wanted == part)
    }

    fn wants(&self, record: &Record<'_>) -> bool {
        let part = match record {
            Record::Value { state, .. } | Record::Entry { state, .. } => Part::State(*state),
            Record::Timer { timer, .. } => Part::Timer(*timer),
        };
        self.wants_part(part) && self.key.as_ref().is_none_or(|key| key.cell() == record.key())
    }
}

/// How much there is of one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Values, entries, timers or elements.
    pub entries: u64,
    /// Bytes of their keys and values, without what any form of storage adds.
    pub bytes: u64,
}

impl Inside {
    /// Calls with every row that the filter wants: key group by key group, within one by state, key and entry; task
    /// states at the end. Returns whether that was all, or the limit came first.
    ///
    /// # Errors
    /// If something cannot be read, or `visit` fails.
    pub async fn scan<E: From<Error>>(
        &self,
        view: &OperatorView,
        filter: &Filter,
        visit: &mut dyn FnMut(&Row<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        let mut left = filter.limit.unwrap_or(u64::MAX);
        if !matches!(filter.part, Some(Part::Task(_))) {
            let mut groups = self.groups(view, filter.key.as_ref());
            while let Some(content) = groups.next().await? {
                for record in content.records(view, |record| filter.wants(record))? {
                    if left == 0 {
                        return Ok(false);
                    }
                    left -= 1;
                    visit(&Row::of(view, &record))?;
                }
            }
        }
        if filter.key.is_none() {
            for states in self.task_states(view).await? {
                let mut rows = states.rows(view);
                rows.retain(|row| filter.wants_part(row.part));
                for row in rows {
                    if left == 0 {
                        return Ok(false);
                    }
                    left -= 1;
                    visit(&row)?;
                }
            }
        }
        Ok(true)
    }

    /// How many rows each state of an operator has, and of what size. Reads all of them.
    ///
    /// # Errors
    /// If something cannot be read.
    pub async fn count(&self, view: &OperatorView) -> Result<BTreeMap<Part, Counted>, Error> {
        let mut counted: BTreeMap<Part, Counted> =
            view.parts().into_iter().map(|part| (part, Counted::default())).collect();
        self.scan::<Error>(view, &Filter::default(), &mut |row| {
            let of_part = counted.entry(row.part).or_default();
            of_part.entries += 1;
            of_part.bytes += row_bytes(row);
            Ok(())
        })
        .await?;
        Ok(counted)
    }

    /// The groups of an operator that have content, or the one of a key.
    pub(crate) fn groups(&self, view: &OperatorView, key: Option<&CellBuf>) -> Groups {
        let view = Arc::new(view.clone());
        let mut sources = view.sources();
        if let Some(key) = key {
            let wanted = view.group_of(key);
            sources.retain(|(group, _)| *group == wanted);
        }
        Groups::new(&view, &self.store, &self.folders, &sources)
    }

    /// The task states of each task that has any.
    pub(crate) async fn task_states(&self, view: &OperatorView) -> Result<Vec<OfTask>, Error> {
        let tasks = view.recorded.tasks.iter();
        let tasks: Vec<_> =
            tasks.filter_map(|task| Some((task.task, task.state.as_ref()?))).collect();
        let mut reader = self.store.read_segments(tasks.iter().map(|(_, state)| *state));
        let mut all = Vec::new();
        for (task, _) in tasks {
            let bytes = reader.next().await?.expect("the reader yields as many as it was given");
            let declarations = &view.description().task_states;
            let states = TaskStates::restore(declarations, &[bytes], 0, 1);
            let states = states.map_err(|source| view.state_error(source))?;
            all.push(OfTask { task, first: all.is_empty(), states });
        }
        Ok(all)
    }
}

/// The task states of one task.
pub(crate) struct OfTask {
    task: u32,
    first: bool,
    states: TaskStates,
}

impl OfTask {
    /// Its rows. Broadcast states are the same everywhere, so only the first task shows them.
    pub(crate) fn rows<'a>(&'a self, view: &OperatorView) -> Vec<Row<'a>> {
        let mut rows = Vec::new();
        for (id, declared) in (0..).zip(&view.description().task_states) {
            let part = Part::Task(id);
            let owner = Owner::Task(self.task);
            let row =
                |within, value| Row { part, owner, within, value: Some(value), expires_ms: None };
            if declared.kind != TaskStateKind::Broadcast {
                let elements = self.states.list(id).expect("it is a list");
                let elements = (0..elements.len()).map(|at| (at as u64, elements.cell(at)));
                rows.extend(elements.map(|(at, value)| row(Within::Element(at), value)));
            } else if self.first {
                let map = self.states.cells(id).expect("it is a map");
                rows.extend(map.map(|(key, value)| row(Within::MapKey(key), value)));
            }
        }
        rows
    }
}

/// Bytes of a row's key and value.
fn row_bytes(row: &Row<'_>) -> u64 {
    let cell = |cell: Cell<'_>| match cell {
        Cell::Word(_) => 8,
        Cell::Bytes(bytes) => bytes.len() as u64,
    };
    let owner = match row.owner {
        Owner::Key(key) => cell(key),
        Owner::Task(_) => 0,
    };
    let within = match row.within {
        Within::Only => 0,
        Within::MapKey(key) => cell(key),
        Within::Element(_) => 8,
        Within::Timer(..) => 16,
    };
    owner + within + row.value.map_or(0, cell)
}
