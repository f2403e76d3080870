//! `create_future` and `create_task`.

#![forbid(unsafe_code)]

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::Loop;
use crate::futures::{FutureBody, FutureLike};
use crate::imports::imports;
use crate::object::{Args, BodyOf, Owned, Returned, TypeBuilder, create, method, method_noargs};
use crate::tasks;

/// Adds the methods.
pub fn factory_methods(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method_noargs(
            c"create_future",
            c"Makes a Future of this loop.",
            create_future,
        ))
        .method(method(
            c"create_task",
            c"Schedules a coroutine; returns its Task.",
            create_task,
        ))
}

fn create_future<'py>(this: &Bound<'py, Loop>) -> Returned<'py> {
    let future = create(this.py(), FutureBody::pending(this.as_any()))?;
    if this.body().debug.get() {
        let stack = imports(this.py())?.extract_stack.bind(this.py()).call0()?;
        future
            .body()
            .future()
            .rare_mut()
            .source_traceback
            .set(Owned::from(stack));
    }
    Ok(future.into_any())
}

fn create_task<'py>(this: &Bound<'py, Loop>, args: Args<'_, 'py>) -> Returned<'py> {
    let body = this.body();
    body.require_open()?;
    if let Some(factory) = body.task_factory.get(this.py()) {
        return by_factory(this, &factory, &args);
    }
    let [coroutine, name, context, eager_start] =
        args.bind("create_task", ["coro", "name", "context", "eager_start"], 1, 1)?;
    let Some(coroutine) = coroutine else {
        return Err(PyTypeError::new_err("create_task() missing 'coro'"));
    };
    let eager = match eager_start {
        Some(eager) => eager.is_truthy()?,
        None => false,
    };
    Ok(tasks::create_task(this.as_any(), coroutine, &tasks::Parts { name, context, eager })?.into_any())
}

/// Leaves the making of the task to a user's factory, with the arguments of the running version.
fn by_factory<'py>(this: &Bound<'py, Loop>, factory: &Bound<'py, PyAny>, args: &Args<'_, 'py>) -> Returned<'py> {
    let py = this.py();
    let _ = factory;
    let keywords = PyDict::new(py);
    let positional = PyTuple::new(
        py,
        std::iter::once(this.as_any())
            .chain(args.positional())
            .collect::<Vec<_>>(),
    )?;
    args.keywords_into(&keywords)?;
    imports(py)?
        .base_event_loop
        .bind(py)
        .getattr("create_task")?
        .call(positional, Some(&keywords))
}
