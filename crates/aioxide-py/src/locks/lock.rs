//! `LockCore`: one holder at a time, first come first served.
//!
//! Invariant: while it is free and somebody waits, the first of them has been woken, or was cancelled.
//! Counterpart: `Lock` in `Lib/asyncio/locks.py`.

#![forbid(unsafe_code)]

use std::cell::Cell;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple, PyType};

use super::acquiring::{ACQUIRING, Acquirable, Acquire, Leave, acquiring_methods};
use super::waiters::{BINDING, Waiters};
use crate::coroutines;
use crate::handles::bind_parts;
use crate::imports::imports;
use crate::mixins::{is_cancelled, is_done, wake};
use crate::object::{
    Body, BodyOf, Layout, Native, Returned, TypeBuilder, Visitor, getter_setter, init_slots, method_noargs, repr_slot,
    setattr_slot,
};
use crate::overrides::Group;

/// The body of a lock.
pub struct LockBody {
    locked: Cell<bool>,
    waiters: Waiters,
}

/// A native lock.
pub type Lock = Native<LockBody>;

static LAYOUT: Layout = Layout::unset();
static ACQUIRE: Layout = Layout::unset();
static LEAVE: Layout = Layout::unset();

impl Body for LockBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            locked: Cell::new(false),
            waiters: Waiters::new(),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        self.waiters.traverse(visitor);
    }

    fn clear(&self) {
        self.waiters.clear();
    }
}

impl LockBody {
    /// Whether somebody holds it.
    #[inline]
    pub fn is_locked(&self) -> bool {
        self.locked.get()
    }
}

/// Makes the types.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    coroutines::build::<Acquire<LockBody>>(py, c"aioxide._aioxide.Lock_acquire")?;
    coroutines::build::<Leave<LockBody>>(py, c"aioxide._aioxide.Lock_aexit")?;
    let mut builder = TypeBuilder::new()
        .subclassable()
        .slot(repr_slot(repr))
        .slot(setattr_slot(assigned));
    for slot in init_slots(init) {
        builder = builder.slot(slot);
    }
    acquiring_methods::<LockBody>(builder)
        .attribute(getter_setter(c"_locked", locked, set_locked))
        .attribute(getter_setter(c"_waiters", waiters, set_waiters))
        .attribute(getter_setter(c"_loop", event_loop, set_event_loop))
        .method(method_noargs(c"locked", c"Whether somebody holds it.", locked))
        .method(method_noargs(
            c"_wake_up_first",
            c"Wakes the first that waits.",
            wake_up_first_method,
        ))
        .finish::<LockBody>(py, c"aioxide.LockCore", c"The native base of Lock.", None, false)
}

fn init(this: &Bound<'_, Lock>, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    let py = this.py();
    let [] = bind_parts("Lock.__init__", args, kwargs, [])?;
    let body = this.body();
    body.locked.set(false);
    body.waiters.futures.clear();
    let plain = imports(py)?.locks.bind(py).getattr(pyo3::intern!(py, "Lock"))?;
    body.waiters
        .overrides
        .look(&this.get_type(), &py.get_type::<Lock>(), &plain, GROUPS)
}

fn assigned(this: &Bound<'_, Lock>, name: &Bound<'_, PyAny>) {
    this.body().waiters.overrides.assigned(name, GROUPS);
}

fn locked<'py>(this: &Bound<'py, Lock>) -> Returned<'py> {
    Ok(PyBool::new(this.py(), this.body().locked.get()).to_owned().into_any())
}

fn set_locked(this: &Bound<'_, Lock>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let value = value.is_truthy()?;
    this.body().locked.set(value);
    Ok(())
}

/// `_waiters`: None until somebody has waited.
fn waiters<'py>(this: &Bound<'py, Lock>) -> Returned<'py> {
    let py = this.py();
    if !this.body().waiters.futures.was_used() {
        return Ok(py.None().into_bound(py));
    }
    this.body().waiters.share(py)
}

fn set_waiters(this: &Bound<'_, Lock>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    this.body().waiters.futures.assign(value);
    Ok(())
}

fn event_loop<'py>(this: &Bound<'py, Lock>) -> Returned<'py> {
    this.body().waiters.event_loop(this.py())
}

fn set_event_loop(this: &Bound<'_, Lock>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    this.body().waiters.set_event_loop(value);
    Ok(())
}

fn repr<'py>(this: &Bound<'py, Lock>) -> Returned<'py> {
    let state = if this.body().locked.get() { "locked" } else { "unlocked" };
    this.body().waiters.represent(this.as_any(), state)
}

fn wake_up_first_method<'py>(this: &Bound<'py, Lock>) -> Returned<'py> {
    let py = this.py();
    let first = this.body().waiters.futures.find(py, |_| Ok(true))?;
    if let Some(first) = first
        && !is_done(&first)?
    {
        wake(&first, PyBool::new(py, true).to_owned().into_any())?;
    }
    Ok(py.None().into_bound(py))
}

#[inline]
fn wake_up_first(this: &Bound<'_, Lock>) -> PyResult<()> {
    if this.body().waiters.overrides.none(&WAKING) {
        return wake_up_first_method(this).map(drop);
    }
    this.call_method0(pyo3::intern!(this.py(), "_wake_up_first")).map(drop)
}

impl Acquirable for LockBody {
    const ACQUIRE: &'static str = "Lock.acquire";
    const EXIT: &'static str = "_ContextManagerMixin.__aexit__";

    fn coroutine_layouts() -> [&'static Layout; 2] {
        [&ACQUIRE, &LEAVE]
    }

    fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    #[inline]
    fn try_acquire(this: &Bound<'_, Lock>) -> PyResult<bool> {
        let body = this.body();
        if body.locked.get() {
            return Ok(false);
        }
        let waiting = body
            .waiters
            .futures
            .find(this.py(), |other| Ok(!is_cancelled(other)?))?;
        if waiting.is_some() {
            return Ok(false);
        }
        body.locked.set(true);
        Ok(true)
    }

    #[inline]
    fn woken(this: &Bound<'_, Lock>, _waiter: &Bound<'_, PyAny>, error: Option<&PyErr>) -> PyResult<()> {
        let py = this.py();
        match error {
            None => {
                this.body().locked.set(true);
                Ok(())
            }
            Some(error) if error.is_instance(py, imports(py)?.cancelled_error.bind(py)) => {
                if this.body().locked.get() {
                    return Ok(());
                }
                wake_up_first(this)
            }
            Some(_) => Ok(()),
        }
    }

    #[inline]
    fn release(this: &Bound<'_, Lock>) -> PyResult<()> {
        if !this.body().locked.replace(false) {
            return Err(PyRuntimeError::new_err("Lock is not acquired."));
        }
        wake_up_first(this)
    }
}

/// What wakes a waiter.
const WAKING: Group = Group::new(3, &["_wake_up_first"]);
const GROUPS: &[&Group] = &[&BINDING, &ACQUIRING, &super::acquiring::RELEASING, &WAKING];
