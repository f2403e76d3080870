//! Listeners: native objects that are told when a future ends, instead of being called.
//!
//! A listener is a callback without a context. The end of the future puts (listener, future) into the ready queue:
//! no handle, no context and no Python call. A listener that is told of itself hears that its time is up.

#![forbid(unsafe_code)]

use std::sync::OnceLock;

use pyo3::prelude::*;

use super::as_completed::{self, CompletionsBody};
use super::shield::{self, ShieldBody};
use super::wait::{self, Wait};
use super::wait_for::{self, WaitFor};
use crate::coroutines::CoroutineBody;
use crate::futures::{FutureBody, FutureLike, FutureState};
use crate::gather::{self, GatherBody};
use crate::object::{Body, BodyOf, Native, Returned, StaticMethod, as_exact, as_native, bound_function, method_one};
use crate::taskgroups::{self, TaskGroupBody};
use crate::tasks::TaskBody;

/// Looks at the state of a native future or task.
#[inline]
pub fn future_state<R>(future: &Bound<'_, PyAny>, look: impl FnOnce(&FutureState) -> R) -> Option<R> {
    if let Some(task) = as_exact::<TaskBody>(future) {
        return Some(look(task.body().future()));
    }
    as_exact::<FutureBody>(future).map(|future| look(future.body().future()))
}

/// Whether a native callback is told which future has ended; the others are tasks, which are stepped.
#[inline]
pub fn hears(callable: &Bound<'_, PyAny>) -> bool {
    as_exact::<TaskBody>(callable).is_none()
        && (as_exact::<GatherBody>(callable).is_some()
            || as_exact::<CoroutineBody<Wait>>(callable).is_some()
            || as_exact::<CoroutineBody<WaitFor>>(callable).is_some()
            || as_exact::<CompletionsBody>(callable).is_some()
            || as_exact::<ShieldBody>(callable).is_some()
            || as_native::<TaskGroupBody>(callable).is_some())
}

/// Tells a listener that `child` has ended, or, if that is itself, that its time is up.
///
/// # Errors
/// Of what it then calls.
pub fn tell(listener: &Bound<'_, PyAny>, child: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Some(gatherer) = as_exact::<GatherBody>(listener) {
        return gather::child_done(gatherer, child);
    }
    if let Some(waiting) = as_exact::<CoroutineBody<Wait>>(listener) {
        return wait::told(waiting, child);
    }
    if let Some(waiting) = as_exact::<CoroutineBody<WaitFor>>(listener) {
        return wait_for::told(waiting);
    }
    if let Some(completions) = as_exact::<CompletionsBody>(listener) {
        return as_completed::told(completions, child);
    }
    if let Some(shield) = as_exact::<ShieldBody>(listener) {
        return shield::told(shield, child);
    }
    taskgroups::child_done(listener.cast()?, child)
}

/// A listener as a callback that Python can see, and call with a future; none for what is no listener.
pub fn as_callable<'py>(listener: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    Ok(Some(if let Some(gatherer) = as_exact::<GatherBody>(listener) {
        gather::listener_of(gatherer)?
    } else if let Some(waiting) = as_exact::<CoroutineBody<Wait>>(listener) {
        static LISTENER: OnceLock<StaticMethod> = OnceLock::new();
        bound_function(waiting, &LISTENER, || {
            method_one(c"_on_completion", c"A future has ended.", hear::<CoroutineBody<Wait>>)
        })?
    } else if let Some(waiting) = as_exact::<CoroutineBody<WaitFor>>(listener) {
        static LISTENER: OnceLock<StaticMethod> = OnceLock::new();
        bound_function(waiting, &LISTENER, || {
            method_one(
                c"_release_waiter",
                c"A future has ended.",
                hear::<CoroutineBody<WaitFor>>,
            )
        })?
    } else if let Some(completions) = as_exact::<CompletionsBody>(listener) {
        static LISTENER: OnceLock<StaticMethod> = OnceLock::new();
        bound_function(completions, &LISTENER, || {
            method_one(c"_handle_completion", c"A future has ended.", hear::<CompletionsBody>)
        })?
    } else if let Some(shield) = as_exact::<ShieldBody>(listener) {
        static LISTENER: OnceLock<StaticMethod> = OnceLock::new();
        bound_function(shield, &LISTENER, || {
            method_one(c"_done_callback", c"A future has ended.", hear::<ShieldBody>)
        })?
    } else if let Some(group) = as_native::<TaskGroupBody>(listener) {
        taskgroups::listener_of(group)?
    } else {
        return Ok(None);
    }))
}

fn hear<'py, B: Body>(this: &Bound<'py, Native<B>>, child: &Bound<'py, PyAny>) -> Returned<'py> {
    tell(this, child)?;
    Ok(this.py().None().into_bound(this.py()))
}
