//! What threads share, compiled for loom, which runs a test in every order that the threads' steps can take and
//! with every value that a weakly ordered processor may let them read.
//!
//! The files are the engine's own; what they take from `crate::sys` is loom's here, and the descriptor that wakes
//! the loop is a model of it. A wake-up that is lost leaves the loop asleep for good, which loom reports.

#![forbid(unsafe_code)]
// The tests inside of the engine's files are the engine's; these models are tested from outside.
#![cfg(not(test))]

#[expect(clippy::new_without_default, reason = "it is public here only")]
#[path = "../../aioxide/src/tasks/atomics.rs"]
mod atomics;
#[path = "../../aioxide/src/inbox.rs"]
mod inbox;
pub mod sys;

pub use atomics::Atomics;
pub use inbox::Inbox;
