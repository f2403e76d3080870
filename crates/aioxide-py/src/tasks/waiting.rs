//! What a coroutine may yield, and how the task comes back.
//!
//! A native future that wakes a native task on our loop calls no Python at all: the task itself is the
//! callback. Everything else goes by asyncio's protocol, `_asyncio_future_blocking` and `add_done_callback`.

#![forbid(unsafe_code)]

use std::sync::OnceLock;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::step::{self, ContextIs};
use super::{Task, TaskBody, awaiters, cancellation, make_ready};
use crate::futures::{Callback, Future, FutureBody, FutureLike, State};
use crate::gather::GatherBody;
use crate::imports::imports;
use crate::object::{
    BodyOf, Native, Owned, Returned, StaticMethod, as_exact, bound_function, compat, context_in, method_noargs,
    method_one,
};
use crate::sleep::{self, SleepBody};

/// Makes the task wait for what its coroutine yielded; an object that cannot be waited for is an error
/// that is thrown back into the coroutine.
#[inline]
pub fn wait_for<'py>(
    this: &Bound<'py, Task>,
    event_loop: &Bound<'py, PyAny>,
    yielded: &Bound<'py, PyAny>,
) -> PyResult<()> {
    if let Some(future) = as_exact::<FutureBody>(yielded) {
        return wait_for_native(this, event_loop, future);
    }
    if let Some(task) = as_exact::<TaskBody>(yielded) {
        return wait_for_native(this, event_loop, task);
    }
    if let Some(gatherer) = as_exact::<GatherBody>(yielded) {
        return wait_for_native(this, event_loop, gatherer);
    }
    if let Some(asleep) = as_exact::<SleepBody>(yielded)
        && sleep::wait_by(asleep, this)
    {
        return waiting(this, yielded);
    }
    wait_for_foreign(this, event_loop, yielded)
}

/// Makes a task ready that waits for a sleep.
///
/// # Errors
/// RuntimeError if its loop is closed.
pub fn wake(this: &Bound<'_, Task>) -> PyResult<()> {
    let event_loop = this.body().future().require_loop(this.py())?;
    make_ready(this, &event_loop)
}

/// Lets a task that waits for a sleep wait for the future that stands for it.
pub fn wait_instead(this: &Bound<'_, Task>, future: &Bound<'_, Future>) {
    future.body().future().callbacks.push(Callback {
        callable: Owned::new(this.as_any()),
        context: None,
    });
    this.body().waiter.set(Owned::new(future.as_any()));
}

#[inline]
fn wait_for_native<'py, B: FutureLike>(
    this: &Bound<'py, Task>,
    event_loop: &Bound<'py, PyAny>,
    future: &Bound<'py, Native<B>>,
) -> PyResult<()> {
    let state = future.body().future();
    if !state.event_loop.is(event_loop) {
        return throw_different_loop(this, event_loop, future.as_any());
    }
    if future.as_any().is(this.as_any()) && state.blocking.get() {
        return throw_soon(
            this,
            event_loop,
            &format!("Task cannot await on itself: {}", this.repr()?),
        );
    }
    if !state.blocking.replace(false) {
        return throw_soon(
            this,
            event_loop,
            &format!(
                "yield was used instead of yield from in task {} with {}",
                this.repr()?,
                future.repr()?
            ),
        );
    }
    let wake = Callback {
        callable: Owned::new(this.as_any()),
        context: None,
    };
    if state.state.get() == State::Pending {
        state.callbacks.push(wake);
    } else {
        make_ready(this, event_loop)?;
    }
    waiting(this, future.as_any())
}

/// Remembers what is waited for, and passes on a cancellation that came while the task was stepping.
#[inline]
fn waiting<'py>(this: &Bound<'py, Task>, future: &Bound<'py, PyAny>) -> PyResult<()> {
    let body = this.body();
    body.waits.set(body.waits.get().wrapping_add(1));
    body.waiter.set(Owned::new(future));
    if compat::TASKS_ARE_PUBLISHED {
        awaiters::add(future, this.as_any())?;
    }
    if body.must_cancel.get() {
        let message = body.future().rare().and_then(|rare| rare.cancel_message.get(this.py()));
        if cancellation::pass_on(future, message.as_ref())? {
            body.must_cancel.set(false);
        }
    }
    Ok(())
}

/// Forgets what was waited for.
#[inline]
pub fn stop_waiting(this: &Bound<'_, Task>) -> PyResult<()> {
    let Some(waiter) = this.body().waiter.take() else {
        return Ok(());
    };
    if compat::TASKS_ARE_PUBLISHED {
        return awaiters::discard(waiter.bind(this.py()), this.as_any());
    }
    Ok(())
}

fn wait_for_foreign<'py>(
    this: &Bound<'py, Task>,
    event_loop: &Bound<'py, PyAny>,
    yielded: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = this.py();
    let blocking = match yielded.getattr_opt(pyo3::intern!(py, "_asyncio_future_blocking")) {
        Ok(blocking) => blocking.filter(|blocking| !blocking.is_none()),
        Err(error) => return throw_exception_soon(this, event_loop, error.into_value(py).into_bound(py).as_any()),
    };
    let Some(blocking) = blocking else {
        let imports = imports(py)?;
        let text = if yielded.is_instance(imports.generator.bind(py))? {
            format!(
                "yield was used instead of yield from for generator in task {} with {}",
                this.repr()?,
                yielded.repr()?
            )
        } else {
            format!("Task got bad yield: {}", yielded.repr()?)
        };
        return throw_soon(this, event_loop, &text);
    };
    let arranged = || -> PyResult<Option<String>> {
        let blocking = blocking.is_truthy()?;
        let owner = match yielded.getattr_opt("get_loop")? {
            Some(get_loop) => get_loop.call0()?,
            None => yielded.getattr("_loop")?,
        };
        if !owner.is(event_loop) {
            return Ok(Some(different_loop(this, yielded)?));
        }
        if yielded.is(this.as_any()) {
            return Ok(Some(format!("Task cannot await on itself: {}", this.repr()?)));
        }
        if !blocking {
            return Ok(Some(format!(
                "yield was used instead of yield from in task {} with {}",
                this.repr()?,
                yielded.repr()?
            )));
        }
        yielded.setattr("_asyncio_future_blocking", false)?;
        let keywords = PyDict::new(py);
        keywords.set_item("context", context_in(py, &this.body().context)?)?;
        yielded.call_method("add_done_callback", (wakeup_of(this.as_any())?,), Some(&keywords))?;
        Ok(None)
    };
    match arranged() {
        Ok(None) => waiting(this, yielded),
        Ok(Some(text)) => throw_soon(this, event_loop, &text),
        Err(error) => throw_exception_soon(this, event_loop, error.into_value(py).into_bound(py).as_any()),
    }
}

#[cold]
fn throw_different_loop<'py>(
    this: &Bound<'py, Task>,
    event_loop: &Bound<'py, PyAny>,
    future: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let text = different_loop(this, future)?;
    throw_soon(this, event_loop, &text)
}

fn different_loop(this: &Bound<'_, Task>, future: &Bound<'_, PyAny>) -> PyResult<String> {
    Ok(format!(
        "Task {} got Future {} attached to a different loop",
        this.repr()?,
        future.repr()?
    ))
}

#[cold]
fn throw_soon(this: &Bound<'_, Task>, event_loop: &Bound<'_, PyAny>, text: &str) -> PyResult<()> {
    let exception = PyRuntimeError::new_err(text.to_owned()).into_value(this.py());
    throw_exception_soon(this, event_loop, exception.into_bound(this.py()).as_any())
}

fn throw_exception_soon(
    this: &Bound<'_, Task>,
    event_loop: &Bound<'_, PyAny>,
    exception: &Bound<'_, PyAny>,
) -> PyResult<()> {
    this.body().to_throw.set(Owned::new(exception));
    make_ready(this, event_loop)
}

/// The exception with which a done future wakes its task, as `Task.__wakeup` finds it.
#[inline]
pub fn failure_of<'py>(waiter: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    if let Some(future) = as_exact::<FutureBody>(waiter) {
        return failure_of_native(future);
    }
    if let Some(task) = as_exact::<TaskBody>(waiter) {
        return failure_of_native(task);
    }
    if let Some(asleep) = as_exact::<SleepBody>(waiter) {
        return sleep::failure_of(asleep);
    }
    if let Some(gatherer) = as_exact::<GatherBody>(waiter) {
        return failure_of_native(gatherer);
    }
    let py = waiter.py();
    Ok(waiter
        .call_method0(pyo3::intern!(py, "result"))
        .err()
        .map(|error| error.into_value(py).into_bound(py).into_any()))
}

#[inline]
fn failure_of_native<'py, B: FutureLike>(future: &Bound<'py, Native<B>>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let state = future.body().future();
    match state.state.get() {
        // Stepped by a cancellation or by hand while the future is still pending: nothing to throw.
        State::Pending => Ok(None),
        State::Result => {
            state.log_traceback.set(false);
            Ok(None)
        }
        State::Exception | State::Cancelled => state.error(future.py()).map(Some),
    }
}

/// The context a task runs in.
pub fn context_of<'py>(task: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    context_in(task.py(), &task.cast::<Task>()?.body().context)
}

static WAKEUP: OnceLock<StaticMethod> = OnceLock::new();
static STEP: OnceLock<StaticMethod> = OnceLock::new();

/// The callable that wakes a task when it is called with a done future: a built-in method of the task, as
/// asyncio's is, so that tools find the task as its `__self__`.
pub fn wakeup_of<'py>(task: &Bound<'py, PyAny>) -> Returned<'py> {
    bound_function(task.cast::<Task>()?.as_any(), &WAKEUP, || {
        method_one(
            c"task_wakeup",
            c"Wakes the task: the future it waits for is done.",
            wakeup,
        )
    })
}

fn wakeup<'py>(this: &Bound<'py, Task>, future: &Bound<'py, PyAny>) -> Returned<'py> {
    let py = this.py();
    if this.body().waiter.is_empty() && !this.body().future().done() {
        this.body().waiter.set(Owned::new(future));
    }
    step::run(this, ContextIs::Entered)?;
    Ok(py.None().into_bound(py))
}

fn step_now<'py>(this: &Bound<'py, Task>) -> Returned<'py> {
    step::run(this, ContextIs::Entered)?;
    Ok(this.py().None().into_bound(this.py()))
}

/// Schedules a step on a loop that is not ours, or whose `call_soon` was replaced.
pub fn call_soon(this: &Bound<'_, Task>, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = this.py();
    let step = bound_function(this.as_any(), &STEP, || {
        method_noargs(c"task_step", c"Runs one step of the task.", step_now)
    })?;
    let keywords = PyDict::new(py);
    keywords.set_item("context", context_in(py, &this.body().context)?)?;
    event_loop.call_method(pyo3::intern!(py, "call_soon"), (step,), Some(&keywords))?;
    Ok(())
}
