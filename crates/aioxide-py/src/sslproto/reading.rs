//! Reading: from received records to the application's protocol.

#![forbid(unsafe_code)]

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes};

use super::session::{End, Session};
use super::{App, SslBody, SslProtocol, State, closing, flow, handshake, none, writing};
use crate::object::{BodyOf, Returned, TypeBuilder, as_exact, call_method_one, method_noargs, method_one};

/// Adds the methods.
pub fn reading_methods(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method_one(
            c"get_buffer",
            c"A buffer for the transport to receive into.",
            buffer,
        ))
        .method(method_one(
            c"buffer_updated",
            c"So many bytes were received into the buffer.",
            buffer_updated,
        ))
        .method(method_noargs(c"_do_read", c"Reads what can be read.", read_method))
        .method(method_noargs(
            c"_resume",
            c"Goes on after the application has resumed reading.",
            resume,
        ))
}

/// Takes records that were received.
///
/// # Errors
/// What asyncio's `buffer_updated` would raise: of `connection_made`, and whatever is no `Exception`.
#[inline]
pub fn received(this: &Bound<'_, SslProtocol>, data: &[u8]) -> PyResult<()> {
    let body = this.body();
    let Some(session) = body.session() else {
        return Ok(());
    };
    if body.state.get() == State::Unwrapped {
        return Ok(());
    }
    corked(this, || session.feed(this.py(), data, || advance(this)))
}

/// Goes on with what was received, as the state has it.
fn advance(this: &Bound<'_, SslProtocol>) -> PyResult<()> {
    match this.body().state.get() {
        State::Handshake => handshake::go_on(this),
        State::Wrapped => read(this),
        State::Flushing => closing::flush(this),
        State::Shutdown => closing::shut_down(this),
        State::Unwrapped => Ok(()),
    }
}

/// Lets records gather while `work` runs: they leave together, after it, also if it fails.
fn corked(this: &Bound<'_, SslProtocol>, work: impl FnOnce() -> PyResult<()>) -> PyResult<()> {
    let body = this.body();
    let outermost = !body.corked.replace(true);
    let worked = work();
    if !outermost {
        return worked;
    }
    body.corked.set(false);
    let sent = writing::process_outgoing(this);
    worked.and(sent)
}

/// Reads what can be read, and answers what must be answered. Errors end the connection.
///
/// # Errors
/// Only what is no `Exception`.
pub fn read(this: &Bound<'_, SslProtocol>) -> PyResult<()> {
    if !matches!(this.body().state.get(), State::Wrapped | State::Flushing) {
        return Ok(());
    }
    closing::or_fatal(this, try_read(this))
}

fn try_read(this: &Bound<'_, SslProtocol>) -> PyResult<()> {
    let body = this.body();
    if !body.app_reading_paused.get() {
        let Some(session) = body.session() else {
            return Ok(());
        };
        if body.app_kind.get() == App::Buffered {
            read_into_protocols_buffer(this, &session)?;
        } else {
            read_bytes(this, &session)?;
        }
        writing::write_backlog(this)?;
    }
    flow::control_reading(this)
}

fn read_bytes(this: &Bound<'_, SslProtocol>, session: &Session) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    loop {
        let (data, end) = body.with_loop(py, |event_loop| session.read(py, event_loop))?;
        if let Some(data) = data {
            told(this, deliver(this, &data))?;
        }
        let reads_on = !body.app_reading_paused.get() && matches!(body.state.get(), State::Wrapped | State::Flushing);
        match end {
            End::Full if reads_on => {}
            End::Full | End::Wait => return Ok(()),
            End::Closed => return closing::closed_by_peer(this),
            End::Failed(error) => return Err(error),
        }
    }
}

/// The application was told. If it failed, what it had written before leaves before the connection ends.
#[inline]
fn told(this: &Bound<'_, SslProtocol>, done: PyResult<()>) -> PyResult<()> {
    if done.is_err() {
        writing::uncork(this)?;
    }
    done
}

fn deliver<'py>(this: &Bound<'py, SslProtocol>, data: &Bound<'py, PyAny>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    let Some(protocol) = body.app_protocol.get(py) else {
        return Ok(());
    };
    if body.app_kind.get() == App::Tls
        && let Some(inner) = as_exact::<SslBody>(&protocol)
    {
        return received(inner, data.cast::<PyBytes>()?.as_bytes());
    }
    call_method_one(&protocol, pyo3::intern!(py, "data_received"), data).map(drop)
}

fn read_into_protocols_buffer(this: &Bound<'_, SslProtocol>, session: &Session) -> PyResult<()> {
    let py = this.py();
    let Some(protocol) = this.body().app_protocol.get(py) else {
        return Ok(());
    };
    let expected = session.unread(py)?;
    let lent = protocol.call_method1(pyo3::intern!(py, "get_buffer"), (expected,))?;
    let (filled, end) = session.read_into(py, &lent)?;
    drop(lent);
    if matches!(end, End::Full) {
        // The protocol gets its turn with a new buffer; so do others in between.
        this.body()
            .call_soon(py, &this.getattr(pyo3::intern!(py, "_do_read"))?)?;
    }
    if filled > 0 {
        let updated = protocol.call_method1(pyo3::intern!(py, "buffer_updated"), (filled,));
        told(this, updated.map(drop))?;
    }
    match end {
        End::Wait | End::Full => Ok(()),
        End::Closed => closing::closed_by_peer(this),
        End::Failed(error) => Err(error),
    }
}

fn read_method<'py>(this: &Bound<'py, SslProtocol>) -> Returned<'py> {
    corked(this, || read(this))?;
    Ok(none(this.py()))
}

fn resume<'py>(this: &Bound<'py, SslProtocol>) -> Returned<'py> {
    if this.body().state.get() != State::Handshake {
        corked(this, || advance(this))?;
    }
    Ok(none(this.py()))
}

/// For foreign transports, which receive into it. It is as large as one read.
fn buffer<'py>(this: &Bound<'py, SslProtocol>, _expected: &Bound<'py, PyAny>) -> Returned<'py> {
    let py = this.py();
    let slot = &this.body().receive_buffer;
    if slot.is_empty() {
        slot.set(PyByteArray::new_with(py, FOREIGN_READ, |_| Ok(()))?.into_any().into());
    }
    Ok(slot.get_or_none(py))
}

fn buffer_updated<'py>(this: &Bound<'py, SslProtocol>, count: &Bound<'py, PyAny>) -> Returned<'py> {
    let py = this.py();
    let count: usize = count.extract()?;
    let data = match this.body().receive_buffer.get(py) {
        Some(buffer) => PyBuffer::<u8>::get(&buffer)?.to_vec(py)?,
        // Somebody who did not ask for the buffer; asyncio's would be zeros.
        None => vec![0; count.min(FOREIGN_READ)],
    };
    received(this, data.get(..count).unwrap_or(&data))?;
    Ok(none(py))
}

/// Whether an error is one that asyncio catches with `except Exception`.
pub fn is_exception(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyException>(py)
}

/// 64 KiB: what a foreign transport receives at most at once.
const FOREIGN_READ: usize = 64 * 1024;
