//! `sock_recv()`, `sock_recv_into()`, `sock_recvfrom()`, `sock_recvfrom_into()`.

#![forbid(unsafe_code)]

use std::cell::Cell;

use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use pyo3::types::PyInt;

use super::waiting::{Call, On, Outcome, SocketCall};
use super::{by_asyncio, is_plain};
use crate::addresses::{self, Family};
use crate::coroutines::{self, coroutine};
use crate::events::{Direction, Loop};
use crate::object::{Args, Layout, Owned, Returned, Slot, TypeBuilder, bytes, descriptor, method};
use crate::transports::{READ_SIZE, with_buffer};

/// Makes the types of the coroutines.
pub fn build(py: Python<'_>) -> PyResult<()> {
    coroutines::build::<SocketCall<Receive>>(py, c"aioxide._aioxide.sock_recv")?;
    coroutines::build::<SocketCall<ReceiveInto>>(py, c"aioxide._aioxide.sock_recv_into")?;
    coroutines::build::<SocketCall<ReceiveFrom>>(py, c"aioxide._aioxide.sock_recvfrom")?;
    coroutines::build::<SocketCall<ReceiveFromInto>>(py, c"aioxide._aioxide.sock_recvfrom_into")?;
    Ok(())
}

/// Adds the methods.
pub fn receiving_methods(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method(
            c"sock_recv",
            c"Receives up to so many bytes from a socket.",
            sock_recv,
        ))
        .method(method(
            c"sock_recv_into",
            c"Receives from a socket into a buffer; returns how many bytes.",
            sock_recv_into,
        ))
        .method(method(
            c"sock_recvfrom",
            c"Receives a datagram from a socket; returns it and its sender's address.",
            sock_recvfrom,
        ))
        .method(method(
            c"sock_recvfrom_into",
            c"Receives a datagram from a socket into a buffer; returns its size and its sender's address.",
            sock_recvfrom_into,
        ))
}

/// How many bytes to receive: a number that needs no checking, or whatever the caller gave.
struct Size {
    given: Slot,
    plain: Cell<Option<usize>>,
}

impl Size {
    const fn unknown() -> Self {
        Self {
            given: Slot::empty(),
            plain: Cell::new(None),
        }
    }

    #[inline]
    fn of(given: &Bound<'_, PyAny>) -> Self {
        let size = given.cast_exact::<PyInt>().ok().and_then(|size| size.extract().ok());
        match size {
            Some(size) if size <= READ_SIZE => Self {
                given: Slot::empty(),
                plain: Cell::new(Some(size)),
            },
            // More than the loop's buffer holds, or a mistake.
            _ => Self {
                given: Slot::new(Owned::new(given)),
                plain: Cell::new(None),
            },
        }
    }
}

fn sock_recv<'py>(this: &Bound<'py, Loop>, args: Args<'_, 'py>) -> Returned<'py> {
    let [Some(socket), Some(size)] = args.bind("sock_recv", ["sock", "n"], 2, 2)? else {
        return by_asyncio(this, pyo3::intern!(this.py(), "sock_recv"), &args);
    };
    if !is_plain(socket)? {
        return by_asyncio(this, pyo3::intern!(this.py(), "sock_recv"), &args);
    }
    let call = Receive(Size::of(size));
    coroutine(this.py(), SocketCall::new(this, socket, call))
}

fn sock_recv_into<'py>(this: &Bound<'py, Loop>, args: Args<'_, 'py>) -> Returned<'py> {
    let [Some(socket), Some(buffer)] = args.bind("sock_recv_into", ["sock", "buf"], 2, 2)? else {
        return by_asyncio(this, pyo3::intern!(this.py(), "sock_recv_into"), &args);
    };
    if !is_plain(socket)? {
        return by_asyncio(this, pyo3::intern!(this.py(), "sock_recv_into"), &args);
    }
    let call = ReceiveInto(Slot::new(Owned::new(buffer)));
    coroutine(this.py(), SocketCall::new(this, socket, call))
}

fn sock_recvfrom<'py>(this: &Bound<'py, Loop>, args: Args<'_, 'py>) -> Returned<'py> {
    let [Some(socket), Some(size)] = args.bind("sock_recvfrom", ["sock", "bufsize"], 2, 2)? else {
        return by_asyncio(this, pyo3::intern!(this.py(), "sock_recvfrom"), &args);
    };
    if !is_plain(socket)? {
        return by_asyncio(this, pyo3::intern!(this.py(), "sock_recvfrom"), &args);
    }
    let call = ReceiveFrom(Size::of(size));
    coroutine(this.py(), SocketCall::new(this, socket, call))
}

fn sock_recvfrom_into<'py>(this: &Bound<'py, Loop>, args: Args<'_, 'py>) -> Returned<'py> {
    let [Some(socket), Some(buffer), size] = args.bind("sock_recvfrom_into", ["sock", "buf", "nbytes"], 3, 2)? else {
        return by_asyncio(this, pyo3::intern!(this.py(), "sock_recvfrom_into"), &args);
    };
    if !is_plain(socket)? {
        return by_asyncio(this, pyo3::intern!(this.py(), "sock_recvfrom_into"), &args);
    }
    let call = ReceiveFromInto {
        buffer: Slot::new(Owned::new(buffer)),
        size: size.map_or_else(Slot::empty, |size| Slot::new(Owned::new(size))),
    };
    coroutine(this.py(), SocketCall::new(this, socket, call))
}

/// `sock_recv`.
struct Receive(Size);

impl Call for Receive {
    const NAME: &'static str = "sock_recv";
    const DIRECTION: Direction = Direction::Read;

    fn layout() -> &'static Layout {
        static LAYOUT: Layout = Layout::unset();
        &LAYOUT
    }

    fn empty() -> Self {
        Self(Size::unknown())
    }

    fn attempt<'py>(&self, on: &On<'_, 'py>) -> PyResult<Outcome<'py>> {
        let Some(size) = self.0.plain.get() else {
            return on.by_python("recv", (self.0.given.get_or_none(on.py()),));
        };
        with_buffer(on.event_loop, |buffer| {
            let room = buffer.get_mut(..size).unwrap_or_default();
            let received = descriptor::receive(on.fd, room);
            on.outcome(received, |count| {
                Ok(bytes(on.py(), room.get(..count).unwrap_or_default()))
            })
        })
    }

    fn slots(&self) -> [&Slot; 2] {
        [&self.0.given, &self.0.given]
    }
}

/// `sock_recv_into`.
struct ReceiveInto(Slot);

impl Call for ReceiveInto {
    const NAME: &'static str = "sock_recv_into";
    const DIRECTION: Direction = Direction::Read;

    fn layout() -> &'static Layout {
        static LAYOUT: Layout = Layout::unset();
        &LAYOUT
    }

    fn empty() -> Self {
        Self(Slot::empty())
    }

    fn attempt<'py>(&self, on: &On<'_, 'py>) -> PyResult<Outcome<'py>> {
        let py = on.py();
        let buffer = self.0.get_or_none(py);
        match PyBuffer::<u8>::get(&buffer) {
            Ok(room) if !room.readonly() && room.is_c_contiguous() => {
                let received = descriptor::receive_into(py, on.fd, &room);
                on.outcome(received, |count| Ok(count.into_pyobject(py)?.into_any()))
            }
            _ => on.by_python("recv_into", (buffer,)),
        }
    }

    fn slots(&self) -> [&Slot; 2] {
        [&self.0, &self.0]
    }
}

/// `sock_recvfrom`.
struct ReceiveFrom(Size);

impl Call for ReceiveFrom {
    const NAME: &'static str = "sock_recvfrom";
    const DIRECTION: Direction = Direction::Read;

    fn layout() -> &'static Layout {
        static LAYOUT: Layout = Layout::unset();
        &LAYOUT
    }

    fn empty() -> Self {
        Self(Size::unknown())
    }

    fn attempt<'py>(&self, on: &On<'_, 'py>) -> PyResult<Outcome<'py>> {
        let py = on.py();
        let Some(size) = self.0.plain.get() else {
            return on.by_python("recvfrom", (self.0.given.get_or_none(py),));
        };
        if Family::of(on.socket)?.is_none() {
            return on.by_python("recvfrom", (size,));
        }
        with_buffer(on.event_loop, |buffer| {
            let room = buffer.get_mut(..size).unwrap_or_default();
            let received = descriptor::receive_from(on.fd, room);
            on.outcome(received, |(count, address)| {
                let data = bytes(py, room.get(..count).unwrap_or_default());
                let address = addresses::to_python(py, address.as_ref())?;
                Ok((data, address).into_pyobject(py)?.into_any())
            })
        })
    }

    fn slots(&self) -> [&Slot; 2] {
        [&self.0.given, &self.0.given]
    }
}

/// `sock_recvfrom_into`.
struct ReceiveFromInto {
    buffer: Slot,
    size: Slot,
}

impl Call for ReceiveFromInto {
    const NAME: &'static str = "sock_recvfrom_into";
    const DIRECTION: Direction = Direction::Read;

    fn layout() -> &'static Layout {
        static LAYOUT: Layout = Layout::unset();
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            buffer: Slot::empty(),
            size: Slot::empty(),
        }
    }

    fn attempt<'py>(&self, on: &On<'_, 'py>) -> PyResult<Outcome<'py>> {
        let buffer = self.buffer.get_or_none(on.py());
        let size = match self.size.get(on.py()) {
            Some(size) if size.is_truthy()? => size,
            _ => buffer.len()?.into_pyobject(on.py())?.into_any(),
        };
        on.by_python("recvfrom_into", (buffer, size))
    }

    fn slots(&self) -> [&Slot; 2] {
        [&self.buffer, &self.size]
    }
}
