//! `SemaphoreCore`: so many holders at a time, first come first served; the base of `Semaphore` and
//! `BoundedSemaphore`.
//!
//! Counterpart: `Semaphore` in `Lib/asyncio/locks.py`.

#![forbid(unsafe_code)]

use std::cell::Cell;

use pyo3::exceptions::{PyAttributeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple, PyType};

use super::acquiring::{ACQUIRING, Acquirable, Acquire, Leave, RELEASING, acquiring_methods};
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

/// A number of free places.
#[derive(Clone, Copy)]
enum Count {
    Whole(i64),
    /// Infinity, as a rule.
    Real(f64),
}

impl Count {
    fn of(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        match value.extract::<i64>() {
            Ok(whole) => Ok(Self::Whole(whole)),
            Err(_) => value.extract().map(Self::Real),
        }
    }

    fn plus(self, difference: i8) -> Self {
        match self {
            Self::Whole(whole) => Self::Whole(whole.saturating_add(i64::from(difference))),
            Self::Real(real) => Self::Real(real + f64::from(difference)),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "only compared")]
    fn real(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Real(real) => real,
        }
    }

    fn to_object(self, py: Python<'_>) -> Returned<'_> {
        match self {
            Self::Whole(whole) => Ok(whole.into_pyobject(py)?.into_any()),
            Self::Real(real) => Ok(real.into_pyobject(py)?.into_any()),
        }
    }
}

/// The body of a semaphore.
pub struct SemaphoreBody {
    value: Cell<Count>,
    /// What `release()` may not exceed.
    bound: Cell<Option<Count>>,
    waiters: Waiters,
}

/// A native semaphore.
pub type Semaphore = Native<SemaphoreBody>;

static LAYOUT: Layout = Layout::unset();
static ACQUIRE: Layout = Layout::unset();
static LEAVE: Layout = Layout::unset();

impl Body for SemaphoreBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            value: Cell::new(Count::Whole(1)),
            bound: Cell::new(None),
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

/// Makes the types.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    coroutines::build::<Acquire<SemaphoreBody>>(py, c"aioxide._aioxide.Semaphore_acquire")?;
    coroutines::build::<Leave<SemaphoreBody>>(py, c"aioxide._aioxide.Semaphore_aexit")?;
    let mut builder = TypeBuilder::new()
        .subclassable()
        .slot(repr_slot(repr))
        .slot(setattr_slot(assigned));
    for slot in init_slots(init) {
        builder = builder.slot(slot);
    }
    acquiring_methods::<SemaphoreBody>(builder)
        .attribute(getter_setter(c"_value", value, set_value))
        .attribute(getter_setter(c"_bound_value", bound_value, set_bound_value))
        .attribute(getter_setter(c"_waiters", waiters, set_waiters))
        .attribute(getter_setter(c"_loop", event_loop, set_event_loop))
        .method(method_noargs(
            c"locked",
            c"Whether it cannot be acquired at once.",
            locked_method,
        ))
        .method(method_noargs(
            c"_wake_up_next",
            c"Gives a place to the first that waits.",
            wake_up_next_method,
        ))
        .finish::<SemaphoreBody>(
            py,
            c"aioxide.SemaphoreCore",
            c"The native base of semaphores.",
            None,
            false,
        )
}

fn init(this: &Bound<'_, Semaphore>, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    let py = this.py();
    let [value] = bind_parts("Semaphore.__init__", args, kwargs, ["value"])?;
    let value = match value {
        // What cannot be compared is refused in the words of the comparison.
        Some(value) => Count::of(&value).or_else(|error| value.lt(0).and(Err(error)))?,
        None => Count::Whole(1),
    };
    if value.real() < 0.0 {
        return Err(PyValueError::new_err("Semaphore initial value must be >= 0"));
    }
    let body = this.body();
    body.value.set(value);
    body.waiters.futures.clear();
    let plain = imports(py)?.locks.bind(py).getattr(pyo3::intern!(py, "Semaphore"))?;
    body.waiters
        .overrides
        .look(&this.get_type(), &py.get_type::<Semaphore>(), &plain, GROUPS)
}

fn assigned(this: &Bound<'_, Semaphore>, name: &Bound<'_, PyAny>) {
    this.body().waiters.overrides.assigned(name, GROUPS);
}

fn value<'py>(this: &Bound<'py, Semaphore>) -> Returned<'py> {
    this.body().value.get().to_object(this.py())
}

fn set_value(this: &Bound<'_, Semaphore>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let value = Count::of(value)?;
    this.body().value.set(value);
    Ok(())
}

fn bound_value<'py>(this: &Bound<'py, Semaphore>) -> Returned<'py> {
    match this.body().bound.get() {
        Some(bound) => bound.to_object(this.py()),
        None => Err(PyAttributeError::new_err("_bound_value")),
    }
}

fn set_bound_value(this: &Bound<'_, Semaphore>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let value = Count::of(value)?;
    this.body().bound.set(Some(value));
    Ok(())
}

/// `_waiters`: None until somebody has waited.
fn waiters<'py>(this: &Bound<'py, Semaphore>) -> Returned<'py> {
    let py = this.py();
    if !this.body().waiters.futures.was_used() {
        return Ok(py.None().into_bound(py));
    }
    this.body().waiters.share(py)
}

fn set_waiters(this: &Bound<'_, Semaphore>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    this.body().waiters.futures.assign(value);
    Ok(())
}

fn event_loop<'py>(this: &Bound<'py, Semaphore>) -> Returned<'py> {
    this.body().waiters.event_loop(this.py())
}

fn set_event_loop(this: &Bound<'_, Semaphore>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    this.body().waiters.set_event_loop(value);
    Ok(())
}

fn repr<'py>(this: &Bound<'py, Semaphore>) -> Returned<'py> {
    let state = if is_locked(this)? {
        "locked".to_owned()
    } else {
        format!("unlocked, value:{}", value(this)?)
    };
    this.body().waiters.represent(this.as_any(), &state)
}

fn locked_method<'py>(this: &Bound<'py, Semaphore>) -> Returned<'py> {
    let py = this.py();
    let body = this.body();
    let locked = body.value.get().real() == 0.0
        || body
            .waiters
            .futures
            .find(py, |waiter| Ok(!is_cancelled(waiter)?))?
            .is_some();
    Ok(PyBool::new(py, locked).to_owned().into_any())
}

/// Whether it cannot be acquired at once, as the semaphore itself says.
#[inline]
fn is_locked(this: &Bound<'_, Semaphore>) -> PyResult<bool> {
    if this.body().waiters.overrides.none(&WAKING) {
        return locked_method(this)?.is_truthy();
    }
    this.call_method0(pyo3::intern!(this.py(), "locked"))?.is_truthy()
}

fn wake_up_next_method<'py>(this: &Bound<'py, Semaphore>) -> Returned<'py> {
    let py = this.py();
    let body = this.body();
    let next = body.waiters.futures.find(py, |waiter| Ok(!is_done(waiter)?))?;
    let found = next.is_some();
    if let Some(next) = next {
        body.value.set(body.value.get().plus(-1));
        wake(&next, PyBool::new(py, true).to_owned().into_any())?;
    }
    Ok(PyBool::new(py, found).to_owned().into_any())
}

#[inline]
fn wake_up_next(this: &Bound<'_, Semaphore>) -> PyResult<bool> {
    if this.body().waiters.overrides.none(&WAKING) {
        return wake_up_next_method(this)?.is_truthy();
    }
    this.call_method0(pyo3::intern!(this.py(), "_wake_up_next"))?
        .is_truthy()
}

impl Acquirable for SemaphoreBody {
    const ACQUIRE: &'static str = "Semaphore.acquire";
    const EXIT: &'static str = "_ContextManagerMixin.__aexit__";

    fn coroutine_layouts() -> [&'static Layout; 2] {
        [&ACQUIRE, &LEAVE]
    }

    fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    #[inline]
    fn try_acquire(this: &Bound<'_, Semaphore>) -> PyResult<bool> {
        if is_locked(this)? {
            return Ok(false);
        }
        let value = &this.body().value;
        value.set(value.get().plus(-1));
        Ok(true)
    }

    fn woken(this: &Bound<'_, Semaphore>, waiter: &Bound<'_, PyAny>, error: Option<&PyErr>) -> PyResult<()> {
        let py = this.py();
        let imports = imports(py)?;
        let value = &this.body().value;
        if let Some(error) = error
            && error.is_instance(py, imports.cancelled_error.bind(py))
            && is_done(waiter)?
            && !is_cancelled(waiter)?
        {
            // It was given a place, which somebody else may have now.
            value.set(value.get().plus(1));
            if !imports.semaphores_wake_all {
                return wake_up_next(this).map(drop);
            }
        }
        if imports.semaphores_wake_all {
            while value.get().real() > 0.0 && wake_up_next(this)? {}
        } else if error.is_none() && value.get().real() > 0.0 {
            wake_up_next(this)?;
        }
        Ok(())
    }

    #[inline]
    fn release(this: &Bound<'_, Semaphore>) -> PyResult<()> {
        let body = this.body();
        if let Some(bound) = body.bound.get()
            && body.value.get().real() >= bound.real()
        {
            return Err(PyValueError::new_err("BoundedSemaphore released too many times"));
        }
        body.value.set(body.value.get().plus(1));
        wake_up_next(this).map(drop)
    }
}

/// What says whether it is free, and gives places.
const WAKING: Group = Group::new(3, &["locked", "_wake_up_next"]);
const GROUPS: &[&Group] = &[&BINDING, &ACQUIRING, &RELEASING, &WAKING];
