//! What `_ready` and `_scheduled` show, and change: the queues of the engine, for the base class and for
//! those who look at them from Python. The views themselves are Python classes.

#![forbid(unsafe_code)]

use pyo3::prelude::*;
use pyo3::types::PyList;

use super::{Entry, Loop};
use crate::object::{BodyOf, Owned, Returned, TypeBuilder, method_noargs, method_one};

/// Adds the methods.
pub fn view_methods(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method_noargs(
            c"_ready_list",
            c"The tasks and handles in the ready queue, in order.",
            ready_list,
        ))
        .method(method_noargs(
            c"_ready_pop",
            c"Takes the first out of the ready queue; None if it is empty.",
            ready_pop,
        ))
        .method(method_one(
            c"_ready_append",
            c"Appends a handle to the ready queue.",
            ready_append,
        ))
        .method(method_noargs(c"_ready_clear", c"Empties the ready queue.", ready_clear))
        .method(method_noargs(
            c"_timer_list",
            c"The timer handles, in no order; a sleep() shows its future.",
            timer_list,
        ))
        .method(method_noargs(c"_timer_clear", c"Forgets every timer.", timer_clear))
}

fn ready_list<'py>(this: &Bound<'py, Loop>) -> Returned<'py> {
    let py = this.py();
    let objects: Vec<_> = match this.body().io().ok() {
        Some(io) => io
            .engine
            .borrow()
            .ready
            .iter()
            .map(|entry| entry.object().bind(py).clone())
            .collect(),
        None => Vec::new(),
    };
    Ok(PyList::new(py, objects)?.into_any())
}

fn ready_pop<'py>(this: &Bound<'py, Loop>) -> Returned<'py> {
    let py = this.py();
    this.body().show_queued(py);
    let entry = this.body().io()?.engine.borrow_mut().pop();
    Ok(entry.map_or_else(|| py.None().into_bound(py), |entry| entry.object().bind(py).clone()))
}

fn ready_append<'py>(this: &Bound<'py, Loop>, handle: &Bound<'py, PyAny>) -> Returned<'py> {
    this.body().push(Entry::Handle(Owned::new(handle)));
    Ok(this.py().None().into_bound(this.py()))
}

fn ready_clear<'py>(this: &Bound<'py, Loop>) -> Returned<'py> {
    if let Ok(io) = this.body().io() {
        this.body().show_queued(this.py());
        let released: Vec<Entry> = io.engine.borrow_mut().ready.drain(..).collect();
        drop(released);
    }
    Ok(this.py().None().into_bound(this.py()))
}

fn timer_list<'py>(this: &Bound<'py, Loop>) -> Returned<'py> {
    let py = this.py();
    let objects: Vec<_> = match this.body().io().ok() {
        Some(io) => io
            .engine
            .borrow()
            .timers
            .iter()
            .map(|(_, entry)| entry.object().bind(py).clone())
            .collect(),
        None => Vec::new(),
    };
    Ok(PyList::new(py, objects)?.into_any())
}

fn timer_clear<'py>(this: &Bound<'py, Loop>) -> Returned<'py> {
    if let Ok(io) = this.body().io() {
        this.body().show_queued(this.py());
        let released = io.engine.borrow_mut().timers.clear();
        drop(released);
    }
    Ok(this.py().None().into_bound(this.py()))
}
