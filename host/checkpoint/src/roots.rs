//! Roots that are not checkpoints of the job's line: savepoints, pins, and origins, which point to pins elsewhere.
//!
//! A root is a manifest under another name. What it names is kept until the root is deleted.
//!
//! *Pinning while the job runs.* Any process may pin, also one that does not own the job, while the owner collects. So
//! whoever pins writes the pin, then reads what is condemned, then looks whether every pack is there. Whoever collects
//! writes what it condemns, then reads all roots again, then deletes. One of the two sees the other: if the pin came
//! first, the collection spares what it names; if the list came first, the pin is withdrawn.

pub(crate) mod origins;
pub(crate) mod pins;
pub(crate) mod savepoints;
#[cfg(test)]
mod tests;
