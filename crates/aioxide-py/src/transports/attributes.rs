//! The private attributes that asyncio's own code (sendfile, sslproto, servers) and libraries read.

#![forbid(unsafe_code)]

use pyo3::prelude::*;
use pyo3::types::PyBool;

use super::{Phase, SocketTransport};
use crate::imports::imports;
use crate::object::{BodyOf, Returned, TypeBuilder, getter};

/// Adds the attributes.
pub fn transport_attributes(builder: TypeBuilder) -> TypeBuilder {
    builder
        .attribute(getter(c"_loop", event_loop))
        .attribute(getter(c"_protocol", protocol))
        .attribute(getter(c"_sock", socket))
        .attribute(getter(c"_sock_fd", descriptor))
        .attribute(getter(c"_server", server))
        .attribute(getter(c"_extra", extra))
        .attribute(getter(c"_closing", closing))
        .attribute(getter(c"_paused", paused))
        .attribute(getter(c"_eof", eof))
        .attribute(getter(c"_conn_lost", lost))
        .attribute(getter(c"_protocol_paused", protocol_paused))
        .attribute(getter(c"_high_water", high_water))
        .attribute(getter(c"_low_water", low_water))
        .attribute(getter(c"_empty_waiter", empty_waiter))
        .attribute(getter(c"_start_tls_compatible", yes))
        .attribute(getter(c"_sendfile_compatible", sendfile_mode))
}

fn boolean(py: Python<'_>, value: bool) -> Bound<'_, PyAny> {
    PyBool::new(py, value).to_owned().into_any()
}

fn event_loop<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    Ok(this.body().event_loop.get_or_none(this.py()))
}

fn protocol<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    Ok(this.body().protocol.get_or_none(this.py()))
}

fn socket<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    Ok(this.body().socket.get_or_none(this.py()))
}

fn descriptor<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    Ok(this.body().fd.get().into_pyobject(this.py())?.into_any())
}

fn server<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    Ok(this.body().server.get_or_none(this.py()))
}

fn extra<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    Ok(this.body().extra.get_or_none(this.py()))
}

fn closing<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    Ok(boolean(this.py(), this.body().phase.get() != Phase::Open))
}

fn paused<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    Ok(boolean(this.py(), this.body().reading_paused.get()))
}

fn eof<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    Ok(boolean(this.py(), this.body().eof.get()))
}

/// asyncio counts; only whether it is zero means something.
fn lost<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    let body = this.body();
    let count = if body.phase.get() >= Phase::Lost {
        body.writes_lost.get().saturating_add(1)
    } else {
        0
    };
    Ok(count.into_pyobject(this.py())?.into_any())
}

fn protocol_paused<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    Ok(boolean(this.py(), this.body().protocol_paused.get()))
}

fn high_water<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    Ok(this.body().high_water.get().into_pyobject(this.py())?.into_any())
}

fn low_water<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    Ok(this.body().low_water.get().into_pyobject(this.py())?.into_any())
}

fn empty_waiter<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    Ok(this.body().empty_waiter.get_or_none(this.py()))
}

fn yes<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    Ok(boolean(this.py(), true))
}

fn sendfile_mode<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    imports(this.py())?.transports.bind(this.py()).getattr("SENDFILE_MODE")
}

/// `<SocketTransport fd=7 read=polling write=idle, bufsize=0>`.
pub fn repr<'py>(this: &Bound<'py, SocketTransport>) -> Returned<'py> {
    let body = this.body();
    let class = this.get_type().name()?;
    let mut parts = vec![class.to_string()];
    match body.phase.get() {
        Phase::Gone => parts.push("closed".to_owned()),
        Phase::Closing | Phase::Lost => parts.push("closing".to_owned()),
        Phase::Open => {}
    }
    parts.push(format!("fd={}", body.fd.get()));
    if body.phase.get() < Phase::Gone {
        let read = if body.watches_read.get() {
            "read=polling"
        } else {
            "read=idle"
        };
        let write = if body.watches_write.get() { "polling" } else { "idle" };
        parts.push(read.to_owned());
        parts.push(format!("write=<{write}, bufsize={}>", body.buffer.borrow().len()));
    }
    Ok(pyo3::types::PyString::new(this.py(), &format!("<{}>", parts.join(" "))).into_any())
}
