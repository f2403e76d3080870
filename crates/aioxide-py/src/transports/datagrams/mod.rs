//! `DatagramTransport`: a datagram socket and its protocol.
//!
//! ```text
//!   Open --close()--> Closing (sends what is buffered) --> Lost --connection_lost()--> Gone
//!     \---abort(), a fatal error, close() with nothing buffered--/
//! ```
//! Invariants: the loop watches for reading only while `Open` and not paused; for writing while something is
//! buffered; nothing is watched once `Gone`, when the socket is closed.
//! An OSError of the socket is the business of one datagram: the protocol's `error_received()` gets it and the
//! transport goes on.
//! Counterpart: `_SelectorDatagramTransport` in `Lib/asyncio/selector_events.py`.
//! Differs from asyncio: several datagrams are received when the socket is readable, so a burst takes one turn
//! of the loop, and what is sent meanwhile leaves together (`gathering`).
//! Measured (`benches`, row `udp_1k_10`): 4.2 µs of CPU time an echo, of which the kernel's sending takes half;
//! asyncio 23.8, uvloop 6.4.

#![forbid(unsafe_code)]

mod attributes;
mod closing;
mod gathering;
mod queue;
mod receiving;
mod sending;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use super::Phase;
use super::flow::{self, HIGH_WATER, Writes};
use crate::addresses::{AddressCache, Family};
use crate::events::{Direction, Loop, LoopBody, Watch};
use crate::handles::{self, Parts};
use crate::object::{
    Body, BodyOf, Layout, Native, Owned, Slot, TypeBuilder, Visitor, as_native, copy_context, finalize_slot,
    in_context, init_slots, repr_slot,
};
use gathering::Gathered;
use queue::SendQueue;

/// The body of a `DatagramTransport`.
pub struct DatagramBody {
    event_loop: Slot,
    protocol: Slot,
    /// The Python socket, which owns the descriptor.
    socket: Slot,
    fd: Cell<i32>,
    /// None until the transport is initialised.
    family: Cell<Option<Family>>,
    /// Where everything goes, if the transport was made with an address.
    address: Slot,
    /// The socket has a peer: datagrams are sent without an address.
    connected: Cell<bool>,
    /// What `get_extra_info` knows.
    extra: Slot,
    /// The context in which the protocol is called.
    context: Slot,
    phase: Cell<Phase>,
    /// `pause_reading()` was called.
    reading_paused: Cell<bool>,
    /// connection_made() was called; reading may begin.
    reading_begun: Cell<bool>,
    watches_read: Cell<bool>,
    watches_write: Cell<bool>,
    protocol_paused: Cell<bool>,
    queue: RefCell<SendQueue>,
    high_water: Cell<usize>,
    low_water: Cell<usize>,
    /// Datagrams sent to the fixed address after the transport was lost; they are counted and forgotten.
    writes_lost: Cell<u32>,
    senders: AddressCache,
    /// Received together with others, and not delivered because the protocol has paused: data and sender.
    held: RefCell<VecDeque<(Owned, Owned)>>,
    gathered: Gathered,
}

/// A native transport of datagrams.
pub type DatagramTransport = Native<DatagramBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for DatagramBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            event_loop: Slot::empty(),
            protocol: Slot::empty(),
            socket: Slot::empty(),
            fd: Cell::new(-1),
            family: Cell::new(None),
            address: Slot::empty(),
            connected: Cell::new(false),
            extra: Slot::empty(),
            context: Slot::empty(),
            phase: Cell::new(Phase::Open),
            reading_paused: Cell::new(false),
            reading_begun: Cell::new(false),
            watches_read: Cell::new(false),
            watches_write: Cell::new(false),
            protocol_paused: Cell::new(false),
            queue: RefCell::new(SendQueue::default()),
            high_water: Cell::new(HIGH_WATER),
            low_water: Cell::new(HIGH_WATER / 4),
            writes_lost: Cell::new(0),
            senders: AddressCache::default(),
            held: RefCell::new(VecDeque::new()),
            gathered: Gathered::default(),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        for slot in self.slots() {
            visitor.slot(slot);
        }
        if let Ok(queue) = self.queue.try_borrow() {
            for address in queue.others() {
                visitor.owned(address);
            }
        }
        // The addresses in the cache are tuples of strings and numbers, as are those of what is held; what is gathered
        // is bytes: no cycle goes through them.
    }

    fn clear(&self) {
        for slot in self.slots() {
            slot.clear();
        }
        drop(self.queue.take());
    }

    fn needs_finalize(&self) -> bool {
        !self.socket.is_empty()
    }

    fn finalize(this: &Bound<'_, DatagramTransport>) {
        closing::finalize(this);
    }
}

impl Writes for DatagramBody {
    fn buffered(&self) -> usize {
        self.queue.borrow().size()
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
}

impl DatagramBody {
    fn slots(&self) -> [&Slot; 6] {
        [
            &self.event_loop,
            &self.protocol,
            &self.socket,
            &self.address,
            &self.extra,
            &self.context,
        ]
    }

    fn watches(&self, direction: Direction) -> &Cell<bool> {
        match direction {
            Direction::Read => &self.watches_read,
            Direction::Write => &self.watches_write,
        }
    }

    /// Runs `use_loop` with the native loop, if there is one that is open: there is none once the transport is gone.
    fn with_loop(
        &self,
        py: Python<'_>,
        use_loop: impl FnOnce(&Bound<'_, Loop>) -> PyResult<Option<Watch>>,
    ) -> PyResult<()> {
        let Some(event_loop) = self.event_loop.get(py) else {
            return Ok(());
        };
        let before = match as_native::<LoopBody>(&event_loop) {
            // A loop that is closed watches nothing any more.
            Some(native) if !native.body().closed.get() => use_loop(native)?,
            _ => None,
        };
        drop(before);
        Ok(())
    }
}

/// Makes the type.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let base = py
        .import("asyncio.transports")?
        .getattr("_FlowControlMixin")?
        .cast_into::<PyType>()?;
    let mut builder = TypeBuilder::new()
        .subclassable()
        .weak_references()
        .slot(finalize_slot::<DatagramBody>())
        .slot(repr_slot(attributes::repr));
    for slot in init_slots(init) {
        builder = builder.slot(slot);
    }
    builder = attributes::datagram_attributes(builder);
    builder = flow::flow_methods::<DatagramBody>(builder);
    builder = receiving::receiving_methods(builder);
    builder = sending::sending_methods(builder);
    builder = closing::closing_methods(builder);
    builder.finish::<DatagramBody>(
        py,
        c"aioxide.DatagramTransport",
        c"A datagram socket and its protocol. Made by the loop.",
        Some(&base),
        false,
    )
}

/// `DatagramTransport(loop, sock, protocol, address, extra)`. Reading begins with `_begin_reading()`.
fn init(
    this: &Bound<'_, DatagramTransport>,
    args: &Bound<'_, PyTuple>,
    _kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    type Parts<'py> = (
        Bound<'py, Loop>,
        Bound<'py, PyAny>,
        Bound<'py, PyAny>,
        Bound<'py, PyAny>,
        Bound<'py, PyDict>,
    );
    let (event_loop, socket, protocol, address, extra): Parts<'_> = args.extract()?;
    let body = this.body();
    body.fd.set(socket.call_method0("fileno")?.extract()?);
    body.family.set(Family::of(&socket)?);
    let peer = extra.get_item("peername")?;
    body.connected.set(peer.map_or(Ok(false), |peer| peer.is_truthy())?);
    if address.is_truthy()? {
        body.address.set(address.into());
    }
    body.context.set(copy_context(this.py())?);
    body.extra.set(extra.into_any().into());
    body.protocol.set(protocol.into());
    body.event_loop.set(Owned::new(event_loop.as_any()));
    // Last: from now on the transport closes it.
    body.socket.set(socket.into());
    Ok(())
}

/// Lets a transport receive or send: its descriptor is ready.
///
/// # Errors
/// KeyboardInterrupt and SystemExit; everything else goes to the protocol or to the loop's exception handler.
#[inline]
pub fn ready(event_loop: &Bound<'_, Loop>, transport: &Bound<'_, PyAny>, direction: Direction) -> PyResult<()> {
    let this = transport.cast::<DatagramTransport>()?;
    let context = this.body().context.get_or_none(this.py());
    in_context(&context, || match direction {
        Direction::Read => receiving::readable(this, event_loop),
        Direction::Write => sending::writable(this, event_loop),
    })?
}

/// The handle that does as [`ready`], for those who want it in the ready queue.
///
/// # Errors
/// When it cannot be made.
pub fn handle<'py>(
    event_loop: &Bound<'py, Loop>,
    transport: &Bound<'py, PyAny>,
    direction: Direction,
) -> PyResult<Bound<'py, PyAny>> {
    let py = transport.py();
    let callback = transport.getattr(match direction {
        Direction::Read => pyo3::intern!(py, "_read_ready"),
        Direction::Write => pyo3::intern!(py, "_sendto_ready"),
    })?;
    let context = transport.cast::<DatagramTransport>()?.body().context.get_or_none(py);
    let handle = handles::new(Parts {
        callback: &callback,
        arguments: PyTuple::empty(py).as_any(),
        event_loop: event_loop.as_any(),
        context: Some(&context),
    })?;
    Ok(handle.into_any())
}

/// What `serve` does with the loop, if the transport still has one.
fn serve(
    this: &Bound<'_, DatagramTransport>,
    serve: impl FnOnce(&Bound<'_, DatagramTransport>, &Bound<'_, Loop>) -> PyResult<()>,
) -> PyResult<()> {
    match this.body().event_loop.get(this.py()) {
        Some(event_loop) => serve(this, event_loop.cast()?),
        None => Ok(()),
    }
}

fn none(py: Python<'_>) -> Bound<'_, PyAny> {
    py.None().into_bound(py)
}

/// Starts watching.
fn watch(this: &Bound<'_, DatagramTransport>, direction: Direction) -> PyResult<()> {
    let body = this.body();
    if body.watches(direction).get() {
        return Ok(());
    }
    body.with_loop(this.py(), |event_loop| {
        let watch = Watch::Datagrams(Owned::new(this.as_any()));
        event_loop.body().watch(body.fd.get(), direction, watch)
    })?;
    body.watches(direction).set(true);
    Ok(())
}

/// Stops watching.
fn unwatch(this: &Bound<'_, DatagramTransport>, direction: Direction) -> PyResult<()> {
    let body = this.body();
    if body.watches(direction).replace(false) {
        body.with_loop(this.py(), |event_loop| {
            event_loop.body().unwatch(body.fd.get(), direction)
        })?;
    }
    Ok(())
}
