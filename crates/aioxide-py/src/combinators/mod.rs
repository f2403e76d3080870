//! `wait()`, `wait_for()` and `as_completed()`.
//!
//! Counterpart: `Lib/asyncio/tasks.py`.

#![forbid(unsafe_code)]

mod as_completed;
mod listeners;
mod timer;
mod wait;
mod wait_for;

pub use as_completed::{as_completed, build as build_as_completed};
pub use listeners::{as_callable, future_state, hears, tell};
pub use wait::{build as build_wait, wait};
pub use wait_for::{build as build_wait_for, wait_for};
