//! Gives memory back beside the task: to free a million strings takes as long as to read them.

use std::thread;

/// Drops something on a thread of its own.
pub(super) fn later<T: Send + 'static>(memory: T) {
    // Without a thread to be had, what was to run there is dropped here.
    let _ = thread::Builder::new().name("free".to_owned()).spawn(move || drop(memory));
}
