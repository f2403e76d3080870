//! Rust futures in Python's asyncio, and Python's awaitables in Rust, with no thread in between.
//!
//! [`future_into_py`] makes a coroutine of a Rust future. The task that awaits it polls the future itself: on the
//! loop's own thread, in the task's context, as one step of the task. So the future need not be `Send`, may borrow
//! the GIL at any time, and one that is ready costs less than a call of a Python function. [`py_into_future`] is the
//! way back; [`stream_into_py`] and [`py_into_stream`] are the same for asynchronous iterators.
//!
//! ```no_run
//! use pyo3::prelude::*;
//! use std::time::Duration;
//!
//! #[aioxide_pyo3::pyfunction]
//! async fn nap(seconds: f64) -> &'static str {
//!     tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
//!     "rested"
//! }
//! ```
//!
//! Python says `await nap(0.5)`. Without the attribute:
//!
//! ```no_run
//! use pyo3::prelude::*;
//!
//! #[pyfunction]
//! fn answer(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
//!     aioxide_pyo3::future_into_py(py, async { Ok(42) })
//! }
//! ```
//!
//! It works on every loop that speaks asyncio's protocol. On aioxide's, tokio runs on the loop's thread as well: a
//! socket's readiness wakes the task without a second thread. On another loop tokio has a thread of its own for that,
//! and wakes the loop through a descriptor.
//!
//! # Cancellation
//!
//! Cancelling the task drops the Rust future where it waits, in the same turn of the loop. Dropping the future of a
//! Python awaitable cancels its task.
//!
//! | module | holds |
//! |---|---|
//! | `coroutine` | the coroutine of a Rust future |
//! | `wake` | how a waker reaches the task: at once, or through the loop's descriptor |
//! | `awaitable` | a Python awaitable as a future |
//! | `stream` | streams and asynchronous iterators |
//! | `runtime` | tokio on the loop's thread, or beside it |
//! | `sys` | the one file with `unsafe` |

#![deny(missing_docs)]

mod awaitable;
mod coroutine;
#[cfg(feature = "tokio")]
mod runtime;
mod stream;
#[cfg(feature = "tokio")]
mod sys;
mod wake;

pub use aioxide_pyo3_macros::pyfunction;
pub use awaitable::{PyFuture, py_into_future};
pub use coroutine::{future_into_py, named_future_into_py};
pub use stream::{PyStream, py_into_stream, stream_into_py};

/// The chapter in `docs/`, so that its examples are compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/rust-extensions.md")]
struct Chapter;
