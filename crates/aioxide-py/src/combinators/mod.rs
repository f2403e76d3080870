//! `wait()`, `wait_for()`, `as_completed()` and `shield()`.
//!
//! Counterpart: `Lib/asyncio/tasks.py`.

#![forbid(unsafe_code)]

mod as_completed;
mod distinct;
mod listeners;
mod shield;
mod timer;
mod wait;
mod wait_for;

pub use as_completed::{as_completed, build as build_as_completed};
pub use distinct::Seen;
pub use listeners::{as_callable, future_state, hears, tell};
pub use shield::{build as build_shield, shield};
pub use wait::{build as build_wait, wait};
pub use wait_for::{build as build_wait_for, wait_for};
