//! What an operator declares about itself: pure data, checked before anything runs, stored in every manifest.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use statehouse_state::{
    KeyLayout, StateDeclaration, TaskStateDeclaration, TaskStateKind, TimerDeclaration, ValueLayout,
};

/// How bytes are to be read by someone who does not share the operator's types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Codec {
    /// Bytes without a meaning to the host.
    Raw,
    /// UTF-8 text.
    Text,
    /// One JSON value.
    Json,
    /// One MessagePack value.
    Msgpack,
}

impl Codec {
    /// The name used in job files, descriptions and manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Text => "text",
            Self::Json => "json",
            Self::Msgpack => "msgpack",
        }
    }

    /// The codec of that name; bytes of a codec that is not known have no meaning.
    pub fn named(name: &str) -> Self {
        match name {
            "text" => Self::Text,
            "json" => Self::Json,
            "msgpack" => Self::Msgpack,
            _ => Self::Raw,
        }
    }
}

/// The type of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyType {
    /// The layout.
    pub layout: KeyLayout,
    /// How to read bytes; meaningless for numbers.
    pub codec: Codec,
    /// The structure inside the bytes, for looking inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
}

/// The type of a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueType {
    /// The layout.
    pub layout: ValueLayout,
    /// How to read bytes; meaningless for numbers.
    pub codec: Codec,
    /// The structure inside the bytes, for looking inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
}

impl KeyType {
    /// Whether two ports mean the same by their keys.
    pub fn matches(&self, other: &Self) -> bool {
        self.layout == other.layout && (self.layout.is_words() || self.codec == other.codec)
    }
}

impl ValueType {
    /// A number, or bytes of that codec.
    pub fn new(layout: ValueLayout, codec: Codec) -> Self {
        Self { layout, codec, schema: None }
    }

    /// Whether two ports mean the same by their values.
    pub fn matches(&self, other: &Self) -> bool {
        self.layout == other.layout && (self.layout.is_words() || self.codec == other.codec)
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layout {
            KeyLayout::U64 => f.write_str("u64"),
            KeyLayout::S64 => f.write_str("s64"),
            KeyLayout::Bytes => f.write_str(self.codec.name()),
        }
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layout {
            ValueLayout::U64 => f.write_str("u64"),
            ValueLayout::S64 => f.write_str("s64"),
            ValueLayout::F64 => f.write_str("f64"),
            ValueLayout::Bytes => f.write_str(self.codec.name()),
        }
    }
}

/// A place where records come in or go out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Unique among the operator's inputs, or outputs.
    pub name: String,
    /// The type of the records' keys, if the port is keyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyType>,
    /// The type of the records' values.
    pub value: ValueType,
    /// For inputs without a key: every task gets every record, and broadcast state may change.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub broadcast: bool,
}

impl Port {
    /// An empty batch of this port's kinds.
    pub fn empty_batch(&self) -> crate::Batch {
        let keys = self.key.as_ref().map(|key| key.layout.is_words());
        crate::Batch::empty(keys, self.value.layout.is_words())
    }
}

/// What a metric counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MetricKind {
    /// Only ever grows.
    Counter,
    /// Has a value.
    Gauge,
}

/// A metric of the operator's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricDeclaration {
    /// Its name.
    pub name: String,
    /// What it counts.
    pub kind: MetricKind,
}

/// One operator as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Description {
    /// Unique within its component.
    pub name: String,
    /// The operator's own version, for people.
    pub version: String,
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
    #[serde(default)]
    pub states: Vec<StateDeclaration>,
    #[serde(default)]
    pub timers: Vec<TimerDeclaration>,
    #[serde(default)]
    pub task_states: Vec<TaskStateDeclaration>,
    #[serde(default)]
    pub metrics: Vec<MetricDeclaration>,
}

impl Description {
    /// The key type of the operator's state and timers: the one that its keyed inputs share.
    pub fn state_key(&self) -> Option<&KeyType> {
        self.inputs.iter().find_map(|port| port.key.as_ref())
    }

    /// Checks what can be checked without a job: names are unique and not empty, keyed inputs agree on the key, state
    /// and timers have a key to belong to, and what is declared about each state goes together. Says what is wrong and
    /// where.
    ///
    /// # Errors
    /// The first thing found, in words.
    pub fn check(&self) -> Result<(), String> {
        if self.inputs.is_empty() {
            return Err(format!("operator `{}` declares no input port", self.name));
        }
        let states = self.states.iter().map(|state| &state.name);
        let states = states.chain(self.task_states.iter().map(|state| &state.name));
        self.check_names("input port", self.inputs.iter().map(|port| &port.name))?;
        self.check_names("output port", self.outputs.iter().map(|port| &port.name))?;
        self.check_names("state", states)?;
        self.check_names("timer", self.timers.iter().map(|timer| &timer.name))?;
        self.check_names("metric", self.metrics.iter().map(|metric| &metric.name))?;
        self.check_key()?;
        self.check_broadcast()?;
        let keyed = self.states.iter().map(|state| (&state.name, state.check()));
        let others = self.task_states.iter().map(|state| (&state.name, state.check()));
        keyed.chain(others).try_for_each(|(state, checked)| {
            checked.map_err(|reason| {
                format!(
                    "operator `{}` declares state `{state}` so that it cannot be: {reason}",
                    self.name
                )
            })
        })
    }

    /// Keyed inputs agree on the key, and there is one if anything needs it.
    fn check_key(&self) -> Result<(), String> {
        let mut keyed = self.inputs.iter().filter_map(|port| Some((port, port.key.as_ref()?)));
        match keyed.next() {
            Some((first, key)) => match keyed.find(|(_, other)| !other.matches(key)) {
                Some((port, other)) => Err(format!(
                    "operator `{}` has two key types: `{}` is keyed by {key} and `{}` by {other}",
                    self.name, first.name, port.name
                )),
                None => Ok(()),
            },
            None if !self.states.is_empty() || !self.timers.is_empty() => Err(format!(
                "operator `{}` declares state or timers but no keyed input that they could belong to",
                self.name
            )),
            None => Ok(()),
        }
    }

    /// Broadcast inputs have no key, no output is one, and broadcast states have an input to change with.
    fn check_broadcast(&self) -> Result<(), String> {
        let Self { name, inputs, outputs, .. } = self;
        if let Some(port) = inputs.iter().find(|port| port.broadcast && port.key.is_some()) {
            return Err(format!(
                "operator `{name}` declares the input `{}` as broadcast and keyed; records that go to every task \
                 belong to no key",
                port.name
            ));
        }
        if let Some(port) = outputs.iter().find(|port| port.broadcast) {
            return Err(format!(
                "operator `{name}` declares the output `{}` as broadcast; only inputs are, by who reads them",
                port.name
            ));
        }
        let state = self.task_states.iter().find(|state| state.kind == TaskStateKind::Broadcast);
        if let Some(state) = state
            && !inputs.iter().any(|port| port.broadcast)
        {
            return Err(format!(
                "operator `{name}` declares the broadcast state `{}` but no broadcast input, so it could never change",
                state.name
            ));
        }
        Ok(())
    }

    fn check_names<'a>(
        &self,
        what: &str,
        names: impl Iterator<Item = &'a String>,
    ) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for name in names {
            if name.is_empty() {
                return Err(format!("operator `{}` declares a {what} without a name", self.name));
            }
            if !seen.insert(name) {
                return Err(format!("operator `{}` declares the {what} `{name}` twice", self.name));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
