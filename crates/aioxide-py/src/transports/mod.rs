//! `SocketTransport`: a connected stream socket and its protocol.
//!
//! ```text
//!   Open --close()--> Closing (sends what is buffered) --> Lost --connection_lost()--> Gone
//!     \---abort(), error, close() with nothing buffered--/
//! ```
//! Invariants: the loop watches for reading only while `Open` and not paused; for writing exactly while
//! something is buffered; nothing is watched once `Gone`, when the socket is closed.
//! Reads go into a buffer of the loop's and are copied out to an exact `bytes`; the protocol is called at
//! once. Writes try the socket at once; what it does not take is copied.
//! Counterpart: `_SelectorSocketTransport` in `Lib/asyncio/selector_events.py`.

#![forbid(unsafe_code)]

mod attributes;
mod buffer;
mod closing;
pub mod datagrams;
mod flow;
mod methods;
pub mod pipes;
mod reading;
mod writing;

pub use closing::is_closing;
pub use writing::write;

use std::cell::{Cell, RefCell};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::events::{Direction, Loop, LoopBody};
use crate::handles;
use crate::imports::imports;
use crate::object::{
    Body, BodyOf, Layout, Native, Owned, Slot, TypeBuilder, Visitor, as_native, call_method_one, compat, copy_context,
    create, finalize_slot, in_context, init_slots, repr_slot,
};
use buffer::WriteBuffer;
use flow::{HIGH_WATER, Writes};

pub use methods::{pause_reading_now as pause_reading, resume_reading_now as resume_reading};
pub use reading::{READ_SIZE, with_buffer};
pub use writing::{bytes_like, joined, send};

/// How far a transport is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Reads and writes.
    Open,
    /// Does not read; sends what is buffered, then is lost.
    Closing,
    /// `connection_lost` is scheduled.
    Lost,
    /// The socket is closed.
    Gone,
}

/// How a protocol gets what is received.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Delivery {
    /// `data_received(bytes)`.
    Bytes,
    /// It gives the buffer to read into.
    Buffer,
    /// A native reader copies it out of the loop's buffer.
    Stream,
    /// A native TLS protocol takes the records from the loop's buffer.
    Records,
}

/// The body of a `SocketTransport`.
pub struct TransportBody {
    event_loop: Slot,
    protocol: Slot,
    /// The Python socket, which owns the descriptor.
    socket: Slot,
    fd: Cell<i32>,
    server: Slot,
    /// What `get_extra_info` knows.
    extra: Slot,
    /// The context in which the protocol is called.
    context: Slot,
    /// The context is one that the loop was given (3.15's servers): all of the protocol's methods share it.
    shares_context: Cell<bool>,
    phase: Cell<Phase>,
    /// `pause_reading()` was called.
    reading_paused: Cell<bool>,
    /// The first `resume`, after connection_made, has not happened yet.
    reading_begun: Cell<bool>,
    /// The loop watches the descriptor.
    watches_read: Cell<bool>,
    watches_write: Cell<bool>,
    /// `write_eof()` was called.
    eof: Cell<bool>,
    /// The protocol was told to pause.
    protocol_paused: Cell<bool>,
    delivery: Cell<Delivery>,
    buffer: RefCell<WriteBuffer>,
    high_water: Cell<usize>,
    low_water: Cell<usize>,
    /// Writes after the connection was lost; they are counted and forgotten.
    writes_lost: Cell<u32>,
    /// Waits for the buffer to become empty (`sendfile`).
    empty_waiter: Slot,
    /// The loop knows that the descriptor is this transport's.
    occupies: Cell<bool>,
}

/// A native transport.
pub type SocketTransport = Native<TransportBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for TransportBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            event_loop: Slot::empty(),
            protocol: Slot::empty(),
            socket: Slot::empty(),
            fd: Cell::new(-1),
            server: Slot::empty(),
            extra: Slot::empty(),
            context: Slot::empty(),
            shares_context: Cell::new(false),
            phase: Cell::new(Phase::Open),
            reading_paused: Cell::new(false),
            reading_begun: Cell::new(false),
            watches_read: Cell::new(false),
            watches_write: Cell::new(false),
            eof: Cell::new(false),
            protocol_paused: Cell::new(false),
            delivery: Cell::new(Delivery::Bytes),
            buffer: RefCell::new(WriteBuffer::default()),
            high_water: Cell::new(HIGH_WATER),
            low_water: Cell::new(HIGH_WATER / 4),
            writes_lost: Cell::new(0),
            empty_waiter: Slot::empty(),
            occupies: Cell::new(false),
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

    fn needs_finalize(&self) -> bool {
        !self.socket.is_empty()
    }

    fn finalize(this: &Bound<'_, SocketTransport>) {
        closing::finalize(this);
    }
}

impl Writes for TransportBody {
    fn buffered(&self) -> usize {
        self.buffer.borrow().len()
    }

    fn high_water(&self) -> &Cell<usize> {
        &self.high_water
    }

    fn low_water(&self) -> &Cell<usize> {
        &self.low_water
    }

    fn protocol_paused(&self) -> &Cell<bool> {
        &self.protocol_paused
    }

    fn tls_protocol(&self) -> Option<&Slot> {
        Some(&self.protocol)
    }
}

impl TransportBody {
    fn slots(&self) -> [&Slot; 7] {
        [
            &self.event_loop,
            &self.protocol,
            &self.socket,
            &self.server,
            &self.extra,
            &self.context,
            &self.empty_waiter,
        ]
    }

    /// Lets others use the descriptor: the transport is closing.
    fn vacate(&self, py: Python<'_>) -> PyResult<()> {
        if self.occupies.replace(false) {
            self.with_loop(py, |event_loop| {
                event_loop.body().occupied.remove(self.fd.get());
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Runs `use_loop` with the native loop, if there is one: there is none once the transport is gone.
    fn with_loop<R>(
        &self,
        py: Python<'_>,
        use_loop: impl FnOnce(&Bound<'_, Loop>) -> PyResult<R>,
    ) -> PyResult<Option<R>> {
        let Some(event_loop) = self.event_loop.get(py) else {
            return Ok(None);
        };
        match as_native::<LoopBody>(&event_loop) {
            Some(native) => use_loop(native).map(Some),
            None => Ok(None),
        }
    }
}

/// Makes the type.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    // asyncio's fallback for sendfile insists on this base.
    let base = py
        .import("asyncio.transports")?
        .getattr("_FlowControlMixin")?
        .cast_into::<PyType>()?;
    let mut builder = TypeBuilder::new()
        .subclassable()
        .weak_references()
        .instance_attributes()
        .slot(finalize_slot::<TransportBody>())
        .slot(repr_slot(attributes::repr));
    for slot in init_slots(init) {
        builder = builder.slot(slot);
    }
    builder = attributes::transport_attributes(builder);
    builder = methods::transport_methods(builder);
    builder = flow::flow_methods::<TransportBody>(builder);
    builder = writing::writing_methods(builder);
    builder = closing::closing_methods(builder);
    builder.finish::<TransportBody>(
        py,
        c"aioxide.SocketTransport",
        c"A connected stream socket and its protocol. Made by the loop.",
        Some(&base),
        false,
    )
}

/// `SocketTransport(loop, sock, protocol, extra, server, context)`. Reading begins with `_begin_reading()`.
fn init(
    this: &Bound<'_, SocketTransport>,
    args: &Bound<'_, PyTuple>,
    _kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    type Parts<'py> = (
        Bound<'py, Loop>,
        Bound<'py, PyAny>,
        Bound<'py, PyAny>,
        Bound<'py, PyDict>,
        Bound<'py, PyAny>,
        Bound<'py, PyAny>,
    );
    let (event_loop, socket, protocol, extra, server, context): Parts<'_> = args.extract()?;
    let body = this.body();
    body.fd.set(socket.call_method0("fileno")?.extract()?);
    body.shares_context.set(!context.is_none());
    body.context.set(if context.is_none() {
        copy_context(this.py())?
    } else {
        context.into()
    });
    body.socket.set(socket.into());
    body.extra.set(extra.into_any().into());
    if !server.is_none() {
        body.server.set(server.into());
    }
    body.event_loop.set(Owned::new(event_loop.as_any()));
    methods::use_protocol(this, &protocol)
}

/// What the transport of an accepted connection is made of.
#[derive(Clone, Copy)]
pub struct Parts<'a, 'py> {
    /// The loop that serves it.
    pub event_loop: &'a Bound<'py, Loop>,
    /// The connected Python socket.
    pub socket: &'a Bound<'py, PyAny>,
    /// Who is told.
    pub protocol: &'a Bound<'py, PyAny>,
    /// What `get_extra_info` knows.
    pub extra: &'a Bound<'py, PyDict>,
    /// The server, or None.
    pub server: &'a Bound<'py, PyAny>,
    /// The context in which the protocol is called: it is entered.
    pub context: &'a Bound<'py, PyAny>,
}

/// Makes the transport of an accepted connection, tells the protocol of it, and begins to read.
///
/// # Errors
/// When it cannot be made; KeyboardInterrupt and SystemExit of the protocol's `connection_made()`.
pub fn serve(parts: Parts<'_, '_>) -> PyResult<()> {
    let py = parts.event_loop.py();
    let event_loop = parts.event_loop.as_any();
    let this = create(py, TransportBody::empty())?;
    let body = this.body();
    let fd: i32 = parts.socket.call_method0(pyo3::intern!(py, "fileno"))?.extract()?;
    body.fd.set(fd);
    body.context.set(Owned::new(parts.context));
    body.shares_context.set(compat::CONNECTIONS_HAVE_CONTEXTS);
    body.extra.set(Owned::new(parts.extra.as_any()));
    body.event_loop.set(Owned::new(event_loop));
    methods::use_protocol(&this, parts.protocol)?;
    if !parts.server.is_none() {
        imports(py)?
            .transports
            .bind(py)
            .call_method1(pyo3::intern!(py, "attach"), (parts.server, &this))?;
    }
    parts.event_loop.body().occupied.insert(fd);
    body.occupies.set(true);
    body.socket.set(Owned::new(parts.socket));
    if !parts.server.is_none() {
        body.server.set(Owned::new(parts.server));
    }
    let name = pyo3::intern!(py, "connection_made");
    if let Err(error) = call_method_one(parts.protocol, name, this.as_any()) {
        handles::report_method(event_loop, parts.protocol, name, &[this.as_any()], error)?;
    }
    body.reading_begun.set(true);
    reading::watch(&this)
}

/// Lets a transport read or write: its descriptor is ready.
///
/// # Errors
/// KeyboardInterrupt and SystemExit; everything else goes to the loop's exception handler.
#[inline]
pub fn ready(event_loop: &Bound<'_, Loop>, transport: &Bound<'_, PyAny>, direction: Direction) -> PyResult<()> {
    let this = transport.cast::<SocketTransport>()?;
    let context = this.body().context.get_or_none(this.py());
    in_context(&context, || match direction {
        Direction::Read => reading::readable(this, event_loop),
        Direction::Write => writing::writable(this),
    })?
}
