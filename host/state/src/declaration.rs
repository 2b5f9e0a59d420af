//! What an operator declares about its keyed state and timers, as plain data.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// A state's place in the operator's list of states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateId(pub u32);

/// A timer family's place in the operator's list of timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId(pub u32);

/// How keys are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyLayout {
    /// Unsigned 64-bit numbers.
    U64,
    /// Signed 64-bit numbers.
    S64,
    /// Bytes.
    Bytes,
}

impl KeyLayout {
    /// Whether keys are 64-bit words.
    pub fn is_words(self) -> bool {
        self != Self::Bytes
    }
}

/// How values are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValueLayout {
    /// Unsigned 64-bit numbers.
    U64,
    /// Signed 64-bit numbers.
    S64,
    /// 64-bit floating-point numbers.
    F64,
    /// Bytes.
    Bytes,
}

impl ValueLayout {
    /// Whether values are 64-bit words.
    pub fn is_words(self) -> bool {
        self != Self::Bytes
    }
}

/// The kinds of keyed state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateKind {
    /// One value a key.
    Value,
    /// A list a key.
    List,
    /// A map a key.
    Map,
    /// A value that the host merges into.
    Reducing,
    /// A value that the operator merges into.
    Aggregating,
}

impl StateKind {
    /// Whether a key has one value, and not a collection of entries.
    pub fn is_cell(self) -> bool {
        !self.is_collection()
    }

    /// Whether a key has entries in an order: of a map by map key, of a list by when they were added.
    pub fn is_collection(self) -> bool {
        matches!(self, Self::List | Self::Map)
    }
}

/// Merges that the host executes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Merge {
    Sum,
    Min,
    Max,
    Count,
    Append,
    SetUnion,
}

impl Merge {
    /// Whether values of that layout can be merged so.
    pub fn takes(self, value: ValueLayout) -> bool {
        match self {
            Self::Sum | Self::Min | Self::Max => value.is_words(),
            Self::Count => value == ValueLayout::U64,
            Self::Append | Self::SetUnion => value == ValueLayout::Bytes,
        }
    }
}

/// Which clock something runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeDomain {
    /// The watermark.
    EventTime,
    /// The host's clock.
    ProcessingTime,
}

/// When a time-to-live starts anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum TtlUpdate {
    OnCreateAndWrite,
    OnReadAndWrite,
}

/// What a read finds between expiry and clean-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum TtlVisibility {
    NeverReturnExpired,
    ReturnUntilCleaned,
}

/// How long a value lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ttl {
    /// Life time in milliseconds.
    pub milliseconds: u64,
    /// The clock that it is measured on.
    pub domain: TimeDomain,
    /// When it starts anew.
    pub update: TtlUpdate,
    /// What a read finds after it.
    pub visibility: TtlVisibility,
}

/// One declared state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateDeclaration {
    /// Identifies the state across versions of the operator.
    pub name: String,
    /// Its kind.
    pub kind: StateKind,
    /// The layout of its values.
    pub value: ValueLayout,
    /// The codec's name for bytes (`raw`, `text`, `json`, `msgpack`); for looking inside.
    pub codec: String,
    /// The structure inside the bytes, for looking inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The layout of the keys within a key, for map state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map_key: Option<KeyLayout>,
    /// The codec's name for map keys that are bytes; for looking inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map_key_codec: Option<String>,
    /// The structure inside map keys that are bytes, for looking inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map_key_schema: Option<String>,
    /// The merge, for reducing state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge: Option<Merge>,
    /// The time-to-live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Ttl>,
    /// Raised when the structure of the values changes.
    pub schema_version: u32,
}

impl StateDeclaration {
    /// The layout of entry keys, if the state is a collection: those of a map as declared, those of a list are the
    /// numbers that the backend gave its elements.
    pub fn entry_key(&self) -> Option<KeyLayout> {
        match self.kind {
            StateKind::List => Some(KeyLayout::U64),
            StateKind::Map => self.map_key,
            StateKind::Value | StateKind::Reducing | StateKind::Aggregating => None,
        }
    }

    /// Whether it is the same state: of the same name and schema version.
    pub fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.schema_version == other.schema_version
    }

    /// Says why no backend could serve the declaration, if so: its parts do not go together.
    ///
    /// # Errors
    /// In words that follow the state's name.
    pub fn check(&self) -> Result<(), String> {
        if (self.kind == StateKind::Map) != self.map_key.is_some() {
            return Err("map states, and no others, declare the type of their map keys".to_owned());
        }
        if (self.kind == StateKind::Reducing) != self.merge.is_some() {
            return Err("reducing states, and no others, declare a merge".to_owned());
        }
        if let Some(merge) = self.merge
            && !merge.takes(self.value)
        {
            return Err(format!("the merge {merge:?} does not go with values of {:?}", self.value));
        }
        if self.ttl.is_some_and(|ttl| ttl.milliseconds == 0) {
            return Err("a time-to-live is at least one millisecond".to_owned());
        }
        Ok(())
    }
}

/// Says why no backend could serve these declarations together, if so. A name may be declared at several schema
/// versions.
///
/// # Errors
/// If parts of a declaration do not go together, or the same one is there twice.
pub(crate) fn check_all(
    states: &[StateDeclaration],
    timers: &[TimerDeclaration],
) -> Result<(), Error> {
    for (index, state) in states.iter().enumerate() {
        let reason = match state.check() {
            Err(reason) => reason,
            Ok(()) if !states[..index].iter().any(|other| other.is_same(state)) => continue,
            Ok(()) => format!(
                "it is declared twice at schema version {}; give each state a name of its own",
                state.schema_version
            ),
        };
        return Err(Error::Declaration { state: state.name.clone(), reason });
    }
    for (index, timer) in timers.iter().enumerate() {
        if timers[..index].iter().any(|other| other.name == timer.name) {
            return Err(Error::Timers {
                timer: timer.name.clone(),
                reason: "they are declared twice; give each family a name of its own".to_owned(),
            });
        }
    }
    Ok(())
}

/// Says why a backend that serves declarations cannot go on with others, if so.
///
/// # Errors
/// If those cannot be served, or one of a state or timers that are there differs in how they are kept.
pub(crate) fn check_evolution(
    (old_states, old_timers): (&[StateDeclaration], &[TimerDeclaration]),
    (states, timers): (&[StateDeclaration], &[TimerDeclaration]),
) -> Result<(), Error> {
    check_all(states, timers)?;
    let form = |state: &StateDeclaration| {
        let clock = state.ttl.map(|ttl| ttl.domain);
        (state.kind, state.value, state.entry_key(), state.merge, clock)
    };
    for state in states {
        let old = old_states.iter().find(|old| old.is_same(state));
        if let Some(old) = old.filter(|old| form(old) != form(state)) {
            let (before, now) = (form(old), form(state));
            return Err(Error::Declaration {
                state: state.name.clone(),
                reason: format!(
                    "at schema version {} it is kept as {before:?} (kind, values, entry keys, merge, clock of its \
                     time-to-live), and now it is declared as {now:?}; give it a higher schema version",
                    state.schema_version
                ),
            });
        }
    }
    for timer in timers {
        let old = old_timers.iter().find(|old| old.name == timer.name);
        if let Some(old) = old.filter(|old| old.domain != timer.domain) {
            return Err(Error::Timers {
                timer: timer.name.clone(),
                reason: format!(
                    "they run in {:?}, and are now declared in {:?}; give them another name",
                    old.domain, timer.domain
                ),
            });
        }
    }
    Ok(())
}

/// One declared family of timers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimerDeclaration {
    /// Identifies the timers across versions of the operator.
    pub name: String,
    /// The clock that they run on.
    pub domain: TimeDomain,
}
