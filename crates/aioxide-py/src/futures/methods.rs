//! The methods of `Future`, and the making of its type.

#![forbid(unsafe_code)]

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple, PyType};

use super::state::{self, FutureLike};
use super::{FutureBody, attributes, iterator};
use crate::imports::imports;
use crate::object::{
    Args, BodyOf, Native, Owned, Returned, TypeBuilder, await_slot, class_method_one, finalize_slot, init_slots,
    iter_slot, method, method_noargs, method_one, repr_slot,
};

/// Makes the type.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let base = py.import("_asyncio")?.getattr("Future")?.cast_into::<PyType>()?;
    let mut builder = TypeBuilder::new()
        .subclassable()
        .slot(finalize_slot::<FutureBody>())
        .slot(repr_slot(repr::<FutureBody>));
    for slot in init_slots(init) {
        builder = builder.slot(slot);
    }
    builder = future_methods::<FutureBody>(builder);
    builder = attributes::future_attributes::<FutureBody>(builder);
    builder
        .method(method_one(
            c"set_result",
            c"Marks the future done and sets its result.",
            set_result,
        ))
        .method(method_one(
            c"set_exception",
            c"Marks the future done and sets an exception.",
            set_exception,
        ))
        .method(method(
            c"cancel",
            c"Cancels the future and schedules its callbacks.",
            cancel,
        ))
        .finish::<FutureBody>(
            py,
            c"aioxide.Future",
            c"A result that does not exist yet; asyncio.Future in Rust.",
            Some(&base),
            true,
        )
}

/// What `Future` and `Task` have in common.
pub fn future_methods<B: FutureLike>(builder: TypeBuilder) -> TypeBuilder {
    builder
        .slot(iter_slot(iterator::iterate::<B>))
        .slot(await_slot(iterator::iterate::<B>))
        .method(method_noargs(
            c"done",
            c"Whether it has a result or an exception, or was cancelled.",
            done::<B>,
        ))
        .method(method_noargs(
            c"cancelled",
            c"Whether it was cancelled.",
            cancelled::<B>,
        ))
        .method(method_noargs(
            c"result",
            c"The result; raises what it ended with.",
            result::<B>,
        ))
        .method(method_noargs(
            c"exception",
            c"The exception it ended with, or None.",
            exception::<B>,
        ))
        .method(method(
            c"add_done_callback",
            c"Adds a callback to be run when the future becomes done.",
            add_done_callback::<B>,
        ))
        .method(method_one(
            c"remove_done_callback",
            c"Removes all instances of a callback; returns how many there were.",
            remove_done_callback::<B>,
        ))
        .method(method_noargs(
            c"get_loop",
            c"The event loop the future is bound to.",
            event_loop::<B>,
        ))
        .method(method_noargs(
            c"_make_cancelled_error",
            c"The CancelledError to raise for a cancelled future.",
            make_cancelled_error::<B>,
        ))
        .method(class_method_one(c"__class_getitem__", c"See PEP 585.", class_getitem))
}

fn init(
    this: &Bound<'_, Native<FutureBody>>,
    args: &Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    if !args.is_empty() {
        return Err(PyTypeError::new_err(format!(
            "Future() takes 0 positional arguments but {} were given",
            args.len()
        )));
    }
    let mut event_loop = None;
    if let Some(kwargs) = kwargs {
        for (name, value) in kwargs {
            match name.extract::<&str>()? {
                "loop" => event_loop = Some(value),
                name => {
                    return Err(PyTypeError::new_err(format!(
                        "Future() got an unexpected keyword argument '{name}'"
                    )));
                }
            }
        }
    }
    this.body().state.require_new(this)?;
    this.body().state.initialise(this.py(), event_loop.as_ref())
}

fn none(py: Python<'_>) -> Bound<'_, PyAny> {
    py.None().into_bound(py)
}

fn boolean(py: Python<'_>, value: bool) -> Bound<'_, PyAny> {
    PyBool::new(py, value).to_owned().into_any()
}

fn done<'py, B: FutureLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    Ok(boolean(this.py(), this.body().future().done()))
}

fn cancelled<'py, B: FutureLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    Ok(boolean(
        this.py(),
        this.body().future().state.get() == state::State::Cancelled,
    ))
}

fn result<'py, B: FutureLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    this.body().future().result(this.py())
}

fn exception<'py, B: FutureLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    this.body().future().exception(this.py())
}

fn set_result<'py>(this: &Bound<'py, Native<FutureBody>>, result: &Bound<'py, PyAny>) -> Returned<'py> {
    state::set_result(this, Owned::new(result))?;
    Ok(none(this.py()))
}

fn set_exception<'py>(this: &Bound<'py, Native<FutureBody>>, exception: &Bound<'py, PyAny>) -> Returned<'py> {
    state::set_exception(this, exception)?;
    Ok(none(this.py()))
}

fn cancel<'py>(this: &Bound<'py, Native<FutureBody>>, args: Args<'_, 'py>) -> Returned<'py> {
    let [message] = args.bind("cancel", ["msg"], 1, 0)?;
    this.body().state.require_initialised()?;
    Ok(boolean(this.py(), state::cancel(this, message)?))
}

fn add_done_callback<'py, B: FutureLike>(this: &Bound<'py, Native<B>>, args: Args<'_, 'py>) -> Returned<'py> {
    let [callable, context] = args.bind("add_done_callback", ["fn", "context"], 1, 1)?;
    if let Some(callable) = callable {
        state::add_done_callback(this, callable, context)?;
    }
    Ok(none(this.py()))
}

fn remove_done_callback<'py, B: FutureLike>(
    this: &Bound<'py, Native<B>>,
    callable: &Bound<'py, PyAny>,
) -> Returned<'py> {
    Ok(state::remove_done_callback(this, callable)?
        .into_pyobject(this.py())?
        .into_any())
}

fn event_loop<'py, B: FutureLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    this.body().future().require_loop(this.py())
}

fn make_cancelled_error<'py, B: FutureLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    this.body().future().make_cancelled_error(this.py())
}

fn class_getitem<'py>(class: &Bound<'py, PyAny>, item: &Bound<'py, PyAny>) -> Returned<'py> {
    imports(class.py())?.generic_alias.bind(class.py()).call1((class, item))
}

/// `__repr__`, in asyncio's words.
pub fn repr<'py, B: FutureLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    this.body().future().require_initialised()?;
    imports(this.py())?.future_repr.bind(this.py()).call1((this,))
}

/// Logs an exception that nobody asked for: the future dies with it.
pub fn finalize_unread_exception<B: FutureLike>(this: &Bound<'_, Native<B>>) {
    let future = this.body().future();
    if !future.log_traceback.replace(false) {
        return;
    }
    let py = this.py();
    let report = || -> PyResult<()> {
        let Some(event_loop) = future.event_loop.get(py) else {
            return Ok(());
        };
        let context = PyDict::new(py);
        let class = this.get_type().name()?;
        context.set_item("message", format!("{class} exception was never retrieved"))?;
        context.set_item("exception", future.outcome.get_or_none(py))?;
        context.set_item("future", this)?;
        if let Some(stack) = future.rare().and_then(|rare| rare.source_traceback.get(py)) {
            context.set_item("source_traceback", stack)?;
        }
        event_loop.call_method1("call_exception_handler", (context,))?;
        Ok(())
    };
    if let Err(error) = report() {
        error.write_unraisable(py, Some(this.as_any()));
    }
}
