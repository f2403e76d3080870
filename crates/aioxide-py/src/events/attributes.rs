//! The private attributes that the base class, and libraries, read and write on a loop.

#![forbid(unsafe_code)]

use pyo3::prelude::*;
use pyo3::types::PyBool;

use super::Loop;
use crate::object::{BodyOf, Owned, Returned, TypeBuilder, getter_setter, method_noargs};

/// Adds the attributes, and the methods that only read them.
pub fn loop_attributes(builder: TypeBuilder) -> TypeBuilder {
    builder
        .attribute(getter_setter(c"_closed", closed, set_closed))
        .attribute(getter_setter(c"_stopping", stopping, set_stopping))
        .attribute(getter_setter(c"_debug", debug, set_debug))
        .attribute(getter_setter(c"_thread_id", thread_id, set_thread_id))
        .attribute(getter_setter(c"_task_factory", task_factory, set_task_factory))
        .attribute(getter_setter(c"_idle", idle, set_idle))
        .attribute(getter_setter(c"_observer", observer, set_observer))
        .method(method_noargs(c"is_closed", c"Whether the loop was closed.", closed))
        .method(method_noargs(
            c"is_running",
            c"Whether the loop is running.",
            is_running,
        ))
        .method(method_noargs(
            c"get_debug",
            c"Whether the loop is in debug mode.",
            debug,
        ))
        .method(method_noargs(
            c"stop",
            c"Stops the loop after the callbacks that are ready now.",
            stop,
        ))
}

fn boolean(py: Python<'_>, value: bool) -> Bound<'_, PyAny> {
    PyBool::new(py, value).to_owned().into_any()
}

fn closed<'py>(this: &Bound<'py, Loop>) -> Returned<'py> {
    Ok(boolean(this.py(), this.body().closed.get()))
}

fn set_closed(this: &Bound<'_, Loop>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let value = value.is_truthy()?;
    this.body().closed.set(value);
    Ok(())
}

fn stopping<'py>(this: &Bound<'py, Loop>) -> Returned<'py> {
    Ok(boolean(this.py(), this.body().stopping.get()))
}

fn set_stopping(this: &Bound<'_, Loop>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let value = value.is_truthy()?;
    this.body().stopping.set(value);
    Ok(())
}

fn stop<'py>(this: &Bound<'py, Loop>) -> Returned<'py> {
    this.body().stopping.set(true);
    Ok(this.py().None().into_bound(this.py()))
}

fn debug<'py>(this: &Bound<'py, Loop>) -> Returned<'py> {
    Ok(boolean(this.py(), this.body().debug.get()))
}

fn set_debug(this: &Bound<'_, Loop>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let value = value.is_truthy()?;
    this.body().debug.set(value);
    Ok(())
}

fn is_running<'py>(this: &Bound<'py, Loop>) -> Returned<'py> {
    Ok(boolean(this.py(), !this.body().thread_id.is_empty()))
}

fn thread_id<'py>(this: &Bound<'py, Loop>) -> Returned<'py> {
    Ok(this.body().thread_id.get_or_none(this.py()))
}

fn set_thread_id(this: &Bound<'_, Loop>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    drop(
        this.body()
            .thread_id
            .replace((!value.is_none()).then(|| Owned::new(value))),
    );
    Ok(())
}

fn task_factory<'py>(this: &Bound<'py, Loop>) -> Returned<'py> {
    Ok(this.body().task_factory.get_or_none(this.py()))
}

fn set_task_factory(this: &Bound<'_, Loop>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    drop(
        this.body()
            .task_factory
            .replace((!value.is_none()).then(|| Owned::new(value))),
    );
    Ok(())
}

fn idle<'py>(this: &Bound<'py, Loop>) -> Returned<'py> {
    Ok(this.body().idle.get_or_none(this.py()))
}

fn set_idle(this: &Bound<'_, Loop>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    drop(this.body().idle.replace((!value.is_none()).then(|| Owned::new(value))));
    Ok(())
}

fn observer<'py>(this: &Bound<'py, Loop>) -> Returned<'py> {
    Ok(this.body().observer.get_or_none(this.py()))
}

fn set_observer(this: &Bound<'_, Loop>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    drop(
        this.body()
            .observer
            .replace((!value.is_none()).then(|| Owned::new(value))),
    );
    Ok(())
}
