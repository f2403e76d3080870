//! `TimerHandle`: a handle with a time. Cancelling takes it out of the loop's timers at once.

#![forbid(unsafe_code)]

use std::cell::Cell;

use aioxide::TimerKey;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyTuple, PyType};

use super::{HandleLike, HandleState, Parts, bind_parts, cancel, cancel_plainly, handle_methods};
use crate::events::LoopBody;
use crate::object::{
    Body, BodyOf, Layout, Native, Owned, Returned, Slot, TypeBuilder, Visitor, as_native, create, create_untracked,
    getter_setter, give_back, init_slots, method_noargs,
};

/// The body of a `TimerHandle`.
pub struct TimerHandleBody {
    handle: HandleState,
    /// The loop's time at which it is due.
    seconds: Cell<f64>,
    /// The same as it was given, unless that was a plain float.
    when: Slot,
    /// Its place among the loop's timers; it may have left it.
    pub key: Cell<Option<TimerKey>>,
    /// `_scheduled`, where there is no key: for handles made by hand.
    scheduled: Cell<bool>,
}

/// A native timer handle.
pub type TimerHandle = Native<TimerHandleBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for TimerHandleBody {
    // Timeouts come by the thousand: a timer for each of many connections. 3.4 MB at most; see `give_back_spares`.
    const KEPT: usize = 16 * 1024;

    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            handle: HandleState::empty(),
            seconds: Cell::new(0.0),
            when: Slot::empty(),
            key: Cell::new(None),
            scheduled: Cell::new(false),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        self.handle.traverse(visitor);
        visitor.slot(&self.when);
    }

    fn clear(&self) {
        self.handle.clear();
        self.when.clear();
    }
}

impl HandleLike for TimerHandleBody {
    fn handle(&self) -> &HandleState {
        &self.handle
    }
}

/// Makes the type.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let base = py
        .import("asyncio.events")?
        .getattr("TimerHandle")?
        .cast_into::<PyType>()?;
    let mut builder = TypeBuilder::new().subclassable();
    for slot in init_slots(init) {
        builder = builder.slot(slot);
    }
    handle_methods::<TimerHandleBody>(builder)
        .attribute(getter_setter(c"_when", when, set_when))
        .attribute(getter_setter(c"_scheduled", scheduled, set_scheduled))
        .method(method_noargs(
            c"when",
            c"The loop's time at which the callback is due.",
            when,
        ))
        .method(method_noargs(
            c"cancel",
            c"Cancels the callback and forgets the timer.",
            cancel_timer,
        ))
        .finish::<TimerHandleBody>(
            py,
            c"aioxide.TimerHandle",
            c"A callback that the loop was asked to run at a time; asyncio.TimerHandle in Rust.",
            Some(&base),
            false,
        )
}

fn init(this: &Bound<'_, TimerHandle>, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    let names = ["when", "callback", "args", "loop", "context"];
    let [when, callback, arguments, event_loop, context] = bind_parts("TimerHandle", args, kwargs, names)?;
    let (Some(when), Some(callback), Some(arguments), Some(event_loop)) = (when, callback, arguments, event_loop)
    else {
        return Err(PyTypeError::new_err(
            "TimerHandle() missing required arguments: 'when', 'callback', 'args' and 'loop'",
        ));
    };
    this.body().keep_when(&when);
    let parts = Parts {
        callback: &callback,
        arguments: &arguments,
        event_loop: &event_loop,
        context: context.as_ref(),
    };
    this.body().handle.fill(parts)
}

/// A time of the loop's clock.
#[derive(Clone, Copy)]
pub enum When<'a, 'py> {
    /// In seconds.
    Seconds(f64),
    /// As the user gave it: any real number.
    Given(&'a Bound<'py, PyAny>),
}

impl TimerHandleBody {
    fn keep_when(&self, when: &Bound<'_, PyAny>) {
        match when.cast_exact::<PyFloat>() {
            Ok(seconds) => self.seconds.set(seconds.value()),
            Err(_) => self.when.set(Owned::new(when)),
        }
    }
}

/// Makes a timer handle for a loop's timers, where it is hidden if that loop hides what is in its queues
/// ([`LoopBody::hides_queued`]).
#[inline]
pub fn new<'py>(
    when: When<'_, 'py>,
    parts: Parts<'_, 'py>,
    event_loop: &LoopBody,
) -> PyResult<Bound<'py, TimerHandle>> {
    let body = TimerHandleBody::empty();
    match when {
        When::Seconds(seconds) => body.seconds.set(seconds),
        When::Given(when) => body.keep_when(when),
    }
    if event_loop.hides_queued() {
        body.handle.fill_plainly(parts)?;
        event_loop.timers_hidden.set(true);
        return create_untracked(parts.callback.py(), body);
    }
    body.handle.fill(parts)?;
    create(parts.callback.py(), body)
}

/// Gives back the memory of handles that are not needed any more after a burst of timers. Called when the loop sleeps.
pub fn give_back_spares(py: Python<'_>) {
    give_back::<TimerHandleBody>(py, KEPT_ASLEEP);
}

/// As many as a loop sets again and again without many pending.
const KEPT_ASLEEP: usize = 1024;

fn cancel_timer<'py>(this: &Bound<'py, TimerHandle>) -> Returned<'py> {
    let py = this.py();
    let body = this.body();
    if let Some(key) = body.key.take()
        && let Some(event_loop) = body.handle.event_loop.get(py)
        && let Some(native) = as_native::<LoopBody>(&event_loop)
    {
        let native = native.body();
        drop(native.cancel_timer(key));
        if native.is_direct() && !body.handle.cancelled.get() {
            cancel_plainly(this);
            return Ok(py.None().into_bound(py));
        }
    } else if !body.handle.cancelled.get()
        && let Some(event_loop) = body.handle.event_loop.get(py)
        && as_native::<LoopBody>(&event_loop).is_none()
    {
        event_loop.call_method1("_timer_handle_cancelled", (this,))?;
    }
    cancel(this)
}

fn when<'py>(this: &Bound<'py, TimerHandle>) -> Returned<'py> {
    let given = this.body().when.get(this.py());
    Ok(given.unwrap_or_else(|| PyFloat::new(this.py(), this.body().seconds.get()).into_any()))
}

fn set_when(this: &Bound<'_, TimerHandle>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    this.body().when.clear();
    this.body().keep_when(value);
    Ok(())
}

fn scheduled<'py>(this: &Bound<'py, TimerHandle>) -> Returned<'py> {
    let body = this.body();
    let event_loop = body.handle.event_loop.get(this.py());
    let native = event_loop.as_ref().and_then(as_native::<LoopBody>);
    let waits = native
        .zip(body.key.get())
        .is_some_and(|(native, key)| native.body().has_timer(key));
    let scheduled = waits || body.scheduled.get();
    Ok(PyBool::new(this.py(), scheduled).to_owned().into_any())
}

fn set_scheduled(this: &Bound<'_, TimerHandle>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let value = value.is_truthy()?;
    this.body().scheduled.set(value);
    Ok(())
}
