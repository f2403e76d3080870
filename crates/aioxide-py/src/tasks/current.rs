//! Which task is running, written only when the task changes.
//!
//! Until 3.13 that is asyncio's own `_current_tasks`, a dictionary; from 3.14 on a field of the thread's state, of
//! the thread that runs the loop. Between two steps what the first wrote is left there, to be overwritten by the
//! second; [`leave`] removes it before anything else runs. Python sees no difference, and a step pays one write
//! instead of three operations.

#![forbid(unsafe_code)]

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::Task;
use crate::events::{Loop, LoopBody};
use crate::imports::imports;
use crate::object::{BodyOf, as_native, compat, published};

/// Makes `this` the current task of its loop.
///
/// # Errors
/// RuntimeError if another task is being executed in this loop; from 3.14 on, if the loop does not run here.
#[inline]
pub fn enter(this: &Bound<'_, Task>, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    let Some(native) = as_native::<LoopBody>(event_loop) else {
        return enter_foreign(this, event_loop);
    };
    enter_native(this, native)
}

/// The same in a loop of ours.
///
/// # Errors
/// As [`enter`].
#[inline]
pub fn enter_native(this: &Bound<'_, Task>, event_loop: &Bound<'_, Loop>) -> PyResult<()> {
    let py = this.py();
    let native = event_loop.body();
    let event_loop = event_loop.as_any();
    // What our own last step left is nobody's.
    let left_over = !native.stepping.get() && native.current_written.get();
    if compat::TASKS_ARE_PUBLISHED {
        if !published::is_running_here(event_loop) {
            return enter_foreign(this, event_loop);
        }
        if !left_over && let Some(other) = published::running_task(py) {
            return Err(occupied(this, &other));
        }
        native.stepping.set(true);
        native.current_written.set(true);
        drop(published::set_running_task(py, Some(this.as_any())));
        return Ok(());
    }
    if left_over && native.current_entry.exchange(this) {
        native.stepping.set(true);
        return Ok(());
    }
    let current = imports(py)?.current_tasks.bind(py);
    if !left_over
        && current.len() > 0
        && let Some(other) = current.get_item(event_loop)?
    {
        return Err(occupied(this, &other));
    }
    native.stepping.set(true);
    native.current_written.set(true);
    native.current_entry.set(current, event_loop, this)
}

/// In a loop that is not ours.
#[cold]
fn enter_foreign(this: &Bound<'_, Task>, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = this.py();
    imports(py)?.enter_task.bind(py).call1((event_loop, this)).map(drop)
}

#[cold]
fn occupied(this: &Bound<'_, Task>, other: &Bound<'_, PyAny>) -> PyErr {
    let texts = this.repr().and_then(|task| Ok((task, other.repr()?)));
    texts.map_or_else(
        |error| error,
        |(task, other)| {
            PyRuntimeError::new_err(format!(
                "Cannot enter into task {task} while another task {other} is being executed."
            ))
        },
    )
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
    let py = this.py();
    imports(py)?.leave_task.bind(py).call1((event_loop, this)).map(drop)
}

/// The task that the running loop is stepping, if the loop is ours and it is.
pub fn stepping_task(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    let event_loop = imports(py)?.running_loop.bind(py).call0()?;
    match as_native::<LoopBody>(&event_loop) {
        Some(native) if !native.body().stepping.get() => Ok(None),
        Some(_) if compat::TASKS_ARE_PUBLISHED => Ok(published::running_task(py)),
        Some(_) => imports(py)?.current_tasks.bind(py).get_item(&event_loop),
        _ => Ok(None),
    }
}

/// Says that no task is running in this loop, where nothing runs before the next task but what signals call. Until
/// 3.13 the entry stays and has None in it: that costs a tenth of taking it out and putting it in again.
#[inline]
pub fn pause(event_loop: &Bound<'_, PyAny>, body: &LoopBody) -> PyResult<()> {
    let none = event_loop.py().None();
    if !compat::TASKS_ARE_PUBLISHED
        && body.current_written.get()
        && body.current_entry.exchange(none.bind(event_loop.py()))
    {
        return Ok(());
    }
    leave(event_loop, body)
}

/// Says that no task is running in this loop.
#[inline]
pub fn leave(event_loop: &Bound<'_, PyAny>, body: &LoopBody) -> PyResult<()> {
    if !body.current_written.replace(false) {
        return Ok(());
    }
    let py = event_loop.py();
    if compat::TASKS_ARE_PUBLISHED {
        drop(published::set_running_task(py, None));
        return Ok(());
    }
    let current = imports(py)?.current_tasks.bind(py);
    if current.contains(event_loop)? {
        current.del_item(event_loop)?;
    }
    Ok(())
}

/// Puts `task` in the place of the current one and returns that one (`_swap_current_task`, which 3.11 lacks).
pub fn swap<'py>(
    event_loop: &Bound<'py, PyAny>,
    task: Option<&Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = event_loop.py();
    if let Some(native) = as_native::<LoopBody>(event_loop)
        && !native.body().stepping.get()
    {
        leave(event_loop, native.body())?;
    }
    let swap = imports(py)?.swap_current_task.bind(py);
    if swap.is_none() {
        let current = imports(py)?.current_tasks.bind(py);
        let previous = current.get_item(event_loop)?;
        match task {
            Some(task) => current.set_item(event_loop, task)?,
            None if previous.is_some() => current.del_item(event_loop)?,
            None => {}
        }
        return Ok(previous);
    }
    let previous = swap.call1((event_loop, task))?;
    Ok(Some(previous).filter(|previous| !previous.is_none()))
}
