//! `as_completed()`: results as they arrive, the quickest first.
//!
//! Counterpart: `asyncio.as_completed`.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future as StdFuture;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::handle::{Task, adopt, create_task};
use super::waker::LocalWaker;
use crate::cancellation::Checkpoint;
use crate::exceptions::TaskError;

/// Makes a task of each future, and returns their results in the order in which they arrive: a
/// [`Stream`], with a [`next`](AsCompleted::next) of its own.
///
/// # Cancellation
/// Who is cancelled while he waits for the next one gets that as the next item, and the tasks run on.
/// Dropping it lets them run on, too.
///
/// # Panics
/// When no loop runs.
///
/// # Examples
/// ```
/// use aioxide::{as_completed, run, sleep};
/// use std::time::Duration;
///
/// run(async {
///     let naps = [20, 1, 10].map(|ms| async move { sleep(Duration::from_millis(ms)).await.map(|()| ms) });
///     let mut results = as_completed(naps);
///     let mut arrived = Vec::new();
///     while let Some(result) = results.next().await {
///         arrived.push(result.unwrap().unwrap());
///     }
///     assert_eq!(arrived, [1, 10, 20]);
/// });
/// ```
pub fn as_completed<I>(futures: I) -> AsCompleted<<I::Item as StdFuture>::Output>
where
    I: IntoIterator,
    I::Item: StdFuture + 'static,
    <I::Item as StdFuture>::Output: 'static,
{
    let arrived = Rc::new(Arrived::default());
    let tasks = futures.into_iter().enumerate().map(|(index, future)| {
        let task = create_task(future);
        let arrived = Rc::clone(&arrived);
        task.add_done_callback(move |_| arrived.add(index));
        Some(task)
    });
    AsCompleted {
        tasks: tasks.collect(),
        left: 0,
        arrived,
        checkpoint: Checkpoint::new(),
    }
    .counted()
}

/// What [`as_completed`] returns.
///
/// # Examples
/// ```
/// use aioxide::{as_completed, run};
/// use futures_util::StreamExt;
///
/// run(async {
///     let squares = as_completed([2, 3].map(|number| async move { number * number }));
///     let squares: Vec<_> = squares.map(Result::unwrap).collect().await; // It is a stream.
///     assert_eq!(squares, [4, 9]);
/// });
/// ```
#[must_use = "results are handed out to who asks"]
pub struct AsCompleted<T> {
    tasks: Vec<Option<Task<T>>>,
    left: usize,
    arrived: Rc<Arrived>,
    checkpoint: Checkpoint,
}

impl<T> AsCompleted<T> {
    /// Waits for the next result; `None` after the last.
    ///
    /// # Cancellation
    /// Nothing is lost: a result that has not been handed out comes with the next call.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{as_completed, run, sleep};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let naps = [3600, 1].map(|ms| async move { sleep(Duration::from_millis(ms)).await.map(|()| ms) });
    ///     let quickest = as_completed(naps).next().await;
    ///     assert_eq!(quickest.unwrap().unwrap(), Ok(1));
    /// });
    /// ```
    pub async fn next(&mut self) -> Option<Result<T, TaskError>> {
        poll_fn(|context| self.poll_result(context)).await
    }

    fn counted(mut self) -> AsCompleted<T> {
        self.left = self.tasks.len();
        self
    }

    fn poll_result(&mut self, context: &Context<'_>) -> Poll<Option<Result<T, TaskError>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        if let Some(cancelled) = self.checkpoint.cancelled() {
            return Poll::Ready(Some(Err(cancelled.into())));
        }
        let index = self.arrived.indices.borrow_mut().pop_front();
        if let Some(index) = index {
            self.checkpoint.leave();
            self.left -= 1;
            let task = self.tasks.get_mut(index).and_then(Option::take);
            let result = task.and_then(|mut task| {
                adopt(&task);
                task.take_result()
            });
            return Poll::Ready(Some(result.unwrap_or(Err(TaskError::Taken))));
        }
        let former = self.arrived.waker.replace(Some(LocalWaker::new(context.waker())));
        drop(former);
        match self.checkpoint.suspend(context) {
            Ok(()) => Poll::Pending,
            Err(cancelled) => Poll::Ready(Some(Err(cancelled.into()))),
        }
    }
}

impl<T> Unpin for AsCompleted<T> {}

impl<T> Stream for AsCompleted<T> {
    type Item = Result<T, TaskError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_result(context)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T> std::fmt::Debug for AsCompleted<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("AsCompleted")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

/// The tasks that have ended and were not handed out.
#[derive(Default)]
struct Arrived {
    indices: RefCell<VecDeque<usize>>,
    waker: RefCell<Option<LocalWaker>>,
}

impl Arrived {
    fn add(&self, index: usize) {
        self.indices.borrow_mut().push_back(index);
        let waker = self.waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
