//! Queues: `Queue`, `PriorityQueue`, `LifoQueue`.
//!
//! `QueueCore` is the base of the Python classes in `aioxide.queues`, which add asyncio's class of the same name as
//! another base. One native type serves the three: what `_init()`, `_put()` and `_get()` of the class are tells how
//! items are kept (`storage.rs`). Where a subclass or an instance replaces a method that native code would bypass, the
//! method is called.
//! Counterpart: `Lib/asyncio/queues.py`. Differs from asyncio: `shutdown()` exists on every version.

#![forbid(unsafe_code)]

mod attributes;
mod queue;
mod storage;
mod waiting;

pub use queue::{build, get_nowait, is_empty, put_nowait};
