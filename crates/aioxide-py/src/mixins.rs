//! `LoopBound`: an object that belongs to the loop in which somebody first waits for it.
//!
//! Also what its waiters are asked and told: futures, native ones as a rule.
//! Counterpart: `Lib/asyncio/mixins.py`.

#![forbid(unsafe_code)]

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::futures::{self, FutureBody, FutureLike, State};
use crate::imports::imports;
use crate::object::{BodyOf, Owned, Returned, Slot, as_exact};

/// The loop of an object; none before the first wait.
pub struct LoopBound {
    /// `_loop`.
    pub event_loop: Slot,
}

impl LoopBound {
    /// Of an object that nobody has waited for.
    pub const fn new() -> Self {
        Self {
            event_loop: Slot::empty(),
        }
    }

    /// The running loop, to which `owner` is bound from now on.
    ///
    /// # Errors
    /// RuntimeError if it was bound to another.
    pub fn running_loop<'py>(&self, owner: &Bound<'py, PyAny>) -> Returned<'py> {
        let py = owner.py();
        let running = imports(py)?.running_loop.bind(py).call0()?;
        if self.event_loop.is_empty() {
            if !running.is_none() {
                self.event_loop.set(Owned::new(&running));
            }
        } else if !self.event_loop.is(&running) {
            let text = format!("{} is bound to a different event loop", owner.repr()?);
            return Err(PyRuntimeError::new_err(text));
        }
        Ok(running)
    }
}

/// Whether a waiter is done.
#[inline]
pub fn is_done(waiter: &Bound<'_, PyAny>) -> PyResult<bool> {
    if let Some(native) = as_exact::<FutureBody>(waiter) {
        return Ok(native.body().future().done());
    }
    waiter.call_method0(pyo3::intern!(waiter.py(), "done"))?.is_truthy()
}

/// Whether a waiter was cancelled.
#[inline]
pub fn is_cancelled(waiter: &Bound<'_, PyAny>) -> PyResult<bool> {
    if let Some(native) = as_exact::<FutureBody>(waiter) {
        return Ok(native.body().future().state.get() == State::Cancelled);
    }
    waiter
        .call_method0(pyo3::intern!(waiter.py(), "cancelled"))?
        .is_truthy()
}

/// Ends a waiter that is not done.
#[inline]
pub fn wake(waiter: &Bound<'_, PyAny>, result: Bound<'_, PyAny>) -> PyResult<()> {
    if let Some(native) = as_exact::<FutureBody>(waiter) {
        return futures::set_result(native, Owned::from(result));
    }
    waiter
        .call_method1(pyo3::intern!(waiter.py(), "set_result"), (result,))
        .map(drop)
}

/// Cancels a waiter, if it is not done.
pub fn give_up(waiter: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Some(native) = as_exact::<FutureBody>(waiter) {
        return futures::cancel(native, None).map(drop);
    }
    waiter.call_method0(pyo3::intern!(waiter.py(), "cancel")).map(drop)
}
