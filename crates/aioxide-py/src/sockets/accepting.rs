//! `sock_accept()`.

#![forbid(unsafe_code)]

use pyo3::prelude::*;
use rustix::net::SocketFlags;

use super::waiting::{Call, On, Outcome, SocketCall};
use super::{by_asyncio, is_plain};
use crate::addresses::{self, Family};
use crate::coroutines::{self, coroutine};
use crate::events::{Direction, Loop};
use crate::imports::imports;
use crate::object::descriptor::{self, Accepted};
use crate::object::{Args, Layout, Returned, Slot, TypeBuilder, method};

/// Makes the type of the coroutine.
pub fn build(py: Python<'_>) -> PyResult<()> {
    coroutines::build::<SocketCall<Accept>>(py, c"aioxide._aioxide.sock_accept").map(drop)
}

/// Adds the method.
pub fn accepting_methods(builder: TypeBuilder) -> TypeBuilder {
    builder.method(method(
        c"sock_accept",
        c"Accepts a connection; returns its socket and the peer's address.",
        sock_accept,
    ))
}

fn sock_accept<'py>(this: &Bound<'py, Loop>, args: Args<'_, 'py>) -> Returned<'py> {
    let py = this.py();
    match args.bind("sock_accept", ["sock"], 1, 1)? {
        [Some(socket)] if is_plain(socket)? => coroutine(py, SocketCall::new(this, socket, Accept(Slot::empty()))),
        _ => by_asyncio(this, pyo3::intern!(py, "sock_accept"), &args),
    }
}

/// `sock_accept`. It needs nothing; the slot stays empty.
struct Accept(Slot);

impl Call for Accept {
    const NAME: &'static str = "sock_accept";
    const DIRECTION: Direction = Direction::Read;

    fn layout() -> &'static Layout {
        static LAYOUT: Layout = Layout::unset();
        &LAYOUT
    }

    fn empty() -> Self {
        Self(Slot::empty())
    }

    fn attempt<'py>(&self, on: &On<'_, 'py>) -> PyResult<Outcome<'py>> {
        // accept4() has no flag for not waiting.
        if Family::of(on.socket)?.is_none() || !on.is_nonblocking()? {
            return accept_by_python(on);
        }
        on.outcome(descriptor::accept(on.fd), |accepted| connection(on, accepted))
    }

    fn slots(&self) -> [&Slot; 2] {
        [&self.0, &self.0]
    }
}

fn accept_by_python<'py>(on: &On<'_, 'py>) -> PyResult<Outcome<'py>> {
    let outcome = on.by_python("accept", ())?;
    if let Outcome::Done(accepted) = &outcome {
        accepted.get_item(0)?.call_method1("setblocking", (false,))?;
    }
    Ok(outcome)
}

/// The Python socket of a connection, and the peer's address. The socket's type says that it does not block.
fn connection<'py>(on: &On<'_, 'py>, accepted: Accepted) -> Returned<'py> {
    let py = on.py();
    let imports = imports(py)?;
    let mut numbers = [0_i32; 3];
    for (number, member) in numbers.iter_mut().zip(&imports.socket_numbers) {
        let value = member
            .bind(py)
            .call_method1(pyo3::intern!(py, "__get__"), (on.socket,))?;
        *number = value.extract()?;
    }
    let [family, kind, protocol] = numbers;
    let kind = kind | i32::try_from(SocketFlags::NONBLOCK.bits())?;
    let address = addresses::to_python(py, accepted.peer.as_ref())?;
    let parts = (family, kind, protocol, accepted.as_raw_fd());
    let socket = imports.socket.bind(py).call1(parts)?;
    // The Python object owns the descriptor now.
    accepted.give_up();
    Ok((socket, address).into_pyobject(py)?.into_any())
}
