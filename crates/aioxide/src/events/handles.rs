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
#[derive(Clone)]
pub struct Handle {
    call: Rc<Call>,
}

impl Handle {
    pub(crate) const fn new(call: Rc<Call>) -> Handle {
        Handle { call }
    }

    /// Takes the callback back; it is dropped now. Does nothing when it was called.
    pub fn cancel(&self) {
        self.call.cancel();
    }

    /// Returns whether it was cancelled.
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
    pub fn cancel(&self) {
        self.handle.cancel();
        if let Some(running) = self.running.upgrade() {
            running.cancel_timer(self.key);
        }
    }

    /// Returns whether it was cancelled.
    pub fn cancelled(&self) -> bool {
        self.handle.cancelled()
    }

    /// Returns the time, on the loop's clock, at which the callback is called.
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
