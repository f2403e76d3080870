//! `cancellable()`: makes a foreign future a place where a cancellation arrives.
//!
//! Differs from asyncio: there every await is one. Here a future of another library knows nothing of
//! cancellation; a task that is cancelled in one is dropped there, unless this is around it.

#![forbid(unsafe_code)]

use std::future::{Future as StdFuture, poll_fn};
use std::pin::pin;
use std::task::Poll;

use crate::cancellation::Checkpoint;
use crate::exceptions::Cancelled;

/// What this crate adds to every future.
///
/// # Examples
/// ```
/// use aioxide::{FutureExt, run};
///
/// run(async {
///     let answer = std::future::ready(42).cancellable().await;
///     assert_eq!(answer, Ok(42));
/// });
/// ```
pub trait FutureExt: StdFuture + Sized {
    /// Returns [`Cancelled`] instead of the result when the task is cancelled meanwhile.
    ///
    /// # Cancellation
    /// The future is dropped, and the error returned: code after the await runs.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Cancelled, FutureExt, create_task, run, sleep};
    ///
    /// run(async {
    ///     let task = create_task(async {
    ///         let nothing = std::future::pending::<()>().cancellable().await;
    ///         assert!(nothing.is_err());
    ///         "cleaned up"
    ///     });
    ///     sleep(std::time::Duration::ZERO).await.unwrap();
    ///     task.cancel();
    ///     assert_eq!(task.await.unwrap(), "cleaned up");
    /// });
    /// ```
    fn cancellable(self) -> impl StdFuture<Output = Result<Self::Output, Cancelled>> {
        cancellable(self)
    }
}

impl<F: StdFuture> FutureExt for F {}

async fn cancellable<F: StdFuture>(future: F) -> Result<F::Output, Cancelled> {
    let mut future = pin!(future);
    let mut checkpoint = Checkpoint::new();
    poll_fn(|context| {
        if let Some(cancelled) = checkpoint.cancelled() {
            return Poll::Ready(Err(cancelled));
        }
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            checkpoint.leave();
            return Poll::Ready(Ok(output));
        }
        checkpoint.suspend(context)?;
        Poll::Pending
    })
    .await
}
