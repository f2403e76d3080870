//! `Inbox`: handles from other threads, and the wake-up of a loop that sleeps.
//!
//! One byte of state, changed by atomic read-modify-write only, so that all threads agree on the
//! order of its changes:
//!
//! - `PENDING`: the queue is not empty. Changed under the queue's lock, so it is exact.
//! - `WOKEN`: somebody asked the loop to come round, and it has not yet.
//! - `SLEEPING`: the loop is between [`Inbox::begin_sleep`] and [`Inbox::end_sleep`].
//!
//! ```text
//! loop                                        another thread
//! begin_sleep: set SLEEPING,                  push: queue the handle, set PENDING   (wake: set WOKEN)
//!   may sleep if neither PENDING nor WOKEN      was it SLEEPING alone? write the eventfd
//! wait
//! end_sleep: clear SLEEPING and WOKEN
//! acknowledge, if the eventfd was reported
//! drain: take the queue, clear PENDING
//! ```
//!
//! No wake-up is lost: both sides change the same byte, so one of them comes first. If `push` does,
//! `begin_sleep` sees its bit and the loop does not sleep. If `begin_sleep` does, `push` sees
//! `SLEEPING` and writes. A second `push` of a burst sees the first one's bit, and leaves the
//! writing to it; an awake loop costs no system call at all.
//!
//! A write may arrive after the loop was woken by something else. It then ends the next wait early,
//! once: harmless, and rare.
//!
//! `inbox/tests.rs` takes the steps in every order, and `crates/models` with every value that a weakly ordered
//! processor may read.
//!
//! Counterpart: `BaseSelectorEventLoop._write_to_self`, which writes for every call.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use crate::sys::WakeFd;
use crate::sys::sync::{AtomicU8, Mutex, MutexGuard};

/// A queue that any thread may add to and one loop takes from.
///
/// It outlives its loop as long as a thread holds it: what is pushed then is dropped with it.
///
/// # Examples
/// ```
/// use aioxide::Inbox;
/// use std::collections::VecDeque;
///
/// let inbox = Inbox::new().unwrap();
/// let sender = inbox.clone();
/// std::thread::spawn(move || sender.push("hello").unwrap()).join().unwrap();
/// let mut ready = VecDeque::new();
/// inbox.drain(&mut ready);
/// assert_eq!(ready, ["hello"]);
/// ```
#[derive(Debug)]
pub struct Inbox<H> {
    state: AtomicU8,
    queue: Mutex<VecDeque<H>>,
    wake_fd: WakeFd,
}

impl<H> Inbox<H> {
    /// Makes an empty inbox, shared from the start.
    ///
    /// # Errors
    /// When the process or the system has no descriptor left.
    ///
    /// # Examples
    /// ```
    /// assert!(aioxide::Inbox::<u32>::new().unwrap().is_empty());
    /// ```
    pub fn new() -> io::Result<Arc<Inbox<H>>> {
        Ok(Arc::new(Inbox {
            state: AtomicU8::new(0),
            queue: Mutex::new(VecDeque::new()),
            wake_fd: WakeFd::new()?,
        }))
    }

    /// Queues a handle and wakes the loop if it sleeps. Any thread.
    ///
    /// # Errors
    /// When the eventfd cannot be written, which no kernel is known to do. The handle is queued
    /// nevertheless.
    ///
    /// # Examples
    /// ```
    /// let inbox = aioxide::Inbox::new().unwrap();
    /// inbox.push(1).unwrap();
    /// assert!(!inbox.is_empty());
    /// ```
    pub fn push(&self, handle: H) -> io::Result<()> {
        match self.enqueue(handle) {
            Signal::Needed => self.wake_fd.signal(),
            Signal::NotNeeded => Ok(()),
        }
    }

    /// Makes the loop come round: a wait it is in, or else the next one, ends at once. Any thread.
    ///
    /// # Errors
    /// When the eventfd cannot be written, which no kernel is known to do.
    ///
    /// # Examples
    /// ```
    /// let inbox = aioxide::Inbox::<u32>::new().unwrap();
    /// inbox.wake().unwrap();
    /// assert!(!inbox.begin_sleep(), "somebody wants the loop to come round");
    /// inbox.end_sleep();
    /// ```
    pub fn wake(&self) -> io::Result<()> {
        match self.announce(WOKEN) {
            Signal::Needed => self.wake_fd.signal(),
            Signal::NotNeeded => Ok(()),
        }
    }

    /// Moves all queued handles to the end of `into`, in the order they were pushed. The loop's
    /// thread.
    ///
    /// # Examples
    /// ```
    /// use std::collections::VecDeque;
    ///
    /// let inbox = aioxide::Inbox::new().unwrap();
    /// let mut ready = VecDeque::from([1]);
    /// inbox.push(2).unwrap();
    /// inbox.drain(&mut ready);
    /// assert_eq!(ready, [1, 2]);
    /// ```
    #[inline]
    pub fn drain(&self, into: &mut VecDeque<H>) {
        if self.state.load(Ordering::Acquire) & PENDING != 0 {
            self.drain_pending(into);
        }
    }

    /// Announces that the loop is going to wait; returns whether it may. If not, it must poll with
    /// a zero timeout instead. Either way [`Inbox::end_sleep`] follows the wait. The loop's thread.
    ///
    /// # Examples
    /// ```
    /// let inbox = aioxide::Inbox::new().unwrap();
    /// assert!(inbox.begin_sleep());
    /// inbox.end_sleep();
    /// inbox.push(1).unwrap();
    /// assert!(!inbox.begin_sleep(), "there is something to run");
    /// inbox.end_sleep();
    /// ```
    #[must_use = "the loop must not wait when this is false"]
    pub fn begin_sleep(&self) -> bool {
        self.state.fetch_or(SLEEPING, Ordering::AcqRel) & (PENDING | WOKEN) == 0
    }

    /// Announces that the wait is over; also after a poll that [`Inbox::begin_sleep`] did not
    /// precede. Whatever another thread did before it called [`Inbox::wake`] is visible after
    /// this. The loop's thread.
    ///
    /// # Examples
    /// ```
    /// let inbox = aioxide::Inbox::<u32>::new().unwrap();
    /// inbox.wake().unwrap();
    /// inbox.end_sleep();
    /// assert!(inbox.is_empty(), "the loop has come round");
    /// ```
    pub fn end_sleep(&self) {
        // A poll that did not sleep and that nobody asked for has nothing to clear: no locked
        // instruction then. A bit that is set just after the look concerns the next wait.
        if self.state.load(Ordering::Acquire) & (SLEEPING | WOKEN) != 0 {
            self.state.fetch_and(!(SLEEPING | WOKEN), Ordering::AcqRel);
        }
    }

    /// Makes the eventfd unreadable again. The loop calls this when the poller reported it, before
    /// it drains; not otherwise, for it costs a system call.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Inbox, Interest, Poller};
    /// use std::time::Duration;
    ///
    /// let (inbox, poller, mut events) = (Inbox::new().unwrap(), Poller::new().unwrap(), Vec::new());
    /// poller.add(inbox.fd(), Interest::READABLE).unwrap();
    /// assert!(inbox.begin_sleep());
    /// inbox.push(1).unwrap();
    /// poller.wait(&mut events, None).unwrap();
    /// inbox.end_sleep();
    /// inbox.acknowledge();
    /// poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
    /// assert!(events.is_empty());
    /// ```
    pub fn acknowledge(&self) {
        self.wake_fd.clear();
    }

    /// Returns whether nothing is queued and nobody asked for a wake-up.
    ///
    /// # Examples
    /// ```
    /// let inbox = aioxide::Inbox::new().unwrap();
    /// assert!(inbox.is_empty());
    /// inbox.push(1).unwrap();
    /// assert!(!inbox.is_empty());
    /// ```
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.state.load(Ordering::Acquire) & (PENDING | WOKEN) == 0
    }

    /// Returns the eventfd, for the poller to watch.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Inbox, Interest, Poller};
    ///
    /// let (inbox, poller) = (Inbox::<u32>::new().unwrap(), Poller::new().unwrap());
    /// poller.add(inbox.fd(), Interest::READABLE).unwrap();
    /// ```
    #[inline]
    pub fn fd(&self) -> RawFd {
        self.wake_fd.as_raw_fd()
    }

    /// Queues a handle; the caller owes the signal.
    fn enqueue(&self, handle: H) -> Signal {
        let mut queue = self.lock();
        queue.push_back(handle);
        // Under the lock: `drain` must not clear the bit between the two lines.
        self.announce(PENDING)
    }

    /// Sets `bit` and tells whether this thread is the one to write the eventfd.
    fn announce(&self, bit: u8) -> Signal {
        match self.state.fetch_or(bit, Ordering::AcqRel) {
            SLEEPING => Signal::Needed,
            _ => Signal::NotNeeded,
        }
    }

    #[cold]
    fn drain_pending(&self, into: &mut VecDeque<H>) {
        let mut queue = self.lock();
        self.state.fetch_and(!PENDING, Ordering::AcqRel);
        let burst = queue.len();
        if into.is_empty() && into.capacity() <= queue.capacity() {
            // Nothing has to be moved, and the two buffers take turns.
            std::mem::swap(into, &mut *queue);
        } else {
            into.append(&mut queue);
        }
        if queue.capacity() > LARGEST_KEPT && burst < queue.capacity() / 4 {
            queue.shrink_to(LARGEST_KEPT);
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<H>> {
        // A panic cannot leave the queue half changed: only `VecDeque`'s own methods run under the
        // lock, and no code of `H` does.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the eventfd must be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Signal {
    Needed,
    NotNeeded,
}

const PENDING: u8 = 1;
const WOKEN: u8 = 2;
const SLEEPING: u8 = 4;

/// A queue with room for more handles than this gives the room back when bursts become small again.
const LARGEST_KEPT: usize = 4096;

#[cfg(test)]
#[path = "inbox/tests.rs"]
mod tests;
