//! `call_soon`, `call_soon_threadsafe`, `stop`.

#![forbid(unsafe_code)]

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::{Entry, Loop, LoopBody};
use crate::errors::os_error;
use crate::handles::{self, Parts};
use crate::object::{Args, BodyOf, Owned, Returned, TypeBuilder, compat, method, method_noargs, method_one};

/// Adds the methods.
pub fn scheduling_methods(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method(
            c"call_soon",
            c"Arranges for a callback to be called as soon as possible.",
            call_soon,
        ))
        .method(method(
            c"call_soon_threadsafe",
            c"Like call_soon(), from any thread.",
            call_soon_threadsafe,
        ))
        .method(method_noargs(c"_write_to_self", c"Wakes the loop up.", wake))
        .method(method_one(
            c"_add_callback",
            c"Appends a handle to the ready queue.",
            add_callback,
        ))
        .method(method_one(
            c"_add_callback_signalsafe",
            c"Appends a handle and wakes the loop up.",
            add_callback_signalsafe,
        ))
}

/// A callback, its arguments as a tuple, its context.
pub type CallbackParts<'a, 'py> = (
    &'a Bound<'py, PyAny>,
    Bound<'py, PyTuple>,
    Option<&'a Bound<'py, PyAny>>,
);

/// The callback, its arguments as a tuple, and the context of a `call_…` method.
pub fn callback_of<'a, 'py>(function: &str, args: &Args<'a, 'py>, start: usize) -> PyResult<CallbackParts<'a, 'py>> {
    let context = args.only_keyword(function, "context")?;
    let Some(callback) = args.positional().get(start) else {
        return Err(PyTypeError::new_err(format!(
            "{function}() missing 1 required positional argument: 'callback'"
        )));
    };
    Ok((callback, args.rest(start + 1)?, context))
}

fn call_soon<'py>(this: &Bound<'py, Loop>, args: Args<'_, 'py>) -> Returned<'py> {
    let (callback, arguments, context) = callback_of("call_soon", &args, 0)?;
    let body = this.body();
    body.require_open()?;
    if body.debug.get() {
        check(this, callback, "call_soon", Thread::MustBeTheLoops)?;
    }
    let parts = Parts {
        callback,
        arguments: arguments.as_any(),
        event_loop: this.as_any(),
        context,
    };
    let handle = if body.hides_queued() {
        handles::new_hidden(parts)?
    } else {
        handles::new(parts)?
    };
    body.push(Entry::Handle(Owned::new(handle.as_any())));
    Ok(handle.into_any())
}

fn call_soon_threadsafe<'py>(this: &Bound<'py, Loop>, args: Args<'_, 'py>) -> Returned<'py> {
    let (callback, arguments, context) = callback_of("call_soon_threadsafe", &args, 0)?;
    let body = this.body();
    body.require_open()?;
    if body.debug.get() {
        check(this, callback, "call_soon_threadsafe", Thread::Any)?;
    }
    let parts = Parts {
        callback,
        arguments: arguments.as_any(),
        event_loop: this.as_any(),
        context,
    };
    let handle = if compat::HAS_THREAD_SAFE_HANDLE {
        handles::new_threadsafe(parts)?.into_any()
    } else {
        handles::new(parts)?.into_any()
    };
    send(body, Owned::new(&handle))?;
    Ok(handle)
}

/// Appends a handle from any thread. The GIL is held, so the queue itself is the place, and the order among
/// the calls of one thread is kept; only a loop that sleeps must be told, once for a burst.
fn send(body: &LoopBody, handle: Owned) -> PyResult<()> {
    body.push(Entry::Handle(handle));
    wake_if_asleep(body)
}

/// Ends the poller's wait, if it waits.
fn wake_if_asleep(body: &LoopBody) -> PyResult<()> {
    match &*body.io.borrow() {
        Some(io) if io.asleep.replace(false) => io.inbox.wake().map_err(|error| os_error(&error)),
        _ => Ok(()),
    }
}

/// Which threads may make a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Thread {
    Any,
    MustBeTheLoops,
}

/// The checks of debug mode, in asyncio's own words.
pub fn check(this: &Bound<'_, Loop>, callback: &Bound<'_, PyAny>, method: &str, thread: Thread) -> PyResult<()> {
    if thread == Thread::MustBeTheLoops {
        this.call_method0("_check_thread")?;
    }
    this.call_method1("_check_callback", (callback, method)).map(drop)
}

fn wake<'py>(this: &Bound<'py, Loop>) -> Returned<'py> {
    wake_if_asleep(this.body())?;
    Ok(this.py().None().into_bound(this.py()))
}

fn add_callback<'py>(this: &Bound<'py, Loop>, handle: &Bound<'py, PyAny>) -> Returned<'py> {
    if !handle.getattr("_cancelled")?.is_truthy()? {
        this.body().push(Entry::Handle(Owned::new(handle)));
    }
    Ok(this.py().None().into_bound(this.py()))
}

fn add_callback_signalsafe<'py>(this: &Bound<'py, Loop>, handle: &Bound<'py, PyAny>) -> Returned<'py> {
    send(this.body(), Owned::new(handle))?;
    Ok(this.py().None().into_bound(this.py()))
}
