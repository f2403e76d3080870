//! Native coroutines: what `await reader.read(10)` awaits, with no Python frame.
//!
//! An [`Operation`] is what such a coroutine does between its suspensions; `Coroutine<O>` gives it a coroutine's
//! face (`send`, `throw`, `close`, `__await__`), so that `iscoroutine`, `create_task` and `wait_for` accept it.
//!
//! ```text
//!   New --send--> Running --Next::Return, an error--> Finished
//!                  │   ▲
//!        Next::Yield   send, throw, close
//!        Next::Await   │
//!        Next::Delegate│
//!                  ▼   │
//!                 Suspended
//! ```
//! Invariant: `awaited` holds an object only while `Waiting` (a future) or `Delegating` (an iterator).
//! Counterpart: `Objects/genobject.c`. Differs from a coroutine of Python: there is no `cr_frame` and no
//! `cr_code`, since there is no frame.

#![forbid(unsafe_code)]

use std::cell::Cell;

use pyo3::exceptions::{PyGeneratorExit, PyRuntimeError, PyRuntimeWarning, PyStopIteration, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};

use crate::events::LoopBody;
use crate::futures::{self, FutureBody, FutureLike};
use crate::imports::imports;
use crate::object::{
    self, Args, Body, BodyOf, Layout, Native, Owned, Resumed, Returned, Sent, Slot, TypeBuilder, Visitor, as_exact,
    as_native, await_slot, compat, create, finalize_slot, getter, iter_slot, method, method_noargs, method_one,
    repr_slot, resume_slots,
};
use crate::tasks::TaskBody;

/// What a native coroutine does between its suspensions.
///
/// Its fields are cells and slots, like those of a [`Body`]: user code that runs in the middle may look at the
/// coroutine.
pub trait Operation: Sized + 'static {
    /// What the coroutine is called in reprs and warnings: `StreamReader.read`.
    const NAME: &'static str;

    /// Where its type is written down.
    fn layout() -> &'static Layout;

    /// An operation that nothing is known of.
    fn empty() -> Self;

    /// Runs up to the first suspension.
    ///
    /// # Errors
    /// What the coroutine raises.
    fn start<'py>(this: &Bound<'py, Coroutine<Self>>) -> PyResult<Next<'py>>;

    /// Goes on with the result of what was awaited, or with what it raised or was thrown in: a cancellation
    /// arrives here as `Err(CancelledError)`, and `GeneratorExit` if the coroutine is given up.
    ///
    /// # Errors
    /// What the coroutine raises.
    fn resumed<'py>(this: &Bound<'py, Coroutine<Self>>, outcome: PyResult<Bound<'py, PyAny>>) -> PyResult<Next<'py>>;

    /// Shows what it owns to the garbage collector.
    fn traverse(&self, visitor: &mut Visitor<'_>);

    /// Releases what it owns. Called when the coroutine has finished, too.
    fn clear(&self);
}

/// What an operation does next.
pub enum Next<'py> {
    /// It has ended with this result.
    Return(Bound<'py, PyAny>),
    /// It lets other tasks run once, as `sleep(0)` does.
    Yield,
    /// It awaits a future (native or not) of the running loop.
    Await(Bound<'py, PyAny>),
    /// It awaits through this iterator; see [`iterator_of`].
    Delegate(Bound<'py, PyAny>),
}

/// How far a coroutine is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    New,
    Running,
    /// Suspended by a bare yield.
    Yielded,
    /// Suspended in a future.
    Waiting,
    /// Suspended in another awaitable.
    Delegating,
    Finished,
}

/// The body of a native coroutine.
pub struct CoroutineBody<O> {
    progress: Cell<Progress>,
    awaited: Slot,
    operation: O,
}

/// A native coroutine.
pub type Coroutine<O> = Native<CoroutineBody<O>>;

impl<O: Operation> Body for CoroutineBody<O> {
    fn layout() -> &'static Layout {
        O::layout()
    }

    fn empty() -> Self {
        Self {
            progress: Cell::new(Progress::Finished),
            awaited: Slot::empty(),
            operation: O::empty(),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.awaited);
        self.operation.traverse(visitor);
    }

    fn clear(&self) {
        self.awaited.clear();
        self.operation.clear();
    }

    fn needs_finalize(&self) -> bool {
        self.progress.get() != Progress::Finished
    }

    fn finalize(this: &Bound<'_, Native<Self>>) {
        let py = this.py();
        let ended = if this.body().progress.get() == Progress::New {
            warn_never_awaited::<O>(py)
        } else {
            close(this).map(drop)
        };
        if let Err(error) = ended {
            error.write_unraisable(py, Some(this.as_any()));
        }
    }
}

impl<O: Operation> CoroutineBody<O> {
    /// What the coroutine is about.
    #[inline]
    pub fn operation(&self) -> &O {
        &self.operation
    }
}

/// Makes the coroutine of an operation.
#[inline]
pub fn coroutine<O: Operation>(py: Python<'_>, operation: O) -> Returned<'_> {
    let body = CoroutineBody {
        progress: Cell::new(Progress::New),
        awaited: Slot::empty(),
        operation,
    };
    Ok(create(py, body)?.into_any())
}

/// Makes the type of an operation's coroutines. `name` is the type's, dotted.
pub fn build<'py, O: Operation>(py: Python<'py>, name: &'static std::ffi::CStr) -> PyResult<Bound<'py, PyType>> {
    let mut builder = TypeBuilder::new()
        .slot(await_slot(itself::<O>))
        .slot(iter_slot(itself::<O>))
        .slot(repr_slot(repr::<O>))
        .slot(finalize_slot::<CoroutineBody<O>>());
    for slot in resume_slots(resume::<O>) {
        builder = builder.slot(slot);
    }
    builder
        .method(method_one(c"send", c"Resumes the coroutine.", send::<O>))
        .method(method(
            c"throw",
            c"Raises an exception where the coroutine waits.",
            throw::<O>,
        ))
        .method(method_noargs(c"close", c"Gives the coroutine up.", close::<O>))
        .attribute(getter(c"__name__", name_of::<O>))
        .attribute(getter(c"__qualname__", name_of::<O>))
        .attribute(getter(c"cr_running", running::<O>))
        .finish::<CoroutineBody<O>>(py, name, c"A native coroutine: awaitable once.", None, false)
}

/// A pending future of `event_loop`, for an operation to wait for.
#[inline]
pub fn waiter<'py>(event_loop: &Bound<'py, PyAny>) -> Returned<'py> {
    if as_native::<LoopBody>(event_loop).is_some() {
        return Ok(create(event_loop.py(), FutureBody::pending(event_loop))?.into_any());
    }
    event_loop.call_method0(pyo3::intern!(event_loop.py(), "create_future"))
}

/// What `await awaitable` iterates over.
///
/// # Errors
/// TypeError if it cannot be awaited, with the interpreter's words.
pub fn iterator_of<'py>(awaitable: &Bound<'py, PyAny>) -> Returned<'py> {
    let py = awaitable.py();
    if awaitable.is_exact_instance(imports(py)?.coroutine.bind(py)) || is_iterable_coroutine(awaitable)? {
        return Ok(awaitable.clone());
    }
    let class = awaitable.get_type();
    match class.getattr_opt(pyo3::intern!(py, "__await__"))? {
        Some(method) if !method.is_none() => method.call1((awaitable,)),
        _ => {
            let (before, after) = compat::NOT_AWAITABLE;
            Err(PyTypeError::new_err(format!("{before}{}{after}", class.name()?)))
        }
    }
}

/// A generator that `types.coroutine` marked.
fn is_iterable_coroutine(awaitable: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = awaitable.py();
    if !awaitable.is_exact_instance(imports(py)?.generator.bind(py)) {
        return Ok(false);
    }
    let flags: u32 = awaitable.getattr("gi_code")?.getattr("co_flags")?.extract()?;
    Ok(flags & CO_ITERABLE_COROUTINE != 0)
}

fn itself<'py, O: Operation>(this: &Bound<'py, Coroutine<O>>) -> Returned<'py> {
    Ok(this.clone().into_any())
}

fn resume<'py, O: Operation>(this: &Bound<'py, Coroutine<O>>) -> PyResult<Resumed<'py>> {
    let body = this.body();
    let next = match body.progress.replace(Progress::Running) {
        Progress::New => O::start(this),
        Progress::Yielded => O::resumed(this, Ok(this.py().None().into_bound(this.py()))),
        Progress::Waiting => match body.awaited.take() {
            Some(future) => O::resumed(this, result_of(&future.into_bound(this.py()))),
            None => Err(reused()),
        },
        Progress::Delegating => return resume_inner(this),
        Progress::Running => return Err(running_already()),
        Progress::Finished => {
            body.progress.set(Progress::Finished);
            return Err(reused());
        }
    };
    drive(this, next)
}

/// Acts on what the operation wants, until it is suspended or has ended.
#[inline]
fn drive<'py, O: Operation>(this: &Bound<'py, Coroutine<O>>, mut next: PyResult<Next<'py>>) -> PyResult<Resumed<'py>> {
    let body = this.body();
    loop {
        match next {
            Err(error) => {
                end(this);
                return Err(not_stop_iteration(this.py(), error));
            }
            Ok(Next::Return(value)) => {
                end(this);
                return Ok(Resumed::Returned(value));
            }
            Ok(Next::Yield) => {
                body.progress.set(Progress::Yielded);
                return Ok(Resumed::Yielded(this.py().None().into_bound(this.py())));
            }
            Ok(Next::Await(future)) => match block_on(&future) {
                Ok(Blocks::UntilDone) => {
                    body.awaited.set(Owned::new(&future));
                    body.progress.set(Progress::Waiting);
                    return Ok(Resumed::Yielded(future));
                }
                Ok(Blocks::Not) => next = O::resumed(this, result_of(&future)),
                Err(error) => next = O::resumed(this, Err(error)),
            },
            Ok(Next::Delegate(iterator)) => {
                body.awaited.set(Owned::new(&iterator));
                match object::send(&iterator) {
                    Sent::Yielded(value) => {
                        body.progress.set(Progress::Delegating);
                        return Ok(Resumed::Yielded(value));
                    }
                    sent => next = O::resumed(this, inner_ended(this, sent)),
                }
            }
        }
    }
}

fn resume_inner<'py, O: Operation>(this: &Bound<'py, Coroutine<O>>) -> PyResult<Resumed<'py>> {
    let body = this.body();
    let Some(iterator) = body.awaited.get(this.py()) else {
        body.progress.set(Progress::Finished);
        return Err(reused());
    };
    match object::send(&iterator) {
        Sent::Yielded(value) => {
            body.progress.set(Progress::Delegating);
            Ok(Resumed::Yielded(value))
        }
        sent => drive(this, O::resumed(this, inner_ended(this, sent))),
    }
}

/// What an awaited iterator ended with.
fn inner_ended<'py, O: Operation>(this: &Bound<'py, Coroutine<O>>, sent: Sent<'py>) -> PyResult<Bound<'py, PyAny>> {
    this.body().awaited.clear();
    match sent {
        Sent::Yielded(value) | Sent::Returned(value) => Ok(value),
        Sent::Raised(exception) => Err(PyErr::from_value(exception)),
    }
}

/// Whether a future is worth suspending for.
enum Blocks {
    UntilDone,
    Not,
}

/// Tells a future that it is awaited, as its own `__await__` does.
#[inline]
fn block_on(future: &Bound<'_, PyAny>) -> PyResult<Blocks> {
    let state = |state: &futures::FutureState| {
        if state.done() {
            return Blocks::Not;
        }
        state.blocking.set(true);
        Blocks::UntilDone
    };
    if let Some(native) = as_native::<FutureBody>(future) {
        return Ok(state(native.body().future()));
    }
    if let Some(task) = as_native::<TaskBody>(future) {
        return Ok(state(task.body().future()));
    }
    if future.call_method0("done")?.is_truthy()? {
        return Ok(Blocks::Not);
    }
    future.setattr("_asyncio_future_blocking", true)?;
    Ok(Blocks::UntilDone)
}

/// The result of an awaited future.
#[inline]
fn result_of<'py>(future: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = future.py();
    let state = |state: &futures::FutureState| {
        if !state.done() {
            return Err(PyRuntimeError::new_err("await wasn't used with future"));
        }
        state.result(py)
    };
    if let Some(native) = as_exact::<FutureBody>(future) {
        return state(native.body().future());
    }
    if let Some(task) = as_exact::<TaskBody>(future) {
        return state(task.body().future());
    }
    if !future.call_method0("done")?.is_truthy()? {
        return Err(PyRuntimeError::new_err("await wasn't used with future"));
    }
    future.call_method0("result")
}

fn end<O: Operation>(this: &Bound<'_, Coroutine<O>>) {
    this.body().progress.set(Progress::Finished);
    this.body().clear();
}

fn send<'py, O: Operation>(this: &Bound<'py, Coroutine<O>>, value: &Bound<'py, PyAny>) -> Returned<'py> {
    if this.body().progress.get() == Progress::New && !value.is_none() {
        return Err(PyTypeError::new_err(
            "can't send non-None value to a just-started coroutine",
        ));
    }
    as_yielded(resume(this)?)
}

/// A yielded value is returned, a returned one raised as StopIteration: what `send()` and `throw()` do.
fn as_yielded(resumed: Resumed<'_>) -> Returned<'_> {
    match resumed {
        Resumed::Yielded(value) => Ok(value),
        Resumed::Returned(value) => Err(futures::stop_iteration(&value)?),
    }
}

fn throw<'py, O: Operation>(this: &Bound<'py, Coroutine<O>>, args: Args<'_, 'py>) -> Returned<'py> {
    let error = futures::thrown(args)?;
    as_yielded(throw_in(this, error)?)
}

fn throw_in<'py, O: Operation>(this: &Bound<'py, Coroutine<O>>, error: PyErr) -> PyResult<Resumed<'py>> {
    let py = this.py();
    let body = this.body();
    match body.progress.replace(Progress::Running) {
        Progress::New => {
            end(this);
            Err(error)
        }
        Progress::Yielded | Progress::Waiting => {
            body.awaited.clear();
            drive(this, O::resumed(this, Err(error)))
        }
        Progress::Delegating => {
            let Some(iterator) = body.awaited.get(py) else {
                end(this);
                return Err(error);
            };
            let outcome = if error.is_instance_of::<PyGeneratorExit>(py) {
                // As the interpreter does: the inner one is closed, then the outer one sees the exit.
                body.awaited.clear();
                match iterator.getattr_opt("close")? {
                    Some(close) => close.call0().and(Err(error)),
                    None => Err(error),
                }
            } else {
                match object::throw(&iterator, error.value(py)) {
                    Sent::Yielded(value) => {
                        body.progress.set(Progress::Delegating);
                        return Ok(Resumed::Yielded(value));
                    }
                    sent => inner_ended(this, sent),
                }
            };
            drive(this, O::resumed(this, outcome))
        }
        Progress::Running => Err(running_already()),
        Progress::Finished => {
            body.progress.set(Progress::Finished);
            Err(reused())
        }
    }
}

fn close<'py, O: Operation>(this: &Bound<'py, Coroutine<O>>) -> Returned<'py> {
    let py = this.py();
    let none = py.None().into_bound(py);
    match this.body().progress.get() {
        Progress::New | Progress::Finished => {
            end(this);
            return Ok(none);
        }
        Progress::Running => return Err(running_already()),
        Progress::Yielded | Progress::Waiting | Progress::Delegating => {}
    }
    match throw_in(this, PyGeneratorExit::new_err(())) {
        Ok(Resumed::Yielded(_)) => Err(PyRuntimeError::new_err("coroutine ignored GeneratorExit")),
        Ok(Resumed::Returned(_)) => Ok(none),
        Err(error) if error.is_instance_of::<PyGeneratorExit>(py) => Ok(none),
        Err(error) => Err(error),
    }
}

/// A StopIteration that comes out of a coroutine would look like its result (PEP 479).
#[inline]
fn not_stop_iteration(py: Python<'_>, error: PyErr) -> PyErr {
    if !error.is_instance_of::<PyStopIteration>(py) {
        return error;
    }
    let replacement = PyRuntimeError::new_err("coroutine raised StopIteration");
    replacement.set_cause(py, Some(error));
    replacement
}

#[cold]
fn reused() -> PyErr {
    PyRuntimeError::new_err("cannot reuse already awaited coroutine")
}

#[cold]
fn running_already() -> PyErr {
    PyValueError::new_err("coroutine already executing")
}

#[cold]
fn warn_never_awaited<O: Operation>(py: Python<'_>) -> PyResult<()> {
    let text = std::ffi::CString::new(format!("coroutine '{}' was never awaited", O::NAME))?;
    PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), &text, 1)
}

fn name_of<'py, O: Operation>(this: &Bound<'py, Coroutine<O>>) -> Returned<'py> {
    Ok(PyString::new(this.py(), O::NAME).into_any())
}

fn running<'py, O: Operation>(this: &Bound<'py, Coroutine<O>>) -> Returned<'py> {
    let running = this.body().progress.get() == Progress::Running;
    Ok(pyo3::types::PyBool::new(this.py(), running).to_owned().into_any())
}

fn repr<'py, O: Operation>(this: &Bound<'py, Coroutine<O>>) -> Returned<'py> {
    let text = format!("<coroutine object {} at {:#x}>", O::NAME, this.as_ptr() as usize);
    Ok(PyString::new(this.py(), &text).into_any())
}

/// `inspect.CO_ITERABLE_COROUTINE`: what `types.coroutine` sets on a generator function's code.
const CO_ITERABLE_COROUTINE: u32 = 0x100;
