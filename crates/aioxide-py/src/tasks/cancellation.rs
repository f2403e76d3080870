//! Cancelling a task: an exception at the point where it waits.
//!
//! Counterpart: `Task.cancel`, `uncancel` and the head of `__step` in `Lib/asyncio/tasks.py`.

#![forbid(unsafe_code)]

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{Task, TaskBody};
use crate::futures::{self, FutureBody, FutureLike};
use crate::imports::imports;
use crate::object::{BodyOf, Owned, as_exact, compat};
use crate::sleep::{self, SleepBody};

/// `Task.cancel(msg)`: true if a CancelledError is on its way.
pub fn request(this: &Bound<'_, Task>, message: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
    let py = this.py();
    let body = this.body();
    body.future().log_traceback.set(false);
    if body.future().done() {
        return Ok(false);
    }
    body.cancel_requests.set(body.cancel_requests.get().saturating_add(1));
    // The waiter stays: it may be a task that ignores the request, and then it must be asked again.
    if let Some(waiter) = body.waiter.get(py)
        && pass_on(&waiter, message)?
    {
        return Ok(true);
    }
    body.must_cancel.set(true);
    body.future().rare_mut().cancel_message.set(match message {
        Some(message) => Owned::new(message),
        None => py.None().into_bound(py).into(),
    });
    Ok(true)
}

/// `waiter.cancel(msg=message)`.
pub fn pass_on(waiter: &Bound<'_, PyAny>, message: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
    let py = waiter.py();
    if let Some(future) = as_exact::<FutureBody>(waiter) {
        return futures::cancel(future, message);
    }
    if let Some(task) = as_exact::<TaskBody>(waiter) {
        return request(task, message);
    }
    if let Some(asleep) = as_exact::<SleepBody>(waiter) {
        return sleep::cancel(asleep, message);
    }
    let keywords = PyDict::new(py);
    keywords.set_item("msg", message)?;
    waiter.call_method("cancel", (), Some(&keywords))?.is_truthy()
}

/// `Task.uncancel()`: how many requests remain.
pub fn withdraw(this: &Bound<'_, Task>) -> i32 {
    let body = this.body();
    let requests = body.cancel_requests.get();
    if requests > 0 {
        body.cancel_requests.set(requests - 1);
        if requests == 1 && compat::UNCANCEL_CLEARS_MUST_CANCEL {
            body.must_cancel.set(false);
        }
    }
    body.cancel_requests.get()
}

/// The exception for the coming step of a task that must be cancelled: `exception` if it is a
/// CancelledError already.
pub fn deliver<'py>(
    this: &Bound<'py, Task>,
    exception: Option<Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = this.py();
    let body = this.body();
    body.must_cancel.set(false);
    if let Some(exception) = exception
        && exception.is_instance(imports(py)?.cancelled_error.bind(py))?
    {
        return Ok(Some(exception));
    }
    body.future().make_cancelled_error(py).map(Some)
}
