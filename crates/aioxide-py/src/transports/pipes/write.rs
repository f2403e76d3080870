//! `WritePipeTransport`: writes to a pipe at once what it takes, the rest when it is writable, and notices
//! that the reader has gone.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};

use pyo3::exceptions::PyBrokenPipeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyType};

use super::super::buffer::WriteBuffer;
use super::super::flow::{self, HIGH_WATER, Writes};
use super::super::{Phase, writing};
use super::{Pipe, PipeEnd, connection_lost_soon, none, pipe_methods, unwatch, watch};
use crate::errors::os_error;
use crate::events::Direction;
use crate::imports::imports;
use crate::object::{
    Body, BodyOf, Layout, Native, Returned, TypeBuilder, Visitor, descriptor, getter, method, method_noargs,
};

/// The body of a `WritePipeTransport`.
pub struct WritePipeBody {
    end: PipeEnd,
    buffer: RefCell<WriteBuffer>,
    high_water: Cell<usize>,
    low_water: Cell<usize>,
    protocol_paused: Cell<bool>,
    /// Writes that nobody can get; they are counted and forgotten.
    writes_lost: Cell<u32>,
}

/// A transport that writes to a pipe.
pub type WritePipeTransport = Native<WritePipeBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for WritePipeBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            end: PipeEnd::empty(),
            buffer: RefCell::new(WriteBuffer::default()),
            high_water: Cell::new(HIGH_WATER),
            low_water: Cell::new(HIGH_WATER / 4),
            protocol_paused: Cell::new(false),
            writes_lost: Cell::new(0),
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

    fn finalize(this: &Bound<'_, WritePipeTransport>) {
        super::finalize(this);
    }
}

impl Pipe for WritePipeBody {
    fn end(&self) -> &PipeEnd {
        &self.end
    }

    fn buffer_size(&self) -> Option<usize> {
        Some(self.buffer.borrow().len())
    }
}

impl Writes for WritePipeBody {
    fn buffered(&self) -> usize {
        self.buffer.borrow().len()
    }

    fn high_water(&self) -> &Cell<usize> {
        &self.high_water
    }

    fn low_water(&self) -> &Cell<usize> {
        &self.low_water
    }

    fn protocol_paused(&self) -> &Cell<bool> {
        &self.protocol_paused
    }
}

/// Makes the type.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let base = py
        .import("asyncio.transports")?
        .getattr("_FlowControlMixin")?
        .cast_into::<PyType>()?;
    let builder = pipe_methods::<WritePipeBody>(TypeBuilder::new());
    flow::flow_methods::<WritePipeBody>(builder)
        .attribute(getter(c"_conn_lost", lost))
        .attribute(getter(c"_protocol_paused", protocol_paused))
        .attribute(getter(c"_high_water", high_water))
        .attribute(getter(c"_low_water", low_water))
        .method(method_noargs(
            c"_begin",
            c"Notices from now on that the reader goes away.",
            begin,
        ))
        .method(method(c"write", c"Writes some data; never blocks.", |this, args| {
            write(this, args.one("write", "data")?)
        }))
        .method(method_noargs(c"can_write_eof", c"True.", can_write_eof))
        .method(method_noargs(
            c"write_eof",
            c"Closes the pipe after what is buffered was sent.",
            close,
        ))
        .method(method_noargs(
            c"close",
            c"Closes the pipe after what is buffered was sent.",
            close,
        ))
        .method(method_noargs(
            c"abort",
            c"Closes the pipe now; what is buffered is lost.",
            abort,
        ))
        .finish::<WritePipeBody>(
            py,
            c"aioxide.WritePipeTransport",
            c"The end of a pipe that is written, and its protocol. Made by the loop.",
            Some(&base),
            false,
        )
}

fn lost<'py>(this: &Bound<'py, WritePipeTransport>) -> Returned<'py> {
    Ok(this.body().writes_lost.get().into_pyobject(this.py())?.into_any())
}

fn protocol_paused<'py>(this: &Bound<'py, WritePipeTransport>) -> Returned<'py> {
    let paused = this.body().protocol_paused.get();
    Ok(PyBool::new(this.py(), paused).to_owned().into_any())
}

fn high_water<'py>(this: &Bound<'py, WritePipeTransport>) -> Returned<'py> {
    Ok(this.body().high_water.get().into_pyobject(this.py())?.into_any())
}

fn low_water<'py>(this: &Bound<'py, WritePipeTransport>) -> Returned<'py> {
    Ok(this.body().low_water.get().into_pyobject(this.py())?.into_any())
}

fn can_write_eof<'py>(this: &Bound<'py, WritePipeTransport>) -> Returned<'py> {
    Ok(PyBool::new(this.py(), true).to_owned().into_any())
}

fn begin<'py>(this: &Bound<'py, WritePipeTransport>) -> Returned<'py> {
    if this.body().end.phase.get() < Phase::Lost {
        watch(this, Direction::Read)?;
    }
    Ok(none(this.py()))
}

fn write<'py>(this: &Bound<'py, WritePipeTransport>, data: &Bound<'py, PyAny>) -> Returned<'py> {
    let data = writing::data_of(data, writing::BYTES_LIKE)?;
    send(this, &data)?;
    Ok(none(this.py()))
}

fn send(this: &Bound<'_, WritePipeTransport>, data: &[u8]) -> PyResult<()> {
    let body = this.body();
    if data.is_empty() {
        return Ok(());
    }
    if body.end.phase.get() != Phase::Open {
        return count_lost(this);
    }
    let mut rest = data;
    if body.buffer.borrow().is_empty() {
        match descriptor::write(body.end.fd.get(), data) {
            Ok(taken) if taken == data.len() => return Ok(()),
            Ok(taken) => rest = data.get(taken..).unwrap_or_default(),
            Err(error) if writing::would_block(&error) => {}
            Err(error) => return fatal(this, os_error(&error)),
        }
    }
    body.buffer.borrow_mut().push(rest);
    watch(this, Direction::Write)?;
    flow::maybe_pause_protocol(this)
}

/// A write that nobody can get. asyncio warns from the sixth on.
#[cold]
fn count_lost(this: &Bound<'_, WritePipeTransport>) -> PyResult<()> {
    let lost = &this.body().writes_lost;
    if lost.get() >= 5 {
        imports(this.py())?
            .pipes
            .bind(this.py())
            .call_method0("warn_lost_write")?;
    }
    lost.set(lost.get().saturating_add(1));
    Ok(())
}

/// The pipe takes more.
pub fn writable(this: &Bound<'_, WritePipeTransport>) -> PyResult<()> {
    let body = this.body();
    if body.end.phase.get() >= Phase::Lost || body.buffer.borrow().is_empty() {
        return unwatch(this, Direction::Write);
    }
    let sent = body
        .buffer
        .borrow_mut()
        .send_with(|slices| descriptor::send_vectored(body.end.fd.get(), slices));
    if let Err(error) = sent {
        if writing::would_block(&error) {
            return Ok(());
        }
        return fatal(this, os_error(&error));
    }
    if body.buffer.borrow().is_empty() {
        unwatch(this, Direction::Write)?;
    }
    flow::maybe_resume_protocol(this)?;
    if body.buffer.borrow().is_empty() && body.end.phase.get() == Phase::Closing {
        return connection_lost_soon(this, &none(this.py()));
    }
    Ok(())
}

/// The reader has gone.
pub fn peer_gone(this: &Bound<'_, WritePipeTransport>) -> PyResult<()> {
    let py = this.py();
    if !this.body().end.watches_read.get() {
        return Ok(());
    }
    if this.body().buffer.borrow().is_empty() {
        return connection_lost_soon(this, &none(py));
    }
    let error = PyBrokenPipeError::new_err(());
    drop_and_lose(this, error.value(py))
}

/// Closes now; what is buffered is lost.
fn drop_and_lose(this: &Bound<'_, WritePipeTransport>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
    this.body().buffer.borrow_mut().clear();
    connection_lost_soon(this, exception)
}

fn close<'py>(this: &Bound<'py, WritePipeTransport>) -> Returned<'py> {
    let none = none(this.py());
    let body = this.body();
    if body.end.phase.get() == Phase::Open {
        body.end.phase.set(Phase::Closing);
        if body.buffer.borrow().is_empty() {
            connection_lost_soon(this, &none)?;
        }
    }
    Ok(none)
}

fn abort<'py>(this: &Bound<'py, WritePipeTransport>) -> Returned<'py> {
    let none = none(this.py());
    drop_and_lose(this, &none)?;
    Ok(none)
}

#[cold]
fn fatal(this: &Bound<'_, WritePipeTransport>, error: PyErr) -> PyResult<()> {
    let py = this.py();
    let exception = error.into_value(py).into_bound(py).into_any();
    this.body()
        .writes_lost
        .set(this.body().writes_lost.get().saturating_add(1));
    imports(py)?.transports.bind(py).call_method1(
        "report_fatal",
        (this, &exception, "Fatal write error on pipe transport"),
    )?;
    drop_and_lose(this, &exception)
}
