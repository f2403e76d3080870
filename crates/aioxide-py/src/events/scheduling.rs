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

/// The callback, its arguments as a tuple, and the context of a `call_…` method. What comes before the callback may be
/// given by name, too.
pub fn callback_of<'a, 'py>(
    function: &str,
    args: &Args<'a, 'py>,
    first: Option<&str>,
) -> PyResult<CallbackParts<'a, 'py>> {
    let start = usize::from(first.is_some());
    if let Some(positional) = args.only_positional()
        && let Some(callback) = positional.get(start)
    {
        return Ok((callback, args.rest(start + 1)?, None));
    }
    let names = ["callback", "context", first.unwrap_or("context")];
    let [named, context, _] = args.bind_keywords(function, names)?;
    let callback = match (args.positional().get(start), named) {
        (Some(callback), None) | (None, Some(callback)) => callback,
        (Some(_), Some(_)) => return Err(given_twice(function, "callback")),
        (None, None) => {
            return Err(PyTypeError::new_err(format!(
                "{function}() missing 1 required positional argument: 'callback'"
            )));
        }
    };
    Ok((callback, args.rest(start + 1)?, context))
}

/// The argument before the callback.
#[inline]
pub fn first_of<'a, 'py>(function: &str, args: &Args<'a, 'py>, name: &str) -> PyResult<&'a Bound<'py, PyAny>> {
    match args.only_positional() {
        Some([first, _, ..]) => Ok(first),
        _ => first_by_name(function, args, name),
    }
}

#[cold]
fn first_by_name<'a, 'py>(function: &str, args: &Args<'a, 'py>, name: &str) -> PyResult<&'a Bound<'py, PyAny>> {
    let [named, callback, _] = args.bind_keywords(function, [name, "callback", "context"])?;
    match (args.positional(), named) {
        ([first, ..], None) if callback.is_some() || args.positional().len() > 1 => Ok(first),
        ([], Some(first)) => Ok(first),
        ([_, ..], Some(_)) => Err(given_twice(function, name)),
        ([_], None) => Err(PyTypeError::new_err(format!(
            "{function}() missing 1 required positional argument: 'callback'"
        ))),
        _ if callback.is_some() => Err(PyTypeError::new_err(format!(
            "{function}() missing 1 required positional argument: '{name}'"
        ))),
        _ => Err(PyTypeError::new_err(format!(
            "{function}() missing 2 required positional arguments: '{name}' and 'callback'"
        ))),
    }
}

fn given_twice(function: &str, name: &str) -> PyErr {
    PyTypeError::new_err(format!("{function}() got multiple values for argument '{name}'"))
}

fn call_soon<'py>(this: &Bound<'py, Loop>, args: Args<'_, 'py>) -> Returned<'py> {
    let (callback, arguments, context) = callback_of("BaseEventLoop.call_soon", &args, None)?;
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
    let (callback, arguments, context) = callback_of("BaseEventLoop.call_soon_threadsafe", &args, None)?;
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
