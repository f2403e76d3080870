//! `wait()`: until some of several futures have ended, or all, or time is up.
//!
//! The coroutine is itself the listener of the futures.
//!
//! # Cancellation
//! The futures go on; nothing of the wait is left behind in them.

#![forbid(unsafe_code)]

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFrozenSet, PyList, PySet, PyTuple, PyType};

use super::listeners::future_state;
use super::timer::{Timer, plain_seconds};
use crate::coroutines::{self, Coroutine, Next, Operation, coroutine, iterator_of};
use crate::events::LoopBody;
use crate::futures::{self, Callback, FutureState, State};
use crate::imports::imports;
use crate::mixins::{is_done, wake};
use crate::object::{Args, BodyOf, Layout, Owned, Returned, Slot, Visitor, as_native, compat};
use crate::tasks;

/// What a `wait()` does.
pub struct Wait {
    /// As they were given; later a set of them.
    awaitables: Slot,
    timeout: Slot,
    return_when: Slot,
    until: Cell<Until>,
    pending: Cell<usize>,
    waiter: Slot,
    timer: Timer,
    /// Who waits, from 3.14 on.
    task: Slot,
}

/// What it waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// Left to asyncio's own.
    Foreign,
    FirstCompleted,
    FirstException,
    AllCompleted,
}

static LAYOUT: Layout = Layout::unset();

/// Makes the type of the coroutine.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    coroutines::build::<Wait>(py, c"aioxide._aioxide.wait_coroutine")
}

/// `wait(fs, *, timeout=None, return_when=ALL_COMPLETED)`.
pub fn wait<'py>(args: Args<'_, 'py>) -> Returned<'py> {
    let [awaitables, timeout, return_when] = args.bind("wait", ["fs", "timeout", "return_when"], 1, 1)?;
    let slot = |given: Option<&Bound<'py, PyAny>>| given.map_or_else(Slot::empty, |given| Slot::new(Owned::new(given)));
    let operation = Wait {
        awaitables: slot(awaitables),
        timeout: slot(timeout),
        return_when: slot(return_when),
        ..Wait::empty()
    };
    coroutine(args.py(), operation)
}

impl Operation for Wait {
    const NAME: &'static str = "wait";

    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            awaitables: Slot::empty(),
            timeout: Slot::empty(),
            return_when: Slot::empty(),
            until: Cell::new(Until::Foreign),
            pending: Cell::new(0),
            waiter: Slot::empty(),
            timer: Timer::new(),
            task: Slot::empty(),
        }
    }

    fn start<'py>(this: &Bound<'py, Coroutine<Self>>) -> PyResult<Next<'py>> {
        let py = this.py();
        let event_loop = imports(py)?.running_loop.bind(py).call0()?;
        let operation = this.body().operation();
        let timeout = operation.timeout.get_or_none(py);
        match (operation.native_set(&event_loop)?, operation.until_named(py)?) {
            (Some(futures), Some(until)) if timeout.is_none() || plain_seconds(&timeout).is_some() => {
                operation.until.set(until);
                operation.awaitables.set(Owned::new(futures.as_any()));
                begin(this, &event_loop, &futures, &timeout)
            }
            _ => operation.leave_to_asyncio(py),
        }
    }

    fn resumed<'py>(this: &Bound<'py, Coroutine<Self>>, outcome: PyResult<Bound<'py, PyAny>>) -> PyResult<Next<'py>> {
        let py = this.py();
        let operation = this.body().operation();
        let Some(futures) = operation
            .awaitables
            .take()
            .filter(|_| operation.until.get() != Until::Foreign)
        else {
            return outcome.map(Next::Return);
        };
        operation.timer.cancel(py)?;
        let task = operation.task.get(py);
        let (done, pending) = (PySet::empty(py)?, PySet::empty(py)?);
        for future in futures.bind(py).cast::<PySet>()?.iter() {
            if future_state(&future, FutureState::done).unwrap_or(true) {
                done.add(&future)?;
            } else {
                future_state(&future, |state| state.callbacks.forget(this));
                pending.add(&future)?;
            }
            awaited_no_more(&future, task.as_ref())?;
        }
        outcome?;
        Ok(Next::Return(PyTuple::new(py, [done, pending])?.into_any()))
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        for slot in [
            &self.awaitables,
            &self.timeout,
            &self.return_when,
            &self.waiter,
            &self.task,
        ] {
            visitor.slot(slot);
        }
        self.timer.traverse(visitor);
    }

    fn clear(&self) {
        for slot in [
            &self.awaitables,
            &self.timeout,
            &self.return_when,
            &self.waiter,
            &self.task,
        ] {
            slot.clear();
        }
        self.timer.clear();
    }
}

impl Wait {
    /// The futures as a set, if all are native ones of this loop, which is ours.
    fn native_set<'py>(&self, event_loop: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PySet>>> {
        let py = event_loop.py();
        let given = self.awaitables.get_or_none(py);
        let known = given.is_exact_instance_of::<PyList>()
            || given.is_exact_instance_of::<PyTuple>()
            || given.is_exact_instance_of::<PySet>()
            || given.is_exact_instance_of::<PyFrozenSet>();
        if !known || !as_native::<LoopBody>(event_loop).is_some_and(|native| native.body().is_direct()) {
            return Ok(None);
        }
        let futures = PySet::empty(py)?;
        for future in given.try_iter()? {
            let future = future?;
            if future_state(&future, |state| state.event_loop.is(event_loop)) != Some(true) {
                return Ok(None);
            }
            futures.add(future)?;
        }
        Ok((!futures.is_empty()).then_some(futures))
    }

    fn until_named(&self, py: Python<'_>) -> PyResult<Option<Until>> {
        let Some(name) = self.return_when.get(py) else {
            return Ok(Some(Until::AllCompleted));
        };
        let Ok(name) = name.extract::<&str>() else {
            return Ok(None);
        };
        Ok(match name {
            "FIRST_COMPLETED" => Some(Until::FirstCompleted),
            "FIRST_EXCEPTION" => Some(Until::FirstException),
            "ALL_COMPLETED" => Some(Until::AllCompleted),
            _ => None,
        })
    }

    /// Whatever is out of the ordinary, mistakes too.
    #[cold]
    fn leave_to_asyncio<'py>(&self, py: Python<'py>) -> PyResult<Next<'py>> {
        let keywords = PyDict::new(py);
        for (name, slot) in [("timeout", &self.timeout), ("return_when", &self.return_when)] {
            if let Some(given) = slot.take() {
                keywords.set_item(name, given.bind(py))?;
            }
        }
        let given = self
            .awaitables
            .take()
            .map_or_else(|| py.None().into_bound(py), |given| given.into_bound(py));
        let waiting = imports(py)?.wait.bind(py).call((given,), Some(&keywords))?;
        Ok(Next::Delegate(iterator_of(&waiting)?))
    }
}

fn begin<'py>(
    this: &Bound<'py, Coroutine<Wait>>,
    event_loop: &Bound<'py, PyAny>,
    futures: &Bound<'py, PySet>,
    timeout: &Bound<'py, PyAny>,
) -> PyResult<Next<'py>> {
    let py = this.py();
    let operation = this.body().operation();
    let waiter = coroutines::waiter(event_loop)?;
    operation.waiter.set(Owned::new(&waiter));
    operation.timer.set(event_loop, timeout, this)?;
    operation.pending.set(futures.len());
    let task = if compat::TASKS_ARE_PUBLISHED {
        tasks::stepping_task(py)?
    } else {
        None
    };
    if let Some(task) = &task {
        operation.task.set(Owned::new(task));
    }
    for future in futures.iter() {
        let callback = Callback {
            callable: Owned::new(this.as_any()),
            context: None,
        };
        if future_state(&future, FutureState::done) == Some(true) {
            futures::schedule(event_loop, callback, &future)?;
        } else {
            future_state(&future, |state| state.callbacks.push(callback));
        }
        if let Some(task) = &task {
            imports(py)?.add_to_awaited_by.bind(py).call1((&future, task))?;
        }
    }
    Ok(Next::Await(waiter))
}

fn awaited_no_more(future: &Bound<'_, PyAny>, task: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    let Some(task) = task else { return Ok(()) };
    let discard = imports(future.py())?.discard_from_awaited_by.bind(future.py());
    discard.call1((future, task)).map(drop)
}

/// A future has ended, or time is up.
///
/// # Errors
/// Of the loop, if it was closed.
pub fn told(this: &Bound<'_, Coroutine<Wait>>, child: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = this.py();
    let operation = this.body().operation();
    if !child.is(this) {
        operation.pending.set(operation.pending.get().saturating_sub(1));
        if !operation.is_enough(child)? {
            return awaited_no_more(child, operation.task.get(py).as_ref());
        }
        operation.timer.cancel(py)?;
        awaited_no_more(child, operation.task.get(py).as_ref())?;
    }
    match operation.waiter.get(py) {
        Some(waiter) if !is_done(&waiter)? => wake(&waiter, py.None().into_bound(py)),
        _ => Ok(()),
    }
}

impl Wait {
    /// Whether the wait ends with the end of this future. Its exception counts as read if that is looked at.
    fn is_enough(&self, child: &Bound<'_, PyAny>) -> PyResult<bool> {
        if self.pending.get() == 0 || self.until.get() == Until::FirstCompleted {
            return Ok(true);
        }
        if self.until.get() != Until::FirstException {
            return Ok(false);
        }
        let failed = future_state(child, |state| {
            if state.state.get() == State::Cancelled {
                return Ok(false);
            }
            state.exception(child.py()).map(|exception| !exception.is_none())
        });
        failed.unwrap_or(Ok(false))
    }
}
