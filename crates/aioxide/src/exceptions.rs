//! The errors of the Rust face, under asyncio's names.
//!
//! [`Cancelled`] is more than a mark: it is the cancellation itself, on its way out of the task. The
//! loop counts the copies that are alive. A task that ends while one is alive, in its result, was
//! cancelled; one that ends after the last copy was dropped has swallowed its cancellation.
//!
//! Counterpart: `Lib/asyncio/exceptions.py`.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The task that awaits was cancelled: what every await of this crate returns then.
///
/// Propagate it with `?`; code after the await may await its clean-up first. An error type of your own
/// keeps it inside (`Cancelled(#[from] Cancelled)`), so that the loop sees the cancellation arrive; the
/// conversion into `Box<dyn Error>` and into [`io::Error`] keeps it, too.
///
/// ```
/// use aioxide::Cancelled;
///
/// async fn work() -> Result<(), Cancelled> {
///     let slept = aioxide::sleep(std::time::Duration::from_secs(3600)).await;
///     if slept.is_err() {
///         // Clean up here; awaiting is allowed.
///     }
///     slept
/// }
/// # aioxide::run(async {
/// let task = aioxide::create_task(work());
/// aioxide::sleep(std::time::Duration::ZERO).await.unwrap();
/// task.cancel_with("no more time");
/// let cancelled = task.await.unwrap().unwrap_err();
/// assert_eq!(cancelled.message(), Some("no more time"));
/// # });
/// ```
pub struct Cancelled {
    delivery: Arc<Delivery>,
}

impl Cancelled {
    /// Makes a cancellation that no task has asked for, as `raise CancelledError(message)` does.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Cancelled;
    ///
    /// let cancelled = Cancelled::new(Some("shutting down"));
    /// assert_eq!(cancelled.to_string(), "cancelled: shutting down");
    /// ```
    pub fn new(message: Option<&str>) -> Cancelled {
        Cancelled::of(Delivery::new(message.map(Arc::from)))
    }

    /// Returns what was said when the task was cancelled.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{create_task, run, sleep};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let task = create_task(sleep(Duration::from_secs(3600)));
    ///     sleep(Duration::ZERO).await.unwrap();
    ///     task.cancel_with("the user left");
    ///     assert_eq!(task.await.unwrap().unwrap_err().message(), Some("the user left"));
    /// });
    /// ```
    pub fn message(&self) -> Option<&str> {
        self.delivery.message.as_deref()
    }

    /// Makes another copy of a cancellation that is delivered.
    pub(crate) fn of(delivery: Arc<Delivery>) -> Cancelled {
        delivery.alive.fetch_add(1, Ordering::Relaxed);
        Cancelled { delivery }
    }

    /// Returns what the copies have in common.
    pub(crate) const fn delivery(&self) -> &Arc<Delivery> {
        &self.delivery
    }
}

impl Clone for Cancelled {
    fn clone(&self) -> Cancelled {
        Cancelled::of(Arc::clone(&self.delivery))
    }
}

impl Drop for Cancelled {
    fn drop(&mut self) {
        self.delivery.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Cancelled {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Cancelled").field(&self.message()).finish()
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message() {
            Some(message) => write!(formatter, "cancelled: {message}"),
            None => formatter.write_str("cancelled"),
        }
    }
}

impl Error for Cancelled {}

impl PartialEq for Cancelled {
    /// Two are equal when they come from the same cancellation.
    fn eq(&self, other: &Cancelled) -> bool {
        Arc::ptr_eq(&self.delivery, &other.delivery)
    }
}

impl Eq for Cancelled {}

impl From<TaskError> for Cancelled {
    /// Takes the cancellation out.
    ///
    /// # Panics
    /// When the task has panicked, with its panic: there is no room for it in this type. So a panic
    /// goes up through tasks that know cancellations only.
    fn from(error: TaskError) -> Cancelled {
        match error {
            TaskError::Cancelled(cancelled) => cancelled,
            TaskError::Panicked(panicked) => panicked.resume(),
            TaskError::Taken => panic!("{}", TaskError::Taken),
        }
    }
}

impl From<Cancelled> for io::Error {
    fn from(cancelled: Cancelled) -> io::Error {
        io::Error::new(io::ErrorKind::Interrupted, cancelled)
    }
}

/// One cancellation that has been handed out.
#[derive(Debug)]
pub(crate) struct Delivery {
    message: Option<Arc<str>>,
    /// How many `Cancelled` there are of it.
    alive: AtomicUsize,
}

impl Delivery {
    pub(crate) fn new(message: Option<Arc<str>>) -> Arc<Delivery> {
        Arc::new(Delivery {
            message,
            alive: AtomicUsize::new(0),
        })
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Relaxed) > 0
    }
}

/// Why a task gave no result.
///
/// ```
/// use aioxide::{TaskError, create_task, run};
///
/// run(async {
///     match create_task(async { panic!("the disk is on fire") }).await {
///         Err(TaskError::Panicked(panicked)) => assert_eq!(panicked.message(), "the disk is on fire"),
///         other => panic!("{other:?}"),
///     }
/// });
/// ```
#[derive(Clone, Debug)]
pub enum TaskError {
    /// It was cancelled before its first step, or while it waited in a foreign future; its code had no
    /// say. (A task that was cancelled at an await of this crate returns what its code makes of it.)
    Cancelled(Cancelled),
    /// It panicked.
    Panicked(Panicked),
    /// Its result was taken already: by an earlier await, or by the task group that it failed.
    Taken,
}

impl TaskError {
    /// Returns whether the task was cancelled.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{create_task, run};
    ///
    /// run(async {
    ///     let task = create_task(async { "never begun" });
    ///     task.cancel();
    ///     assert!(task.await.unwrap_err().is_cancelled());
    /// });
    /// ```
    pub const fn is_cancelled(&self) -> bool {
        matches!(self, TaskError::Cancelled(_))
    }

    /// Returns whether the task panicked.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{create_task, run};
    ///
    /// run(async {
    ///     let task = create_task(async { "twelve".parse::<u32>().unwrap() });
    ///     assert!(task.await.unwrap_err().is_panicked());
    /// });
    /// ```
    pub const fn is_panicked(&self) -> bool {
        matches!(self, TaskError::Panicked(_))
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskError::Cancelled(cancelled) => cancelled.fmt(formatter),
            TaskError::Panicked(panicked) => panicked.fmt(formatter),
            TaskError::Taken => formatter.write_str("the task's result was taken already"),
        }
    }
}

impl Error for TaskError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            TaskError::Cancelled(cancelled) => Some(cancelled),
            TaskError::Panicked(panicked) => Some(panicked),
            TaskError::Taken => None,
        }
    }
}

impl From<Cancelled> for TaskError {
    fn from(cancelled: Cancelled) -> TaskError {
        TaskError::Cancelled(cancelled)
    }
}

impl From<TaskError> for io::Error {
    fn from(error: TaskError) -> io::Error {
        match error {
            TaskError::Cancelled(cancelled) => cancelled.into(),
            other => io::Error::other(other),
        }
    }
}

/// The panic of a task or of a function in a thread.
///
/// # Examples
/// ```
/// use aioxide::{TaskError, run, to_thread};
///
/// run(async {
///     match to_thread(|| "twelve".parse::<u32>().unwrap()).await {
///         Err(TaskError::Panicked(panicked)) => assert!(panicked.to_string().starts_with("panicked: ")),
///         other => panic!("{other:?}"),
///     }
/// });
/// ```
#[derive(Clone)]
pub struct Panicked {
    // One word: what a step returns fits into registers.
    panic: Arc<Panic>,
}

impl Panicked {
    pub(crate) fn new(payload: Box<dyn Any + Send>) -> Panicked {
        let message = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
            (Some(text), _) => Box::from(*text),
            (_, Some(text)) => Box::from(text.as_str()),
            _ => Box::from("a panic without a text"),
        };
        Panicked {
            panic: Arc::new(Panic {
                message,
                payload: Mutex::new(Some(payload)),
            }),
        }
    }

    /// Returns the panic's text.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{TaskError, create_task, run};
    ///
    /// run(async {
    ///     match create_task(async { panic!("out of paper") }).await {
    ///         Err(TaskError::Panicked(panicked)) => assert_eq!(panicked.message(), "out of paper"),
    ///         other => panic!("{other:?}"),
    ///     }
    /// });
    /// ```
    pub fn message(&self) -> &str {
        &self.panic.message
    }

    /// Goes on panicking here.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{TaskError, create_task, run};
    ///
    /// async fn print() {
    ///     match create_task(async { panic!("out of paper") }).await {
    ///         Err(TaskError::Panicked(panicked)) => panicked.resume(),
    ///         other => panic!("{other:?}"),
    ///     }
    /// }
    ///
    /// let panic = std::panic::catch_unwind(|| run(print())).unwrap_err();
    /// assert_eq!(panic.downcast_ref(), Some(&"out of paper"));
    /// ```
    pub fn resume(self) -> ! {
        let payload = self.panic.payload.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A copy of this value has been resumed before: the text is left.
        let payload = payload.unwrap_or_else(|| Box::new(self.panic.message.to_string()));
        std::panic::resume_unwind(payload)
    }
}

impl fmt::Debug for Panicked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Panicked").field(&self.message()).finish()
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "panicked: {}", self.message())
    }
}

impl Error for Panicked {}

/// What the copies of a [`Panicked`] share.
struct Panic {
    message: Box<str>,
    payload: Mutex<Option<Box<dyn Any + Send>>>,
}

/// What `wait_for` and the timeouts return instead of a result.
///
/// # Examples
/// ```
/// use aioxide::{TimeoutError, run, sleep, wait_for};
/// use std::{io, time::Duration};
///
/// run(async {
///     let late = wait_for(sleep(Duration::from_secs(3600)), Duration::from_millis(1)).await;
///     assert_eq!(late, Err(TimeoutError::Expired));
///     assert_eq!(io::Error::from(TimeoutError::Expired).kind(), io::ErrorKind::TimedOut);
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeoutError {
    /// The deadline has passed.
    Expired,
    /// The waiting task was cancelled while it waited in a foreign future, which was dropped.
    Cancelled(Cancelled),
}

impl TimeoutError {
    /// Returns whether the deadline has passed.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{run, wait_for};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let late = wait_for(std::future::pending::<()>(), Duration::from_millis(1)).await;
    ///     assert!(late.unwrap_err().is_expired());
    /// });
    /// ```
    pub const fn is_expired(&self) -> bool {
        matches!(self, TimeoutError::Expired)
    }
}

impl fmt::Display for TimeoutError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TimeoutError::Expired => formatter.write_str("timed out"),
            TimeoutError::Cancelled(cancelled) => cancelled.fmt(formatter),
        }
    }
}

impl Error for TimeoutError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            TimeoutError::Expired => None,
            TimeoutError::Cancelled(cancelled) => Some(cancelled),
        }
    }
}

impl From<TimeoutError> for io::Error {
    fn from(error: TimeoutError) -> io::Error {
        match error {
            TimeoutError::Expired => io::Error::new(io::ErrorKind::TimedOut, error),
            TimeoutError::Cancelled(cancelled) => cancelled.into(),
        }
    }
}

/// A future has its result already.
///
/// # Examples
/// ```
/// use aioxide::{Future, InvalidStateError};
///
/// let future = Future::new();
/// future.cancel();
/// assert_eq!(future.set_result("too late"), Err(InvalidStateError));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidStateError;

impl fmt::Display for InvalidStateError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("invalid state")
    }
}

impl Error for InvalidStateError {}
