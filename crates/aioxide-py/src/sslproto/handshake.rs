//! The handshake: from `connection_made` below to `connection_made` above.

#![forbid(unsafe_code)]

use pyo3::exceptions::{PyConnectionAbortedError, PyException};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::session::{self, Session, Step};
use super::{AppState, SslProtocol, State, closing, none, reading, use_transport, writing};
use crate::object::{BodyOf, Returned, TypeBuilder, method_noargs, method_one};

/// Adds the methods.
pub fn handshake_methods(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method_one(
            c"connection_made",
            c"Starts the handshake over a transport.",
            connection_made,
        ))
        .method(method_noargs(
            c"_check_handshake_timeout",
            c"The time for the handshake is over.",
            check_timeout,
        ))
}

fn connection_made<'py>(this: &Bound<'py, SslProtocol>, transport: &Bound<'py, PyAny>) -> Returned<'py> {
    use_transport(this, transport);
    start(this)?;
    Ok(none(this.py()))
}

fn start(this: &Bound<'_, SslProtocol>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    body.state.set(State::Handshake);
    let event_loop = body.event_loop.get_or_none(py);
    if event_loop.call_method0(pyo3::intern!(py, "get_debug"))?.is_truthy()? {
        let began = cold(py)?.call_method1("handshake_starts", (this,))?;
        body.handshake_start.set(began.into());
    }
    let timer = event_loop.call_method1(
        pyo3::intern!(py, "call_later"),
        (
            body.handshake_timeout.get_or_none(py),
            this.getattr(pyo3::intern!(py, "_check_handshake_timeout"))?,
        ),
    )?;
    body.handshake_timer.set(timer.into());
    go_on(this)
}

/// Goes on with what was received.
pub fn go_on(this: &Bound<'_, SslProtocol>) -> PyResult<()> {
    let py = this.py();
    let Some(session) = this.body().session() else {
        return Ok(());
    };
    match session.handshake(py) {
        Ok(Step::Wait) => writing::process_outgoing(this),
        Ok(Step::Done) => complete(this, Ok(())),
        Err(error) if error.is_instance(py, session::imports(py)?.error.bind(py)) => complete(this, Err(error)),
        Err(error) => Err(error),
    }
}

/// The handshake has ended, well or not.
pub fn complete(this: &Bound<'_, SslProtocol>, outcome: PyResult<()>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    // A callback of the handshake's, for the server's name perhaps, may have aborted the connection.
    let Some(session) = body.session().filter(|_| body.state.get() == State::Handshake) else {
        return Ok(());
    };
    closing::cancel(py, &body.handshake_timer)?;
    let peer = outcome.and_then(|()| {
        body.state.set(State::Wrapped);
        session.object(py).call_method0(pyo3::intern!(py, "getpeercert"))
    });
    let peer = match peer {
        Ok(peer) => peer,
        Err(error) if error.is_instance_of::<PyException>(py) => {
            body.state.set(State::Unwrapped);
            let message = cold(py)?.call_method1("failed_handshake", (error.value(py),))?;
            closing::fatal_error(this, error.value(py), &message)?;
            return wake_waiter(this, error.value(py).as_any());
        }
        Err(error) => return Err(error),
    };
    if let Some(began) = body.handshake_start.take() {
        cold(py)?.call_method1("handshake_ended", (this, began.bind(py)))?;
    }
    learn(this, &session, peer)?;
    if body.app_state.get() == AppState::Initial {
        body.app_state.set(AppState::Connected);
        if let (Some(protocol), Some(transport)) = (body.app_protocol.get(py), body.app_transport.get(py)) {
            protocol.call_method1(pyo3::intern!(py, "connection_made"), (transport,))?;
        }
    }
    wake_waiter(this, &none(py))?;
    reading::read(this)
}

/// Adds to the extra information what the handshake brought.
fn learn(this: &Bound<'_, SslProtocol>, session: &Session, peer: Bound<'_, PyAny>) -> PyResult<()> {
    let py = this.py();
    let Some(extra) = this.body().extra.get(py) else {
        return Ok(());
    };
    let extra = extra.cast::<PyDict>()?;
    let object = session.object(py);
    extra.set_item(pyo3::intern!(py, "peercert"), peer)?;
    extra.set_item(
        pyo3::intern!(py, "cipher"),
        object.call_method0(pyo3::intern!(py, "cipher"))?,
    )?;
    extra.set_item(
        pyo3::intern!(py, "compression"),
        object.call_method0(pyo3::intern!(py, "compression"))?,
    )?;
    extra.set_item(pyo3::intern!(py, "ssl_object"), object)
}

/// Tells who waits for the handshake, once: an exception, or `None`.
pub fn wake_waiter(this: &Bound<'_, SslProtocol>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = this.py();
    let Some(waiter) = this.body().waiter.take() else {
        return Ok(());
    };
    let waiter = waiter.bind(py);
    if waiter.call_method0(pyo3::intern!(py, "cancelled"))?.is_truthy()? {
        return Ok(());
    }
    let method = if exception.is_none() {
        pyo3::intern!(py, "set_result")
    } else {
        pyo3::intern!(py, "set_exception")
    };
    waiter.call_method1(method, (exception,)).map(drop)
}

fn check_timeout<'py>(this: &Bound<'py, SslProtocol>) -> Returned<'py> {
    let py = this.py();
    let body = this.body();
    if body.state.get() == State::Handshake {
        let seconds = body.handshake_timeout.get_or_none(py).str()?;
        let error = PyConnectionAbortedError::new_err(format!(
            "SSL handshake is taking longer than {seconds} seconds: aborting the connection"
        ));
        let message = closing::default_message(py);
        closing::fatal_error(this, error.value(py), &message)?;
    }
    Ok(none(py))
}

/// Our half in Python.
pub fn cold(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    Ok(session::imports(py)?.cold.bind(py))
}
