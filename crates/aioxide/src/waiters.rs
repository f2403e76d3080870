//! `WaitList`: who waits for a lock, an event, a place in a queue, first in first out.
//!
//! Places in a slab, linked in the order of arrival: waiting and leaving allocate nothing once the list
//! has been as long before.
//!
//! ```text
//! join ──► Waiting ──► wake_first, wake_all ──► Woken ──► leave
//!             └──────────────────────────────────────────► leave
//! ```
//!
//! Invariant: exactly the places that are `Waiting` are linked.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::task::{Context, Poll, Waker};

use crate::cancellation::Checkpoint;
use crate::exceptions::Cancelled;
use crate::tasks::LocalWaker;

/// A list of those who wait.
pub(crate) struct WaitList {
    places: RefCell<Places>,
}

impl WaitList {
    pub(crate) const fn new() -> WaitList {
        WaitList {
            places: RefCell::new(Places {
                slots: Vec::new(),
                first: NONE,
                last: NONE,
                vacant: NONE,
                len: 0,
            }),
        }
    }

    /// Returns how many wait.
    pub(crate) fn len(&self) -> usize {
        self.places.borrow().len
    }

    /// Wakes the one who has waited longest; returns whether there was one.
    pub(crate) fn wake_first(&self) -> bool {
        let waker = self.places.borrow_mut().pop();
        match waker {
            Some(waker) => {
                waker.wake();
                true
            }
            None => false,
        }
    }

    /// Wakes all who wait now.
    pub(crate) fn wake_all(&self) {
        for _ in 0..self.len() {
            self.wake_first();
        }
    }
}

/// One wait in a list. What a wake-up that came too late stands for is given back by `give_back`.
pub(crate) struct Wait<'list, G: FnMut()> {
    list: &'list WaitList,
    slot: Option<u32>,
    checkpoint: Checkpoint,
    give_back: G,
}

impl<'list, G: FnMut()> Wait<'list, G> {
    pub(crate) const fn new(list: &'list WaitList, give_back: G) -> Wait<'list, G> {
        Wait {
            list,
            slot: None,
            checkpoint: Checkpoint::new(),
            give_back,
        }
    }

    /// Waits until it is woken.
    pub(crate) fn poll(&mut self, context: &Context<'_>) -> Poll<Result<(), Cancelled>> {
        let Some(slot) = self.slot else {
            self.checkpoint.suspend(context)?;
            self.slot = Some(self.list.places.borrow_mut().push(LocalWaker::new(context.waker())));
            return Poll::Pending;
        };
        if let Some(cancelled) = self.checkpoint.cancelled() {
            self.leave();
            return Poll::Ready(Err(cancelled));
        }
        let former = self.list.places.borrow_mut().poll(slot, context.waker());
        match former {
            Seen::Woken => {
                let left = self.list.places.borrow_mut().leave(slot);
                self.slot = None;
                drop(left);
                self.checkpoint.leave();
                Poll::Ready(Ok(()))
            }
            Seen::Waiting(former) => {
                drop(former);
                self.checkpoint.suspend(context)?;
                Poll::Pending
            }
        }
    }

    /// Leaves the list; a wake-up that was not used is given back.
    fn leave(&mut self) {
        let Some(slot) = self.slot.take() else { return };
        let left = self.list.places.borrow_mut().leave(slot);
        if matches!(left, State::Woken) {
            (self.give_back)();
        }
    }
}

impl<G: FnMut()> Drop for Wait<'_, G> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Waits in a list until woken.
pub(crate) async fn wait_in(list: &WaitList, give_back: impl FnMut()) -> Result<(), Cancelled> {
    let mut wait = Wait::new(list, give_back);
    std::future::poll_fn(|context| wait.poll(context)).await
}

struct Places {
    slots: Vec<Slot>,
    first: u32,
    last: u32,
    vacant: u32,
    len: usize,
}

struct Slot {
    state: State,
    /// The neighbours, while linked; the next vacant one, while vacant.
    previous: u32,
    next: u32,
}

enum State {
    Vacant,
    Waiting(LocalWaker),
    Woken,
}

/// What a wait finds at its place.
enum Seen {
    Woken,
    /// With the waker that was replaced, to be dropped when nothing is borrowed.
    Waiting(Option<LocalWaker>),
}

impl Places {
    fn push(&mut self, waker: LocalWaker) -> u32 {
        let slot = Slot {
            state: State::Waiting(waker),
            previous: self.last,
            next: NONE,
        };
        let index = self.occupy(slot);
        if let Some(last) = self.slots.get_mut(self.last as usize) {
            last.next = index;
        } else {
            self.first = index;
        }
        self.last = index;
        self.len += 1;
        index
    }

    /// Unlinks the first place, and marks it as woken.
    fn pop(&mut self) -> Option<LocalWaker> {
        let index = self.first;
        self.slots.get(index as usize)?;
        self.unlink(index);
        let slot = self.slots.get_mut(index as usize)?;
        match std::mem::replace(&mut slot.state, State::Woken) {
            State::Waiting(waker) => Some(waker),
            State::Vacant | State::Woken => None,
        }
    }

    fn poll(&mut self, index: u32, waker: &Waker) -> Seen {
        match self.slots.get_mut(index as usize).map(|slot| &mut slot.state) {
            Some(State::Waiting(known)) if !known.will_wake(waker) => {
                Seen::Waiting(Some(std::mem::replace(known, LocalWaker::new(waker))))
            }
            Some(State::Waiting(_)) => Seen::Waiting(None),
            _ => Seen::Woken,
        }
    }

    /// Vacates a place; returns what was there.
    fn leave(&mut self, index: u32) -> State {
        let is_waiting = |slot: &Slot| matches!(slot.state, State::Waiting(_));
        if self.slots.get(index as usize).is_some_and(is_waiting) {
            self.unlink(index);
        }
        let vacant = self.vacant;
        let Some(slot) = self.slots.get_mut(index as usize) else {
            return State::Vacant;
        };
        slot.next = vacant;
        self.vacant = index;
        std::mem::replace(&mut slot.state, State::Vacant)
    }

    fn unlink(&mut self, index: u32) {
        let Some(slot) = self.slots.get(index as usize) else {
            return;
        };
        let (previous, next) = (slot.previous, slot.next);
        match self.slots.get_mut(previous as usize) {
            Some(slot) => slot.next = next,
            None => self.first = next,
        }
        match self.slots.get_mut(next as usize) {
            Some(slot) => slot.previous = previous,
            None => self.last = previous,
        }
        self.len -= 1;
    }

    fn occupy(&mut self, slot: Slot) -> u32 {
        let index = self.vacant;
        if let Some(place) = self.slots.get_mut(index as usize) {
            self.vacant = place.next;
            *place = slot;
            return index;
        }
        self.slots.push(slot);
        u32::try_from(self.slots.len() - 1).expect("2^32 waiters do not fit into memory")
    }
}

/// No place has this number.
const NONE: u32 = u32::MAX;
