//! `EventLoop`: the running loop, as programs see it.

#![forbid(unsafe_code)]

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::{Handle, Loop, Strictness, TimerHandle};
use crate::clock::Deadline;
use crate::inbox::Inbox;
use crate::probe::Probe;
use crate::reports::Report;
use crate::sys::current::with_current;
use crate::tasks::Remote;

/// Returns the loop that runs this very code.
///
/// # Panics
/// When none does, with asyncio's words.
///
/// ```
/// aioxide::run(async {
///     let running = aioxide::get_running_loop();
///     let future = aioxide::Future::new();
///     let setter = future.clone();
///     running.call_soon(move || setter.set_result(42).unwrap());
///     assert_eq!(future.await, Ok(42));
/// });
/// ```
pub fn get_running_loop() -> EventLoop {
    try_running_loop().expect("no running event loop")
}

/// Returns the loop that runs this very code, if one does.
pub(crate) fn try_running_loop() -> Option<EventLoop> {
    let running = with_current(|running| running?.upgrade())?;
    Some(EventLoop { running })
}

/// The loop of a running program.
///
/// Holding it keeps the loop's memory, not its tasks: they end with [`run`](crate::run).
///
/// ```
/// use aioxide::{Strictness, get_running_loop, run, sleep};
/// use std::{cell::RefCell, rc::Rc, time::Duration};
///
/// let order = Rc::new(RefCell::new(Vec::new()));
/// run(async {
///     let running = get_running_loop();
///     running.set_strictness(Strictness::Strict);
///     let (soon, later) = (Rc::clone(&order), Rc::clone(&order));
///     let timer = running.call_later(Duration::from_millis(1), move || later.borrow_mut().push("later"));
///     running.call_soon(move || soon.borrow_mut().push("soon"));
///     running.call_soon(|| unreachable!("it is taken back")).cancel();
///     assert!(timer.when() > running.time());
///     sleep(Duration::from_millis(5)).await.unwrap();
/// });
/// assert_eq!(*order.borrow(), ["soon", "later"]);
/// ```
#[derive(Clone)]
pub struct EventLoop {
    running: Rc<Loop>,
}

impl EventLoop {
    /// Returns the time on the loop's clock.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{get_running_loop, testing, sleep};
    /// use std::time::Duration;
    ///
    /// testing::run(async {
    ///     let before = get_running_loop().time();
    ///     sleep(Duration::from_secs(5)).await.unwrap();
    ///     let passed = get_running_loop().time().saturating_duration_since(before);
    ///     assert_eq!(passed, Duration::from_secs(5));
    /// });
    /// ```
    pub fn time(&self) -> Deadline {
        self.running.now()
    }

    /// Calls `callback` as soon as what is ready now has run.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Future, get_running_loop, run};
    ///
    /// run(async {
    ///     let future = Future::new();
    ///     let setter = future.clone();
    ///     get_running_loop().call_soon(move || setter.set_result("soon").unwrap());
    ///     assert_eq!(future.await, Ok("soon"));
    /// });
    /// ```
    pub fn call_soon(&self, callback: impl FnOnce() + 'static) -> Handle {
        self.running.call_soon(Box::new(callback))
    }

    /// Calls `callback` after `delay`.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Future, get_running_loop, run};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let future = Future::new();
    ///     let setter = future.clone();
    ///     get_running_loop().call_later(Duration::from_millis(1), move || setter.set_result("later").unwrap());
    ///     assert_eq!(future.await, Ok("later"));
    /// });
    /// ```
    pub fn call_later(&self, delay: Duration, callback: impl FnOnce() + 'static) -> TimerHandle {
        self.call_at(self.time().saturating_add(delay), callback)
    }

    /// Calls `callback` at a time of the loop's clock.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Future, get_running_loop, run};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let (running, future) = (get_running_loop(), Future::new());
    ///     let setter = future.clone();
    ///     let when = running.time().saturating_add(Duration::from_millis(1));
    ///     running.call_at(when, move || setter.set_result("then").unwrap());
    ///     assert_eq!(future.await, Ok("then"));
    ///     assert!(running.time() >= when);
    /// });
    /// ```
    pub fn call_at(&self, when: Deadline, callback: impl FnOnce() + 'static) -> TimerHandle {
        self.running.call_at(when, Box::new(callback))
    }

    /// Returns what other threads use to call functions on the loop's thread.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{get_running_loop, run, sleep};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let sender = get_running_loop().sender();
    ///     std::thread::spawn(move || sender.call_soon_threadsafe(|| println!("on the loop's thread")));
    ///     sleep(Duration::from_millis(10)).await.unwrap();
    /// });
    /// ```
    pub fn sender(&self) -> LoopSender {
        LoopSender {
            inbox: Arc::clone(self.running.inbox()),
        }
    }

    /// Sets who is told of what nobody else would hear of. The default writes to standard error.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{get_running_loop, run, sleep};
    /// use std::{cell::Cell, rc::Rc, time::Duration};
    ///
    /// let reports = Rc::new(Cell::new(0));
    /// let count = Rc::clone(&reports);
    /// run(async move {
    ///     let running = get_running_loop();
    ///     running.set_exception_handler(move |_report| count.set(count.get() + 1));
    ///     running.call_soon(|| panic!("nobody waits for a callback"));
    ///     sleep(Duration::ZERO).await.unwrap();
    /// });
    /// assert_eq!(reports.get(), 1);
    /// ```
    pub fn set_exception_handler(&self, handler: impl Fn(&Report) + 'static) {
        self.running.set_handler(Rc::new(handler));
    }

    /// Turns strict mode, asyncio's debug mode, on or off.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{ReportKind, SLOW_STEP, Strictness, get_running_loop, run, sleep};
    /// use std::{cell::Cell, rc::Rc, time::Duration};
    ///
    /// let slow = Rc::new(Cell::new(false));
    /// let told = Rc::clone(&slow);
    /// run(async move {
    ///     let running = get_running_loop();
    ///     running.set_exception_handler(move |report| {
    ///         told.set(told.get() || matches!(report.kind(), ReportKind::SlowStep(_)));
    ///     });
    ///     running.set_strictness(Strictness::Strict);
    ///     sleep(Duration::ZERO).await.unwrap();
    ///     std::thread::sleep(2 * SLOW_STEP);
    ///     sleep(Duration::ZERO).await.unwrap();
    /// });
    /// assert!(slow.get());
    /// ```
    pub fn set_strictness(&self, strict: Strictness) {
        self.running.set_strictness(strict);
    }

    /// Returns the loop's counters, which any thread may read: see [`watch`](crate::watch).
    ///
    /// # Examples
    /// ```
    /// use aioxide::{get_running_loop, run, sleep};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let probe = get_running_loop().probe();
    ///     let before = probe.steps();
    ///     sleep(Duration::ZERO).await.unwrap();
    ///     assert!(probe.steps() > before);
    /// });
    /// ```
    pub fn probe(&self) -> Arc<Probe> {
        self.running.probe()
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tasks = self.running.all_tasks().len();
        formatter.debug_struct("EventLoop").field("tasks", &tasks).finish()
    }
}

impl PartialEq for EventLoop {
    fn eq(&self, other: &EventLoop) -> bool {
        Rc::ptr_eq(&self.running, &other.running)
    }
}

impl Eq for EventLoop {}

/// Calls functions on a loop's thread, from any thread.
///
/// ```
/// use aioxide::{Future, get_running_loop, run};
/// use std::cell::RefCell;
///
/// thread_local!(static ANSWER: RefCell<Option<Future<u32>>> = const { RefCell::new(None) });
///
/// run(async {
///     let answer = Future::new();
///     ANSWER.set(Some(answer.clone()));
///     let sender = get_running_loop().sender();
///     std::thread::spawn(move || {
///         sender.call_soon_threadsafe(|| ANSWER.take().unwrap().set_result(42).unwrap());
///     });
///     assert_eq!(answer.await, Ok(42));
/// });
/// ```
#[derive(Clone)]
pub struct LoopSender {
    inbox: Arc<Inbox<Remote>>,
}

impl LoopSender {
    /// Calls `callback` on the loop's thread. When the loop has ended, `callback` is dropped sooner or
    /// later and never called.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{get_running_loop, run, sleep};
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// use std::time::Duration;
    ///
    /// static CALLED: AtomicBool = AtomicBool::new(false);
    ///
    /// run(async {
    ///     get_running_loop().sender().call_soon_threadsafe(|| CALLED.store(true, Ordering::SeqCst));
    ///     sleep(Duration::from_millis(1)).await.unwrap();
    ///     assert!(CALLED.load(Ordering::SeqCst));
    /// });
    /// ```
    pub fn call_soon_threadsafe(&self, callback: impl FnOnce() + Send + 'static) {
        let sent = self.inbox.push(Remote::Call(Box::new(callback)));
        debug_assert!(sent.is_ok(), "the eventfd can be written");
    }
}

impl fmt::Debug for LoopSender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LoopSender").finish_non_exhaustive()
    }
}
