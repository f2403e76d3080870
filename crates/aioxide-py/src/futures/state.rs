//! The state of a future, which is also the first half of a task.
//!
//! ```text
//!   Pending --set_result / set_exception--> Finished
//!   Pending --cancel----------------------> Cancelled
//! ```
//! Counterpart: `Lib/asyncio/futures.py`, `FutureObj` in `Modules/_asynciomodule.c`.

#![forbid(unsafe_code)]

use std::cell::{Cell, OnceCell};

use pyo3::exceptions::{PyRuntimeError, PyStopIteration, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyType};

use super::callbacks::{Callback, Callbacks};
use crate::combinators;
use crate::errors::{invalid_state, loop_closed};
use crate::events::{Entry, LoopBody};
use crate::handles;
use crate::imports::imports;
use crate::object::{Body, BodyOf, Native, Owned, Slot, Visitor, as_native, compat, copy_context};

/// How far a future is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Neither done nor cancelled.
    Pending,
    /// Cancelled; no result.
    Cancelled,
    /// `outcome` holds the result.
    Result,
    /// `outcome` holds the exception.
    Exception,
}

/// A native type that is a future: `Future` itself and `Task`.
pub trait FutureLike: Body {
    /// The future's part of the body.
    fn future(&self) -> &FutureState;
}

/// The state of a future.
pub struct FutureState {
    pub state: Cell<State>,
    /// `_asyncio_future_blocking`: set by `__await__` right before it yields the future to a task.
    pub blocking: Cell<bool>,
    /// Whether an exception is still to be logged if nobody asks for it.
    pub log_traceback: Cell<bool>,
    /// Whether `__init__` found the loop in debug mode or otherwise asked for care; unused fast paths.
    pub event_loop: Slot,
    /// The result or the exception, as `state` says.
    pub outcome: Slot,
    pub callbacks: Callbacks,
    rare: OnceCell<Box<Rare>>,
}

/// What most futures never need.
#[derive(Default)]
pub struct Rare {
    /// The exception's traceback when it was set: each `result()` raises from there.
    pub exception_traceback: Slot,
    pub cancel_message: Slot,
    /// The CancelledError that ended the task, to be raised again once.
    pub cancelled_error: Slot,
    /// Where it was made, in debug mode.
    pub source_traceback: Slot,
}

impl FutureState {
    /// A future that `__init__` has not seen.
    pub fn empty() -> Self {
        Self {
            state: Cell::new(State::Pending),
            blocking: Cell::new(false),
            log_traceback: Cell::new(false),
            event_loop: Slot::empty(),
            outcome: Slot::empty(),
            callbacks: Callbacks::default(),
            rare: OnceCell::new(),
        }
    }

    /// A pending future of `event_loop`.
    #[inline]
    pub fn pending(event_loop: &Bound<'_, PyAny>) -> Self {
        let this = Self::empty();
        this.event_loop.set(Owned::new(event_loop));
        this
    }

    /// `__init__`: forgets everything and starts anew, in the given or the current loop.
    pub fn initialise(&self, py: Python<'_>, event_loop: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let event_loop = match event_loop {
            Some(event_loop) if !event_loop.is_none() => event_loop.clone(),
            _ => imports(py)?.event_loop.bind(py).call0()?,
        };
        self.state.set(State::Pending);
        self.blocking.set(false);
        self.log_traceback.set(false);
        self.outcome.clear();
        drop(self.callbacks.take());
        if let Some(rare) = self.rare.get() {
            rare.exception_traceback.clear();
            rare.cancel_message.clear();
            rare.cancelled_error.clear();
            rare.source_traceback.clear();
        }
        self.event_loop.set(Owned::new(&event_loop));
        if is_debug(&event_loop)? {
            let stack = imports(py)?.extract_stack.bind(py).call0()?;
            self.rare_mut().source_traceback.set(stack.into());
        }
        Ok(())
    }

    /// Checks that `__init__` was not called before, on versions that want it once.
    pub fn require_new(&self, this: &Bound<'_, PyAny>) -> PyResult<()> {
        if compat::INITIALISES_ONCE && !self.event_loop.is_empty() {
            let class = this.get_type().fully_qualified_name()?;
            return Err(PyRuntimeError::new_err(format!(
                "{class} object is already initialized"
            )));
        }
        Ok(())
    }

    /// The rarely used fields, made if need be.
    pub fn rare_mut(&self) -> &Rare {
        self.rare.get_or_init(Box::default)
    }

    /// The rarely used fields, if any of them was ever used.
    pub fn rare(&self) -> Option<&Rare> {
        self.rare.get().map(|rare| &**rare)
    }

    /// Whether it is done in any way.
    #[inline]
    pub fn done(&self) -> bool {
        self.state.get() != State::Pending
    }

    /// The loop.
    ///
    /// # Errors
    /// RuntimeError if `__init__` was never called.
    #[inline]
    pub fn require_loop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.event_loop
            .get(py)
            .ok_or_else(|| PyRuntimeError::new_err("Future object is not initialized."))
    }

    /// Checks that `__init__` was called.
    #[inline]
    pub fn require_initialised(&self) -> PyResult<()> {
        if self.event_loop.is_empty() {
            return Err(PyRuntimeError::new_err("Future object is not initialized."));
        }
        Ok(())
    }

    /// The CancelledError to raise for a cancelled future: the one that ended it, or a new one.
    pub fn make_cancelled_error<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let rare = self.rare.get();
        if let Some(original) = rare.and_then(|rare| rare.cancelled_error.take()) {
            return Ok(original.into_bound(py));
        }
        let class = imports(py)?.cancelled_error.bind(py);
        match rare
            .and_then(|rare| rare.cancel_message.get(py))
            .filter(|message| !message.is_none())
        {
            Some(message) => class.call1((message,)),
            None => class.call0(),
        }
    }

    /// The result, or the error that awaiting it raises.
    ///
    /// # Errors
    /// CancelledError, the future's exception, or InvalidStateError while it is pending.
    #[inline]
    pub fn result<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.state.get() {
            State::Result => {
                self.log_traceback.set(false);
                Ok(self.outcome.get_or_none(py))
            }
            _ => Err(PyErr::from_value(self.error(py)?)),
        }
    }

    /// The exception that `result()` would raise.
    #[cold]
    pub fn error<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.state.get() {
            State::Exception => {
                self.log_traceback.set(false);
                let exception = self.outcome.get_or_none(py);
                if let Some(traceback) = self.rare.get().and_then(|rare| rare.exception_traceback.get(py)) {
                    exception.setattr(pyo3::intern!(py, "__traceback__"), traceback)?;
                }
                Ok(exception)
            }
            State::Cancelled => self.make_cancelled_error(py),
            State::Pending | State::Result => Err(invalid_state(py, "Result is not set.")),
        }
    }

    /// `exception()`.
    pub fn exception<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.state.get() {
            State::Pending => Err(invalid_state(py, "Exception is not set.")),
            State::Cancelled => Err(PyErr::from_value(self.make_cancelled_error(py)?)),
            State::Result => {
                self.log_traceback.set(false);
                Ok(py.None().into_bound(py))
            }
            State::Exception => {
                self.log_traceback.set(false);
                Ok(self.outcome.get_or_none(py))
            }
        }
    }

    /// Shows what it owns to the garbage collector.
    pub fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.event_loop);
        visitor.slot(&self.outcome);
        self.callbacks.traverse(visitor);
        if let Some(rare) = self.rare.get() {
            visitor.slot(&rare.exception_traceback);
            visitor.slot(&rare.cancel_message);
            visitor.slot(&rare.cancelled_error);
            visitor.slot(&rare.source_traceback);
        }
    }

    /// Releases what it owns.
    pub fn clear(&self) {
        self.event_loop.clear();
        self.outcome.clear();
        drop(self.callbacks.take());
        if let Some(rare) = self.rare.get() {
            rare.exception_traceback.clear();
            rare.cancel_message.clear();
            rare.cancelled_error.clear();
            rare.source_traceback.clear();
        }
    }
}

/// Whether a loop is in debug mode.
#[inline]
pub fn is_debug(event_loop: &Bound<'_, PyAny>) -> PyResult<bool> {
    match as_native::<LoopBody>(event_loop) {
        Some(native) if !native.body().is_hooked() => Ok(native.body().debug.get()),
        _ => event_loop
            .call_method0(pyo3::intern!(event_loop.py(), "get_debug"))?
            .is_truthy(),
    }
}

/// Ends a future with a result.
#[inline]
pub fn set_result<B: FutureLike>(this: &Bound<'_, Native<B>>, result: Owned) -> PyResult<()> {
    let future = this.body().future();
    future.require_initialised()?;
    if future.done() {
        return Err(invalid_state(this.py(), "invalid state"));
    }
    drop(future.outcome.replace(Some(result)));
    future.state.set(State::Result);
    schedule_callbacks(this)
}

/// Ends a future with an exception, given as an instance or a class.
pub fn set_exception<B: FutureLike>(this: &Bound<'_, Native<B>>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = this.py();
    let future = this.body().future();
    future.require_initialised()?;
    if future.done() {
        return Err(invalid_state(py, "invalid state"));
    }
    let mut exception = match exception.cast::<PyType>() {
        Ok(class) if class.is_subclass_of::<pyo3::exceptions::PyBaseException>()? => class.call0()?,
        _ => exception.clone(),
    };
    if !exception.is_instance_of::<pyo3::exceptions::PyBaseException>() {
        return Err(PyTypeError::new_err("invalid exception object"));
    }
    if exception.is_instance_of::<PyStopIteration>() {
        let text = "StopIteration interacts badly with generators and cannot be raised into a Future";
        if !compat::wraps_stop_iteration(py) {
            return Err(PyTypeError::new_err(text));
        }
        let wrapper = PyRuntimeError::new_err(text).into_value(py).into_bound(py).into_any();
        wrapper.setattr("__cause__", &exception)?;
        wrapper.setattr("__context__", &exception)?;
        exception = wrapper;
    }
    // A method of a user's exception class may have come back and ended us.
    if future.done() {
        return Err(invalid_state(py, "invalid state"));
    }
    let traceback = exception.getattr(pyo3::intern!(py, "__traceback__"))?;
    if !traceback.is_none() {
        future.rare_mut().exception_traceback.set(traceback.into());
    }
    drop(future.outcome.replace(Some(exception.into())));
    future.state.set(State::Exception);
    let scheduled = schedule_callbacks(this);
    future.log_traceback.set(true);
    scheduled
}

/// Cancels a future. False if it was done already.
pub fn cancel<B: FutureLike>(this: &Bound<'_, Native<B>>, message: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
    let future = this.body().future();
    future.log_traceback.set(false);
    if future.done() {
        return Ok(false);
    }
    match message {
        Some(message) if !message.is_none() => future.rare_mut().cancel_message.set(Owned::new(message)),
        _ => {
            if let Some(rare) = future.rare() {
                rare.cancel_message.clear();
            }
        }
    }
    future.state.set(State::Cancelled);
    schedule_callbacks(this)?;
    Ok(true)
}

/// Hands every callback to the loop.
#[inline]
pub fn schedule_callbacks<B: FutureLike>(this: &Bound<'_, Native<B>>) -> PyResult<()> {
    let future = this.body().future();
    if future.callbacks.is_empty() {
        return Ok(());
    }
    let event_loop = future.require_loop(this.py())?;
    let (first, rest) = future.callbacks.take();
    for callback in first.into_iter().chain(rest) {
        schedule(&event_loop, callback, this.as_any())?;
    }
    Ok(())
}

/// Hands one callback to the loop: natively if the loop is ours and nobody replaced its `call_soon`.
#[inline]
pub fn schedule(event_loop: &Bound<'_, PyAny>, callback: Callback, future: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = event_loop.py();
    if let Some(native) = as_native::<LoopBody>(event_loop)
        && native.body().is_direct()
    {
        let native = native.body();
        if native.closed.get() {
            return Err(loop_closed());
        }
        match callback.context {
            None if combinators::hears(callback.callable.bind(py)) => {
                native.push(Entry::Child(callback.callable, Owned::new(future)));
            }
            None => native.push(Entry::Task(callback.callable)),
            Some(context) => {
                let handle = handles::for_callback(event_loop, callback.callable, future, context)?;
                native.push(Entry::Handle(handle));
            }
        }
        return Ok(());
    }
    let (callable, context) = as_python(py, callback)?;
    let keywords = pyo3::types::PyDict::new(py);
    keywords.set_item("context", context)?;
    event_loop.call_method(pyo3::intern!(py, "call_soon"), (callable, future), Some(&keywords))?;
    Ok(())
}

/// A callback as Python sees it: a callable and a context.
pub fn as_python<'py>(py: Python<'py>, callback: Callback) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    match callback.context {
        Some(context) => Ok((callback.callable.into_bound(py), context.into_bound(py))),
        None => {
            let task = callback.callable.into_bound(py);
            if let Some(listener) = combinators::as_callable(&task)? {
                return Ok((listener, copy_context(py)?.into_bound(py)));
            }
            let context = crate::tasks::context_of(&task)?;
            Ok((crate::tasks::wakeup_of(&task)?, context))
        }
    }
}

/// `add_done_callback`: now if it is done, else when it will be.
pub fn add_done_callback<B: FutureLike>(
    this: &Bound<'_, Native<B>>,
    callable: &Bound<'_, PyAny>,
    context: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let future = this.body().future();
    let event_loop = future.require_loop(this.py())?;
    let context = match context {
        Some(context) if !context.is_none() => Owned::new(context),
        _ => copy_context(this.py())?,
    };
    let callback = Callback {
        callable: Owned::new(callable),
        context: Some(context),
    };
    if future.done() {
        return schedule(&event_loop, callback, this.as_any());
    }
    future.callbacks.push(callback);
    Ok(())
}

/// `remove_done_callback`: how many were equal to `callable` and are gone.
pub fn remove_done_callback<B: FutureLike>(
    this: &Bound<'_, Native<B>>,
    callable: &Bound<'_, PyAny>,
) -> PyResult<usize> {
    let py = this.py();
    let future = this.body().future();
    future.require_initialised()?;
    // `__eq__` may run Python that changes the list: compare copies, then drop what was found equal.
    let mut equal = Vec::new();
    for callback in future.callbacks.snapshot(py) {
        let (seen, _context) = as_python(py, callback.clone())?;
        if seen.eq(callable)? {
            equal.push(callback);
        }
    }
    if equal.is_empty() {
        return Ok(0);
    }
    let before = future.callbacks.snapshot(py);
    let count = before.len();
    let kept: Vec<Callback> = before
        .into_iter()
        .filter(|one| !equal.iter().any(|gone| same(gone, one)))
        .collect();
    let removed = count - kept.len();
    drop(future.callbacks.replace(kept));
    Ok(removed)
}

fn same(left: &Callback, right: &Callback) -> bool {
    let pointer = |context: &Option<Owned>| context.as_ref().map(Owned::as_ptr);
    left.callable.as_ptr() == right.callable.as_ptr() && pointer(&left.context) == pointer(&right.context)
}

/// `_callbacks`: a list of (callback, context), or None.
pub fn callbacks_list<'py, B: FutureLike>(this: &Bound<'py, Native<B>>) -> PyResult<Bound<'py, PyAny>> {
    let py = this.py();
    let all = this.body().future().callbacks.snapshot(py);
    if all.is_empty() {
        return Ok(py.None().into_bound(py));
    }
    let list = PyList::empty(py);
    for callback in all {
        list.append(as_python(py, callback)?)?;
    }
    Ok(list.into_any())
}
