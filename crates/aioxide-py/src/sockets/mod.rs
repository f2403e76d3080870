//! `sock_recv()` and its siblings: calls on sockets that the user owns, as coroutines.
//!
//! ```text
//!   start --the call completes--> Return          (nothing is registered, no future is made)
//!     \--it would block--> watch the descriptor, await a future --ready--> try again
//! ```
//! Invariant: the loop watches the descriptor for a call only while the call awaits, or is about to be resumed.
//! Only sockets of exactly `socket.socket` are served here; others may have methods of their own, so they get
//! asyncio's coroutine. The system call is made on the descriptor where the arguments are plain, by the
//! socket's method where they are not: it knows what is wrong with them.
//! Counterpart: the `sock_…` methods of `Lib/asyncio/selector_events.py`.
//! Differs from asyncio: the call is made when the coroutine goes on, not before, so that a cancellation between
//! the two loses no data.
//! Measured (`benches`, row `sock_1k_10`): 13.9 µs of CPU time an echo; asyncio 31.4, uvloop 50.1.

#![forbid(unsafe_code)]

mod accepting;
mod connecting;
mod files;
mod receiving;
mod sending;
mod waiting;

use pyo3::prelude::*;
use pyo3::types::{PyAnyMethods, PyString};

use crate::events::Loop;
use crate::imports::imports;
use crate::object::{Args, Returned, TypeBuilder};

pub use waiting::ready;

/// Makes the types of the coroutines.
pub fn build(py: Python<'_>) -> PyResult<()> {
    accepting::build(py)?;
    connecting::build(py)?;
    files::build(py)?;
    receiving::build(py)?;
    sending::build(py)
}

/// Adds the methods to the loop's type.
pub fn socket_methods(builder: TypeBuilder) -> TypeBuilder {
    let builder = accepting::accepting_methods(builder);
    let builder = connecting::connecting_methods(builder);
    let builder = files::file_methods(builder);
    sending::sending_methods(receiving::receiving_methods(builder))
}

/// Whether a socket is one whose methods may be bypassed.
#[inline]
fn is_plain(socket: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(socket.is_exact_instance(imports(socket.py())?.socket.bind(socket.py())))
}

/// Leaves a call to asyncio's own coroutine.
#[cold]
fn by_asyncio<'py>(this: &Bound<'py, Loop>, name: &Bound<'py, PyString>, args: &Args<'_, 'py>) -> Returned<'py> {
    let py = this.py();
    let keywords = pyo3::types::PyDict::new(py);
    args.keywords_into(&keywords)?;
    let all = std::iter::once(this.as_any()).chain(args.positional());
    let positional = pyo3::types::PyTuple::new(py, all.collect::<Vec<_>>())?;
    imports(py)?
        .selector_event_loop
        .bind(py)
        .getattr(name)?
        .call(positional, Some(&keywords))
}
