//! Locks: `Lock`, `Event`, `Condition`, `Semaphore`, `BoundedSemaphore`, `Barrier`.
//!
//! Each core is the base of a Python class in `aioxide.locks`, which adds asyncio's class of the same name as another
//! base. Where a subclass or an instance replaces a method that native code would bypass, the method is called.
//! Counterpart: `Lib/asyncio/locks.py`.

#![forbid(unsafe_code)]

mod acquiring;
mod barrier;
mod barrier_waiting;
mod condition;
mod condition_waiting;
mod event;
mod lock;
mod semaphore;
mod waiters;

pub use barrier::build as build_barrier;
pub use condition::build as build_condition;
pub use event::build as build_event;
pub use lock::build as build_lock;
pub use semaphore::build as build_semaphore;
