//! Flow control of what is written: the water marks, and telling the protocol to pause and to go on.
//!
//! Counterpart: `_FlowControlMixin` in `Lib/asyncio/transports.py`.

#![forbid(unsafe_code)]

use std::cell::Cell;

use pyo3::prelude::*;

use crate::imports::imports;
use crate::object::{Args, Body, BodyOf, Native, Returned, Slot, TypeBuilder, as_exact, method, method_noargs};
use crate::sslproto::{self, SslBody};

/// The body of a transport that writes.
pub trait Writes: Body {
    /// How many bytes were not sent yet.
    fn buffered(&self) -> usize;

    /// Above so many bytes the protocol is paused.
    fn high_water(&self) -> &Cell<usize>;

    /// With so many bytes or fewer the protocol is resumed.
    fn low_water(&self) -> &Cell<usize>;

    /// Whether the protocol was told to pause.
    fn protocol_paused(&self) -> &Cell<bool>;

    /// The protocol, where it may be a native one of TLS, which is told without Python.
    fn tls_protocol(&self) -> Option<&Slot> {
        None
    }
}

/// Adds the methods.
pub fn flow_methods<B: Writes>(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method(
            c"set_write_buffer_limits",
            c"Sets the water marks for writing, in bytes.",
            set_limits::<B>,
        ))
        .method(method_noargs(
            c"get_write_buffer_limits",
            c"The water marks (low, high), in bytes.",
            limits::<B>,
        ))
        .method(method_noargs(
            c"get_write_buffer_size",
            c"How many bytes wait to be sent.",
            buffer_size::<B>,
        ))
}

fn set_limits<'py, B: Writes>(this: &Bound<'py, Native<B>>, args: Args<'_, 'py>) -> Returned<'py> {
    let [high, low] = args.bind("set_write_buffer_limits", ["high", "low"], 2, 0)?;
    let py = this.py();
    let limits = imports(py)?
        .transports
        .bind(py)
        .call_method1("water_marks", (high, low))?;
    let (high, low): (usize, usize) = limits.extract()?;
    this.body().high_water().set(high);
    this.body().low_water().set(low);
    maybe_pause_protocol(this)?;
    Ok(py.None().into_bound(py))
}

fn limits<'py, B: Writes>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    let body = this.body();
    Ok((body.low_water().get(), body.high_water().get())
        .into_pyobject(this.py())?
        .into_any())
}

fn buffer_size<'py, B: Writes>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    Ok(this.body().buffered().into_pyobject(this.py())?.into_any())
}

/// Tells the protocol to pause when more waits than the high-water mark.
pub fn maybe_pause_protocol<B: Writes>(this: &Bound<'_, Native<B>>) -> PyResult<()> {
    let body = this.body();
    if body.buffered() <= body.high_water().get() || body.protocol_paused().replace(true) {
        return Ok(());
    }
    if let Some(protocol) = this.body().tls_protocol().and_then(|protocol| protocol.get(this.py()))
        && let Some(protocol) = as_exact::<SslBody>(&protocol)
    {
        sslproto::pause_writing(protocol);
        return Ok(());
    }
    tell(this, "pause_writing")
}

/// Tells the protocol to go on when no more waits than the low-water mark.
pub fn maybe_resume_protocol<B: Writes>(this: &Bound<'_, Native<B>>) -> PyResult<()> {
    let body = this.body();
    if body.buffered() > body.low_water().get() || !body.protocol_paused().replace(false) {
        return Ok(());
    }
    if let Some(protocol) = this.body().tls_protocol().and_then(|protocol| protocol.get(this.py()))
        && let Some(protocol) = as_exact::<SslBody>(&protocol)
    {
        return sslproto::resume_writing(protocol);
    }
    tell(this, "resume_writing")
}

fn tell<B: Writes>(this: &Bound<'_, Native<B>>, method: &str) -> PyResult<()> {
    let py = this.py();
    imports(py)?
        .transports
        .bind(py)
        .call_method1("tell_protocol", (this, method))
        .map(drop)
}

/// 64 KiB: asyncio's default high-water mark.
pub const HIGH_WATER: usize = 64 * 1024;
