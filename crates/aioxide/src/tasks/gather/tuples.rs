//! `gather!` and `gather_all!`: as the functions, for futures of different types.
//!
//! The implementations for tuples of one to eight differ in their length only.

#![forbid(unsafe_code)]

use std::future::Future as StdFuture;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::hand_on;
use crate::cancellation::Checkpoint;
use crate::exceptions::{Cancelled, TaskError};
use crate::tasks::create_task;
use crate::tasks::handle::{AnyTask, Task, adopt, poll_end};

/// Runs futures of different types as tasks: `gather!(a, b, ..).await` is `Ok((a's, b's, ..))`, or the
/// first error. Up to eight futures, which return `Result`s with the same error type.
///
/// # Cancellation
/// Passed on to all tasks. After an error the other tasks run on.
///
/// # Examples
/// ```
/// use aioxide::{Cancelled, gather, run};
///
/// run(async {
///     let (name, age) = gather!(async { Ok("Ada") }, async { Ok::<_, Cancelled>(36) }).await.unwrap();
///     assert_eq!((name, age), ("Ada", 36));
/// });
/// ```
#[macro_export]
macro_rules! gather {
    ($($future:expr),+ $(,)?) => {
        $crate::GatherTuple::gather(($($future,)+))
    };
}

/// Tuples of futures that [`gather!`](crate::gather!) takes.
///
/// # Examples
/// ```
/// use aioxide::{Cancelled, GatherTuple, run};
///
/// run(async {
///     let pair = (async { Ok("Ada") }, async { Ok::<_, Cancelled>(36) });
///     assert_eq!(pair.gather().await, Ok(("Ada", 36)));
/// });
/// ```
pub trait GatherTuple {
    /// The results, or the first error.
    type Output;

    /// Makes a task of each future.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{GatherTuple, TaskError, run};
    ///
    /// run(async {
    ///     let broken = (async { Ok::<u32, _>(1) }, async { "twelve".parse::<u32>().map_err(Error::Number) });
    ///     assert!(matches!(broken.gather().await, Err(Error::Number(_))));
    /// });
    ///
    /// #[derive(Debug)]
    /// enum Error {
    ///     Number(std::num::ParseIntError),
    ///     Task(TaskError),
    /// }
    ///
    /// impl From<TaskError> for Error {
    ///     fn from(error: TaskError) -> Error {
    ///         Error::Task(error)
    ///     }
    /// }
    /// ```
    fn gather(self) -> impl StdFuture<Output = Self::Output>;
}

/// Runs futures of different types as tasks, and waits for all: `gather_all!(a, b, ..).await` is
/// `Ok((a's end, b's end, ..))`, where an end is what the future returned, or its panic. Up to eight futures.
///
/// # Cancellation
/// Passed on to all tasks; when all have ended, the error is returned.
///
/// # Examples
/// ```
/// use aioxide::{gather_all, run};
///
/// run(async {
///     let (name, age) = gather_all!(async { "Ada" }, async { "twelve".parse::<u32>() }).await.unwrap();
///     assert_eq!(name.unwrap(), "Ada");
///     assert!(age.unwrap().is_err());
/// });
/// ```
#[macro_export]
macro_rules! gather_all {
    ($($future:expr),+ $(,)?) => {
        $crate::GatherAllTuple::gather_all(($($future,)+))
    };
}

/// Tuples of futures that [`gather_all!`](crate::gather_all!) takes.
///
/// # Examples
/// ```
/// use aioxide::{GatherAllTuple, run};
///
/// run(async {
///     let pair = (async { "Ada" }, async { 36 });
///     let (name, age) = pair.gather_all().await.unwrap();
///     assert_eq!((name.unwrap(), age.unwrap()), ("Ada", 36));
/// });
/// ```
pub trait GatherAllTuple {
    /// What each has ended with.
    type Output;

    /// Makes a task of each future.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{GatherAllTuple, run};
    ///
    /// run(async {
    ///     let broken = (async { 1 }, async { panic!("on purpose") });
    ///     let (number, nothing): (_, Result<(), _>) = broken.gather_all().await.unwrap();
    ///     assert_eq!(number.unwrap(), 1);
    ///     assert!(nothing.unwrap_err().is_panicked());
    /// });
    /// ```
    fn gather_all(self) -> impl StdFuture<Output = Result<Self::Output, Cancelled>>;
}

macro_rules! gather_tuple {
    ($($future:ident $result:ident $task:ident),+) => {
        impl<Error, $($future, $result),+> GatherTuple for ($($future,)+)
        where
            Error: From<TaskError> + 'static,
            $($future: StdFuture<Output = Result<$result, Error>> + 'static, $result: 'static,)+
        {
            type Output = Result<($($result,)+), Error>;

            #[expect(non_snake_case, reason = "a macro cannot make lower-case names")]
            fn gather(self) -> impl StdFuture<Output = Self::Output> {
                let ($($future,)+) = self;
                $(let mut $task = (create_task($future), Checkpoint::new(), None);)+
                std::future::poll_fn(move |context| {
                    let mut is_over = true;
                    $(match poll_one(&mut $task, context) {
                        Poll::Pending => is_over = false,
                        Poll::Ready(result) => result?,
                    })+
                    if !is_over {
                        return Poll::Pending;
                    }
                    match ($($task.2.take(),)+) {
                        ($(Some($result),)+) => Poll::Ready(Ok(($($result,)+))),
                        _ => Poll::Ready(Err(TaskError::Taken.into())),
                    }
                })
            }
        }

        impl<$($future),+> GatherAllTuple for ($($future,)+)
        where
            $($future: StdFuture + 'static, $future::Output: 'static,)+
        {
            type Output = ($(Result<$future::Output, TaskError>,)+);

            #[expect(non_snake_case, reason = "a macro cannot make lower-case names")]
            fn gather_all(self) -> impl StdFuture<Output = Result<Self::Output, Cancelled>> {
                let ($($future,)+) = self;
                $(let mut $task = create_task($future);)+
                let mut wait = WaitForAll::default();
                std::future::poll_fn(move |context| {
                    wait.poll(&[$(&*$task),+], context).map_ok(|()| ($(end_of(&mut $task),)+))
                })
            }
        }
    };
}

gather_tuple!(F1 R1 T1);
gather_tuple!(F1 R1 T1, F2 R2 T2);
gather_tuple!(F1 R1 T1, F2 R2 T2, F3 R3 T3);
gather_tuple!(F1 R1 T1, F2 R2 T2, F3 R3 T3, F4 R4 T4);
gather_tuple!(F1 R1 T1, F2 R2 T2, F3 R3 T3, F4 R4 T4, F5 R5 T5);
gather_tuple!(F1 R1 T1, F2 R2 T2, F3 R3 T3, F4 R4 T4, F5 R5 T5, F6 R6 T6);
gather_tuple!(F1 R1 T1, F2 R2 T2, F3 R3 T3, F4 R4 T4, F5 R5 T5, F6 R6 T6, F7 R7 T7);
gather_tuple!(F1 R1 T1, F2 R2 T2, F3 R3 T3, F4 R4 T4, F5 R5 T5, F6 R6 T6, F7 R7 T7, F8 R8 T8);

/// A task of a tuple, its wait, and its result when it has come.
type One<T, E> = (Task<Result<T, E>>, Checkpoint, Option<T>);

/// Waits for one task of a tuple, and keeps its result.
fn poll_one<T, E: From<TaskError>>(one: &mut One<T, E>, context: &Context<'_>) -> Poll<Result<(), E>> {
    let (task, checkpoint, result) = one;
    if result.is_some() {
        return Poll::Ready(Ok(()));
    }
    match poll_end(task, checkpoint, context) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(Err(cancelled)) => Poll::Ready(Err(TaskError::from(cancelled).into())),
        Poll::Ready(Ok(())) => Poll::Ready(match task.take_result() {
            Some(Ok(Ok(value))) => {
                *result = Some(value);
                Ok(())
            }
            Some(Ok(Err(error))) => Err(error),
            Some(Err(error)) => Err(error.into()),
            None => Err(TaskError::Taken.into()),
        }),
    }
}

/// The wait for all tasks of a tuple.
#[derive(Default)]
struct WaitForAll {
    checkpoint: Checkpoint,
    /// The request to cancel that was passed on, with its message.
    request: Option<Option<Arc<str>>>,
}

impl WaitForAll {
    fn poll(&mut self, tasks: &[&AnyTask], context: &Context<'_>) -> Poll<Result<(), Cancelled>> {
        if tasks.iter().all(|task| task.done()) {
            if let Some(cancelled) = self.checkpoint.cancelled() {
                return Poll::Ready(Err(cancelled));
            }
            self.checkpoint.leave();
            return Poll::Ready(self.request.take().map_or(Ok(()), |message| Err(hand_on(message))));
        }
        let request = self.checkpoint.request();
        let request = request.or_else(|| self.checkpoint.suspend_or_request(context));
        for task in tasks.iter().filter(|task| !task.done()) {
            task.raw().state().join(context.waker());
        }
        if let Some(message) = request {
            for task in tasks {
                task.request_cancel(message.clone());
            }
            self.request = Some(message);
        }
        Poll::Pending
    }
}

/// Takes out what a task has ended with.
fn end_of<T>(task: &mut Task<T>) -> Result<T, TaskError> {
    adopt(task);
    task.take_result().unwrap_or(Err(TaskError::Taken))
}
