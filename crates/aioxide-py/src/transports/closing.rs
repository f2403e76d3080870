//! The end of a transport: close, abort, errors, `connection_lost`.

#![forbid(unsafe_code)]

use pyo3::exceptions::PyConnectionError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{Phase, SocketTransport, reading, writing};
use crate::errors::ends_the_loop;
use crate::imports::imports;
use crate::object::{Args, BodyOf, Returned, TypeBuilder, method, method_noargs, method_one};

/// Adds the methods.
pub fn closing_methods(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method_noargs(
            c"close",
            c"Closes the transport after what is buffered was sent.",
            close_method,
        ))
        .method(method_noargs(
            c"abort",
            c"Closes the transport now; what is buffered is lost.",
            abort,
        ))
        .method(method_noargs(
            c"is_closing",
            c"Whether it is closing or closed.",
            is_closing_method,
        ))
        .method(method_noargs(
            c"_vacate",
            c"Leaves the table of accepted connections: asyncio's has it now.",
            vacate,
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

fn none(py: Python<'_>) -> Bound<'_, PyAny> {
    py.None().into_bound(py)
}

/// Closes after what is buffered was sent.
pub fn close(this: &Bound<'_, SocketTransport>) -> PyResult<()> {
    let body = this.body();
    if body.phase.get() != Phase::Open {
        return Ok(());
    }
    body.phase.set(Phase::Closing);
    body.vacate(this.py())?;
    reading::unwatch(this)?;
    if body.buffer.borrow().is_empty() {
        return connection_lost_soon(this, &none(this.py()));
    }
    Ok(())
}

/// Closes now; what is buffered is lost.
pub fn force_close(this: &Bound<'_, SocketTransport>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
    let body = this.body();
    if body.phase.get() >= Phase::Lost {
        return Ok(());
    }
    body.buffer.borrow_mut().clear();
    writing::unwatch(this)?;
    reading::unwatch(this)?;
    connection_lost_soon(this, exception)
}

/// Schedules the call of `connection_lost`.
pub fn connection_lost_soon(this: &Bound<'_, SocketTransport>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    if body.phase.get() >= Phase::Lost {
        return Ok(());
    }
    body.phase.set(Phase::Lost);
    body.vacate(py)?;
    writing::unwatch(this)?;
    let callback = this.getattr(pyo3::intern!(py, "_call_connection_lost"))?;
    let keywords = if body.shares_context.get() {
        let keywords = PyDict::new(py);
        keywords.set_item(pyo3::intern!(py, "context"), body.context.get(py))?;
        Some(keywords)
    } else {
        None
    };
    body.with_loop(py, |event_loop| {
        event_loop
            .call_method(pyo3::intern!(py, "call_soon"), (callback, exception), keywords.as_ref())
            .map(drop)
    })?;
    Ok(())
}

/// Reports an error, unless it is the network's everyday business, and closes now.
///
/// # Errors
/// KeyboardInterrupt and SystemExit pass through.
#[cold]
pub fn fatal(this: &Bound<'_, SocketTransport>, error: PyErr, message: &str) -> PyResult<()> {
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

fn vacate<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    this.body().vacate(this.py())?;
    Ok(none(this.py()))
}

fn close_method<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    close(this)?;
    Ok(none(this.py()))
}

fn abort<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    force_close(this, &none(this.py()))?;
    Ok(none(this.py()))
}

/// Whether it is closing or closed.
#[inline]
pub fn is_closing(this: &Bound<'_, SocketTransport>) -> bool {
    this.body().phase.get() != Phase::Open
}

fn is_closing_method<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    Ok(pyo3::types::PyBool::new(this.py(), is_closing(this))
        .to_owned()
        .into_any())
}

fn force_close_method<'py>(this: &Bound<'py, SocketTransport>, exception: &Bound<'py, PyAny>) -> Returned<'py> {
    force_close(this, exception)?;
    Ok(none(this.py()))
}

fn fatal_error<'py>(this: &Bound<'py, SocketTransport>, args: Args<'_, 'py>) -> Returned<'py> {
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

fn call_connection_lost<'py>(this: &Bound<'py, SocketTransport>, exception: &Bound<'py, PyAny>) -> Returned<'py> {
    let py = this.py();
    let body = this.body();
    let told = match body.protocol.get(py) {
        Some(protocol) => protocol
            .call_method1(pyo3::intern!(py, "connection_lost"), (exception,))
            .map(drop),
        None => Ok(()),
    };
    let released = release(this);
    told.and(released)?;
    Ok(none(py))
}

/// Closes the socket and lets go of everything.
fn release(this: &Bound<'_, SocketTransport>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    body.phase.set(Phase::Gone);
    reading::unwatch(this)?;
    writing::unwatch(this)?;
    let closed = match body.socket.take() {
        Some(socket) => socket.bind(py).call_method0(pyo3::intern!(py, "close")).map(drop),
        None => Ok(()),
    };
    body.protocol.clear();
    body.event_loop.clear();
    body.context.set(crate::object::copy_context(py)?);
    if let Some(server) = body.server.take() {
        imports(py)?
            .transports
            .bind(py)
            .call_method1("detach", (server.bind(py), this))?;
    }
    if let Some(waiter) = body.empty_waiter.get(py)
        && !waiter.call_method0("done")?.is_truthy()?
    {
        let error = PyConnectionError::new_err("Connection is closed by peer");
        waiter.call_method1("set_exception", (error.value(py),))?;
    }
    closed
}

/// A transport that nobody closed: warns, and closes the socket.
pub fn finalize(this: &Bound<'_, SocketTransport>) {
    let py = this.py();
    let body = this.body();
    if body.socket.is_empty() {
        return;
    }
    let finish = || -> PyResult<()> {
        body.vacate(py)?;
        imports(py)?
            .transports
            .bind(py)
            .call_method1("warn_unclosed", (this,))?;
        if let Some(socket) = body.socket.take() {
            socket.bind(py).call_method0("close")?;
        }
        if let Some(server) = body.server.take() {
            imports(py)?
                .transports
                .bind(py)
                .call_method1("detach", (server.bind(py), this))?;
        }
        Ok(())
    };
    if let Err(error) = finish() {
        error.write_unraisable(py, Some(this.as_any()));
    }
}
