//! An operator of a manifest, with its state typed by the description that the manifest holds.

use std::fmt;

use statehouse_checkpoint::{Manifest, OperatorState};
use statehouse_operator::{CellBuf, Description, Form, Retired};
use statehouse_state::segment::Schema;
use statehouse_state::{
    KeyGroup, KeyGroups, KeyLayout, StateDeclaration, StateId, TaskStateDeclaration,
    TimerDeclaration, TimerId,
};

use crate::error::{Error, known};

/// One of an operator's states or timer families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// A keyed state.
    State(StateId),
    /// A family of timers.
    Timer(TimerId),
    /// A task state, by its place among the declarations.
    Task(u32),
}

/// An operator and its state. Cloning copies what it declares.
///
/// Its keyed states are those that it declares, then those that are retired: older forms of states, whose values wait
/// for being migrated. Likewise its timers.
#[derive(Debug, Clone)]
pub struct OperatorView {
    /// What the manifest says of it.
    pub(crate) recorded: OperatorState,
    description: Description,
    kept: Kept,
    schema: Schema,
    key_groups: KeyGroups,
    key: Option<Form>,
    states: Vec<State>,
    task_states: Vec<(Form, Option<Form>)>,
}

/// What there is besides what a description declares.
#[derive(Debug, Clone, Default)]
struct Kept {
    /// Whose values wait for being migrated.
    retired: Retired,
    /// Of an earlier or later form of the operator.
    joined: Retired,
}

/// How a keyed state is shown.
#[derive(Debug, Clone)]
struct State {
    name: String,
    value: Form,
    map_key: Option<Form>,
}

impl OperatorView {
    /// The operator's id in the job.
    pub fn id(&self) -> &str {
        &self.recorded.id
    }

    /// What it declared.
    pub fn description(&self) -> &Description {
        &self.description
    }

    pub(crate) fn schema(&self) -> &Schema {
        &self.schema
    }

    pub(crate) fn key_groups(&self) -> KeyGroups {
        self.key_groups
    }

    /// All operators of a manifest that have or declare state.
    ///
    /// # Errors
    /// If a description cannot be read.
    pub fn all(manifest: &Manifest) -> Result<Vec<Self>, Error> {
        let views = manifest.operators.iter().map(|operator| Self::open(manifest, operator));
        let views = views.collect::<Result<Vec<_>, _>>()?;
        Ok(views.into_iter().flatten().filter(Self::declares_anything).collect())
    }

    /// The operator of that id.
    ///
    /// # Errors
    /// If there is none that has or declares state.
    pub fn find(manifest: &Manifest, place: &str, name: &str) -> Result<Self, Error> {
        let mut all = Self::all(manifest)?;
        match all.iter().position(|view| view.id() == name) {
            Some(at) => Ok(all.swap_remove(at)),
            None => Err(Error::NoOperator {
                place: place.to_owned(),
                name: name.to_owned(),
                known: known(all.iter().map(Self::id)),
            }),
        }
    }

    /// The operator, and the state or timers, of a name like `operator.state`. Ids may have dots of their own.
    ///
    /// # Errors
    /// If one of them is not there.
    pub fn find_part(
        manifest: &Manifest,
        place: &str,
        name: &str,
    ) -> Result<(Self, Option<Part>), Error> {
        let mut longest: Option<Self> = None;
        for view in Self::all(manifest)? {
            let rest = name.strip_prefix(view.id());
            let fits = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            if fits && longest.as_ref().is_none_or(|other| other.id().len() < view.id().len()) {
                longest = Some(view);
            }
        }
        let Some(view) = longest else {
            let operator = name.split_once('.').map_or(name, |(operator, _)| operator);
            return Err(Self::find(manifest, place, operator).err().unwrap_or_else(|| {
                Error::Refused { reason: format!("`{name}` names no state: write operator.state") }
            }));
        };
        let part = match name[view.id().len()..].strip_prefix('.') {
            Some(part) => Some(view.part(part)?),
            None => None,
        };
        Ok((view, part))
    }

    /// An operator of the manifest; `None` for sources, sinks and others that describe no state.
    fn open(manifest: &Manifest, recorded: &OperatorState) -> Result<Option<Self>, Error> {
        if recorded.description.is_null() {
            return Ok(None);
        }
        let error = |reason| Error::Description { operator: recorded.id.clone(), reason };
        let description: Description = serde_json::from_value(recorded.description.clone())
            .map_err(|reason| error(reason.to_string()))?;
        let retired = recorded.retired.clone().map(serde_json::from_value).transpose();
        let retired = retired.map_err(|reason| error(format!("its retired states: {reason}")))?;
        let kept = Kept { retired: retired.unwrap_or_default(), joined: Retired::default() };
        let key_groups = KeyGroups::try_from(manifest.key_groups).map_err(error)?;
        Ok(Some(Self::new(recorded.clone(), description, kept, key_groups)))
    }

    fn new(
        recorded: OperatorState,
        description: Description,
        kept: Kept,
        key_groups: KeyGroups,
    ) -> Self {
        let layout = description.state_key().map_or(KeyLayout::Bytes, |key| key.layout);
        let Kept { retired, joined } = &kept;
        let states = [&*description.states, &*retired.states, &*joined.states].concat();
        let timers = [&*description.timers, &*retired.timers, &*joined.timers].concat();
        let declared = description.states.len();
        let retired_ids = declared..declared + retired.states.len();
        let state = |(id, state): (usize, &StateDeclaration)| {
            let named_before = states[..id].iter().any(|other| other.name == state.name);
            let mut name = state.name.clone();
            if retired_ids.contains(&id) || named_before {
                name += &format!("@{}", state.schema_version);
            }
            State { name, value: Form::of_state(state), map_key: Form::of_map_key(state) }
        };
        let tasks = &description.task_states;
        Self {
            schema: Schema::new(layout, &states, &timers),
            key: description.state_key().map(Form::of_key),
            states: states.iter().enumerate().map(state).collect(),
            task_states: tasks
                .iter()
                .map(|state| (Form::of_task_state(state), Form::of_task_map_key(state)))
                .collect(),
            recorded,
            description,
            kept,
            key_groups,
        }
    }

    fn declares_anything(&self) -> bool {
        !self.parts().is_empty() || self.recorded.has_keyed_state()
    }

    /// The same operator, with the states and timers of an earlier or later form of it declared as well.
    ///
    /// # Errors
    /// If keys, or a state of the same name, are of another type there.
    pub(crate) fn joined(&self, other: &Self) -> Result<Self, Error> {
        let refuse = |what: &str| {
            let reason =
                format!("{what} of operator `{}` are of another type in one of them", self.id());
            Err(Error::Incomparable { reason })
        };
        let (mine, theirs) = (self.description.state_key(), other.description.state_key());
        if let (Some(mine), Some(theirs)) = (mine, theirs)
            && !mine.matches(theirs)
        {
            return refuse("the keys");
        }
        let (mut description, mut kept) = (self.description.clone(), self.kept.clone());
        let shape = |s: &StateDeclaration| (s.kind, s.value, s.map_key);
        for state in other.schema.states() {
            match self.schema.states().iter().find(|mine| mine.is_same(state)) {
                None => kept.joined.states.push(state.clone()),
                Some(mine) if shape(mine) == shape(state) => {}
                Some(_) => return refuse(&format!("the values of state `{}`", state.name)),
            }
        }
        for timer in other.schema.timers() {
            match self.schema.timers().iter().find(|mine| mine.name == timer.name) {
                None => kept.joined.timers.push(timer.clone()),
                Some(mine) if mine.domain == timer.domain => {}
                Some(_) => return refuse(&format!("the clocks of the timers `{}`", timer.name)),
            }
        }
        let shape = |s: &TaskStateDeclaration| (s.kind, s.value, s.map_key);
        for state in &other.description.task_states {
            match description.task_states.iter().find(|mine| mine.name == state.name) {
                None => description.task_states.push(state.clone()),
                Some(mine) if shape(mine) == shape(state) => {}
                Some(_) => return refuse(&format!("the values of task state `{}`", state.name)),
            }
        }
        Ok(Self::new(self.recorded.clone(), description, kept, self.key_groups))
    }

    /// The same operator, described as another that declares all that it does.
    pub(crate) fn described_as(&self, other: &Self) -> Self {
        let (description, kept) = (other.description.clone(), other.kept.clone());
        Self::new(self.recorded.clone(), description, kept, self.key_groups)
    }

    /// Whether it holds values that wait for being migrated, or timers under the name that they had before.
    pub fn is_retired(&self, part: Part) -> bool {
        let within = |id: u32, declared: usize, retired: usize| {
            (declared..declared + retired).contains(&(id as usize))
        };
        let (Description { states, timers, .. }, retired) = (&self.description, &self.kept.retired);
        match part {
            Part::State(id) => within(id.0, states.len(), retired.states.len()),
            Part::Timer(id) => within(id.0, timers.len(), retired.timers.len()),
            Part::Task(_) => false,
        }
    }

    /// All states and timers: keyed states first, then timers, then task states.
    pub fn parts(&self) -> Vec<Part> {
        let states = (0..self.states.len()).map(|id| Part::State(StateId(id as u32)));
        let timers = (0..self.schema.timers().len()).map(|id| Part::Timer(TimerId(id as u32)));
        let tasks = (0..self.task_states.len()).map(|id| Part::Task(id as u32));
        states.chain(timers).chain(tasks).collect()
    }

    /// The state or timers of that name. States come before timers.
    ///
    /// # Errors
    /// If there is neither.
    pub fn part(&self, name: &str) -> Result<Part, Error> {
        let mut parts = self.parts();
        // Keyed and task states never share a name; timers may have that of a state.
        parts.sort_by_key(|part| matches!(part, Part::Timer(_)));
        let found = parts.iter().find(|part| self.name(**part) == name);
        found.copied().ok_or_else(|| Error::NoState {
            operator: self.id().to_owned(),
            name: name.to_owned(),
            known: known(parts.iter().map(|part| self.name(*part))),
        })
    }

    /// Its name; that of a retired state with its schema version: `total@1`.
    pub fn name(&self, part: Part) -> &str {
        match part {
            Part::State(id) => &self.states[id.0 as usize].name,
            Part::Timer(id) => &self.timer(id).name,
            Part::Task(id) => &self.description.task_states[id as usize].name,
        }
    }

    pub(crate) fn state(&self, id: StateId) -> &StateDeclaration {
        &self.schema.states()[id.0 as usize]
    }

    pub(crate) fn task_state(&self, id: u32) -> &TaskStateDeclaration {
        &self.description.task_states[id as usize]
    }

    pub(crate) fn timers(&self) -> &[TimerDeclaration] {
        self.schema.timers()
    }

    /// The timers of that number.
    pub fn timer(&self, id: TimerId) -> &TimerDeclaration {
        &self.schema.timers()[id.0 as usize]
    }

    /// The form of its keys, if it is keyed.
    pub fn key_form(&self) -> Option<&Form> {
        self.key.as_ref()
    }

    /// The form of the values, if it is a state.
    pub fn value_form(&self, part: Part) -> Option<&Form> {
        match part {
            Part::State(id) => Some(&self.states[id.0 as usize].value),
            Part::Task(id) => Some(&self.task_states[id as usize].0),
            Part::Timer(_) => None,
        }
    }

    /// The form of the map keys, if it is a map.
    pub fn map_key_form(&self, part: Part) -> Option<&Form> {
        match part {
            Part::State(id) => self.states[id.0 as usize].map_key.as_ref(),
            Part::Task(id) => self.task_states[id as usize].1.as_ref(),
            Part::Timer(_) => None,
        }
    }

    /// A key from an argument of the command line.
    ///
    /// # Errors
    /// If the operator has no keys, or others.
    pub fn parse_key(&self, text: &str) -> Result<CellBuf, Error> {
        let form = self.keyed()?;
        form.parse_text(text).map_err(|reason| self.no_key(form, &format!("`{text}`"), reason))
    }

    /// A key from JSON.
    ///
    /// # Errors
    /// If the operator has no keys, or others.
    pub fn read_key(&self, value: &serde_json::Value) -> Result<CellBuf, Error> {
        let form = self.keyed()?;
        form.parse(value).map_err(|reason| self.no_key(form, &value.to_string(), reason))
    }

    fn keyed(&self) -> Result<&Form, Error> {
        self.key.as_ref().ok_or_else(|| Error::NotKeyed { operator: self.id().to_owned() })
    }

    fn no_key(&self, form: &Form, text: &str, reason: String) -> Error {
        let (operator, text) = (self.id().to_owned(), text.to_owned());
        Error::Key { operator, text, expected: form.to_string(), reason }
    }

    /// The key group of a key.
    pub fn group_of(&self, key: &CellBuf) -> KeyGroup {
        self.key_groups.group_of(key.cell().hash())
    }

    pub(crate) fn state_error(&self, source: statehouse_state::Error) -> Error {
        Error::State { operator: self.id().to_owned(), source }
    }

    /// Whether a key or task has several rows in it, in an order.
    pub(crate) fn is_collection(&self, part: Part) -> bool {
        match part {
            Part::State(id) => self.state(id).kind.is_collection(),
            Part::Task(_) => true,
            Part::Timer(_) => false,
        }
    }

    /// Whether its values expire.
    pub fn expires(&self, part: Part) -> bool {
        matches!(part, Part::State(id) if self.state(id).ttl.is_some())
    }

    /// What kind of state it is, in the words of descriptions.
    pub fn kind(&self, part: Part) -> impl fmt::Display {
        let name = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        match part {
            Part::State(id) => {
                let state = self.state(id);
                let kind = name(serde_json::json!(state.kind));
                match state.merge {
                    Some(merge) => format!("{kind} {}", name(serde_json::json!(merge))),
                    None => kind,
                }
            }
            Part::Timer(id) => format!("timer {}", name(serde_json::json!(self.timer(id).domain))),
            Part::Task(id) => name(serde_json::json!(self.task_state(id).kind)),
        }
    }

    /// The type of its values, with that of its map keys before them: `text -> u64`.
    pub fn type_of(&self, part: Part) -> String {
        let value = self.value_form(part).map(Form::to_string).unwrap_or_default();
        match self.map_key_form(part) {
            Some(key) => format!("{key} -> {value}"),
            None => value,
        }
    }
}
