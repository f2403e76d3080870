//! `shield()`: waits for a task without passing cancellations on to it.
//!
//! Counterpart: `asyncio.shield`.
//! Differs from asyncio: it takes a task and not a coroutine, so somebody always holds it.

#![forbid(unsafe_code)]

use std::borrow::BorrowMut;
use std::future::Future as StdFuture;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::handle::{Task, adopt};
use crate::cancellation::Checkpoint;
use crate::exceptions::TaskError;

/// Waits for a task; when the waiting is cancelled, the task runs on.
///
/// ```
/// use aioxide::{create_task, run, shield, sleep, wait_for};
/// use std::time::Duration;
///
/// run(async {
///     let mut task = create_task(async { sleep(Duration::from_millis(20)).await.map(|()| 42) });
///     let hasty = wait_for(shield(&mut task), Duration::from_millis(1)).await;
///     assert!(hasty.is_err());
///     assert_eq!(task.await.unwrap(), Ok(42));
/// });
/// ```
pub fn shield<T, B: BorrowMut<Task<T>> + Unpin>(task: B) -> Shield<T, B> {
    Shield {
        task,
        checkpoint: Checkpoint::new(),
        _result: PhantomData,
    }
}

/// What [`shield`] returns.
///
/// # Examples
/// ```
/// use aioxide::{Shield, Task, create_task, run, shield};
///
/// run(async {
///     let shielded: Shield<u32, Task<u32>> = shield(create_task(async { 42 }));
///     assert_eq!(shielded.await.unwrap(), 42);
/// });
/// ```
#[must_use = "a shield does nothing until it is awaited"]
pub struct Shield<T, B> {
    task: B,
    checkpoint: Checkpoint,
    _result: PhantomData<fn() -> T>,
}

impl<T, B: BorrowMut<Task<T>> + Unpin> StdFuture for Shield<T, B> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Some(cancelled) = this.checkpoint.cancelled() {
            return Poll::Ready(Err(cancelled.into()));
        }
        let task = this.task.borrow_mut();
        if let Some(result) = task.take_result() {
            this.checkpoint.leave();
            adopt(task);
            return Poll::Ready(result);
        }
        task.raw().state().join(context.waker());
        this.checkpoint.suspend(context)?;
        Poll::Pending
    }
}

impl<T, B> std::fmt::Debug for Shield<T, B> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shield").finish_non_exhaustive()
    }
}
