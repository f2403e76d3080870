//! `wait_for()`: a result, or TimeoutError.
//!
//! From 3.12 on it is a `timeout()` around an await; before, the awaitable becomes a task, for whose end or the
//! deadline the caller waits. Both ways are here, since what a program can see of them differs: which task runs the
//! coroutine, and what a cancellation meets.
//!
//! ```text
//!   3.12:  Inside --in time--------------------> the result
//!                 --the deadline--> Leaving ---> TimeoutError, or what the running version makes of it
//!   3.11:  Waiting --the child ended-----------> its result
//!                  --the deadline--> Expiring -> TimeoutError, when the child has ended
//!                  --cancelled-----> Cancelling-> CancelledError, when the child has ended
//! ```
//!
//! # Cancellation
//! What is awaited is cancelled, and waited for.

#![forbid(unsafe_code)]

use std::cell::Cell;

use pyo3::exceptions::PyTimeoutError;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::listeners::future_state;
use super::timer::{Timer, plain_seconds};
use crate::coroutines::{self, Coroutine, Next, Operation, coroutine, iterator_of};
use crate::events::LoopBody;
use crate::futures::{self, Callback, FutureState};
use crate::imports::imports;
use crate::mixins::{is_done, wake};
use crate::object::{Args, BodyOf, Layout, Owned, Returned, Slot, Visitor, as_native, compat};
use crate::tasks;
use crate::timeouts;

/// What a `wait_for()` does.
pub struct WaitFor {
    awaitable: Slot,
    limit: Slot,
    stage: Cell<Stage>,
    /// The timeout around the await (3.12), or the future that the end of the child or the deadline ends (3.11).
    guard: Slot,
    /// What was awaited ended with this, while the timeout is being left; the cancellation, while the child ends.
    error: Slot,
    result: Slot,
    timer: Timer,
}

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// What is awaited next gives the result: there is no limit, or asyncio's own does the work.
    Plain,
    Inside,
    Leaving,
    Waiting,
    Expiring,
    Cancelling,
}

static LAYOUT: Layout = Layout::unset();

/// Makes the type of the coroutine.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    coroutines::build::<WaitFor>(py, c"aioxide._aioxide.wait_for_coroutine")
}

/// `wait_for(fut, timeout)`.
pub fn wait_for<'py>(args: Args<'_, 'py>) -> Returned<'py> {
    let [awaitable, limit] = args.bind("wait_for", ["fut", "timeout"], 2, 2)?;
    let slot = |given: Option<&Bound<'py, PyAny>>| given.map_or_else(Slot::empty, |given| Slot::new(Owned::new(given)));
    let operation = WaitFor {
        awaitable: slot(awaitable),
        limit: slot(limit),
        ..WaitFor::empty()
    };
    coroutine(args.py(), operation)
}

impl Operation for WaitFor {
    const NAME: &'static str = "wait_for";

    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            awaitable: Slot::empty(),
            limit: Slot::empty(),
            stage: Cell::new(Stage::Plain),
            guard: Slot::empty(),
            error: Slot::empty(),
            result: Slot::empty(),
            timer: Timer::new(),
        }
    }

    fn start<'py>(this: &Bound<'py, Coroutine<Self>>) -> PyResult<Next<'py>> {
        let py = this.py();
        let operation = this.body().operation();
        let limit = operation.limit.get_or_none(py);
        let begun = if compat::WAIT_FOR_IS_A_TIMEOUT {
            begin_timeout(this, &limit)?
        } else {
            begin_child(this, &limit)?
        };
        match begun {
            Some(next) => Ok(next),
            None => operation.leave_to_asyncio(py),
        }
    }

    fn resumed<'py>(this: &Bound<'py, Coroutine<Self>>, outcome: PyResult<Bound<'py, PyAny>>) -> PyResult<Next<'py>> {
        match this.body().operation().stage.get() {
            Stage::Plain => outcome.map(Next::Return),
            Stage::Inside => leave_timeout(this, outcome),
            Stage::Leaving => left_timeout(this, outcome),
            Stage::Waiting => waited(this, outcome),
            Stage::Expiring | Stage::Cancelling => child_ended(this, outcome),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        for slot in [&self.awaitable, &self.limit, &self.guard, &self.error, &self.result] {
            visitor.slot(slot);
        }
        self.timer.traverse(visitor);
    }

    fn clear(&self) {
        for slot in [&self.awaitable, &self.limit, &self.guard, &self.error, &self.result] {
            slot.clear();
        }
        self.timer.clear();
    }
}

impl WaitFor {
    /// Whatever is out of the ordinary, mistakes too.
    #[cold]
    fn leave_to_asyncio<'py>(&self, py: Python<'py>) -> PyResult<Next<'py>> {
        let given = (self.awaitable.get_or_none(py), self.limit.get_or_none(py));
        self.awaitable.clear();
        let waiting = imports(py)?.wait_for.bind(py).call1(given)?;
        Ok(Next::Delegate(iterator_of(&waiting)?))
    }

    /// Awaits what was given.
    #[inline]
    fn await_it<'py>(&self, py: Python<'py>) -> PyResult<Next<'py>> {
        let awaitable = self.awaitable.get_or_none(py);
        if future_state(&awaitable, |_| ()).is_some() {
            return Ok(Next::Await(awaitable));
        }
        iterator_of(&awaitable).map(Next::Delegate)
    }
}

/// Enters a timeout and awaits, if both task and loop are ours.
fn begin_timeout<'py>(this: &Bound<'py, Coroutine<WaitFor>>, limit: &Bound<'py, PyAny>) -> PyResult<Option<Next<'py>>> {
    let py = this.py();
    let operation = this.body().operation();
    let Some(task) = tasks::stepping_task(py)? else {
        return Ok(None);
    };
    if limit.is_none() {
        return operation.await_it(py).map(Some);
    }
    let Some(delay) = plain_seconds(limit).filter(|delay| *delay > 0.0) else {
        return Ok(None);
    };
    let Some(timeout) = timeouts::enter_after(&task, delay)? else {
        return Ok(None);
    };
    operation.guard.set(Owned::new(timeout.as_any()));
    operation.stage.set(Stage::Inside);
    match operation.await_it(py) {
        Ok(next) => Ok(Some(next)),
        Err(error) => leave_timeout(this, Err(error)).map(Some),
    }
}

fn leave_timeout<'py>(
    this: &Bound<'py, Coroutine<WaitFor>>,
    outcome: PyResult<Bound<'py, PyAny>>,
) -> PyResult<Next<'py>> {
    let py = this.py();
    let operation = this.body().operation();
    let Some(timeout) = operation.guard.take() else {
        return outcome.map(Next::Return);
    };
    let timeout = timeout.into_bound(py);
    if timeouts::leave_in_time(timeout.cast()?)? {
        return outcome.map(Next::Return);
    }
    let (none, leave) = (py.None().into_bound(py), imports(py)?.timeout.bind(py));
    let left = match outcome {
        Ok(result) => {
            operation.result.set(Owned::new(&result));
            leave.call_method1("__aexit__", (&timeout, &none, &none, &none))?
        }
        Err(error) => {
            let (kind, traceback) = (error.get_type(py), error.traceback(py));
            let error = error.into_value(py).into_bound(py).into_any();
            operation.error.set(Owned::new(&error));
            leave.call_method1("__aexit__", (&timeout, kind, error, traceback))?
        }
    };
    operation.stage.set(Stage::Leaving);
    Ok(Next::Delegate(iterator_of(&left)?))
}

fn left_timeout<'py>(
    this: &Bound<'py, Coroutine<WaitFor>>,
    outcome: PyResult<Bound<'py, PyAny>>,
) -> PyResult<Next<'py>> {
    let py = this.py();
    let operation = this.body().operation();
    let before = operation.error.take().map(|error| error.into_bound(py));
    if let Err(error) = outcome {
        return Err(in_context(error, before.as_ref(), py));
    }
    match (before, operation.result.get(py)) {
        (Some(error), _) => Err(PyErr::from_value(error)),
        (None, Some(result)) => Ok(Next::Return(result)),
        (None, None) => Ok(Next::Return(py.None().into_bound(py))),
    }
}

/// As if it had been raised while `before` was handled.
fn in_context(error: PyErr, before: Option<&Bound<'_, PyAny>>, py: Python<'_>) -> PyErr {
    if let Some(before) = before
        && !error.value(py).is(before)
        && let Ok(context) = error.value(py).getattr("__context__")
        && context.is_none()
    {
        // An exception takes any other as its context.
        drop(error.value(py).setattr("__context__", before));
    }
    error
}

/// Makes a task of the awaitable, if need be, and waits for its end or the deadline.
fn begin_child<'py>(this: &Bound<'py, Coroutine<WaitFor>>, limit: &Bound<'py, PyAny>) -> PyResult<Option<Next<'py>>> {
    let py = this.py();
    let operation = this.body().operation();
    let event_loop = imports(py)?.running_loop.bind(py).call0()?;
    let Some(native) = as_native::<LoopBody>(&event_loop) else {
        return Ok(None);
    };
    if limit.is_none() {
        return operation.await_it(py).map(Some);
    }
    let awaitable = operation.awaitable.get_or_none(py);
    let mine = future_state(&awaitable, |state| state.event_loop.is(&event_loop));
    let fits = mine.unwrap_or_else(|| tasks::is_plain_coroutine(&awaitable));
    if !fits
        || !native.body().is_direct()
        || !native.body().makes_plain_tasks()
        || plain_seconds(limit).is_none_or(|delay| delay <= 0.0)
    {
        return Ok(None);
    }
    let waiter = coroutines::waiter(&event_loop)?;
    operation.guard.set(Owned::new(&waiter));
    operation.timer.set(&event_loop, limit, this)?;
    let child = match mine {
        Some(_) => awaitable,
        None => tasks::create_task(&event_loop, &awaitable, &tasks::Parts::default())?.into_any(),
    };
    operation.awaitable.set(Owned::new(&child));
    let callback = Callback {
        callable: Owned::new(this.as_any()),
        context: None,
    };
    if future_state(&child, FutureState::done) == Some(true) {
        futures::schedule(&event_loop, callback, &child)?;
    } else {
        future_state(&child, |state| state.callbacks.push(callback));
    }
    operation.stage.set(Stage::Waiting);
    Ok(Some(Next::Await(waiter)))
}

/// The child has ended, or time is up.
///
/// # Errors
/// Of the loop, if it was closed.
pub fn told(this: &Bound<'_, Coroutine<WaitFor>>) -> PyResult<()> {
    let py = this.py();
    match this.body().operation().guard.get(py) {
        Some(waiter) if !is_done(&waiter)? => wake(&waiter, py.None().into_bound(py)),
        _ => Ok(()),
    }
}

fn waited<'py>(this: &Bound<'py, Coroutine<WaitFor>>, outcome: PyResult<Bound<'py, PyAny>>) -> PyResult<Next<'py>> {
    let py = this.py();
    let operation = this.body().operation();
    let child = operation.awaitable.get_or_none(py);
    let cancelled = match outcome {
        Ok(_) => None,
        Err(error) if error.is_instance(py, imports(py)?.cancelled_error.bind(py)) => Some(error),
        Err(error) => {
            operation.timer.cancel(py)?;
            return Err(error);
        }
    };
    if future_state(&child, FutureState::done).unwrap_or(true) {
        operation.timer.cancel(py)?;
        return child_result(&child).map(Next::Return);
    }
    future_state(&child, |state| state.callbacks.forget(this));
    operation.stage.set(Stage::Expiring);
    if let Some(error) = cancelled {
        operation.stage.set(Stage::Cancelling);
        operation.error.set(Owned::new(error.value(py).as_any()));
    }
    let event_loop = imports(py)?.running_loop.bind(py).call0()?;
    let ending = imports(py)?.cancel_and_wait.bind(py).call1((child, event_loop))?;
    Ok(Next::Delegate(iterator_of(&ending)?))
}

fn child_ended<'py>(
    this: &Bound<'py, Coroutine<WaitFor>>,
    outcome: PyResult<Bound<'py, PyAny>>,
) -> PyResult<Next<'py>> {
    let py = this.py();
    let operation = this.body().operation();
    operation.timer.cancel(py)?;
    let before = operation.error.take().map(|error| error.into_bound(py));
    if let Err(error) = outcome {
        return Err(in_context(error, before.as_ref(), py));
    }
    if let Some(error) = before {
        return Err(PyErr::from_value(error));
    }
    match child_result(&operation.awaitable.get_or_none(py)) {
        Err(error) if error.is_instance(py, imports(py)?.cancelled_error.bind(py)) => {
            let late = PyTimeoutError::new_err(());
            let value = error.value(py).clone().into_any();
            late.set_cause(py, Some(error));
            Err(in_context(late, Some(&value), py))
        }
        other => other.map(Next::Return),
    }
}

fn child_result<'py>(child: &Bound<'py, PyAny>) -> Returned<'py> {
    let py = child.py();
    future_state(child, |state| state.result(py)).unwrap_or_else(|| Ok(py.None().into_bound(py)))
}
