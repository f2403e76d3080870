//! `gather()`: runs several at the same time, and returns their results in the order of the arguments.
//!
//! Each future becomes a task whose last act is to put its result into its place, so the waiting one is
//! woken once, when the last has come, or the first failed.
//!
//! | asyncio | here |
//! |---|---|
//! | `gather(*coroutines)` | [`gather`]; the first error is returned at once, the others run on |
//! | `gather(.., return_exceptions=True)` | [`gather_all`] |
//! | `gather(a(), b())` of different types | [`gather!`](crate::gather!), [`gather_all!`](crate::gather_all!) |
//!
//! Counterpart: `asyncio.gather`.

#![forbid(unsafe_code)]

mod tuples;

use std::cell::{Cell, RefCell};
use std::future::Future as StdFuture;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

pub use tuples::{GatherAllTuple, GatherTuple};

use super::handle::{Task, adopt};
use super::raw::Finish;
use super::waker::LocalWaker;
use crate::cancellation::Checkpoint;
use crate::exceptions::{Cancelled, TaskError};
use crate::sys::current::with_current;

/// Runs futures of one type as tasks, and returns all results, or the first error.
///
/// # Cancellation
/// Passed on to all tasks. After an error the other tasks run on.
///
/// # Panics
/// When no loop runs.
///
/// # Examples
/// ```
/// use aioxide::{Cancelled, gather, run, sleep};
/// use std::time::Duration;
///
/// async fn nap(ms: u64) -> Result<u64, Cancelled> {
///     sleep(Duration::from_millis(ms)).await?;
///     Ok(ms)
/// }
///
/// run(async {
///     assert_eq!(gather([nap(3), nap(2), nap(1)]).await, Ok(vec![3, 2, 1]));
///     let (slow, text) = aioxide::gather!(nap(2), async { Ok("text") }).await.unwrap();
///     assert_eq!((slow, text), (2, "text"));
/// });
/// ```
pub fn gather<I, T, E>(futures: I) -> Gather<T, E>
where
    I: IntoIterator,
    I::Item: StdFuture<Output = Result<T, E>> + 'static,
    T: 'static,
    E: From<TaskError> + 'static,
{
    Gather {
        all: All::start(futures, |result| result.is_none_or(Result::is_err)),
        _error: std::marker::PhantomData,
    }
}

/// Runs futures of one type as tasks, waits for all, and returns what each has ended with.
///
/// # Cancellation
/// Passed on to all tasks; when all have ended, the error is returned.
///
/// # Panics
/// When no loop runs.
///
/// # Examples
/// ```
/// # aioxide::run(async {
/// let halves = [4_u32, 3].map(|n| async move { if n % 2 == 0 { Ok(n / 2) } else { Err("odd") } });
/// let results = aioxide::gather_all(halves).await.unwrap();
/// assert_eq!(*results[0].as_ref().unwrap(), Ok(2));
/// assert_eq!(*results[1].as_ref().unwrap(), Err("odd"));
/// # });
/// ```
pub fn gather_all<I>(futures: I) -> GatherAll<<I::Item as StdFuture>::Output>
where
    I: IntoIterator,
    I::Item: StdFuture + 'static,
    <I::Item as StdFuture>::Output: 'static,
{
    GatherAll {
        all: All::start(futures, |_| false),
        request: None,
    }
}

/// What [`gather`] returns.
///
/// # Examples
/// ```
/// use aioxide::{Cancelled, Gather, gather, run};
///
/// run(async {
///     let both: Gather<u32, Cancelled> = gather([1, 2].map(|number| async move { Ok(number) }));
///     assert_eq!(both.await, Ok(vec![1, 2]));
/// });
/// ```
#[must_use = "the tasks run, but somebody has to wait for them"]
pub struct Gather<T, E> {
    all: All<Result<T, E>>,
    _error: std::marker::PhantomData<fn() -> E>,
}

impl<T, E: From<TaskError>> StdFuture for Gather<T, E> {
    type Output = Result<Vec<T>, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let all = &mut self.all;
        if all.is_over() {
            if let Some(cancelled) = all.checkpoint.cancelled() {
                return Poll::Ready(Err(TaskError::from(cancelled).into()));
            }
            all.checkpoint.leave();
            let failed = all.results.failed.get();
            let results = match failed {
                Some(index) => vec![all.take(index)],
                None => (0..all.tasks.len()).map(|index| all.take(index)).collect(),
            };
            return Poll::Ready(results.into_iter().map(|result| result.map_err(E::from)?).collect());
        }
        if let Some(message) = all.wait(context) {
            all.cancel(message.as_ref());
        }
        Poll::Pending
    }
}

impl<T, E> Unpin for Gather<T, E> {}

impl<T, E> std::fmt::Debug for Gather<T, E> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Gather")
            .field("left", &self.all.results.left.get())
            .finish()
    }
}

/// What [`gather_all`] returns.
///
/// # Examples
/// ```
/// use aioxide::{GatherAll, gather_all, run};
///
/// run(async {
///     let both: GatherAll<Result<u32, _>> = gather_all(["12", "twelve"].map(|text| async { text.parse() }));
///     let ends = both.await.unwrap().into_iter().map(|end| end.unwrap().is_ok());
///     assert_eq!(ends.collect::<Vec<_>>(), [true, false]);
/// });
/// ```
#[must_use = "the tasks run, but somebody has to wait for them"]
pub struct GatherAll<T> {
    all: All<T>,
    /// The request to cancel that was passed on, with its message.
    request: Option<Option<Arc<str>>>,
}

impl<T> StdFuture for GatherAll<T> {
    type Output = Result<Vec<Result<T, TaskError>>, Cancelled>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.all.is_over() {
            if let Some(cancelled) = this.all.checkpoint.cancelled() {
                return Poll::Ready(Err(cancelled));
            }
            this.all.checkpoint.leave();
            if let Some(message) = this.request.take() {
                return Poll::Ready(Err(hand_on(message)));
            }
            let results = (0..this.all.tasks.len()).map(|index| this.all.take(index)).collect();
            return Poll::Ready(Ok(results));
        }
        if let Some(message) = this.all.wait(context) {
            this.all.cancel(message.as_ref());
            this.request = Some(message);
        }
        Poll::Pending
    }
}

impl<T> Unpin for GatherAll<T> {}

impl<T> std::fmt::Debug for GatherAll<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("GatherAll")
            .field("left", &self.all.results.left.get())
            .finish()
    }
}

/// The tasks of one call, and their results.
struct All<T> {
    tasks: Vec<Task<()>>,
    results: Rc<Results<T>>,
    checkpoint: Checkpoint,
}

impl<T> All<T> {
    fn start<I>(futures: I, is_failure: fn(Option<&T>) -> bool) -> All<T>
    where
        I: IntoIterator,
        I::Item: StdFuture<Output = T> + 'static,
        T: 'static,
    {
        let futures = futures.into_iter();
        let results = Rc::new(Results {
            places: RefCell::new(Vec::with_capacity(futures.size_hint().0)),
            left: Cell::new(0),
            failed: Cell::new(None),
            waker: RefCell::new(None),
            is_failure,
        });
        let start = |(index, future)| {
            results.places.borrow_mut().push(None);
            results.left.set(results.left.get() + 1);
            let mut place = PlaceOf {
                results: Rc::clone(&results),
                index,
                is_filled: false,
            };
            let future = Finish::new(future, move |output| {
                place.fill(output);
                Ok(())
            });
            let output = with_current(|running| {
                let running = running.expect("no running event loop");
                running.create_task(future, None, None)
            });
            Task::new(output)
        };
        All {
            tasks: futures.enumerate().map(start).collect(),
            results,
            checkpoint: Checkpoint::new(),
        }
    }

    /// Whether the waiting is over.
    fn is_over(&self) -> bool {
        self.results.left.get() == 0 || self.results.failed.get().is_some()
    }

    /// Takes a result out of its place; a task that left none has an error of its own.
    fn take(&mut self, index: usize) -> Result<T, TaskError> {
        let place = self.results.places.borrow_mut().get_mut(index).and_then(Option::take);
        let task = self.tasks.get_mut(index).ok_or(TaskError::Taken)?;
        adopt(task);
        match place {
            Some(result) => Ok(result),
            None => Err(match task.take_result() {
                Some(Err(error)) => error,
                _ => TaskError::Taken,
            }),
        }
    }

    /// Waits; returns the message of a request to cancel that is to be passed on.
    fn wait(&mut self, context: &Context<'_>) -> Option<Option<Arc<str>>> {
        let former = self.results.waker.replace(Some(LocalWaker::new(context.waker())));
        drop(former);
        let request = self.checkpoint.request();
        request.or_else(|| self.checkpoint.suspend_or_request(context))
    }

    fn cancel(&self, message: Option<&Arc<str>>) {
        for task in &self.tasks {
            task.request_cancel(message.cloned());
        }
    }
}

/// The places for the results.
struct Results<T> {
    places: RefCell<Vec<Option<T>>>,
    left: Cell<usize>,
    /// The first place that holds a failure, or that was left empty.
    failed: Cell<Option<usize>>,
    waker: RefCell<Option<LocalWaker>>,
    /// Asked with the result, or nothing when a task left none.
    is_failure: fn(Option<&T>) -> bool,
}

impl<T> Results<T> {
    /// Notes that a task has ended, and wakes who waits if that is enough.
    fn end(&self, index: usize, failed: bool) {
        self.left.set(self.left.get() - 1);
        if failed && self.failed.get().is_none() {
            self.failed.set(Some(index));
        }
        if self.left.get() > 0 && self.failed.get() != Some(index) {
            return;
        }
        let waker = self.waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A task's own place.
struct PlaceOf<T> {
    results: Rc<Results<T>>,
    index: usize,
    is_filled: bool,
}

impl<T> PlaceOf<T> {
    fn fill(&mut self, output: T) {
        self.is_filled = true;
        let failed = (self.results.is_failure)(Some(&output));
        if let Some(place) = self.results.places.borrow_mut().get_mut(self.index) {
            *place = Some(output);
        }
        self.results.end(self.index, failed);
    }
}

impl<T> Drop for PlaceOf<T> {
    /// A task that panicked, or was cancelled where its code had no say, leaves its place empty.
    fn drop(&mut self) {
        if !self.is_filled {
            self.results.end(self.index, (self.results.is_failure)(None));
        }
    }
}

/// Makes the error of a request to cancel that was passed on to the tasks, which have ended.
fn hand_on(message: Option<Arc<str>>) -> Cancelled {
    let cancelled = Cancelled::new(message.as_deref());
    let delivery = Arc::clone(cancelled.delivery());
    with_current(|running| running?.cancel_ref()).inspect(|owner| owner.adopt(delivery));
    cancelled
}
