//! What `await future` iterates over: yields the future once, then gives its result.
//!
//! Counterpart: `FutureIter` in `Modules/_asynciomodule.c`.

#![forbid(unsafe_code)]

use pyo3::exceptions::{PyBaseException, PyDeprecationWarning, PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::state::{FutureLike, FutureState};
use super::{Future, FutureBody};
use crate::gather::GatherBody;
use crate::object::{
    Args, Body, BodyOf, Layout, Native, Owned, Resumed, Returned, Slot, TypeBuilder, Visitor, as_exact, as_native,
    compat, create, iter_slot, method, method_noargs, method_one, resume_slots,
};
use crate::tasks::{Task, TaskBody};

/// The body: the future until it gave its result.
pub struct IteratorBody {
    future: Slot,
}

type FutureIterator = Native<IteratorBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for IteratorBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self { future: Slot::empty() }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.future);
    }

    fn clear(&self) {
        self.future.clear();
    }
}

/// Makes the type.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let mut builder = TypeBuilder::new().slot(iter_slot(itself));
    for slot in resume_slots(resume) {
        builder = builder.slot(slot);
    }
    builder
        .method(method_one(c"send", c"Resumes the wait.", send))
        .method(method(
            c"throw",
            c"Raises an exception where the future is awaited.",
            throw,
        ))
        .method(method_noargs(c"close", c"Gives up waiting.", close))
        .finish::<IteratorBody>(
            py,
            c"aioxide._aioxide.FutureIterator",
            c"What `await future` iterates over.",
            None,
            false,
        )
}

/// `__await__` and `__iter__` of futures and tasks.
#[inline]
pub fn iterate<'py, B: FutureLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    this.body().future().require_initialised()?;
    let body = IteratorBody {
        future: Slot::new(Owned::new(this.as_any())),
    };
    Ok(create(this.py(), body)?.into_any())
}

/// Sees the common half of a native future or task, subclasses included.
#[inline]
fn with_state<R>(future: &Bound<'_, PyAny>, use_state: impl FnOnce(&FutureState) -> R) -> Option<R> {
    if let Some(future) = as_exact::<FutureBody>(future) {
        return Some(use_state(future.body().future()));
    }
    if let Some(task) = as_exact::<TaskBody>(future) {
        return Some(use_state(task.body().future()));
    }
    if let Some(future) = as_native::<FutureBody>(future) {
        let future: &Bound<'_, Future> = future;
        return Some(use_state(future.body().future()));
    }
    if let Some(gatherer) = as_exact::<GatherBody>(future) {
        return Some(use_state(gatherer.body().future()));
    }
    let task: &Bound<'_, Task> = as_native::<TaskBody>(future)?;
    Some(use_state(task.body().future()))
}

fn resume<'py>(this: &Bound<'py, FutureIterator>) -> PyResult<Resumed<'py>> {
    let py = this.py();
    let Some(future) = this.body().future.get(py) else {
        return Ok(Resumed::Returned(py.None().into_bound(py)));
    };
    let outcome = with_state(&future, |state| {
        if state.done() {
            return Ok(Some(state.result(py)));
        }
        if state.blocking.replace(true) {
            return Err(PyRuntimeError::new_err("await wasn't used with future"));
        }
        Ok(None)
    });
    match outcome {
        Some(Ok(Some(result))) => {
            this.body().future.clear();
            result.map(Resumed::Returned)
        }
        Some(Err(error)) => Err(error),
        Some(Ok(None)) | None => Ok(Resumed::Yielded(future)),
    }
}

fn itself<'py>(this: &Bound<'py, FutureIterator>) -> Returned<'py> {
    Ok(this.clone().into_any())
}

fn send<'py>(this: &Bound<'py, FutureIterator>, _value: &Bound<'py, PyAny>) -> Returned<'py> {
    match resume(this)? {
        Resumed::Yielded(value) => Ok(value),
        Resumed::Returned(value) => Err(stop_iteration(&value)?),
    }
}

/// StopIteration(value), as an error.
pub fn stop_iteration(value: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    let class = value.py().get_type::<pyo3::exceptions::PyStopIteration>();
    let instance = if value.is_none() {
        class.call0()?
    } else {
        class.call1((value,))?
    };
    Ok(PyErr::from_value(instance))
}

fn throw<'py>(this: &Bound<'py, FutureIterator>, args: Args<'_, 'py>) -> Returned<'py> {
    let error = thrown(args)?;
    this.body().future.clear();
    Err(error)
}

/// The exception meant by the arguments of `throw(exception)` or the old `throw(type, value, traceback)`.
pub fn thrown(args: Args<'_, '_>) -> PyResult<PyErr> {
    let py = args.py();
    let positional = args.positional();
    let Some(kind) = positional.first() else {
        return Err(PyTypeError::new_err("throw expected at least 1 argument, got 0"));
    };
    if positional.len() > 1 && compat::version(py) >= (3, 12) {
        let text = c"the (type, exc, tb) signature of throw() is deprecated, use the single-arg signature instead.";
        PyErr::warn(py, &py.get_type::<PyDeprecationWarning>(), text, 1)?;
    }
    let value = positional.get(1).filter(|value| !value.is_none());
    let traceback = positional.get(2).filter(|traceback| !traceback.is_none());
    if let Some(traceback) = traceback
        && !traceback.is_instance_of::<pyo3::types::PyTraceback>()
    {
        return Err(PyTypeError::new_err("throw() third argument must be a traceback"));
    }
    let instance = if let Ok(class) = kind.cast::<PyType>() {
        if !class.is_subclass_of::<PyBaseException>()? {
            return Err(PyTypeError::new_err(
                "exceptions must be classes deriving BaseException or instances of such a class",
            ));
        }
        match value {
            Some(value) if value.is_instance(class)? => value.clone(),
            Some(value) => class.call1((value,))?,
            None => class.call0()?,
        }
    } else if kind.is_instance_of::<PyBaseException>() {
        if value.is_some() {
            return Err(PyTypeError::new_err("instance exception may not have a separate value"));
        }
        kind.clone()
    } else {
        return Err(PyTypeError::new_err(
            "exceptions must be classes deriving BaseException or instances of such a class",
        ));
    };
    if let Some(traceback) = traceback {
        instance.setattr("__traceback__", traceback)?;
    }
    Ok(PyErr::from_value(instance))
}

fn close<'py>(this: &Bound<'py, FutureIterator>) -> Returned<'py> {
    this.body().future.clear();
    Ok(this.py().None().into_bound(this.py()))
}
