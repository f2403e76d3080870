//! `QueueCore`: its state and the methods that do not wait.
//!
//! Invariant: while nobody has replaced a method, a getter waits only if there is no item, a putter only if the queue
//! is full; or it was woken and has not run yet.

#![forbid(unsafe_code)]

use std::cell::Cell;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple, PyType};

use super::storage::{self, Discipline};
use super::{attributes, waiting};
use crate::deque::Deque;
use crate::handles::bind_parts;
use crate::imports::imports;
use crate::mixins::{LoopBound, is_done, wake};
use crate::object::{
    Args, Body, BodyOf, Layout, Native, Owned, Returned, Slot, TypeBuilder, Visitor, call_method_one, init_slots,
    method, method_noargs, method_one, setattr_slot,
};
use crate::overrides::{Group, Overrides};

/// The body of a queue.
pub struct QueueBody {
    pub items: Deque,
    pub getters: Deque,
    pub putters: Deque,
    /// `maxsize` as it was given.
    pub given_maxsize: Slot,
    /// How many items fill it; None if it is never full.
    pub capacity: Cell<Option<usize>>,
    /// Items that `task_done()` was not called for.
    pub unfinished: Cell<i64>,
    /// The Event that `join()` waits for, made when somebody wants it: set while nothing is unfinished.
    pub finished: Slot,
    pub is_shutdown: Cell<bool>,
    pub discipline: Cell<Discipline>,
    pub bound: LoopBound,
    pub overrides: Overrides,
}

/// A native queue.
pub type Queue = Native<QueueBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for QueueBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            items: Deque::new(),
            getters: Deque::new(),
            putters: Deque::new(),
            given_maxsize: Slot::empty(),
            capacity: Cell::new(None),
            unfinished: Cell::new(0),
            finished: Slot::empty(),
            is_shutdown: Cell::new(false),
            discipline: Cell::new(Discipline::Fifo),
            bound: LoopBound::new(),
            overrides: Overrides::unknown(),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        for deque in [&self.items, &self.getters, &self.putters] {
            deque.traverse(visitor);
        }
        for slot in [&self.given_maxsize, &self.finished, &self.bound.event_loop] {
            visitor.slot(slot);
        }
    }

    fn clear(&self) {
        for deque in [&self.items, &self.getters, &self.putters] {
            deque.clear();
        }
        for slot in [&self.given_maxsize, &self.finished, &self.bound.event_loop] {
            slot.clear();
        }
    }
}

/// Makes the types.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    waiting::build_coroutines(py)?;
    let mut builder = TypeBuilder::new().subclassable().slot(setattr_slot(assigned));
    for slot in init_slots(init) {
        builder = builder.slot(slot);
    }
    builder = waiting::waiting_methods(builder);
    builder = attributes::attributes(builder);
    builder
        .method(method_noargs(c"qsize", c"The number of items.", qsize))
        .method(method_noargs(c"empty", c"Whether there is no item.", empty))
        .method(method_noargs(c"full", c"Whether there are maxsize items.", full))
        .method(method(
            c"put_nowait",
            c"Adds an item, or raises QueueFull.",
            put_nowait_method,
        ))
        .method(method_noargs(
            c"get_nowait",
            c"Takes an item out, or raises QueueEmpty.",
            get_nowait,
        ))
        .method(method_noargs(
            c"task_done",
            c"Says that an item which was taken out is dealt with.",
            task_done,
        ))
        .method(method(c"shutdown", c"Lets no more items in.", shutdown))
        .method(method_one(c"_init", c"Begins with no items.", init_items))
        .method(method_one(c"_put", c"Keeps an item.", put_item))
        .method(method_noargs(c"_get", c"Takes an item out.", get_item))
        .method(method_one(
            c"_wakeup_next",
            c"Wakes the first that waits.",
            wakeup_next_method,
        ))
        .finish::<QueueBody>(py, c"aioxide.QueueCore", c"The native base of queues.", None, false)
}

fn init(this: &Bound<'_, Queue>, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    let class = this.get_type();
    let native = py.get_type::<Queue>();
    let discipline = Discipline::of(&class)?;
    body.discipline.set(discipline);
    // Not worth a comparison of methods for the three classes; a subclass of theirs is looked at.
    let plain = imports(py)?.queues.bind(py).getattr(pyo3::intern!(py, "PLAIN"))?;
    let plain = if plain.contains(&class)? {
        class.clone().into_any()
    } else {
        py.None().into_bound(py)
    };
    body.overrides.look(&class, &native, &plain, GROUPS)?;
    let [maxsize] = bind_parts("Queue.__init__", args, kwargs, ["maxsize"])?;
    let maxsize = match maxsize {
        Some(maxsize) => maxsize,
        None => 0_i32.into_pyobject(py)?.into_any(),
    };
    attributes::set_maxsize(this, &maxsize)?;
    body.getters.clear();
    body.putters.clear();
    body.unfinished.set(0);
    body.finished.clear();
    body.is_shutdown.set(false);
    storage::initialise(this, &maxsize)
}

fn assigned(this: &Bound<'_, Queue>, name: &Bound<'_, PyAny>) {
    this.body().overrides.assigned(name, GROUPS);
    if !this.body().overrides.none(&KEEPING) {
        this.body().discipline.set(Discipline::Custom);
    }
}

fn none(py: Python<'_>) -> Bound<'_, PyAny> {
    py.None().into_bound(py)
}

fn boolean(py: Python<'_>, value: bool) -> Returned<'_> {
    Ok(PyBool::new(py, value).to_owned().into_any())
}

fn qsize<'py>(this: &Bound<'py, Queue>) -> Returned<'py> {
    Ok(this.body().items.len(this.py())?.into_pyobject(this.py())?.into_any())
}

fn empty<'py>(this: &Bound<'py, Queue>) -> Returned<'py> {
    boolean(this.py(), this.body().items.is_empty(this.py())?)
}

fn full<'py>(this: &Bound<'py, Queue>) -> Returned<'py> {
    let py = this.py();
    let Some(capacity) = this.body().capacity.get() else {
        return boolean(py, false);
    };
    if this.body().overrides.none(&COUNTING) {
        return boolean(py, this.body().items.len(py)? >= capacity);
    }
    let maxsize = this.body().given_maxsize.get_or_none(py);
    if maxsize.le(0)? {
        return boolean(py, false);
    }
    let size = this.call_method0(pyo3::intern!(py, "qsize"))?;
    boolean(py, size.ge(maxsize)?)
}

/// Whether there is no item, as the queue itself says.
#[inline]
pub fn is_empty(this: &Bound<'_, Queue>) -> PyResult<bool> {
    if this.body().overrides.none(&COUNTING) {
        return this.body().items.is_empty(this.py());
    }
    this.call_method0(pyo3::intern!(this.py(), "empty"))?.is_truthy()
}

/// Whether no item can be added, as the queue itself says.
#[inline]
pub fn is_full(this: &Bound<'_, Queue>) -> PyResult<bool> {
    if this.body().overrides.none(&COUNTING) {
        return match this.body().capacity.get() {
            Some(capacity) => Ok(this.body().items.len(this.py())? >= capacity),
            None => Ok(false),
        };
    }
    this.call_method0(pyo3::intern!(this.py(), "full"))?.is_truthy()
}

/// Wakes the first of the waiters that was not cancelled, as the queue itself does it.
#[inline]
pub fn wakeup_next(this: &Bound<'_, Queue>, waiters: &Deque) -> PyResult<()> {
    let py = this.py();
    if !this.body().overrides.none(&WAKING) {
        let shared = waiters.share(imports(py)?.deque.bind(py))?;
        return call_method_one(this.as_any(), pyo3::intern!(py, "_wakeup_next"), &shared).map(drop);
    }
    while let Some(waiter) = waiters.pop_front(py)? {
        if !is_done(&waiter)? {
            return wake(&waiter, none(py));
        }
    }
    Ok(())
}

fn wakeup_next_method<'py>(this: &Bound<'py, Queue>, waiters: &Bound<'py, PyAny>) -> Returned<'py> {
    let py = this.py();
    while waiters.is_truthy()? {
        let waiter = waiters.call_method0(pyo3::intern!(py, "popleft"))?;
        if !is_done(&waiter)? {
            wake(&waiter, none(py))?;
            break;
        }
    }
    Ok(none(py))
}

/// The exception of this name.
#[cold]
fn refused(py: Python<'_>, name: &str) -> PyErr {
    let class = imports(py).and_then(|imports| imports.queues.bind(py).getattr(name));
    class
        .and_then(|class| class.call0())
        .map_or_else(|error| error, PyErr::from_value)
}

/// Raises QueueShutDown if the queue was shut down.
#[inline]
pub fn require_running(this: &Bound<'_, Queue>) -> PyResult<()> {
    if this.body().is_shutdown.get() {
        return Err(refused(this.py(), "QueueShutDown"));
    }
    Ok(())
}

fn put_nowait_method<'py>(this: &Bound<'py, Queue>, args: Args<'_, 'py>) -> Returned<'py> {
    put_nowait(this, waiting::item_in("put_nowait", &args)?)?;
    Ok(none(this.py()))
}

/// `put_nowait()`.
///
/// # Errors
/// QueueShutDown, QueueFull.
#[inline]
pub fn put_nowait<'py>(this: &Bound<'py, Queue>, item: &Bound<'py, PyAny>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    require_running(this)?;
    if is_full(this)? {
        return Err(refused(py, "QueueFull"));
    }
    storage::store(this, item)?;
    body.unfinished.set(body.unfinished.get().saturating_add(1));
    if let Some(finished) = body.finished.get(py) {
        finished.call_method0(pyo3::intern!(py, "clear"))?;
    }
    wakeup_next(this, &body.getters)
}

/// `get_nowait()`.
///
/// # Errors
/// QueueEmpty; QueueShutDown if nothing will come any more.
#[inline]
pub fn get_nowait<'py>(this: &Bound<'py, Queue>) -> Returned<'py> {
    if is_empty(this)? {
        require_running(this)?;
        return Err(refused(this.py(), "QueueEmpty"));
    }
    let item = storage::take(this)?;
    wakeup_next(this, &this.body().putters)?;
    Ok(item)
}

fn task_done<'py>(this: &Bound<'py, Queue>) -> Returned<'py> {
    let body = this.body();
    if body.unfinished.get() <= 0 {
        return Err(PyValueError::new_err("task_done() called too many times"));
    }
    body.unfinished.set(body.unfinished.get() - 1);
    if body.unfinished.get() == 0 {
        finish(this)?;
    }
    Ok(none(this.py()))
}

/// Lets those go on who wait in `join()`.
fn finish(this: &Bound<'_, Queue>) -> PyResult<()> {
    match this.body().finished.get(this.py()) {
        Some(finished) => finished.call_method0(pyo3::intern!(this.py(), "set")).map(drop),
        None => Ok(()),
    }
}

/// The Event that is set while nothing is unfinished.
pub fn finished<'py>(this: &Bound<'py, Queue>) -> Returned<'py> {
    let py = this.py();
    let body = this.body();
    if let Some(finished) = body.finished.get(py) {
        return Ok(finished);
    }
    let finished = imports(py)?.queues.bind(py).call_method0("Finished")?;
    if body.unfinished.get() == 0 {
        finished.call_method0("set")?;
    }
    body.finished.set(Owned::new(&finished));
    Ok(finished)
}

fn shutdown<'py>(this: &Bound<'py, Queue>, args: Args<'_, 'py>) -> Returned<'py> {
    let py = this.py();
    let body = this.body();
    let [immediate] = args.bind("shutdown", ["immediate"], 1, 0)?;
    body.is_shutdown.set(true);
    if let Some(immediate) = immediate
        && immediate.is_truthy()?
    {
        while !is_empty(this)? {
            drop(storage::take(this)?);
            body.unfinished.set((body.unfinished.get() - 1).max(0));
        }
        if body.unfinished.get() == 0 {
            finish(this)?;
        }
    }
    for waiters in [&body.getters, &body.putters] {
        while let Some(waiter) = waiters.pop_front(py)? {
            if !is_done(&waiter)? {
                wake(&waiter, none(py))?;
            }
        }
    }
    Ok(none(py))
}

fn init_items<'py>(this: &Bound<'py, Queue>, _maxsize: &Bound<'py, PyAny>) -> Returned<'py> {
    this.body().items.clear();
    Ok(none(this.py()))
}

fn put_item<'py>(this: &Bound<'py, Queue>, item: &Bound<'py, PyAny>) -> Returned<'py> {
    this.body().items.push(item)?;
    Ok(none(this.py()))
}

fn get_item<'py>(this: &Bound<'py, Queue>) -> Returned<'py> {
    let taken = this.body().items.pop_front(this.py())?;
    taken.ok_or_else(|| pyo3::exceptions::PyIndexError::new_err("pop from an empty deque"))
}

/// What says how many items there are.
pub const COUNTING: Group = Group::new(0, &["qsize", "empty", "full"]);
/// What keeps the items; told apart by `Discipline`.
const KEEPING: Group = Group::new(1, &["_put", "_get"]);
/// What `put()` ends with.
pub const PUTTING: Group = Group::new(2, &["put_nowait"]);
/// What `get()` ends with.
pub const GETTING: Group = Group::new(3, &["get_nowait"]);
/// What wakes a waiter.
const WAKING: Group = Group::new(4, &["_wakeup_next"]);
/// What binds the queue to a loop.
pub const BINDING: Group = Group::new(5, &["_get_loop"]);
const GROUPS: &[&Group] = &[&COUNTING, &PUTTING, &GETTING, &WAKING, &BINDING, &KEEPING];
