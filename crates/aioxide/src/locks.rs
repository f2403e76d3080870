//! Locks for the tasks of one loop: `Lock`, `Event`, `Condition`, `Semaphore`, `Barrier`.
//!
//! They are for tasks, not for threads. All are first in, first out: a lock, a permit, a notification goes
//! straight to the one who has waited longest, and nobody overtakes him. What goes to a task that is
//! cancelled in the same turn goes on to the next.
//!
//! Counterpart: `Lib/asyncio/locks.py`.
//! Differs from asyncio: a lock holds what it protects, and is released when its guard is dropped.

#![forbid(unsafe_code)]

mod barrier;
mod condition;
mod event;
mod lock;
mod semaphore;

pub use barrier::{Barrier, BarrierError, BrokenBarrierError};
pub use condition::Condition;
pub use event::Event;
pub use lock::{Lock, LockGuard};
pub use semaphore::{BoundedSemaphore, Permit, ReleasedTooOften, Semaphore};
