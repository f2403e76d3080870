//! The coroutines of a condition: `wait()` and `wait_for()`.
//!
//! ```text
//!   Begun --release--> Waiting --notified, an error--> Acquiring --> ended
//!                                                        ▲   │ cancelled
//!                                                        └───┘
//! ```
//! # Cancellation
//! The lock is acquired again whatever happens, also when that is cancelled: the last cancellation is raised then. Since
//! 3.12.2 a wait that fails notifies somebody else, because it may have been notified itself.

#![forbid(unsafe_code)]

use std::cell::Cell;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyType};

use super::acquiring::Acquirable;
use super::condition::{self, Condition, ConditionBody};
use super::lock::LockBody;
use crate::coroutines::{self, Coroutine, Next, Operation, iterator_of};
use crate::imports::imports;
use crate::object::{BodyOf, Layout, Owned, Slot, Visitor, as_native};

/// Makes the types.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    coroutines::build::<Wait>(py, c"aioxide._aioxide.Condition_wait")?;
    coroutines::build::<WaitFor>(py, c"aioxide._aioxide.Condition_wait_for")
}

/// How far `wait()` is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Begun,
    /// `waiter` is in the condition's list.
    Waiting,
    /// `waiter` is in the lock's list.
    Acquiring,
    /// In the `acquire()` of a lock that is not ours.
    AcquiringElsewhere,
}

/// `wait()`.
pub struct Wait {
    condition: Slot,
    waiter: Slot,
    /// The lock whose waiter that is, while `Acquiring`.
    lock: Slot,
    /// What the wait for a notification has raised.
    failure: Slot,
    /// The last cancellation while the lock was acquired again.
    cancellation: Slot,
    progress: Cell<Progress>,
}

static WAIT: Layout = Layout::unset();

fn condition_in<'py>(slot: &Slot, py: Python<'py>) -> PyResult<Bound<'py, Condition>> {
    let gone = || PyRuntimeError::new_err("the condition is gone");
    let condition = slot.get(py).ok_or_else(gone)?;
    as_native::<ConditionBody>(&condition).cloned().ok_or_else(gone)
}

impl Wait {
    /// Of a condition.
    pub fn of(condition: &Bound<'_, Condition>) -> Self {
        let wait = Self::empty();
        wait.condition.set(Owned::new(condition.as_any()));
        wait
    }

    fn slots(&self) -> [&Slot; 5] {
        [
            &self.condition,
            &self.waiter,
            &self.lock,
            &self.failure,
            &self.cancellation,
        ]
    }

    fn begin<'py>(&self, condition: &Bound<'py, Condition>) -> PyResult<Next<'py>> {
        let py = condition.py();
        condition::require_locked(condition, "wait")?;
        let waiters = &condition.body().waiters;
        if imports(py)?.conditions_pass_on {
            let waiter = waiters.make(condition.as_any())?;
            condition::release(condition)?;
            waiters.futures.push(&waiter)?;
            return Ok(self.wait_for(waiter));
        }
        condition::release(condition)?;
        match waiters.join(condition.as_any()) {
            Ok(waiter) => Ok(self.wait_for(waiter)),
            Err(error) => {
                self.failure.set(error.into_value(py).into_bound(py).into_any().into());
                self.acquire(condition)
            }
        }
    }

    fn wait_for<'py>(&self, waiter: Bound<'py, PyAny>) -> Next<'py> {
        self.waiter.set(Owned::new(&waiter));
        self.progress.set(Progress::Waiting);
        Next::Await(waiter)
    }

    /// Acquires the lock again.
    fn acquire<'py>(&self, condition: &Bound<'py, Condition>) -> PyResult<Next<'py>> {
        let py = condition.py();
        let begun = || -> PyResult<Option<Next<'py>>> {
            let Some(lock) = condition.body().native_lock(py) else {
                self.progress.set(Progress::AcquiringElsewhere);
                let acquiring = condition.call_method0(pyo3::intern!(py, "acquire"))?;
                return Ok(Some(Next::Delegate(iterator_of(&acquiring)?)));
            };
            if LockBody::try_acquire(&lock)? {
                return Ok(None);
            }
            let waiter = lock.body().waiters().join(lock.as_any())?;
            self.progress.set(Progress::Acquiring);
            self.waiter.set(Owned::new(&waiter));
            self.lock.set(Owned::new(lock.as_any()));
            Ok(Some(Next::Await(waiter)))
        };
        match begun() {
            Ok(Some(next)) => Ok(next),
            Ok(None) => self.end(condition),
            Err(error) => self.not_acquired(condition, error),
        }
    }

    /// The lock could not be acquired: once more, if that was a cancellation.
    fn not_acquired<'py>(&self, condition: &Bound<'py, Condition>, error: PyErr) -> PyResult<Next<'py>> {
        let py = condition.py();
        if !error.is_instance(py, imports(py)?.cancelled_error.bind(py)) {
            return fail(condition, error);
        }
        self.cancellation
            .set(error.into_value(py).into_bound(py).into_any().into());
        self.acquire(condition)
    }

    /// The lock is acquired.
    fn end<'py>(&self, condition: &Bound<'py, Condition>) -> PyResult<Next<'py>> {
        let py = condition.py();
        let failure = self.failure.take();
        let Some(cancellation) = self.cancellation.take() else {
            return match failure {
                Some(failure) => fail(condition, PyErr::from_value(failure.into_bound(py))),
                None => Ok(Next::Return(PyBool::new(py, true).to_owned().into_any())),
            };
        };
        let imports = imports(py)?;
        let cancellation = if imports.conditions_pass_on {
            cancellation.into_bound(py)
        } else {
            imports.cancelled_error.bind(py).call0()?
        };
        if let Some(failure) = failure {
            cancellation.setattr(pyo3::intern!(py, "__context__"), failure.bind(py))?;
        }
        fail(condition, PyErr::from_value(cancellation))
    }
}

/// Raises an error, and notifies somebody else where the running version does.
fn fail<'py>(condition: &Bound<'py, Condition>, error: PyErr) -> PyResult<Next<'py>> {
    if imports(condition.py())?.conditions_pass_on {
        condition::pass_on(condition)?;
    }
    Err(error)
}

impl Operation for Wait {
    const NAME: &'static str = "Condition.wait";

    fn layout() -> &'static Layout {
        &WAIT
    }

    fn empty() -> Self {
        Self {
            condition: Slot::empty(),
            waiter: Slot::empty(),
            lock: Slot::empty(),
            failure: Slot::empty(),
            cancellation: Slot::empty(),
            progress: Cell::new(Progress::Begun),
        }
    }

    #[inline]
    fn start<'py>(this: &Bound<'py, Coroutine<Self>>) -> PyResult<Next<'py>> {
        let operation = this.body().operation();
        operation.begin(&condition_in(&operation.condition, this.py())?)
    }

    fn resumed<'py>(this: &Bound<'py, Coroutine<Self>>, outcome: PyResult<Bound<'py, PyAny>>) -> PyResult<Next<'py>> {
        let py = this.py();
        let operation = this.body().operation();
        let condition = condition_in(&operation.condition, py)?;
        let waiter = operation.waiter.take().map(|waiter| waiter.into_bound(py));
        match operation.progress.get() {
            Progress::Begun | Progress::Waiting => {
                if let Some(waiter) = waiter {
                    condition.body().waiters.futures.remove(&waiter)?;
                }
                if let Err(error) = outcome {
                    let failure = error.into_value(py).into_bound(py);
                    operation.failure.set(failure.into_any().into());
                }
                operation.acquire(&condition)
            }
            Progress::Acquiring => {
                let lock = operation.lock.take().map(|lock| lock.into_bound(py));
                if let (Some(lock), Some(waiter)) = (lock, waiter)
                    && let Some(lock) = as_native::<LockBody>(&lock)
                {
                    lock.body().waiters().futures.remove(&waiter)?;
                    LockBody::woken(lock, &waiter, outcome.as_ref().err())?;
                }
                match outcome {
                    Ok(_) => operation.end(&condition),
                    Err(error) => operation.not_acquired(&condition, error),
                }
            }
            Progress::AcquiringElsewhere => match outcome {
                Ok(_) => operation.end(&condition),
                Err(error) => operation.not_acquired(&condition, error),
            },
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        for slot in self.slots() {
            visitor.slot(slot);
        }
    }

    fn clear(&self) {
        for slot in self.slots() {
            slot.clear();
        }
    }
}

/// `wait_for()`.
pub struct WaitFor {
    condition: Slot,
    predicate: Slot,
}

static WAIT_FOR: Layout = Layout::unset();

impl WaitFor {
    /// Of a condition and a predicate.
    pub fn of(condition: &Bound<'_, Condition>, predicate: &Bound<'_, PyAny>) -> Self {
        Self {
            condition: Slot::new(Owned::new(condition.as_any())),
            predicate: Slot::new(Owned::new(predicate)),
        }
    }
}

impl Operation for WaitFor {
    const NAME: &'static str = "Condition.wait_for";

    fn layout() -> &'static Layout {
        &WAIT_FOR
    }

    fn empty() -> Self {
        Self {
            condition: Slot::empty(),
            predicate: Slot::empty(),
        }
    }

    fn start<'py>(this: &Bound<'py, Coroutine<Self>>) -> PyResult<Next<'py>> {
        let py = this.py();
        let operation = this.body().operation();
        let value = operation.predicate.get_or_none(py).call0()?;
        if value.is_truthy()? {
            return Ok(Next::Return(value));
        }
        let condition = operation.condition.get_or_none(py);
        let waiting = condition.call_method0(pyo3::intern!(py, "wait"))?;
        Ok(Next::Delegate(iterator_of(&waiting)?))
    }

    fn resumed<'py>(this: &Bound<'py, Coroutine<Self>>, outcome: PyResult<Bound<'py, PyAny>>) -> PyResult<Next<'py>> {
        outcome?;
        Self::start(this)
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.condition);
        visitor.slot(&self.predicate);
    }

    fn clear(&self) {
        self.condition.clear();
        self.predicate.clear();
    }
}
