//! The private attributes of asyncio's groups: the running version's own code works on them, and libraries look.

#![forbid(unsafe_code)]

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyList};

use super::{TaskGroup, TaskGroupBody};
use crate::object::{BodyOf, Owned, Returned, Slot, TypeBuilder, getter_setter};

/// Adds the attributes.
pub fn group_attributes(builder: TypeBuilder) -> TypeBuilder {
    builder
        .attribute(getter_setter(c"_entered", entered, set_entered))
        .attribute(getter_setter(c"_exiting", exiting, set_exiting))
        .attribute(getter_setter(c"_aborting", aborting, set_aborting))
        .attribute(getter_setter(
            c"_parent_cancel_requested",
            parent_cancel_requested,
            set_parent_cancel_requested,
        ))
        .attribute(getter_setter(c"_cancel_called", cancel_called, set_cancel_called))
        .attribute(getter_setter(c"_left", left, set_left))
        .attribute(getter_setter(c"_loop", event_loop, set_event_loop))
        .attribute(getter_setter(c"_parent_task", parent_task, set_parent_task))
        .attribute(getter_setter(c"_base_error", base_error, set_base_error))
        .attribute(getter_setter(c"_on_completed_fut", on_completed, set_on_completed))
        .attribute(getter_setter(c"_errors", errors, set_errors))
        .attribute(getter_setter(c"_tasks", tasks, set_tasks))
}

fn flag<'py>(this: &Bound<'py, TaskGroup>, flag: impl Fn(&TaskGroupBody) -> &Cell<bool>) -> Returned<'py> {
    Ok(PyBool::new(this.py(), flag(this.body()).get()).to_owned().into_any())
}

fn set_flag(
    this: &Bound<'_, TaskGroup>,
    value: &Bound<'_, PyAny>,
    flag: impl Fn(&TaskGroupBody) -> &Cell<bool>,
) -> PyResult<()> {
    let value = value.is_truthy()?;
    flag(this.body()).set(value);
    Ok(())
}

/// An object; None if the slot is empty.
fn object<'py>(this: &Bound<'py, TaskGroup>, slot: impl Fn(&TaskGroupBody) -> &Slot) -> Returned<'py> {
    Ok(slot(this.body()).get_or_none(this.py()))
}

/// None empties the slot.
fn set_object(
    this: &Bound<'_, TaskGroup>,
    value: &Bound<'_, PyAny>,
    slot: impl Fn(&TaskGroupBody) -> &Slot,
) -> PyResult<()> {
    let value = (!value.is_none()).then(|| Owned::new(value));
    drop(slot(this.body()).replace(value));
    Ok(())
}

fn entered<'py>(this: &Bound<'py, TaskGroup>) -> Returned<'py> {
    flag(this, |body| &body.entered)
}

fn set_entered(this: &Bound<'_, TaskGroup>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    set_flag(this, value, |body| &body.entered)
}

fn exiting<'py>(this: &Bound<'py, TaskGroup>) -> Returned<'py> {
    flag(this, |body| &body.exiting)
}

fn set_exiting(this: &Bound<'_, TaskGroup>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    set_flag(this, value, |body| &body.exiting)
}

fn aborting<'py>(this: &Bound<'py, TaskGroup>) -> Returned<'py> {
    flag(this, |body| &body.aborting)
}

fn set_aborting(this: &Bound<'_, TaskGroup>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    set_flag(this, value, |body| &body.aborting)
}

fn parent_cancel_requested<'py>(this: &Bound<'py, TaskGroup>) -> Returned<'py> {
    flag(this, |body| &body.parent_cancel_requested)
}

fn set_parent_cancel_requested(this: &Bound<'_, TaskGroup>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    set_flag(this, value, |body| &body.parent_cancel_requested)
}

fn cancel_called<'py>(this: &Bound<'py, TaskGroup>) -> Returned<'py> {
    flag(this, |body| &body.cancel_called)
}

fn set_cancel_called(this: &Bound<'_, TaskGroup>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    set_flag(this, value, |body| &body.cancel_called)
}

fn left<'py>(this: &Bound<'py, TaskGroup>) -> Returned<'py> {
    flag(this, |body| &body.left)
}

fn set_left(this: &Bound<'_, TaskGroup>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    set_flag(this, value, |body| &body.left)
}

fn event_loop<'py>(this: &Bound<'py, TaskGroup>) -> Returned<'py> {
    object(this, |body| &body.event_loop)
}

fn set_event_loop(this: &Bound<'_, TaskGroup>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    set_object(this, value, |body| &body.event_loop)
}

fn parent_task<'py>(this: &Bound<'py, TaskGroup>) -> Returned<'py> {
    object(this, |body| &body.parent_task)
}

fn set_parent_task(this: &Bound<'_, TaskGroup>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    set_object(this, value, |body| &body.parent_task)
}

fn base_error<'py>(this: &Bound<'py, TaskGroup>) -> Returned<'py> {
    object(this, |body| &body.base_error)
}

fn set_base_error(this: &Bound<'_, TaskGroup>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    set_object(this, value, |body| &body.base_error)
}

fn on_completed<'py>(this: &Bound<'py, TaskGroup>) -> Returned<'py> {
    object(this, |body| &body.on_completed)
}

fn set_on_completed(this: &Bound<'_, TaskGroup>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    set_object(this, value, |body| &body.on_completed)
}

/// `_errors`: a list, made when somebody looks.
fn errors<'py>(this: &Bound<'py, TaskGroup>) -> Returned<'py> {
    let errors = &this.body().errors;
    if let Some(errors) = errors.get(this.py()) {
        return Ok(errors);
    }
    let list = PyList::empty(this.py()).into_any();
    errors.set(Owned::new(&list));
    Ok(list)
}

fn set_errors(this: &Bound<'_, TaskGroup>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    this.body().errors.set(Owned::new(value));
    Ok(())
}

fn tasks<'py>(this: &Bound<'py, TaskGroup>) -> Returned<'py> {
    this.body().children.share(this.py())
}

fn set_tasks(this: &Bound<'_, TaskGroup>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    this.body().children.assign(value);
    Ok(())
}
