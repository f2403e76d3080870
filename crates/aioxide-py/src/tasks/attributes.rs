//! The private attributes of asyncio's tasks, which libraries and asyncio itself read.

#![forbid(unsafe_code)]

use pyo3::prelude::*;
use pyo3::types::PyBool;

use super::Task;
use crate::object::{BodyOf, Returned, TypeBuilder, as_exact, getter, getter_setter};
use crate::sleep::{self, SleepBody};

/// Adds the attributes that futures do not have.
pub fn task_attributes(builder: TypeBuilder) -> TypeBuilder {
    builder
        .attribute(getter_setter(
            c"_log_destroy_pending",
            log_destroy_pending,
            set_log_destroy_pending,
        ))
        .attribute(getter(c"_must_cancel", must_cancel))
        .attribute(getter(c"_coro", coroutine))
        .attribute(getter(c"_fut_waiter", waiter))
        .attribute(getter(c"_steps", steps))
        .attribute(getter(c"_waits", waits))
}

fn boolean(py: Python<'_>, value: bool) -> Bound<'_, PyAny> {
    PyBool::new(py, value).to_owned().into_any()
}

fn log_destroy_pending<'py>(this: &Bound<'py, Task>) -> Returned<'py> {
    Ok(boolean(this.py(), this.body().log_destroy_pending.get()))
}

fn set_log_destroy_pending(this: &Bound<'_, Task>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let value = value.is_truthy()?;
    this.body().log_destroy_pending.set(value);
    Ok(())
}

fn must_cancel<'py>(this: &Bound<'py, Task>) -> Returned<'py> {
    Ok(boolean(this.py(), this.body().must_cancel.get()))
}

fn coroutine<'py>(this: &Bound<'py, Task>) -> Returned<'py> {
    Ok(this.body().coroutine.get_or_none(this.py()))
}

/// `_fut_waiter`: always a future to those who look, also while the task waits for a sleep itself.
fn waiter<'py>(this: &Bound<'py, Task>) -> Returned<'py> {
    let waiter = this.body().waiter.get_or_none(this.py());
    match as_exact::<SleepBody>(&waiter) {
        Some(asleep) => sleep::as_future(asleep),
        None => Ok(waiter),
    }
}

/// How often the task was stepped: a probe, not in asyncio.
fn steps<'py>(this: &Bound<'py, Task>) -> Returned<'py> {
    Ok(this.body().steps.get().into_pyobject(this.py())?.into_any())
}

/// How often the task waited for a future: a probe, not in asyncio.
fn waits<'py>(this: &Bound<'py, Task>) -> Returned<'py> {
    Ok(this.body().waits.get().into_pyobject(this.py())?.into_any())
}
