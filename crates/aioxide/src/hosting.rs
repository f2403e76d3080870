//! Who sleeps: the loop's own poller, or tokio's driver with that poller nested in it.
//!
//! With the feature `tokio`, a run happens inside of a tokio runtime on the loop's own thread, so that
//! whatever is written for tokio finds its context. The runtime is made when the run begins: tokio code
//! demands to be *called* inside of it, so it cannot be made when it is first needed. What is lazy is its
//! use. Whatever waits in tokio has cloned a waker of a task of ours, or is a task of tokio's; as long as
//! there is neither, the loop sleeps in its own poller, and tokio's driver is never asked.
//!
//! ```text
//! nothing in tokio     run ready ──► sleep in our poller ──► collect ──► run ready …
//! something in tokio   run ready ──► return Pending: tokio runs its tasks, sleeps in its driver, which
//!                      watches our poller (inbox, timer descriptor) ──► collect ──► run ready …
//! ```
//!
//! tokio counts operations and makes a future yield after 128 of them. The count is filled when tokio
//! polls the driver, so the driver returns to it when the count is used up.

#![forbid(unsafe_code)]

#[cfg(not(feature = "tokio"))]
mod alone;
#[cfg(feature = "tokio")]
mod guest;

use std::io;
use std::time::Duration;

use crate::events::Loop;

#[cfg(not(feature = "tokio"))]
pub(crate) use alone::{Host, must_yield};
#[cfg(feature = "tokio")]
pub(crate) use guest::{Host, must_yield};

/// Sleeps in the loop's own poller until something is to be done, and collects it.
fn sleep_alone(running: &Loop) -> io::Result<()> {
    let timeout = running.begin_sleep();
    let waited = if timeout == Some(Duration::ZERO) {
        Ok(false)
    } else if running.is_virtual() {
        sleep_virtually(running)
    } else {
        running.wait(timeout)
    };
    running.end_sleep();
    waited?;
    running.collect();
    Ok(())
}

/// Waits for other threads for as long as they are at work, and moves the clock to the next timer when
/// they are not.
fn sleep_virtually(running: &Loop) -> io::Result<bool> {
    if running.threads().unfinished() > 0 {
        // Not for ever: a thread sends its result, and is finished only then, which wakes nobody.
        return running.wait(Some(GRACE));
    }
    if running.wait(Some(grace(running)))? || running.jump() {
        return Ok(true);
    }
    running.assert_can_be_woken();
    running.wait(None)
}

/// How long to wait for foreign code before the clock jumps: not at all when there is none.
fn grace(running: &Loop) -> Duration {
    if running.foreign_wakers() > 0 {
        GRACE
    } else {
        Duration::ZERO
    }
}

/// Foreign code that has not answered for so long waits for a timer, or for ever.
const GRACE: Duration = Duration::from_millis(10);
