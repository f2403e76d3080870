//! `sock_connect()` to an address that needs no name look-up. Others are asyncio's.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::io;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use rustix::io::Errno;

use super::waiting::{Call, On, Outcome, SocketCall};
use super::{by_asyncio, is_plain};
use crate::addresses::{self, Family};
use crate::coroutines::{self, coroutine};
use crate::errors::os_error;
use crate::events::{Direction, Loop};
use crate::object::{Args, Layout, Owned, Returned, Slot, TypeBuilder, audit_address, descriptor, method};

/// Makes the type of the coroutine.
pub fn build(py: Python<'_>) -> PyResult<()> {
    coroutines::build::<SocketCall<Connect>>(py, c"aioxide._aioxide.sock_connect").map(drop)
}

/// Adds the method.
pub fn connecting_methods(builder: TypeBuilder) -> TypeBuilder {
    builder.method(method(
        c"sock_connect",
        c"Connects a socket to an address.",
        sock_connect,
    ))
}

fn sock_connect<'py>(this: &Bound<'py, Loop>, args: Args<'_, 'py>) -> Returned<'py> {
    let py = this.py();
    let [Some(socket), Some(address)] = args.bind("sock_connect", ["sock", "address"], 2, 2)? else {
        return by_asyncio(this, pyo3::intern!(py, "sock_connect"), &args);
    };
    let known = is_plain(socket)?
        && Family::of(socket)?
            .and_then(|family| addresses::parse(family, address))
            .is_some();
    if !known {
        return by_asyncio(this, pyo3::intern!(py, "sock_connect"), &args);
    }
    let call = Connect {
        address: Slot::new(Owned::new(&resolved(address)?)),
        begun: Cell::new(false),
    };
    coroutine(py, SocketCall::new(this, socket, call))
}

/// An address with all its parts, as asyncio's resolution gives it: it is named in the error.
fn resolved<'py>(address: &Bound<'py, PyAny>) -> Returned<'py> {
    let py = address.py();
    match address.cast::<PyTuple>() {
        // Of IPv4 only ever two parts; a longer one is IPv6's.
        Ok(parts) if addresses::parse(Family::V6, address).is_some() => {
            let rest = [parts.get_item(2).ok(), parts.get_item(3).ok()];
            let [flow, scope] = rest.map(|part| part.unwrap_or_else(|| pyo3::types::PyInt::new(py, 0).into_any()));
            let all = [parts.get_item(0)?, parts.get_item(1)?, flow, scope];
            Ok(PyTuple::new(py, all)?.into_any())
        }
        _ => Ok(address.clone()),
    }
}

/// `sock_connect`.
struct Connect {
    address: Slot,
    /// The system makes the connection; what came of it is asked for when the socket is writable.
    begun: Cell<bool>,
}

impl Call for Connect {
    const NAME: &'static str = "sock_connect";
    const DIRECTION: Direction = Direction::Write;

    fn layout() -> &'static Layout {
        static LAYOUT: Layout = Layout::unset();
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            address: Slot::empty(),
            begun: Cell::new(false),
        }
    }

    fn attempt<'py>(&self, on: &On<'_, 'py>) -> PyResult<Outcome<'py>> {
        let py = on.py();
        let address = self.address.get_or_none(py);
        if self.begun.get() {
            return finish(on, &address);
        }
        let known = Family::of(on.socket)?.and_then(|family| addresses::parse(family, &address));
        let outcome = match known {
            Some(known) if on.is_nonblocking()? => {
                audit_address(c"socket.connect", on.socket, &address)?;
                match descriptor::connect(on.fd, &known) {
                    Ok(()) => Outcome::Done(py.None().into_bound(py)),
                    Err(error) if goes_on(&error) => Outcome::WouldBlock,
                    Err(error) => return Err(os_error(&error)),
                }
            }
            _ => on.by_python("connect", (address,))?,
        };
        self.begun.set(true);
        Ok(outcome)
    }

    fn slots(&self) -> [&Slot; 2] {
        [&self.address, &self.address]
    }
}

/// What has become of the connection.
fn finish<'py>(on: &On<'_, 'py>, address: &Bound<'py, PyAny>) -> PyResult<Outcome<'py>> {
    let py = on.py();
    match descriptor::connected(on.fd) {
        Ok(()) => Ok(Outcome::Done(py.None().into_bound(py))),
        Err(error) if goes_on(&error) => Ok(Outcome::WouldBlock),
        Err(error) => match error.raw_os_error() {
            Some(number) => {
                let text = format!("Connect call failed {}", address.str()?);
                Err(PyOSError::new_err((number, text)))
            }
            None => Err(os_error(&error)),
        },
    }
}

/// Whether the system goes on making the connection: what is a BlockingIOError or an InterruptedError in Python.
fn goes_on(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        errno,
        Some(Errno::INPROGRESS | Errno::ALREADY | Errno::AGAIN | Errno::INTR)
    )
}
