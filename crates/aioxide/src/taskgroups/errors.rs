//! The errors of a task group: all of them.
//!
//! Counterpart: `BaseExceptionGroup`.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;

use crate::exceptions::{Cancelled, Panicked};

/// Why a task group gave no result.
///
/// ```
/// use aioxide::{Cancelled, TaskGroup, TaskGroupError, run, sleep};
/// use std::time::Duration;
///
/// #[derive(Debug)]
/// enum Error {
///     Broken(&'static str),
///     Cancelled(Cancelled),
/// }
///
/// impl From<Cancelled> for Error {
///     fn from(cancelled: Cancelled) -> Error {
///         Error::Cancelled(cancelled)
///     }
/// }
///
/// run(async {
///     let failing = TaskGroup::scope(async |group| {
///         group.create_task(async { Ok::<_, Error>(sleep(Duration::from_secs(3600)).await?) });
///         group.create_named_task(async { Err::<(), _>(Error::Broken("pipe")) }, "pipe".to_owned());
///         assert_eq!(group.len(), 2);
///         Ok(())
///     });
///     match failing.await {
///         Err(TaskGroupError::Failed(errors)) => {
///             assert!(matches!(errors.exceptions(), [Error::Broken("pipe")]) && errors.panics().is_empty());
///         }
///         other => panic!("{other:?}"),
///     }
/// });
/// ```
#[derive(Debug)]
pub enum TaskGroupError<E> {
    /// Something failed: here is all that did.
    Failed(ExceptionGroup<E>),
    /// The task was cancelled, and nothing failed.
    Cancelled(Cancelled),
}

impl<E: fmt::Display> fmt::Display for TaskGroupError<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskGroupError::Failed(group) => group.fmt(formatter),
            TaskGroupError::Cancelled(cancelled) => cancelled.fmt(formatter),
        }
    }
}

impl<E: Error + 'static> Error for TaskGroupError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            TaskGroupError::Failed(group) => Some(group),
            TaskGroupError::Cancelled(cancelled) => Some(cancelled),
        }
    }
}

impl From<TaskGroupError<Cancelled>> for Cancelled {
    /// Takes the cancellation out.
    ///
    /// # Panics
    /// When a task of the group has panicked, with its panic.
    fn from(error: TaskGroupError<Cancelled>) -> Cancelled {
        match error {
            TaskGroupError::Cancelled(cancelled) => cancelled,
            TaskGroupError::Failed(mut group) => match group.panics.pop() {
                Some(panicked) => panicked.resume(),
                None => group.exceptions.pop().unwrap_or_else(|| Cancelled::new(None)),
            },
        }
    }
}

/// The errors of a task group: one at least.
///
/// # Examples
/// ```
/// use aioxide::{TaskGroup, TaskGroupError, run};
///
/// run(async {
///     let failing = TaskGroup::scope(async |group| {
///         group.create_task(async { Err::<(), _>("out of ink") });
///         Ok(())
///     });
///     let Err(TaskGroupError::Failed(errors)) = failing.await else { panic!("it has failed") };
///     assert_eq!(errors.to_string(), "unhandled errors in a task group (1 sub-exception); out of ink");
/// });
/// ```
#[derive(Debug)]
pub struct ExceptionGroup<E> {
    pub(super) exceptions: Vec<E>,
    pub(super) panics: Vec<Panicked>,
}

impl<E> ExceptionGroup<E> {
    /// Returns the errors, in the order in which they came.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{TaskGroup, TaskGroupError, run};
    ///
    /// run(async {
    ///     let failing = TaskGroup::scope(async |group| {
    ///         group.create_task(async { Err::<(), _>("out of ink") });
    ///         Err::<(), _>("out of paper")
    ///     });
    ///     let Err(TaskGroupError::Failed(errors)) = failing.await else { panic!("it has failed") };
    ///     assert_eq!(errors.exceptions(), ["out of paper"]); // The task was cancelled before it began.
    /// });
    /// ```
    pub fn exceptions(&self) -> &[E] {
        &self.exceptions
    }

    /// Takes the errors out.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{TaskGroup, TaskGroupError, run};
    ///
    /// run(async {
    ///     let failing = TaskGroup::<String>::scope(async |_| Err::<(), _>("out of paper".to_owned()));
    ///     let Err(TaskGroupError::Failed(errors)) = failing.await else { panic!("it has failed") };
    ///     let errors: Vec<String> = errors.into_exceptions();
    ///     assert_eq!(errors, ["out of paper"]);
    /// });
    /// ```
    pub fn into_exceptions(self) -> Vec<E> {
        self.exceptions
    }

    /// Returns the panics of tasks.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Cancelled, TaskGroup, TaskGroupError, run};
    ///
    /// run(async {
    ///     let failing = TaskGroup::<Cancelled>::scope(async |group| {
    ///         group.create_task(async { Ok("twelve".parse::<u32>().unwrap()) });
    ///         Ok(())
    ///     });
    ///     let Err(TaskGroupError::Failed(errors)) = failing.await else { panic!("it has failed") };
    ///     assert!(errors.panics()[0].message().contains("InvalidDigit"));
    /// });
    /// ```
    pub fn panics(&self) -> &[Panicked] {
        &self.panics
    }
}

impl<E: fmt::Display> fmt::Display for ExceptionGroup<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.exceptions.len() + self.panics.len();
        let plural = if count == 1 { "" } else { "s" };
        write!(
            formatter,
            "unhandled errors in a task group ({count} sub-exception{plural})"
        )?;
        for error in &self.exceptions {
            write!(formatter, "; {error}")?;
        }
        for panicked in &self.panics {
            write!(formatter, "; {panicked}")?;
        }
        Ok(())
    }
}

impl<E: Error + 'static> Error for ExceptionGroup<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.exceptions.first().map(|error| error as _)
    }
}
