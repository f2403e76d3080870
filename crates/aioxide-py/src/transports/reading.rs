//! Reading: from the socket into the loop's buffer, and on to the protocol.
//!
//! Measured: allocating 256 KiB for each message, as asyncio does, costs glibc a mmap and a munmap each:
//! 30,000 instead of 105,000 requests a second.

#![forbid(unsafe_code)]

use std::io;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::closing::{self, fatal};
use super::{Delivery, Phase, SocketTransport};
use crate::errors::os_error;
use crate::events::{Direction, Loop, Watch};
use crate::object::{BodyOf, Owned, as_exact, bytes, call_method_one, descriptor};
use crate::sslproto::{self, SslBody};
use crate::streams::{self, Fed};

/// Starts watching, if the transport is to read and does not.
pub fn watch(this: &Bound<'_, SocketTransport>) -> PyResult<()> {
    let body = this.body();
    if body.phase.get() != Phase::Open
        || body.reading_paused.get()
        || !body.reading_begun.get()
        || body.watches_read.get()
    {
        return Ok(());
    }
    body.with_loop(this.py(), |event_loop| {
        event_loop.body().watch(
            body.fd.get(),
            Direction::Read,
            Watch::Transport(Owned::new(this.as_any())),
        )
    })?;
    body.watches_read.set(true);
    Ok(())
}

/// Stops watching.
pub fn unwatch(this: &Bound<'_, SocketTransport>) -> PyResult<()> {
    let body = this.body();
    if body.watches_read.replace(false) {
        body.with_loop(this.py(), |event_loop| {
            event_loop.body().unwatch(body.fd.get(), Direction::Read)
        })?;
    }
    Ok(())
}

/// The socket has something, or its end.
pub fn readable(this: &Bound<'_, SocketTransport>, event_loop: &Bound<'_, Loop>) -> PyResult<()> {
    let body = this.body();
    if !body.watches_read.get() {
        return Ok(());
    }
    let delivery = body.delivery.get();
    if delivery == Delivery::Buffer {
        return read_into_protocols_buffer(this);
    }
    if delivery == Delivery::Records {
        return with_buffer(event_loop, |buffer| read_records(this, buffer));
    }
    with_buffer(event_loop, |buffer| read_bytes(this, buffer))
}

/// Lends the loop's buffer to one read.
pub fn with_buffer<R>(event_loop: &Bound<'_, Loop>, read: impl FnOnce(&mut [u8]) -> R) -> R {
    let lender = &event_loop.body().read_buffer;
    let mut buffer = lender.take();
    if buffer.is_empty() {
        buffer.resize(READ_SIZE, 0);
    }
    let read = read(&mut buffer);
    lender.set(buffer);
    read
}

fn read_bytes(this: &Bound<'_, SocketTransport>, buffer: &mut [u8]) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    let data = match descriptor::receive(body.fd.get(), buffer) {
        Ok(0) => return end_of_stream(this),
        Ok(count) => buffer.get(..count).unwrap_or_default(),
        Err(error) => return failed(this, &error),
    };
    let Some(protocol) = body.protocol.get(py) else {
        return Ok(());
    };
    match deliver(&protocol, data, body.delivery.get()) {
        Ok(()) => Ok(()),
        Err(error) => fatal(this, error, "Fatal error: protocol.data_received() call failed."),
    }
}

#[inline]
fn deliver(protocol: &Bound<'_, PyAny>, data: &[u8], delivery: Delivery) -> PyResult<()> {
    if delivery == Delivery::Stream && streams::feed(protocol, data)? == Fed::Taken {
        return Ok(());
    }
    let py = protocol.py();
    call_method_one(protocol, pyo3::intern!(py, "data_received"), &bytes(py, data)).map(drop)
}

/// Gives what was received to a native TLS protocol, as it lies in the loop's buffer.
fn read_records(this: &Bound<'_, SocketTransport>, buffer: &mut [u8]) -> PyResult<()> {
    let body = this.body();
    let records = match descriptor::receive(body.fd.get(), buffer) {
        Ok(0) => return end_of_stream(this),
        Ok(count) => buffer.get(..count).unwrap_or_default(),
        Err(error) => return failed(this, &error),
    };
    let protocol = body.protocol.get(this.py());
    let Some(protocol) = protocol.as_ref().and_then(as_exact::<SslBody>) else {
        return Ok(());
    };
    match sslproto::received(protocol, records) {
        Ok(()) => Ok(()),
        Err(error) => fatal(this, error, "Fatal error: protocol.buffer_updated() call failed."),
    }
}

fn read_into_protocols_buffer(this: &Bound<'_, SocketTransport>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    let Some(protocol) = body.protocol.get(py) else {
        return Ok(());
    };
    let lent = protocol
        .call_method1(pyo3::intern!(py, "get_buffer"), (-1,))
        .and_then(|lent| {
            let lent = PyBuffer::<u8>::get(&lent)?;
            if lent.item_count() == 0 {
                return Err(PyRuntimeError::new_err("get_buffer() returned an empty buffer"));
            }
            Ok(lent)
        });
    let lent = match lent {
        Ok(lent) => lent,
        Err(error) => return fatal(this, error, "Fatal error: protocol.get_buffer() call failed."),
    };
    let count = match descriptor::receive_into(py, body.fd.get(), &lent) {
        Ok(0) => return end_of_stream(this),
        Ok(count) => count,
        Err(error) if error.kind() == io::ErrorKind::InvalidInput && error.raw_os_error().is_none() => {
            let error = PyRuntimeError::new_err("get_buffer() returned a buffer that is read-only or not contiguous");
            return fatal(this, error, "Fatal error: protocol.get_buffer() call failed.");
        }
        Err(error) => return failed(this, &error),
    };
    drop(lent);
    match protocol.call_method1(pyo3::intern!(py, "buffer_updated"), (count,)) {
        Ok(_) => Ok(()),
        Err(error) => fatal(this, error, "Fatal error: protocol.buffer_updated() call failed."),
    }
}

fn failed(this: &Bound<'_, SocketTransport>, error: &io::Error) -> PyResult<()> {
    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
        return Ok(());
    }
    fatal(this, os_error(error), "Fatal read error on socket transport")
}

/// The peer sends no more. The protocol decides whether we go on sending.
fn end_of_stream(this: &Bound<'_, SocketTransport>) -> PyResult<()> {
    let py = this.py();
    let Some(protocol) = this.body().protocol.get(py) else {
        return Ok(());
    };
    let keep_open = match as_exact::<SslBody>(&protocol) {
        Some(protocol) => sslproto::eof_received(protocol),
        None => streams::feed_eof(&protocol),
    };
    match keep_open {
        // Level-triggered: an end that was seen would be seen again at every poll.
        Ok(true) => unwatch(this),
        Ok(false) => closing::close(this),
        Err(error) => fatal(this, error, "Fatal error: protocol.eof_received() call failed."),
    }
}

/// 256 KiB: what asyncio reads at most at once. One buffer serves all transports of a loop.
pub const READ_SIZE: usize = 256 * 1024;
