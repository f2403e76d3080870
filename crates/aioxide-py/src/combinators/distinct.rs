//! Which of several awaitables are the same, and which are still to be heard of.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use pyo3::prelude::*;

use crate::object::{Owned, Visitor};

/// Which arguments were given before. They compare by identity: none is of a class that could say otherwise.
pub enum Seen {
    /// No argument is given twice.
    Once,
    /// By address, the index of the first.
    Twice(HashMap<usize, usize>),
}

impl Seen {
    /// Looks at all of them.
    pub fn of(given: &[Bound<'_, PyAny>]) -> Self {
        let mut addresses: Vec<usize> = given.iter().map(|given| given.as_ptr() as usize).collect();
        addresses.sort_unstable();
        if addresses.windows(2).any(|pair| pair.first() == pair.last()) {
            return Self::Twice(HashMap::new());
        }
        Self::Once
    }

    /// The index at which the same argument came first; this one is remembered.
    pub fn before(&mut self, given: &Bound<'_, PyAny>, index: usize) -> Option<usize> {
        let Self::Twice(known) = self else { return None };
        let first = *known.entry(given.as_ptr() as usize).or_insert(index);
        (first != index).then_some(first)
    }
}

/// Futures, each once, by identity.
#[derive(Default)]
pub struct Distinct(RefCell<HashMap<usize, Owned, BuildHasherDefault<Address>>>);

impl Distinct {
    /// Adds one; false if it was there.
    pub fn add(&self, future: &Bound<'_, PyAny>) -> bool {
        let mut known = self.0.borrow_mut();
        known.insert(future.as_ptr() as usize, Owned::new(future)).is_none()
    }

    /// Takes one out; false if it was not there.
    pub fn remove(&self, future: &Bound<'_, PyAny>) -> bool {
        let found = self.0.borrow_mut().remove(&(future.as_ptr() as usize));
        found.is_some()
    }

    /// Takes all of them, in no order.
    pub fn take(&self) -> Vec<Owned> {
        self.0.take().into_values().collect()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Shows them to the garbage collector.
    pub fn traverse(&self, visitor: &mut Visitor<'_>) {
        if let Ok(known) = self.0.try_borrow() {
            for future in known.values() {
                visitor.owned(future);
            }
        }
    }
}

/// Spreads the addresses of objects.
#[derive(Default)]
pub struct Address(u64);

impl Hasher for Address {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn write_usize(&mut self, address: usize) {
        // The low bits of an address are zero; the table looks at the highest and the lowest.
        self.0 = (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}
