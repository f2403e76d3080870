//! `StreamReaderProtocol`: hands what a transport receives to a `StreamReader`.
//!
//! A native transport gives the received bytes to [`feed`]: no `bytes` object is made and no Python runs, unless
//! somebody replaced a method. The Python class `aioxide.StreamReaderProtocol` puts this type before asyncio's own
//! class and holds what happens once in a connection's life.
//! Invariant: the reader is held weakly, except by a server's protocol until the connection is made.
//! Counterpart: `StreamReaderProtocol` in `Lib/asyncio/streams.py`.

#![forbid(unsafe_code)]

use std::cell::Cell;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple, PyType, PyWeakrefMethods, PyWeakrefReference};

use super::draining::layouts;
use super::flow::{DRAINING, FlowControlled, FlowState, flow_methods};
use super::{assign, feeding, finish_waiter};
use crate::futures::{FutureBody, FutureLike};
use crate::handles::bind_parts;
use crate::imports::imports;
use crate::object::{
    Body, BodyOf, Layout, Native, Returned, Slot, TypeBuilder, Visitor, as_exact, as_native, finalize_slot, getter,
    getter_setter, init_slots, method, method_noargs, method_one, setattr_slot,
};
use crate::overrides::{Group, Overrides};

/// The body of a `StreamReaderProtocol`.
pub struct ProtocolBody {
    flow: FlowState,
    overrides: Overrides,
    /// A weak reference to the reader.
    reader: Slot,
    strong_reader: Slot,
    /// Only before 3.13 it keeps the writer alive.
    writer: Slot,
    client_connected: Slot,
    task: Slot,
    transport: Slot,
    /// The future that `wait_closed()` waits for.
    closed: Slot,
    source_traceback: Slot,
    reject_connection: Cell<bool>,
    over_ssl: Cell<bool>,
}

/// A native protocol.
pub type StreamReaderProtocol = Native<ProtocolBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for ProtocolBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            flow: FlowState::empty(),
            overrides: Overrides::unknown(),
            reader: Slot::empty(),
            strong_reader: Slot::empty(),
            writer: Slot::empty(),
            client_connected: Slot::empty(),
            task: Slot::empty(),
            transport: Slot::empty(),
            closed: Slot::empty(),
            source_traceback: Slot::empty(),
            reject_connection: Cell::new(false),
            over_ssl: Cell::new(false),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        self.flow.traverse(visitor);
        for slot in self.slots() {
            visitor.slot(slot);
        }
    }

    fn clear(&self) {
        self.flow.clear();
        for slot in self.slots() {
            slot.clear();
        }
    }

    fn needs_finalize(&self) -> bool {
        !self.closed.is_empty()
    }

    fn finalize(this: &Bound<'_, Native<Self>>) {
        if let Err(error) = forgive(this) {
            error.write_unraisable(this.py(), Some(this.as_any()));
        }
    }
}

impl FlowControlled for ProtocolBody {
    fn flow(&self) -> &FlowState {
        &self.flow
    }

    fn overrides(&self) -> &Overrides {
        &self.overrides
    }

    fn helper_layout() -> &'static Layout {
        &layouts::PROTOCOL
    }
}

impl ProtocolBody {
    fn slots(&self) -> [&Slot; 8] {
        [
            &self.reader,
            &self.strong_reader,
            &self.writer,
            &self.client_connected,
            &self.task,
            &self.transport,
            &self.closed,
            &self.source_traceback,
        ]
    }

    /// The reader, if it is still alive.
    #[inline]
    fn reader<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.reader.get(py)?.cast::<PyWeakrefReference>().ok()?.upgrade()
    }
}

/// What became of data that a transport offered.
#[derive(Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Fed {
    /// The protocol has it.
    Taken,
    /// The protocol wants to be called by its methods.
    CallIt,
}

/// Whether a transport may try [`feed`] for this protocol. To be asked once: a method that is replaced later is
/// noticed by `feed`.
pub fn takes_bytes(protocol: &Bound<'_, PyAny>) -> bool {
    as_native::<ProtocolBody>(protocol).is_some_and(|native| native.body().overrides.none(&RECEIVING))
}

/// Gives received bytes to a protocol, as `data_received()` would.
///
/// # Errors
/// What `data_received()` would raise.
#[inline]
pub fn feed(protocol: &Bound<'_, PyAny>, data: &[u8]) -> PyResult<Fed> {
    let Some(native) = as_native::<ProtocolBody>(protocol) else {
        return Ok(Fed::CallIt);
    };
    if !native.body().overrides.none(&RECEIVING) {
        return Ok(Fed::CallIt);
    }
    let Some(reader) = native.body().reader(protocol.py()) else {
        return Ok(Fed::Taken);
    };
    match feeding::plain(&reader) {
        Some(reader) => feeding::feed(reader, data).map(|()| Fed::Taken),
        None => Ok(Fed::CallIt),
    }
}

/// Tells a protocol that the peer sends no more. Whether the transport shall stay open.
///
/// # Errors
/// What `eof_received()` raises.
pub fn feed_eof(protocol: &Bound<'_, PyAny>) -> PyResult<bool> {
    protocol
        .call_method0(pyo3::intern!(protocol.py(), "eof_received"))?
        .is_truthy()
}

/// Makes the type.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let mut builder = TypeBuilder::new()
        .subclassable()
        .slot(finalize_slot::<ProtocolBody>())
        .slot(setattr_slot(assigned));
    for slot in init_slots(init) {
        builder = builder.slot(slot);
    }
    builder = flow_methods::<ProtocolBody>(builder);
    builder
        .method(method(c"data_received", c"Hands data to the reader.", |this, args| {
            data_received(this, args.one("data_received", "data")?)
        }))
        .method(method_noargs(
            c"eof_received",
            c"Tells the reader that the stream has ended.",
            eof_received,
        ))
        .method(method(
            c"connection_lost",
            c"Tells the reader, and all who wait.",
            |this, args| connection_lost(this, args.one("connection_lost", "exc")?),
        ))
        .method(method_one(
            c"_get_close_waiter",
            c"The future that is done when the connection is lost.",
            close_waiter,
        ))
        .attribute(getter(c"_stream_reader", stream_reader))
        .attribute(getter_setter(c"_stream_reader_wr", weak_reader, set_weak_reader))
        .attribute(getter_setter(c"_strong_reader", strong_reader, set_strong_reader))
        .attribute(getter_setter(c"_stream_writer", writer, set_writer))
        .attribute(getter_setter(
            c"_client_connected_cb",
            client_connected,
            set_client_connected,
        ))
        .attribute(getter_setter(c"_task", task, set_task))
        .attribute(getter_setter(c"_transport", transport, set_transport))
        .attribute(getter_setter(c"_closed", closed, set_closed))
        .attribute(getter_setter(c"_reject_connection", rejects, set_rejects))
        .attribute(getter_setter(c"_over_ssl", over_ssl, set_over_ssl))
        .attribute(getter_setter(
            c"_source_traceback",
            source_traceback,
            set_source_traceback,
        ))
        .finish::<ProtocolBody>(
            py,
            c"aioxide.StreamReaderProtocolCore",
            c"The native base of StreamReaderProtocol.",
            None,
            false,
        )
}

fn none(py: Python<'_>) -> Bound<'_, PyAny> {
    py.None().into_bound(py)
}

fn init(
    this: &Bound<'_, StreamReaderProtocol>,
    args: &Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    let names = ["stream_reader", "client_connected_cb", "loop"];
    let [reader, client_connected, event_loop] = bind_parts("StreamReaderProtocol", args, kwargs, names)?;
    let reader = reader.ok_or_else(|| {
        PyTypeError::new_err("StreamReaderProtocol() missing required argument 'stream_reader' (pos 1)")
    })?;
    let event_loop = body.flow.initialise(py, event_loop)?;
    for slot in body.slots() {
        slot.clear();
    }
    if !reader.is_none() {
        body.reader.set(PyWeakrefReference::new(&reader)?.into_any().into());
        assign(
            &body.source_traceback,
            &reader.getattr(pyo3::intern!(py, "_source_traceback"))?,
        );
    }
    if let Some(client_connected) = client_connected.filter(|callback| !callback.is_none()) {
        body.client_connected.set(client_connected.into());
        // Nobody else has the reader until the connection is made.
        assign(&body.strong_reader, &reader);
    }
    body.reject_connection.set(false);
    body.over_ssl.set(false);
    let closed = event_loop.call_method0(pyo3::intern!(py, "create_future"))?;
    body.closed.set(closed.into());
    let native = py.get_type::<StreamReaderProtocol>();
    let plain = imports(py)?
        .streams
        .bind(py)
        .getattr(pyo3::intern!(py, "StreamReaderProtocol"))?;
    body.overrides.look(&this.get_type(), &native, &plain, GROUPS)
}

fn assigned(this: &Bound<'_, StreamReaderProtocol>, name: &Bound<'_, PyAny>) {
    this.body().overrides.assigned(name, GROUPS);
}

/// An exception that nobody asked for is no news: the connection's end was told otherwise.
fn forgive(this: &Bound<'_, StreamReaderProtocol>) -> PyResult<()> {
    let py = this.py();
    let Some(closed) = this.body().closed.get(py) else {
        return Ok(());
    };
    if let Some(native) = as_exact::<FutureBody>(&closed) {
        native.body().future().log_traceback.set(false);
        return Ok(());
    }
    if closed.call_method0("done")?.is_truthy()? && !closed.call_method0("cancelled")?.is_truthy()? {
        closed.call_method0("exception")?;
    }
    Ok(())
}

/// The reader: what the property says, if somebody replaced that.
#[inline]
fn reader_of<'py>(this: &Bound<'py, StreamReaderProtocol>) -> PyResult<Option<Bound<'py, PyAny>>> {
    if this.body().overrides.none(&RECEIVING) {
        return Ok(this.body().reader(this.py()));
    }
    let reader = this.getattr(pyo3::intern!(this.py(), "_stream_reader"))?;
    Ok(Some(reader).filter(|reader| !reader.is_none()))
}

fn data_received<'py>(this: &Bound<'py, StreamReaderProtocol>, data: &Bound<'py, PyAny>) -> Returned<'py> {
    if let Some(reader) = reader_of(this)? {
        feeding::give(&reader, data)?;
    }
    Ok(none(this.py()))
}

fn eof_received<'py>(this: &Bound<'py, StreamReaderProtocol>) -> Returned<'py> {
    if let Some(reader) = reader_of(this)? {
        feeding::end(&reader)?;
    }
    // TLS knows no half-closed connections: sslproto would complain about being asked for one.
    let keep_open = !this.body().over_ssl.get();
    Ok(PyBool::new(this.py(), keep_open).to_owned().into_any())
}

fn connection_lost<'py>(this: &Bound<'py, StreamReaderProtocol>, exception: &Bound<'py, PyAny>) -> Returned<'py> {
    let py = this.py();
    let body = this.body();
    if let Some(reader) = reader_of(this)? {
        if exception.is_none() {
            feeding::end(&reader)?;
        } else {
            reader.call_method1(pyo3::intern!(py, "set_exception"), (exception,))?;
        }
    }
    if let Some(closed) = body.closed.get(py) {
        finish_waiter(&closed, Some(exception).filter(|exception| !exception.is_none()))?;
    }
    body.flow.lose(exception)?;
    for slot in [&body.reader, &body.writer, &body.task, &body.transport] {
        slot.clear();
    }
    Ok(none(py))
}

fn close_waiter<'py>(this: &Bound<'py, StreamReaderProtocol>, _stream: &Bound<'py, PyAny>) -> Returned<'py> {
    Ok(this.body().closed.get_or_none(this.py()))
}

fn stream_reader<'py>(this: &Bound<'py, StreamReaderProtocol>) -> Returned<'py> {
    let py = this.py();
    Ok(this.body().reader(py).unwrap_or_else(|| none(py)))
}

fn weak_reader<'py>(this: &Bound<'py, StreamReaderProtocol>) -> Returned<'py> {
    Ok(this.body().reader.get_or_none(this.py()))
}

fn set_weak_reader(this: &Bound<'_, StreamReaderProtocol>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    assign(&this.body().reader, value);
    Ok(())
}

fn strong_reader<'py>(this: &Bound<'py, StreamReaderProtocol>) -> Returned<'py> {
    Ok(this.body().strong_reader.get_or_none(this.py()))
}

fn set_strong_reader(this: &Bound<'_, StreamReaderProtocol>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    assign(&this.body().strong_reader, value);
    Ok(())
}

fn writer<'py>(this: &Bound<'py, StreamReaderProtocol>) -> Returned<'py> {
    Ok(this.body().writer.get_or_none(this.py()))
}

fn set_writer(this: &Bound<'_, StreamReaderProtocol>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    assign(&this.body().writer, value);
    Ok(())
}

fn client_connected<'py>(this: &Bound<'py, StreamReaderProtocol>) -> Returned<'py> {
    Ok(this.body().client_connected.get_or_none(this.py()))
}

fn set_client_connected(this: &Bound<'_, StreamReaderProtocol>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    assign(&this.body().client_connected, value);
    Ok(())
}

fn task<'py>(this: &Bound<'py, StreamReaderProtocol>) -> Returned<'py> {
    Ok(this.body().task.get_or_none(this.py()))
}

fn set_task(this: &Bound<'_, StreamReaderProtocol>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    assign(&this.body().task, value);
    Ok(())
}

fn transport<'py>(this: &Bound<'py, StreamReaderProtocol>) -> Returned<'py> {
    Ok(this.body().transport.get_or_none(this.py()))
}

fn set_transport(this: &Bound<'_, StreamReaderProtocol>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    assign(&this.body().transport, value);
    Ok(())
}

fn closed<'py>(this: &Bound<'py, StreamReaderProtocol>) -> Returned<'py> {
    Ok(this.body().closed.get_or_none(this.py()))
}

fn set_closed(this: &Bound<'_, StreamReaderProtocol>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    assign(&this.body().closed, value);
    Ok(())
}

fn source_traceback<'py>(this: &Bound<'py, StreamReaderProtocol>) -> Returned<'py> {
    Ok(this.body().source_traceback.get_or_none(this.py()))
}

fn set_source_traceback(this: &Bound<'_, StreamReaderProtocol>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    assign(&this.body().source_traceback, value);
    Ok(())
}

fn rejects<'py>(this: &Bound<'py, StreamReaderProtocol>) -> Returned<'py> {
    Ok(PyBool::new(this.py(), this.body().reject_connection.get())
        .to_owned()
        .into_any())
}

fn set_rejects(this: &Bound<'_, StreamReaderProtocol>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    this.body().reject_connection.set(value.is_truthy()?);
    Ok(())
}

fn over_ssl<'py>(this: &Bound<'py, StreamReaderProtocol>) -> Returned<'py> {
    Ok(PyBool::new(this.py(), this.body().over_ssl.get()).to_owned().into_any())
}

fn set_over_ssl(this: &Bound<'_, StreamReaderProtocol>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    this.body().over_ssl.set(value.is_truthy()?);
    Ok(())
}

/// What a transport calls.
const RECEIVING: Group = Group::new(1, &["data_received", "_stream_reader"]);
const GROUPS: &[&Group] = &[&DRAINING, &RECEIVING];
