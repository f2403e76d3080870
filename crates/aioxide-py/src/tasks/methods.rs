//! The methods of `Task`, and the making of its type.

#![forbid(unsafe_code)]

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString, PyType};

use super::{Task, TaskBody, attributes, cancellation, init, unregister};
use crate::futures::{FutureLike, finalize_unread_exception, future_attributes, future_methods};
use crate::imports::imports;
use crate::object::{
    Args, BodyOf, Returned, TypeBuilder, compat, context_in, finalize_slot, init_slots, method, method_noargs,
    method_one, published, repr_slot,
};

/// Makes the type.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let base = py.import("_asyncio")?.getattr("Task")?.cast_into::<PyType>()?;
    let mut builder = TypeBuilder::new()
        .subclassable()
        .slot(finalize_slot::<TaskBody>())
        .slot(repr_slot(repr));
    for slot in init_slots(init::init) {
        builder = builder.slot(slot);
    }
    builder = future_methods::<TaskBody>(builder);
    builder = future_attributes::<TaskBody>(builder);
    builder = attributes::task_attributes(builder);
    if compat::HAS_TASK_GET_CONTEXT {
        builder = builder.method(method_noargs(c"get_context", c"The context the task runs in.", context));
    }
    builder
        .method(method_one(
            c"set_result",
            c"Not for tasks: raises RuntimeError.",
            set_result,
        ))
        .method(method_one(
            c"set_exception",
            c"Not for tasks: raises RuntimeError.",
            set_exception,
        ))
        .method(method(c"cancel", c"Requests that the task cancel itself.", cancel))
        .method(method_noargs(
            c"cancelling",
            c"How many cancellation requests are pending.",
            cancelling,
        ))
        .method(method_noargs(
            c"uncancel",
            c"Takes one cancellation request back; returns how many remain.",
            uncancel,
        ))
        .method(method_noargs(c"get_coro", c"The coroutine.", coroutine))
        .method(method_noargs(c"get_name", c"The name of the task.", name))
        .method(method_one(c"set_name", c"Sets the name of the task.", set_name))
        .method(method(c"get_stack", c"The stack frames of the coroutine.", stack))
        .method(method(
            c"print_stack",
            c"Prints the stack of the coroutine.",
            print_stack,
        ))
        .finish::<TaskBody>(
            py,
            c"aioxide.Task",
            c"A coroutine that the loop runs; asyncio.Task in Rust.",
            Some(&base),
            true,
        )
}

fn none(py: Python<'_>) -> Bound<'_, PyAny> {
    py.None().into_bound(py)
}

fn repr<'py>(this: &Bound<'py, Task>) -> Returned<'py> {
    imports(this.py())?.task_repr.bind(this.py()).call1((this,))
}

fn set_result<'py>(_this: &Bound<'py, Task>, _result: &Bound<'py, PyAny>) -> Returned<'py> {
    Err(PyRuntimeError::new_err("Task does not support set_result operation"))
}

fn set_exception<'py>(_this: &Bound<'py, Task>, _exception: &Bound<'py, PyAny>) -> Returned<'py> {
    Err(PyRuntimeError::new_err("Task does not support set_exception operation"))
}

fn cancel<'py>(this: &Bound<'py, Task>, args: Args<'_, 'py>) -> Returned<'py> {
    let [message] = args.bind("cancel", ["msg"], 1, 0)?;
    let requested = cancellation::request(this, message)?;
    Ok(PyBool::new(this.py(), requested).to_owned().into_any())
}

fn cancelling<'py>(this: &Bound<'py, Task>) -> Returned<'py> {
    Ok(this.body().cancel_requests.get().into_pyobject(this.py())?.into_any())
}

fn uncancel<'py>(this: &Bound<'py, Task>) -> Returned<'py> {
    Ok(cancellation::withdraw(this).into_pyobject(this.py())?.into_any())
}

fn coroutine<'py>(this: &Bound<'py, Task>) -> Returned<'py> {
    Ok(this.body().coroutine.get_or_none(this.py()))
}

fn context<'py>(this: &Bound<'py, Task>) -> Returned<'py> {
    context_in(this.py(), &this.body().context)
}

/// The name; made now if the task was given none.
fn name<'py>(this: &Bound<'py, Task>) -> Returned<'py> {
    let body = this.body();
    if body.name.is_empty() {
        if body.number.get() == 0 {
            return Ok(none(this.py()));
        }
        let name = PyString::new(this.py(), &format!("Task-{}", body.number.get()));
        body.name.set(name.into_any().into());
    }
    Ok(body.name.get_or_none(this.py()))
}

fn set_name<'py>(this: &Bound<'py, Task>, name: &Bound<'py, PyAny>) -> Returned<'py> {
    let name = init::name_of(name)?;
    published::rename(this, name.clone());
    this.body().name.set(name);
    Ok(none(this.py()))
}

fn stack<'py>(this: &Bound<'py, Task>, args: Args<'_, 'py>) -> Returned<'py> {
    let [limit] = args.bind("get_stack", ["limit"], 0, 0)?;
    imports(this.py())?.task_get_stack.bind(this.py()).call1((this, limit))
}

fn print_stack<'py>(this: &Bound<'py, Task>, args: Args<'_, 'py>) -> Returned<'py> {
    let [limit, file] = args.bind("print_stack", ["limit", "file"], 0, 0)?;
    imports(this.py())?
        .task_print_stack
        .bind(this.py())
        .call1((this, limit, file))
}

/// Complains about a task that dies before it has finished, and about an exception that nobody read.
pub fn finalize(this: &Bound<'_, Task>) {
    let py = this.py();
    let body = this.body();
    // Even if a handler keeps the task alive: asyncio's weak set forgets it before its finalizer runs.
    unregister(this);
    let pending = !body.future().done() && body.log_destroy_pending.get();
    let report = || -> PyResult<()> {
        let Some(event_loop) = body.future().event_loop.get(py) else {
            return Ok(());
        };
        let context = PyDict::new(py);
        context.set_item("task", this)?;
        context.set_item("message", "Task was destroyed but it is pending!")?;
        if let Some(stack) = body.future().rare().and_then(|rare| rare.source_traceback.get(py)) {
            context.set_item("source_traceback", stack)?;
        }
        event_loop.call_method1("call_exception_handler", (context,))?;
        Ok(())
    };
    if pending && let Err(error) = report() {
        error.write_unraisable(py, Some(this.as_any()));
    }
    finalize_unread_exception(this);
}
