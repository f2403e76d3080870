//! Cancellation: requests, and the await points that they reach.
//!
//! A [`CancelState`] belongs to each task, and to each block that can be cancelled by itself (a timeout,
//! the body of a task group). An await of this crate has a [`Checkpoint`], which knows the state that
//! was current when it began to wait.
//!
//! ```text
//! request:  epoch += 1, Pending ──► the task is woken ──► an await that began before this epoch
//!                          │                              returns Cancelled: Delivered
//!                          └──► none waits: the next one that would wait returns it
//! retract (uncancel):      Pending ──► Idle
//! ```
//!
//! So one request ends every await that was under way in the state, once, and no later one. (asyncio's
//! task can wait in one place only; a Rust task may wait in several, under `join!`.)
//!
//! A state in which nothing of ours waits is **unclaimed**: the task is suspended in a foreign future,
//! and whoever owns it drops it there, which is how the rest of Rust cancels.
//!
//! Counterpart: `Task.cancel`, `uncancel` and `_must_cancel`.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::ptr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Waker};

use crate::exceptions::{Cancelled, Delivery};
use crate::sys::current::with_current;
use crate::tasks::TaskRef;

/// What was asked of a task or a block, and how far it has got.
#[derive(Default)]
pub(crate) struct CancelState {
    /// Requests that were not retracted.
    requests: Cell<u32>,
    /// Raised with each request.
    epoch: Cell<u32>,
    /// The epoch that was last delivered.
    delivered: Cell<u32>,
    /// Whether a request waits for an await to take it.
    pending: Cell<bool>,
    /// Awaits of this crate that wait in this state.
    waiting: Cell<u32>,
    /// Whether an await of the last step gave way for one turn: see [`Turn`].
    yielded: Cell<bool>,
    /// Made with the first request, or the first await behind a foreign waker.
    rare: RefCell<Option<Box<Rare>>>,
}

/// What most tasks never need.
#[derive(Default)]
struct Rare {
    message: Option<Arc<str>>,
    deliveries: Vec<Arc<Delivery>>,
    /// Awaits inside of combinators that poll only what their own wakers name.
    foreign: Vec<Weak<RefCell<Waker>>>,
}

impl CancelState {
    /// Asks for a cancellation. The caller owes the wake-up of the task.
    pub(crate) fn request(&self, message: Option<Arc<str>>) {
        self.requests.set(self.requests.get().saturating_add(1));
        self.epoch.set(self.epoch.get().wrapping_add(1));
        self.pending.set(true);
        let mut rare = self.rare.borrow_mut();
        let rare = rare.get_or_insert_default();
        let former = std::mem::replace(&mut rare.message, message);
        let foreign: Vec<_> = rare.foreign.iter().filter_map(Weak::upgrade).collect();
        // Wakers are foreign code: they run when nothing is borrowed.
        drop(former);
        self.wake_all(foreign);
    }

    /// Takes a request back; returns how many are left.
    pub(crate) fn retract(&self) -> u32 {
        let left = self.requests.get().saturating_sub(1);
        self.requests.set(left);
        if left == 0 {
            self.pending.set(false);
        }
        left
    }

    pub(crate) fn requests(&self) -> u32 {
        self.requests.get()
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.pending.get()
    }

    /// Whether a request is pending and no await of this crate will take it.
    pub(crate) fn is_unclaimed(&self) -> bool {
        self.pending.get() && self.waiting.get() == 0 && !self.yielded.get()
    }

    /// Notes that what this is the state of is resumed: an await that gave way for one turn has its own now.
    #[inline]
    pub(crate) fn begin_step(&self) {
        self.yielded.set(false);
    }

    /// Whether a request since `epoch` is to end a wait.
    #[inline]
    fn is_reached_since(&self, epoch: u32) -> bool {
        let newest = self.epoch.get();
        newest != epoch && (self.pending.get() || self.delivered.get() == newest)
    }

    /// Whether a cancellation was handed out.
    pub(crate) fn was_delivered(&self) -> bool {
        let rare = self.rare.borrow();
        rare.as_ref().is_some_and(|rare| !rare.deliveries.is_empty())
    }

    /// Returns a cancellation that is on its way out: handed out here, and not dropped since.
    pub(crate) fn in_flight(&self) -> Option<Arc<Delivery>> {
        let rare = self.rare.borrow();
        let alive = |delivery: &&Arc<Delivery>| delivery.is_alive();
        rare.as_ref()?.deliveries.iter().rev().find(alive).cloned()
    }

    /// Counts a cancellation that came out of another task or block as handed out here.
    pub(crate) fn adopt(&self, delivery: Arc<Delivery>) {
        let mut rare = self.rare.borrow_mut();
        let deliveries = &mut rare.get_or_insert_default().deliveries;
        // One is kept even when it is dead: it tells that a cancellation was swallowed.
        if deliveries.len() > 1 {
            deliveries.retain(|delivery| delivery.is_alive());
        }
        if !deliveries.iter().any(|known| Arc::ptr_eq(known, &delivery)) {
            deliveries.push(delivery);
        }
    }

    /// Hands the pending request out as an error.
    pub(crate) fn deliver(&self) -> Cancelled {
        let again = !self.pending.get();
        let message = self.take();
        // A second await that the same request ends gets a copy.
        let last = again.then(|| {
            self.rare
                .borrow()
                .as_ref()
                .and_then(|rare| rare.deliveries.last().cloned())
        });
        let delivery = last.flatten().unwrap_or_else(|| Delivery::new(message));
        let cancelled = Cancelled::of(Arc::clone(&delivery));
        self.adopt(delivery);
        cancelled
    }

    /// Hands the pending request over as it is, to be passed on; returns its message.
    pub(crate) fn take(&self) -> Option<Arc<str>> {
        self.pending.set(false);
        self.delivered.set(self.epoch.get());
        let rare = self.rare.borrow();
        rare.as_ref().and_then(|rare| rare.message.clone())
    }

    /// Puts back a request that was taken, for the next await.
    pub(crate) fn restore(&self) {
        self.pending.set(true);
    }

    fn wake_all(&self, foreign: Vec<Rc<RefCell<Waker>>>) {
        for waker in foreign {
            let waker = waker.borrow().clone();
            waker.wake();
        }
    }

    /// Registers an await behind a foreign waker, so that a request wakes it.
    fn watch(&self, waker: &Rc<RefCell<Waker>>) {
        let mut rare = self.rare.borrow_mut();
        let foreign = &mut rare.get_or_insert_default().foreign;
        if foreign.len() == foreign.capacity() {
            foreign.retain(|waker| waker.strong_count() > 0);
        }
        foreign.push(Rc::downgrade(waker));
    }
}

/// The state of a task or of a block.
#[derive(Clone)]
pub(crate) enum CancelRef {
    Task(TaskRef),
    Block(Rc<CancelState>),
}

impl CancelRef {
    /// Returns the innermost state around the running code.
    fn current() -> Option<CancelRef> {
        with_current(|running| running?.cancel_ref())
    }

    fn is(&self, other: &CancelRef) -> bool {
        ptr::eq(&raw const **self, &raw const **other)
    }
}

impl Deref for CancelRef {
    type Target = CancelState;

    fn deref(&self) -> &CancelState {
        match self {
            CancelRef::Task(task) => &task.state().cancel,
            CancelRef::Block(state) => state,
        }
    }
}

/// The part of an await that a cancellation reaches.
///
/// An await that can go on at once never touches it. One that cannot calls [`Checkpoint::suspend`]
/// before it returns `Pending`, and [`Checkpoint::cancelled`] at each later poll, before it looks
/// whether what it waits for has come: a cancellation goes first, as in asyncio.
#[derive(Default)]
pub(crate) struct Checkpoint {
    waiting: Option<Waiting>,
}

impl Checkpoint {
    pub(crate) const fn new() -> Checkpoint {
        Checkpoint { waiting: None }
    }

    /// Returns the cancellation that ends this wait, if there is one. The wait is over then.
    #[inline]
    pub(crate) fn cancelled(&mut self) -> Option<Cancelled> {
        if !self.waiting.as_mut()?.is_reached() {
            return None;
        }
        let waiting = self.waiting.take()?;
        Some(waiting.owner.deliver())
    }

    /// Takes a request that reaches this wait, to pass it on to what is waited for; returns its
    /// message. The wait goes on.
    #[inline]
    pub(crate) fn request(&mut self) -> Option<Option<Arc<str>>> {
        let waiting = self.waiting.as_mut()?;
        if !waiting.is_reached() {
            return None;
        }
        waiting.epoch = waiting.owner.epoch.get();
        Some(waiting.owner.take())
    }

    /// Begins or continues to wait.
    ///
    /// # Errors
    /// A cancellation that was asked for before anything waited.
    #[inline]
    pub(crate) fn suspend(&mut self, context: &Context<'_>) -> Result<(), Cancelled> {
        match self.begin(context) {
            Some(owner) => Err(owner.deliver()),
            None => Ok(()),
        }
    }

    /// As [`Checkpoint::suspend`], for a wait that passes requests on.
    pub(crate) fn suspend_or_request(&mut self, context: &Context<'_>) -> Option<Option<Arc<str>>> {
        let message = self.begin(context)?.take();
        // The request is taken, so this one waits.
        self.begin(context);
        Some(message)
    }

    /// Ends the wait.
    #[inline]
    pub(crate) fn leave(&mut self) {
        self.waiting = None;
    }

    /// Begins to wait, or returns the state whose pending request is to be taken first.
    #[inline]
    fn begin(&mut self, context: &Context<'_>) -> Option<CancelRef> {
        let owner = CancelRef::current();
        let Some(owner) = owner else {
            // Not inside a task of ours: nothing can be cancelled.
            self.waiting = None;
            return None;
        };
        if let Some(waiting) = self.waiting.as_mut().filter(|waiting| waiting.owner.is(&owner)) {
            waiting.follow(context.waker());
            return None;
        }
        self.waiting = None;
        if owner.pending.get() {
            return Some(owner);
        }
        // Made in its place: moving it there would cost as much as the rest of this function.
        self.waiting.insert(Waiting::new(owner)).follow(context.waker());
        None
    }
}

/// The checkpoint of an await that gives way for one turn, and is polled in the very next step.
///
/// It owns nothing and is not counted; the mark that it leaves is removed when that step begins. So a
/// switch costs a quarter less: `benches/tasks.rs` (`switch`).
pub(crate) struct Turn {
    /// The address of the state, to be compared only.
    owner: usize,
    epoch: u32,
}

impl Turn {
    /// Begins, and puts the current task at the end of the queue. `None` when a [`Checkpoint`] is needed: a
    /// request is pending, or something other than the task itself is to be woken.
    #[inline]
    pub(crate) fn begin(context: &Context<'_>) -> Option<Turn> {
        with_current(|running| {
            let running = running.filter(|running| running.is_own_waker(context.waker()))?;
            let turn = running.with_cancel_state(|owner| {
                let owner = owner.filter(|owner| !owner.pending.get())?;
                owner.yielded.set(true);
                Some(Turn {
                    owner: ptr::from_ref(owner).addr(),
                    epoch: owner.epoch.get(),
                })
            })?;
            running.schedule_current();
            Some(turn)
        })
    }

    /// Returns the cancellation that was asked for meanwhile.
    #[inline]
    pub(crate) fn cancelled(&self) -> Option<Cancelled> {
        with_current(|running| {
            running?.with_cancel_state(|owner| {
                let owner = owner.filter(|owner| ptr::from_ref(*owner).addr() == self.owner)?;
                owner.is_reached_since(self.epoch).then(|| owner.deliver())
            })
        })
    }
}

/// A wait that is under way. It is counted in its state.
struct Waiting {
    owner: CancelRef,
    epoch: u32,
    foreign: Option<Rc<RefCell<Waker>>>,
}

impl Waiting {
    #[inline]
    fn new(owner: CancelRef) -> Waiting {
        owner.waiting.set(owner.waiting.get() + 1);
        let epoch = owner.epoch.get();
        Waiting {
            owner,
            epoch,
            foreign: None,
        }
    }

    /// Whether a request since the wait began is to end it.
    #[inline]
    fn is_reached(&mut self) -> bool {
        let is_reached = self.owner.is_reached_since(self.epoch);
        if !is_reached {
            // Retracted before anyone saw it.
            self.epoch = self.owner.epoch.get();
        }
        is_reached
    }

    /// Sees to it that a request wakes this wait, whatever polls it.
    #[inline]
    fn follow(&mut self, waker: &Waker) {
        let own = with_current(|running| running.is_some_and(|running| running.is_own_waker(waker)));
        if own {
            return;
        }
        self.follow_foreign(waker);
    }

    #[cold]
    fn follow_foreign(&mut self, waker: &Waker) {
        if let Some(known) = &self.foreign {
            if !known.borrow().will_wake(waker) {
                let former = known.replace(waker.clone());
                drop(former);
            }
            return;
        }
        let known = Rc::new(RefCell::new(waker.clone()));
        self.owner.watch(&known);
        self.foreign = Some(known);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.owner.waiting.set(self.owner.waiting.get().saturating_sub(1));
    }
}
