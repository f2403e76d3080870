//! `ChildQueue`: the children of a group that are to be resumed, and who is to be told.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Waker;

use super::raw::TaskRef;
use super::waker::LocalWaker;
use crate::events::Entry;
use crate::sys::current::with_current;

/// A first-in-first-out queue whose owner is woken when it stops being empty.
pub(crate) struct ChildQueue {
    ready: RefCell<VecDeque<TaskRef>>,
    owner: RefCell<Owner>,
    /// Whether the owner was told and has not come yet.
    told: Cell<bool>,
}

impl ChildQueue {
    pub(super) fn new() -> Rc<ChildQueue> {
        Rc::new(ChildQueue {
            ready: RefCell::new(VecDeque::new()),
            owner: RefCell::new(Owner::Nobody),
            told: Cell::new(false),
        })
    }

    /// Adds a child and tells the owner.
    pub(super) fn push(&self, child: TaskRef) {
        self.ready.borrow_mut().push_back(child);
        self.tell();
    }

    /// Takes the next child out.
    pub(crate) fn pop(&self) -> Option<TaskRef> {
        self.ready.borrow_mut().pop_front()
    }

    pub(crate) fn len(&self) -> usize {
        self.ready.borrow().len()
    }

    /// Tells the owner that there is something to do.
    pub(crate) fn tell(&self) {
        if self.told.replace(true) {
            return;
        }
        let waker = match &*self.owner.borrow() {
            Owner::Nobody => {
                self.told.set(false);
                return;
            }
            Owner::Loop => {
                with_current(|running| running.map(|running| running.push(Entry::Root)));
                return;
            }
            Owner::Waker(waker) => waker.clone(),
        };
        waker.wake();
    }

    /// Makes the loop itself the owner: it puts a mark into its own queue.
    pub(crate) fn own_by_loop(&self) {
        let former = self.owner.replace(Owner::Loop);
        drop(former);
        self.told.set(false);
        if self.len() > 0 {
            self.tell();
        }
    }

    /// Notes that the owner is here, and how it is woken the next time.
    pub(crate) fn arrive(&self, waker: Option<&Waker>) {
        self.told.set(false);
        let Some(waker) = waker else { return };
        let same = matches!(&*self.owner.borrow(), Owner::Waker(known) if known.will_wake(waker));
        if !same {
            let former = self.owner.replace(Owner::Waker(LocalWaker::new(waker)));
            drop(former);
        }
    }

    /// Forgets whom to wake: a task and what it owns must not keep each other alive.
    pub(crate) fn disown(&self) {
        let former = self.owner.replace(Owner::Nobody);
        let ready = self.ready.take();
        drop((former, ready));
    }
}

/// Who runs the children.
enum Owner {
    Nobody,
    Loop,
    Waker(LocalWaker),
}
