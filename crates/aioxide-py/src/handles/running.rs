//! Running a handle's callback in its context, and reporting what it raises.

#![forbid(unsafe_code)]

use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use super::{HandleBody, HandleLike, Parts, ThreadSafeHandleBody, TimerHandleBody, threadsafe};
use crate::errors::ends_the_loop;
use crate::imports::imports;
use crate::object::{BodyOf, Native, as_exact, as_native, call_tuple, in_slot, track_if_shared};

/// Runs a handle of any kind that was found in the ready queue.
///
/// # Errors
/// KeyboardInterrupt and SystemExit; everything else goes to the loop's exception handler.
#[inline]
pub fn run(handle: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Some(handle) = as_exact::<HandleBody>(handle) {
        return run_queued(handle);
    }
    if let Some(handle) = as_exact::<TimerHandleBody>(handle) {
        return run_queued(handle);
    }
    if let Some(handle) = as_exact::<ThreadSafeHandleBody>(handle) {
        return threadsafe::run(handle);
    }
    if let Some(handle) = as_native::<HandleBody>(handle) {
        return run_state(handle);
    }
    // A handle of asyncio's own, put there by a base class.
    let py = handle.py();
    if !handle.getattr(pyo3::intern!(py, "_cancelled"))?.is_truthy()? {
        handle.call_method0(pyo3::intern!(py, "_run"))?;
    }
    Ok(())
}

/// Runs a handle that may have been hidden in the queue; who has it from now on is not known.
#[inline]
fn run_queued<B: HandleLike>(this: &Bound<'_, Native<B>>) -> PyResult<()> {
    let ran = run_state(this);
    track_if_shared(this);
    ran
}

/// Runs a native handle's callback, unless it was cancelled.
#[inline]
pub(super) fn run_state<B: HandleLike>(this: &Bound<'_, Native<B>>) -> PyResult<()> {
    let py = this.py();
    let handle = this.body().handle();
    if handle.cancelled.get() {
        return Ok(());
    }
    let (Some(callback), Some(arguments)) = (handle.callback.get(py), handle.arguments.get(py)) else {
        return Ok(());
    };
    let single = handle.single.get();
    let called = in_slot(py, &handle.context, || {
        if single {
            return callback.call1((arguments,));
        }
        match arguments.cast_exact::<PyTuple>() {
            Ok(arguments) => call_tuple(&callback, arguments),
            Err(_) => callback.call1(PyTuple::new(py, arguments.try_iter()?.collect::<PyResult<Vec<_>>>()?)?),
        }
    });
    match called {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) | Err(error) => {
            let exception = error.into_value(py).into_bound(py).into_any();
            if ends_the_loop(py, &exception) {
                return Err(PyErr::from_value(exception));
            }
            let reported = imports(py)?
                .handles
                .bind(py)
                .call_method1("report_exception", (this, exception));
            reported.map(drop)
        }
    }
}

/// Reports what `object.method(*arguments)` raised when it was called at once, in the words for a callback that
/// was queued.
///
/// # Errors
/// KeyboardInterrupt and SystemExit, which end the loop.
#[cold]
pub fn report_method(
    event_loop: &Bound<'_, PyAny>,
    object: &Bound<'_, PyAny>,
    method: &Bound<'_, PyString>,
    arguments: &[&Bound<'_, PyAny>],
    error: PyErr,
) -> PyResult<()> {
    let py = event_loop.py();
    let exception = error.into_value(py).into_bound(py).into_any();
    if ends_the_loop(py, &exception) {
        return Err(PyErr::from_value(exception));
    }
    let handle = super::new(Parts {
        callback: &object.getattr(method).unwrap_or_else(|_| object.clone()),
        arguments: PyTuple::new(py, arguments)?.as_any(),
        event_loop,
        context: None,
    })?;
    imports(py)?
        .handles
        .bind(py)
        .call_method1("report_exception", (handle, exception))
        .map(drop)
}

/// Reports an exception that came out of a task's step itself, not out of its coroutine.
#[cold]
pub fn report(event_loop: &Bound<'_, PyAny>, task: &Bound<'_, PyAny>, error: PyErr) -> PyResult<()> {
    let py = event_loop.py();
    let exception = error.into_value(py).into_bound(py).into_any();
    if ends_the_loop(py, &exception) {
        return Err(PyErr::from_value(exception));
    }
    imports(py)?
        .handles
        .bind(py)
        .call_method1("report_step", (event_loop, task, exception))
        .map(drop)
}
