//! The end: close, abort, end of stream, errors, `connection_lost`.

#![forbid(unsafe_code)]

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::session::{self, Step};
use super::transport::AppTransportBody;
use super::{App, AppState, SslBody, SslProtocol, State, boolean, handshake, none, reading, writing};
use crate::object::{Args, BodyOf, Returned, Slot, TypeBuilder, as_exact, compat, method, method_noargs, method_one};

/// Adds the methods.
pub fn closing_methods(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method_one(
            c"connection_lost",
            c"The transport below is closed.",
            connection_lost,
        ))
        .method(method_noargs(
            c"eof_received",
            c"The transport below gets no more; whether it is to stay open.",
            eof_received_method,
        ))
        .method(method_noargs(
            c"_check_shutdown_timeout",
            c"The time for the shutdown is over.",
            check_timeout,
        ))
        .method(method_noargs(c"_start_shutdown", c"Closes cleanly.", start_method))
        .method(method_one(
            c"_abort",
            c"Closes now, because of an exception or None.",
            abort_method,
        ))
        .method(method(
            c"_fatal_error",
            c"Reports an exception and closes now.",
            fatal_error_method,
        ))
}

/// Cancels a timer, if it runs.
pub fn cancel(py: Python<'_>, timer: &Slot) -> PyResult<()> {
    match timer.take() {
        Some(timer) => timer.bind(py).call_method0(pyo3::intern!(py, "cancel")).map(drop),
        None => Ok(()),
    }
}

fn connection_lost<'py>(this: &Bound<'py, SslProtocol>, exception: &Bound<'py, PyAny>) -> Returned<'py> {
    let py = this.py();
    let body = this.body();
    drop(body.backlog.take());
    body.lost.set(body.lost.get().saturating_add(1));
    mark_closed(this);
    let connected = matches!(body.app_state.get(), AppState::Connected | AppState::EofReceived);
    if body.state.get() != State::Handshake && connected {
        body.app_state.set(AppState::Lost);
        if let Some(protocol) = body.app_protocol.get(py) {
            let callback = protocol.getattr(pyo3::intern!(py, "connection_lost"))?;
            body.event_loop
                .get_or_none(py)
                .call_method1(pyo3::intern!(py, "call_soon"), (callback, exception))?;
        }
    }
    body.state.set(State::Unwrapped);
    let released = (
        body.transport.take(),
        body.app_transport.take(),
        body.app_protocol.take(),
        body.receive_buffer.take(),
        body.session.take(),
    );
    handshake::wake_waiter(this, exception)?;
    cancel(py, &body.shutdown_timer)?;
    cancel(py, &body.handshake_timer)?;
    drop(released);
    Ok(none(py))
}

/// Whether nobody has to warn about the application's transport any more.
fn mark_closed(this: &Bound<'_, SslProtocol>) {
    if let Some(transport) = this.body().app_transport.get(this.py())
        && let Some(transport) = as_exact::<AppTransportBody>(&transport)
    {
        transport.body().mark_closed();
    }
}

/// The transport below gets no more. Returns whether it is to stay open.
pub fn eof_received(this: &Bound<'_, SslProtocol>) -> PyResult<bool> {
    let received = try_eof(this);
    if let Err(error) = &received
        && reading::is_exception(this.py(), error)
        && let Some(transport) = this.body().transport.get(this.py())
    {
        transport.call_method0(pyo3::intern!(this.py(), "close"))?;
    }
    received
}

fn try_eof(this: &Bound<'_, SslProtocol>) -> PyResult<bool> {
    let py = this.py();
    let body = this.body();
    body.eof.set(true);
    let event_loop = body.event_loop.get_or_none(py);
    if event_loop.call_method0(pyo3::intern!(py, "get_debug"))?.is_truthy()? {
        handshake::cold(py)?.call_method1("log_eof", (this,))?;
    }
    match body.state.get() {
        State::Handshake => {
            let error = pyo3::exceptions::PyConnectionResetError::new_err(());
            handshake::complete(this, Err(error))?;
        }
        State::Wrapped => {
            body.state.set(State::Flushing);
            if body.app_reading_paused.get() {
                return Ok(true);
            }
            flush(this)?;
        }
        State::Flushing => {
            writing::write_backlog(this)?;
            body.state.set(State::Shutdown);
            shut_down(this)?;
        }
        State::Shutdown => shut_down(this)?,
        State::Unwrapped => {}
    }
    Ok(false)
}

/// The peer has said, in TLS, that it sends no more.
pub fn closed_by_peer(this: &Bound<'_, SslProtocol>) -> PyResult<()> {
    tell_eof(this)?;
    start(this)
}

/// Closes cleanly: reads what was received, says so to the peer, and waits for it to say so.
pub fn start(this: &Bound<'_, SslProtocol>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    match body.state.get() {
        State::Flushing | State::Shutdown | State::Unwrapped => Ok(()),
        State::Handshake => {
            mark_closed(this);
            abort(this, &none(py))
        }
        State::Wrapped => {
            mark_closed(this);
            body.state.set(State::Flushing);
            let callback = this.getattr(pyo3::intern!(py, "_check_shutdown_timeout"))?;
            let timer = body.event_loop.get_or_none(py).call_method1(
                pyo3::intern!(py, "call_later"),
                (body.shutdown_timeout.get_or_none(py), callback),
            )?;
            body.shutdown_timer.set(timer.into());
            flush(this)
        }
    }
}

/// Reads what was received, then shuts down.
pub fn flush(this: &Bound<'_, SslProtocol>) -> PyResult<()> {
    let body = this.body();
    reading::read(this)?;
    if body.state.get() != State::Flushing {
        return Ok(());
    }
    // Reading has done so, unless the application has paused it.
    closing_write(this)?;
    body.state.set(State::Shutdown);
    shut_down(this)
}

/// Encrypts what was written and waits still: it goes before the end.
fn closing_write(this: &Bound<'_, SslProtocol>) -> PyResult<()> {
    if this.body().backlog.borrow().is_empty() {
        return Ok(());
    }
    or_fatal(this, writing::write_backlog(this))
}

/// Says to the peer that no more comes; goes on with that when more was received.
pub fn shut_down(this: &Bound<'_, SslProtocol>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    let Some(session) = body.session() else {
        return Ok(());
    };
    let step = if body.eof.get() {
        Ok(Step::Done)
    } else {
        session.unwrap(py)
    };
    match step {
        Ok(Step::Wait) => writing::process_outgoing(this),
        Ok(Step::Done) => {
            writing::process_outgoing(this)?;
            tell_eof(this)?;
            cancel(py, &body.shutdown_timer)?;
            match body.transport.get(py) {
                Some(transport) => body.call_soon(py, &transport.getattr(pyo3::intern!(py, "close"))?),
                None => Ok(()),
            }
        }
        Err(error) if error.is_instance(py, session::imports(py)?.error.bind(py)) => {
            cancel(py, &body.shutdown_timer)?;
            fatal_error(this, error.value(py), &default_message(py))
        }
        Err(error) => Err(error),
    }
}

/// Tells the application, once, that no more comes.
fn tell_eof(this: &Bound<'_, SslProtocol>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    if body.app_state.get() != AppState::Connected {
        return Ok(());
    }
    body.app_state.set(AppState::EofReceived);
    let Some(protocol) = body.app_protocol.get(py) else {
        return Ok(());
    };
    let keep_open = match as_exact::<SslBody>(&protocol) {
        Some(inner) if body.app_kind.get() == App::Tls => eof_received(inner),
        _ => protocol
            .call_method0(pyo3::intern!(py, "eof_received"))
            .and_then(|keep_open| keep_open.is_truthy()),
    };
    match keep_open {
        Ok(false) => Ok(()),
        Ok(true) => handshake::cold(py)?.call_method0("warn_keep_open").map(drop),
        Err(error) if crate::errors::ends_the_loop(py, error.value(py).as_any()) => Err(error),
        Err(error) => fatal_error(
            this,
            error.value(py),
            &PyString::new(py, "Error calling eof_received()"),
        ),
    }
}

/// Closes now, because of an exception or `None`.
pub fn abort(this: &Bound<'_, SslProtocol>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    // What was written before is with the transport below, as far as anybody can tell.
    writing::uncork(this)?;
    body.state.set(State::Unwrapped);
    let Some(transport) = body.transport.get(py) else {
        return Ok(());
    };
    if exception.is_none() && !compat::ABORTS_BY_FORCE_CLOSE {
        return transport.call_method0(pyo3::intern!(py, "abort")).map(drop);
    }
    force_close(&transport, exception)
}

fn force_close(transport: &Bound<'_, PyAny>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = transport.py();
    transport
        .call_method1(pyo3::intern!(py, "_force_close"), (exception,))
        .map(drop)
}

/// What asyncio says unless it says more.
pub fn default_message(py: Python<'_>) -> Bound<'_, PyString> {
    PyString::new(py, "Fatal error on transport")
}

/// Reports an exception, unless it is the network's everyday business, and closes now.
pub fn fatal_error<'py>(
    this: &Bound<'py, SslProtocol>,
    exception: &Bound<'py, PyAny>,
    message: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = this.py();
    let transport = this.body().transport.get(py);
    if let Some(transport) = &transport {
        force_close(transport, exception)?;
    }
    handshake::cold(py)?
        .call_method1("report_fatal", (this, transport, exception, message))
        .map(drop)
}

/// Ends the connection if `done` is an error that asyncio catches with `except Exception`.
#[inline]
pub fn or_fatal(this: &Bound<'_, SslProtocol>, done: PyResult<()>) -> PyResult<()> {
    let py = this.py();
    match done {
        Err(error) if reading::is_exception(py, &error) => {
            let message = PyString::new(py, "Fatal error on SSL protocol");
            fatal_error(this, error.value(py), &message)
        }
        done => done,
    }
}

fn eof_received_method<'py>(this: &Bound<'py, SslProtocol>) -> Returned<'py> {
    Ok(boolean(this.py(), eof_received(this)?))
}

fn check_timeout<'py>(this: &Bound<'py, SslProtocol>) -> Returned<'py> {
    let py = this.py();
    let body = this.body();
    if matches!(body.state.get(), State::Flushing | State::Shutdown)
        && let Some(transport) = body.transport.get(py)
    {
        let error = pyo3::exceptions::PyTimeoutError::new_err("SSL shutdown timed out");
        force_close(&transport, error.value(py).as_any())?;
    }
    Ok(none(py))
}

fn start_method<'py>(this: &Bound<'py, SslProtocol>) -> Returned<'py> {
    start(this)?;
    Ok(none(this.py()))
}

fn abort_method<'py>(this: &Bound<'py, SslProtocol>, exception: &Bound<'py, PyAny>) -> Returned<'py> {
    abort(this, exception)?;
    Ok(none(this.py()))
}

fn fatal_error_method<'py>(this: &Bound<'py, SslProtocol>, args: Args<'_, 'py>) -> Returned<'py> {
    let [exception, message] = args.bind("_fatal_error", ["exc", "message"], 2, 1)?;
    let py = this.py();
    let message = message.map_or_else(|| default_message(py).into_any(), Clone::clone);
    if let Some(exception) = exception {
        fatal_error(this, exception, &message)?;
    }
    Ok(none(py))
}
