//! `ReadPipeTransport` and `WritePipeTransport`: one end of a pipe, a socket or a character device.
//!
//! ```text
//!   Open --close(), write_eof()--> Closing (sends what is buffered) --> Lost --connection_lost()--> Gone
//!     \---end of the stream, peer gone, abort(), error, nothing buffered---/
//! ```
//! Invariants: the loop watches for reading only while `Open` or `Closing` (a reader that is not paused; a
//! writer whose peer may go away); for writing exactly while something is buffered; nothing is watched from
//! `Lost` on; the pipe is closed once `Gone`.
//! What both ends share is here. Counterpart: `_UnixReadPipeTransport` and `_UnixWritePipeTransport` in
//! `Lib/asyncio/unix_events.py`.

#![forbid(unsafe_code)]

mod read;
mod write;

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString, PyTuple};

use super::Phase;
use crate::events::{Direction, Loop, LoopBody, Watch};
use crate::imports::imports;
use crate::object::{
    Args, Body, BodyOf, Native, Owned, Returned, Slot, TypeBuilder, as_native, copy_context, finalize_slot, getter,
    getter_setter, in_context, init_slots, method, method_noargs, method_one, repr_slot,
};

pub use read::build as build_read;
pub use write::build as build_write;

/// The fields of both kinds.
pub struct PipeEnd {
    event_loop: Slot,
    protocol: Slot,
    /// The Python file object or socket, which owns the descriptor.
    pipe: Slot,
    fd: Cell<i32>,
    /// What `get_extra_info` knows.
    extra: Slot,
    /// The context in which the protocol is called.
    context: Slot,
    phase: Cell<Phase>,
    watches_read: Cell<bool>,
    watches_write: Cell<bool>,
}

/// The body of a pipe's transport.
trait Pipe: Body {
    /// The part that both kinds have.
    fn end(&self) -> &PipeEnd;

    /// How many bytes wait to be sent, for a pipe that is written.
    fn buffer_size(&self) -> Option<usize> {
        None
    }
}

impl PipeEnd {
    fn empty() -> Self {
        Self {
            event_loop: Slot::empty(),
            protocol: Slot::empty(),
            pipe: Slot::empty(),
            fd: Cell::new(-1),
            extra: Slot::empty(),
            context: Slot::empty(),
            phase: Cell::new(Phase::Open),
            watches_read: Cell::new(false),
            watches_write: Cell::new(false),
        }
    }

    fn slots(&self) -> [&Slot; 5] {
        [&self.event_loop, &self.protocol, &self.pipe, &self.extra, &self.context]
    }

    fn watches(&self, direction: Direction) -> &Cell<bool> {
        match direction {
            Direction::Read => &self.watches_read,
            Direction::Write => &self.watches_write,
        }
    }

    /// Runs `use_loop` with the native loop, if there is one: there is none once the transport is gone.
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

/// Lets a pipe's transport read or write: its descriptor is ready.
///
/// # Errors
/// KeyboardInterrupt and SystemExit; everything else goes to the loop's exception handler.
pub fn ready(event_loop: &Bound<'_, Loop>, transport: &Bound<'_, PyAny>, direction: Direction) -> PyResult<()> {
    if let Some(reader) = as_native::<read::ReadPipeBody>(transport) {
        let context = reader.body().end().context.get_or_none(reader.py());
        return in_context(&context, || read::readable(reader, event_loop))?;
    }
    let writer = transport.cast::<Native<write::WritePipeBody>>()?;
    let context = writer.body().end().context.get_or_none(writer.py());
    in_context(&context, || match direction {
        Direction::Read => write::peer_gone(writer),
        Direction::Write => write::writable(writer),
    })?
}

/// Adds what both kinds have.
fn pipe_methods<B: Pipe>(mut builder: TypeBuilder) -> TypeBuilder {
    for slot in init_slots(init::<B>) {
        builder = builder.slot(slot);
    }
    builder
        .subclassable()
        .weak_references()
        .slot(finalize_slot::<B>())
        .slot(repr_slot(repr::<B>))
        .attribute(getter(c"_loop", event_loop::<B>))
        .attribute(getter(c"_protocol", protocol::<B>))
        .attribute(getter_setter(c"_pipe", pipe::<B>, set_pipe::<B>))
        .attribute(getter(c"_fileno", descriptor::<B>))
        .attribute(getter(c"_extra", extra::<B>))
        .attribute(getter(c"_closing", is_closing::<B>))
        .method(method(
            c"get_extra_info",
            c"What is known of the pipe, by name.",
            extra_info::<B>,
        ))
        .method(method(
            c"set_protocol",
            c"Sets the protocol that is told.",
            |this, args| set_protocol::<B>(this, args.one("set_protocol", "protocol")?),
        ))
        .method(method_noargs(c"get_protocol", c"The protocol.", protocol::<B>))
        .method(method_noargs(
            c"is_closing",
            c"Whether it is closing or closed.",
            is_closing::<B>,
        ))
        .method(method_one(
            c"_call_connection_lost",
            c"Tells the protocol, then closes the pipe.",
            call_connection_lost::<B>,
        ))
}

fn none(py: Python<'_>) -> Bound<'_, PyAny> {
    py.None().into_bound(py)
}

/// `…PipeTransport(loop, pipe, protocol, extra)`. Nothing is watched before `_begin()`.
fn init<B: Pipe>(
    this: &Bound<'_, Native<B>>,
    args: &Bound<'_, PyTuple>,
    _kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    type Parts<'py> = (
        Bound<'py, Loop>,
        Bound<'py, PyAny>,
        Bound<'py, PyAny>,
        Bound<'py, PyDict>,
    );
    let (event_loop, pipe, protocol, extra): Parts<'_> = args.extract()?;
    let fd = pipe.call_method0("fileno")?.extract()?;
    let context = copy_context(this.py())?;
    let end = this.body().end();
    end.fd.set(fd);
    end.context.set(context);
    end.pipe.set(pipe.into());
    end.extra.set(extra.into_any().into());
    end.protocol.set(protocol.into());
    end.event_loop.set(Owned::new(event_loop.as_any()));
    Ok(())
}

fn event_loop<'py, B: Pipe>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    Ok(this.body().end().event_loop.get_or_none(this.py()))
}

fn protocol<'py, B: Pipe>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    Ok(this.body().end().protocol.get_or_none(this.py()))
}

fn pipe<'py, B: Pipe>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    Ok(this.body().end().pipe.get_or_none(this.py()))
}

/// None makes the transport forget a pipe that somebody else has closed.
fn set_pipe<B: Pipe>(this: &Bound<'_, Native<B>>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let pipe = (!value.is_none()).then(|| Owned::new(value));
    drop(this.body().end().pipe.replace(pipe));
    Ok(())
}

fn descriptor<'py, B: Pipe>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    Ok(this.body().end().fd.get().into_pyobject(this.py())?.into_any())
}

fn extra<'py, B: Pipe>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    Ok(this.body().end().extra.get_or_none(this.py()))
}

fn is_closing<'py, B: Pipe>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    let closing = this.body().end().phase.get() != Phase::Open;
    Ok(PyBool::new(this.py(), closing).to_owned().into_any())
}

fn extra_info<'py, B: Pipe>(this: &Bound<'py, Native<B>>, args: Args<'_, 'py>) -> Returned<'py> {
    let [name, default] = args.bind("get_extra_info", ["name", "default"], 2, 1)?;
    let py = this.py();
    let default = default.map_or_else(|| none(py), Clone::clone);
    let (Some(name), Some(extra)) = (name, this.body().end().extra.get(py)) else {
        return Ok(default);
    };
    Ok(extra.cast::<PyDict>()?.get_item(name)?.unwrap_or(default))
}

fn set_protocol<'py, B: Pipe>(this: &Bound<'py, Native<B>>, protocol: &Bound<'py, PyAny>) -> Returned<'py> {
    this.body().end().protocol.set(Owned::new(protocol));
    Ok(none(this.py()))
}

/// `<ReadPipeTransport fd=7 polling>`, with a `bufsize` for one that writes.
fn repr<'py, B: Pipe>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    let end = this.body().end();
    let mut parts = vec![this.get_type().name()?.to_string()];
    match end.phase.get() {
        Phase::Gone => parts.push("closed".to_owned()),
        Phase::Closing | Phase::Lost => parts.push("closing".to_owned()),
        Phase::Open => {}
    }
    parts.push(format!("fd={}", end.fd.get()));
    if end.phase.get() < Phase::Gone {
        let polling = match this.body().end().event_loop.get(this.py()) {
            Some(event_loop) if event_loop.cast::<Loop>()?.body().closed.get() => "open",
            _ if end.watches_read.get() || end.watches_write.get() => "polling",
            _ => "idle",
        };
        parts.push(polling.to_owned());
        if let Some(size) = this.body().buffer_size() {
            parts.push(format!("bufsize={size}"));
        }
    }
    Ok(PyString::new(this.py(), &format!("<{}>", parts.join(" "))).into_any())
}

/// Starts watching.
fn watch<B: Pipe>(this: &Bound<'_, Native<B>>, direction: Direction) -> PyResult<()> {
    let end = this.body().end();
    if end.watches(direction).get() {
        return Ok(());
    }
    end.with_loop(this.py(), |event_loop| {
        let watch = Watch::Pipe(Owned::new(this.as_any()));
        let before = event_loop.body().watch(end.fd.get(), direction, watch)?;
        end.watches(direction).set(true);
        Ok(before)
    })
}

/// Stops watching.
fn unwatch<B: Pipe>(this: &Bound<'_, Native<B>>, direction: Direction) -> PyResult<()> {
    let end = this.body().end();
    if !end.watches(direction).replace(false) {
        return Ok(());
    }
    end.with_loop(this.py(), |event_loop| {
        event_loop.body().unwatch(end.fd.get(), direction)
    })
}

/// Calls `loop.call_soon` with a callback and its arguments, if there is still a loop.
fn call_soon<B: Pipe>(this: &Bound<'_, Native<B>>, callback: &[&Bound<'_, PyAny>]) -> PyResult<()> {
    let py = this.py();
    let Some(event_loop) = this.body().end().event_loop.get(py) else {
        return Ok(());
    };
    event_loop
        .call_method1(pyo3::intern!(py, "call_soon"), PyTuple::new(py, callback)?)
        .map(drop)
}

/// Stops watching and schedules the call of `connection_lost`.
fn connection_lost_soon<B: Pipe>(this: &Bound<'_, Native<B>>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
    if this.body().end().phase.get() >= Phase::Lost {
        return Ok(());
    }
    this.body().end().phase.set(Phase::Lost);
    unwatch(this, Direction::Read)?;
    unwatch(this, Direction::Write)?;
    let callback = this.getattr(pyo3::intern!(this.py(), "_call_connection_lost"))?;
    call_soon(this, &[&callback, exception])
}

/// Tells the protocol, closes the pipe and lets go of everything.
fn call_connection_lost<'py, B: Pipe>(this: &Bound<'py, Native<B>>, exception: &Bound<'py, PyAny>) -> Returned<'py> {
    let py = this.py();
    let end = this.body().end();
    let told = match end.protocol.get(py) {
        Some(protocol) => protocol
            .call_method1(pyo3::intern!(py, "connection_lost"), (exception,))
            .map(drop),
        None => Ok(()),
    };
    end.phase.set(Phase::Gone);
    let closed = match end.pipe.take() {
        Some(pipe) => pipe.bind(py).call_method0(pyo3::intern!(py, "close")).map(drop),
        None => Ok(()),
    };
    end.protocol.clear();
    end.event_loop.clear();
    told.and(closed)?;
    Ok(none(py))
}

/// A transport that nobody closed: warns, and closes the pipe.
fn finalize<B: Pipe>(this: &Bound<'_, Native<B>>) {
    let py = this.py();
    let end = this.body().end();
    if end.pipe.is_empty() {
        return;
    }
    let finish = || -> PyResult<()> {
        let warned = imports(py)?
            .transports
            .bind(py)
            .call_method1("warn_unclosed", (this,))
            .map(drop);
        let closed = match end.pipe.take() {
            Some(pipe) => pipe.bind(py).call_method0("close").map(drop),
            None => Ok(()),
        };
        warned.and(closed)
    };
    if let Err(error) = finish() {
        error.write_unraisable(py, Some(this.as_any()));
    }
}
