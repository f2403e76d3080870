//! `Children`: the tasks of a group that have not ended.
//!
//! asyncio keeps them in a set, which libraries look into (`group._tasks`). Native ones stay in Rust until somebody
//! looks; then they move into a real set, for good. A task knows its own place, so that it leaves at once.
//! Invariant: `places` is empty while `shared` holds a set.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};

use pyo3::prelude::*;
use pyo3::types::PySet;

use crate::object::{BodyOf, Owned, Returned, Slot, Visitor};
use crate::tasks::Task;

/// Tasks, in no order.
pub struct Children {
    places: RefCell<Places>,
    live: Cell<usize>,
    shared: Slot,
}

/// A slab of tasks.
#[derive(Default)]
struct Places {
    tasks: Vec<Option<Owned>>,
    free: Vec<usize>,
}

impl Places {
    fn put(&mut self, task: Owned) -> usize {
        let Some(place) = self.free.pop() else {
            self.tasks.push(Some(task));
            return self.tasks.len() - 1;
        };
        if let Some(free) = self.tasks.get_mut(place) {
            *free = Some(task);
        }
        place
    }
}

impl Children {
    /// No children.
    pub fn new() -> Self {
        Self {
            places: RefCell::default(),
            live: Cell::new(0),
            shared: Slot::empty(),
        }
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self, py: Python<'_>) -> PyResult<bool> {
        match self.shared.get(py) {
            None => Ok(self.live.get() == 0),
            Some(shared) => Ok(!shared.is_truthy()?),
        }
    }

    /// Adds a new task.
    #[inline]
    pub fn add(&self, task: &Bound<'_, Task>) -> PyResult<()> {
        let py = task.py();
        if let Some(shared) = self.shared.get(py) {
            return match shared.cast::<PySet>() {
                Ok(set) => set.add(task),
                Err(_) => shared.call_method1(pyo3::intern!(py, "add"), (task,)).map(drop),
            };
        }
        let place = self.places.borrow_mut().put(Owned::new(task.as_any()));
        task.body().place_in_group.set(place);
        self.live.set(self.live.get() + 1);
        Ok(())
    }

    /// Takes a task out, if it is there.
    #[inline]
    pub fn discard(&self, task: &Bound<'_, Task>) -> PyResult<()> {
        let py = task.py();
        if let Some(shared) = self.shared.get(py) {
            return match shared.cast::<PySet>() {
                Ok(set) => set.discard(task).map(drop),
                Err(_) => shared.call_method1(pyo3::intern!(py, "discard"), (task,)).map(drop),
            };
        }
        let place = task.body().place_in_group.get();
        let found = {
            let mut places = self.places.borrow_mut();
            let mine = places
                .tasks
                .get_mut(place)
                .filter(|held| held.as_ref().is_some_and(|held| held.bind(py).is(task)));
            let found = mine.and_then(Option::take);
            if found.is_some() {
                places.free.push(place);
                self.live.set(self.live.get() - 1);
            }
            found
        };
        drop(found);
        Ok(())
    }

    /// The set that holds them from now on.
    pub fn share<'py>(&self, py: Python<'py>) -> Returned<'py> {
        if let Some(shared) = self.shared.get(py) {
            return Ok(shared);
        }
        let set = PySet::empty(py)?;
        let tasks: Vec<Owned> = self.places.borrow().tasks.iter().flatten().cloned().collect();
        for task in tasks {
            set.add(task.bind(py))?;
        }
        self.assign(&set);
        Ok(set.into_any())
    }

    /// Puts a set in place of what is there.
    pub fn assign(&self, set: &Bound<'_, PyAny>) {
        let before = (self.shared.replace(Some(Owned::new(set))), self.places.take());
        self.live.set(0);
        drop(before);
    }

    /// Shows them to the garbage collector.
    pub fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.shared);
        if let Ok(places) = self.places.try_borrow() {
            for task in places.tasks.iter().flatten() {
                visitor.owned(task);
            }
        }
    }

    /// Releases them.
    pub fn clear(&self) {
        let before = (self.shared.take(), self.places.take());
        self.live.set(0);
        drop(before);
    }
}
