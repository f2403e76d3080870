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
mod methods;
mod reading;
mod writing;

use std::cell::{Cell, RefCell};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::events::{Direction, Loop, LoopBody};
use crate::object::{
    Body, BodyOf, Layout, Native, Owned, Slot, TypeBuilder, Visitor, as_native, copy_context, finalize_slot,
    in_context, init_slots, repr_slot,
};
use buffer::WriteBuffer;

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
    /// The protocol gives the buffer to read into.
    buffered_protocol: Cell<bool>,
    buffer: RefCell<WriteBuffer>,
    high_water: Cell<usize>,
    low_water: Cell<usize>,
    /// Writes after the connection was lost; they are counted and forgotten.
    writes_lost: Cell<u32>,
    /// Waits for the buffer to become empty (`sendfile`).
    empty_waiter: Slot,
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
            buffered_protocol: Cell::new(false),
            buffer: RefCell::new(WriteBuffer::default()),
            high_water: Cell::new(HIGH_WATER),
            low_water: Cell::new(HIGH_WATER / 4),
            writes_lost: Cell::new(0),
            empty_waiter: Slot::empty(),
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
        .slot(finalize_slot::<TransportBody>())
        .slot(repr_slot(attributes::repr));
    for slot in init_slots(init) {
        builder = builder.slot(slot);
    }
    builder = attributes::transport_attributes(builder);
    builder = methods::transport_methods(builder);
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

/// 64 KiB: asyncio's default high-water mark.
const HIGH_WATER: usize = 64 * 1024;
