//! `timeout()`, `timeout_at()`, `wait_for()`: end a block when a deadline passes.
//!
//! States: `Entered → Expiring → Expired`, or `Entered → Exited`.
//! Invariant: a timer of the loop exists only while `Entered`, with a deadline, and after the first poll
//! that did not finish the block.
//!
//! The block has a cancellation state of its own. The deadline asks for the cancellation of the block
//! only, so its error is known for the timeout's own wherever it comes out; a request to cancel the task
//! is passed on into the block.
//!
//! Counterpart: `Lib/asyncio/timeouts.py`.
//! Differs from asyncio: the task's `cancelling()` does not count the timeout's own request; what runs
//! beside the block in the same task (under `join!`) is not cancelled with it.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::future::{Future as StdFuture, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::cancellation::{CancelState, Checkpoint};
use crate::clock::Deadline;
use crate::events::Entry;
use crate::exceptions::{Cancelled, TimeoutError};
use crate::sys::current::with_current;
use crate::tasks::LocalWaker;
use crate::timers::TimerKey;

/// Runs a block for `delay` at most; `None` sets no deadline yet. The block gets the [`Timeout`], to look
/// at it and to move it.
///
/// # Cancellation
/// Reaches the awaits inside of the block. A block that waits in a foreign future is dropped, at the
/// deadline as on cancellation.
///
/// # Errors
/// [`TimeoutError::Expired`] when the deadline has passed and the block has let its cancellation out; what
/// else it returns is returned.
///
/// # Panics
/// When no loop runs.
///
/// # Examples
/// ```
/// use aioxide::{TimeoutError, run, sleep, timeout};
/// use std::time::Duration;
///
/// run(async {
///     let steps = timeout(Duration::from_millis(5), async |deadline| {
///         assert!(!deadline.expired());
///         sleep(Duration::from_secs(3600)).await
///     });
///     assert_eq!(steps.await, Err(TimeoutError::Expired));
/// });
/// ```
pub async fn timeout<B, T>(delay: impl Into<Option<Duration>>, block: B) -> Result<T, TimeoutError>
where
    B: AsyncFnOnce(Timeout) -> T,
{
    let deadline = Timeout::new(delay.into().map(later));
    run_until(&deadline, block(deadline.clone())).await
}

/// Runs a block until `when`, a time of the loop's clock, at most. Otherwise as [`timeout()`].
///
/// ```
/// # use std::time::Duration;
/// aioxide::run(async {
///     let when = aioxide::get_running_loop().time().saturating_add(Duration::from_millis(2));
///     let late = aioxide::timeout_at(when, async |_| aioxide::sleep(Duration::from_secs(9)).await);
///     assert!(late.await.is_err());
/// });
/// ```
///
/// # Errors
/// As [`timeout()`].
pub async fn timeout_at<B, T>(when: impl Into<Option<Deadline>>, block: B) -> Result<T, TimeoutError>
where
    B: AsyncFnOnce(Timeout) -> T,
{
    let deadline = Timeout::new(when.into());
    run_until(&deadline, block(deadline.clone())).await
}

/// Waits for a future, for `delay` at most.
///
/// # Cancellation
/// As [`timeout()`].
///
/// # Errors
/// As [`timeout()`].
///
/// # Examples
/// ```
/// use aioxide::{run, sleep, wait_for};
/// use std::time::Duration;
///
/// run(async {
///     assert!(wait_for(sleep(Duration::ZERO), Duration::from_secs(5)).await.is_ok());
///     // A future of another library needs nothing special: it is dropped.
///     assert!(wait_for(std::future::pending::<()>(), Duration::from_millis(1)).await.is_err());
/// });
/// ```
pub async fn wait_for<F: StdFuture>(future: F, delay: impl Into<Option<Duration>>) -> Result<F::Output, TimeoutError> {
    let deadline = Timeout::new(delay.into().map(later));
    run_until(&deadline, future).await
}

/// The deadline of a block.
///
/// ```
/// use aioxide::{get_running_loop, run, sleep, timeout};
/// use std::time::Duration;
///
/// run(async {
///     let patient = timeout(Duration::from_millis(1), async |deadline| {
///         let later = get_running_loop().time().saturating_add(Duration::from_secs(60));
///         deadline.reschedule(later);
///         assert_eq!(deadline.when(), Some(later));
///         sleep(Duration::from_millis(5)).await.unwrap();
///         deadline.expired()
///     });
///     assert_eq!(patient.await, Ok(false));
/// });
/// ```
#[derive(Clone)]
pub struct Timeout {
    state: Rc<State>,
}

impl Timeout {
    fn new(when: Option<Deadline>) -> Timeout {
        Timeout {
            state: Rc::new(State {
                phase: Cell::new(Phase::Entered),
                when: Cell::new(when),
                timer: Cell::new(None),
                waker: RefCell::new(None),
                cancel: Rc::new(CancelState::default()),
            }),
        }
    }

    /// Returns the deadline, a time of the loop's clock.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{get_running_loop, run, timeout};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let block = timeout(Duration::from_secs(5), async |deadline| {
    ///         deadline.when().unwrap().saturating_duration_since(get_running_loop().time())
    ///     });
    ///     assert!(block.await.unwrap() <= Duration::from_secs(5)); // So much was left.
    /// });
    /// ```
    pub fn when(&self) -> Option<Deadline> {
        self.state.when.get()
    }

    /// Moves the deadline; `None` takes it away. Too late when it has passed or the block has ended.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{run, sleep, timeout};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let block = timeout(Duration::from_millis(1), async |deadline| {
    ///         deadline.reschedule(None);
    ///         sleep(Duration::from_millis(5)).await
    ///     });
    ///     assert_eq!(block.await, Ok(Ok(())));
    /// });
    /// ```
    pub fn reschedule(&self, when: impl Into<Option<Deadline>>) {
        if self.state.phase.get() != Phase::Entered {
            return;
        }
        self.state.when.set(when.into());
        self.state.cancel_timer();
        let waker = self.state.waker.borrow().clone();
        if let Some(waker) = waker {
            self.state.set_timer(waker);
        }
    }

    /// Returns whether the deadline has passed and ended the block, or is about to.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{run, sleep, timeout};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let block = timeout(Duration::from_millis(1), async |deadline| {
    ///         assert!(!deadline.expired());
    ///         let slept = sleep(Duration::from_secs(3600)).await;
    ///         assert!(deadline.expired());
    ///         slept
    ///     });
    ///     assert!(block.await.is_err());
    /// });
    /// ```
    pub fn expired(&self) -> bool {
        matches!(self.state.phase.get(), Phase::Expiring | Phase::Expired)
    }
}

impl std::fmt::Debug for Timeout {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Timeout");
        shown
            .field("phase", &self.state.phase.get())
            .field("when", &self.when())
            .finish()
    }
}

struct State {
    phase: Cell<Phase>,
    when: Cell<Option<Deadline>>,
    timer: Cell<Option<TimerKey>>,
    /// Whom the timer wakes; kept to set it anew.
    waker: RefCell<Option<LocalWaker>>,
    cancel: Rc<CancelState>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Entered,
    Expiring,
    Expired,
    Exited,
}

impl State {
    fn set_timer(&self, waker: LocalWaker) {
        let Some(when) = self.when.get() else { return };
        let key = with_current(|running| {
            running
                .expect("no running event loop")
                .set_timer(when, Entry::wake(waker))
        });
        self.timer.set(Some(key));
    }

    fn cancel_timer(&self) {
        if let Some(key) = self.timer.take() {
            with_current(|running| running.map(|running| running.cancel_timer(key)));
        }
    }

    fn has_fired(&self) -> bool {
        let is_set = |key| with_current(|running| running.is_some_and(|running| running.is_timer_set(key)));
        self.timer.get().is_some_and(|key| !is_set(key))
    }

    /// Sees to it that the deadline wakes the task that polls.
    fn follow(&self, context: &Context<'_>) {
        let same = matches!(&*self.waker.borrow(), Some(known) if known.will_wake(context.waker()));
        if same {
            return;
        }
        self.cancel_timer();
        let waker = LocalWaker::new(context.waker());
        let former = self.waker.replace(Some(waker.clone()));
        drop(former);
        self.set_timer(waker);
    }
}

/// A block that is dropped half-way leaves no timer.
struct Exit<'a>(&'a State);

impl Drop for Exit<'_> {
    fn drop(&mut self) {
        self.0.cancel_timer();
        let waker = self.0.waker.take();
        drop(waker);
        if self.0.phase.get() == Phase::Entered {
            self.0.phase.set(Phase::Exited);
        }
    }
}

async fn run_until<F: StdFuture>(timeout: &Timeout, future: F) -> Result<F::Output, TimeoutError> {
    let state = &*timeout.state;
    let exit = Exit(state);
    let mut future = pin!(future);
    let mut block = Block {
        state,
        checkpoint: Checkpoint::new(),
        passed_on: None,
    };
    let result = poll_fn(|context| block.poll(future.as_mut(), context)).await;
    drop(exit);
    result
}

/// A block under a deadline.
struct Block<'a> {
    state: &'a State,
    checkpoint: Checkpoint,
    /// The request to cancel the task that was passed on into the block, with its message.
    passed_on: Option<Option<Arc<str>>>,
}

impl Block<'_> {
    fn poll<F: StdFuture>(
        &mut self,
        mut future: Pin<&mut F>,
        context: &mut Context<'_>,
    ) -> Poll<Result<F::Output, TimeoutError>> {
        if let Some(message) = self.checkpoint.request() {
            self.pass_on(message);
        }
        if self.state.phase.get() == Phase::Entered && self.state.has_fired() {
            self.state.phase.set(Phase::Expiring);
            self.state.cancel.request(None);
        }
        loop {
            if let Poll::Ready(output) = poll_in(&self.state.cancel, future.as_mut(), context) {
                return Poll::Ready(self.exit(output));
            }
            if self.state.cancel.is_unclaimed() {
                return Poll::Ready(Err(self.give_up()));
            }
            self.state.follow(context);
            match self.checkpoint.suspend_or_request(context) {
                Some(message) => self.pass_on(message),
                None => return Poll::Pending,
            }
        }
    }

    fn pass_on(&mut self, message: Option<Arc<str>>) {
        self.state.cancel.request(message.clone());
        self.passed_on = Some(message);
    }

    /// Decides what comes out of a block that has ended.
    fn exit<T>(&mut self, output: T) -> Result<T, TimeoutError> {
        self.checkpoint.leave();
        let Some(delivery) = self.state.cancel.in_flight() else {
            return Ok(output);
        };
        if self.state.phase.get() == Phase::Expiring && self.passed_on.is_none() {
            self.state.phase.set(Phase::Expired);
            return Err(TimeoutError::Expired);
        }
        with_current(|running| running?.cancel_ref()).inspect(|outer| outer.adopt(delivery));
        Ok(output)
    }

    /// Decides what comes out of a block that waits in a foreign future; it is dropped.
    fn give_up(&mut self) -> TimeoutError {
        self.checkpoint.leave();
        let Some(message) = self.passed_on.take() else {
            self.state.phase.set(Phase::Expired);
            return TimeoutError::Expired;
        };
        let cancelled = Cancelled::new(message.as_deref());
        let delivery = Arc::clone(cancelled.delivery());
        with_current(|running| running?.cancel_ref()).inspect(|outer| outer.adopt(delivery));
        TimeoutError::Cancelled(cancelled)
    }
}

/// Polls a future with `cancel` as its cancellation state.
pub(crate) fn poll_in<F: StdFuture>(
    cancel: &Rc<CancelState>,
    future: Pin<&mut F>,
    context: &mut Context<'_>,
) -> Poll<F::Output> {
    cancel.begin_step();
    let poll = || future.poll(context);
    with_current(|running| match running {
        Some(running) => running.in_block(cancel, poll),
        None => poll(),
    })
}

fn later(delay: Duration) -> Deadline {
    with_current(|running| running.expect("no running event loop").now()).saturating_add(delay)
}
