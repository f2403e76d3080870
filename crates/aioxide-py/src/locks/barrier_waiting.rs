//! `Barrier.wait()`.
//!
//! ```text
//!   Entering --the lock--> Blocking --neither draining nor resetting--> Filling --all are here--> left
//! ```
//! # Cancellation
//! Who waits leaves the barrier, which waits for one more then.

#![forbid(unsafe_code)]

use std::cell::Cell;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::acquiring::{Acquirable, Acquire, Answer};
use super::barrier::{Barrier, BarrierBody, State};
use super::condition::{self, Condition, ConditionBody};
use super::lock::LockBody;
use crate::coroutines::{self, Coroutine, Next, Operation, coroutine};
use crate::imports::imports;
use crate::object::{BodyOf, Layout, Owned, Slot, Visitor, as_native};

/// Makes the type.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    coroutines::build::<Wait>(py, c"aioxide._aioxide.Barrier_wait")
}

/// How far `wait()` is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Entering,
    Blocking,
    Filling,
}

/// `wait()`.
pub struct Wait {
    barrier: Slot,
    condition: Slot,
    progress: Cell<Progress>,
    /// What it returns.
    index: Cell<i64>,
}

static WAIT: Layout = Layout::unset();

/// A barrier and its condition.
struct Parts<'py> {
    barrier: Bound<'py, Barrier>,
    condition: Bound<'py, Condition>,
}

impl Wait {
    /// Of a barrier.
    pub fn of(barrier: &Bound<'_, Barrier>, condition: &Bound<'_, Condition>) -> Self {
        Self {
            barrier: Slot::new(Owned::new(barrier.as_any())),
            condition: Slot::new(Owned::new(condition.as_any())),
            progress: Cell::new(Progress::Entering),
            index: Cell::new(0),
        }
    }

    fn parts<'py>(&self, py: Python<'py>) -> PyResult<Parts<'py>> {
        let barrier = self.barrier.get_or_none(py);
        let condition = self.condition.get_or_none(py);
        match (
            as_native::<BarrierBody>(&barrier),
            as_native::<ConditionBody>(&condition),
        ) {
            (Some(barrier), Some(condition)) => Ok(Parts {
                barrier: barrier.clone(),
                condition: condition.clone(),
            }),
            _ => Err(PyRuntimeError::new_err("the barrier is gone")),
        }
    }

    /// Waits as long as others leave; then goes inside.
    fn block<'py>(&self, parts: &Parts<'py>) -> PyResult<Next<'py>> {
        let py = parts.barrier.py();
        let body = parts.barrier.body();
        match body.state.get() {
            State::Draining | State::Resetting => {
                self.progress.set(Progress::Blocking);
                return Ok(Next::Delegate(condition::wait(&parts.condition)?));
            }
            State::Broken => return leave(parts, Err(broken(py, "Barrier aborted"))),
            State::Filling => {}
        }
        let index = body.count.get();
        self.index.set(index);
        body.count.set(index + 1);
        self.progress.set(Progress::Filling);
        match body.is_full(py, index + 1) {
            Ok(false) => self.fill(parts),
            Ok(true) => {
                body.state.set(State::Draining);
                let notified = condition::notify_all(&parts.condition).map(|_| index);
                finish(parts, notified)
            }
            Err(error) => finish(parts, Err(error)),
        }
    }

    /// Waits until all are inside.
    fn fill<'py>(&self, parts: &Parts<'py>) -> PyResult<Next<'py>> {
        match parts.barrier.body().state.get() {
            State::Filling => Ok(Next::Delegate(condition::wait(&parts.condition)?)),
            State::Draining => finish(parts, Ok(self.index.get())),
            State::Broken | State::Resetting => {
                finish(parts, Err(broken(parts.barrier.py(), "Abort or reset of barrier")))
            }
        }
    }
}

/// Goes out; the last wakes those who wait to come in.
fn finish<'py>(parts: &Parts<'py>, outcome: PyResult<i64>) -> PyResult<Next<'py>> {
    let body = parts.barrier.body();
    let count = body.count.get() - 1;
    body.count.set(count);
    if count == 0 {
        if matches!(body.state.get(), State::Resetting | State::Draining) {
            body.state.set(State::Filling);
        }
        if let Err(error) = condition::notify_all(&parts.condition) {
            return leave(parts, Err(error));
        }
    }
    leave(parts, outcome)
}

/// Releases the lock.
fn leave<'py>(parts: &Parts<'py>, outcome: PyResult<i64>) -> PyResult<Next<'py>> {
    condition::release(&parts.condition)?;
    let index = outcome?;
    Ok(Next::Return(index.into_pyobject(parts.barrier.py())?.into_any()))
}

fn broken(py: Python<'_>, text: &str) -> PyErr {
    let error = imports(py).and_then(|imports| imports.broken_barrier_error.bind(py).call1((text,)));
    error.map_or_else(|error| error, PyErr::from_value)
}

impl Operation for Wait {
    const NAME: &'static str = "Barrier.wait";

    fn layout() -> &'static Layout {
        &WAIT
    }

    fn empty() -> Self {
        Self {
            barrier: Slot::empty(),
            condition: Slot::empty(),
            progress: Cell::new(Progress::Entering),
            index: Cell::new(0),
        }
    }

    fn start<'py>(this: &Bound<'py, Coroutine<Self>>) -> PyResult<Next<'py>> {
        let py = this.py();
        let operation = this.body().operation();
        let parts = operation.parts(py)?;
        match parts.condition.body().native_lock(py) {
            Some(lock) if LockBody::try_acquire(&lock)? => operation.block(&parts),
            Some(lock) => Ok(Next::Delegate(coroutine(py, Acquire::of(&lock, Answer::None))?)),
            None => {
                let entering = parts.condition.call_method0(pyo3::intern!(py, "__aenter__"))?;
                Ok(Next::Delegate(coroutines::iterator_of(&entering)?))
            }
        }
    }

    fn resumed<'py>(this: &Bound<'py, Coroutine<Self>>, outcome: PyResult<Bound<'py, PyAny>>) -> PyResult<Next<'py>> {
        let operation = this.body().operation();
        let parts = operation.parts(this.py())?;
        match (operation.progress.get(), outcome) {
            (Progress::Entering, Err(error)) => Err(error),
            (Progress::Blocking, Err(error)) => leave(&parts, Err(error)),
            (Progress::Filling, Err(error)) => finish(&parts, Err(error)),
            (Progress::Entering | Progress::Blocking, Ok(_)) => operation.block(&parts),
            (Progress::Filling, Ok(_)) => operation.fill(&parts),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.barrier);
        visitor.slot(&self.condition);
    }

    fn clear(&self) {
        self.barrier.clear();
        self.condition.clear();
    }
}
