//! What fills a `StreamReader`: data, the end of the stream, an exception; and how it holds the sender back.

#![forbid(unsafe_code)]

use std::borrow::Cow;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyAssertionError, PyNotImplementedError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyByteArray, PyBytes};

use super::reader::{FEEDING, ReaderBody, StreamReader};
use super::{assign, finish_waiter};
use crate::object::{
    BodyOf, Owned, Returned, TypeBuilder, as_native, bytes, call_method_one, method, method_noargs, method_one,
};

/// Adds the methods.
pub fn feeding_methods(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method(
            c"feed_data",
            c"Appends data and wakes whoever waits for it.",
            |this, args| feed_data(this, args.one("feed_data", "data")?),
        ))
        .method(method_noargs(
            c"feed_eof",
            c"Marks the end of the stream and wakes whoever waits.",
            feed_eof,
        ))
        .method(method_noargs(
            c"at_eof",
            c"Whether the stream has ended and everything was read.",
            at_eof,
        ))
        .method(method_noargs(
            c"exception",
            c"The exception that was set, or None.",
            exception,
        ))
        .method(method(
            c"set_exception",
            c"Sets what every read raises, and raises it in one that waits.",
            |this, args| set_exception(this, args.one("set_exception", "exc")?),
        ))
        .method(method(
            c"set_transport",
            c"Sets the transport to be paused when too much waits.",
            |this, args| set_transport(this, args.one("set_transport", "transport")?),
        ))
        .method(method_noargs(
            c"_wakeup_waiter",
            c"Wakes whoever waits for data.",
            wakeup_waiter,
        ))
        .method(method_noargs(
            c"_buffered",
            c"What waits to be read, as bytes.",
            buffered,
        ))
        .method(method_one(
            c"_replace_buffered",
            c"Puts other bytes in place of what waits to be read.",
            replace_buffered,
        ))
        .method(method_noargs(
            c"_buffered_size",
            c"How many bytes wait to be read.",
            buffered_size,
        ))
        .method(method_noargs(
            c"_maybe_resume_transport",
            c"Lets the transport read again when no more than the limit waits.",
            maybe_resume_transport,
        ))
}

fn none(py: Python<'_>) -> Bound<'_, PyAny> {
    py.None().into_bound(py)
}

/// Gives data to any reader: natively, if nobody replaced its methods.
#[inline]
pub fn give(reader: &Bound<'_, PyAny>, data: &Bound<'_, PyAny>) -> PyResult<()> {
    match plain(reader) {
        Some(native) => feed_data(native, data).map(drop),
        None => call_method_one(reader, pyo3::intern!(reader.py(), "feed_data"), data).map(drop),
    }
}

/// Tells any reader that the stream has ended.
pub fn end(reader: &Bound<'_, PyAny>) -> PyResult<()> {
    match plain(reader) {
        Some(native) => feed_eof(native).map(drop),
        None => reader.call_method0(pyo3::intern!(reader.py(), "feed_eof")).map(drop),
    }
}

/// A native reader whose feeding nobody replaced.
#[inline]
pub fn plain<'a, 'py>(reader: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, StreamReader>> {
    as_native::<ReaderBody>(reader).filter(|reader| reader.body().overrides.none(&FEEDING))
}

/// Appends what came.
///
/// # Errors
/// AssertionError after the end, and what the transport's `pause_reading()` raises.
#[inline]
pub fn feed(this: &Bound<'_, StreamReader>, data: &[u8]) -> PyResult<()> {
    let body = this.body();
    if body.eof.get() {
        return Err(PyAssertionError::new_err("feed_data after feed_eof"));
    }
    if data.is_empty() {
        return Ok(());
    }
    body.buffer.borrow_mut().extend(data);
    wake_by_method(this)?;
    if body.waiting() > body.limit.get().saturating_mul(2) && !body.paused.get() && !body.transport.is_empty() {
        return pause(this);
    }
    Ok(())
}

/// Wakes whoever waits for data.
#[inline]
pub fn wake(this: &Bound<'_, StreamReader>) -> PyResult<()> {
    let Some(waiter) = this.body().waiter.take() else {
        return Ok(());
    };
    finish_waiter(waiter.bind(this.py()), None)
}

/// Wakes whoever waits for data, through the method if somebody replaced that.
#[inline]
fn wake_by_method(this: &Bound<'_, StreamReader>) -> PyResult<()> {
    if this.body().overrides.none(&FEEDING) {
        return wake(this);
    }
    this.call_method0(pyo3::intern!(this.py(), "_wakeup_waiter")).map(drop)
}

fn pause(this: &Bound<'_, StreamReader>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    let Some(transport) = body.transport.get(py) else {
        return Ok(());
    };
    match transport.call_method0(pyo3::intern!(py, "pause_reading")) {
        Ok(_) => body.paused.set(true),
        // It cannot be paused: everything is buffered, and it is not asked again.
        Err(error) if error.is_instance_of::<PyNotImplementedError>(py) => body.transport.clear(),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Lets the transport read again when no more than the limit waits.
#[inline]
pub fn maybe_resume(this: &Bound<'_, StreamReader>) -> PyResult<()> {
    let body = this.body();
    if body.paused.get() && body.waiting() <= body.limit.get() {
        return resume(this);
    }
    Ok(())
}

/// Lets the transport read again.
pub fn resume(this: &Bound<'_, StreamReader>) -> PyResult<()> {
    let py = this.py();
    this.body().paused.set(false);
    this.body()
        .transport
        .get_or_none(py)
        .call_method0(pyo3::intern!(py, "resume_reading"))
        .map(drop)
}

fn feed_data<'py>(this: &Bound<'py, StreamReader>, data: &Bound<'py, PyAny>) -> Returned<'py> {
    feed(this, &content_of(data)?)?;
    Ok(none(this.py()))
}

/// The bytes of any data that a `bytearray` could be extended with.
fn content_of<'a>(data: &'a Bound<'_, PyAny>) -> PyResult<Cow<'a, [u8]>> {
    if let Ok(bytes) = data.cast::<PyBytes>() {
        return Ok(Cow::Borrowed(bytes.as_bytes()));
    }
    let py = data.py();
    if let Ok(view) = PyBuffer::<u8>::get(data) {
        return Ok(Cow::Owned(view.to_vec(py)?));
    }
    if !data.is_truthy()? {
        return Ok(Cow::Borrowed(&[]));
    }
    let bytes = PyByteArray::new(py, &[]);
    bytes.call_method1("extend", (data,))?;
    Ok(Cow::Owned(bytes.to_vec()))
}

fn feed_eof<'py>(this: &Bound<'py, StreamReader>) -> Returned<'py> {
    this.body().eof.set(true);
    wake_by_method(this)?;
    Ok(none(this.py()))
}

fn at_eof<'py>(this: &Bound<'py, StreamReader>) -> Returned<'py> {
    let body = this.body();
    let ended = body.eof.get() && body.buffer.borrow().is_empty();
    Ok(PyBool::new(this.py(), ended).to_owned().into_any())
}

fn exception<'py>(this: &Bound<'py, StreamReader>) -> Returned<'py> {
    Ok(this.body().exception.get_or_none(this.py()))
}

fn set_exception<'py>(this: &Bound<'py, StreamReader>, exception: &Bound<'py, PyAny>) -> Returned<'py> {
    let py = this.py();
    assign(&this.body().exception, exception);
    if let Some(waiter) = this.body().waiter.take() {
        finish_waiter(waiter.bind(py), Some(exception))?;
    }
    Ok(none(py))
}

fn set_transport<'py>(this: &Bound<'py, StreamReader>, transport: &Bound<'py, PyAny>) -> Returned<'py> {
    let body = this.body();
    if !body.transport.is_empty() {
        return Err(PyAssertionError::new_err("Transport already set"));
    }
    body.transport.set(Owned::new(transport));
    Ok(none(this.py()))
}

fn wakeup_waiter<'py>(this: &Bound<'py, StreamReader>) -> Returned<'py> {
    wake(this)?;
    Ok(none(this.py()))
}

fn maybe_resume_transport<'py>(this: &Bound<'py, StreamReader>) -> Returned<'py> {
    maybe_resume(this)?;
    Ok(none(this.py()))
}

fn buffered<'py>(this: &Bound<'py, StreamReader>) -> Returned<'py> {
    Ok(bytes(this.py(), &this.body().buffer.borrow()))
}

fn buffered_size<'py>(this: &Bound<'py, StreamReader>) -> Returned<'py> {
    Ok(this.body().waiting().into_pyobject(this.py())?.into_any())
}

fn replace_buffered<'py>(this: &Bound<'py, StreamReader>, data: &Bound<'py, PyAny>) -> Returned<'py> {
    let data = content_of(data)?;
    let mut buffer = this.body().buffer.borrow_mut();
    buffer.clear();
    buffer.extend(&data);
    Ok(none(this.py()))
}
