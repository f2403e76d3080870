//! `StreamReader`: the bytes that a connection received, to be awaited.
//!
//! The Python class `aioxide.StreamReader` puts this type before asyncio's own class, from which it takes what is
//! cold (`__repr__`). Methods of `feeding.rs` put bytes in, operations of `reading.rs` take them out.
//! Invariants: a waiter is there only while one `read…()` waits; `paused` only after the transport was told so.
//! Counterpart: `StreamReader` in `Lib/asyncio/streams.py`.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple, PyType};

use super::buffer::ReadBuffer;
use super::{assign, feeding, reading};
use crate::futures::is_debug;
use crate::handles::bind_parts;
use crate::imports::imports;
use crate::object::{
    Body, BodyOf, Layout, Native, Owned, Returned, Slot, TypeBuilder, Visitor, getter, getter_setter, init_slots,
    setattr_slot,
};
use crate::overrides::{Group, Overrides};

/// The body of a `StreamReader`.
pub struct ReaderBody {
    pub buffer: RefCell<ReadBuffer>,
    /// Of the length of a line; twice as much waiting pauses the transport.
    pub limit: Cell<usize>,
    /// The limit as it was given, if it was.
    given_limit: Slot,
    pub eof: Cell<bool>,
    /// The transport was told to pause.
    pub paused: Cell<bool>,
    /// The future that a `read…()` waits for.
    pub waiter: Slot,
    /// What every `read…()` raises.
    pub exception: Slot,
    pub transport: Slot,
    pub event_loop: Slot,
    source_traceback: Slot,
    pub overrides: Overrides,
}

/// A native reader.
pub type StreamReader = Native<ReaderBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for ReaderBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            buffer: RefCell::new(ReadBuffer::default()),
            limit: Cell::new(DEFAULT_LIMIT),
            given_limit: Slot::empty(),
            eof: Cell::new(false),
            paused: Cell::new(false),
            waiter: Slot::empty(),
            exception: Slot::empty(),
            transport: Slot::empty(),
            event_loop: Slot::empty(),
            source_traceback: Slot::empty(),
            overrides: Overrides::unknown(),
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

impl ReaderBody {
    fn slots(&self) -> [&Slot; 6] {
        [
            &self.given_limit,
            &self.waiter,
            &self.exception,
            &self.transport,
            &self.event_loop,
            &self.source_traceback,
        ]
    }

    /// Raises the exception that was set, if one was.
    #[inline]
    pub fn check(&self, py: Python<'_>) -> PyResult<()> {
        match self.exception.get(py) {
            Some(exception) => Err(PyErr::from_value(exception)),
            None => Ok(()),
        }
    }

    /// How many bytes wait to be read.
    #[inline]
    pub fn waiting(&self) -> usize {
        self.buffer.borrow().len()
    }
}

/// Makes the type.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let mut builder = TypeBuilder::new().subclassable().slot(setattr_slot(assigned));
    for slot in init_slots(init) {
        builder = builder.slot(slot);
    }
    builder = feeding::feeding_methods(builder);
    builder = reading::reading_methods(builder);
    builder
        .attribute(getter_setter(c"_limit", limit, set_limit))
        .attribute(getter_setter(c"_eof", eof, set_eof))
        .attribute(getter_setter(c"_paused", paused, set_paused))
        .attribute(getter_setter(c"_waiter", waiter, set_waiter))
        .attribute(getter_setter(c"_exception", exception, set_exception))
        .attribute(getter_setter(c"_transport", transport, set_transport))
        .attribute(getter_setter(c"_loop", event_loop, set_event_loop))
        .attribute(getter(c"_source_traceback", source_traceback))
        .finish::<ReaderBody>(
            py,
            c"aioxide.StreamReaderCore",
            c"The native base of StreamReader.",
            None,
            false,
        )
}

fn init(this: &Bound<'_, StreamReader>, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    let [limit, event_loop] = bind_parts("StreamReader", args, kwargs, ["limit", "loop"])?;
    if let Some(limit) = limit {
        if limit.le(0)? {
            return Err(PyValueError::new_err("Limit cannot be <= 0"));
        }
        set_limit(this, &limit)?;
    }
    let event_loop = match event_loop {
        Some(event_loop) if !event_loop.is_none() => event_loop,
        _ => imports(py)?.event_loop.bind(py).call0()?,
    };
    if is_debug(&event_loop)? {
        let stack = imports(py)?.extract_stack.bind(py).call0()?;
        body.source_traceback.set(stack.into());
    }
    body.event_loop.set(event_loop.into());
    body.buffer.borrow_mut().clear();
    body.eof.set(false);
    body.paused.set(false);
    for slot in [&body.waiter, &body.exception, &body.transport] {
        slot.clear();
    }
    let native = py.get_type::<StreamReader>();
    let plain = imports(py)?
        .streams
        .bind(py)
        .getattr(pyo3::intern!(py, "StreamReader"))?;
    body.overrides.look(&this.get_type(), &native, &plain, GROUPS)
}

fn assigned(this: &Bound<'_, StreamReader>, name: &Bound<'_, PyAny>) {
    this.body().overrides.assigned(name, GROUPS);
}

fn limit<'py>(this: &Bound<'py, StreamReader>) -> Returned<'py> {
    let body = this.body();
    match body.given_limit.get(this.py()) {
        Some(limit) => Ok(limit),
        None => Ok(body.limit.get().into_pyobject(this.py())?.into_any()),
    }
}

/// Whatever can be compared with a length is a limit: a float, an integer beyond all lengths.
fn set_limit(this: &Bound<'_, StreamReader>, limit: &Bound<'_, PyAny>) -> PyResult<()> {
    let number = match limit.extract::<usize>() {
        Ok(number) => number,
        Err(_) if limit.gt(isize::MAX)? => usize::MAX,
        Err(_) if limit.lt(1)? => 0,
        // NaN: no number is greater.
        Err(_) if limit.ne(limit)? => usize::MAX,
        Err(_) => limit.call_method0("__floor__")?.extract()?,
    };
    let body = this.body();
    body.limit.set(number);
    body.given_limit.set(Owned::new(limit));
    Ok(())
}

fn eof<'py>(this: &Bound<'py, StreamReader>) -> Returned<'py> {
    Ok(PyBool::new(this.py(), this.body().eof.get()).to_owned().into_any())
}

fn set_eof(this: &Bound<'_, StreamReader>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    this.body().eof.set(value.is_truthy()?);
    Ok(())
}

fn paused<'py>(this: &Bound<'py, StreamReader>) -> Returned<'py> {
    Ok(PyBool::new(this.py(), this.body().paused.get()).to_owned().into_any())
}

fn set_paused(this: &Bound<'_, StreamReader>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    this.body().paused.set(value.is_truthy()?);
    Ok(())
}

fn waiter<'py>(this: &Bound<'py, StreamReader>) -> Returned<'py> {
    Ok(this.body().waiter.get_or_none(this.py()))
}

fn set_waiter(this: &Bound<'_, StreamReader>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    assign(&this.body().waiter, value);
    Ok(())
}

fn exception<'py>(this: &Bound<'py, StreamReader>) -> Returned<'py> {
    Ok(this.body().exception.get_or_none(this.py()))
}

fn set_exception(this: &Bound<'_, StreamReader>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    assign(&this.body().exception, value);
    Ok(())
}

fn transport<'py>(this: &Bound<'py, StreamReader>) -> Returned<'py> {
    Ok(this.body().transport.get_or_none(this.py()))
}

fn set_transport(this: &Bound<'_, StreamReader>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    assign(&this.body().transport, value);
    Ok(())
}

fn event_loop<'py>(this: &Bound<'py, StreamReader>) -> Returned<'py> {
    Ok(this.body().event_loop.get_or_none(this.py()))
}

fn set_event_loop(this: &Bound<'_, StreamReader>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    assign(&this.body().event_loop, value);
    Ok(())
}

fn source_traceback<'py>(this: &Bound<'py, StreamReader>) -> Returned<'py> {
    Ok(this.body().source_traceback.get_or_none(this.py()))
}

/// What a protocol calls.
pub const FEEDING: Group = Group::new(0, &["feed_data", "feed_eof", "_wakeup_waiter"]);
/// What reading calls.
pub const READING: Group = Group::new(
    1,
    &[
        "read",
        "readline",
        "readexactly",
        "readuntil",
        "_wait_for_data",
        "_maybe_resume_transport",
    ],
);
/// What `drain()` asks.
pub const FAILING: Group = Group::new(2, &["exception"]);
const GROUPS: &[&Group] = &[&FEEDING, &READING, &FAILING];

/// 64 KiB, as in asyncio.
const DEFAULT_LIMIT: usize = 64 * 1024;
