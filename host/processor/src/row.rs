//! Rows: what is in a state, as people see it. A value, a collection's entry, a timer, or an element of a task state.

use serde_json::{Map, Value, json};
use statehouse_state::segment::{Record, Stamped};
use statehouse_state::ttl::NO_STAMP;
use statehouse_state::{Cell, StateKind, TimeDomain};

use crate::view::{OperatorView, Part};

/// Whose something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner<'a> {
    /// A key's.
    Key(Cell<'a>),
    /// A task's.
    Task(u32),
}

/// What tells rows of one state and owner apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Within<'a> {
    /// There is only one.
    Only,
    /// The key in a map.
    MapKey(Cell<'a>),
    /// The number of an element of a list; numbers rise, and may have gaps.
    Element(u64),
    /// When a timer fires, and its namespace.
    Timer(i64, u64),
}

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// The state or timers.
    pub part: Part,
    /// Whose it is.
    pub owner: Owner<'a>,
    /// Which one it is.
    pub within: Within<'a>,
    /// The value; timers have none.
    pub value: Option<Cell<'a>>,
    /// When it expires, in milliseconds since 1970 on the clock of its time-to-live; `None` without one.
    pub expires_ms: Option<i64>,
}

impl<'a> Row<'a> {
    /// What a record sets, or which row it removes.
    pub(crate) fn of(view: &OperatorView, record: &Record<'a>) -> Self {
        let (part, within, value) = match *record {
            Record::Value { state, value, .. } => (Part::State(state), Within::Only, value),
            Record::Entry { state, entry, value, .. } => {
                let within = match (view.state(state).kind, entry) {
                    (StateKind::List, Cell::Word(number)) => Within::Element(number),
                    _ => Within::MapKey(entry),
                };
                (Part::State(state), within, value)
            }
            Record::Timer { timer, time, namespace, .. } => {
                (Part::Timer(timer), Within::Timer(time, namespace), None)
            }
        };
        Self {
            part,
            owner: Owner::Key(record.key()),
            within,
            value: value.map(|value| value.value),
            expires_ms: value.and_then(|value| expiry(view, part, value)),
        }
    }
}

fn expiry(view: &OperatorView, part: Part, value: Stamped<'_>) -> Option<i64> {
    let Part::State(state) = part else { return None };
    let ttl = view.state(state).ttl?;
    let lives = i64::try_from(ttl.milliseconds).unwrap_or(i64::MAX);
    (value.stamp != NO_STAMP).then(|| value.stamp.saturating_add(lives))
}

impl OperatorView {
    /// A row as a JSON object: what `--json` prints, and what an import reads.
    pub fn json(&self, row: &Row<'_>) -> Map<String, Value> {
        let mut object = self.json_identity(row);
        if let (Some(value), Some(form)) = (row.value, self.value_form(row.part)) {
            object.insert("value".to_owned(), form.render(value));
        }
        if let Some(expires) = row.expires_ms {
            object.insert("expires_ms".to_owned(), json!(expires));
        }
        object
    }

    /// The members of a row that say which one it is.
    pub fn json_identity(&self, row: &Row<'_>) -> Map<String, Value> {
        let mut object = Map::new();
        let mut put = |name: &str, value| object.insert(name.to_owned(), value);
        put("operator", json!(self.id()));
        let what = if matches!(row.part, Part::Timer(_)) { "timer" } else { "state" };
        put(what, json!(self.name(row.part)));
        match row.owner {
            Owner::Key(key) => put("key", self.render_key(key)),
            Owner::Task(task) => put("task", json!(task)),
        };
        match row.within {
            Within::Only => {}
            Within::MapKey(key) => {
                put(
                    "map_key",
                    self.map_key_form(row.part).map_or(Value::Null, |form| form.render(key)),
                );
            }
            Within::Element(number) => {
                put("element", json!(number));
            }
            Within::Timer(time, namespace) => {
                put("time", json!(time));
                if namespace != 0 {
                    put("namespace", json!(namespace));
                }
            }
        }
        object
    }

    pub(crate) fn render_key(&self, key: Cell<'_>) -> Value {
        self.key_form().map_or(Value::Null, |form| form.render(key))
    }

    /// The clock that a part's times are on, if it has any.
    pub fn clock(&self, part: Part) -> Option<TimeDomain> {
        match part {
            Part::State(id) => self.state(id).ttl.map(|ttl| ttl.domain),
            Part::Timer(id) => Some(self.timer(id).domain),
            Part::Task(_) => None,
        }
    }
}
