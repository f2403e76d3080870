//! Flow control: of the application's writing and reading, and of the transport below.

#![forbid(unsafe_code)]

use pyo3::prelude::*;

use super::session::Session;
use super::{App, Lower, SslBody, SslProtocol, handshake, none, writing};
use crate::object::{BodyOf, Returned, TypeBuilder, as_exact, as_plain, method_noargs};
use crate::transports::{self, TransportBody};

/// Adds the methods.
pub fn flow_methods(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method_noargs(
            c"pause_writing",
            c"The transport below has enough to send.",
            pause_writing_method,
        ))
        .method(method_noargs(
            c"resume_writing",
            c"The transport below takes more.",
            resume_writing_method,
        ))
}

/// The transport below has enough to send.
pub fn pause_writing(this: &Bound<'_, SslProtocol>) {
    this.body().writing_paused.set(true);
}

/// The transport below takes more.
pub fn resume_writing(this: &Bound<'_, SslProtocol>) -> PyResult<()> {
    this.body().writing_paused.set(false);
    writing::process_outgoing(this)
}

fn pause_writing_method<'py>(this: &Bound<'py, SslProtocol>) -> Returned<'py> {
    pause_writing(this);
    Ok(none(this.py()))
}

fn resume_writing_method<'py>(this: &Bound<'py, SslProtocol>) -> Returned<'py> {
    resume_writing(this)?;
    Ok(none(this.py()))
}

/// How much the application wrote that the transport below has not got yet.
pub fn write_buffer_size(this: &Bound<'_, SslProtocol>) -> PyResult<usize> {
    let body = this.body();
    let waiting = body.backlog.borrow().len();
    match body.session() {
        Some(session) => Ok(waiting + session.unsent(this.py())?),
        None => Ok(waiting),
    }
}

/// How much was received that the application has not got yet.
pub fn read_buffer_size(this: &Bound<'_, SslProtocol>) -> PyResult<usize> {
    this.body().session().map_or(Ok(0), |session| session.unread(this.py()))
}

/// Tells the application to pause, or to go on, when what waits has crossed a water mark.
#[inline]
pub fn control_app_writing(this: &Bound<'_, SslProtocol>, session: &Session) -> PyResult<()> {
    let body = this.body();
    let size = body.backlog.borrow().len() + session.unsent(this.py())?;
    let paused = &body.app_writing_paused;
    if size >= body.outgoing_high.get() && !paused.get() {
        paused.set(true);
        tell_app(this, "pause_writing")
    } else if size <= body.outgoing_low.get() && paused.get() {
        paused.set(false);
        tell_app(this, "resume_writing")
    } else {
        Ok(())
    }
}

fn tell_app(this: &Bound<'_, SslProtocol>, method: &str) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    if body.app_kind.get() == App::Tls
        && let Some(protocol) = body.app_protocol.get(py)
        && let Some(inner) = as_exact::<SslBody>(&protocol)
    {
        if method == "resume_writing" {
            return resume_writing(inner);
        }
        pause_writing(inner);
        return Ok(());
    }
    handshake::cold(py)?
        .call_method1("tell_protocol", (this, method))
        .map(drop)
}

/// Lets the transport below pause, or go on, when what was received has crossed a water mark.
#[inline]
pub fn control_reading(this: &Bound<'_, SslProtocol>) -> PyResult<()> {
    let body = this.body();
    let size = read_buffer_size(this)?;
    let paused = &body.reading_paused;
    if size >= body.incoming_high.get() && !paused.get() {
        paused.set(true);
        tell_below(this, "pause_reading")
    } else if size <= body.incoming_low.get() && paused.get() {
        paused.set(false);
        tell_below(this, "resume_reading")
    } else {
        Ok(())
    }
}

fn tell_below(this: &Bound<'_, SslProtocol>, method: &str) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    let Some(transport) = body.transport.get(py) else {
        return Ok(());
    };
    if body.lower.get() == Lower::Socket
        && let Some(socket) = as_plain::<TransportBody>(&transport)
    {
        return if method == "pause_reading" {
            transports::pause_reading(socket)
        } else {
            transports::resume_reading(socket)
        };
    }
    transport.call_method0(method).map(drop)
}

/// The application does not want more for now.
pub fn pause_app_reading(this: &Bound<'_, SslProtocol>) {
    this.body().app_reading_paused.set(true);
}

/// The application wants more: soon.
pub fn resume_app_reading(this: &Bound<'_, SslProtocol>) -> PyResult<()> {
    let py = this.py();
    if !this.body().app_reading_paused.replace(false) {
        return Ok(());
    }
    this.body().call_soon(py, &this.getattr(pyo3::intern!(py, "_resume"))?)
}
