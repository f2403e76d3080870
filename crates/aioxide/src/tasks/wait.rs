//! `wait()`: stops waiting, and leaves the rest to the caller.
//!
//! Counterpart: `asyncio.wait`.
//! Differs from asyncio: what is pending stays in the caller's vector, so it is his also when the wait
//! is cancelled.

#![forbid(unsafe_code)]

use std::future::{Future as StdFuture, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use super::handle::Task;
use super::sleep::sleep;
use crate::cancellation::Checkpoint;
use crate::exceptions::Cancelled;

/// What [`wait`] waits for.
///
/// ```
/// use aioxide::{ReturnWhen, create_task, run, wait};
///
/// run(async {
///     let ends = [Ok(1), Err("broken"), Ok(3)];
///     let mut tasks = ends.map(|end| create_task(async move { end })).into();
///     let done = wait(&mut tasks, ReturnWhen::FirstException(Result::is_err), None).await.unwrap();
///     assert!(done.iter().any(|task| task.result() == Some(&Err("broken"))));
/// });
/// ```
#[derive(Debug)]
pub enum ReturnWhen<T> {
    /// The first task that ends.
    FirstCompleted,
    /// The first task that panics, or whose result this function calls a failure (`Result::is_err`); if
    /// there is none, the last task.
    FirstException(fn(&T) -> bool),
    /// The last task.
    AllCompleted,
}

/// Waits for several tasks, for `timeout` at most; takes out those that have ended and returns them.
/// Neither an error nor the timeout cancels the others.
///
/// # Cancellation
/// The tasks run on, and all of them stay in the vector.
///
/// # Examples
/// ```
/// use aioxide::{ReturnWhen, create_task, run, sleep, wait};
/// use std::time::Duration;
///
/// run(async {
///     let mut tasks: Vec<_> = [1, 3600].map(|seconds| create_task(sleep(Duration::from_millis(seconds)))).into();
///     let done = wait(&mut tasks, ReturnWhen::FirstCompleted, None).await.unwrap();
///     assert_eq!((done.len(), tasks.len()), (1, 1));
/// });
/// ```
///
/// # Errors
/// Only the cancellation of the waiting task.
pub async fn wait<T>(
    tasks: &mut Vec<Task<T>>,
    until: ReturnWhen<T>,
    timeout: impl Into<Option<Duration>>,
) -> Result<Vec<Task<T>>, Cancelled> {
    let mut checkpoint = Checkpoint::new();
    let timeout = timeout.into().map(sleep);
    let mut timeout = pin!(timeout);
    poll_fn(|context| {
        if let Some(cancelled) = checkpoint.cancelled() {
            return Poll::Ready(Err(cancelled));
        }
        if is_enough(tasks, &until) {
            checkpoint.leave();
            return Poll::Ready(Ok(()));
        }
        for task in tasks.iter().filter(|task| !task.done()) {
            task.raw().state().join(context.waker());
        }
        checkpoint.suspend(context)?;
        // After the checkpoint, so that a cancellation is ours and not the timer's.
        let timer: Option<Pin<_>> = timeout.as_mut().as_pin_mut();
        match timer.map(|timer| timer.poll(context)) {
            None | Some(Poll::Pending) => Poll::Pending,
            Some(Poll::Ready(over)) => {
                checkpoint.leave();
                Poll::Ready(over)
            }
        }
    })
    .await?;
    Ok(tasks.extract_if(.., |task| task.done()).collect())
}

fn is_enough<T>(tasks: &[Task<T>], until: &ReturnWhen<T>) -> bool {
    if tasks.iter().all(|task| task.done()) {
        return true;
    }
    match until {
        ReturnWhen::FirstCompleted => tasks.iter().any(|task| task.done()),
        ReturnWhen::AllCompleted => false,
        ReturnWhen::FirstException(is_failure) => tasks.iter().any(|task| {
            let failed = |result| !task.cancelled() && is_failure(result);
            task.done() && (task.panicked() || task.result().is_some_and(failed))
        }),
    }
}
