//! The errors of the queues.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;

use crate::exceptions::Cancelled;

/// Why a queue gave or took no item.
///
/// # Examples
/// ```
/// use aioxide::{Queue, QueueError, run};
///
/// run(async {
///     let queue: Queue<u32> = Queue::new(0);
///     queue.shutdown();
///     match queue.get().await {
///         Err(QueueError::ShutDown(error)) => assert_eq!(error.to_string(), "the queue is shut down"),
///         other => panic!("{other:?}"),
///     }
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueError {
    /// The queue is shut down.
    ShutDown(QueueShutDown),
    /// The task was cancelled.
    Cancelled(Cancelled),
}

impl fmt::Display for QueueError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QueueError::ShutDown(error) => error.fmt(formatter),
            QueueError::Cancelled(cancelled) => cancelled.fmt(formatter),
        }
    }
}

impl Error for QueueError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            QueueError::ShutDown(error) => Some(error),
            QueueError::Cancelled(cancelled) => Some(cancelled),
        }
    }
}

impl From<Cancelled> for QueueError {
    fn from(cancelled: Cancelled) -> QueueError {
        QueueError::Cancelled(cancelled)
    }
}

impl<T> From<PutError<T>> for QueueError {
    fn from(error: PutError<T>) -> QueueError {
        error.cause
    }
}

/// Why an item was not put, and the item.
///
/// # Examples
/// ```
/// use aioxide::{PutError, Queue, run};
///
/// run(async {
///     let queue = Queue::new(0);
///     queue.shutdown();
///     let PutError { item, cause } = queue.put("letter").await.unwrap_err();
///     assert_eq!((item, cause.to_string()), ("letter", "the queue is shut down".to_owned()));
/// });
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PutError<T> {
    /// The item.
    pub item: T,
    /// The reason.
    pub cause: QueueError,
}

impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PutError")
            .field("cause", &self.cause)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(formatter)
    }
}

impl<T> Error for PutError<T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

/// The queue has no place, or is shut down; here is the item.
///
/// # Examples
/// ```
/// use aioxide::{Queue, QueueFull};
///
/// let queue = Queue::new(1);
/// queue.put_nowait("first").unwrap();
/// let full: QueueFull<&str> = queue.put_nowait("second").unwrap_err();
/// assert_eq!(full.to_string(), "the queue takes no item");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct QueueFull<T>(T);

impl<T> QueueFull<T> {
    pub(super) const fn new(item: T) -> QueueFull<T> {
        QueueFull(item)
    }

    /// Returns the item that was not put.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Queue;
    ///
    /// let queue = Queue::new(1);
    /// queue.put_nowait("first").unwrap();
    /// let full = queue.put_nowait("second").unwrap_err();
    /// assert_eq!(full.into_item(), "second");
    /// ```
    pub fn into_item(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for QueueFull<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("QueueFull")
    }
}

impl<T> fmt::Display for QueueFull<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the queue takes no item")
    }
}

impl<T> Error for QueueFull<T> {}

/// The queue has no item.
///
/// # Examples
/// ```
/// use aioxide::{Queue, QueueEmpty};
///
/// let queue: Queue<u32> = Queue::new(0);
/// assert_eq!(queue.get_nowait(), Err(QueueEmpty));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueEmpty;

impl fmt::Display for QueueEmpty {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the queue is empty")
    }
}

impl Error for QueueEmpty {}

/// The queue is shut down.
///
/// # Examples
/// ```
/// use aioxide::{Queue, QueueError, QueueShutDown, run};
///
/// run(async {
///     let queue: Queue<u32> = Queue::new(0);
///     queue.shutdown();
///     assert_eq!(queue.get().await, Err(QueueError::ShutDown(QueueShutDown)));
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueShutDown;

impl fmt::Display for QueueShutDown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the queue is shut down")
    }
}

impl Error for QueueShutDown {}

/// More items were reported as done than were put.
///
/// # Examples
/// ```
/// use aioxide::{CalledTooOften, Queue};
///
/// let queue: Queue<u32> = Queue::new(0);
/// assert_eq!(queue.task_done(), Err(CalledTooOften));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CalledTooOften;

impl fmt::Display for CalledTooOften {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("task_done() called too many times")
    }
}

impl Error for CalledTooOften {}
