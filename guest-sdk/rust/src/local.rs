//! A cell for what the handles of one instance share, without the counting of `RefCell`.
//!
//! Each record passes through such a cell some four times, and a borrow counter in memory costs as much as the work
//! behind it: with it a running sum takes half as long again.

use std::cell::UnsafeCell;

/// Shared by the handles of one instance; used by one thread, and by one of its callers at a time.
pub(crate) struct Local<T>(UnsafeCell<T>);

impl<T> Local<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Hands the value to `act`, which must not run code of the operator's: it could come back here.
    ///
    /// Only functions of this crate call this, and what they do inside is arithmetic, pushing rows, and calls to
    /// the host, none of which calls back.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a borrow counter would cost as much as the work behind it")]
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: the type is not `Sync`, so there is one thread. `act` never reaches this cell again (see above), so
        // the reference is the only one while it lives, and it cannot outlive the call.
        act(unsafe { &mut *self.0.get() })
    }
}

impl<T: Default> Default for Local<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}
