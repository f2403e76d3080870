//! `Lent`: a reference that is lent for as long as a call lasts.
//!
//! Invariant: the pointer is null, or [`Lent::during`] is running further down this thread's stack, and
//! borrows what it points to. [`Lent::with`] lends it to a closure only, so the borrow cannot outlive that
//! call.
//!
//! The reference count of a task changes six times in a switch where the current one is counted, each time
//! waiting for the one before; `benches/tasks.rs` (`switch`) has the difference.

use std::cell::Cell;
use std::ptr;

/// A place for a reference, on one thread.
pub(crate) struct Lent<T> {
    place: Cell<*const T>,
}

impl<T> Lent<T> {
    /// Makes a place in which nothing is.
    pub(crate) const fn new() -> Lent<T> {
        Lent {
            place: Cell::new(ptr::null()),
        }
    }

    /// Puts `value` there while `body` runs; what was there before is back afterwards.
    #[inline]
    pub(crate) fn during<R>(&self, value: Option<&T>, body: impl FnOnce() -> R) -> R {
        let former = self.place.replace(value.map_or(ptr::null(), ptr::from_ref));
        let restore = Restore {
            place: &self.place,
            former,
        };
        let result = body();
        drop(restore);
        result
    }

    /// Lends what is there.
    #[inline]
    pub(crate) fn with<R>(&self, body: impl FnOnce(Option<&T>) -> R) -> R {
        // SAFETY: the invariant above: not null means that `during` is on the stack below this call with a
        // shared borrow of the value, and it cannot return before `body` does.
        body(unsafe { self.place.get().as_ref() })
    }
}

/// Puts the former reference back, also when the body panics.
struct Restore<'a, T> {
    place: &'a Cell<*const T>,
    former: *const T,
}

impl<T> Drop for Restore<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.place.set(self.former);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lent_is_there_during_the_call_and_the_former_afterwards() {
        let lent = Lent::new();
        let seen = |lent: &Lent<u32>| lent.with(|value| value.copied());
        assert_eq!(seen(&lent), None);
        lent.during(Some(&1), || {
            assert_eq!(seen(&lent), Some(1));
            lent.during(Some(&2), || assert_eq!(seen(&lent), Some(2)));
            lent.during(None, || assert_eq!(seen(&lent), None));
            assert_eq!(seen(&lent), Some(1));
        });
        assert_eq!(seen(&lent), None);
    }

    #[test]
    fn it_is_taken_back_when_the_call_panics() {
        let lent = Lent::new();
        let call = std::panic::AssertUnwindSafe(|| lent.during(Some(&1), || panic!("on purpose")));
        assert!(std::panic::catch_unwind(call).is_err());
        assert_eq!(lent.with(|value| value.copied()), None);
    }
}
