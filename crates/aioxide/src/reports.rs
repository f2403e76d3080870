//! Reports: what nobody else would be told, for the loop's exception handler.
//!
//! Counterpart: `BaseEventLoop.call_exception_handler` and its context.

#![forbid(unsafe_code)]

use std::fmt;
use std::time::Duration;

use crate::exceptions::Panicked;
use crate::tasks::{AnyTask, TaskRef};

/// Something that went wrong where nobody waits for it.
///
/// ```
/// use aioxide::{ReportKind, create_task, get_running_loop, run, sleep};
/// use std::{cell::Cell, rc::Rc, time::Duration};
///
/// let told = Rc::new(Cell::new(false));
/// let tell = Rc::clone(&told);
/// run(async move {
///     get_running_loop().set_exception_handler(move |report| {
///         assert!(matches!(report.kind(), ReportKind::NeverRetrieved(_)) && report.task().is_some());
///         tell.set(true);
///     });
///     drop(create_task(async { panic!("nobody waits for this") }));
///     sleep(Duration::ZERO).await.unwrap();
/// });
/// assert!(told.get());
/// ```
#[derive(Clone, Debug)]
pub struct Report {
    kind: ReportKind,
    task: Option<AnyTask>,
}

impl Report {
    pub(crate) fn new(kind: ReportKind, task: Option<&TaskRef>) -> Report {
        Report {
            kind,
            task: task.cloned().map(AnyTask::new),
        }
    }

    /// Returns what happened.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{get_running_loop, run, sleep};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let running = get_running_loop();
    ///     running.set_exception_handler(|report| {
    ///         assert!(matches!(report.kind(), aioxide::ReportKind::Callback(_)));
    ///     });
    ///     running.call_soon(|| panic!("a callback"));
    ///     sleep(Duration::ZERO).await.unwrap();
    /// });
    /// ```
    pub const fn kind(&self) -> &ReportKind {
        &self.kind
    }

    /// Returns the task that it happened in.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{get_running_loop, run, sleep};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let running = get_running_loop();
    ///     running.set_exception_handler(|report| {
    ///         assert!(report.task().is_none(), "a callback is no task");
    ///     });
    ///     running.call_soon(|| panic!("a callback"));
    ///     sleep(Duration::ZERO).await.unwrap();
    /// });
    /// ```
    pub const fn task(&self) -> Option<&AnyTask> {
        self.task.as_ref()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ReportKind::NeverRetrieved(panicked) => {
                write!(
                    formatter,
                    "the task's panic was never retrieved: {}",
                    panicked.message()
                )?;
            }
            ReportKind::Callback(panicked) => write!(formatter, "a callback panicked: {}", panicked.message())?,
            ReportKind::SwallowedCancel => formatter.write_str("the task swallowed its cancellation")?,
            ReportKind::SlowStep(duration) => write!(formatter, "a step took {:.3} s", duration.as_secs_f64())?,
        }
        match &self.task {
            Some(task) => write!(formatter, " (task '{}')", task.name()),
            None => Ok(()),
        }
    }
}

/// What a [`Report`] tells of.
///
/// # Examples
/// ```
/// use aioxide::{get_running_loop, run, sleep};
/// use std::time::Duration;
///
/// run(async {
///     let running = get_running_loop();
///     running.set_exception_handler(|report| {
///         match report.kind() {
///             aioxide::ReportKind::Callback(panicked) => eprintln!("{panicked}"),
///             _ => eprintln!("{report}"),
///         }
///     });
///     running.call_soon(|| panic!("a callback"));
///     sleep(Duration::ZERO).await.unwrap();
/// });
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ReportKind {
    /// A task panicked, and nobody holds it.
    NeverRetrieved(Panicked),
    /// A callback panicked.
    Callback(Panicked),
    /// A task was cancelled and returned as if nothing had been (strict mode). A task that means to do
    /// so calls `uncancel`.
    SwallowedCancel,
    /// A step held up the loop for longer than [`SLOW_STEP`](crate::SLOW_STEP) (strict mode).
    SlowStep(Duration),
}

/// How long a step may take in strict mode without being reported: asyncio's `slow_callback_duration`.
pub const SLOW_STEP: Duration = Duration::from_millis(100);
