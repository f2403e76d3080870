//! `FlowControlMixin`: holds `drain()` back while the transport's buffer is full.
//!
//! Counterpart: `FlowControlMixin` in `Lib/asyncio/streams.py`.

#![forbid(unsafe_code)]

use std::cell::Cell;

use pyo3::exceptions::{PyAssertionError, PyConnectionResetError, PyNotImplementedError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple, PyType};

use super::draining::{DrainHelper, layouts};
use super::{assign, finish_waiter};
use crate::coroutines::coroutine;
use crate::futures::is_debug;
use crate::handles::bind_parts;
use crate::imports::imports;
use crate::object::{
    Body, BodyOf, Layout, Native, Owned, Returned, Slot, TypeBuilder, Visitor, getter_setter, init_slots,
    method_noargs, method_one, setattr_slot,
};
use crate::overrides::{Group, Overrides};

/// The flow control of a protocol.
pub struct FlowState {
    pub event_loop: Slot,
    /// The transport's buffer is full.
    pub paused: Cell<bool>,
    pub connection_lost: Cell<bool>,
    /// A `deque` of futures, made when the first one waits or somebody looks.
    waiters: Slot,
}

/// A native type that has flow control.
pub trait FlowControlled: Body {
    /// The flow control's part of the body.
    fn flow(&self) -> &FlowState;

    /// What was replaced of its methods.
    fn overrides(&self) -> &Overrides;

    /// Where the type of the coroutines of its `_drain_helper()` is written down.
    fn helper_layout() -> &'static Layout;
}

impl FlowState {
    /// Nothing paused, nothing lost.
    pub fn empty() -> Self {
        Self {
            event_loop: Slot::empty(),
            paused: Cell::new(false),
            connection_lost: Cell::new(false),
            waiters: Slot::empty(),
        }
    }

    /// Begins, in the given or the current loop.
    pub fn initialise<'py>(&self, py: Python<'py>, event_loop: Option<Bound<'py, PyAny>>) -> Returned<'py> {
        let event_loop = match event_loop {
            Some(event_loop) if !event_loop.is_none() => event_loop,
            _ => imports(py)?.event_loop.bind(py).call0()?,
        };
        self.event_loop.set(Owned::new(&event_loop));
        self.paused.set(false);
        self.connection_lost.set(false);
        self.waiters.clear();
        Ok(event_loop)
    }

    /// Whether `drain()` may go on.
    ///
    /// # Errors
    /// ConnectionResetError once the connection is lost.
    #[inline]
    pub fn may_write(&self) -> PyResult<bool> {
        if self.connection_lost.get() {
            return Err(PyConnectionResetError::new_err("Connection lost"));
        }
        Ok(!self.paused.get())
    }

    /// The futures of those who wait in `drain()`.
    pub fn waiters<'py>(&self, py: Python<'py>) -> Returned<'py> {
        if let Some(waiters) = self.waiters.get(py) {
            return Ok(waiters);
        }
        let waiters = py.import("collections")?.getattr("deque")?.call0()?;
        self.waiters.set(Owned::new(&waiters));
        Ok(waiters)
    }

    /// Wakes all who wait in `drain()`.
    fn wake(&self, py: Python<'_>, exception: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let Some(waiters) = self.waiters.get(py) else {
            return Ok(());
        };
        for waiter in waiters.try_iter()?.collect::<PyResult<Vec<_>>>()? {
            finish_waiter(&waiter, exception)?;
        }
        Ok(())
    }

    /// The connection is lost: who waits is told.
    pub fn lose(&self, exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.connection_lost.set(true);
        if !self.paused.get() {
            return Ok(());
        }
        self.wake(exception.py(), Some(exception).filter(|exception| !exception.is_none()))
    }

    /// Shows what it owns to the garbage collector.
    pub fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.event_loop);
        visitor.slot(&self.waiters);
    }

    /// Releases what it owns.
    pub fn clear(&self) {
        self.event_loop.clear();
        self.waiters.clear();
    }
}

/// What every protocol with flow control has. Without `connection_lost()`.
pub fn flow_methods<B: FlowControlled>(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method_noargs(
            c"pause_writing",
            c"Holds drain() back.",
            pause_writing::<B>,
        ))
        .method(method_noargs(
            c"resume_writing",
            c"Lets drain() go on.",
            resume_writing::<B>,
        ))
        .method(method_noargs(
            c"_drain_helper",
            c"Waits while writing is paused.",
            drain_helper::<B>,
        ))
        .attribute(getter_setter(c"_loop", event_loop::<B>, set_event_loop::<B>))
        .attribute(getter_setter(c"_paused", paused::<B>, set_paused::<B>))
        .attribute(getter_setter(
            c"_connection_lost",
            is_connection_lost::<B>,
            set_connection_lost::<B>,
        ))
        .attribute(getter_setter(c"_drain_waiters", waiters::<B>, set_waiters::<B>))
}

/// What `drain()` calls.
pub const DRAINING: Group = Group::new(0, &["_drain_helper"]);

fn none(py: Python<'_>) -> Bound<'_, PyAny> {
    py.None().into_bound(py)
}

fn pause_writing<'py, B: FlowControlled>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    if this.body().flow().paused.replace(true) {
        return Err(PyAssertionError::new_err(()));
    }
    report(this, "pauses")?;
    Ok(none(this.py()))
}

fn resume_writing<'py, B: FlowControlled>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    let flow = this.body().flow();
    if !flow.paused.replace(false) {
        return Err(PyAssertionError::new_err(()));
    }
    report(this, "resumes")?;
    flow.wake(this.py(), None)?;
    Ok(none(this.py()))
}

/// Debug mode: logs what happens to a protocol.
fn report<B: FlowControlled>(this: &Bound<'_, Native<B>>, what: &str) -> PyResult<()> {
    let py = this.py();
    if let Some(event_loop) = this.body().flow().event_loop.get(py)
        && is_debug(&event_loop)?
    {
        let text = format!("%r {what} writing");
        imports(py)?.logger.bind(py).call_method1("debug", (text, this))?;
    }
    Ok(())
}

fn drain_helper<'py, B: FlowControlled>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    coroutine(this.py(), DrainHelper::<B>::of(this))
}

fn event_loop<'py, B: FlowControlled>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    Ok(this.body().flow().event_loop.get_or_none(this.py()))
}

fn set_event_loop<B: FlowControlled>(this: &Bound<'_, Native<B>>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    assign(&this.body().flow().event_loop, value);
    Ok(())
}

fn paused<'py, B: FlowControlled>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    let paused = this.body().flow().paused.get();
    Ok(PyBool::new(this.py(), paused).to_owned().into_any())
}

fn set_paused<B: FlowControlled>(this: &Bound<'_, Native<B>>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    this.body().flow().paused.set(value.is_truthy()?);
    Ok(())
}

fn is_connection_lost<'py, B: FlowControlled>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    let lost = this.body().flow().connection_lost.get();
    Ok(PyBool::new(this.py(), lost).to_owned().into_any())
}

fn set_connection_lost<B: FlowControlled>(this: &Bound<'_, Native<B>>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    this.body().flow().connection_lost.set(value.is_truthy()?);
    Ok(())
}

fn waiters<'py, B: FlowControlled>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    this.body().flow().waiters(this.py())
}

fn set_waiters<B: FlowControlled>(this: &Bound<'_, Native<B>>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    assign(&this.body().flow().waiters, value);
    Ok(())
}

/// The body of a `FlowControlMixin`.
pub struct MixinBody {
    flow: FlowState,
    overrides: Overrides,
}

/// Flow control for a protocol of the user's.
pub type FlowControlMixin = Native<MixinBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for MixinBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            flow: FlowState::empty(),
            overrides: Overrides::unknown(),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        self.flow.traverse(visitor);
    }

    fn clear(&self) {
        self.flow.clear();
    }
}

impl FlowControlled for MixinBody {
    fn flow(&self) -> &FlowState {
        &self.flow
    }

    fn overrides(&self) -> &Overrides {
        &self.overrides
    }

    fn helper_layout() -> &'static Layout {
        &layouts::MIXIN
    }
}

/// Makes the type.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let mut builder = TypeBuilder::new().subclassable().slot(setattr_slot(assigned));
    for slot in init_slots(init) {
        builder = builder.slot(slot);
    }
    flow_methods::<MixinBody>(builder)
        .method(method_one(
            c"connection_lost",
            c"Tells those who wait in drain().",
            connection_lost,
        ))
        .method(method_one(
            c"_get_close_waiter",
            c"Of a protocol that knows when it is closed.",
            close_waiter,
        ))
        .finish::<MixinBody>(
            py,
            c"aioxide.FlowControlCore",
            c"The native base of FlowControlMixin.",
            None,
            false,
        )
}

fn init(
    this: &Bound<'_, FlowControlMixin>,
    args: &Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    let py = this.py();
    let [event_loop] = bind_parts("FlowControlMixin", args, kwargs, ["loop"])?;
    this.body().flow.initialise(py, event_loop)?;
    let native = py.get_type::<FlowControlMixin>();
    this.body()
        .overrides
        .look(&this.get_type(), &native, native.as_any(), &[&DRAINING])
}

fn assigned(this: &Bound<'_, FlowControlMixin>, name: &Bound<'_, PyAny>) {
    this.body().overrides.assigned(name, &[&DRAINING]);
}

fn connection_lost<'py>(this: &Bound<'py, FlowControlMixin>, exception: &Bound<'py, PyAny>) -> Returned<'py> {
    this.body().flow.lose(exception)?;
    Ok(none(this.py()))
}

fn close_waiter<'py>(_this: &Bound<'py, FlowControlMixin>, _stream: &Bound<'py, PyAny>) -> Returned<'py> {
    Err(PyNotImplementedError::new_err(()))
}
