//! One step of a task: resume the coroutine, then do as it asks.
//!
//! Measured (3.13, `sleep(0)` among 100 tasks): see docs/benchmarks.md, row "task switch".

#![forbid(unsafe_code)]

use pyo3::prelude::*;

use super::waiting::{stop_waiting, wait_for};
use super::{Task, cancellation, current, make_ready, unregister};
use crate::errors::{ends_the_loop, invalid_state};
use crate::events::{Entry, Loop, LoopBody};
use crate::futures::{self, FutureBody, FutureLike, State};
use crate::imports::imports;
use crate::object::{BodyOf, Owned, Sent, as_exact, as_native, context_in, in_slot, send, throw, track};

/// Who has entered the task's context.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ContextIs {
    /// Nobody yet: the step does.
    NotEntered,
    /// The loop that calls the step as a callback.
    Entered,
}

/// Runs one step of a task that comes out of `event_loop`'s ready queue. Most have nothing special about them, which is
/// found out by a look at each field; the others go the long way.
///
/// # Errors
/// As [`run`].
#[inline]
pub fn run_queued(this: &Bound<'_, Task>, event_loop: &Bound<'_, Loop>) -> PyResult<()> {
    let body = this.body();
    let future = body.future();
    let is_plain = future.event_loop.is(event_loop.as_any())
        && body.to_throw.is_empty()
        && !body.must_cancel.get()
        && !future.done()
        && (body.waiter.is_empty() || waiter_gave_a_result(this));
    if !is_plain {
        return run(this, ContextIs::NotEntered);
    }
    prepare(this)?;
    stop_waiting(this)?;
    current::enter_native(this, event_loop)?;
    let stepped = in_slot(this.py(), &body.context, || match resume(this, None) {
        Sent::Yielded(value) if value.is_none() && event_loop.body().takes_at_once() => {
            event_loop.body().push(Entry::Task(Owned::new(this.as_any())));
            Ok(())
        }
        sent => act_on(this, event_loop.as_any(), sent),
    });
    event_loop.body().stepping.set(false);
    stepped?
}

/// What the first steps of a task owe it.
#[inline]
fn prepare(this: &Bound<'_, Task>) -> PyResult<()> {
    let body = this.body();
    match body.steps.get() {
        // It may have been hidden: see `LoopBody::hides_queued`.
        0 => track(this),
        // It takes more than one step: a context of its own is cheaper than lending it one each time.
        1 => drop(context_in(this.py(), &body.context)?),
        _ => {}
    }
    Ok(())
}

/// Whether the task waits for a future of ours that has a result: nothing to throw. The result counts as seen.
#[inline]
fn waiter_gave_a_result(this: &Bound<'_, Task>) -> bool {
    let Some(waiter) = this.body().waiter.get(this.py()) else {
        return false;
    };
    let Some(future) = as_exact::<FutureBody>(&waiter) else {
        return false;
    };
    let state = future.body().future();
    let gave = state.state.get() == State::Result;
    if gave {
        state.log_traceback.set(false);
    }
    gave
}

/// Runs one step of a ready task.
///
/// # Errors
/// KeyboardInterrupt and SystemExit from the coroutine, after the task has ended with them; and what the
/// loop must report: a context that cannot be entered, a task that is done already.
#[inline]
pub fn run(this: &Bound<'_, Task>, context_is: ContextIs) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    prepare(this)?;
    let exception = outcome_of_waiter(this)?;
    if body.future().done() {
        return Err(invalid_state(py, "__step(): already done"));
    }
    let event_loop = body.future().require_loop(py)?;
    let exception = if body.must_cancel.get() {
        cancellation::deliver(this, exception)?
    } else {
        exception
    };
    stop_waiting(this)?;
    current::enter(this, &event_loop)?;
    let stepped = match context_is {
        ContextIs::NotEntered => in_slot(py, &body.context, || advance(this, &event_loop, exception)),
        ContextIs::Entered => Ok(advance(this, &event_loop, exception)),
    };
    let left = current::exit(this, &event_loop);
    stepped?.and(left)
}

/// The first step of an eager task, in its context; its loop's current task is set by the caller.
pub fn run_eagerly(this: &Bound<'_, Task>, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    in_slot(this.py(), &this.body().context, || advance(this, event_loop, None))?
}

/// The exception that made the task ready, if one did.
#[inline]
fn outcome_of_waiter<'py>(this: &Bound<'py, Task>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = this.py();
    let body = this.body();
    if let Some(exception) = body.to_throw.take() {
        return Ok(Some(exception.into_bound(py)));
    }
    let Some(waiter) = body.waiter.get(py) else {
        return Ok(None);
    };
    super::waiting::failure_of(&waiter)
}

/// Resumes the coroutine and acts on what it gives back.
#[inline]
fn advance(this: &Bound<'_, Task>, event_loop: &Bound<'_, PyAny>, exception: Option<Bound<'_, PyAny>>) -> PyResult<()> {
    let sent = resume(this, exception);
    act_on(this, event_loop, sent)
}

/// Resumes the coroutine.
#[inline]
fn resume<'py>(this: &Bound<'py, Task>, exception: Option<Bound<'py, PyAny>>) -> Sent<'py> {
    let py = this.py();
    let body = this.body();
    body.steps.set(body.steps.get().wrapping_add(1));
    let coroutine = body.coroutine.get_or_none(py);
    match exception {
        None => send(&coroutine),
        Some(exception) => throw(&coroutine, &exception),
    }
}

/// Acts on what the coroutine gave back.
#[inline]
fn act_on<'py>(this: &Bound<'py, Task>, event_loop: &Bound<'py, PyAny>, sent: Sent<'py>) -> PyResult<()> {
    match sent {
        Sent::Yielded(value) if value.is_none() => make_ready(this, event_loop),
        Sent::Yielded(value) => wait_for(this, event_loop, &value),
        Sent::Returned(value) => finish(this, value),
        Sent::Raised(exception) => fail(this, &exception),
    }
}

#[inline]
fn finish(this: &Bound<'_, Task>, value: Bound<'_, PyAny>) -> PyResult<()> {
    let body = this.body();
    unregister(this);
    if body.must_cancel.replace(false) {
        // Cancelled right before the coroutine returned: the cancellation wins.
        let message = body.future().rare().and_then(|rare| rare.cancel_message.get(this.py()));
        futures::cancel(this, message.as_ref())?;
        return Ok(());
    }
    futures::set_result(this, Owned::from(value))
}

/// Tells who observes the loop that a task has failed while nobody waits for it.
fn tell_observer(this: &Bound<'_, Task>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
    let event_loop = this.body().future().require_loop(this.py())?;
    let observer = as_native::<LoopBody>(&event_loop).and_then(|native| native.body().observer.get(this.py()));
    match observer {
        Some(observer) => observer.call1((this, exception)).map(drop),
        None => Ok(()),
    }
}

#[cold]
fn fail(this: &Bound<'_, Task>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    unregister(this);
    if exception.is_instance(imports(py)?.cancelled_error.bind(py))? {
        body.future().rare_mut().cancelled_error.set(Owned::new(exception));
        futures::cancel(this, None)?;
        return Ok(());
    }
    debug_assert!(body.future().state.get() == State::Pending);
    let nobody_waits = body.future().callbacks.is_empty();
    futures::set_exception(this, exception)?;
    if nobody_waits {
        tell_observer(this, exception)?;
    }
    if ends_the_loop(py, exception) {
        return Err(PyErr::from_value(exception.clone()));
    }
    Ok(())
}
