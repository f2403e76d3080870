//! Which task is running: asyncio's own `_current_tasks`, written only when the task changes.
//!
//! Between two steps the entry of the first is left in the dictionary, to be overwritten by the second;
//! [`leave`] removes it before anything else runs. Python sees no difference, and a step pays one
//! dictionary write instead of three dictionary operations.

#![forbid(unsafe_code)]

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::Task;
use crate::events::LoopBody;
use crate::imports::imports;
use crate::object::{BodyOf, as_native};

/// Makes `this` the current task of its loop.
///
/// # Errors
/// RuntimeError if another task is being executed in this loop.
#[inline]
pub fn enter(this: &Bound<'_, Task>, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    let current = imports(this.py())?.current_tasks.bind(this.py());
    if let Some(native) = as_native::<LoopBody>(event_loop) {
        if !native.body().stepping.get() {
            if !native.body().current_written.get() && current.len() > 0 {
                check_free(this, event_loop)?;
            }
            native.body().stepping.set(true);
            native.body().current_written.set(true);
            return current.set_item(event_loop, this);
        }
        check_free(this, event_loop)?;
        native.body().stepping.set(true);
        native.body().current_written.set(true);
        return current.set_item(event_loop, this);
    }
    check_free(this, event_loop)?;
    current.set_item(event_loop, this)
}

#[cold]
fn check_free(this: &Bound<'_, Task>, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    let current = imports(this.py())?.current_tasks.bind(this.py());
    let Some(other) = current.get_item(event_loop)? else {
        return Ok(());
    };
    Err(PyRuntimeError::new_err(format!(
        "Cannot enter into task {} while another task {} is being executed.",
        this.repr()?,
        other.repr()?
    )))
}

/// Ends what `enter` began; on our loop the entry stays until `leave`.
///
/// # Errors
/// RuntimeError if something else took the place of `this` meanwhile.
#[inline]
pub fn exit(this: &Bound<'_, Task>, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Some(native) = as_native::<LoopBody>(event_loop) {
        native.body().stepping.set(false);
        return Ok(());
    }
    let current = imports(this.py())?.current_tasks.bind(this.py());
    let found = current.get_item(event_loop)?;
    if !found.as_ref().is_some_and(|found| found.is(this)) {
        return Err(PyRuntimeError::new_err(format!(
            "Leaving task {} does not match the current task {}.",
            this.repr()?,
            found.map_or_else(
                || Ok("None".to_owned()),
                |found| found.repr().map(|text| text.to_string())
            )?
        )));
    }
    current.del_item(event_loop)
}

/// The task that the running loop is stepping, if the loop is ours and it is.
pub fn stepping_task(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    let event_loop = imports(py)?.running_loop.bind(py).call0()?;
    match as_native::<LoopBody>(&event_loop) {
        Some(native) if native.body().stepping.get() => imports(py)?.current_tasks.bind(py).get_item(&event_loop),
        _ => Ok(None),
    }
}

/// Says that no task is running in this loop.
#[inline]
pub fn leave(event_loop: &Bound<'_, PyAny>, body: &LoopBody) -> PyResult<()> {
    if !body.current_written.replace(false) {
        return Ok(());
    }
    let current = imports(event_loop.py())?.current_tasks.bind(event_loop.py());
    if current.contains(event_loop)? {
        current.del_item(event_loop)?;
    }
    Ok(())
}

/// Puts `task` in the place of the current one and returns that one (3.12's `_swap_current_task`).
pub fn swap<'py>(
    event_loop: &Bound<'py, PyAny>,
    task: Option<&Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let current = imports(event_loop.py())?.current_tasks.bind(event_loop.py());
    let native = as_native::<LoopBody>(event_loop);
    // An entry left over from an earlier step is nobody's.
    if let Some(native) = native
        && !native.body().stepping.get()
    {
        leave(event_loop, native.body())?;
    }
    let previous = current.get_item(event_loop)?;
    match task {
        Some(task) => current.set_item(event_loop, task)?,
        None if previous.is_some() => current.del_item(event_loop)?,
        None => {}
    }
    Ok(previous)
}
