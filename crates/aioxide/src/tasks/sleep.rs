//! `sleep()`: lets others work, for a time or for one turn.
//!
//! States: `New → GivingWay` (or `Yielded`, behind a foreign waker), or `New → Timed`. A timer of the loop
//! exists only while `Timed`.
//!
//! Counterpart: `asyncio.sleep`.

#![forbid(unsafe_code)]

use std::future::Future as StdFuture;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::waker::LocalWaker;
use crate::cancellation::{Checkpoint, Turn};
use crate::clock::Deadline;
use crate::events::Entry;
use crate::exceptions::Cancelled;
use crate::sys::current::with_current;
use crate::timers::TimerKey;

/// Pauses the task for `delay`, and never for less. With a delay of zero, everything that is ready has
/// its turn first.
///
/// # Cancellation
/// Ends at once, with the error.
///
/// # Panics
/// When it has to wait and no loop runs.
///
/// # Examples
/// ```
/// # use std::time::Duration;
/// aioxide::run(async {
///     aioxide::sleep(Duration::from_millis(1)).await?;
///     Ok::<_, aioxide::Cancelled>(())
/// }).unwrap();
/// ```
#[inline]
pub const fn sleep(delay: Duration) -> Sleep {
    Sleep::new(When::After(delay))
}

/// Pauses the task until a time of the loop's clock. Otherwise as [`sleep`].
///
/// ```
/// # use std::time::Duration;
/// aioxide::run(async {
///     let start = aioxide::get_running_loop().time();
///     aioxide::sleep_until(start.saturating_add(Duration::from_millis(1))).await.unwrap();
/// });
/// ```
#[inline]
pub const fn sleep_until(when: Deadline) -> Sleep {
    Sleep::new(When::At(when))
}

/// What [`sleep`] returns.
///
/// # Examples
/// ```
/// use aioxide::{Sleep, run, sleep};
/// use std::time::Duration;
///
/// let nap: Sleep = sleep(Duration::from_millis(1)); // Nothing happens yet.
/// assert!(run(nap).is_ok());
/// ```
#[must_use = "a sleep does nothing until it is awaited"]
pub struct Sleep {
    when: When,
    state: State,
    checkpoint: Checkpoint,
}

impl Sleep {
    #[inline]
    const fn new(when: When) -> Sleep {
        Sleep {
            when,
            state: State::New,
            checkpoint: Checkpoint::new(),
        }
    }

    #[inline]
    fn begin(&mut self, context: &Context<'_>) -> Poll<Result<(), Cancelled>> {
        if let When::After(Duration::ZERO) = self.when
            && let Some(turn) = Turn::begin(context)
        {
            self.state = State::GivingWay(turn);
            return Poll::Pending;
        }
        self.checkpoint.suspend(context)?;
        match self.when {
            When::After(Duration::ZERO) => {
                context.waker().wake_by_ref();
                self.state = State::Yielded;
            }
            When::After(delay) => {
                let now = with_current(|running| running.expect("no running event loop").now());
                let when = now.saturating_add(delay);
                self.when = When::At(when);
                self.set_timer(when, context);
            }
            When::At(when) => self.set_timer(when, context),
        }
        Poll::Pending
    }

    fn set_timer(&mut self, when: Deadline, context: &Context<'_>) {
        let waker = LocalWaker::new(context.waker());
        let entry = Entry::wake(waker.clone());
        let key = with_current(|running| running.expect("no running event loop").set_timer(when, entry));
        self.state = State::Timed(key, waker);
    }

    fn cancel_timer(&mut self) {
        if let State::Timed(key, waker) = std::mem::replace(&mut self.state, State::New) {
            with_current(|running| running.map(|running| running.cancel_timer(key)));
            drop(waker);
        }
    }
}

impl StdFuture for Sleep {
    type Output = Result<(), Cancelled>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        match &this.state {
            State::New => return this.begin(context),
            State::GivingWay(turn) => return Poll::Ready(turn.cancelled().map_or(Ok(()), Err)),
            State::Yielded | State::Timed(..) => {}
        }
        if let Some(cancelled) = this.checkpoint.cancelled() {
            this.cancel_timer();
            return Poll::Ready(Err(cancelled));
        }
        if let State::Timed(key, waker) = &this.state {
            let is_set = with_current(|running| running.is_some_and(|running| running.is_timer_set(*key)));
            if is_set {
                if let (false, When::At(when)) = (waker.will_wake(context.waker()), this.when) {
                    this.cancel_timer();
                    this.set_timer(when, context);
                }
                this.checkpoint.suspend(context)?;
                return Poll::Pending;
            }
        }
        this.checkpoint.leave();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Sleep {
    #[inline]
    fn drop(&mut self) {
        if matches!(self.state, State::Timed(..)) {
            self.cancel_timer();
        }
    }
}

impl std::fmt::Debug for Sleep {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Sleep")
            .field("when", &self.when)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug)]
enum When {
    After(Duration),
    At(Deadline),
}

enum State {
    New,
    GivingWay(Turn),
    Yielded,
    Timed(TimerKey, LocalWaker),
}
