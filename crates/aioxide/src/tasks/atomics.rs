//! `Atomics`: what any thread may change of a task: how many wakers hold its memory, whether it is in the inbox,
//! whether it has ended.
//!
//! ```text
//! a thread   change something ──► enter_inbox: was it there? nothing more to do : queue it, wake the loop
//! the loop   take it out of the queue ──► leave_inbox ──► poll: sees the change
//! ```
//!
//! Invariant: between `enter_inbox` that returned true and `leave_inbox` the task is in the inbox once. A thread
//! that finds it there needs to do nothing: `leave_inbox` comes later, and shows the poll what the thread changed.
//!
//! `crates/models` runs it in every order.

#![forbid(unsafe_code)]

use std::sync::atomic::Ordering;

use crate::sys::sync::{AtomicBool, AtomicUsize, fence};

/// The atomic part of a task.
#[derive(Debug)]
pub struct Atomics {
    /// One for all `TaskRef`s, one for each owned waker.
    references: AtomicUsize,
    in_inbox: AtomicBool,
    is_over: AtomicBool,
}

impl Atomics {
    /// Makes the part of a task that is held once.
    #[inline]
    pub fn new() -> Atomics {
        Atomics {
            references: AtomicUsize::new(1),
            in_inbox: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        }
    }

    /// Counts another holder of the memory. Any thread that has one.
    #[inline]
    pub fn retain(&self) {
        // As in `Arc`: a count that overflows would free memory that is in use.
        if self.references.fetch_add(1, Ordering::Relaxed) > usize::MAX / 2 {
            std::process::abort();
        }
    }

    /// Lets go of the memory; returns whether nobody holds it any more, and it is to be freed.
    #[inline]
    #[must_use = "the last one frees the memory"]
    pub fn release(&self) -> bool {
        let is_last = self.references.fetch_sub(1, Ordering::Release) == 1;
        if is_last {
            fence(Ordering::Acquire);
        }
        is_last
    }

    /// Notes that the task is in the inbox; returns whether it was not, and is to be put there. Any thread.
    #[inline]
    #[must_use = "who enters it puts it there"]
    pub fn enter_inbox(&self) -> bool {
        !self.in_inbox.swap(true, Ordering::AcqRel)
    }

    /// Notes that the task was taken out of the inbox. The loop's thread.
    #[inline]
    pub fn leave_inbox(&self) {
        // An acquiring exchange: what every thread did that found the mark set is visible to the poll.
        self.in_inbox.swap(false, Ordering::AcqRel);
    }

    /// Notes that the task has ended. The loop's thread.
    #[inline]
    pub fn finish(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Whether the task has ended. Exact on the loop's thread; elsewhere it may be late, and spares some work only.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}
