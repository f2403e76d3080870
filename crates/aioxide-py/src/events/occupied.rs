//! Which descriptors belong to transports of accepted connections: `add_reader()` refuses them.
//!
//! asyncio keeps a `WeakValueDictionary` for it: 1.2 µs and 145 bytes for each connection. This is one bit.
//! Counterpart: `_transports` and `_ensure_fd_no_transport` in `Lib/asyncio/selector_events.py`.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::os::fd::RawFd;

/// A set of descriptors, which are small numbers.
#[derive(Default)]
pub struct Occupied(RefCell<Vec<u64>>);

impl Occupied {
    /// Adds a descriptor.
    pub fn insert(&self, fd: RawFd) {
        let Some((index, bit)) = place(fd) else { return };
        let mut words = self.0.borrow_mut();
        if index >= words.len() {
            words.resize(index + 1, 0);
        }
        if let Some(word) = words.get_mut(index) {
            *word |= bit;
        }
    }

    /// Removes a descriptor, if it is there.
    pub fn remove(&self, fd: RawFd) {
        let Some((index, bit)) = place(fd) else { return };
        if let Some(word) = self.0.borrow_mut().get_mut(index) {
            *word &= !bit;
        }
    }

    /// Whether a descriptor is there.
    pub fn contains(&self, fd: RawFd) -> bool {
        place(fd).is_some_and(|(index, bit)| self.0.borrow().get(index).is_some_and(|word| word & bit != 0))
    }
}

fn place(fd: RawFd) -> Option<(usize, u64)> {
    let fd = usize::try_from(fd).ok()?;
    Some((fd / 64, 1 << (fd % 64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_inserted_and_not_removed_is_there() {
        let occupied = Occupied::default();
        for fd in [0, 63, 64, 1000] {
            assert!(!occupied.contains(fd));
            occupied.insert(fd);
            assert!(occupied.contains(fd));
        }
        occupied.remove(63);
        occupied.remove(100_000);
        assert!(!occupied.contains(63));
        assert!(occupied.contains(64));
        occupied.insert(-1);
        assert!(!occupied.contains(-1));
    }
}
