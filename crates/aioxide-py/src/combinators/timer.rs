//! The time limit of a listener.

#![forbid(unsafe_code)]

use std::cell::Cell;

use aioxide::TimerKey;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};

use super::listeners::as_callable;
use crate::events::{Entry, LoopBody, deadline, seconds};
use crate::object::{BodyOf, Owned, Slot, Visitor, as_native};

/// A timer that tells a listener, with the listener itself, that its time is up.
///
/// Invariant: set at most once; `event_loop` is there while `key` or `handle` is.
pub struct Timer {
    key: Cell<Option<TimerKey>>,
    /// The timer of a loop whose timers are not ours.
    handle: Slot,
    event_loop: Slot,
}

impl Timer {
    /// One that is not set.
    pub const fn new() -> Self {
        Self {
            key: Cell::new(None),
            handle: Slot::empty(),
            event_loop: Slot::empty(),
        }
    }

    /// Sets it to `delay` from now; nothing for None.
    ///
    /// # Errors
    /// Of the loop's `call_later`.
    pub fn set(
        &self,
        event_loop: &Bound<'_, PyAny>,
        delay: &Bound<'_, PyAny>,
        listener: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if delay.is_none() {
            return Ok(());
        }
        if let (Some(delay), Some(native)) = (plain_seconds(delay), as_native::<LoopBody>(event_loop))
            && native.body().is_direct()
            && !native.body().is_time_hooked()
        {
            native.body().require_open()?;
            let due = deadline(seconds(aioxide::now()) + delay, native.body().margin())?;
            let entry = Entry::Child(Owned::new(listener), Owned::new(listener));
            self.event_loop.set(Owned::new(event_loop));
            self.key.set(Some(native.body().add_timer(due, entry)?));
            return Ok(());
        }
        if let Some(callable) = as_callable(listener)? {
            let handle = event_loop.call_method1("call_later", (delay, callable, listener))?;
            self.handle.set(handle.into());
        }
        Ok(())
    }

    /// Takes it back, if it is set.
    ///
    /// # Errors
    /// Of the handle's `cancel`.
    pub fn cancel(&self, py: Python<'_>) -> PyResult<()> {
        if let Some(handle) = self.handle.take() {
            handle.bind(py).call_method0("cancel")?;
        }
        if let Some(key) = self.key.take()
            && let Some(event_loop) = self.event_loop.take()
            && let Some(native) = as_native::<LoopBody>(event_loop.bind(py))
        {
            drop(native.body().cancel_timer(key));
        }
        Ok(())
    }

    /// Shows what it owns to the garbage collector.
    pub fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.handle);
        visitor.slot(&self.event_loop);
    }

    /// Releases what it owns.
    pub fn clear(&self) {
        self.handle.clear();
        self.event_loop.clear();
    }
}

/// A number of seconds that needs no Python to be added to another.
#[inline]
pub fn plain_seconds(delay: &Bound<'_, PyAny>) -> Option<f64> {
    if let Ok(delay) = delay.cast_exact::<PyFloat>() {
        return Some(delay.value());
    }
    let delay: i32 = delay.cast_exact::<PyInt>().ok()?.extract().ok()?;
    Some(f64::from(delay))
}
