//! `SSLTransport`: what the application's protocol is given as its transport.
//!
//! Counterpart: `_SSLProtocolTransport` in `Lib/asyncio/sslproto.py`.

#![forbid(unsafe_code)]

use std::cell::Cell;

use pyo3::exceptions::PyNotImplementedError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};

use super::{SslBody, SslProtocol, boolean, closing, flow, handshake, none, use_app_protocol, writing};
use crate::object::{
    Args, Body, BodyOf, Layout, Native, Owned, Returned, Slot, TypeBuilder, Visitor, as_exact, finalize_slot, getter,
    method, method_noargs, method_one,
};
use crate::transports;

/// The body of an `SSLTransport`.
pub struct AppTransportBody {
    protocol: Slot,
    /// After a second `close()`, in the protocol's place: the transport below, for `abort()`. As in asyncio, a
    /// transport that was closed twice does not keep the connection's context alive.
    below: Slot,
    /// `close()` or `abort()` was called, or the connection is lost.
    closed: Cell<bool>,
}

/// A native TLS transport.
type AppTransport = Native<AppTransportBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for AppTransportBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            protocol: Slot::empty(),
            below: Slot::empty(),
            closed: Cell::new(true),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.protocol);
        visitor.slot(&self.below);
    }

    fn clear(&self) {
        self.protocol.clear();
        self.below.clear();
    }

    fn needs_finalize(&self) -> bool {
        !self.closed.get()
    }

    fn finalize(this: &Bound<'_, AppTransport>) {
        if this.body().closed.replace(true) {
            return;
        }
        let py = this.py();
        let warned = handshake::cold(py).and_then(|cold| cold.call_method1("warn_unclosed", (this,)));
        if let Err(error) = warned {
            error.write_unraisable(py, Some(this.as_any()));
        }
    }
}

impl AppTransportBody {
    /// That of a protocol.
    pub fn of(protocol: &Bound<'_, SslProtocol>) -> Self {
        Self {
            protocol: Slot::new(Owned::new(protocol.as_any())),
            below: Slot::empty(),
            closed: Cell::new(false),
        }
    }

    /// Whoever drops it needs no warning any more.
    pub fn mark_closed(&self) {
        self.closed.set(true);
    }
}

/// Makes the type.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    // asyncio's fallback for sendfile insists on this base.
    let base = py
        .import("asyncio.transports")?
        .getattr("_FlowControlMixin")?
        .cast_into::<PyType>()?;
    let builder = TypeBuilder::new()
        .weak_references()
        .instance_attributes()
        .slot(finalize_slot::<AppTransportBody>());
    let builder = attributes(builder);
    let builder = information(builder);
    let builder = reading(builder);
    let builder = writing_methods(builder);
    closing_methods(builder).finish::<AppTransportBody>(
        py,
        c"aioxide.SSLTransport",
        c"A TLS connection. Made by the loop.",
        Some(&base),
        false,
    )
}

fn attributes(builder: TypeBuilder) -> TypeBuilder {
    builder
        .attribute(getter(c"_loop", event_loop))
        .attribute(getter(c"_ssl_protocol", ssl_protocol))
        .attribute(getter(c"_closed", is_closing))
        .attribute(getter(c"_protocol_paused", protocol_paused))
        .attribute(getter(c"_start_tls_compatible", start_tls_compatible))
        .attribute(getter(c"_sendfile_compatible", sendfile_mode))
}

fn information(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method(
            c"get_extra_info",
            c"What is known of the connection, by name.",
            extra_info,
        ))
        .method(method(
            c"set_protocol",
            c"Sets the protocol that gets what is read.",
            |this, args| set_protocol(this, args.one("set_protocol", "protocol")?),
        ))
        .method(method_noargs(c"get_protocol", c"The protocol.", app_protocol))
}

fn reading(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method_noargs(c"is_reading", c"Whether it reads.", is_reading))
        .method(method_noargs(c"pause_reading", c"Stops reading.", pause_reading))
        .method(method_noargs(c"resume_reading", c"Reads again.", resume_reading))
        .method(method(
            c"set_read_buffer_limits",
            c"Sets the water marks for reading, in bytes.",
            set_read_limits,
        ))
        .method(method_noargs(
            c"get_read_buffer_limits",
            c"The water marks (low, high) for reading, in bytes.",
            read_limits,
        ))
        .method(method_noargs(
            c"get_read_buffer_size",
            c"How many bytes were received and not decrypted yet.",
            read_size,
        ))
}

fn writing_methods(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method(c"write", c"Writes some data; never blocks.", |this, args| {
            write(this, args.one("write", "data")?)
        }))
        .method(method(c"writelines", c"Writes a list of data.", |this, args| {
            writelines(this, args.one("writelines", "list_of_data")?)
        }))
        .method(method_noargs(c"write_eof", c"Not for TLS.", write_eof))
        .method(method_noargs(c"can_write_eof", c"False.", can_write_eof))
        .method(method(
            c"set_write_buffer_limits",
            c"Sets the water marks for writing, in bytes.",
            set_write_limits,
        ))
        .method(method_noargs(
            c"get_write_buffer_limits",
            c"The water marks (low, high) for writing, in bytes.",
            write_limits,
        ))
        .method(method_noargs(
            c"get_write_buffer_size",
            c"How many bytes wait to be sent.",
            write_size,
        ))
        .method(method_one(
            c"_test__append_write_backlog",
            c"Adds data as if it had to wait. For tests of asyncio's.",
            append_backlog,
        ))
}

fn closing_methods(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method_noargs(
            c"close",
            c"Closes after what was written was sent.",
            close,
        ))
        .method(method_noargs(c"abort", c"Closes now; what is buffered is lost.", abort))
        .method(method_noargs(
            c"is_closing",
            c"Whether it is closing or closed.",
            is_closing,
        ))
        .method(method_one(
            c"_force_close",
            c"Closes now, because of an exception or None.",
            force_close_method,
        ))
}

/// Runs `work` with the protocol; there is none once the garbage collector has been here.
#[inline]
fn with_protocol<R>(
    this: &Bound<'_, AppTransport>,
    nothing: R,
    work: impl FnOnce(&Bound<'_, SslProtocol>) -> PyResult<R>,
) -> PyResult<R> {
    let protocol = this.body().protocol.get(this.py());
    match protocol.as_ref().and_then(as_exact::<SslBody>) {
        Some(protocol) => work(protocol),
        None => Ok(nothing),
    }
}

/// Writes, for the TLS connection inside this one.
pub fn send(this: &Bound<'_, AppTransport>, data: &[u8]) -> PyResult<()> {
    if data.is_empty() {
        return Ok(());
    }
    with_protocol(this, (), |protocol| writing::write(protocol, data))
}

fn write<'py>(this: &Bound<'py, AppTransport>, data: &Bound<'py, PyAny>) -> Returned<'py> {
    let Some(bytes) = transports::bytes_like(data)? else {
        let class = data.get_type().name()?;
        let text = format!("data: expecting a bytes-like instance, got {class}");
        return Err(pyo3::exceptions::PyTypeError::new_err(text));
    };
    send(this, &bytes)?;
    Ok(none(this.py()))
}

fn writelines<'py>(this: &Bound<'py, AppTransport>, lines: &Bound<'py, PyAny>) -> Returned<'py> {
    send(this, &transports::joined(lines)?)?;
    Ok(none(this.py()))
}

fn write_eof<'py>(_this: &Bound<'py, AppTransport>) -> Returned<'py> {
    Err(PyNotImplementedError::new_err(()))
}

fn can_write_eof<'py>(this: &Bound<'py, AppTransport>) -> Returned<'py> {
    Ok(boolean(this.py(), false))
}

fn append_backlog<'py>(this: &Bound<'py, AppTransport>, data: &Bound<'py, PyAny>) -> Returned<'py> {
    let data = transports::bytes_like(data)?.unwrap_or_default();
    with_protocol(this, (), |protocol| {
        protocol.body().backlog.borrow_mut().extend_from_slice(&data);
        Ok(())
    })?;
    Ok(none(this.py()))
}

fn close<'py>(this: &Bound<'py, AppTransport>) -> Returned<'py> {
    let body = this.body();
    if !body.closed.replace(true) {
        with_protocol(this, (), closing::start)?;
    } else if let Some(protocol) = body.protocol.take() {
        let below = as_exact::<SslBody>(protocol.bind(this.py())).map(|protocol| &protocol.body().transport);
        drop(
            body.below
                .replace(below.and_then(|below| below.get(this.py())).map(Owned::from)),
        );
    }
    Ok(none(this.py()))
}

fn abort<'py>(this: &Bound<'py, AppTransport>) -> Returned<'py> {
    force_close(this, &none(this.py()))
}

fn force_close_method<'py>(this: &Bound<'py, AppTransport>, exception: &Bound<'py, PyAny>) -> Returned<'py> {
    force_close(this, exception)
}

fn force_close<'py>(this: &Bound<'py, AppTransport>, exception: &Bound<'py, PyAny>) -> Returned<'py> {
    let py = this.py();
    this.body().closed.set(true);
    with_protocol(this, (), |protocol| closing::abort(protocol, exception))?;
    if let Some(below) = this.body().below.get(py) {
        below.call_method1(pyo3::intern!(py, "_force_close"), (exception,))?;
    }
    Ok(none(py))
}

fn is_closing<'py>(this: &Bound<'py, AppTransport>) -> Returned<'py> {
    Ok(boolean(this.py(), this.body().closed.get()))
}

fn extra_info<'py>(this: &Bound<'py, AppTransport>, args: Args<'_, 'py>) -> Returned<'py> {
    let [name, default] = args.bind("get_extra_info", ["name", "default"], 2, 1)?;
    let py = this.py();
    let default = default.map_or_else(|| none(py), Clone::clone);
    let protocol = this.body().protocol.get(py);
    let Some(name) = name else {
        return Ok(default);
    };
    match protocol.as_ref().and_then(as_exact::<SslBody>) {
        Some(protocol) => known(protocol, name, default),
        None => known_below(&this.body().below, name, default),
    }
}

/// What is known by `name`: here, or below.
pub fn known<'py>(
    protocol: &Bound<'py, SslProtocol>,
    name: &Bound<'py, PyAny>,
    default: Bound<'py, PyAny>,
) -> Returned<'py> {
    let py = protocol.py();
    let body = protocol.body();
    if let Some(extra) = body.extra.get(py)
        && let Some(value) = extra.cast::<PyDict>()?.get_item(name)?
    {
        return Ok(value);
    }
    known_below(&body.transport, name, default)
}

fn known_below<'py>(transport: &Slot, name: &Bound<'py, PyAny>, default: Bound<'py, PyAny>) -> Returned<'py> {
    let py = name.py();
    match transport.get(py) {
        Some(transport) => transport.call_method1(pyo3::intern!(py, "get_extra_info"), (name, default)),
        None => Ok(default),
    }
}

fn set_protocol<'py>(this: &Bound<'py, AppTransport>, protocol: &Bound<'py, PyAny>) -> Returned<'py> {
    with_protocol(this, (), |ours| use_app_protocol(ours, protocol))?;
    Ok(none(this.py()))
}

fn app_protocol<'py>(this: &Bound<'py, AppTransport>) -> Returned<'py> {
    let py = this.py();
    let protocol = this.body().protocol.get(py);
    match protocol.as_ref().and_then(as_exact::<SslBody>) {
        Some(protocol) => Ok(protocol.body().app_protocol.get_or_none(py)),
        None => Ok(none(py)),
    }
}

fn is_reading<'py>(this: &Bound<'py, AppTransport>) -> Returned<'py> {
    let reading = with_protocol(this, false, |protocol| Ok(!protocol.body().app_reading_paused.get()))?;
    Ok(boolean(this.py(), reading))
}

fn pause_reading<'py>(this: &Bound<'py, AppTransport>) -> Returned<'py> {
    with_protocol(this, (), |protocol| {
        flow::pause_app_reading(protocol);
        Ok(())
    })?;
    Ok(none(this.py()))
}

fn resume_reading<'py>(this: &Bound<'py, AppTransport>) -> Returned<'py> {
    with_protocol(this, (), flow::resume_app_reading)?;
    Ok(none(this.py()))
}

/// The (high, low) of a call, with asyncio's defaults.
fn limits(args: &Args<'_, '_>, function: &str, kibibytes: usize) -> PyResult<(usize, usize)> {
    let [high, low] = args.bind(function, ["high", "low"], 2, 0)?;
    handshake::cold(args.py())?
        .call_method1("water_marks", (high, low, kibibytes))?
        .extract()
}

fn set_write_limits<'py>(this: &Bound<'py, AppTransport>, args: Args<'_, 'py>) -> Returned<'py> {
    let (high, low) = limits(&args, "set_write_buffer_limits", super::WRITE_HIGH_WATER / 1024)?;
    with_protocol(this, (), |protocol| {
        protocol.body().outgoing_high.set(high);
        protocol.body().outgoing_low.set(low);
        match protocol.body().session() {
            Some(session) => flow::control_app_writing(protocol, &session),
            None => Ok(()),
        }
    })?;
    Ok(none(this.py()))
}

fn set_read_limits<'py>(this: &Bound<'py, AppTransport>, args: Args<'_, 'py>) -> Returned<'py> {
    let (high, low) = limits(&args, "set_read_buffer_limits", super::READ_HIGH_WATER / 1024)?;
    with_protocol(this, (), |protocol| {
        protocol.body().incoming_high.set(high);
        protocol.body().incoming_low.set(low);
        flow::control_reading(protocol)
    })?;
    Ok(none(this.py()))
}

fn write_limits<'py>(this: &Bound<'py, AppTransport>) -> Returned<'py> {
    let limits = with_protocol(this, (0, 0), |protocol| {
        let body = protocol.body();
        Ok((body.outgoing_low.get(), body.outgoing_high.get()))
    })?;
    Ok(limits.into_pyobject(this.py())?.into_any())
}

fn read_limits<'py>(this: &Bound<'py, AppTransport>) -> Returned<'py> {
    let limits = with_protocol(this, (0, 0), |protocol| {
        let body = protocol.body();
        Ok((body.incoming_low.get(), body.incoming_high.get()))
    })?;
    Ok(limits.into_pyobject(this.py())?.into_any())
}

fn write_size<'py>(this: &Bound<'py, AppTransport>) -> Returned<'py> {
    let size = with_protocol(this, 0, flow::write_buffer_size)?;
    Ok(size.into_pyobject(this.py())?.into_any())
}

fn read_size<'py>(this: &Bound<'py, AppTransport>) -> Returned<'py> {
    let size = with_protocol(this, 0, flow::read_buffer_size)?;
    Ok(size.into_pyobject(this.py())?.into_any())
}

fn event_loop<'py>(this: &Bound<'py, AppTransport>) -> Returned<'py> {
    let py = this.py();
    let protocol = this.body().protocol.get(py);
    match protocol.as_ref().and_then(as_exact::<SslBody>) {
        Some(protocol) => Ok(protocol.body().event_loop.get_or_none(py)),
        None => Ok(none(py)),
    }
}

fn ssl_protocol<'py>(this: &Bound<'py, AppTransport>) -> Returned<'py> {
    Ok(this.body().protocol.get_or_none(this.py()))
}

/// asyncio's fallback for sendfile asks.
fn protocol_paused<'py>(this: &Bound<'py, AppTransport>) -> Returned<'py> {
    let paused = with_protocol(this, false, |protocol| Ok(protocol.body().app_writing_paused.get()))?;
    Ok(boolean(this.py(), paused))
}

fn start_tls_compatible<'py>(this: &Bound<'py, AppTransport>) -> Returned<'py> {
    Ok(boolean(this.py(), true))
}

fn sendfile_mode<'py>(this: &Bound<'py, AppTransport>) -> Returned<'py> {
    handshake::cold(this.py())?.getattr("SENDFILE_MODE")
}
