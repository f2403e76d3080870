//! `Owned` and `Slot`: strong references that a body may hold.
//!
//! `pyo3::Py` asks a thread-local on every drop whether the thread is attached, because it may be dropped
//! anywhere. A body is only touched with the GIL held (invariant 1 of this folder), so these drop at once.
//! Measured on a task switch: 4 ns of 95.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use pyo3::ffi;
use pyo3::prelude::*;

/// A strong reference to a Python object, dropped without asking whether the GIL is held.
///
/// It may move to another thread, through the inbox, as long as it is touched and dropped there with the
/// GIL held; the inbox dies with its loop, in `dealloc`.
pub struct Owned {
    pointer: NonNull<ffi::PyObject>,
    // Not Sync.
    _gil: PhantomData<*mut ()>,
}

// SAFETY: invariant 1: whichever thread touches it holds the GIL.
unsafe impl Send for Owned {}

impl Owned {
    /// Keeps `object` alive.
    #[inline]
    pub fn new(object: &Bound<'_, PyAny>) -> Self {
        object.clone().into()
    }

    /// Lends the object for as long as `self` lives.
    #[inline]
    pub fn bind<'a, 'py>(&'a self, py: Python<'py>) -> &'a Bound<'py, PyAny> {
        let _ = py;
        // SAFETY: `Bound<PyAny>` is `repr(transparent)` over one non-null object pointer, as `NonNull` is;
        // the token proves the GIL is held; `self` owns a reference for all of `'a`.
        unsafe { &*ptr::from_ref(&self.pointer).cast::<Bound<'py, PyAny>>() }
    }

    /// Gives the reference away.
    #[inline]
    pub fn into_bound<'py>(self, py: Python<'py>) -> Bound<'py, PyAny> {
        let pointer = self.into_raw();
        // SAFETY: `into_raw` gave us the one reference that `self` owned.
        unsafe { Bound::from_owned_ptr(py, pointer) }
    }

    /// The pointer, still owned by `self`.
    #[inline]
    pub fn as_ptr(&self) -> *mut ffi::PyObject {
        self.pointer.as_ptr()
    }

    /// The pointer, now owned by the caller.
    #[inline]
    pub(super) fn into_raw(self) -> *mut ffi::PyObject {
        let pointer = self.pointer.as_ptr();
        std::mem::forget(self);
        pointer
    }

    /// Takes over one reference.
    ///
    /// # Safety
    /// The caller owns a reference to `pointer` and gives it up.
    #[inline]
    pub(super) unsafe fn from_raw(pointer: NonNull<ffi::PyObject>) -> Self {
        Self {
            pointer,
            _gil: PhantomData,
        }
    }
}

impl Clone for Owned {
    #[inline]
    fn clone(&self) -> Self {
        // SAFETY: `self` keeps the object alive; invariant 1: the GIL is held.
        unsafe { ffi::Py_INCREF(self.pointer.as_ptr()) };
        Self {
            pointer: self.pointer,
            _gil: PhantomData,
        }
    }
}

impl Drop for Owned {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `self` owns one reference; invariant 1: the GIL is held.
        unsafe { ffi::Py_DECREF(self.pointer.as_ptr()) };
    }
}

impl From<Bound<'_, PyAny>> for Owned {
    #[inline]
    fn from(object: Bound<'_, PyAny>) -> Self {
        let pointer = object.into_ptr();
        // SAFETY: `into_ptr` of a `Bound` is never null and hands its reference over.
        unsafe { Self::from_raw(NonNull::new_unchecked(pointer)) }
    }
}

/// An optional strong reference that can be replaced through `&self`.
///
/// Every method first puts the slot right and only then releases what was in it: a decref may run Python
/// that comes back to the same slot.
#[derive(Default)]
pub struct Slot(Cell<Option<Owned>>);

impl Slot {
    /// A slot with nothing in it.
    pub const fn empty() -> Self {
        Self(Cell::new(None))
    }

    /// A slot that owns `object`.
    pub fn new(object: Owned) -> Self {
        Self(Cell::new(Some(object)))
    }

    /// Stores `object` and releases what was there.
    #[inline]
    pub fn set(&self, object: Owned) {
        drop(self.0.replace(Some(object)));
    }

    /// Stores `object` or nothing, and releases what was there.
    #[inline]
    pub fn replace(&self, object: Option<Owned>) -> Option<Owned> {
        self.0.replace(object)
    }

    /// Empties the slot; the caller owns what was there.
    #[inline]
    pub fn take(&self) -> Option<Owned> {
        self.0.take()
    }

    /// Empties the slot and releases what was there.
    #[inline]
    pub fn clear(&self) {
        drop(self.0.take());
    }

    /// Whether there is nothing in it.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.as_ptr().is_null()
    }

    /// A new reference to what is there.
    #[inline]
    pub fn get<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let pointer = self.as_ptr();
        // SAFETY: the slot owns a reference to `pointer`, or it is null.
        unsafe { Bound::from_borrowed_ptr_or_opt(py, pointer) }
    }

    /// A new reference to what is there, `None` (the Python object) if nothing.
    #[inline]
    pub fn get_or_none<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.get(py).unwrap_or_else(|| py.None().into_bound(py))
    }

    /// Whether exactly `object` is there.
    #[inline]
    pub fn is(&self, object: &Bound<'_, PyAny>) -> bool {
        ptr::eq(self.as_ptr(), object.as_ptr())
    }

    /// The pointer, null if nothing; valid until the slot changes.
    #[inline]
    pub fn as_ptr(&self) -> *mut ffi::PyObject {
        // SAFETY: reads the pointer without moving it out. `Option<Owned>` is one nullable pointer (`Owned`
        // is a `NonNull` and a zero-sized marker), and invariant 1 excludes a concurrent writer.
        unsafe { *self.0.as_ptr().cast::<*mut ffi::PyObject>() }
    }
}
