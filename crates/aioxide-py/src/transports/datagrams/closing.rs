//! The end of a datagram transport: close, abort, fatal errors, `connection_lost`.

#![forbid(unsafe_code)]

use pyo3::prelude::*;
use pyo3::types::PyBool;

use super::super::Phase;
use super::{DatagramTransport, gathering, none, unwatch};
use crate::errors::ends_the_loop;
use crate::events::Direction;
use crate::imports::imports;
use crate::object::{Args, BodyOf, Returned, TypeBuilder, method, method_noargs, method_one};

/// Adds the methods.
pub fn closing_methods(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method_noargs(
            c"close",
            c"Closes the transport after what is buffered was sent.",
            close,
        ))
        .method(method_noargs(
            c"abort",
            c"Closes the transport now; what is buffered is lost.",
            abort,
        ))
        .method(method_noargs(
            c"is_closing",
            c"Whether it is closing or closed.",
            is_closing,
        ))
        .method(method_one(
            c"_force_close",
            c"Closes the transport now, because of an exception or None.",
            force_close_method,
        ))
        .method(method(
            c"_fatal_error",
            c"Reports an exception and closes the transport now.",
            fatal_error,
        ))
        .method(method_one(
            c"_call_connection_lost",
            c"Tells the protocol, then closes the socket.",
            call_connection_lost,
        ))
}

fn close<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    let body = this.body();
    if body.phase.get() == Phase::Open {
        gathering::leave_now(this)?;
    }
    // Errors of what was gathered may have closed it.
    if body.phase.get() == Phase::Open {
        body.phase.set(Phase::Closing);
        unwatch(this, Direction::Read)?;
        if body.queue.borrow().is_empty() {
            connection_lost_soon(this, &none(this.py()))?;
        }
    }
    Ok(none(this.py()))
}

fn abort<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    force_close(this, &none(this.py()))?;
    Ok(none(this.py()))
}

fn is_closing<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    let closing = this.body().phase.get() != Phase::Open;
    Ok(PyBool::new(this.py(), closing).to_owned().into_any())
}

fn force_close_method<'py>(this: &Bound<'py, DatagramTransport>, exception: &Bound<'py, PyAny>) -> Returned<'py> {
    force_close(this, exception)?;
    Ok(none(this.py()))
}

/// Closes now; what is buffered is lost.
fn force_close(this: &Bound<'_, DatagramTransport>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
    let body = this.body();
    gathering::leave_now(this)?;
    if body.phase.get() >= Phase::Lost {
        return Ok(());
    }
    drop(body.queue.take());
    unwatch(this, Direction::Read)?;
    connection_lost_soon(this, exception)
}

/// Schedules the call of `connection_lost`.
fn connection_lost_soon(this: &Bound<'_, DatagramTransport>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = this.py();
    this.body().phase.set(Phase::Lost);
    unwatch(this, Direction::Write)?;
    let Some(event_loop) = this.body().event_loop.get(py) else {
        return Ok(());
    };
    let callback = this.getattr(pyo3::intern!(py, "_call_connection_lost"))?;
    event_loop
        .call_method1(pyo3::intern!(py, "call_soon"), (callback, exception))
        .map(drop)
}

fn fatal_error<'py>(this: &Bound<'py, DatagramTransport>, args: Args<'_, 'py>) -> Returned<'py> {
    let [exception, message] = args.bind("_fatal_error", ["exc", "message"], 2, 1)?;
    let message = match message {
        Some(message) => message.extract::<String>()?,
        None => "Fatal error on transport".to_owned(),
    };
    if let Some(exception) = exception {
        fatal(this, PyErr::from_value(exception.clone()), &message)?;
    }
    Ok(none(this.py()))
}

/// Reports an error and closes now.
///
/// # Errors
/// KeyboardInterrupt and SystemExit pass through.
#[cold]
pub fn fatal(this: &Bound<'_, DatagramTransport>, error: PyErr, message: &str) -> PyResult<()> {
    let py = this.py();
    let exception = error.into_value(py).into_bound(py).into_any();
    if ends_the_loop(py, &exception) {
        return Err(PyErr::from_value(exception));
    }
    imports(py)?
        .transports
        .bind(py)
        .call_method1("report_fatal", (this, &exception, message))?;
    force_close(this, &exception)
}

fn call_connection_lost<'py>(this: &Bound<'py, DatagramTransport>, exception: &Bound<'py, PyAny>) -> Returned<'py> {
    connection_lost(this, exception)?;
    Ok(none(this.py()))
}

/// Tells the protocol, closes the socket and lets go of everything.
///
/// # Errors
/// What the protocol or the socket raises.
pub fn connection_lost(this: &Bound<'_, DatagramTransport>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = this.py();
    let told = match this.body().protocol.get(py) {
        Some(protocol) => protocol
            .call_method1(pyo3::intern!(py, "connection_lost"), (exception,))
            .map(drop),
        None => Ok(()),
    };
    let released = release(this);
    told.and(released)
}

fn release(this: &Bound<'_, DatagramTransport>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    body.phase.set(Phase::Gone);
    unwatch(this, Direction::Read)?;
    unwatch(this, Direction::Write)?;
    let closed = match body.socket.take() {
        Some(socket) => socket.bind(py).call_method0(pyo3::intern!(py, "close")).map(drop),
        None => Ok(()),
    };
    body.protocol.clear();
    body.event_loop.clear();
    drop((body.queue.take(), body.held.take()));
    closed
}

/// A transport that nobody closed: warns, and closes the socket.
pub fn finalize(this: &Bound<'_, DatagramTransport>) {
    let py = this.py();
    let body = this.body();
    if body.socket.is_empty() {
        return;
    }
    let finish = || -> PyResult<()> {
        let warned = imports(py)?
            .transports
            .bind(py)
            .call_method1("warn_unclosed", (this,))
            .map(drop);
        let closed = match body.socket.take() {
            Some(socket) => socket.bind(py).call_method0("close").map(drop),
            None => Ok(()),
        };
        warned.and(closed)
    };
    if let Err(error) = finish() {
        error.write_unraisable(py, Some(this.as_any()));
    }
}
