//! The atomics and locks of what threads share: the standard library's here, loom's in `crates/models`.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, fence};
pub(crate) use std::sync::{Mutex, MutexGuard};
