//! `SSLProtocol`: TLS between a transport and an application's protocol, and `SSLTransport`, its other face.
//!
//! ```text
//!   Unwrapped --connection_made--> Handshake --> Wrapped --close, eof--> Flushing --> Shutdown --> Unwrapped
//!                                     \--------------------abort, error, connection_lost-----------/
//! ```
//! Invariants: records that were written leave in order; in a *corked* protocol they gather until what was
//! received has been dealt with, so that one `send` carries all answers. `app_transport`, `app_protocol` and
//! `transport` are let go in `connection_lost`, which breaks every cycle.
//! Below, a `SocketTransport` and another `SSLTransport` are called natively, anything else as a transport of
//! asyncio's; above, an `SSLProtocol` (TLS in TLS) is called natively as well.
//! Counterpart: `Lib/asyncio/sslproto.py`.
//! Differs from asyncio: data decrypted before a broken record is delivered before the error.

#![forbid(unsafe_code)]

mod attributes;
mod closing;
mod flow;
mod handshake;
mod reading;
mod session;
mod transport;
mod writing;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple, PyType};

use crate::events::LoopBody;
use crate::imports as stdlib;
use crate::object::{
    Body, BodyOf, Layout, Native, Owned, Slot, TypeBuilder, Visitor, as_exact, as_native, create, init_slots,
};
use crate::transports::TransportBody;
use session::Session;

pub use closing::eof_received;
pub use flow::{pause_writing, resume_writing};
pub use reading::received;
pub use transport::build as build_transport;

/// How far the TLS connection is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not begun, or over.
    Unwrapped,
    Handshake,
    Wrapped,
    /// Closing: what was received is read to its end.
    Flushing,
    /// Closing: waits for the peer's close_notify.
    Shutdown,
}

/// How far the application's protocol is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AppState {
    Initial,
    Connected,
    EofReceived,
    Lost,
}

/// How the application's protocol is called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum App {
    /// `data_received`.
    Plain,
    /// `get_buffer`, `buffer_updated`.
    Buffered,
    /// It is an `SSLProtocol`.
    Tls,
}

/// How the transport below is called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lower {
    Socket,
    Tls,
    Foreign,
}

/// The body of an `SSLProtocol`.
pub struct SslBody {
    event_loop: Slot,
    app_protocol: Slot,
    app_kind: Cell<App>,
    app_transport: Slot,
    transport: Slot,
    lower: Cell<Lower>,
    session: RefCell<Option<Rc<Session>>>,
    state: Cell<State>,
    app_state: Cell<AppState>,
    /// Waits for the handshake.
    waiter: Slot,
    /// What `get_extra_info` knows.
    extra: Slot,
    server_side: Cell<bool>,
    server_hostname: Slot,
    /// In seconds, as they were given.
    handshake_timeout: Slot,
    shutdown_timeout: Slot,
    /// The timers, while they run.
    handshake_timer: Slot,
    shutdown_timer: Slot,
    /// When the handshake began; in debug mode.
    handshake_start: Slot,
    /// What was written and could not be encrypted yet.
    backlog: RefCell<Vec<u8>>,
    /// Records gather until `received` is through.
    corked: Cell<bool>,
    /// The transport below has sent its end.
    eof: Cell<bool>,
    /// asyncio's count of the connection's loss and of writes after it.
    lost: Cell<u32>,
    /// The transport below has enough to send.
    writing_paused: Cell<bool>,
    /// We have told the transport below to stop.
    reading_paused: Cell<bool>,
    /// The application has enough to send.
    app_writing_paused: Cell<bool>,
    /// The application does not want more.
    app_reading_paused: Cell<bool>,
    outgoing_high: Cell<usize>,
    outgoing_low: Cell<usize>,
    incoming_high: Cell<usize>,
    incoming_low: Cell<usize>,
    /// Lent to a foreign transport.
    receive_buffer: Slot,
}

/// A native TLS protocol.
pub type SslProtocol = Native<SslBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for SslBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            event_loop: Slot::empty(),
            app_protocol: Slot::empty(),
            app_kind: Cell::new(App::Plain),
            app_transport: Slot::empty(),
            transport: Slot::empty(),
            lower: Cell::new(Lower::Foreign),
            session: RefCell::new(None),
            state: Cell::new(State::Unwrapped),
            app_state: Cell::new(AppState::Initial),
            waiter: Slot::empty(),
            extra: Slot::empty(),
            server_side: Cell::new(false),
            server_hostname: Slot::empty(),
            handshake_timeout: Slot::empty(),
            shutdown_timeout: Slot::empty(),
            handshake_timer: Slot::empty(),
            shutdown_timer: Slot::empty(),
            handshake_start: Slot::empty(),
            backlog: RefCell::new(Vec::new()),
            corked: Cell::new(false),
            eof: Cell::new(false),
            lost: Cell::new(0),
            writing_paused: Cell::new(false),
            reading_paused: Cell::new(false),
            app_writing_paused: Cell::new(false),
            app_reading_paused: Cell::new(false),
            outgoing_high: Cell::new(WRITE_HIGH_WATER),
            outgoing_low: Cell::new(WRITE_HIGH_WATER / 4),
            incoming_high: Cell::new(READ_HIGH_WATER),
            incoming_low: Cell::new(READ_HIGH_WATER / 4),
            receive_buffer: Slot::empty(),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        for slot in self.slots() {
            visitor.slot(slot);
        }
        // A share that is in use elsewhere would be counted from both places.
        if let Ok(session) = self.session.try_borrow()
            && let Some(session) = &*session
            && Rc::strong_count(session) == 1
        {
            session.traverse(visitor);
        }
    }

    fn clear(&self) {
        for slot in self.slots() {
            slot.clear();
        }
        drop(self.session.take());
    }
}

impl SslBody {
    fn slots(&self) -> [&Slot; 13] {
        [
            &self.event_loop,
            &self.app_protocol,
            &self.app_transport,
            &self.transport,
            &self.waiter,
            &self.extra,
            &self.server_hostname,
            &self.handshake_timeout,
            &self.shutdown_timeout,
            &self.handshake_timer,
            &self.shutdown_timer,
            &self.handshake_start,
            &self.receive_buffer,
        ]
    }

    /// The session; none before `__init__` and once the connection is lost.
    #[inline]
    fn session(&self) -> Option<Rc<Session>> {
        self.session.borrow().clone()
    }

    /// Runs `work` with the loop's body, if the loop is one of ours.
    #[inline]
    fn with_loop<R>(&self, py: Python<'_>, work: impl FnOnce(Option<&LoopBody>) -> R) -> R {
        let event_loop = self.event_loop.get(py);
        work(
            event_loop
                .as_ref()
                .and_then(as_native::<LoopBody>)
                .map(|event_loop| event_loop.body()),
        )
    }

    fn call_soon<'py>(&self, py: Python<'py>, callback: &Bound<'py, PyAny>) -> PyResult<()> {
        let event_loop = self.event_loop.get_or_none(py);
        event_loop
            .call_method1(pyo3::intern!(py, "call_soon"), (callback,))
            .map(drop)
    }
}

/// Makes the type.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let base = stdlib::imports(py)?
        .buffered_protocol
        .bind(py)
        .cast::<PyType>()?
        .clone();
    let mut builder = TypeBuilder::new().weak_references();
    for slot in init_slots(init) {
        builder = builder.slot(slot);
    }
    builder = attributes::protocol_attributes(builder);
    builder = handshake::handshake_methods(builder);
    builder = reading::reading_methods(builder);
    builder = flow::flow_methods(builder);
    builder = closing::closing_methods(builder);
    builder.finish::<SslBody>(
        py,
        c"aioxide.SSLProtocol",
        c"TLS between a transport and a protocol. Made by the loop.",
        Some(&base),
        false,
    )
}

/// Takes the arguments of asyncio's `SSLProtocol`; `aioxide.sslproto.settings()` names them.
fn init(this: &Bound<'_, SslProtocol>, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    let settings = session::imports(py)?
        .cold
        .bind(py)
        .getattr("settings")?
        .call(args, kwargs)?;
    let part = |name: &str| settings.getattr(name);
    let session = Session::new(&part("ssl_object")?, &part("incoming")?, &part("outgoing")?)?;
    drop(body.session.replace(Some(Rc::new(session))));
    body.event_loop.set(part("loop")?.into());
    body.extra.set(part("extra")?.into());
    set_unless_none(&body.waiter, part("waiter")?);
    body.server_side.set(part("server_side")?.is_truthy()?);
    set_unless_none(&body.server_hostname, part("server_hostname")?);
    body.handshake_timeout.set(part("handshake_timeout")?.into());
    body.shutdown_timeout.set(part("shutdown_timeout")?.into());
    if !part("call_connection_made")?.is_truthy()? {
        body.app_state.set(AppState::Connected);
    }
    use_app_protocol(this, &part("app_protocol")?)?;
    let transport = create(py, transport::AppTransportBody::of(this))?;
    body.app_transport.set(Owned::new(transport.as_any()));
    Ok(())
}

fn set_unless_none(slot: &Slot, value: Bound<'_, PyAny>) {
    if !value.is_none() {
        slot.set(value.into());
    }
}

/// Makes `protocol` the one that is told, by its kind.
fn use_app_protocol(this: &Bound<'_, SslProtocol>, protocol: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = this.py();
    let kind = if as_exact::<SslBody>(protocol).is_some() {
        App::Tls
    } else if protocol.is_instance(stdlib::imports(py)?.buffered_protocol.bind(py))? {
        App::Buffered
    } else {
        App::Plain
    };
    this.body().app_kind.set(kind);
    this.body().app_protocol.set(Owned::new(protocol));
    Ok(())
}

/// Makes `transport` the one below, by its kind.
fn use_transport(this: &Bound<'_, SslProtocol>, transport: &Bound<'_, PyAny>) {
    let kind = if as_exact::<TransportBody>(transport).is_some() {
        Lower::Socket
    } else if as_exact::<transport::AppTransportBody>(transport).is_some() {
        Lower::Tls
    } else {
        Lower::Foreign
    };
    this.body().lower.set(kind);
    this.body().transport.set(Owned::new(transport));
}

fn none(py: Python<'_>) -> Bound<'_, PyAny> {
    py.None().into_bound(py)
}

fn boolean(py: Python<'_>, value: bool) -> Bound<'_, PyAny> {
    PyBool::new(py, value).to_owned().into_any()
}

/// 512 KiB: asyncio's `FLOW_CONTROL_HIGH_WATER_SSL_WRITE`.
const WRITE_HIGH_WATER: usize = 512 * 1024;
/// 256 KiB: asyncio's `FLOW_CONTROL_HIGH_WATER_SSL_READ`.
const READ_HIGH_WATER: usize = 256 * 1024;
