//! `Engine`: the parts of a loop, put together.
//!
//! ```text
//!            push                       pop
//! callers ---------> ready (a FIFO) ---------> the driver runs the handle
//! drain_timers --------^   ^-------- drain_inbox, readers and writers of reported descriptors
//! ```
//!
//! The driver (a Python loop, a Rust executor) owns the turn: it waits, collects and runs, as the
//! crate's documentation shows. The engine never runs a handle and never drops one by itself,
//! except when it is dropped.
//!
//! Counterpart: the fields and `_run_once` of `BaseEventLoop`.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::budget::{PollBudget, PollPolicy};
use crate::clock::{Clock, Deadline, now};
use crate::inbox::Inbox;
use crate::poller::{Interest, Poller};
use crate::probe::Probe;
use crate::timers::Timers;

/// A loop's ready queue, timers, poller, inbox, budget, probe and clock.
///
/// `H` is what is queued on the loop's own thread, `S` what other threads may send. They are the same
/// unless a loop queues what must not leave its thread, as the Rust face does: it then empties the
/// inbox itself.
///
/// # Examples
/// ```
/// use aioxide::Engine;
///
/// // The smallest of loops: callbacks that may add others.
/// type Callback = fn(&mut Vec<&'static str>);
/// let mut engine: Engine<Callback> = Engine::new().unwrap();
/// let mut said = Vec::new();
/// engine.push(|said| said.push("hello"));
/// engine.begin_run();
/// while let Some(callback) = engine.pop() {
///     callback(&mut said);
/// }
/// assert_eq!(said, ["hello"]);
/// ```
#[derive(Debug)]
pub struct Engine<H, S = H> {
    /// Handles to run, first in first out.
    pub ready: VecDeque<H>,
    /// Handles to run later.
    pub timers: Timers<H>,
    /// When to poll while handles are ready.
    pub budget: PollBudget,
    poller: Arc<Poller>,
    inbox: Arc<Inbox<S>>,
    probe: Arc<Probe>,
    clock: Clock,
}

impl<H> Engine<H> {
    /// Opens an engine with the adaptive polling policy and the monotonic clock. It uses two
    /// descriptors: the poller's and the inbox's.
    ///
    /// # Errors
    /// When the process or the system has no descriptor left.
    ///
    /// # Examples
    /// ```
    /// let engine = aioxide::Engine::<u32>::new().unwrap();
    /// assert_eq!(engine.ready_len(), 0);
    /// ```
    pub fn new() -> io::Result<Engine<H>> {
        Engine::with(PollPolicy::Adaptive, Clock::Monotonic)
    }

    /// Opens an engine with the given policy and clock.
    ///
    /// # Errors
    /// When the process or the system has no descriptor left.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Clock, Deadline, Engine, PollPolicy};
    ///
    /// let clock = Clock::manual(Deadline::from_nanos(5));
    /// let engine = Engine::<u32>::with(PollPolicy::Strict, clock).unwrap();
    /// assert_eq!(engine.now().as_nanos(), 5);
    /// ```
    pub fn with(policy: PollPolicy, clock: Clock) -> io::Result<Engine<H>> {
        Engine::open(policy, clock)
    }

    /// Moves what other threads have sent to the end of the ready queue.
    ///
    /// # Examples
    /// ```
    /// let mut engine = aioxide::Engine::<u32>::new().unwrap();
    /// let inbox = engine.inbox().clone();
    /// std::thread::spawn(move || inbox.push(42)).join().unwrap().unwrap();
    /// engine.drain_inbox();
    /// assert_eq!(engine.pop(), Some(42));
    /// ```
    #[inline]
    pub fn drain_inbox(&mut self) {
        self.inbox.drain(&mut self.ready);
    }
}

impl<H, S> Engine<H, S> {
    /// Opens an engine whose inbox holds another type than its ready queue.
    ///
    /// # Errors
    /// When the process or the system has no descriptor left.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Clock, Engine, PollPolicy};
    /// use std::rc::Rc;
    ///
    /// // What the loop queues itself need not be `Send`; what threads send is a number.
    /// let mut engine = Engine::<Rc<str>, u32>::open(PollPolicy::Adaptive, Clock::Monotonic).unwrap();
    /// engine.push(Rc::from("ours"));
    /// engine.inbox().push(42).unwrap();
    /// ```
    pub fn open(policy: PollPolicy, clock: Clock) -> io::Result<Engine<H, S>> {
        let poller = Poller::new()?;
        let inbox = Inbox::new()?;
        poller.add(inbox.fd(), Interest::READABLE)?;
        Ok(Engine {
            ready: VecDeque::new(),
            timers: Timers::new(),
            budget: PollBudget::new(policy),
            poller: Arc::new(poller),
            inbox,
            probe: Arc::new(Probe::new()),
            clock,
        })
    }

    /// Adds a handle to the end of the ready queue.
    ///
    /// # Examples
    /// ```
    /// let mut engine = aioxide::Engine::<u32>::new().unwrap();
    /// engine.push(1);
    /// engine.push(2);
    /// assert_eq!(engine.pop(), Some(1), "first in, first out");
    /// ```
    #[inline]
    pub fn push(&mut self, handle: H) {
        self.ready.push_back(handle);
    }

    /// Takes the first handle of the ready queue.
    ///
    /// # Examples
    /// ```
    /// let mut engine = aioxide::Engine::<u32>::new().unwrap();
    /// assert_eq!(engine.pop(), None);
    /// engine.push(1);
    /// assert_eq!(engine.pop(), Some(1));
    /// ```
    #[inline]
    pub fn pop(&mut self) -> Option<H> {
        self.ready.pop_front()
    }

    /// Prepares a wait: returns the timeout to give to [`Poller::wait`], and tells the inbox that
    /// the loop is going to sleep when it is. [`Engine::end_wait`] must follow the wait.
    ///
    /// # Examples
    /// ```
    /// let mut engine = aioxide::Engine::<u32>::new().unwrap();
    /// let mut events = Vec::new();
    /// engine.push(1);
    /// let timeout = engine.begin_wait(engine.now());
    /// assert_eq!(timeout, Some(std::time::Duration::ZERO), "something is ready");
    /// engine.poller().wait(&mut events, timeout).unwrap();
    /// engine.end_wait();
    /// ```
    pub fn begin_wait(&mut self, now: Deadline) -> Option<Duration> {
        let timeout = self.poll_timeout(now);
        if timeout == Some(Duration::ZERO) {
            return timeout;
        }
        if !self.inbox.begin_sleep() {
            return Some(Duration::ZERO);
        }
        self.trim();
        timeout
    }

    /// Ends a wait that [`Engine::begin_wait`] prepared, whatever came of it; or a poll with a zero
    /// timeout, which needs no preparation.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Engine;
    /// use std::time::Duration;
    ///
    /// let mut engine = Engine::<u32>::new().unwrap();
    /// let soon = engine.now().saturating_add(Duration::from_millis(1));
    /// engine.timers.insert(soon, 1);
    /// let timeout = engine.begin_wait(engine.now());
    /// engine.poller().wait(&mut Vec::new(), timeout).unwrap();
    /// engine.end_wait();
    /// assert!(engine.now() >= soon);
    /// ```
    pub fn end_wait(&mut self) {
        self.inbox.end_sleep();
        self.probe.polled();
    }

    /// Moves the timers whose deadline is not later than `now` to the end of the ready queue,
    /// the earliest first.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Deadline, Engine};
    ///
    /// let mut engine = Engine::<&str>::new().unwrap();
    /// engine.timers.insert(Deadline::from_nanos(20), "later");
    /// engine.timers.insert(Deadline::from_nanos(10), "sooner");
    /// engine.drain_timers(Deadline::from_nanos(20));
    /// assert_eq!((engine.pop(), engine.pop()), (Some("sooner"), Some("later")));
    /// ```
    #[inline]
    pub fn drain_timers(&mut self, now: Deadline) {
        let Engine { timers, ready, .. } = self;
        timers.take_expired(now, |handle| ready.push_back(handle));
    }

    /// Fills the budget for a run of the handles that are ready now.
    ///
    /// # Examples
    /// ```
    /// let mut engine = aioxide::Engine::<u32>::new().unwrap();
    /// engine.push(1);
    /// engine.begin_run();
    /// engine.pop();
    /// assert!(!engine.budget.should_poll(), "there is room for more than one");
    /// ```
    #[inline]
    pub fn begin_run(&mut self) {
        self.budget.restart_with(now(), self.ready.len());
    }

    /// Returns the number of ready handles.
    ///
    /// # Examples
    /// ```
    /// let mut engine = aioxide::Engine::<u32>::new().unwrap();
    /// engine.push(1);
    /// assert_eq!(engine.ready_len(), 1);
    /// ```
    #[inline]
    pub fn ready_len(&self) -> usize {
        self.ready.len()
    }

    /// Returns how long a wait that begins at `now`, a time of [`Engine::now`], may last: zero when
    /// there is something to run, until the next timer otherwise, and `None` when only a
    /// descriptor or a thread can end it.
    ///
    /// It is exact to the nanosecond, and the poller never ends a wait early, so neither does a
    /// timer fire early nor does the loop turn once in vain before it.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Engine;
    /// use std::time::Duration;
    ///
    /// let mut engine = Engine::<u32>::new().unwrap();
    /// let now = engine.now();
    /// assert_eq!(engine.poll_timeout(now), None);
    /// engine.timers.insert(now.saturating_add(Duration::from_secs(2)), 1);
    /// assert_eq!(engine.poll_timeout(now), Some(Duration::from_secs(2)));
    /// engine.push(2);
    /// assert_eq!(engine.poll_timeout(now), Some(Duration::ZERO));
    /// ```
    #[inline]
    pub fn poll_timeout(&self, now: Deadline) -> Option<Duration> {
        if !self.ready.is_empty() || !self.inbox.is_empty() {
            return Some(Duration::ZERO);
        }
        let next = self.timers.next_deadline()?;
        if next.is_never() {
            return None;
        }
        Some(next.saturating_duration_since(now))
    }

    /// Reads the loop's clock.
    ///
    /// # Examples
    /// ```
    /// let engine = aioxide::Engine::<u32>::new().unwrap();
    /// assert!(engine.now() <= aioxide::now());
    /// ```
    #[inline]
    pub fn now(&self) -> Deadline {
        self.clock.now()
    }

    /// Returns the loop's clock.
    ///
    /// # Examples
    /// ```
    /// let engine = aioxide::Engine::<u32>::new().unwrap();
    /// assert!(matches!(engine.clock(), aioxide::Clock::Monotonic));
    /// ```
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Returns the poller. A driver that must not borrow the engine while it waits clones it.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Engine, Interest};
    /// use std::os::fd::AsRawFd;
    ///
    /// let engine = Engine::<u32>::new().unwrap();
    /// let (here, _there) = std::os::unix::net::UnixStream::pair().unwrap();
    /// engine.poller().add(here.as_raw_fd(), Interest::READABLE).unwrap();
    /// ```
    #[inline]
    pub const fn poller(&self) -> &Arc<Poller> {
        &self.poller
    }

    /// Returns the inbox. Other threads hold a clone of it.
    ///
    /// # Examples
    /// ```
    /// let engine = aioxide::Engine::<u32>::new().unwrap();
    /// let inbox = engine.inbox().clone();
    /// std::thread::spawn(move || inbox.push(1).unwrap()).join().unwrap();
    /// assert!(!engine.inbox().is_empty());
    /// ```
    #[inline]
    pub const fn inbox(&self) -> &Arc<Inbox<S>> {
        &self.inbox
    }

    /// Returns the probe. A watchdog thread holds a clone of it.
    ///
    /// # Examples
    /// ```
    /// let engine = aioxide::Engine::<u32>::new().unwrap();
    /// engine.probe().step();
    /// assert_eq!(engine.probe().steps(), 1);
    /// ```
    #[inline]
    pub const fn probe(&self) -> &Arc<Probe> {
        &self.probe
    }

    /// Gives back the room of a ready queue that was once very long.
    fn trim(&mut self) {
        if self.ready.capacity() > LARGEST_KEPT && self.ready.is_empty() {
            self.ready.shrink_to(LARGEST_KEPT);
        }
    }
}

/// An idle ready queue keeps room for this many handles: a burst of 10,000 tasks, twice over, does
/// not reallocate, and an idle loop holds less than half a MiB for it.
const LARGEST_KEPT: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Deadline {
        Deadline::from_nanos(nanos)
    }

    fn manual() -> Engine<u32> {
        Engine::with(PollPolicy::Adaptive, Clock::manual(at(1_000))).unwrap()
    }

    #[test]
    fn the_ready_queue_is_first_in_first_out() {
        let mut engine = manual();
        engine.push(1);
        engine.push(2);
        assert_eq!(engine.ready_len(), 2);
        assert_eq!(engine.pop(), Some(1));
        assert_eq!(engine.pop(), Some(2));
        assert_eq!(engine.pop(), None);
    }

    #[test]
    fn the_timeout_is_zero_while_there_is_something_to_run() {
        let mut engine = manual();
        engine.push(1);
        assert_eq!(engine.poll_timeout(engine.now()), Some(Duration::ZERO));
        engine.pop();
        assert_eq!(engine.poll_timeout(engine.now()), None);
        engine.inbox().push(1).unwrap();
        assert_eq!(engine.poll_timeout(engine.now()), Some(Duration::ZERO));
        engine.drain_inbox();
        assert_eq!(engine.pop(), Some(1));
        engine.inbox().wake().unwrap();
        assert_eq!(engine.poll_timeout(engine.now()), Some(Duration::ZERO));
    }

    #[test]
    fn the_timeout_ends_exactly_at_the_next_timer() {
        let mut engine = manual();
        engine.timers.insert(Deadline::NEVER, 0);
        assert_eq!(engine.poll_timeout(at(1_000)), None);
        engine.timers.insert(at(1_001), 1);
        let nano = Some(Duration::from_nanos(1));
        assert_eq!(engine.poll_timeout(at(1_000)), nano);
        assert_eq!(engine.poll_timeout(at(1_001)), Some(Duration::ZERO));
        assert_eq!(engine.poll_timeout(at(9_999)), Some(Duration::ZERO));
    }

    #[test]
    fn a_manual_clock_fires_timers_without_waiting() {
        let mut engine = manual();
        let hour = engine.now().saturating_add(Duration::from_secs(3600));
        engine.timers.insert(hour, 7);
        engine.drain_timers(engine.now());
        assert_eq!(engine.ready_len(), 0);
        engine.clock().advance_to(hour);
        engine.drain_timers(engine.now());
        assert_eq!(engine.pop(), Some(7));
    }

    #[test]
    fn a_push_before_the_wait_makes_it_a_poll() {
        let mut engine = manual();
        assert_eq!(engine.begin_wait(at(0)), None);
        engine.end_wait();
        engine.inbox().push(1).unwrap();
        assert_eq!(engine.begin_wait(at(0)), Some(Duration::ZERO));
        engine.end_wait();
        engine.drain_inbox();
        assert_eq!(engine.pop(), Some(1));
        assert_eq!(engine.begin_wait(at(0)), None);
        engine.end_wait();
        assert_eq!(engine.probe().polls(), 3);
    }

    #[test]
    fn a_wake_during_or_before_the_wait_ends_it() {
        let mut engine: Engine<u32> = Engine::new().unwrap();
        let mut events = Vec::new();
        engine.inbox().wake().unwrap();
        let timeout = engine.begin_wait(engine.now());
        assert_eq!(timeout, Some(Duration::ZERO));
        engine.end_wait();

        let timeout = engine.begin_wait(engine.now());
        assert_eq!(timeout, None);
        engine.inbox().wake().unwrap();
        engine.poller().wait(&mut events, timeout).unwrap();
        engine.end_wait();
        assert_eq!(events[0].fd, engine.inbox().fd());
        engine.inbox().acknowledge();
        assert_eq!(engine.poll_timeout(engine.now()), None);
    }

    #[test]
    fn an_idle_loop_gives_back_the_room_of_a_long_queue() {
        let mut engine = manual();
        for n in 0..200_000 {
            engine.push(n);
        }
        engine.ready.clear();
        engine.begin_wait(at(0));
        engine.end_wait();
        assert!(engine.ready.capacity() <= 2 * LARGEST_KEPT);
    }

    #[test]
    fn strict_polling_runs_what_was_ready_and_polls() {
        let mut engine: Engine<u32> = Engine::with(PollPolicy::Strict, Clock::Monotonic).unwrap();
        for n in 0..100 {
            engine.push(n);
        }
        engine.begin_run();
        let mut ran = 0;
        while let Some(n) = engine.pop() {
            engine.push(n);
            ran += 1;
            if engine.budget.should_poll() {
                break;
            }
        }
        assert_eq!(ran, 100);
    }
}
