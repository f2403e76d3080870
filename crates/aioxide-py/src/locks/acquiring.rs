//! The coroutines of locks and semaphores: `acquire()`, `__aenter__()`, `__aexit__()`.
//!
//! # Cancellation
//! Who waits leaves the list of waiters; the lock decides what becomes of a wake-up that it had got already.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::marker::PhantomData;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyBool;

use super::waiters::Waiters;
use crate::coroutines::{Coroutine, Next, Operation, coroutine, iterator_of};
use crate::object::{
    Args, Body, BodyOf, Layout, Native, Owned, Returned, Slot, TypeBuilder, Visitor, as_native, method, method_noargs,
};
use crate::overrides::Group;

/// What can be acquired.
pub trait Acquirable: Body {
    /// What its coroutines are called.
    const ACQUIRE: &'static str;
    /// What leaving it is called.
    const EXIT: &'static str;

    /// Where the types of its coroutines are written down: acquiring, leaving.
    fn coroutine_layouts() -> [&'static Layout; 2];

    /// Who waits for it.
    fn waiters(&self) -> &Waiters;

    /// Takes it, if it is free and it is nobody else's turn.
    ///
    /// # Errors
    /// Of foreign waiters.
    fn try_acquire(this: &Bound<'_, Native<Self>>) -> PyResult<bool>;

    /// A waiter was woken, or its wait has ended with an error; it has left the others.
    ///
    /// # Errors
    /// Of foreign waiters.
    fn woken(this: &Bound<'_, Native<Self>>, waiter: &Bound<'_, PyAny>, error: Option<&PyErr>) -> PyResult<()>;

    /// Releases it.
    ///
    /// # Errors
    /// If it was not acquired.
    fn release(this: &Bound<'_, Native<Self>>) -> PyResult<()>;
}

/// Adds the methods.
pub fn acquiring_methods<B: Acquirable>(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method_noargs(
            c"acquire",
            c"Acquires it, waiting if need be.",
            acquire::<B>,
        ))
        .method(method_noargs(c"release", c"Releases it.", release::<B>))
        .method(method_noargs(c"__aenter__", c"Acquires it.", enter::<B>))
        .method(method(c"__aexit__", c"Releases it.", exit::<B>))
        .method(method_noargs(c"_get_loop", c"The loop it is bound to.", get_loop::<B>))
}

fn acquire<'py, B: Acquirable>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    coroutine(this.py(), Acquire::of(this, Answer::True))
}

fn enter<'py, B: Acquirable>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    coroutine(this.py(), Acquire::of(this, Answer::None))
}

fn exit<'py, B: Acquirable>(this: &Bound<'py, Native<B>>, args: Args<'_, 'py>) -> Returned<'py> {
    if !matches!(args.only_positional(), Some([_, _, _])) {
        args.bind("__aexit__", ["exc_type", "exc", "tb"], 3, 3)?;
    }
    coroutine(this.py(), Leave::of(this))
}

fn release<'py, B: Acquirable>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    B::release(this)?;
    Ok(this.py().None().into_bound(this.py()))
}

fn get_loop<'py, B: Acquirable>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    this.body().waiters().bound.running_loop(this.as_any())
}

#[inline]
fn lock_in<'py, B: Acquirable>(slot: &Slot, py: Python<'py>) -> PyResult<Bound<'py, Native<B>>> {
    let gone = || PyRuntimeError::new_err("the lock is gone");
    let lock = slot.get(py).ok_or_else(gone)?;
    as_native::<B>(&lock).cloned().ok_or_else(gone)
}

/// What acquiring returns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// `acquire()`.
    True,
    /// `__aenter__()`.
    None,
}

/// `acquire()` and `__aenter__()`.
pub struct Acquire<B> {
    lock: Slot,
    waiter: Slot,
    answer: Cell<Answer>,
    _body: PhantomData<B>,
}

impl<B: Acquirable> Acquire<B> {
    /// Of a lock.
    #[inline]
    pub fn of(lock: &Bound<'_, Native<B>>, answer: Answer) -> Self {
        Self {
            lock: Slot::new(Owned::new(lock.as_any())),
            waiter: Slot::empty(),
            answer: Cell::new(answer),
            _body: PhantomData,
        }
    }

    #[inline]
    fn acquired<'py>(&self, py: Python<'py>) -> Next<'py> {
        Next::Return(match self.answer.get() {
            Answer::True => PyBool::new(py, true).to_owned().into_any(),
            Answer::None => py.None().into_bound(py),
        })
    }
}

impl<B: Acquirable> Operation for Acquire<B> {
    const NAME: &'static str = B::ACQUIRE;

    fn layout() -> &'static Layout {
        let [acquire, _] = B::coroutine_layouts();
        acquire
    }

    fn empty() -> Self {
        Self {
            lock: Slot::empty(),
            waiter: Slot::empty(),
            answer: Cell::new(Answer::True),
            _body: PhantomData,
        }
    }

    #[inline]
    fn start<'py>(this: &Bound<'py, Coroutine<Self>>) -> PyResult<Next<'py>> {
        let py = this.py();
        let operation = this.body().operation();
        let lock = lock_in::<B>(&operation.lock, py)?;
        if operation.answer.get() == Answer::None && !lock.body().waiters().overrides.none(&ACQUIRING) {
            let acquiring = lock.call_method0(pyo3::intern!(py, "acquire"))?;
            return Ok(Next::Delegate(iterator_of(&acquiring)?));
        }
        if B::try_acquire(&lock)? {
            return Ok(operation.acquired(py));
        }
        let waiter = lock.body().waiters().join(lock.as_any())?;
        operation.waiter.set(Owned::new(&waiter));
        Ok(Next::Await(waiter))
    }

    fn resumed<'py>(this: &Bound<'py, Coroutine<Self>>, outcome: PyResult<Bound<'py, PyAny>>) -> PyResult<Next<'py>> {
        let py = this.py();
        let operation = this.body().operation();
        if let Some(waiter) = operation.waiter.take() {
            let waiter = waiter.into_bound(py);
            let lock = lock_in::<B>(&operation.lock, py)?;
            lock.body().waiters().futures.remove(&waiter)?;
            B::woken(&lock, &waiter, outcome.as_ref().err())?;
        }
        outcome.map(|_| operation.acquired(py))
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.lock);
        visitor.slot(&self.waiter);
    }

    fn clear(&self) {
        self.lock.clear();
        self.waiter.clear();
    }
}

/// `__aexit__()`.
pub struct Leave<B> {
    lock: Slot,
    _body: PhantomData<B>,
}

impl<B: Acquirable> Leave<B> {
    /// Of a lock.
    #[inline]
    pub fn of(lock: &Bound<'_, Native<B>>) -> Self {
        Self {
            lock: Slot::new(Owned::new(lock.as_any())),
            _body: PhantomData,
        }
    }
}

impl<B: Acquirable> Operation for Leave<B> {
    const NAME: &'static str = B::EXIT;

    fn layout() -> &'static Layout {
        let [_, leave] = B::coroutine_layouts();
        leave
    }

    fn empty() -> Self {
        Self {
            lock: Slot::empty(),
            _body: PhantomData,
        }
    }

    #[inline]
    fn start<'py>(this: &Bound<'py, Coroutine<Self>>) -> PyResult<Next<'py>> {
        let py = this.py();
        let lock = lock_in::<B>(&this.body().operation().lock, py)?;
        if lock.body().waiters().overrides.none(&RELEASING) {
            B::release(&lock)?;
        } else {
            lock.call_method0(pyo3::intern!(py, "release"))?;
        }
        Ok(Next::Return(py.None().into_bound(py)))
    }

    fn resumed<'py>(_this: &Bound<'py, Coroutine<Self>>, outcome: PyResult<Bound<'py, PyAny>>) -> PyResult<Next<'py>> {
        outcome.map(Next::Return)
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.lock);
    }

    fn clear(&self) {
        self.lock.clear();
    }
}

/// What `__aenter__()` calls.
pub const ACQUIRING: Group = Group::new(1, &["acquire"]);
/// What `__aexit__()` calls.
pub const RELEASING: Group = Group::new(2, &["release"]);
