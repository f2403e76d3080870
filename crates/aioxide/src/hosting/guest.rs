//! With tokio: the loop is the main future of a runtime on its own thread.
//!
//! What wakes the driver while tokio sleeps: the inbox and the next timer, through our poller, which
//! tokio watches; and a task that is woken on this very thread, by tokio's driver, through
//! [`Loop::park`]. The timer goes through a descriptor of its own and not through tokio's wheel, which
//! counts milliseconds.

#![forbid(unsafe_code)]

use std::cell::{Cell, OnceCell};
use std::future::{Future as _, poll_fn};
use std::io;
use std::os::fd::AsRawFd;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::task::{coop, yield_now};

use super::sleep_alone;
use crate::events::Loop;
use crate::sys::{NestedPoller, TimerFd, nest};
use crate::tasks::Children;

/// The runtime in which a loop runs.
pub(crate) struct Host {
    runtime: LocalRuntime,
    /// Made when tokio sleeps for the first time.
    nested: OnceCell<Nested>,
}

impl Host {
    pub(crate) fn new(_running: &Loop) -> io::Result<Host> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())?;
        Ok(Host {
            runtime,
            nested: OnceCell::new(),
        })
    }

    /// Runs the loop until `is_done`.
    pub(crate) fn run(&self, running: &Loop, root: &Children<'_>, is_done: &dyn Fn() -> bool) -> io::Result<()> {
        let mut driver = Driver {
            host: self,
            running,
            is_parked: false,
        };
        let drive = poll_fn(|context| driver.poll(root, is_done, context));
        running.enter(|| self.runtime.block_on(drive))
    }

    /// Calls `body` where the loop runs.
    pub(crate) fn enter<R>(&self, running: &Loop, body: impl FnOnce() -> R) -> R {
        let entered = self.runtime.enter();
        let result = running.enter(body);
        drop(entered);
        result
    }

    /// Whether something may be waiting in tokio.
    fn is_needed(&self, running: &Loop) -> bool {
        running.foreign_wakers() > 0 || self.runtime.handle().metrics().num_alive_tasks() > 0
    }

    /// Takes back the timer of a sleep in tokio: expired, it would end every sleep of our own poller.
    fn disarm(&self) -> io::Result<()> {
        match self.nested.get() {
            Some(nested) if nested.is_timer_set.replace(false) => nested.timer.set(None),
            _ => Ok(()),
        }
    }

    fn nested(&self, running: &Loop) -> io::Result<&Nested> {
        if let Some(nested) = self.nested.get() {
            return Ok(nested);
        }
        let nested = Nested::new(running)?;
        Ok(self.nested.get_or_init(|| nested))
    }
}

/// The main future of the runtime.
struct Driver<'a> {
    host: &'a Host,
    running: &'a Loop,
    /// Whether the last poll left for a sleep in tokio.
    is_parked: bool,
}

impl Driver<'_> {
    fn poll(
        &mut self,
        root: &Children<'_>,
        is_done: &dyn Fn() -> bool,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let running = self.running;
        if std::mem::take(&mut self.is_parked) {
            running.forget_parked();
            running.end_sleep();
            running.collect();
        }
        loop {
            running.run_ready(root, is_done);
            if is_done() {
                return Poll::Ready(Ok(()));
            }
            let must_yield = must_yield();
            if !must_yield && !self.host.is_needed(running) {
                // A program that has nothing in tokio does not pay for it.
                if running.is_idle() {
                    self.host.disarm()?;
                    sleep_alone(running)?;
                } else {
                    running.collect();
                }
                continue;
            }
            running.collect();
            if must_yield || !running.is_idle() {
                // tokio looks at its driver, without sleeping, and comes back.
                let polled = pin!(yield_now()).poll(context);
                debug_assert!(polled.is_pending(), "yield_now yields once");
                return Poll::Pending;
            }
            if self.park(context)? {
                return Poll::Pending;
            }
        }
    }

    /// Prepares a sleep in tokio's driver; returns whether there is to be one.
    fn park(&mut self, context: &mut Context<'_>) -> io::Result<bool> {
        let running = self.running;
        let nested = self.host.nested(running)?;
        let mut timeout = running.begin_sleep();
        if timeout != Some(Duration::ZERO) && running.is_virtual() {
            timeout = Some(super::GRACE);
        }
        let is_late = timeout == Some(Duration::ZERO) || nested.is_ready(running, timeout, context)?;
        if is_late {
            running.end_sleep();
            running.collect();
            return Ok(false);
        }
        running.park(context.waker());
        self.is_parked = true;
        Ok(true)
    }
}

/// Our poller, as tokio sees it.
struct Nested {
    poller: NestedPoller,
    timer: TimerFd,
    is_timer_set: Cell<bool>,
}

impl Nested {
    fn new(running: &Loop) -> io::Result<Nested> {
        let timer = TimerFd::new()?;
        running.watch_fd(timer.as_raw_fd())?;
        Ok(Nested {
            poller: nest(running.poller())?,
            timer,
            is_timer_set: Cell::new(false),
        })
    }

    /// Sets the timer, and asks tokio to wake the driver when our poller has something. Returns whether it
    /// has something now.
    fn is_ready(&self, running: &Loop, timeout: Option<Duration>, context: &mut Context<'_>) -> io::Result<bool> {
        if timeout.is_some() || self.is_timer_set.get() {
            self.timer.set(timeout)?;
            self.is_timer_set.set(timeout.is_some());
        }
        while let Poll::Ready(guard) = self.poller.poll_read_ready(context) {
            // Forgotten before the poller is asked: what comes in between is a new edge.
            guard?.clear_ready();
            if running.wait(Some(Duration::ZERO))? {
                if running.is_virtual() {
                    running.jump();
                }
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether the driver must return to its host before it runs the next entry.
#[inline]
pub(crate) fn must_yield() -> bool {
    !coop::has_budget_remaining()
}
