//! Sending: at once what the socket takes, the rest when it is writable.

#![forbid(unsafe_code)]

use pyo3::exceptions::{PyAttributeError, PyBlockingIOError, PyInterruptedError, PyOSError, PyValueError};
use pyo3::prelude::*;

use super::super::writing::{BYTES_LIKE, data_of, would_block};
use super::super::{Phase, flow};
use super::closing::{self, fatal};
use super::queue::{Datagram, Target};
use super::{DatagramTransport, gathering, none, serve, unwatch, watch};
use crate::addresses;
use crate::errors::os_error;
use crate::events::{Direction, Loop};
use crate::handles;
use crate::imports::imports;
use crate::object::{
    Args, BodyOf, Owned, Returned, TypeBuilder, audit_address, bytes, call_method_one, compat, descriptor, method,
    method_noargs,
};

/// Adds the methods.
pub fn sending_methods(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method(c"sendto", c"Sends a datagram; never blocks.", sendto))
        .method(method_noargs(
            c"_sendto_ready",
            c"Sends what the socket takes of the buffer.",
            sendto_ready,
        ))
}

fn sendto_ready<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    serve(this, writable)?;
    Ok(none(this.py()))
}

/// What became of a datagram.
enum Sent {
    Yes,
    /// The socket's buffer is full.
    NotYet,
    /// Not, and it never will be.
    Failed(PyErr),
}

fn sendto<'py>(this: &Bound<'py, DatagramTransport>, args: Args<'_, 'py>) -> Returned<'py> {
    let [data, address] = args.bind("sendto", ["data", "addr"], 2, 1)?;
    let py = this.py();
    let body = this.body();
    let Some(given) = data else { return Ok(none(py)) };
    let data = data_of(given, BYTES_LIKE)?;
    if data.is_empty() && !compat::SENDS_EMPTY_DATAGRAMS {
        return Ok(none(py));
    }
    let address = address.filter(|address| !address.is_none());
    check_address(this, address)?;
    if body.phase.get() >= Phase::Lost && !body.address.is_empty() {
        count_lost(this)?;
        return Ok(none(py));
    }
    if body.phase.get() == Phase::Gone {
        // In asyncio's words: it looks for the socket, then for the loop to tell that there is none.
        let text = "'NoneType' object has no attribute 'call_exception_handler'";
        return Err(PyAttributeError::new_err(text));
    }
    let target = match target_of(this, address) {
        Ok(target) => target,
        Err(error) => {
            fatal(this, error, "Fatal write error on datagram transport")?;
            return Ok(none(py));
        }
    };
    if body.queue.borrow().is_empty() {
        if gathering::take(this, given, &data, &target)? {
            return Ok(none(py));
        }
        // What only Python can send comes after what is gathered.
        gathering::leave_now(this)?;
    }
    if body.queue.borrow().is_empty() {
        match transmit(this, &data, &target) {
            Sent::Yes => return Ok(none(py)),
            Sent::NotYet => watch(this, Direction::Write)?,
            Sent::Failed(error) => {
                failed(this, error)?;
                return Ok(none(py));
            }
        }
    }
    let data = data.into_owned();
    body.queue.borrow_mut().push(Datagram { data, target });
    flow::maybe_pause_protocol(this)?;
    Ok(none(py))
}

/// A transport with a fixed address sends to no other.
fn check_address(this: &Bound<'_, DatagramTransport>, address: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    let (Some(address), Some(fixed)) = (address, this.body().address.get(this.py())) else {
        return Ok(());
    };
    if address.is(&fixed) || address.eq(&fixed)? {
        return Ok(());
    }
    let text = fixed.str()?;
    Err(PyValueError::new_err(format!(
        "Invalid address: must be None or {text}"
    )))
}

/// Where a datagram goes.
///
/// # Errors
/// What an auditing hook raises.
fn target_of(this: &Bound<'_, DatagramTransport>, address: Option<&Bound<'_, PyAny>>) -> PyResult<Target> {
    let body = this.body();
    if body.connected.get() {
        return Ok(Target::Peer);
    }
    let fixed = body.address.get_or_none(this.py());
    let address = address.unwrap_or(&fixed);
    // Most datagrams answer the one that was received last.
    let known = body
        .senders
        .last(address)
        .or_else(|| addresses::parse(body.family.get()?, address));
    let Some(known) = known else {
        return Ok(Target::Other(Owned::new(address)));
    };
    audit_address(c"socket.sendto", &body.socket.get_or_none(this.py()), address)?;
    Ok(Target::Address(known))
}

/// Tries to send one datagram.
fn transmit(this: &Bound<'_, DatagramTransport>, data: &[u8], target: &Target) -> Sent {
    let fd = this.body().fd.get();
    let sent = match target {
        Target::Peer => descriptor::send(fd, data),
        Target::Address(address) => descriptor::send_to(fd, data, address),
        Target::Other(address) => return transmit_by_python(this, data, address.bind(this.py())),
    };
    match sent {
        Ok(_) => Sent::Yes,
        Err(error) if would_block(&error) => Sent::NotYet,
        Err(error) => Sent::Failed(os_error(&error)),
    }
}

#[cold]
fn transmit_by_python(this: &Bound<'_, DatagramTransport>, data: &[u8], address: &Bound<'_, PyAny>) -> Sent {
    let py = this.py();
    let socket = this.body().socket.get_or_none(py);
    match socket.call_method1(pyo3::intern!(py, "sendto"), (bytes(py, data), address)) {
        Ok(_) => Sent::Yes,
        Err(error) if error.is_instance_of::<PyBlockingIOError>(py) => Sent::NotYet,
        Err(error) if error.is_instance_of::<PyInterruptedError>(py) => Sent::NotYet,
        Err(error) => Sent::Failed(error),
    }
}

/// Tells the protocol of an OSError; every other exception ends the transport.
#[cold]
fn failed(this: &Bound<'_, DatagramTransport>, error: PyErr) -> PyResult<()> {
    let py = this.py();
    if !error.is_instance_of::<PyOSError>(py) {
        return fatal(this, error, "Fatal write error on datagram transport");
    }
    let Some(protocol) = this.body().protocol.get(py) else {
        return Ok(());
    };
    let exception = error.into_value(py).into_bound(py).into_any();
    call_method_one(&protocol, pyo3::intern!(py, "error_received"), &exception).map(drop)
}

/// A datagram for the fixed address of a transport that is lost. asyncio warns from the fifth on.
#[cold]
fn count_lost(this: &Bound<'_, DatagramTransport>) -> PyResult<()> {
    let body = this.body();
    if body.writes_lost.get() >= 4 {
        imports(this.py())?
            .transports
            .bind(this.py())
            .call_method0("warn_lost_write")?;
    }
    body.writes_lost.set(body.writes_lost.get().saturating_add(1));
    Ok(())
}

/// The socket takes more.
pub fn writable(this: &Bound<'_, DatagramTransport>, event_loop: &Bound<'_, Loop>) -> PyResult<()> {
    let body = this.body();
    loop {
        // An error may have ended the transport.
        if !body.watches_write.get() {
            return Ok(());
        }
        let Some(datagram) = body.queue.borrow_mut().take_first() else {
            break;
        };
        match transmit(this, &datagram.data, &datagram.target) {
            Sent::Yes => {}
            Sent::NotYet => {
                body.queue.borrow_mut().put_back(datagram);
                break;
            }
            // The next datagram has its chance when the loop asks again.
            Sent::Failed(error) => return report_failure(this, event_loop, error),
        }
    }
    flow::maybe_resume_protocol(this)?;
    if !body.queue.borrow().is_empty() {
        return Ok(());
    }
    unwatch(this, Direction::Write)?;
    if body.phase.get() != Phase::Closing {
        return Ok(());
    }
    let protocol = body.protocol.get_or_none(this.py());
    let gone = none(this.py());
    match closing::connection_lost(this, &gone) {
        Ok(()) => Ok(()),
        Err(error) => {
            let name = pyo3::intern!(this.py(), "connection_lost");
            handles::report_method(event_loop.as_any(), &protocol, name, &[&gone], error)
        }
    }
}

/// As `failed`, where nobody but the loop's exception handler hears what the protocol raises.
#[cold]
pub fn report_failure(this: &Bound<'_, DatagramTransport>, event_loop: &Bound<'_, Loop>, error: PyErr) -> PyResult<()> {
    let py = this.py();
    let Some(protocol) = this.body().protocol.get(py) else {
        return Ok(());
    };
    let exception = error.value(py).clone().into_any();
    match failed(this, error) {
        Ok(()) => Ok(()),
        Err(error) => {
            let name = pyo3::intern!(py, "error_received");
            handles::report_method(event_loop.as_any(), &protocol, name, &[&exception], error)
        }
    }
}
