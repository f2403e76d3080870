//! The done callbacks of a future: one inline, the others in a vector made when the second comes.
//!
//! Most futures have exactly one: the wake-up of the task that awaits them.

#![forbid(unsafe_code)]

use std::cell::{OnceCell, RefCell};

use pyo3::prelude::*;

use crate::object::{Owned, Slot, Visitor};

/// One callback.
#[derive(Clone)]
pub struct Callback {
    /// What to call with the future. If `context` is `None`, a native task, which is stepped, or a listener,
    /// which is told (see `combinators`).
    pub callable: Owned,
    /// The context to call it in.
    pub context: Option<Owned>,
}

/// Callbacks in the order in which they were added.
#[derive(Default)]
pub struct Callbacks {
    // `first` is empty only if `rest` is.
    callable: Slot,
    context: Slot,
    rest: OnceCell<Box<RefCell<Vec<Callback>>>>,
}

impl Callbacks {
    /// Appends one.
    #[inline]
    pub fn push(&self, callback: Callback) {
        if self.callable.is_empty() {
            drop(self.context.replace(callback.context));
            self.callable.set(callback.callable);
        } else {
            self.rest.get_or_init(Box::default).borrow_mut().push(callback);
        }
    }

    /// Takes all of them, in order.
    #[inline]
    pub fn take(&self) -> (Option<Callback>, Vec<Callback>) {
        let Some(callable) = self.callable.take() else {
            return (None, Vec::new());
        };
        let first = Callback {
            callable,
            context: self.context.take(),
        };
        let rest = self
            .rest
            .get()
            .map(|rest| std::mem::take(&mut *rest.borrow_mut()))
            .unwrap_or_default();
        (Some(first), rest)
    }

    /// Removes a listener: a native callback, found by its identity.
    pub fn forget(&self, listener: &Bound<'_, PyAny>) {
        let (first, rest) = self.take();
        for callback in first.into_iter().chain(rest) {
            if callback.context.is_some() || callback.callable.as_ptr() != listener.as_ptr() {
                self.push(callback);
            }
        }
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.callable.is_empty()
    }

    /// Copies of all of them.
    pub fn snapshot(&self, py: Python<'_>) -> Vec<Callback> {
        let Some(callable) = self.callable.get(py) else {
            return Vec::new();
        };
        let mut all = vec![Callback {
            callable: callable.into(),
            context: self.context.get(py).map(Owned::from),
        }];
        if let Some(rest) = self.rest.get() {
            all.extend(rest.borrow().iter().cloned());
        }
        all
    }

    /// Puts `callbacks` in place of what is there; returns what was there, for the caller to release.
    pub fn replace(&self, callbacks: Vec<Callback>) -> (Option<Callback>, Vec<Callback>) {
        let before = self.take();
        for callback in callbacks {
            self.push(callback);
        }
        before
    }

    /// Shows them to the garbage collector.
    pub fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.callable);
        visitor.slot(&self.context);
        if let Some(rest) = self.rest.get()
            && let Ok(rest) = rest.try_borrow()
        {
            for callback in rest.iter() {
                visitor.owned(&callback.callable);
                if let Some(context) = &callback.context {
                    visitor.owned(context);
                }
            }
        }
    }
}
