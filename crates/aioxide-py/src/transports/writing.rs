//! Writing: at once what the socket takes, the rest when it is writable.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::io;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView};

use super::closing::{self, fatal};
use super::{Phase, SocketTransport, flow};
use crate::errors::os_error;
use crate::events::{Direction, Watch};
use crate::imports::imports;
use crate::object::{BodyOf, Owned, Returned, TypeBuilder, compat, descriptor, method, method_noargs};

/// Adds the methods.
pub fn writing_methods(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method(c"write", c"Writes some data; never blocks.", |this, args| {
            write(this, args.one("write", "data")?)
        }))
        .method(method(c"writelines", c"Writes a list of data.", |this, args| {
            writelines(this, args.one("writelines", "list_of_data")?)
        }))
        .method(method_noargs(
            c"write_eof",
            c"Closes the writing side after what is buffered was sent.",
            write_eof,
        ))
        .method(method_noargs(c"can_write_eof", c"True.", can_write_eof))
        .method(method_noargs(
            c"_make_empty_waiter",
            c"A future that is done when nothing is buffered.",
            make_empty_waiter,
        ))
        .method(method_noargs(
            c"_reset_empty_waiter",
            c"Forgets the future of _make_empty_waiter.",
            reset_empty_waiter,
        ))
}

fn none(py: Python<'_>) -> Bound<'_, PyAny> {
    py.None().into_bound(py)
}

/// What `data` holds, if it is something that may be written; copied if it may change.
pub fn bytes_like<'a>(data: &'a Bound<'_, PyAny>) -> PyResult<Option<Cow<'a, [u8]>>> {
    if let Ok(bytes) = data.cast::<PyBytes>() {
        return Ok(Some(Cow::Borrowed(bytes.as_bytes())));
    }
    if data.is_instance_of::<PyByteArray>() || data.is_instance_of::<PyMemoryView>() {
        let view = PyBuffer::<u8>::get(data).or_else(|_| PyBuffer::get(&data.call_method1("cast", ("B",))?))?;
        return Ok(Some(Cow::Owned(view.to_vec(data.py())?)));
    }
    Ok(None)
}

/// The bytes of what a caller writes.
///
/// # Errors
/// TypeError if it is not bytes-like.
pub(super) fn data_of<'a>(data: &'a Bound<'_, PyAny>, taken: &str) -> PyResult<Cow<'a, [u8]>> {
    if let Some(data) = bytes_like(data)? {
        return Ok(data);
    }
    let class = data.get_type().name()?;
    Err(PyTypeError::new_err(format!(
        "data argument must be {taken}, not '{class}'"
    )))
}

fn check_writable(this: &Bound<'_, SocketTransport>, method: &str) -> PyResult<()> {
    let body = this.body();
    if body.eof.get() {
        return Err(PyRuntimeError::new_err(format!(
            "Cannot call {method}() after write_eof()"
        )));
    }
    if !body.empty_waiter.is_empty() {
        return Err(PyRuntimeError::new_err(format!(
            "unable to {method}; sendfile is in progress"
        )));
    }
    Ok(())
}

/// `write()`: TypeError if `data` is not bytes-like, RuntimeError after `write_eof()`.
pub fn write<'py>(this: &Bound<'py, SocketTransport>, data: &Bound<'py, PyAny>) -> Returned<'py> {
    let data = data_of(data, compat::WRITABLE)?;
    check_writable(this, "write")?;
    send(this, &data)?;
    Ok(none(this.py()))
}

fn writelines<'py>(this: &Bound<'py, SocketTransport>, lines: &Bound<'py, PyAny>) -> Returned<'py> {
    check_writable(this, "writelines")?;
    if !lines.is_truthy()? {
        return Ok(none(this.py()));
    }
    let mut all = Vec::new();
    for line in lines.try_iter()? {
        let line = line?;
        let Some(data) = bytes_like(&line)? else {
            return Err(PyTypeError::new_err(format!(
                "memoryview: a bytes-like object is required, not '{}'",
                line.get_type().name()?
            )));
        };
        all.extend_from_slice(&data);
    }
    send(this, &all)?;
    Ok(none(this.py()))
}

/// All pieces of an iterable, in one.
pub fn joined(lines: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let mut all = Vec::new();
    for line in lines.try_iter()? {
        all.extend_from_slice(&data_of(&line?, BYTES_LIKE)?);
    }
    Ok(all)
}

/// Sends `data`, or buffers what the socket does not take.
#[inline]
pub fn send(this: &Bound<'_, SocketTransport>, data: &[u8]) -> PyResult<()> {
    let body = this.body();
    if data.is_empty() {
        return Ok(());
    }
    if body.phase.get() >= Phase::Lost {
        return count_lost(this);
    }
    let mut rest = data;
    if body.buffer.borrow().is_empty() {
        match descriptor::send(body.fd.get(), data) {
            Ok(taken) if taken == data.len() => return Ok(()),
            Ok(taken) => rest = data.get(taken..).unwrap_or_default(),
            Err(error) if would_block(&error) => {}
            Err(error) => return fatal(this, os_error(&error), "Fatal write error on socket transport"),
        }
    }
    body.buffer.borrow_mut().push(rest);
    watch(this)?;
    flow::maybe_pause_protocol(this)
}

/// Whether a system call would have had to wait.
pub(super) fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// A write after the connection was lost: nobody can get it. asyncio warns from the fifth on.
#[cold]
fn count_lost(this: &Bound<'_, SocketTransport>) -> PyResult<()> {
    let body = this.body();
    if body.writes_lost.get() >= 4 {
        imports(this.py())?
            .transports
            .bind(this.py())
            .call_method0("warn_lost_write")?;
    }
    body.writes_lost.set(body.writes_lost.get().saturating_add(1));
    Ok(())
}

fn watch(this: &Bound<'_, SocketTransport>) -> PyResult<()> {
    let body = this.body();
    if body.watches_write.replace(true) {
        return Ok(());
    }
    body.with_loop(this.py(), |event_loop| {
        event_loop.body().watch(
            body.fd.get(),
            Direction::Write,
            Watch::Transport(Owned::new(this.as_any())),
        )
    })?;
    Ok(())
}

/// Stops watching for writability.
pub fn unwatch(this: &Bound<'_, SocketTransport>) -> PyResult<()> {
    let body = this.body();
    if body.watches_write.replace(false) {
        body.with_loop(this.py(), |event_loop| {
            event_loop.body().unwatch(body.fd.get(), Direction::Write)
        })?;
    }
    Ok(())
}

/// The socket takes more.
pub fn writable(this: &Bound<'_, SocketTransport>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    if body.phase.get() >= Phase::Lost || body.buffer.borrow().is_empty() {
        return unwatch(this);
    }
    let sent = body
        .buffer
        .borrow_mut()
        .send_with(|slices| descriptor::send_vectored(body.fd.get(), slices));
    if let Err(error) = sent {
        if would_block(&error) {
            return Ok(());
        }
        unwatch(this)?;
        body.buffer.borrow_mut().clear();
        let error = os_error(&error);
        if let Some(waiter) = body.empty_waiter.get(py) {
            waiter.call_method1("set_exception", (error.value(py),))?;
        }
        return fatal(this, error, "Fatal write error on socket transport");
    }
    flow::maybe_resume_protocol(this)?;
    if !body.buffer.borrow().is_empty() {
        return Ok(());
    }
    unwatch(this)?;
    if let Some(waiter) = body.empty_waiter.get(py) {
        waiter.call_method1("set_result", (none(py),))?;
    }
    match body.phase.get() {
        Phase::Closing => closing::connection_lost_soon(this, &none(py)),
        Phase::Open if body.eof.get() => shut_down_writing(this),
        _ => Ok(()),
    }
}

fn write_eof<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    let body = this.body();
    if body.phase.get() == Phase::Open && !body.eof.replace(true) && body.buffer.borrow().is_empty() {
        shut_down_writing(this)?;
    }
    Ok(none(this.py()))
}

fn shut_down_writing(this: &Bound<'_, SocketTransport>) -> PyResult<()> {
    let py = this.py();
    let Some(socket) = this.body().socket.get(py) else {
        return Ok(());
    };
    // SHUT_WR is 1 on every system that Python runs on.
    socket.call_method1("shutdown", (1,)).map(drop)
}

fn can_write_eof<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    Ok(pyo3::types::PyBool::new(this.py(), true).to_owned().into_any())
}

fn make_empty_waiter<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    let py = this.py();
    let body = this.body();
    if !body.empty_waiter.is_empty() {
        return Err(PyRuntimeError::new_err("Empty waiter is already set"));
    }
    let waiter = body.event_loop.get_or_none(py).call_method0("create_future")?;
    if body.buffer.borrow().is_empty() {
        waiter.call_method1("set_result", (none(py),))?;
    }
    body.empty_waiter.set(Owned::new(&waiter));
    Ok(waiter)
}

fn reset_empty_waiter<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    this.body().empty_waiter.clear();
    Ok(none(this.py()))
}

/// What all but sockets' transports say they take.
pub(super) const BYTES_LIKE: &str = "a bytes-like object";
