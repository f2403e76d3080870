//! Callbacks that are queued, and the handles that take them back.
//!
//! Counterpart: `Handle` and `TimerHandle` in `Lib/asyncio/events.py`.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};

use super::Loop;
use crate::clock::Deadline;
use crate::contextvars::Context;
use crate::timers::TimerKey;

/// A callback with the context it runs in.
pub(crate) struct Call {
    callback: Cell<Option<Box<dyn FnOnce()>>>,
    cancelled: Cell<bool>,
    context: RefCell<Context>,
}

impl Call {
    pub(crate) fn new(callback: Box<dyn FnOnce()>, context: Context) -> Rc<Call> {
        Rc::new(Call {
            callback: Cell::new(Some(callback)),
            cancelled: Cell::new(false),
            context: RefCell::new(context),
        })
    }

    /// Calls the callback, unless it was cancelled or called.
    pub(crate) fn run(&self) {
        if let Some(callback) = self.callback.take() {
            let mut context = self.context.take();
            context.run(callback);
        }
    }

    fn cancel(&self) {
        self.cancelled.set(true);
        let callback = self.callback.take();
        drop(callback);
    }
}

/// A callback of [`EventLoop::call_soon`](super::EventLoop::call_soon).
///
/// # Examples
/// ```
/// use aioxide::{get_running_loop, run};
///
/// run(async {
///     let handle = get_running_loop().call_soon(|| unreachable!("it is taken back"));
///     handle.cancel();
/// });
/// ```
#[derive(Clone)]
pub struct Handle {
    call: Rc<Call>,
}

impl Handle {
    pub(crate) const fn new(call: Rc<Call>) -> Handle {
        Handle { call }
    }

    /// Takes the callback back; it is dropped now. Does nothing when it was called.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{get_running_loop, run, sleep};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let handle = get_running_loop().call_soon(|| unreachable!("it is taken back"));
    ///     handle.cancel();
    ///     sleep(Duration::ZERO).await.unwrap();
    /// });
    /// ```
    pub fn cancel(&self) {
        self.call.cancel();
    }

    /// Returns whether it was cancelled.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{get_running_loop, run};
    ///
    /// run(async {
    ///     let handle = get_running_loop().call_soon(|| {});
    ///     assert!(!handle.cancelled());
    ///     handle.cancel();
    ///     assert!(handle.cancelled());
    /// });
    /// ```
    pub fn cancelled(&self) -> bool {
        self.call.cancelled.get()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Handle")
            .field("cancelled", &self.cancelled())
            .finish()
    }
}

/// A callback of [`EventLoop::call_later`](super::EventLoop::call_later) or
/// [`EventLoop::call_at`](super::EventLoop::call_at).
///
/// # Examples
/// ```
/// use aioxide::{get_running_loop, run};
/// use std::time::Duration;
///
/// run(async {
///     let timer = get_running_loop().call_later(Duration::from_secs(1), || println!("too late"));
///     timer.cancel();
/// });
/// ```
#[derive(Clone)]
pub struct TimerHandle {
    handle: Handle,
    running: Weak<Loop>,
    key: TimerKey,
    when: Deadline,
}

impl TimerHandle {
    pub(crate) const fn new(handle: Handle, running: Weak<Loop>, key: TimerKey, when: Deadline) -> TimerHandle {
        TimerHandle {
            handle,
            running,
            key,
            when,
        }
    }

    /// Takes the callback back; the timer is gone at once.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{get_running_loop, run, sleep};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let millisecond = Duration::from_millis(1);
    ///     let timer = get_running_loop().call_later(millisecond, || unreachable!("it is taken back"));
    ///     timer.cancel();
    ///     sleep(2 * millisecond).await.unwrap();
    /// });
    /// ```
    pub fn cancel(&self) {
        self.handle.cancel();
        if let Some(running) = self.running.upgrade() {
            running.cancel_timer(self.key);
        }
    }

    /// Returns whether it was cancelled.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{get_running_loop, run};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let timer = get_running_loop().call_later(Duration::from_secs(1), || {});
    ///     timer.cancel();
    ///     assert!(timer.cancelled());
    /// });
    /// ```
    pub fn cancelled(&self) -> bool {
        self.handle.cancelled()
    }

    /// Returns the time, on the loop's clock, at which the callback is called.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{get_running_loop, run};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let (running, second) = (get_running_loop(), Duration::from_secs(1));
    ///     let before = running.time();
    ///     let timer = running.call_later(second, || {});
    ///     assert!(timer.when() >= before.saturating_add(second));
    /// });
    /// ```
    pub const fn when(&self) -> Deadline {
        self.when
    }
}

impl fmt::Debug for TimerHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("TimerHandle");
        shown
            .field("when", &self.when)
            .field("cancelled", &self.cancelled())
            .finish()
    }
}
