//! `Listener`: a listening socket; accepts connections and makes their transports.
//!
//! ```text
//!   Watching --no descriptor or memory is left--> Resting --ACCEPT_RETRY_DELAY--> Watching
//!      \---the server is closed: the loop stops watching, the socket is closed---/
//! ```
//! A plain connection gets its transport and its protocol's `connection_made()` at once, in a copy of the
//! context in which serving began, instead of a task of three steps. One with TLS, or on a loop that is
//! debugged or has a method replaced, goes through `_accept_connection2()` as in asyncio.
//! Counterpart: `_accept_connection` in `Lib/asyncio/selector_events.py`.
//! Differs from asyncio: `connection_made()` is called in the same turn of the loop.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::io;
use std::net::SocketAddrV4;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};
use rustix::io::Errno;

use crate::errors::{ends_the_loop, os_error};
use crate::events::{Direction, Loop, Watch};
use crate::imports::{Imports, imports};
use crate::object::descriptor::{self, Accepted};
use crate::object::{
    Body, BodyOf, Layout, Native, Owned, Returned, Slot, TypeBuilder, Visitor, copy_context, copy_of, getter,
    in_context, init_slots, method_noargs,
};
use crate::transports;

/// The body of a `Listener`.
pub struct ListenerBody {
    event_loop: Slot,
    protocol_factory: Slot,
    /// The Python socket, which owns the descriptor.
    socket: Slot,
    fd: Cell<i32>,
    /// What `socket.socket()` takes for a connection of it: family, type (non-blocking), protocol.
    kind: Cell<(i32, i32, i32)>,
    server: Slot,
    ssl_context: Slot,
    /// The time limits of TLS: (handshake, shutdown).
    ssl_timeouts: Slot,
    /// The context in which serving began.
    context: Slot,
    /// The address of our side of the last connection, in most servers that of all, and its object.
    name: Cell<Option<SocketAddrV4>>,
    name_object: Slot,
    /// At most so many connections are accepted before others get a turn.
    backlog: Cell<usize>,
    /// Connections need no method of the loop's that somebody may have replaced.
    plain: Cell<bool>,
}

/// A listening socket.
pub type Listener = Native<ListenerBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for ListenerBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            event_loop: Slot::empty(),
            protocol_factory: Slot::empty(),
            socket: Slot::empty(),
            fd: Cell::new(-1),
            kind: Cell::new((0, 0, 0)),
            server: Slot::empty(),
            ssl_context: Slot::empty(),
            ssl_timeouts: Slot::empty(),
            context: Slot::empty(),
            name: Cell::new(None),
            name_object: Slot::empty(),
            backlog: Cell::new(0),
            plain: Cell::new(false),
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

impl ListenerBody {
    fn slots(&self) -> [&Slot; 8] {
        [
            &self.event_loop,
            &self.protocol_factory,
            &self.socket,
            &self.server,
            &self.ssl_context,
            &self.ssl_timeouts,
            &self.context,
            &self.name_object,
        ]
    }
}

/// Makes the type.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let mut builder = TypeBuilder::new();
    for slot in init_slots(init) {
        builder = builder.slot(slot);
    }
    builder
        .attribute(getter(c"_sock", socket))
        .attribute(getter(c"_server", server))
        .method(method_noargs(
            c"_watch",
            c"Accepts connections from now on, unless the socket was closed.",
            watch,
        ))
        .finish::<ListenerBody>(
            py,
            c"aioxide.Listener",
            c"A listening socket of a server. Made by the loop.",
            None,
            false,
        )
}

/// `Listener(loop, factory, sock, (family, type, proto), server, backlog, sslcontext, timeouts,
/// context, plain)`.
fn init(this: &Bound<'_, Listener>, args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    type Parts<'py> = (
        Bound<'py, Loop>,
        Bound<'py, PyAny>,
        Bound<'py, PyAny>,
        (i32, i32, i32),
        Bound<'py, PyAny>,
        usize,
        Bound<'py, PyAny>,
        Bound<'py, PyAny>,
        Option<Bound<'py, PyAny>>,
        bool,
    );
    let (event_loop, factory, socket, kind, server, backlog, ssl_context, ssl_timeouts, context, plain): Parts<'_> =
        args.extract()?;
    let fd = socket.call_method0("fileno")?.extract()?;
    let context = match context {
        Some(context) => Owned::new(&context),
        None => copy_context(this.py())?,
    };
    let body = this.body();
    body.fd.set(fd);
    body.kind.set(kind);
    body.backlog.set(backlog);
    body.plain.set(plain && !ssl_context.is_truthy()?);
    body.context.set(context);
    body.event_loop.set(event_loop.into_any().into());
    body.protocol_factory.set(factory.into());
    body.socket.set(socket.into());
    body.server.set(server.into());
    body.ssl_context.set(ssl_context.into());
    body.ssl_timeouts.set(ssl_timeouts.into());
    Ok(())
}

fn socket<'py>(this: &Bound<'py, Listener>) -> Returned<'py> {
    Ok(this.body().socket.get_or_none(this.py()))
}

fn server<'py>(this: &Bound<'py, Listener>) -> Returned<'py> {
    Ok(this.body().server.get_or_none(this.py()))
}

/// The server may have been closed while it rested: its socket is closed then, and the number not ours.
fn watch<'py>(this: &Bound<'py, Listener>) -> Returned<'py> {
    let py = this.py();
    let body = this.body();
    let fd: i32 = body.socket.get_or_none(py).call_method0("fileno")?.extract()?;
    if fd >= 0 && fd == body.fd.get() {
        let event_loop = body.event_loop.get_or_none(py).cast_into::<Loop>()?;
        event_loop.body().require_open()?;
        let watch = Watch::Listener(Owned::new(this.as_any()));
        let before = event_loop.body().watch(fd, Direction::Read, watch)?;
        if let Some(Watch::Handle(before)) = before {
            before.bind(py).call_method0("cancel")?;
        }
    }
    Ok(py.None().into_bound(py))
}

/// Accepts what waits: somebody connected.
///
/// # Errors
/// KeyboardInterrupt and SystemExit; everything else goes to the loop's exception handler.
pub fn ready(event_loop: &Bound<'_, Loop>, listener: &Bound<'_, PyAny>) -> PyResult<()> {
    let this = listener.cast::<Listener>()?;
    let body = this.body();
    for _ in 0..body.backlog.get() {
        // Whoever was told of the last connection may have closed the server, and opened something else.
        if !event_loop
            .body()
            .is_watched_by(body.fd.get(), Direction::Read, listener)
        {
            return Ok(());
        }
        match descriptor::accept(body.fd.get()) {
            Ok(accepted) => connect(this, event_loop, accepted)?,
            Err(error) if is_end_of_queue(&error) => return Ok(()),
            Err(error) => return failed(this, event_loop, &error),
        }
    }
    Ok(())
}

fn is_end_of_queue(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
    )
}

/// Reports what accept() said. Without a descriptor or memory it would say so again at every poll: the
/// listener rests.
#[cold]
fn failed(this: &Bound<'_, Listener>, event_loop: &Bound<'_, Loop>, error: &io::Error) -> PyResult<()> {
    let py = this.py();
    let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()));
    let report = if exhausted {
        let unwatched = event_loop.body().unwatch(this.body().fd.get(), Direction::Read)?;
        drop(unwatched);
        "rest"
    } else {
        "report_error"
    };
    let error = os_error(error);
    imports(py)?
        .servers
        .bind(py)
        .call_method1(report, (event_loop, this, error.value(py)))
        .map(drop)
}

/// Serves a connection. What goes wrong concerns it alone, and is told in debug mode, as in asyncio.
fn connect(this: &Bound<'_, Listener>, event_loop: &Bound<'_, Loop>, accepted: Accepted) -> PyResult<()> {
    let py = this.py();
    let context = copy_of(&this.body().context.get_or_none(py))?;
    let context = context.bind(py);
    let connected = in_context(context, || {
        if this.body().plain.get() && event_loop.body().is_direct() {
            connect_now(this, event_loop, context, accepted)
        } else {
            connect_by_task(this, event_loop, context, accepted)
        }
    });
    let Err(error) = connected.and_then(|connected| connected) else {
        return Ok(());
    };
    let exception = error.into_value(py).into_bound(py).into_any();
    if ends_the_loop(py, &exception) {
        return Err(PyErr::from_value(exception));
    }
    imports(py)?
        .servers
        .bind(py)
        .call_method1("report_connection_error", (event_loop, exception))
        .map(drop)
}

/// Makes the transport and tells the protocol.
fn connect_now(
    this: &Bound<'_, Listener>,
    event_loop: &Bound<'_, Loop>,
    context: &Bound<'_, PyAny>,
    accepted: Accepted,
) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    let imports = imports(py)?;
    let protocol = body.protocol_factory.get_or_none(py).call0()?;
    let name = accepted.name();
    let peer = accepted.ipv4_peer();
    // Small writes go out at once, as in asyncio.
    if body.kind.get().2 == IPPROTO_TCP {
        accepted.set_nodelay().map_err(|error| os_error(&error))?;
    }
    let socket = python_socket(imports, body, py, accepted)?;
    let extra = PyDict::new(py);
    extra.set_item(pyo3::intern!(py, "peername"), peer_of(&socket, peer)?)?;
    let transport_socket = imports.transport_socket.bind(py).call1((&socket,))?;
    extra.set_item(pyo3::intern!(py, "socket"), transport_socket)?;
    let name = match name {
        Some(name) => shared_name(body, py, name)?,
        None => ask(&socket, "getsockname")?,
    };
    extra.set_item(pyo3::intern!(py, "sockname"), name)?;
    transports::serve(transports::Parts {
        event_loop,
        socket: &socket,
        protocol: &protocol,
        extra: &extra,
        server: &body.server.get_or_none(py),
        context,
    })
}

/// Leaves the rest to asyncio's coroutine, which looks up what may have been replaced, and makes TLS.
fn connect_by_task(
    this: &Bound<'_, Listener>,
    event_loop: &Bound<'_, Loop>,
    context: &Bound<'_, PyAny>,
    accepted: Accepted,
) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    let imports = imports(py)?;
    let peer = accepted.ipv4_peer();
    let socket = python_socket(imports, body, py, accepted)?;
    let peer = peer_of(&socket, peer)?;
    let rest = (
        body.protocol_factory.get_or_none(py),
        body.ssl_context.get_or_none(py),
        body.server.get_or_none(py),
        body.ssl_timeouts.get_or_none(py),
    );
    imports
        .servers
        .bind(py)
        .call_method1("accept", (event_loop, socket, peer, rest, context))
        .map(drop)
}

/// The Python socket of a connection. Its type says that it does not block, so nothing needs to be called
/// to make it so.
fn python_socket<'py>(
    imports: &Imports,
    body: &ListenerBody,
    py: Python<'py>,
    accepted: Accepted,
) -> PyResult<Bound<'py, PyAny>> {
    let (family, kind, protocol) = body.kind.get();
    let socket = imports
        .socket
        .bind(py)
        .call1((family, kind, protocol, accepted.as_raw_fd()))?;
    // The Python object owns the descriptor now.
    accepted.give_up();
    Ok(socket)
}

fn peer_of<'py>(socket: &Bound<'py, PyAny>, peer: Option<SocketAddrV4>) -> PyResult<Bound<'py, PyAny>> {
    match peer {
        Some(peer) => ipv4(socket.py(), peer),
        None => ask(socket, "getpeername"),
    }
}

/// An address as `socket` gives it for IPv4.
fn ipv4(py: Python<'_>, address: SocketAddrV4) -> PyResult<Bound<'_, PyAny>> {
    Ok((address.ip().to_string(), address.port()).into_pyobject(py)?.into_any())
}

/// Our side's address. Connections share the object: 150 bytes each.
fn shared_name<'py>(body: &ListenerBody, py: Python<'py>, name: SocketAddrV4) -> PyResult<Bound<'py, PyAny>> {
    if body.name.get() == Some(name)
        && let Some(object) = body.name_object.get(py)
    {
        return Ok(object);
    }
    let object = ipv4(py, name)?;
    body.name.set(Some(name));
    body.name_object.set(Owned::new(&object));
    Ok(object)
}

/// The answer of a method of the socket; None if there is no connection any more.
fn ask<'py>(socket: &Bound<'py, PyAny>, method: &str) -> PyResult<Bound<'py, PyAny>> {
    let py = socket.py();
    match socket.call_method0(method) {
        Err(error) if error.is_instance_of::<pyo3::exceptions::PyOSError>(py) => Ok(py.None().into_bound(py)),
        answer => answer,
    }
}

/// The protocol number of TCP, on every system.
const IPPROTO_TCP: i32 = 6;
