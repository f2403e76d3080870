//! `sock_sendall()` and `sock_sendto()`.

#![forbid(unsafe_code)]

use std::cell::Cell;

use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView};

use super::waiting::{Call, On, Outcome, SocketCall};
use super::{by_asyncio, is_plain};
use crate::addresses::{self, Family};
use crate::coroutines::{self, coroutine};
use crate::events::{Direction, Loop};
use crate::object::{Args, Layout, Owned, Returned, Slot, TypeBuilder, audit_address, descriptor, method};

/// Makes the types of the coroutines.
pub fn build(py: Python<'_>) -> PyResult<()> {
    coroutines::build::<SocketCall<SendAll>>(py, c"aioxide._aioxide.sock_sendall")?;
    coroutines::build::<SocketCall<SendTo>>(py, c"aioxide._aioxide.sock_sendto")?;
    Ok(())
}

/// Adds the methods.
pub fn sending_methods(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method(
            c"sock_sendall",
            c"Sends data to a socket until all of it is sent.",
            sock_sendall,
        ))
        .method(method(
            c"sock_sendto",
            c"Sends a datagram from a socket to an address; returns how many bytes.",
            sock_sendto,
        ))
}

fn sock_sendall<'py>(this: &Bound<'py, Loop>, args: Args<'_, 'py>) -> Returned<'py> {
    let [Some(socket), Some(data)] = args.bind("sock_sendall", ["sock", "data"], 2, 2)? else {
        return by_asyncio(this, pyo3::intern!(this.py(), "sock_sendall"), &args);
    };
    if !is_plain(socket)? {
        return by_asyncio(this, pyo3::intern!(this.py(), "sock_sendall"), &args);
    }
    // What has items of other sizes than a byte, or holes: asyncio's arithmetic is its own.
    if data.cast_exact::<PyBytes>().is_err() && readable(data).is_none() {
        return by_asyncio(this, pyo3::intern!(this.py(), "sock_sendall"), &args);
    }
    let call = SendAll {
        data: Slot::new(Owned::new(data)),
        sent: Cell::new(0),
    };
    coroutine(this.py(), SocketCall::new(this, socket, call))
}

fn sock_sendto<'py>(this: &Bound<'py, Loop>, args: Args<'_, 'py>) -> Returned<'py> {
    let [Some(socket), Some(data), Some(address)] = args.bind("sock_sendto", ["sock", "data", "address"], 3, 3)? else {
        return by_asyncio(this, pyo3::intern!(this.py(), "sock_sendto"), &args);
    };
    if !is_plain(socket)? {
        return by_asyncio(this, pyo3::intern!(this.py(), "sock_sendto"), &args);
    }
    let call = SendTo {
        data: Slot::new(Owned::new(data)),
        address: Slot::new(Owned::new(address)),
    };
    coroutine(this.py(), SocketCall::new(this, socket, call))
}

/// The bytes of a buffer in one piece.
fn readable(data: &Bound<'_, PyAny>) -> Option<PyBuffer<u8>> {
    PyBuffer::get(data).ok().filter(|view| view.is_c_contiguous())
}

/// `sock_sendall`.
struct SendAll {
    data: Slot,
    sent: Cell<usize>,
}

impl Call for SendAll {
    const NAME: &'static str = "sock_sendall";
    const DIRECTION: Direction = Direction::Write;

    fn layout() -> &'static Layout {
        static LAYOUT: Layout = Layout::unset();
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            data: Slot::empty(),
            sent: Cell::new(0),
        }
    }

    fn attempt<'py>(&self, on: &On<'_, 'py>) -> PyResult<Outcome<'py>> {
        let py = on.py();
        let data = self.data.get_or_none(py);
        let start = self.sent.get();
        let (sent, length) = match data.cast_exact::<PyBytes>() {
            Ok(data) => {
                let rest = data.as_bytes().get(start..).unwrap_or_default();
                (descriptor::send(on.fd, rest), data.as_bytes().len())
            }
            Err(_) => {
                let view = PyBuffer::<u8>::get(&data)?;
                (descriptor::send_buffer(py, on.fd, &view, start), view.len_bytes())
            }
        };
        match sent {
            Ok(sent) if start + sent < length => {
                self.sent.set(start + sent);
                Ok(Outcome::WouldBlock)
            }
            sent => on.outcome(sent, |_| Ok(py.None().into_bound(py))),
        }
    }

    fn begin_wait(&self, py: Python<'_>) -> PyResult<()> {
        // The view keeps a `bytearray` from changing its length while some of it is sent.
        let data = self.data.get_or_none(py);
        if data.cast_exact::<PyBytes>().is_err() {
            self.data.set(Owned::new(PyMemoryView::from(&data)?.as_any()));
        }
        Ok(())
    }

    fn slots(&self) -> [&Slot; 2] {
        [&self.data, &self.data]
    }
}

/// `sock_sendto`.
struct SendTo {
    data: Slot,
    address: Slot,
}

impl Call for SendTo {
    const NAME: &'static str = "sock_sendto";
    const DIRECTION: Direction = Direction::Write;

    fn layout() -> &'static Layout {
        static LAYOUT: Layout = Layout::unset();
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            data: Slot::empty(),
            address: Slot::empty(),
        }
    }

    fn attempt<'py>(&self, on: &On<'_, 'py>) -> PyResult<Outcome<'py>> {
        let py = on.py();
        let data = self.data.get_or_none(py);
        let address = self.address.get_or_none(py);
        let known = match data.cast_exact::<PyBytes>() {
            Ok(bytes) => Family::of(on.socket)?
                .and_then(|family| addresses::parse(family, &address))
                .map(|address| (bytes, address)),
            Err(_) => None,
        };
        let Some((bytes, known)) = known else {
            return on.by_python("sendto", (data, address));
        };
        audit_address(c"socket.sendto", on.socket, &address)?;
        let sent = descriptor::send_to(on.fd, bytes.as_bytes(), &known);
        on.outcome(sent, |sent| Ok(sent.into_pyobject(py)?.into_any()))
    }

    fn slots(&self) -> [&Slot; 2] {
        [&self.data, &self.address]
    }
}
