//! `StreamWriter`: writes to a transport, and waits while it cannot take more.
//!
//! The Python class `aioxide.StreamWriter` puts this type before asyncio's own class, from which it takes what is
//! cold (`__repr__`, `__del__`, `start_tls()`). Writing to a native transport calls no Python.
//! Counterpart: `StreamWriter` in `Lib/asyncio/streams.py`.

#![forbid(unsafe_code)]

use pyo3::exceptions::{PyAssertionError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use super::assign;
use super::draining::{Drain, WaitClosed};
use super::reader::ReaderBody;
use crate::coroutines::coroutine;
use crate::handles::bind_parts;
use crate::imports::imports;
use crate::object::{
    Args, Body, BodyOf, Layout, Native, Owned, Returned, Slot, TypeBuilder, Visitor, as_native, as_plain,
    call_method_one, getter, getter_setter, init_slots, method, method_noargs,
};
use crate::transports::{self, TransportBody};

/// The body of a `StreamWriter`.
pub struct WriterBody {
    transport: Slot,
    pub protocol: Slot,
    pub reader: Slot,
    event_loop: Slot,
    /// asyncio's leftover, made when somebody looks.
    complete: Slot,
}

/// A native writer.
pub type StreamWriter = Native<WriterBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for WriterBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            transport: Slot::empty(),
            protocol: Slot::empty(),
            reader: Slot::empty(),
            event_loop: Slot::empty(),
            complete: Slot::empty(),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        for slot in self.slots() {
            visitor.slot(slot);
        }
    }

    fn clear(&self) {
        for slot in self.slots() {
            slot.clear();
        }
    }
}

impl WriterBody {
    fn slots(&self) -> [&Slot; 5] {
        [
            &self.transport,
            &self.protocol,
            &self.reader,
            &self.event_loop,
            &self.complete,
        ]
    }
}

/// Makes the type.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let mut builder = TypeBuilder::new().subclassable();
    for slot in init_slots(init) {
        builder = builder.slot(slot);
    }
    builder
        .method(method(c"write", c"Writes some data; never blocks.", |this, args| {
            write(this, args.one("write", "data")?)
        }))
        .method(method(c"writelines", c"Writes a list of data.", |this, args| {
            writelines(this, args.one("writelines", "data")?)
        }))
        .method(method_noargs(c"write_eof", c"Closes the writing side.", write_eof))
        .method(method_noargs(
            c"can_write_eof",
            c"Whether write_eof() is possible.",
            can_write_eof,
        ))
        .method(method_noargs(c"close", c"Closes the transport.", close))
        .method(method_noargs(
            c"is_closing",
            c"Whether the transport is closing or closed.",
            is_closing_method,
        ))
        .method(method(
            c"get_extra_info",
            c"What the transport knows of the connection, by name.",
            extra_info,
        ))
        .method(method_noargs(
            c"drain",
            c"Waits until it is right to write more.",
            drain,
        ))
        .method(method_noargs(
            c"wait_closed",
            c"Waits until the connection is closed.",
            wait_closed,
        ))
        .attribute(getter(c"transport", transport))
        .attribute(getter_setter(c"_transport", transport, set_transport))
        .attribute(getter_setter(c"_protocol", protocol, set_protocol))
        .attribute(getter_setter(c"_reader", reader, set_reader))
        .attribute(getter_setter(c"_loop", event_loop, set_event_loop))
        .attribute(getter_setter(c"_complete_fut", complete, set_complete))
        .finish::<WriterBody>(
            py,
            c"aioxide.StreamWriterCore",
            c"The native base of StreamWriter.",
            None,
            false,
        )
}

fn none(py: Python<'_>) -> Bound<'_, PyAny> {
    py.None().into_bound(py)
}

fn init(this: &Bound<'_, StreamWriter>, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    let names = ["transport", "protocol", "reader", "loop"];
    let [Some(transport), Some(protocol), Some(reader), Some(event_loop)] =
        bind_parts("StreamWriter", args, kwargs, names)?
    else {
        return Err(PyTypeError::new_err(
            "StreamWriter() missing required arguments: 'transport', 'protocol', 'reader' and 'loop'",
        ));
    };
    // drain() asks the reader for its exception.
    if !reader.is_none()
        && as_native::<ReaderBody>(&reader).is_none()
        && !reader.is_instance(imports(this.py())?.stream_reader.bind(this.py()))?
    {
        return Err(PyAssertionError::new_err(()));
    }
    let body = this.body();
    assign(&body.transport, &transport);
    assign(&body.protocol, &protocol);
    assign(&body.reader, &reader);
    assign(&body.event_loop, &event_loop);
    Ok(())
}

fn write<'py>(this: &Bound<'py, StreamWriter>, data: &Bound<'py, PyAny>) -> Returned<'py> {
    let py = this.py();
    let transport = this.body().transport.get_or_none(py);
    match as_plain::<TransportBody>(&transport) {
        Some(native) => transports::write(native, data)?,
        None => call_method_one(&transport, pyo3::intern!(py, "write"), data)?,
    };
    Ok(none(py))
}

fn writelines<'py>(this: &Bound<'py, StreamWriter>, lines: &Bound<'py, PyAny>) -> Returned<'py> {
    let py = this.py();
    let transport = this.body().transport.get_or_none(py);
    call_method_one(&transport, pyo3::intern!(py, "writelines"), lines)?;
    Ok(none(py))
}

fn write_eof<'py>(this: &Bound<'py, StreamWriter>) -> Returned<'py> {
    transport(this)?.call_method0(pyo3::intern!(this.py(), "write_eof"))
}

fn can_write_eof<'py>(this: &Bound<'py, StreamWriter>) -> Returned<'py> {
    transport(this)?.call_method0(pyo3::intern!(this.py(), "can_write_eof"))
}

fn close<'py>(this: &Bound<'py, StreamWriter>) -> Returned<'py> {
    transport(this)?.call_method0(pyo3::intern!(this.py(), "close"))
}

fn is_closing_method<'py>(this: &Bound<'py, StreamWriter>) -> Returned<'py> {
    transport(this)?.call_method0(pyo3::intern!(this.py(), "is_closing"))
}

/// Whether the transport is closing or closed.
#[inline]
pub fn is_closing(this: &Bound<'_, StreamWriter>) -> PyResult<bool> {
    let py = this.py();
    let transport = this.body().transport.get_or_none(py);
    match as_plain::<TransportBody>(&transport) {
        Some(native) => Ok(transports::is_closing(native)),
        None => transport.call_method0(pyo3::intern!(py, "is_closing"))?.is_truthy(),
    }
}

fn extra_info<'py>(this: &Bound<'py, StreamWriter>, args: Args<'_, 'py>) -> Returned<'py> {
    let [name, default] = args.bind("get_extra_info", ["name", "default"], 2, 1)?;
    let py = this.py();
    let transport = this.body().transport.get_or_none(py);
    transport.call_method1(pyo3::intern!(py, "get_extra_info"), (name, default))
}

fn drain<'py>(this: &Bound<'py, StreamWriter>) -> Returned<'py> {
    coroutine(this.py(), Drain::of(this))
}

fn wait_closed<'py>(this: &Bound<'py, StreamWriter>) -> Returned<'py> {
    coroutine(this.py(), WaitClosed::of(this))
}

fn transport<'py>(this: &Bound<'py, StreamWriter>) -> Returned<'py> {
    Ok(this.body().transport.get_or_none(this.py()))
}

fn set_transport(this: &Bound<'_, StreamWriter>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    assign(&this.body().transport, value);
    Ok(())
}

fn protocol<'py>(this: &Bound<'py, StreamWriter>) -> Returned<'py> {
    Ok(this.body().protocol.get_or_none(this.py()))
}

fn set_protocol(this: &Bound<'_, StreamWriter>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    assign(&this.body().protocol, value);
    Ok(())
}

fn reader<'py>(this: &Bound<'py, StreamWriter>) -> Returned<'py> {
    Ok(this.body().reader.get_or_none(this.py()))
}

fn set_reader(this: &Bound<'_, StreamWriter>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    assign(&this.body().reader, value);
    Ok(())
}

fn event_loop<'py>(this: &Bound<'py, StreamWriter>) -> Returned<'py> {
    Ok(this.body().event_loop.get_or_none(this.py()))
}

fn set_event_loop(this: &Bound<'_, StreamWriter>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    assign(&this.body().event_loop, value);
    Ok(())
}

fn complete<'py>(this: &Bound<'py, StreamWriter>) -> Returned<'py> {
    let py = this.py();
    let body = this.body();
    if let Some(complete) = body.complete.get(py) {
        return Ok(complete);
    }
    let complete = body.event_loop.get_or_none(py).call_method0("create_future")?;
    complete.call_method1("set_result", (none(py),))?;
    body.complete.set(Owned::new(&complete));
    Ok(complete)
}

fn set_complete(this: &Bound<'_, StreamWriter>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    assign(&this.body().complete, value);
    Ok(())
}
