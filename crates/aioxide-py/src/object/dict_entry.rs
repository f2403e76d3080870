//! `DictEntry`: one entry of a dictionary whose value is written again and again.
//!
//! `PyDict_SetItem` takes 15 ns of a task switch to find the entry that it found the time before. A dictionary's
//! version (PEP 509) is another one after every change that is made by others; while it is the same, the entry
//! is where it was, and its value is exchanged there. That itself does not raise the version: whoever else watches
//! this dictionary by its version does not see the exchanges. Only `asyncio.tasks._current_tasks` is written so.

use std::cell::Cell;
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::compat;
use super::owned::{Owned, Slot};

/// Where the value of one key lies, as long as the dictionary's version is `version`.
pub struct DictEntry {
    /// The dictionary; null while the place is not known. Owned: it cannot die while it is looked at.
    dictionary: Slot,
    place: Cell<*mut *mut ffi::PyObject>,
    version: Cell<u64>,
    /// How many writes in a row did not find the entry in its place.
    misses: Cell<u32>,
}

impl DictEntry {
    /// An entry that was not found yet.
    pub const fn unknown() -> Self {
        Self {
            dictionary: Slot::empty(),
            place: Cell::new(ptr::null_mut()),
            version: Cell::new(0),
            misses: Cell::new(0),
        }
    }

    /// Exchanges the value, if the entry is where it was seen last. If not, [`DictEntry::set`] has to be called.
    #[inline]
    pub fn exchange(&self, value: &Bound<'_, PyAny>) -> bool {
        let dictionary = self.dictionary.as_ptr();
        // SAFETY: `find` put a dictionary there.
        if dictionary.is_null() || unsafe { compat::version_of_dict(dictionary) } != Some(self.version.get()) {
            return false;
        }
        // SAFETY: nobody has changed the dictionary since `find` saw this entry, so its memory is what it was, and
        // the entry owns a reference to its value. The old value is released last: that may run Python, which finds
        // everything in its place.
        unsafe {
            let before = self.place.get().replace(value.clone().into_ptr());
            ffi::Py_DECREF(before);
        }
        true
    }

    /// Sets `dictionary[key] = value`. Always of the same dictionary and key.
    pub fn set(
        &self,
        dictionary: &Bound<'_, PyDict>,
        key: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.dictionary.clear();
        dictionary.set_item(key, value)?;
        self.misses.set(self.misses.get() + 1);
        // The search is dear: not for an entry that others keep removing.
        if self.misses.get() >= ENOUGH_MISSES {
            self.misses.set(0);
            self.find(dictionary, key, value)?;
        }
        Ok(())
    }

    /// Looks for the entry in the dictionary's table: the key, with the value behind it.
    fn find(&self, dictionary: &Bound<'_, PyDict>, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        // SAFETY: a dictionary that is alive.
        let Some(version) = (unsafe { compat::version_of_dict(dictionary.as_ptr()) }) else {
            return Ok(());
        };
        let whole: usize = dictionary.call_method0("__sizeof__")?.extract()?;
        let size = whole.saturating_sub(size_of::<ffi::PyDictObject>());
        // SAFETY: a dictionary that is alive. What it weighs beyond its own struct is its table, one block of memory,
        // which is only read, and within its bounds.
        unsafe {
            let table = (*dictionary.as_ptr().cast::<ffi::PyDictObject>()).ma_keys;
            let words = table.cast::<*mut ffi::PyObject>();
            let count = size / size_of::<usize>();
            let is_entry = |index: usize| {
                ptr::eq(*words.wrapping_add(index), key.as_ptr())
                    && ptr::eq(*words.wrapping_add(index + 1), value.as_ptr())
            };
            if let Some(index) = (0..count.saturating_sub(1)).find(|index| is_entry(*index)) {
                self.place.set(words.wrapping_add(index + 1));
                self.version.set(version);
                self.dictionary.set(Owned::new(dictionary.as_any()));
            }
        }
        Ok(())
    }
}

/// Writes that miss before the entry is looked for again.
const ENOUGH_MISSES: u32 = 8;
