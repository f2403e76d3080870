//! Receiving: from the socket, through the loop's buffer, to the protocol.

#![forbid(unsafe_code)]

use std::io;

use pyo3::prelude::*;
use pyo3::types::PyBool;

use super::super::reading::with_buffer;
use super::super::writing::would_block;
use super::{DatagramTransport, Phase, none, serve, unwatch, watch};
use crate::errors::os_error;
use crate::events::{Direction, Loop};
use crate::handles;
use crate::object::{
    BodyOf, Returned, TypeBuilder, bytes, call_method_one, call_method_two, descriptor, method_noargs,
};

/// Adds the methods.
pub fn receiving_methods(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method_noargs(c"is_reading", c"Whether it receives.", is_reading))
        .method(method_noargs(c"pause_reading", c"Stops receiving.", pause_reading))
        .method(method_noargs(c"resume_reading", c"Receives again.", resume_reading))
        .method(method_noargs(
            c"_begin_reading",
            c"Receives from now on, unless it was paused meanwhile.",
            begin_reading,
        ))
        .method(method_noargs(c"_read_ready", c"Receives what there is.", read_ready))
}

fn read_ready<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    serve(this, readable)?;
    Ok(none(this.py()))
}

fn reads(this: &Bound<'_, DatagramTransport>) -> bool {
    this.body().phase.get() == Phase::Open && !this.body().reading_paused.get()
}

fn is_reading<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    Ok(PyBool::new(this.py(), reads(this)).to_owned().into_any())
}

fn pause_reading<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    if reads(this) {
        this.body().reading_paused.set(true);
        unwatch(this, Direction::Read)?;
    }
    Ok(none(this.py()))
}

fn resume_reading<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    let body = this.body();
    if body.phase.get() == Phase::Open && body.reading_paused.replace(false) && body.reading_begun.get() {
        watch(this, Direction::Read)?;
    }
    Ok(none(this.py()))
}

fn begin_reading<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    this.body().reading_begun.set(true);
    if reads(this) {
        watch(this, Direction::Read)?;
    }
    Ok(none(this.py()))
}

/// The socket has datagrams, or an error.
pub fn readable(this: &Bound<'_, DatagramTransport>, event_loop: &Bound<'_, Loop>) -> PyResult<()> {
    for _ in 0..MOST_AT_ONCE {
        // The protocol may have paused, closed or aborted meanwhile.
        if !this.body().watches_read.get() {
            return Ok(());
        }
        let more = match receive(this, event_loop) {
            Ok((data, address)) => {
                deliver(this, event_loop, &data, &address?)?;
                More::Perhaps
            }
            Err(error) if would_block(&error) => More::No,
            Err(error) => {
                report_error(this, event_loop, &error)?;
                More::Perhaps
            }
        };
        if more == More::No {
            return Ok(());
        }
    }
    Ok(())
}

/// Whether it is worth asking the socket again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    Perhaps,
    No,
}

type Received<'py> = (Bound<'py, PyAny>, Returned<'py>);

#[inline]
fn receive<'py>(this: &Bound<'py, DatagramTransport>, event_loop: &Bound<'py, Loop>) -> io::Result<Received<'py>> {
    let py = this.py();
    let body = this.body();
    with_buffer(event_loop, |buffer| {
        let (count, address) = descriptor::receive_from(body.fd.get(), buffer)?;
        let data = bytes(py, buffer.get(..count).unwrap_or_default());
        Ok((data, body.senders.to_python(py, address.as_ref())))
    })
}

#[inline]
fn deliver<'py>(
    this: &Bound<'py, DatagramTransport>,
    event_loop: &Bound<'py, Loop>,
    data: &Bound<'py, PyAny>,
    address: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = this.py();
    let Some(protocol) = this.body().protocol.get(py) else {
        return Ok(());
    };
    let name = pyo3::intern!(py, "datagram_received");
    match call_method_two(&protocol, name, data, address) {
        Ok(_) => Ok(()),
        Err(error) => handles::report_method(event_loop.as_any(), &protocol, name, &[data, address], error),
    }
}

/// Tells the protocol of an error while nobody else would hear of what it raises itself.
#[cold]
pub fn report_error(
    this: &Bound<'_, DatagramTransport>,
    event_loop: &Bound<'_, Loop>,
    error: &io::Error,
) -> PyResult<()> {
    let py = this.py();
    let Some(protocol) = this.body().protocol.get(py) else {
        return Ok(());
    };
    let name = pyo3::intern!(py, "error_received");
    let exception = os_error(error).into_value(py).into_bound(py).into_any();
    match call_method_one(&protocol, name, &exception) {
        Ok(_) => Ok(()),
        Err(error) => handles::report_method(event_loop.as_any(), &protocol, name, &[&exception], error),
    }
}

/// So many datagrams are received before others have their turn. Few enough that a flood holds nobody up: a
/// datagram takes some 3 µs.
const MOST_AT_ONCE: usize = 16;
