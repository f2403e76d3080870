//! Looking into structs of CPython whose fields are private to each build: [`Memory`] searches one for what is known to
//! be in it, and a [`Place`] remembers where it was.

use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;

use super::compat;

/// Where something lies behind an object's or a thread state's address; 0 while it is not known.
pub(super) struct Place(AtomicUsize);

impl Place {
    pub(super) const fn unknown() -> Self {
        Self(AtomicUsize::new(0))
    }

    #[inline]
    pub(super) fn offset(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn of<T>(&self, base: *mut u8) -> *mut T {
        base.wrapping_add(self.offset()).cast()
    }

    pub(super) fn set(&self, offset: usize) {
        self.0.store(offset, Ordering::Relaxed);
    }
}

/// Memory to be searched word by word.
pub(super) struct Memory {
    start: *const u8,
    size: usize,
}

impl Memory {
    /// The struct of an object.
    pub(super) fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self {
            start: object.as_ptr().cast_const().cast(),
            size: object.get_type().getattr("__basicsize__")?.extract()?,
        })
    }

    /// The state of this thread, as far as what is looked for may lie.
    pub(super) fn of_this_thread() -> Self {
        Self {
            start: thread().cast_const(),
            size: compat::THREAD_STATE_SIZE,
        }
    }

    /// The word at an offset.
    pub(super) fn word(&self, offset: usize) -> Option<usize> {
        if offset + size_of::<usize>() > self.size {
            return None;
        }
        // SAFETY: within the memory, as checked just above, which stays as long as its object or this thread;
        // offsets are multiples of the word, and so is the start.
        Some(unsafe { self.start.wrapping_add(offset).cast::<usize>().read() })
    }

    /// Where the pointer to an object stands; behind the head that all objects have.
    pub(super) fn find(&self, object: &Bound<'_, PyAny>) -> PyResult<usize> {
        let wanted = object.as_ptr().addr();
        let offsets = (size_of::<ffi::PyObject>()..self.size).step_by(size_of::<usize>());
        offsets
            .into_iter()
            .find(|offset| self.word(*offset) == Some(wanted))
            .ok_or_else(unknown)
    }

    /// Where an address lies.
    pub(super) fn offset_of(&self, address: *const u8) -> Option<usize> {
        let offset = address.addr().checked_sub(self.start.addr())?;
        (offset < self.size).then_some(offset)
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let words = (0..self.size).step_by(size_of::<usize>());
        words
            .filter_map(|offset| self.word(offset))
            .flat_map(usize::to_ne_bytes)
            .collect()
    }

    /// The first word, behind the object's head, that is another than before.
    pub(super) fn first_word_changed_since(&self, before: &[u8]) -> PyResult<usize> {
        let after = self.bytes();
        let word = size_of::<usize>();
        let offsets = (size_of::<ffi::PyObject>()..self.size).step_by(word);
        offsets
            .into_iter()
            .find(|offset| before.get(*offset..offset + word) != after.get(*offset..offset + word))
            .ok_or_else(unknown)
    }

    /// The only byte that became 1, besides the word at `except`.
    pub(super) fn only_byte_set_since(&self, before: &[u8], except: usize) -> PyResult<usize> {
        let after = self.bytes();
        let excepted = except..except + size_of::<usize>();
        let head = size_of::<ffi::PyObject>();
        let pairs = before.iter().zip(&after).enumerate();
        let mut set =
            pairs.filter(|(offset, (before, after))| *offset >= head && !excepted.contains(offset) && before != after);
        match (set.next(), set.next()) {
            (Some((offset, (0, 1))), None) => Ok(offset),
            _ => Err(unknown()),
        }
    }
}

/// The state of this thread.
#[inline]
pub(super) fn thread() -> *mut u8 {
    // SAFETY: the GIL is held.
    unsafe { ffi::PyThreadState_Get() }.cast()
}

pub(super) fn unknown() -> PyErr {
    PyImportError::new_err("aioxide does not know how this build of CPython keeps its tasks")
}
