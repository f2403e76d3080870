//! `Deque`: the futures that wait, or the items of a queue, in their order.
//!
//! asyncio keeps them in a `collections.deque` that libraries look into (`queue._queue`, `queue._getters`). Native
//! ones stay in Rust until somebody looks: then they move into a real container, for good.
//! Invariant: `native` is empty while `shared` holds a container.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::VecDeque;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::object::{Owned, Returned, Slot, Visitor};

/// Objects in order.
pub struct Deque {
    native: RefCell<VecDeque<Owned>>,
    shared: Slot,
}

impl Deque {
    /// One with nothing in it.
    pub const fn new() -> Self {
        Self {
            native: RefCell::new(VecDeque::new()),
            shared: Slot::empty(),
        }
    }

    /// Appends an object.
    #[inline]
    pub fn push(&self, item: &Bound<'_, PyAny>) -> PyResult<()> {
        match self.shared.get(item.py()) {
            None => {
                self.native.borrow_mut().push_back(Owned::new(item));
                Ok(())
            }
            Some(shared) => shared
                .call_method1(pyo3::intern!(item.py(), "append"), (item,))
                .map(drop),
        }
    }

    /// Takes the first out.
    #[inline]
    pub fn pop_front<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.shared.get(py) {
            None => {
                let first = self.native.borrow_mut().pop_front();
                Ok(first.map(|first| first.into_bound(py)))
            }
            Some(shared) if !shared.is_truthy()? => Ok(None),
            Some(shared) => shared.call_method0(pyo3::intern!(py, "popleft")).map(Some),
        }
    }

    /// Takes the last out.
    #[inline]
    pub fn pop_back<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.shared.get(py) {
            None => {
                let last = self.native.borrow_mut().pop_back();
                Ok(last.map(|last| last.into_bound(py)))
            }
            Some(shared) if !shared.is_truthy()? => Ok(None),
            Some(shared) => shared.call_method0(pyo3::intern!(py, "pop")).map(Some),
        }
    }

    /// Takes an object out, wherever it is; nothing happens if it is not there.
    pub fn remove(&self, item: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = item.py();
        let Some(shared) = self.shared.get(py) else {
            let found = {
                let mut native = self.native.borrow_mut();
                let index = native.iter().position(|other| other.bind(py).is(item));
                index.and_then(|index| native.remove(index))
            };
            drop(found);
            return Ok(());
        };
        match shared.call_method1(pyo3::intern!(py, "remove"), (item,)) {
            Err(error) if !error.is_instance_of::<PyValueError>(py) => Err(error),
            _ => Ok(()),
        }
    }

    /// How many there are.
    #[inline]
    pub fn len(&self, py: Python<'_>) -> PyResult<usize> {
        match self.shared.get(py) {
            None => Ok(self.native.borrow().len()),
            Some(shared) => shared.len(),
        }
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self, py: Python<'_>) -> PyResult<bool> {
        match self.shared.get(py) {
            None => Ok(self.native.borrow().is_empty()),
            Some(shared) => Ok(!shared.is_truthy()?),
        }
    }

    /// The first for which `wanted` holds. Others may come and go while it is asked.
    #[inline]
    pub fn find<'py>(
        &self,
        py: Python<'py>,
        mut wanted: impl FnMut(&Bound<'py, PyAny>) -> PyResult<bool>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        if let Some(shared) = self.shared.get(py) {
            // A copy: what is asked may run Python, which may change it.
            for item in shared.try_iter()?.collect::<PyResult<Vec<_>>>()? {
                if wanted(&item)? {
                    return Ok(Some(item));
                }
            }
            return Ok(None);
        }
        let mut index = 0;
        loop {
            let item = self.native.borrow().get(index).cloned();
            let Some(item) = item else { return Ok(None) };
            let item = item.into_bound(py);
            if wanted(&item)? {
                return Ok(Some(item));
            }
            index += 1;
        }
    }

    /// All of them, in a new list.
    pub fn to_list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        self.find(py, |item| list.append(item).map(|()| false))?;
        Ok(list)
    }

    /// Whether there has ever been one, or somebody has looked.
    pub fn was_used(&self) -> bool {
        !self.shared.is_empty() || self.native.borrow().capacity() > 0
    }

    /// The container that holds them from now on; made by `class` from those that are there.
    pub fn share<'py>(&self, class: &Bound<'py, PyAny>) -> Returned<'py> {
        let py = class.py();
        if let Some(shared) = self.shared.get(py) {
            return Ok(shared);
        }
        let shared = class.call1((self.to_list(py)?,))?;
        self.assign(&shared);
        Ok(shared)
    }

    /// Puts a container in place of what is there; `None` for nothing.
    pub fn assign(&self, container: &Bound<'_, PyAny>) {
        let container = (!container.is_none()).then(|| Owned::new(container));
        let before = (self.shared.replace(container), self.native.take());
        drop(before);
    }

    /// Shows them to the garbage collector.
    pub fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.shared);
        if let Ok(native) = self.native.try_borrow() {
            for item in native.iter() {
                visitor.owned(item);
            }
        }
    }

    /// Releases them.
    pub fn clear(&self) {
        let before = (self.shared.take(), self.native.take());
        drop(before);
    }
}
