//! What an operator declares about its keyed state and timers, as plain data.

use serde::{Deserialize, Serialize};

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
    /// The merge, for reducing state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge: Option<Merge>,
    /// The time-to-live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Ttl>,
    /// Raised when the structure of the values changes.
    pub schema_version: u32,
}

/// One declared family of timers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimerDeclaration {
    /// Identifies the timers across versions of the operator.
    pub name: String,
    /// The clock that they run on.
    pub domain: TimeDomain,
}
