//! What went wrong in a guest, in few words: the trap, where it was, and what the guest said last.

use std::fmt::Write as _;

use statehouse_operator::Failure;
use wasmtime::{Trap, WasmBacktrace};

use crate::error::Error;
use crate::host::Host;
use crate::limits::Limits;

/// How many functions of the guest are named.
const FRAMES_MAX: usize = 3;

/// Why a call of a guest failed.
pub(crate) fn failure(error: &wasmtime::Error, host: &Host, limits: &Limits) -> Failure {
    if host.memory.refused {
        return Failure::MemoryExceeded { limit_bytes: limits.memory_bytes };
    }
    if matches!(error.downcast_ref::<Trap>(), Some(Trap::Interrupt)) {
        return Failure::DeadlineExceeded { limit: limits.deadline };
    }
    let what = match error.downcast_ref::<Failure>() {
        Some(Failure::Trapped { reason }) => reason.clone(),
        // The host's own failure, on its way through the guest.
        Some(other) => return other.clone(),
        None => {
            let text = error.root_cause().to_string();
            text.strip_prefix("wasm trap: ").map_or_else(|| text.clone(), str::to_owned)
        }
    };
    Failure::Trapped { reason: explain(what, error, host) }
}

/// The same for calls outside of any batch.
pub(crate) fn error(call: &'static str, failure: Failure) -> Error {
    match failure {
        Failure::DeadlineExceeded { limit } => Error::DeadlineExceeded { call, limit },
        Failure::MemoryExceeded { limit_bytes } => Error::MemoryExceeded { limit_bytes },
        Failure::Trapped { reason }
        | Failure::Host { reason }
        | Failure::Refused { reason, .. } => Error::Trapped { call, reason },
    }
}

fn explain(what: String, error: &wasmtime::Error, host: &Host) -> String {
    let mut reason = what;
    if let Some(said) = &host.last_error {
        let _ = write!(reason, ": {said}");
    }
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
        let names = frames(backtrace);
        if !names.is_empty() {
            let _ = write!(reason, " (in {})", names.join(" < "));
        }
    }
    reason
}

/// The innermost functions of the guest's own, or the innermost of all if none is its own.
fn frames(backtrace: &WasmBacktrace) -> Vec<String> {
    let names: Vec<String> = backtrace
        .frames()
        .iter()
        .filter_map(|frame| frame.func_name())
        .map(|name| format!("{:#}", rustc_demangle::demangle(name)))
        .collect();
    let own: Vec<String> = names.iter().filter(|name| !is_runtime(name)).cloned().collect();
    let mut shown = if own.is_empty() { names } else { own };
    shown.truncate(FRAMES_MAX);
    shown
}

/// Whether a function belongs to what every Rust panic passes through.
fn is_runtime(name: &str) -> bool {
    let name = name.trim_start_matches(['<', '&']);
    name == "abort"
        || [
            "std::",
            "core::",
            "alloc::",
            "dlmalloc::",
            "__rust",
            "__rdl_",
            "rust_panic",
            "rust_begin",
        ]
        .iter()
        .any(|start| name.starts_with(start))
}
