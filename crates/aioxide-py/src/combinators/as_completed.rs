//! `as_completed()`: the results of several awaitables in the order in which they come.
//!
//! One object is both iterators: the plain one gives coroutines, each of which returns the next result; the
//! asynchronous one, which CPython has from 3.13 on and we on every version, gives the futures themselves.
//!
//! Invariant: what has ended and was not handed out is in `ended`, a queue, in order; what has not is in `todo`.
//! Before 3.13 asyncio's is a generator: nothing begins before the first `next()`.

#![forbid(unsafe_code)]

use std::cell::Cell;

use pyo3::exceptions::{PyStopAsyncIteration, PyTimeoutError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PySet, PyType};

use super::distinct::{Distinct, Seen};
use super::listeners::{as_callable, future_state};
use super::timer::Timer;
use crate::coroutines::{self, Coroutine, Next, Operation, coroutine, iterator_of};
use crate::events::LoopBody;
use crate::futures::{self, Callback, FutureState};
use crate::imports::imports;
use crate::object::{
    Args, Body, BodyOf, Layout, Native, Owned, Resumed, Returned, Slot, TypeBuilder, Visitor, aiter_slot, anext_slot,
    as_native, compat, create, iter_slot, resume_slots,
};
use crate::queues;
use crate::tasks;

/// The body of the iterator.
pub struct CompletionsBody {
    awaitables: Slot,
    timeout: Slot,
    progress: Cell<Progress>,
    /// Those that were not heard of.
    todo: Distinct,
    /// A queue.
    ended: Slot,
    /// How many are still to be handed out.
    left: Cell<usize>,
    timer: Timer,
    /// Who waits, from 3.14 on.
    task: Slot,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    New,
    Begun,
}

/// What `as_completed()` returns.
pub type Completions = Native<CompletionsBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for CompletionsBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            awaitables: Slot::empty(),
            timeout: Slot::empty(),
            progress: Cell::new(Progress::New),
            todo: Distinct::default(),
            ended: Slot::empty(),
            left: Cell::new(0),
            timer: Timer::new(),
            task: Slot::empty(),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        for slot in [&self.awaitables, &self.timeout, &self.ended, &self.task] {
            visitor.slot(slot);
        }
        self.todo.traverse(visitor);
        self.timer.traverse(visitor);
    }

    fn clear(&self) {
        for slot in [&self.awaitables, &self.timeout, &self.ended, &self.task] {
            slot.clear();
        }
        drop(self.todo.take());
        self.timer.clear();
    }
}

/// Makes the types.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    coroutines::build::<One>(py, c"aioxide._aioxide.as_completed_coroutine")?;
    let mut builder = TypeBuilder::new()
        .slot(iter_slot(itself))
        .slot(aiter_slot(itself))
        .slot(anext_slot(anext));
    for slot in resume_slots(next) {
        builder = builder.slot(slot);
    }
    builder.finish::<CompletionsBody>(
        py,
        c"aioxide._aioxide._AsCompletedIterator",
        c"What as_completed() returns: an iterator and an asynchronous iterator.",
        None,
        false,
    )
}

/// `as_completed(fs, *, timeout=None)`.
///
/// # Errors
/// TypeError if it is given one awaitable instead of several; before 3.13, when it is iterated over.
pub fn as_completed<'py>(args: Args<'_, 'py>) -> Returned<'py> {
    let py = args.py();
    let [awaitables, timeout] = args.bind("as_completed", ["fs", "timeout"], 1, 1)?;
    let body = CompletionsBody::empty();
    if let Some(awaitables) = awaitables {
        body.awaitables.set(Owned::new(awaitables));
    }
    if let Some(timeout) = timeout {
        body.timeout.set(Owned::new(timeout));
    }
    let this = create(py, body)?;
    if !compat::AS_COMPLETED_IS_LAZY {
        begin(&this)?;
    }
    Ok(this.into_any())
}

fn begin(this: &Bound<'_, Completions>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    body.progress.set(Progress::Begun);
    let given = body.awaitables.get_or_none(py);
    body.awaitables.clear();
    require_several(&given)?;
    let event_loop = imports(py)?.event_loop.bind(py).call0()?;
    let plain = match as_native::<LoopBody>(&event_loop) {
        Some(native) if native.body().makes_plain_tasks() => native.body().require_open().map(|()| true)?,
        _ => false,
    };
    let futures = futures_of(&given, &event_loop, plain)?;
    body.ended
        .set(imports(py)?.queues.bind(py).getattr("Queue")?.call0()?.into());
    if compat::TASKS_ARE_PUBLISHED
        && let Some(task) = tasks::stepping_task(py)?
    {
        body.task.set(Owned::new(&task));
    }
    for future in &futures {
        body.todo.add(future);
        listen(this, future, &event_loop)?;
    }
    if !futures.is_empty() {
        body.timer.set(&event_loop, &body.timeout.get_or_none(py), this)?;
    }
    body.left.set(futures.len());
    Ok(())
}

/// The futures of what was given, each once: itself, or a task for a coroutine.
fn futures_of<'py>(
    given: &Bound<'py, PyAny>,
    event_loop: &Bound<'py, PyAny>,
    plain: bool,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let py = given.py();
    let given = given.try_iter()?.collect::<PyResult<Vec<_>>>()?;
    let is_ours = |given: &Bound<'py, PyAny>| future_state(given, |state| state.event_loop.is(event_loop));
    if given
        .iter()
        .all(|given| is_ours(given).unwrap_or_else(|| plain && tasks::is_plain_coroutine(given)))
    {
        let mut seen = Seen::of(&given);
        let mut futures = Vec::with_capacity(given.len());
        for (index, given) in given.iter().enumerate() {
            if seen.before(given, index).is_some() {
                continue;
            }
            futures.push(if is_ours(given).is_some() {
                given.clone()
            } else {
                tasks::create_task(event_loop, given, &tasks::Parts::default())?.into_any()
            });
        }
        return Ok(futures);
    }
    // What is the same is for their classes to say.
    let keywords = PyDict::new(py);
    keywords.set_item("loop", event_loop)?;
    let ensure_future = imports(py)?.ensure_future.bind(py);
    let futures = PySet::empty(py)?;
    for awaitable in PySet::new(py, given)?.iter() {
        futures.add(ensure_future.call((awaitable,), Some(&keywords))?)?;
    }
    Ok(futures.iter().collect())
}

fn require_several(given: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = given.py();
    let (one, text) = if compat::AS_COMPLETED_IS_LAZY {
        let iscoroutine = imports(py)?.iscoroutine.bind(py).call1((given,))?.is_truthy()?;
        let isfuture = py.import("asyncio.futures")?.call_method1("isfuture", (given,))?;
        (iscoroutine || isfuture.is_truthy()?, "expect an iterable of futures")
    } else {
        let isawaitable = py.import("inspect")?.call_method1("isawaitable", (given,))?;
        (isawaitable.is_truthy()?, "expects an iterable of awaitables")
    };
    if one {
        let text = format!("{text}, not {}", given.get_type().name()?);
        return Err(PyTypeError::new_err(text));
    }
    Ok(())
}

fn listen<'py>(
    this: &Bound<'py, Completions>,
    future: &Bound<'py, PyAny>,
    event_loop: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = this.py();
    let native = as_native::<LoopBody>(event_loop).is_some_and(|native| native.body().is_direct());
    if native && future_state(future, |state| state.event_loop.is(event_loop)) == Some(true) {
        let callback = Callback {
            callable: Owned::new(this.as_any()),
            context: None,
        };
        if future_state(future, FutureState::done) == Some(true) {
            futures::schedule(event_loop, callback, future)?;
        } else {
            future_state(future, |state| state.callbacks.push(callback));
        }
    } else {
        future.call_method1("add_done_callback", (as_callable(this)?,))?;
    }
    if let Some(task) = this.body().task.get(py) {
        imports(py)?.add_to_awaited_by.bind(py).call1((future, task))?;
    }
    Ok(())
}

/// A future has ended, or time is up.
///
/// # Errors
/// Of the queue.
pub fn told(this: &Bound<'_, Completions>, child: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    let ended = body.ended.get_or_none(py);
    if child.is(this) {
        for future in body.todo.take() {
            let future = future.bind(py);
            if future_state(future, |state| state.callbacks.forget(this)).is_none() {
                future.call_method1("remove_done_callback", (as_callable(this)?,))?;
            }
            awaited_no_more(this, future)?;
            queues::put_nowait(ended.cast()?, &py.None().into_bound(py))?;
        }
        return Ok(());
    }
    if !body.todo.remove(child) {
        // Time was up first.
        return Ok(());
    }
    awaited_no_more(this, child)?;
    queues::put_nowait(ended.cast()?, child)?;
    if body.todo.is_empty() {
        body.timer.cancel(py)?;
    }
    Ok(())
}

fn awaited_no_more(this: &Bound<'_, Completions>, future: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = this.py();
    let Some(task) = this.body().task.get(py) else {
        return Ok(());
    };
    let discard = imports(py)?.discard_from_awaited_by.bind(py);
    discard.call1((future, task)).map(drop)
}

fn itself<'py>(this: &Bound<'py, Completions>) -> Returned<'py> {
    Ok(this.clone().into_any())
}

/// Takes one of those that are left; false if there is none.
fn take(this: &Bound<'_, Completions>) -> PyResult<bool> {
    let body = this.body();
    if body.progress.get() == Progress::New {
        begin(this)?;
    }
    let left = body.left.get();
    body.left.set(left.saturating_sub(1));
    Ok(left > 0)
}

fn next<'py>(this: &Bound<'py, Completions>) -> PyResult<Resumed<'py>> {
    let py = this.py();
    if !take(this)? {
        return Ok(Resumed::Returned(py.None().into_bound(py)));
    }
    one(this, Gives::Result).map(Resumed::Yielded)
}

fn anext<'py>(this: &Bound<'py, Completions>) -> Returned<'py> {
    one(this, Gives::Future)
}

fn one<'py>(this: &Bound<'py, Completions>, gives: Gives) -> Returned<'py> {
    let operation = One {
        completions: Slot::new(Owned::new(this.as_any())),
        gives: Cell::new(gives),
    };
    coroutine(this.py(), operation)
}

/// The wait for the next one that ends.
struct One {
    completions: Slot,
    gives: Cell<Gives>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gives {
    /// The result, for plain iteration.
    Result,
    /// The future, for asynchronous iteration.
    Future,
}

static ONE: Layout = Layout::unset();

impl Operation for One {
    const NAME: &'static str = if compat::AS_COMPLETED_IS_LAZY {
        "as_completed.<locals>._wait_for_one"
    } else {
        "_AsCompletedIterator._wait_for_one"
    };

    fn layout() -> &'static Layout {
        &ONE
    }

    fn empty() -> Self {
        Self {
            completions: Slot::empty(),
            gives: Cell::new(Gives::Result),
        }
    }

    fn start<'py>(this: &Bound<'py, Coroutine<Self>>) -> PyResult<Next<'py>> {
        let py = this.py();
        let operation = this.body().operation();
        let completions = operation.completions.get_or_none(py);
        let completions = completions.cast::<Completions>()?;
        if operation.gives.get() == Gives::Future && !take(completions)? {
            return Err(PyStopAsyncIteration::new_err(()));
        }
        let ended = completions.body().ended.get_or_none(py);
        let queue = ended.cast()?;
        if !queues::is_empty(queue)? {
            return operation.give(&queues::get_nowait(queue)?);
        }
        let getting = queue.call_method0(pyo3::intern!(py, "get"))?;
        Ok(Next::Delegate(iterator_of(&getting)?))
    }

    fn resumed<'py>(this: &Bound<'py, Coroutine<Self>>, outcome: PyResult<Bound<'py, PyAny>>) -> PyResult<Next<'py>> {
        this.body().operation().give(&outcome?)
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.completions);
    }

    fn clear(&self) {
        self.completions.clear();
    }
}

impl One {
    fn give<'py>(&self, ended: &Bound<'py, PyAny>) -> PyResult<Next<'py>> {
        if ended.is_none() {
            return Err(PyTimeoutError::new_err(()));
        }
        if self.gives.get() == Gives::Future {
            return Ok(Next::Return(ended.clone()));
        }
        let py = ended.py();
        let result = future_state(ended, |state| state.result(py));
        result.unwrap_or_else(|| ended.call_method0("result")).map(Next::Return)
    }
}
