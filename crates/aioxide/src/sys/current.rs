//! The loop that runs on this thread, reached without a reference count.

use super::lent::Lent;
use crate::events::Loop;

thread_local! {
    static CURRENT: Lent<Loop> = const { Lent::new() };
}

/// Makes `running` the loop of this thread while `body` runs.
pub(crate) fn enter<R>(running: &Loop, body: impl FnOnce() -> R) -> R {
    CURRENT.with(|current| current.during(Some(running), body))
}

/// Lends the loop that runs on this thread.
#[inline]
pub(crate) fn with_current<R>(body: impl FnOnce(Option<&Loop>) -> R) -> R {
    CURRENT.with(|current| current.with(body))
}
