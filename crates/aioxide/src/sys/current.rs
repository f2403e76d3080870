//! The loop that runs on this thread, reached without a reference count.
//!
//! Invariant: the pointer is null, or [`enter`] is running further down this thread's stack, and
//! borrows what it points to. [`with_current`] lends it to a closure only, so the borrow cannot outlive
//! that call.

use std::cell::Cell;
use std::ptr;

use crate::events::Loop;

thread_local! {
    static CURRENT: Cell<*const Loop> = const { Cell::new(ptr::null()) };
}

/// Makes `running` the loop of this thread while `body` runs.
pub(crate) fn enter<R>(running: &Loop, body: impl FnOnce() -> R) -> R {
    let restore = Restore(CURRENT.replace(running));
    let result = body();
    drop(restore);
    result
}

/// Lends the loop that runs on this thread.
#[inline]
pub(crate) fn with_current<R>(body: impl FnOnce(Option<&Loop>) -> R) -> R {
    // SAFETY: the invariant above: not null means that `enter` is on the stack below this call with a
    // shared borrow of the loop, and it cannot return before `body` does.
    body(unsafe { CURRENT.get().as_ref() })
}

/// Puts the former loop back, also when `body` panics.
struct Restore(*const Loop);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}
