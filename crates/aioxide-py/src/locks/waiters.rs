//! `Waiters`: who waits for a lock, and the loop it is bound to.

#![forbid(unsafe_code)]

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::coroutines;
use crate::deque::Deque;
use crate::imports::imports;
use crate::mixins::LoopBound;
use crate::object::{Owned, Returned, Visitor};
use crate::overrides::{Group, Overrides};

/// Those who wait, in order.
pub struct Waiters {
    pub futures: Deque,
    pub bound: LoopBound,
    pub overrides: Overrides,
}

impl Waiters {
    /// Nobody.
    pub const fn new() -> Self {
        Self {
            futures: Deque::new(),
            bound: LoopBound::new(),
            overrides: Overrides::unknown(),
        }
    }

    /// Joins them with a new future, which is returned.
    pub fn join<'py>(&self, owner: &Bound<'py, PyAny>) -> Returned<'py> {
        let waiter = self.make(owner)?;
        self.futures.push(&waiter)?;
        Ok(waiter)
    }

    /// A new future of the running loop.
    #[inline]
    pub fn make<'py>(&self, owner: &Bound<'py, PyAny>) -> Returned<'py> {
        let event_loop = if self.overrides.none(&BINDING) {
            self.bound.running_loop(owner)?
        } else {
            owner.call_method0(pyo3::intern!(owner.py(), "_get_loop"))?
        };
        coroutines::waiter(&event_loop)
    }

    /// The container, for those who look.
    pub fn share<'py>(&self, py: Python<'py>) -> Returned<'py> {
        self.futures.share(imports(py)?.deque.bind(py))
    }

    /// Shows what it owns to the garbage collector.
    pub fn traverse(&self, visitor: &mut Visitor<'_>) {
        self.futures.traverse(visitor);
        visitor.slot(&self.bound.event_loop);
    }

    /// Releases what it owns.
    pub fn clear(&self) {
        self.futures.clear();
        self.bound.event_loop.clear();
    }

    /// `_loop`.
    pub fn event_loop<'py>(&self, py: Python<'py>) -> Returned<'py> {
        Ok(self.bound.event_loop.get_or_none(py))
    }

    /// Sets `_loop`.
    pub fn set_event_loop(&self, value: &Bound<'_, PyAny>) {
        let value = (!value.is_none()).then(|| Owned::new(value));
        drop(self.bound.event_loop.replace(value));
    }

    /// `__repr__` of what they wait for.
    pub fn represent<'py>(&self, owner: &Bound<'py, PyAny>, state: &str) -> Returned<'py> {
        let py = owner.py();
        let class = owner.get_type();
        let name = format!("{}.{}", class.module()?, class.qualname()?);
        let waiting = self.futures.len(py)?;
        let waiting = if waiting > 0 {
            format!(", waiters:{waiting}")
        } else {
            String::new()
        };
        let address = owner.as_ptr() as usize;
        let text = format!("<{name} object at {address:#x} [{state}{waiting}]>");
        Ok(PyString::new(py, &text).into_any())
    }
}

/// What binds a lock to a loop.
pub const BINDING: Group = Group::new(0, &["_get_loop"]);
