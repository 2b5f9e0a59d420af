//! Requests to change something: from the command line, and rows of an import.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use statehouse_operator::CellBuf;
use statehouse_state::ttl::NO_STAMP;
use statehouse_state::{StateId, StateKind, TimeDomain, TimerId};

use super::{Change, Edits, OfOperator};
use crate::error::{Error, known};
use crate::inside::Inside;
use crate::view::{OperatorView, Part};

/// The members that a row of an import may have.
const MEMBERS: [&str; 11] = [
    "operator",
    "state",
    "timer",
    "key",
    "map_key",
    "element",
    "value",
    "expires_ms",
    "time",
    "namespace",
    "removed",
];

impl Edits {
    /// Nothing to be changed yet. `now_ms` is the time that values with a time-to-live on the host's clock are stamped
    /// with.
    pub fn new(inside: &Inside, now_ms: i64) -> Self {
        let (place, manifest) = (inside.name.clone(), inside.manifest.clone());
        Self { place, manifest, now_ms, operators: BTreeMap::new() }
    }

    /// Whether nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        self.operators.is_empty()
    }

    /// Sets what a key has in `operator.state`: a value, or all elements of a list, or all entries of a map.
    ///
    /// # Errors
    /// If there is no such state, or key or value are of another type.
    pub fn set(&mut self, name: &str, key: &str, value: &str) -> Result<(), Error> {
        let (view, state) = self.keyed_state(name)?;
        let key = view.parse_key(key)?;
        let part = Part::State(state);
        if view.state(state).kind.is_cell() {
            let form = view.value_form(part).expect("states have values");
            let value = form
                .parse_text(value)
                .map_err(|reason| no_value(&view, part, &format!("`{value}`"), reason))?;
            let stamp = self.stamp(&view, state, None);
            self.push(view, Change::Put { state, key, entry: None, value, stamp });
            return Ok(());
        }
        let error = |reason| no_value(&view, part, &format!("`{value}`"), reason);
        let json: Value =
            serde_json::from_str(value).map_err(|source| error(source.to_string()))?;
        let entries = entries(&view, state, &json).map_err(error)?;
        let stamp = self.stamp(&view, state, None);
        self.push(view.clone(), Change::Clear { state, key: key.clone() });
        for (entry, value) in entries {
            let (key, entry) = (key.clone(), Some(entry));
            self.push(view.clone(), Change::Put { state, key, entry, value, stamp });
        }
        Ok(())
    }

    /// Deletes what a key has in `operator.state`.
    ///
    /// # Errors
    /// If there is no such state, or the key is of another type.
    pub fn delete(&mut self, name: &str, key: &str) -> Result<(), Error> {
        let (view, state) = self.keyed_state(name)?;
        let key = view.parse_key(key)?;
        let is_cell = view.state(state).kind.is_cell();
        self.push(
            view,
            if is_cell {
                Change::Remove { state, key, entry: None }
            } else {
                Change::Clear { state, key }
            },
        );
        Ok(())
    }

    /// Sets or removes what a row says, in the form in which rows are printed. `"removed": true` removes it.
    ///
    /// # Errors
    /// If the row does not say which value it is about, or anything is of another type.
    pub fn row(&mut self, row: &Map<String, Value>) -> Result<(), Error> {
        let refused = |reason: String| Error::Refused { reason };
        if row.contains_key("task") {
            return Err(refused("it is of a task state, which cannot be edited".to_owned()));
        }
        if let Some(member) = row.keys().find(|member| !MEMBERS.contains(&member.as_str())) {
            let known = MEMBERS.join("`, `");
            return Err(refused(format!("`{member}` is no member of a row; there are `{known}`")));
        }
        let text = |member: &str| match row.get(member) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(other) => Err(refused(format!("`{member}` is {other} and must be a name"))),
        };
        let view = self.operator_of(text("operator")?)?;
        let key = row.get("key").ok_or_else(|| refused("the row has no `key`".to_owned()))?;
        let key = view.read_key(key)?;
        let removed = match row.get("removed") {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::Bool(true)) => true,
            Some(other) => {
                return Err(refused(format!("`removed` is {other}, and no truth value")));
            }
        };
        let change = match (text("state")?, text("timer")?) {
            (Some(state), None) => match view.part(state)? {
                Part::State(state) => self.of_state(&view, state, key, row, removed)?,
                _ => return Err(refused(format!("`{state}` is no keyed state"))),
            },
            (None, Some(timer)) => {
                let timers = view.timers();
                let id = timers.iter().position(|named| named.name == timer);
                let id = id.ok_or_else(|| Error::NoState {
                    operator: view.id().to_owned(),
                    name: timer.to_owned(),
                    known: known(timers.iter().map(|timer| timer.name.as_str())),
                })?;
                let time =
                    integer(row, "time")?.ok_or_else(|| refused("it has no `time`".into()))?;
                let namespace = match row.get("namespace") {
                    None | Some(Value::Null) => 0,
                    Some(number) => number
                        .as_u64()
                        .ok_or_else(|| refused(format!("`namespace` is {number}, and no u64")))?,
                };
                let timer = TimerId(id as u32);
                Change::Timer { timer, key, time, namespace, set: !removed }
            }
            _ => return Err(refused("the row must have one of `state` and `timer`".to_owned())),
        };
        self.push(view, change);
        Ok(())
    }

    /// What a row of a keyed state comes to.
    fn of_state(
        &self,
        view: &OperatorView,
        state: StateId,
        key: CellBuf,
        row: &Map<String, Value>,
        removed: bool,
    ) -> Result<Change, Error> {
        let part = Part::State(state);
        let refused = |reason: String| Error::Refused { reason };
        let given = |member: &str| row.get(member).filter(|value| !value.is_null());
        let entry = match (view.state(state).kind, given("map_key"), given("element")) {
            (StateKind::Map, Some(map_key), None) => {
                let form = view.map_key_form(part).expect("maps have map keys");
                Some(
                    form.parse(map_key)
                        .map_err(|reason| refused(format!("`map_key`: {reason}")))?,
                )
            }
            (StateKind::List, None, Some(element)) => {
                // The host numbers on from the highest, so the upper half is out of bounds.
                let number = element.as_u64().filter(|number| *number < 1 << 62);
                let number = number
                    .ok_or_else(|| refused(format!("`element` {element} is no number of one")))?;
                Some(CellBuf::Word(number))
            }
            (StateKind::Map | StateKind::List, None, None) if removed => {
                return Ok(Change::Clear { state, key });
            }
            (StateKind::Map, ..) => {
                return Err(refused("a row of a map has a `map_key`".to_owned()));
            }
            (StateKind::List, ..) => {
                return Err(refused("a row of a list has an `element`".to_owned()));
            }
            (_, None, None) => None,
            _ => {
                let name = view.name(part);
                return Err(refused(format!("state `{name}` has neither map keys nor elements")));
            }
        };
        if removed {
            return Ok(Change::Remove { state, key, entry });
        }
        let value = row.get("value").ok_or_else(|| refused("the row has no `value`".to_owned()))?;
        let form = view.value_form(part).expect("states have values");
        let value =
            form.parse(value).map_err(|reason| no_value(view, part, &value.to_string(), reason))?;
        let stamp = self.stamp(view, state, integer(row, "expires_ms")?);
        Ok(Change::Put { state, key, entry, value, stamp })
    }

    /// The stamp of a value: that of the expiry given, else now on the host's clock. On event time there is no now.
    fn stamp(&self, view: &OperatorView, state: StateId, expires_ms: Option<i64>) -> i64 {
        let Some(ttl) = view.state(state).ttl else { return NO_STAMP };
        let lives = i64::try_from(ttl.milliseconds).unwrap_or(i64::MAX);
        match (expires_ms, ttl.domain) {
            (Some(expires), _) => expires.saturating_sub(lives).max(NO_STAMP + 1),
            (None, TimeDomain::ProcessingTime) => self.now_ms,
            (None, TimeDomain::EventTime) => NO_STAMP,
        }
    }

    fn keyed_state(&self, name: &str) -> Result<(OperatorView, StateId), Error> {
        let refused = |reason: String| Error::Refused { reason };
        let (view, part) = OperatorView::find_part(&self.manifest, &self.place, name)?;
        match part {
            Some(Part::State(state)) => Ok((view, state)),
            Some(Part::Timer(_)) => {
                Err(refused(format!("`{name}` are timers: import rows with `timer` and `time`")))
            }
            Some(Part::Task(_)) => {
                Err(refused(format!("`{name}` is a task state, which cannot be edited")))
            }
            None => Err(refused(format!("`{name}` names no state: write operator.state"))),
        }
    }

    /// The operator of a row; the only one if it is not named.
    fn operator_of(&self, name: Option<&str>) -> Result<OperatorView, Error> {
        if let Some(name) = name {
            if let Some(edited) = self.operators.get(name) {
                return Ok(edited.view.clone());
            }
            return OperatorView::find(&self.manifest, &self.place, name);
        }
        let all = OperatorView::all(&self.manifest)?;
        match <[OperatorView; 1]>::try_from(all) {
            Ok([only]) => Ok(only),
            Err(all) => {
                let known = known(all.iter().map(OperatorView::id));
                Err(Error::Refused { reason: format!("the row has no `operator`; {known}") })
            }
        }
    }

    fn push(&mut self, view: OperatorView, change: Change) {
        let group = view.group_of(change.key());
        let operator = self.operators.entry(view.id().to_owned());
        let operator = operator.or_insert_with(|| OfOperator { view, groups: BTreeMap::new() });
        operator.groups.entry(group.0).or_default().push(change);
    }
}

/// The entries of a whole list or map.
fn entries(
    view: &OperatorView,
    state: StateId,
    json: &Value,
) -> Result<Vec<(CellBuf, CellBuf)>, String> {
    let part = Part::State(state);
    let value = view.value_form(part).expect("states have values");
    match (view.map_key_form(part), json) {
        (None, Value::Array(items)) => {
            let element = |(number, item)| Ok((CellBuf::Word(number), value.parse(item)?));
            (0..).zip(items).map(element).collect()
        }
        (None, _) => Err("a list is written as a JSON list of its elements".to_owned()),
        (Some(key), Value::Object(named)) => {
            let entry =
                |(name, item): (&String, &Value)| Ok((key.parse_text(name)?, value.parse(item)?));
            named.iter().map(entry).collect()
        }
        (Some(key), Value::Array(pairs)) => {
            let entry = |pair: &Value| match pair.as_array().map(Vec::as_slice) {
                Some([name, item]) => Ok((key.parse(name)?, value.parse(item)?)),
                _ => Err(format!("{pair} is no pair of a map key and a value")),
            };
            pairs.iter().map(entry).collect()
        }
        (Some(_), _) => Err("a map is written as a JSON object, or a list of pairs".to_owned()),
    }
}

fn integer(row: &Map<String, Value>, member: &str) -> Result<Option<i64>, Error> {
    match row.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_i64().map(Some).ok_or_else(|| Error::Refused {
            reason: format!("`{member}` is {value}, and no number of milliseconds"),
        }),
    }
}

fn no_value(view: &OperatorView, part: Part, text: &str, reason: String) -> Error {
    let (operator, state) = (view.id().to_owned(), view.name(part).to_owned());
    Error::Value { operator, state, text: text.to_owned(), reason }
}
