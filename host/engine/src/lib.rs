//! Job graph, tasks, barriers, checkpoints between invocations, recovery; no wasm.
