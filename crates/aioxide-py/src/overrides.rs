//! `Overrides`: which groups of its methods an object has replaced, in a subclass or on the instance.
//!
//! Native code bypasses methods of the same object only where nobody replaced them.

#![forbid(unsafe_code)]

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};

/// Methods that stand or fall together: a bit, and their names.
pub struct Group {
    bit: u8,
    names: &'static [&'static str],
}

/// The groups of an object that have a replaced method.
///
/// All of them, until `look` was called: nothing is bypassed in an object whose `__init__` did not run.
pub struct Overrides(Cell<u8>);

impl Group {
    /// A group; `index` is below 8 and its own among the groups of a type.
    pub const fn new(index: u8, names: &'static [&'static str]) -> Self {
        Self { bit: 1 << index, names }
    }
}

impl Overrides {
    /// Of an object that was not looked at yet.
    pub const fn unknown() -> Self {
        Self(Cell::new(u8::MAX))
    }

    /// Whether every method of the group is the native one.
    #[inline]
    pub fn none(&self, group: &Group) -> bool {
        self.0.get() & group.bit == 0
    }

    /// Compares a class with the native base whose methods are bypassed. `plain` is the one subclass that is
    /// known to replace nothing.
    pub fn look(
        &self,
        class: &Bound<'_, PyType>,
        native: &Bound<'_, PyType>,
        plain: &Bound<'_, PyAny>,
        groups: &[&Group],
    ) -> PyResult<()> {
        let mut replaced = 0;
        if !class.is(plain) {
            for group in groups {
                for name in group.names {
                    if !class.getattr(*name)?.is(native.getattr(*name)?) {
                        replaced |= group.bit;
                    }
                }
            }
        }
        self.0.set(replaced);
        Ok(())
    }

    /// Notes that an attribute of the object was assigned.
    pub fn assigned(&self, name: &Bound<'_, PyAny>, groups: &[&Group]) {
        let Ok(name) = name.cast::<PyString>() else { return };
        let Ok(name) = name.to_cow() else { return };
        for group in groups {
            if group.names.contains(&name.as_ref()) {
                self.0.set(self.0.get() | group.bit);
            }
        }
    }
}
