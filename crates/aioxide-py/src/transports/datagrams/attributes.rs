//! What is known of a datagram transport, and the private attributes that libraries read.

#![forbid(unsafe_code)]

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString};

use super::super::Phase;
use super::super::flow::Writes;
use super::{DatagramTransport, gathering, none};
use crate::object::{Args, BodyOf, Owned, Returned, TypeBuilder, getter, method, method_noargs};

/// Adds the attributes.
pub fn datagram_attributes(builder: TypeBuilder) -> TypeBuilder {
    builder
        .attribute(getter(c"_loop", event_loop))
        .attribute(getter(c"_protocol", protocol))
        .attribute(getter(c"_sock", socket))
        .attribute(getter(c"_sock_fd", descriptor))
        .attribute(getter(c"_extra", extra))
        .attribute(getter(c"_address", address))
        .attribute(getter(c"_closing", closing))
        .attribute(getter(c"_paused", paused))
        .attribute(getter(c"_conn_lost", lost))
        .attribute(getter(c"_protocol_paused", protocol_paused))
        .attribute(getter(c"_buffer_size", buffer_size))
        .attribute(getter(c"_high_water", high_water))
        .attribute(getter(c"_low_water", low_water))
        .method(method(
            c"get_extra_info",
            c"What is known of the socket, by name.",
            extra_info,
        ))
        .method(method(
            c"set_protocol",
            c"Sets the protocol that is told.",
            |this, args| set_protocol(this, args.one("set_protocol", "protocol")?),
        ))
        .method(method_noargs(c"get_protocol", c"The protocol.", protocol))
}

fn boolean(py: Python<'_>, value: bool) -> Bound<'_, PyAny> {
    PyBool::new(py, value).to_owned().into_any()
}

fn event_loop<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    Ok(this.body().event_loop.get_or_none(this.py()))
}

fn protocol<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    Ok(this.body().protocol.get_or_none(this.py()))
}

fn socket<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    gathering::stop(this)?;
    Ok(this.body().socket.get_or_none(this.py()))
}

fn descriptor<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    Ok(this.body().fd.get().into_pyobject(this.py())?.into_any())
}

fn extra<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    gathering::stop(this)?;
    Ok(this.body().extra.get_or_none(this.py()))
}

fn address<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    Ok(this.body().address.get_or_none(this.py()))
}

fn closing<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    Ok(boolean(this.py(), this.body().phase.get() != Phase::Open))
}

fn paused<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    Ok(boolean(this.py(), this.body().reading_paused.get()))
}

/// asyncio counts; only whether it is zero means something.
fn lost<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    let body = this.body();
    let count = if body.phase.get() >= Phase::Lost {
        body.writes_lost.get().saturating_add(1)
    } else {
        0
    };
    Ok(count.into_pyobject(this.py())?.into_any())
}

fn protocol_paused<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    Ok(boolean(this.py(), this.body().protocol_paused.get()))
}

fn buffer_size<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    Ok(this.body().buffered().into_pyobject(this.py())?.into_any())
}

fn high_water<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    Ok(this.body().high_water.get().into_pyobject(this.py())?.into_any())
}

fn low_water<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    Ok(this.body().low_water.get().into_pyobject(this.py())?.into_any())
}

fn extra_info<'py>(this: &Bound<'py, DatagramTransport>, args: Args<'_, 'py>) -> Returned<'py> {
    let [name, default] = args.bind("get_extra_info", ["name", "default"], 2, 1)?;
    let py = this.py();
    let default = default.map_or_else(|| none(py), Clone::clone);
    let (Some(name), Some(extra)) = (name, this.body().extra.get(py)) else {
        return Ok(default);
    };
    if name.eq("socket")? {
        gathering::stop(this)?;
    }
    Ok(extra.cast::<PyDict>()?.get_item(name)?.unwrap_or(default))
}

fn set_protocol<'py>(this: &Bound<'py, DatagramTransport>, protocol: &Bound<'py, PyAny>) -> Returned<'py> {
    this.body().protocol.set(Owned::new(protocol));
    Ok(none(this.py()))
}

/// `<DatagramTransport fd=7 read=polling write=<idle, bufsize=0>>`.
pub fn repr<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    let body = this.body();
    let mut parts = vec![this.get_type().name()?.to_string()];
    match body.phase.get() {
        Phase::Gone => parts.push("closed".to_owned()),
        Phase::Closing | Phase::Lost => parts.push("closing".to_owned()),
        Phase::Open => {}
    }
    parts.push(format!("fd={}", body.fd.get()));
    if body.phase.get() < Phase::Gone {
        let state = |watches: bool| if watches { "polling" } else { "idle" };
        let (read, write) = (state(body.watches_read.get()), state(body.watches_write.get()));
        parts.push(format!("read={read}"));
        parts.push(format!("write=<{write}, bufsize={}>", body.buffered()));
    }
    Ok(PyString::new(this.py(), &format!("<{}>", parts.join(" "))).into_any())
}
