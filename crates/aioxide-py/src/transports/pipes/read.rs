//! `ReadPipeTransport`: reads a pipe into the loop's buffer and gives the protocol what came.

#![forbid(unsafe_code)]

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyType};

use super::super::{Phase, reading, writing};
use super::{Pipe, PipeEnd, call_soon, connection_lost_soon, none, pipe_methods, unwatch, watch};
use crate::errors::os_error;
use crate::events::{Direction, Loop};
use crate::handles;
use crate::imports::imports;
use crate::object::{
    Body, BodyOf, Layout, Native, Returned, TypeBuilder, Visitor, bytes, call_method_one, descriptor, getter,
    method_noargs,
};

/// The body of a `ReadPipeTransport`.
pub struct ReadPipeBody {
    end: PipeEnd,
    /// `pause_reading()` was called.
    paused: Cell<bool>,
    /// `_begin()` was called: the protocol's `connection_made()` has been.
    begun: Cell<bool>,
}

/// A transport that reads a pipe.
pub type ReadPipeTransport = Native<ReadPipeBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for ReadPipeBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            end: PipeEnd::empty(),
            paused: Cell::new(false),
            begun: Cell::new(false),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        for slot in self.end.slots() {
            visitor.slot(slot);
        }
    }

    fn clear(&self) {
        for slot in self.end.slots() {
            slot.clear();
        }
    }

    fn needs_finalize(&self) -> bool {
        !self.end.pipe.is_empty()
    }

    fn finalize(this: &Bound<'_, ReadPipeTransport>) {
        super::finalize(this);
    }
}

impl Pipe for ReadPipeBody {
    fn end(&self) -> &PipeEnd {
        &self.end
    }
}

/// Makes the type.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let base = py
        .import("asyncio.transports")?
        .getattr("ReadTransport")?
        .cast_into::<PyType>()?;
    pipe_methods::<ReadPipeBody>(TypeBuilder::new())
        .attribute(getter(c"_paused", paused))
        .method(method_noargs(c"is_reading", c"Whether it reads.", is_reading))
        .method(method_noargs(c"pause_reading", c"Stops reading.", pause_reading))
        .method(method_noargs(c"resume_reading", c"Reads again.", resume_reading))
        .method(method_noargs(
            c"_begin",
            c"Reads from now on, unless it was paused meanwhile.",
            begin,
        ))
        .method(method_noargs(
            c"close",
            c"Stops reading and closes the pipe soon.",
            close,
        ))
        .finish::<ReadPipeBody>(
            py,
            c"aioxide.ReadPipeTransport",
            c"The end of a pipe that is read, and its protocol. Made by the loop.",
            Some(&base),
            false,
        )
}

fn reads(this: &Bound<'_, ReadPipeTransport>) -> bool {
    this.body().end.phase.get() == Phase::Open && !this.body().paused.get()
}

fn paused<'py>(this: &Bound<'py, ReadPipeTransport>) -> Returned<'py> {
    Ok(PyBool::new(this.py(), this.body().paused.get()).to_owned().into_any())
}

fn is_reading<'py>(this: &Bound<'py, ReadPipeTransport>) -> Returned<'py> {
    Ok(PyBool::new(this.py(), reads(this)).to_owned().into_any())
}

fn pause_reading<'py>(this: &Bound<'py, ReadPipeTransport>) -> Returned<'py> {
    if reads(this) {
        this.body().paused.set(true);
        unwatch(this, Direction::Read)?;
    }
    Ok(none(this.py()))
}

fn resume_reading<'py>(this: &Bound<'py, ReadPipeTransport>) -> Returned<'py> {
    let body = this.body();
    if body.end.phase.get() == Phase::Open && body.paused.replace(false) && body.begun.get() {
        watch(this, Direction::Read)?;
    }
    Ok(none(this.py()))
}

fn begin<'py>(this: &Bound<'py, ReadPipeTransport>) -> Returned<'py> {
    this.body().begun.set(true);
    if reads(this) {
        watch(this, Direction::Read)?;
    }
    Ok(none(this.py()))
}

fn close<'py>(this: &Bound<'py, ReadPipeTransport>) -> Returned<'py> {
    let none = none(this.py());
    connection_lost_soon(this, &none)?;
    Ok(none)
}

/// The pipe has something, or its end.
pub fn readable(this: &Bound<'_, ReadPipeTransport>, event_loop: &Bound<'_, Loop>) -> PyResult<()> {
    let end = &this.body().end;
    if !end.watches_read.get() {
        return Ok(());
    }
    reading::with_buffer(event_loop, |buffer| {
        let count = match descriptor::read(end.fd.get(), buffer) {
            Ok(0) => return end_of_stream(this),
            Ok(count) => count,
            Err(error) if writing::would_block(&error) => return Ok(()),
            Err(error) => return fatal(this, os_error(&error)),
        };
        give(this, event_loop, buffer.get(..count).unwrap_or_default())
    })
}

/// Calls `data_received`. A protocol that fails there goes on, as with any callback.
fn give(this: &Bound<'_, ReadPipeTransport>, event_loop: &Bound<'_, Loop>, data: &[u8]) -> PyResult<()> {
    let py = this.py();
    let Some(protocol) = this.body().end.protocol.get(py) else {
        return Ok(());
    };
    let data = bytes(py, data);
    let name = pyo3::intern!(py, "data_received");
    match call_method_one(&protocol, name, &data) {
        Ok(_) => Ok(()),
        Err(error) => handles::report_method(event_loop.as_any(), &protocol, name, &[&data], error),
    }
}

/// The last writer is gone.
fn end_of_stream(this: &Bound<'_, ReadPipeTransport>) -> PyResult<()> {
    let py = this.py();
    if let Some(protocol) = this.body().end.protocol.get(py) {
        let told = protocol.getattr(pyo3::intern!(py, "eof_received"))?;
        call_soon(this, &[&told])?;
    }
    connection_lost_soon(this, &none(py))
}

#[cold]
fn fatal(this: &Bound<'_, ReadPipeTransport>, error: PyErr) -> PyResult<()> {
    let py = this.py();
    let exception = error.into_value(py).into_bound(py).into_any();
    imports(py)?
        .pipes
        .bind(py)
        .call_method1("report_read_error", (this, &exception))?;
    connection_lost_soon(this, &exception)
}
