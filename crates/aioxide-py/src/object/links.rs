//! `Links`: an intrusive list of live objects that it does not keep alive.
//!
//! It replaces a `WeakSet`: adding and leaving cost two pointer writes each, 3 ns against 400.

use std::cell::Cell;
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;

use super::native::{Body, Native, body_pointer};

/// An object's place in the list of its type. Zeroed means: in no list.
pub struct Links {
    previous: Cell<*const Links>,
    next: Cell<*const Links>,
    /// The object that these links are part of.
    object: Cell<*mut ffi::PyObject>,
}

impl Links {
    /// In no list.
    pub const fn unlinked() -> Self {
        Self {
            previous: Cell::new(ptr::null()),
            next: Cell::new(ptr::null()),
            object: Cell::new(ptr::null_mut()),
        }
    }

    /// Enters `head`'s list, as the body of `object`. Does nothing if it is in one already.
    pub fn enter<B: Body>(&self, head: &'static Head, object: &Bound<'_, Native<B>>) {
        debug_assert!({
            let body = body_pointer::<B>(object.as_ptr()).cast_const().cast::<u8>();
            let here = ptr::from_ref(self).cast::<u8>();
            here >= body && here < body.wrapping_add(size_of::<B>())
        });
        if !self.object.get().is_null() {
            return;
        }
        let head = &head.0;
        self.object.set(object.as_ptr());
        self.previous.set(ptr::from_ref(head));
        self.next.set(head.next.get());
        if let Some(next) = neighbour(head.next.get()) {
            next.previous.set(self);
        }
        head.next.set(self);
    }

    /// Leaves the list. Does nothing if it is in none.
    pub fn leave(&self) {
        if self.object.replace(ptr::null_mut()).is_null() {
            return;
        }
        let previous = self.previous.replace(ptr::null());
        let next = self.next.replace(ptr::null());
        if let Some(previous) = neighbour(previous) {
            previous.next.set(next);
        }
        if let Some(next) = neighbour(next) {
            next.previous.set(previous);
        }
    }
}

/// The head of a list; a static.
pub struct Head(Links);

// SAFETY: invariant 1: only touched with the GIL held.
unsafe impl Sync for Head {}

impl Head {
    /// An empty list.
    pub const fn new() -> Self {
        Self(Links::unlinked())
    }
}

/// The objects in a list, newest first.
pub fn linked<'py>(py: Python<'py>, head: &'static Head) -> Vec<Bound<'py, PyAny>> {
    let mut found = Vec::new();
    let mut next = head.0.next.get();
    while let Some(links) = neighbour(next) {
        // SAFETY: invariant 5: the object has not been deallocated, or it would have left.
        found.push(unsafe { Bound::from_borrowed_ptr(py, links.object.get()) });
        next = links.next.get();
    }
    found
}

#[inline]
fn neighbour<'a>(links: *const Links) -> Option<&'a Links> {
    // SAFETY: invariant 5: whoever is in the list is alive, and the GIL is held; null means the end.
    unsafe { links.as_ref() }
}
