//! `EventCore`: a flag that can be waited for.
//!
//! # Cancellation
//! Who waits leaves the list of waiters.
//! Counterpart: `Event` in `Lib/asyncio/locks.py`.

#![forbid(unsafe_code)]

use std::cell::Cell;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple, PyType};

use super::waiters::{BINDING, Waiters};
use crate::coroutines::{self, Coroutine, Next, Operation, coroutine};
use crate::handles::bind_parts;
use crate::imports::imports;
use crate::mixins::{is_done, wake};
use crate::object::{
    Body, BodyOf, Layout, Native, Owned, Returned, Slot, TypeBuilder, Visitor, as_native, getter_setter, init_slots,
    method_noargs, repr_slot, setattr_slot,
};

/// The body of an event.
pub struct EventBody {
    is_set: Cell<bool>,
    waiters: Waiters,
}

/// A native event.
pub type Event = Native<EventBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for EventBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            is_set: Cell::new(false),
            waiters: Waiters::new(),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        self.waiters.traverse(visitor);
    }

    fn clear(&self) {
        self.waiters.clear();
    }
}

/// Makes the types.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    coroutines::build::<Wait>(py, c"aioxide._aioxide.Event_wait")?;
    let mut builder = TypeBuilder::new()
        .subclassable()
        .slot(repr_slot(repr))
        .slot(setattr_slot(assigned));
    for slot in init_slots(init) {
        builder = builder.slot(slot);
    }
    builder
        .attribute(getter_setter(c"_value", value, set_value))
        .attribute(getter_setter(c"_waiters", waiters, set_waiters))
        .attribute(getter_setter(c"_loop", event_loop, set_event_loop))
        .method(method_noargs(c"is_set", c"Whether the flag is set.", value))
        .method(method_noargs(c"set", c"Sets the flag and wakes all who wait.", set))
        .method(method_noargs(c"clear", c"Takes the flag back.", clear))
        .method(method_noargs(c"wait", c"Waits until the flag is set.", wait))
        .method(method_noargs(c"_get_loop", c"The loop it is bound to.", get_loop))
        .finish::<EventBody>(py, c"aioxide.EventCore", c"The native base of Event.", None, false)
}

fn init(this: &Bound<'_, Event>, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    let py = this.py();
    let [] = bind_parts("Event.__init__", args, kwargs, [])?;
    let body = this.body();
    body.is_set.set(false);
    body.waiters.futures.clear();
    let plain = imports(py)?.locks.bind(py).getattr(pyo3::intern!(py, "Event"))?;
    body.waiters
        .overrides
        .look(&this.get_type(), &py.get_type::<Event>(), &plain, &[&BINDING])
}

fn assigned(this: &Bound<'_, Event>, name: &Bound<'_, PyAny>) {
    this.body().waiters.overrides.assigned(name, &[&BINDING]);
}

fn value<'py>(this: &Bound<'py, Event>) -> Returned<'py> {
    Ok(PyBool::new(this.py(), this.body().is_set.get()).to_owned().into_any())
}

fn set_value(this: &Bound<'_, Event>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let value = value.is_truthy()?;
    this.body().is_set.set(value);
    Ok(())
}

fn waiters<'py>(this: &Bound<'py, Event>) -> Returned<'py> {
    this.body().waiters.share(this.py())
}

fn set_waiters(this: &Bound<'_, Event>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    this.body().waiters.futures.assign(value);
    Ok(())
}

fn event_loop<'py>(this: &Bound<'py, Event>) -> Returned<'py> {
    this.body().waiters.event_loop(this.py())
}

fn set_event_loop(this: &Bound<'_, Event>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    this.body().waiters.set_event_loop(value);
    Ok(())
}

fn get_loop<'py>(this: &Bound<'py, Event>) -> Returned<'py> {
    this.body().waiters.bound.running_loop(this.as_any())
}

fn repr<'py>(this: &Bound<'py, Event>) -> Returned<'py> {
    let state = if this.body().is_set.get() { "set" } else { "unset" };
    this.body().waiters.represent(this.as_any(), state)
}

fn truth(py: Python<'_>) -> Bound<'_, PyAny> {
    PyBool::new(py, true).to_owned().into_any()
}

fn set<'py>(this: &Bound<'py, Event>) -> Returned<'py> {
    let py = this.py();
    let body = this.body();
    if !body.is_set.replace(true) {
        body.waiters.futures.find(py, |waiter| {
            if !is_done(waiter)? {
                wake(waiter, truth(py))?;
            }
            Ok(false)
        })?;
    }
    Ok(py.None().into_bound(py))
}

fn clear<'py>(this: &Bound<'py, Event>) -> Returned<'py> {
    this.body().is_set.set(false);
    Ok(this.py().None().into_bound(this.py()))
}

fn wait<'py>(this: &Bound<'py, Event>) -> Returned<'py> {
    let operation = Wait {
        event: Slot::new(Owned::new(this.as_any())),
        waiter: Slot::empty(),
    };
    coroutine(this.py(), operation)
}

/// `Event.wait()`.
struct Wait {
    event: Slot,
    waiter: Slot,
}

static WAIT: Layout = Layout::unset();

impl Wait {
    #[inline]
    fn event<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Event>> {
        let gone = || PyRuntimeError::new_err("the event is gone");
        let event = self.event.get(py).ok_or_else(gone)?;
        as_native::<EventBody>(&event).cloned().ok_or_else(gone)
    }
}

impl Operation for Wait {
    const NAME: &'static str = "Event.wait";

    fn layout() -> &'static Layout {
        &WAIT
    }

    fn empty() -> Self {
        Self {
            event: Slot::empty(),
            waiter: Slot::empty(),
        }
    }

    #[inline]
    fn start<'py>(this: &Bound<'py, Coroutine<Self>>) -> PyResult<Next<'py>> {
        let py = this.py();
        let operation = this.body().operation();
        let event = operation.event(py)?;
        if event.body().is_set.get() {
            return Ok(Next::Return(truth(py)));
        }
        let waiter = event.body().waiters.join(event.as_any())?;
        operation.waiter.set(Owned::new(&waiter));
        Ok(Next::Await(waiter))
    }

    fn resumed<'py>(this: &Bound<'py, Coroutine<Self>>, outcome: PyResult<Bound<'py, PyAny>>) -> PyResult<Next<'py>> {
        let py = this.py();
        let operation = this.body().operation();
        if let Some(waiter) = operation.waiter.take() {
            operation.event(py)?.body().waiters.futures.remove(waiter.bind(py))?;
        }
        outcome.map(|_| Next::Return(truth(py)))
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.event);
        visitor.slot(&self.waiter);
    }

    fn clear(&self) {
        self.event.clear();
        self.waiter.clear();
    }
}
