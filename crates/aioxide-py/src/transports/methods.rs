//! The protocol, and flow control of reading. What is known of the connection `asyncio.BaseTransport` tells: programs'
//! tests replace its method.

#![forbid(unsafe_code)]

use pyo3::prelude::*;
use pyo3::types::PyBool;

use super::{Delivery, Phase, SocketTransport, reading};
use crate::imports::imports;
use crate::object::{BodyOf, Owned, Returned, TypeBuilder, as_exact, method, method_noargs};
use crate::sslproto::SslBody;
use crate::streams;

/// Adds the methods.
pub fn transport_methods(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method(
            c"set_protocol",
            c"Sets the protocol that gets what is read.",
            |this, args| set_protocol(this, args.one("set_protocol", "protocol")?),
        ))
        .method(method_noargs(c"get_protocol", c"The protocol.", protocol))
        .method(method_noargs(c"is_reading", c"Whether it reads.", is_reading))
        .method(method_noargs(c"pause_reading", c"Stops reading.", pause_reading))
        .method(method_noargs(c"resume_reading", c"Reads again.", resume_reading))
        .method(method_noargs(
            c"_begin_reading",
            c"Reads from now on, unless it was paused meanwhile.",
            begin_reading,
        ))
}

fn none(py: Python<'_>) -> Bound<'_, PyAny> {
    py.None().into_bound(py)
}

/// Makes `protocol` the one that is told, by its kind.
pub fn use_protocol(this: &Bound<'_, SocketTransport>, protocol: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = this.py();
    let buffered = imports(py)?.buffered_protocol.bind(py);
    let delivery = if as_exact::<SslBody>(protocol).is_some() {
        Delivery::Records
    } else if streams::takes_bytes(protocol) {
        Delivery::Stream
    } else if protocol.is_instance(buffered)? {
        Delivery::Buffer
    } else {
        Delivery::Bytes
    };
    this.body().delivery.set(delivery);
    this.body().protocol.set(Owned::new(protocol));
    Ok(())
}

fn set_protocol<'py>(this: &Bound<'py, SocketTransport>, protocol: &Bound<'py, PyAny>) -> Returned<'py> {
    use_protocol(this, protocol)?;
    Ok(none(this.py()))
}

fn protocol<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    Ok(this.body().protocol.get_or_none(this.py()))
}

fn is_reading<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    let body = this.body();
    let reading = body.phase.get() == Phase::Open && !body.reading_paused.get();
    Ok(PyBool::new(this.py(), reading).to_owned().into_any())
}

/// Stops reading.
pub fn pause_reading_now(this: &Bound<'_, SocketTransport>) -> PyResult<()> {
    let body = this.body();
    if body.phase.get() == Phase::Open && !body.reading_paused.replace(true) {
        reading::unwatch(this)?;
    }
    Ok(())
}

/// Reads again.
pub fn resume_reading_now(this: &Bound<'_, SocketTransport>) -> PyResult<()> {
    let body = this.body();
    if body.phase.get() == Phase::Open && body.reading_paused.replace(false) {
        reading::watch(this)?;
    }
    Ok(())
}

fn pause_reading<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    pause_reading_now(this)?;
    Ok(none(this.py()))
}

fn resume_reading<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    resume_reading_now(this)?;
    Ok(none(this.py()))
}

fn begin_reading<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    this.body().reading_begun.set(true);
    reading::watch(this)?;
    Ok(none(this.py()))
}
