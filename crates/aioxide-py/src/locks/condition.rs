//! `ConditionCore`: waits, with a lock released meanwhile, until somebody notifies.
//!
//! `locked`, `acquire` and `release` are attributes of the instance, as in asyncio: the methods of its lock. While that
//! is one of ours and nobody has replaced the three, they are bypassed.
//!
//! Invariant: `Lock::Ours` only while `lock` is exactly an `aioxide.Lock`.
//! Counterpart: `Condition` in `Lib/asyncio/locks.py`.

#![forbid(unsafe_code)]

use std::cell::Cell;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString, PyTuple, PyType};

use super::acquiring::{ACQUIRING, Acquirable, Acquire, Answer, Leave, RELEASING};
use super::condition_waiting::{self, Wait, WaitFor};
use super::lock::{Lock, LockBody};
use super::waiters::{BINDING, Waiters};
use crate::coroutines::coroutine;
use crate::handles::bind_parts;
use crate::imports::imports;
use crate::mixins::{is_done, wake};
use crate::object::{
    Args, Body, BodyOf, Layout, Native, Owned, Returned, Slot, TypeBuilder, Visitor, as_native, getter_setter,
    init_slots, method, method_noargs, method_one, repr_slot, setattr_slot,
};
use crate::overrides::Group;

/// The body of a condition.
pub struct ConditionBody {
    lock: Slot,
    kind: Cell<Kind>,
    pub waiters: Waiters,
}

/// How the lock is spoken to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Natively.
    Ours,
    /// Through `locked`, `acquire` and `release`.
    Foreign,
}

/// A native condition.
pub type Condition = Native<ConditionBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for ConditionBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            lock: Slot::empty(),
            kind: Cell::new(Kind::Foreign),
            waiters: Waiters::new(),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.lock);
        self.waiters.traverse(visitor);
    }

    fn clear(&self) {
        self.lock.clear();
        self.waiters.clear();
    }
}

impl ConditionBody {
    /// Whether neither the lock nor a method was replaced.
    pub fn is_plain(&self, py: Python<'_>) -> bool {
        let overrides = &self.waiters.overrides;
        GROUPS.iter().all(|group| overrides.none(group)) && self.native_lock(py).is_some()
    }

    /// The lock, if it may be spoken to natively.
    #[inline]
    pub fn native_lock<'py>(&self, py: Python<'py>) -> Option<Bound<'py, Lock>> {
        if self.kind.get() == Kind::Foreign {
            return None;
        }
        let lock = self.lock.get(py)?;
        let lock = as_native::<LockBody>(&lock)?;
        let overrides = &lock.body().waiters().overrides;
        (overrides.none(&ACQUIRING) && overrides.none(&RELEASING)).then(|| lock.clone())
    }
}

/// Makes the types.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    condition_waiting::build(py)?;
    let mut builder = TypeBuilder::new()
        .subclassable()
        .slot(repr_slot(repr))
        .slot(setattr_slot(assigned));
    for slot in init_slots(init) {
        builder = builder.slot(slot);
    }
    builder
        .attribute(getter_setter(c"_lock", lock, set_lock))
        .attribute(getter_setter(c"_waiters", waiters, set_waiters))
        .attribute(getter_setter(c"_loop", event_loop, set_event_loop))
        .method(method_noargs(c"__aenter__", c"Acquires the lock.", enter))
        .method(method(c"__aexit__", c"Releases the lock.", exit))
        .method(method_noargs(
            c"wait",
            c"Releases the lock, waits for a notification, acquires the lock again.",
            wait,
        ))
        .method(method(
            c"wait_for",
            c"Waits until a predicate is true; returns its value.",
            |this, args| wait_for(this, args.one("wait_for", "predicate")?),
        ))
        .method(method(c"notify", c"Wakes up to n of those who wait.", notify))
        .method(method_noargs(c"notify_all", c"Wakes all who wait.", notify_all))
        .method(method_one(
            c"_notify",
            c"Wakes up to n of those who wait, whoever has the lock.",
            notify_anyway,
        ))
        .method(method_noargs(c"_get_loop", c"The loop it is bound to.", get_loop))
        .finish::<ConditionBody>(
            py,
            c"aioxide.ConditionCore",
            c"The native base of Condition.",
            None,
            false,
        )
}

fn init(this: &Bound<'_, Condition>, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    let py = this.py();
    let [lock] = bind_parts("Condition.__init__", args, kwargs, ["lock"])?;
    let locks = imports(py)?.locks.bind(py);
    let ours = locks.getattr(pyo3::intern!(py, "Lock"))?;
    let lock = match lock {
        Some(lock) if !lock.is_none() => lock,
        _ => ours.call0()?,
    };
    let body = this.body();
    for name in CAPTURED {
        this.setattr(*name, lock.getattr(*name)?)?;
    }
    body.waiters.futures.clear();
    body.kind.set(if lock.get_type().is(&ours) {
        Kind::Ours
    } else {
        Kind::Foreign
    });
    body.lock.set(lock.into());
    let plain = locks.getattr(pyo3::intern!(py, "Condition"))?;
    body.waiters
        .overrides
        .look(&this.get_type(), &py.get_type::<Condition>(), &plain, GROUPS)
}

fn assigned(this: &Bound<'_, Condition>, name: &Bound<'_, PyAny>) {
    this.body().waiters.overrides.assigned(name, GROUPS);
    if let Ok(name) = name.cast::<PyString>()
        && let Ok(name) = name.to_cow()
        && CAPTURED.contains(&name.as_ref())
    {
        this.body().kind.set(Kind::Foreign);
    }
}

fn lock<'py>(this: &Bound<'py, Condition>) -> Returned<'py> {
    Ok(this.body().lock.get_or_none(this.py()))
}

fn set_lock(this: &Bound<'_, Condition>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    // The methods in use stay those of the lock before, as in asyncio.
    this.body().kind.set(Kind::Foreign);
    this.body().lock.set(Owned::new(value));
    Ok(())
}

fn waiters<'py>(this: &Bound<'py, Condition>) -> Returned<'py> {
    this.body().waiters.share(this.py())
}

fn set_waiters(this: &Bound<'_, Condition>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    this.body().waiters.futures.assign(value);
    Ok(())
}

fn event_loop<'py>(this: &Bound<'py, Condition>) -> Returned<'py> {
    this.body().waiters.event_loop(this.py())
}

fn set_event_loop(this: &Bound<'_, Condition>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    this.body().waiters.set_event_loop(value);
    Ok(())
}

fn get_loop<'py>(this: &Bound<'py, Condition>) -> Returned<'py> {
    this.body().waiters.bound.running_loop(this.as_any())
}

fn repr<'py>(this: &Bound<'py, Condition>) -> Returned<'py> {
    let state = if is_locked(this)? { "locked" } else { "unlocked" };
    this.body().waiters.represent(this.as_any(), state)
}

/// Whether somebody has the lock.
#[inline]
fn is_locked(this: &Bound<'_, Condition>) -> PyResult<bool> {
    match this.body().native_lock(this.py()) {
        Some(lock) => Ok(lock.body().is_locked()),
        None => this.call_method0(pyo3::intern!(this.py(), "locked"))?.is_truthy(),
    }
}

/// Checks that somebody has the lock.
///
/// # Errors
/// RuntimeError if nobody has; what `locked()` raises.
#[inline]
pub fn require_locked(this: &Bound<'_, Condition>, what: &str) -> PyResult<()> {
    if is_locked(this)? {
        return Ok(());
    }
    Err(PyRuntimeError::new_err(format!("cannot {what} on un-acquired lock")))
}

/// Releases the lock.
///
/// # Errors
/// What `release()` raises.
#[inline]
pub fn release(this: &Bound<'_, Condition>) -> PyResult<()> {
    match this.body().native_lock(this.py()) {
        Some(lock) => LockBody::release(&lock),
        None => this.call_method0(pyo3::intern!(this.py(), "release")).map(drop),
    }
}

fn enter<'py>(this: &Bound<'py, Condition>) -> Returned<'py> {
    let py = this.py();
    match this.body().native_lock(py) {
        Some(lock) => coroutine(py, Acquire::of(&lock, Answer::None)),
        None => imports(py)?
            .context_manager_mixin
            .bind(py)
            .call_method1(pyo3::intern!(py, "__aenter__"), (this,)),
    }
}

fn exit<'py>(this: &Bound<'py, Condition>, args: Args<'_, 'py>) -> Returned<'py> {
    let py = this.py();
    let parts = args.bind("__aexit__", ["exc_type", "exc", "tb"], 3, 3)?;
    match this.body().native_lock(py) {
        Some(lock) => coroutine(py, Leave::of(&lock)),
        None => {
            let [kind, exception, traceback] = parts;
            imports(py)?
                .context_manager_mixin
                .bind(py)
                .call_method1(pyo3::intern!(py, "__aexit__"), (this, kind, exception, traceback))
        }
    }
}

/// `wait()`.
///
/// # Errors
/// If there is no memory.
pub fn wait<'py>(this: &Bound<'py, Condition>) -> Returned<'py> {
    coroutine(this.py(), Wait::of(this))
}

fn wait_for<'py>(this: &Bound<'py, Condition>, predicate: &Bound<'py, PyAny>) -> Returned<'py> {
    coroutine(this.py(), WaitFor::of(this, predicate))
}

fn notify<'py>(this: &Bound<'py, Condition>, args: Args<'_, 'py>) -> Returned<'py> {
    let py = this.py();
    let [limit] = args.bind("notify", ["n"], 1, 0)?;
    require_locked(this, "notify")?;
    let limit = match limit {
        Some(limit) => limit.clone(),
        None => 1_i32.into_pyobject(py)?.into_any(),
    };
    if this.body().waiters.overrides.none(&PASSING_ON) {
        return notify_anyway(this, &limit);
    }
    this.call_method1(pyo3::intern!(py, "_notify"), (limit,))?;
    Ok(py.None().into_bound(py))
}

/// `notify_all()`.
///
/// # Errors
/// RuntimeError if nobody has the lock.
pub fn notify_all<'py>(this: &Bound<'py, Condition>) -> Returned<'py> {
    let py = this.py();
    let overrides = &this.body().waiters.overrides;
    let all = this.body().waiters.futures.len(py)?;
    if overrides.none(&NOTIFYING) && overrides.none(&PASSING_ON) {
        require_locked(this, "notify")?;
        wake_some(this, |woken| Ok(woken >= all))?;
    } else {
        this.call_method1(pyo3::intern!(py, "notify"), (all,))?;
    }
    Ok(py.None().into_bound(py))
}

fn notify_anyway<'py>(this: &Bound<'py, Condition>, limit: &Bound<'py, PyAny>) -> Returned<'py> {
    match limit.extract::<usize>() {
        Ok(limit) => wake_some(this, |woken| Ok(woken >= limit))?,
        // A negative number, infinity, whatever can be compared.
        Err(_) => wake_some(this, |woken| woken.into_pyobject(limit.py())?.ge(limit))?,
    }
    Ok(this.py().None().into_bound(this.py()))
}

/// Wakes those who wait, until as many are woken as is `enough`.
fn wake_some(this: &Bound<'_, Condition>, enough: impl Fn(usize) -> PyResult<bool>) -> PyResult<()> {
    let py = this.py();
    let mut woken = 0;
    this.body().waiters.futures.find(py, |waiter| {
        if enough(woken)? {
            return Ok(true);
        }
        if !is_done(waiter)? {
            woken += 1;
            wake(waiter, PyBool::new(py, false).to_owned().into_any())?;
        }
        Ok(false)
    })?;
    Ok(())
}

/// Lets another waiter go on, in the place of one that fails after it may have been notified.
///
/// # Errors
/// What a replaced `_notify()` raises.
pub fn pass_on(this: &Bound<'_, Condition>) -> PyResult<()> {
    let py = this.py();
    if this.body().waiters.overrides.none(&PASSING_ON) {
        return wake_some(this, |woken| Ok(woken >= 1));
    }
    this.call_method1(pyo3::intern!(py, "_notify"), (1,)).map(drop)
}

/// What `notify_all()` calls.
const NOTIFYING: Group = Group::new(1, &["notify"]);
/// What `notify()` calls.
const PASSING_ON: Group = Group::new(2, &["_notify"]);
const GROUPS: &[&Group] = &[&BINDING, &NOTIFYING, &PASSING_ON];
/// Taken from the lock when the condition is made.
const CAPTURED: &[&str] = &["locked", "acquire", "release"];
