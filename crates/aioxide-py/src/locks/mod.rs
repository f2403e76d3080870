//! Locks: `Lock`, `Event`, `Semaphore`, `BoundedSemaphore`.
//!
//! Each core is the base of a Python class in `aioxide.locks`, which adds asyncio's class of the same name as another
//! base. Where a subclass or an instance replaces a method that native code would bypass, the method is called.
//! Counterpart: `Lib/asyncio/locks.py`.

#![forbid(unsafe_code)]

mod acquiring;
mod event;
mod lock;
mod semaphore;
mod waiters;

pub use event::build as build_event;
pub use lock::build as build_lock;
pub use semaphore::build as build_semaphore;
