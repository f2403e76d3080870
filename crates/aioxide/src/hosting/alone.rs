//! Without tokio: the loop sleeps in its own poller.

#![forbid(unsafe_code)]

use std::io;

use super::sleep_alone;
use crate::events::Loop;
use crate::tasks::Children;

/// Where a loop runs.
pub(crate) struct Host;

impl Host {
    pub(crate) fn new(_running: &Loop) -> io::Result<Host> {
        Ok(Host)
    }

    /// Runs the loop until `is_done`.
    pub(crate) fn run(&self, running: &Loop, root: &Children<'_>, is_done: &dyn Fn() -> bool) -> io::Result<()> {
        running.enter(|| {
            loop {
                running.run_ready(root, is_done);
                if is_done() {
                    return Ok(());
                }
                if running.is_idle() {
                    sleep_alone(running)?;
                } else {
                    running.collect();
                }
            }
        })
    }

    /// Calls `body` where the loop runs.
    pub(crate) fn enter<R>(&self, running: &Loop, body: impl FnOnce() -> R) -> R {
        running.enter(body)
    }
}

/// Whether the driver must return to its host before it runs the next entry.
#[inline]
pub(crate) const fn must_yield() -> bool {
    false
}
