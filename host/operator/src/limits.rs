//! How large what an operator keeps in state may be.

/// Limits on keys and values of state. What is larger is the operator's failure: the batch is undone, and the record
/// that caused it is left to the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateLimits {
    /// One key: of a record that comes in by a keyed port, or of a map's entry. Default 64 KiB.
    pub key_bytes: usize,
    /// One value, list element or map entry's value. A value that the host merges may grow beyond it with time; each
    /// delta may not. Default 64 MiB.
    pub value_bytes: usize,
    /// All that one invocation writes to one state, and all that one batch emits to one port: it is kept in memory
    /// until the invocation has succeeded. Default 1 GiB.
    pub written_bytes: usize,
}

/// The most timers that one invocation may set or delete.
pub(crate) const TIMER_CHANGES_MAX: usize = 1 << 24;

impl Default for StateLimits {
    fn default() -> Self {
        Self { key_bytes: 64 << 10, value_bytes: 64 << 20, written_bytes: 1 << 30 }
    }
}
