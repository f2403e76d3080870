//! The attributes of queues: those of asyncio's, private ones too, since tests and libraries read them.

#![forbid(unsafe_code)]

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyString};

use super::queue::{COUNTING, Queue, finished};
use super::storage;
use crate::imports::imports;
use crate::object::{BodyOf, Owned, Returned, TypeBuilder, getter, getter_setter, method_noargs};

/// Adds the attributes.
pub fn attributes(builder: TypeBuilder) -> TypeBuilder {
    builder
        .attribute(getter(c"maxsize", maxsize))
        .attribute(getter_setter(c"_maxsize", maxsize, set_maxsize))
        .attribute(getter_setter(c"_queue", items, set_items))
        .attribute(getter_setter(c"_getters", getters, set_getters))
        .attribute(getter_setter(c"_putters", putters, set_putters))
        .attribute(getter_setter(c"_unfinished_tasks", unfinished, set_unfinished))
        .attribute(getter_setter(c"_finished", finished, set_finished))
        .attribute(getter_setter(c"_is_shutdown", is_shutdown, set_is_shutdown))
        .attribute(getter_setter(c"_loop", event_loop, set_event_loop))
        .method(method_noargs(c"_format", c"What repr() says of it.", format))
}

fn maxsize<'py>(this: &Bound<'py, Queue>) -> Returned<'py> {
    Ok(this.body().given_maxsize.get_or_none(this.py()))
}

/// Whatever can be compared with a length is a size: a float, an integer beyond all lengths.
pub fn set_maxsize(this: &Bound<'_, Queue>, maxsize: &Bound<'_, PyAny>) -> PyResult<()> {
    // What is no number is refused by the first comparison, as in asyncio.
    let capacity = match capacity_of(maxsize) {
        Ok(capacity) => capacity,
        Err(_) => {
            // So that full() compares by itself.
            let full = PyString::intern(this.py(), "full");
            this.body().overrides.assigned(full.as_any(), &[&COUNTING]);
            Some(usize::MAX)
        }
    };
    this.body().capacity.set(capacity);
    this.body().given_maxsize.set(Owned::new(maxsize));
    Ok(())
}

fn capacity_of(maxsize: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
    match maxsize.extract::<usize>() {
        Ok(0) => Ok(None),
        Ok(capacity) => Ok(Some(capacity)),
        Err(_) if maxsize.le(0)? => Ok(None),
        Err(_) if maxsize.gt(isize::MAX)? => Ok(Some(usize::MAX)),
        Err(_) => maxsize.call_method0("__ceil__")?.extract().map(Some),
    }
}

fn items<'py>(this: &Bound<'py, Queue>) -> Returned<'py> {
    storage::container(this)
}

fn set_items(this: &Bound<'_, Queue>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    this.body().items.assign(value);
    Ok(())
}

fn getters<'py>(this: &Bound<'py, Queue>) -> Returned<'py> {
    this.body().getters.share(imports(this.py())?.deque.bind(this.py()))
}

fn set_getters(this: &Bound<'_, Queue>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    this.body().getters.assign(value);
    Ok(())
}

fn putters<'py>(this: &Bound<'py, Queue>) -> Returned<'py> {
    this.body().putters.share(imports(this.py())?.deque.bind(this.py()))
}

fn set_putters(this: &Bound<'_, Queue>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    this.body().putters.assign(value);
    Ok(())
}

fn unfinished<'py>(this: &Bound<'py, Queue>) -> Returned<'py> {
    Ok(this.body().unfinished.get().into_pyobject(this.py())?.into_any())
}

fn set_unfinished(this: &Bound<'_, Queue>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let value = value.extract()?;
    this.body().unfinished.set(value);
    Ok(())
}

fn set_finished(this: &Bound<'_, Queue>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    this.body().finished.set(Owned::new(value));
    Ok(())
}

fn is_shutdown<'py>(this: &Bound<'py, Queue>) -> Returned<'py> {
    Ok(PyBool::new(this.py(), this.body().is_shutdown.get())
        .to_owned()
        .into_any())
}

fn set_is_shutdown(this: &Bound<'_, Queue>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let value = value.is_truthy()?;
    this.body().is_shutdown.set(value);
    Ok(())
}

fn event_loop<'py>(this: &Bound<'py, Queue>) -> Returned<'py> {
    Ok(this.body().bound.event_loop.get_or_none(this.py()))
}

fn set_event_loop(this: &Bound<'_, Queue>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let value = (!value.is_none()).then(|| Owned::new(value));
    drop(this.body().bound.event_loop.replace(value));
    Ok(())
}

fn format<'py>(this: &Bound<'py, Queue>) -> Returned<'py> {
    let py = this.py();
    let body = this.body();
    let mut text = format!("maxsize={}", maxsize(this)?.repr()?);
    if !body.items.is_empty(py)? {
        text.push_str(&format!(" _queue={}", body.items.to_list(py)?.repr()?));
    }
    for (name, waiters) in [("_getters", &body.getters), ("_putters", &body.putters)] {
        if !waiters.is_empty(py)? {
            text.push_str(&format!(" {name}[{}]", waiters.len(py)?));
        }
    }
    if body.unfinished.get() != 0 {
        text.push_str(&format!(" tasks={}", body.unfinished.get()));
    }
    if body.is_shutdown.get() {
        text.push_str(" shutdown");
    }
    Ok(PyString::new(py, &text).into_any())
}
