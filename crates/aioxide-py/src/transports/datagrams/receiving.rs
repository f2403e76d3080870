//! Receiving: from the socket, through the loop's buffer, to the protocol.

#![forbid(unsafe_code)]

use std::io;

use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyBool};

use super::super::reading::with_buffer;
use super::super::writing::would_block;
use super::{DatagramTransport, Phase, gathering, none, serve, unwatch, watch};
use crate::addresses::Family;
use crate::errors::os_error;
use crate::events::{Direction, Loop};
use crate::handles;
use crate::object::datagrams::{MOST_AT_ONCE, Room};
use crate::object::{
    BodyOf, Owned, Returned, TypeBuilder, bytes, call_method_one, call_method_two, descriptor, method_noargs,
};

/// Adds the methods.
pub fn receiving_methods(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method_noargs(c"is_reading", c"Whether it receives.", is_reading))
        .method(method_noargs(c"pause_reading", c"Stops receiving.", pause_reading))
        .method(method_noargs(c"resume_reading", c"Receives again.", resume_reading))
        .method(method_noargs(
            c"_begin_reading",
            c"Receives from now on, unless it was paused meanwhile.",
            begin_reading,
        ))
        .method(method_noargs(c"_read_ready", c"Receives what there is.", read_ready))
}

fn read_ready<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    serve(this, readable)?;
    Ok(none(this.py()))
}

fn reads(this: &Bound<'_, DatagramTransport>) -> bool {
    this.body().phase.get() == Phase::Open && !this.body().reading_paused.get()
}

fn is_reading<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    Ok(PyBool::new(this.py(), reads(this)).to_owned().into_any())
}

fn pause_reading<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    if reads(this) {
        this.body().reading_paused.set(true);
        unwatch(this, Direction::Read)?;
    }
    Ok(none(this.py()))
}

fn resume_reading<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    let body = this.body();
    if body.phase.get() == Phase::Open && body.reading_paused.replace(false) && body.reading_begun.get() {
        watch(this, Direction::Read)?;
        deliver_held_soon(this)?;
    }
    Ok(none(this.py()))
}

fn begin_reading<'py>(this: &Bound<'py, DatagramTransport>) -> Returned<'py> {
    this.body().reading_begun.set(true);
    if reads(this) {
        watch(this, Direction::Read)?;
    }
    Ok(none(this.py()))
}

/// The socket has datagrams, or an error.
pub fn readable(this: &Bound<'_, DatagramTransport>, event_loop: &Bound<'_, Loop>) -> PyResult<()> {
    match this.body().family.get() {
        Some(Family::V4 | Family::V6) => receive_many(this, event_loop),
        // Those of unix sockets may be of any size.
        Some(Family::Unix) | None => receive_each(this, event_loop),
    }
}

/// Receives with one system call what there is.
fn receive_many(this: &Bound<'_, DatagramTransport>, event_loop: &Bound<'_, Loop>) -> PyResult<()> {
    let body = this.body();
    deliver_held(this, event_loop)?;
    if !body.watches_read.get() {
        return Ok(());
    }
    let lender = &event_loop.body().datagram_room;
    let mut room = lender.take().unwrap_or_else(Room::new);
    let done = match room.receive(body.fd.get()) {
        Ok(1) => deliver_from(this, event_loop, &room, 1, |_, _| Ok(())),
        Ok(count) => gathering::gather(this, event_loop, |deadline| {
            deliver_from(this, event_loop, &room, count, |this, event_loop| {
                deadline.keep(this, event_loop)
            })
        }),
        Err(error) if would_block(&error) => Ok(()),
        Err(error) => report_error(this, event_loop, &error),
    };
    lender.set(Some(room));
    done
}

/// Delivers what was received. What comes after the protocol has paused is held, after it has closed it is lost.
fn deliver_from<'py>(
    this: &Bound<'py, DatagramTransport>,
    event_loop: &Bound<'py, Loop>,
    room: &Room,
    count: usize,
    delivered: impl Fn(&Bound<'py, DatagramTransport>, &Bound<'py, Loop>) -> PyResult<()>,
) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    let mut outcome = Ok(());
    for (data, sender) in (0..count).filter_map(|index| room.datagram(index)) {
        let data = bytes(py, data);
        let address = body.senders.to_python(py, sender.as_ref())?;
        if body.watches_read.get() && outcome.is_ok() {
            outcome = deliver(this, event_loop, &data, &address).and_then(|()| delivered(this, event_loop));
        } else if body.phase.get() == Phase::Open {
            body.held
                .borrow_mut()
                .push_back((Owned::new(&data), Owned::new(&address)));
        }
    }
    if outcome.is_err() {
        deliver_held_soon(this)?;
    }
    outcome
}

/// Delivers what was received before the protocol had paused.
fn deliver_held(this: &Bound<'_, DatagramTransport>, event_loop: &Bound<'_, Loop>) -> PyResult<()> {
    let body = this.body();
    while body.watches_read.get() {
        let first = body.held.borrow_mut().pop_front();
        let Some((data, address)) = first else { break };
        if let Err(error) = deliver(this, event_loop, data.bind(this.py()), address.bind(this.py())) {
            deliver_held_soon(this)?;
            return Err(error);
        }
    }
    Ok(())
}

/// Delivers what is held, if anything is, in a later turn: nobody may send more, which would bring the transport here.
fn deliver_held_soon(this: &Bound<'_, DatagramTransport>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    if body.held.borrow().is_empty() || !body.watches_read.get() {
        return Ok(());
    }
    let context = [("context", body.context.get_or_none(py))].into_py_dict(py)?;
    let callback = this.getattr(pyo3::intern!(py, "_read_ready"))?;
    body.event_loop
        .get_or_none(py)
        .call_method(pyo3::intern!(py, "call_soon"), (callback,), Some(&context))
        .map(drop)
}

/// Receives one after the other what there is.
fn receive_each(this: &Bound<'_, DatagramTransport>, event_loop: &Bound<'_, Loop>) -> PyResult<()> {
    for _ in 0..MOST_AT_ONCE {
        // The protocol may have paused, closed or aborted meanwhile.
        if !this.body().watches_read.get() {
            return Ok(());
        }
        let more = match receive(this, event_loop) {
            Ok((data, address)) => {
                deliver(this, event_loop, &data, &address?)?;
                More::Perhaps
            }
            Err(error) if would_block(&error) => More::No,
            Err(error) => {
                report_error(this, event_loop, &error)?;
                More::Perhaps
            }
        };
        if more == More::No {
            return Ok(());
        }
    }
    Ok(())
}

/// Whether it is worth asking the socket again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    Perhaps,
    No,
}

type Received<'py> = (Bound<'py, PyAny>, Returned<'py>);

#[inline]
fn receive<'py>(this: &Bound<'py, DatagramTransport>, event_loop: &Bound<'py, Loop>) -> io::Result<Received<'py>> {
    let py = this.py();
    let body = this.body();
    with_buffer(event_loop, |buffer| {
        let (count, address) = descriptor::receive_from(body.fd.get(), buffer)?;
        let data = bytes(py, buffer.get(..count).unwrap_or_default());
        Ok((data, body.senders.to_python(py, address.as_ref())))
    })
}

#[inline]
fn deliver<'py>(
    this: &Bound<'py, DatagramTransport>,
    event_loop: &Bound<'py, Loop>,
    data: &Bound<'py, PyAny>,
    address: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = this.py();
    let Some(protocol) = this.body().protocol.get(py) else {
        return Ok(());
    };
    let name = pyo3::intern!(py, "datagram_received");
    match call_method_two(&protocol, name, data, address) {
        Ok(_) => Ok(()),
        Err(error) => handles::report_method(event_loop.as_any(), &protocol, name, &[data, address], error),
    }
}

/// Tells the protocol of an error while nobody else would hear of what it raises itself.
#[cold]
pub fn report_error(
    this: &Bound<'_, DatagramTransport>,
    event_loop: &Bound<'_, Loop>,
    error: &io::Error,
) -> PyResult<()> {
    let py = this.py();
    let Some(protocol) = this.body().protocol.get(py) else {
        return Ok(());
    };
    let name = pyo3::intern!(py, "error_received");
    let exception = os_error(error).into_value(py).into_bound(py).into_any();
    match call_method_one(&protocol, name, &exception) {
        Ok(_) => Ok(()),
        Err(error) => handles::report_method(event_loop.as_any(), &protocol, name, &[&exception], error),
    }
}
