//! Writing: from what the application writes to the transport below.

#![forbid(unsafe_code)]

use pyo3::prelude::*;

use super::session::Session;
use super::transport::AppTransportBody;
use super::{Lower, SslProtocol, State, closing, flow, handshake};
use crate::object::{BodyOf, as_plain, bytes};
use crate::transports::{self, TransportBody};

/// Encrypts `data` and sends it as far as the transport below takes it.
///
/// # Errors
/// Only what is no `Exception`; the others end the connection.
#[inline]
pub fn write(this: &Bound<'_, SslProtocol>, data: &[u8]) -> PyResult<()> {
    let body = this.body();
    match body.state.get() {
        State::Wrapped => closing::or_fatal(this, write_now(this, data)),
        State::Handshake => {
            body.backlog.borrow_mut().extend_from_slice(data);
            Ok(())
        }
        State::Unwrapped | State::Flushing | State::Shutdown => count_lost(this),
    }
}

fn write_now(this: &Bound<'_, SslProtocol>, data: &[u8]) -> PyResult<()> {
    let body = this.body();
    let Some(session) = body.session() else {
        return Ok(());
    };
    if !body.backlog.borrow().is_empty() {
        body.backlog.borrow_mut().extend_from_slice(data);
        return write_backlog(this);
    }
    let encrypted = encrypt(this, &session, data)?;
    let rest = data.get(encrypted..).unwrap_or_default();
    if !rest.is_empty() {
        put_back(this, rest);
    } else if !body.backlog.borrow().is_empty() {
        // A callback of OpenSSL's wrote something in between.
        return write_backlog(this);
    }
    process_outgoing(this)
}

/// Encrypts as much as can be now; returns how much that was.
#[inline]
fn encrypt(this: &Bound<'_, SslProtocol>, session: &Session, data: &[u8]) -> PyResult<usize> {
    let py = this.py();
    this.body().with_loop(py, |event_loop| session.offer_room(event_loop));
    let mut done = 0;
    while let Some(rest) = data.get(done..).filter(|rest| !rest.is_empty()) {
        match session.write(py, rest)? {
            Some(count) => done += count,
            None => break,
        }
    }
    Ok(done)
}

/// Encrypts what had to wait, then sends.
pub fn write_backlog(this: &Bound<'_, SslProtocol>) -> PyResult<()> {
    let body = this.body();
    if !body.backlog.borrow().is_empty()
        && let Some(session) = body.session()
    {
        let waiting = body.backlog.take();
        let encrypted = encrypt(this, &session, &waiting)?;
        if let Some(rest) = waiting.get(encrypted..).filter(|rest| !rest.is_empty()) {
            put_back(this, rest);
        }
    }
    process_outgoing(this)
}

/// Lets `rest` wait, before all that waits already.
fn put_back(this: &Bound<'_, SslProtocol>, rest: &[u8]) {
    let backlog = &this.body().backlog;
    let mut all = rest.to_vec();
    all.append(&mut backlog.borrow_mut());
    backlog.replace(all);
}

/// Gives records to the transport below, unless it has enough; then looks after the water marks.
#[inline]
pub fn process_outgoing(this: &Bound<'_, SslProtocol>) -> PyResult<()> {
    let body = this.body();
    let Some(session) = body.session() else {
        return Ok(());
    };
    if !body.writing_paused.get() {
        if body.corked.get() && session.unsent(this.py())? < CORKED {
            return Ok(());
        }
        send(this, &session)?;
    }
    flow::control_app_writing(this, &session)
}

/// Sends what a cork holds back, now.
pub fn uncork(this: &Bound<'_, SslProtocol>) -> PyResult<()> {
    let body = this.body();
    match body.session() {
        Some(session) if body.corked.get() && !body.writing_paused.get() => send(this, &session),
        _ => Ok(()),
    }
}

fn send(this: &Bound<'_, SslProtocol>, session: &Session) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    let mut records = session.take_output(py)?;
    if records.is_empty() {
        return Ok(());
    }
    send_below(this, &records)?;
    if records.capacity() <= KEPT {
        records.clear();
        body.with_loop(py, |event_loop| {
            if let Some(event_loop) = event_loop {
                event_loop.tls_output.set(records);
            }
        });
    }
    Ok(())
}

fn send_below(this: &Bound<'_, SslProtocol>, records: &[u8]) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    let Some(transport) = body.transport.get(py) else {
        return Ok(());
    };
    if body.lower.get() == Lower::Socket
        && let Some(socket) = as_plain::<TransportBody>(&transport)
    {
        return transports::send(socket, records);
    }
    if body.lower.get() == Lower::Tls
        && let Some(outer) = as_plain::<AppTransportBody>(&transport)
    {
        return super::transport::send(outer, records);
    }
    transport
        .call_method1(pyo3::intern!(py, "write"), (bytes(py, records),))
        .map(drop)
}

/// A write after the connection was closed: nobody can get it. asyncio warns from the sixth on.
#[cold]
fn count_lost(this: &Bound<'_, SslProtocol>) -> PyResult<()> {
    let lost = &this.body().lost;
    if lost.get() >= 5 {
        handshake::cold(this.py())?.call_method0("warn_closed")?;
    }
    lost.set(lost.get().saturating_add(1));
    Ok(())
}

/// 64 KiB: more than that does not gather, so that the peer may begin with it.
const CORKED: usize = 64 * 1024;
/// 256 KiB: a larger vector is given back to the system.
const KEPT: usize = 256 * 1024;
