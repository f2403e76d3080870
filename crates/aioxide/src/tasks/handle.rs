//! `Task` and `AnyTask`: a task as programs see it.
//!
//! A [`Task<T>`] owns the result; there is one for each task. An [`AnyTask`] knows all but the result, may
//! be copied, and is what `current_task()` and `all_tasks()` give. The first can do what the second can.
//!
//! Differs from asyncio: awaiting a task takes its result out; `(&task).await` copies it, as often as you
//! like. Dropping a `Task` lets the task run on; the loop keeps it.

#![forbid(unsafe_code)]

use std::fmt;
use std::future::Future as StdFuture;
use std::future::IntoFuture;
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::raw::{Finish, Output, TaskRef};
use super::state::Outcome;
use crate::cancellation::Checkpoint;
use crate::contextvars::Context as Variables;
use crate::exceptions::{Cancelled, TaskError};
use crate::sys::current::with_current;

/// Makes a task of a future: the loop runs it by itself, from its next turn on.
///
/// # Panics
/// When no loop runs.
///
/// # Examples
/// ```
/// # aioxide::run(async {
/// let task = aioxide::create_task(async { 6 * 7 });
/// assert_eq!(task.await.unwrap(), 42);
/// # });
/// ```
#[inline]
pub fn create_task<F>(future: F) -> Task<F::Output>
where
    F: StdFuture + 'static,
    F::Output: 'static,
{
    Task::builder().create(future)
}

/// Returns the task that runs this very code.
///
/// ```
/// aioxide::run(async {
///     let task = aioxide::create_task(async { aioxide::current_task().unwrap().id() });
///     let id = task.id();
///     assert_eq!(task.await.unwrap(), id);
/// });
/// ```
pub fn current_task() -> Option<AnyTask> {
    with_current(|running| running?.current_task()).map(AnyTask::new)
}

/// Returns the tasks of the running loop that have not ended, without the main task and the children of
/// task groups, which belong to their owners.
///
/// ```
/// aioxide::run(async {
///     let task = aioxide::create_task(aioxide::sleep(std::time::Duration::ZERO));
///     assert_eq!(aioxide::all_tasks(), [(*task).clone()]);
/// });
/// ```
pub fn all_tasks() -> Vec<AnyTask> {
    with_current(|running| running.map(|running| running.all_tasks()))
        .into_iter()
        .flatten()
        .map(AnyTask::new)
        .collect()
}

/// A task, whatever its result.
///
/// ```
/// use aioxide::{create_task, run, sleep};
/// use std::time::Duration;
///
/// run(async {
///     let task = create_task(sleep(Duration::from_secs(3600)));
///     task.set_name("nap");
///     sleep(Duration::ZERO).await.unwrap();
///     let any = (*task).clone();
///     assert!(any.cancel_with("get up") && any.cancelling() == 1 && !any.done());
///     assert_eq!(task.await.unwrap().unwrap_err().message(), Some("get up"));
///     assert!(any.done() && any.cancelled() && !any.panicked());
///     assert_eq!(&*any.name(), "nap");
/// });
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct AnyTask {
    task: TaskRef,
}

impl AnyTask {
    pub(crate) const fn new(task: TaskRef) -> AnyTask {
        AnyTask { task }
    }

    /// Asks the task to end: the awaits that it waits in, or else its next one, return
    /// [`Cancelled`](crate::Cancelled). A task that waits in a foreign future is ended there: the future
    /// is dropped (see [`FutureExt::cancellable`](super::FutureExt::cancellable)). A task that waits for
    /// another task passes the request on to it. Returns `false` when the task has ended already.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{create_task, run, sleep};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let task = create_task(sleep(Duration::from_secs(3600)));
    ///     sleep(Duration::ZERO).await.unwrap();
    ///     assert!(task.cancel());
    ///     assert!(task.join().await.is_ok() && task.cancelled());
    ///     assert!(!task.cancel()); // Too late.
    /// });
    /// ```
    pub fn cancel(&self) -> bool {
        self.request_cancel(None)
    }

    /// As [`AnyTask::cancel`], with a message that the error carries.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{create_task, run, sleep};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let task = create_task(sleep(Duration::from_secs(3600)));
    ///     sleep(Duration::ZERO).await.unwrap();
    ///     task.cancel_with("closing time");
    ///     assert_eq!(task.await.unwrap().unwrap_err().message(), Some("closing time"));
    /// });
    /// ```
    pub fn cancel_with(&self, message: impl Into<String>) -> bool {
        self.request_cancel(Some(Arc::from(message.into())))
    }

    pub(crate) fn request_cancel(&self, message: Option<Arc<str>>) -> bool {
        if self.task.is_over() {
            return false;
        }
        self.task.state().cancel.request(message);
        self.task.schedule();
        true
    }

    /// Takes a request to cancel back, as who handles it does; returns how many are left.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{create_task, current_task, run, sleep};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let task = create_task(async {
    ///         let slept = sleep(Duration::from_secs(3600)).await;
    ///         assert!(slept.is_err());
    ///         current_task().unwrap().uncancel() // It goes on all the same.
    ///     });
    ///     sleep(Duration::ZERO).await.unwrap();
    ///     task.cancel();
    ///     assert_eq!(task.await.unwrap(), 0);
    /// });
    /// ```
    pub fn uncancel(&self) -> u32 {
        self.task.state().cancel.retract()
    }

    /// Returns how many requests to cancel were made and not taken back.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{create_task, run, sleep};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let task = create_task(sleep(Duration::from_secs(3600)));
    ///     assert_eq!(task.cancelling(), 0);
    ///     task.cancel();
    ///     assert_eq!(task.cancelling(), 1);
    /// });
    /// ```
    pub fn cancelling(&self) -> u32 {
        self.task.state().cancel.requests()
    }

    /// Returns whether the task has ended.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{create_task, run};
    ///
    /// run(async {
    ///     let task = create_task(async { 42 });
    ///     assert!(!task.done());
    ///     task.join().await.unwrap();
    ///     assert!(task.done());
    /// });
    /// ```
    pub fn done(&self) -> bool {
        self.task.is_over()
    }

    /// Returns whether the task has ended by its cancellation.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{create_task, run, sleep};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let task = create_task(sleep(Duration::from_secs(3600)));
    ///     task.cancel();
    ///     assert!(!task.cancelled()); // It is asked to end, and has not.
    ///     task.join().await.unwrap();
    ///     assert!(task.cancelled());
    /// });
    /// ```
    pub fn cancelled(&self) -> bool {
        self.task.state().outcome.get() == Outcome::Cancelled
    }

    /// Returns whether the task has ended with a panic.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{create_task, run};
    ///
    /// run(async {
    ///     let task = create_task(async { "twelve".parse::<u32>().unwrap() });
    ///     task.join().await.unwrap();
    ///     assert!(task.panicked() && task.exception().is_some());
    /// });
    /// ```
    pub fn panicked(&self) -> bool {
        self.task.state().outcome.get() == Outcome::Panicked
    }

    /// Returns the task's name; `Task-<id>` unless it was given one.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{create_task, run};
    ///
    /// run(async {
    ///     let task = create_task(async {});
    ///     assert_eq!(*task.name(), format!("Task-{}", task.id()));
    /// });
    /// ```
    pub fn name(&self) -> Rc<str> {
        self.task.state().name()
    }

    /// Gives the task a name.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{create_task, current_task, run};
    ///
    /// run(async {
    ///     let task = create_task(async { current_task().unwrap().name() });
    ///     task.set_name("postman");
    ///     assert_eq!(&*task.await.unwrap(), "postman");
    /// });
    /// ```
    pub fn set_name(&self, name: impl Into<String>) {
        self.task.state().set_name(Rc::from(name.into()));
    }

    /// Returns the task's number, which no other task of its loop has.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{create_task, run};
    ///
    /// run(async {
    ///     let (first, second) = (create_task(async {}), create_task(async {}));
    ///     assert_ne!(first.id(), second.id());
    /// });
    /// ```
    pub fn id(&self) -> u64 {
        self.task.state().id
    }

    /// Calls `callback` in a turn after the task has ended.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Future, create_task, run};
    ///
    /// run(async {
    ///     let ended = Future::new();
    ///     let tell = ended.clone();
    ///     let task = create_task(async {});
    ///     task.add_done_callback(move |task| tell.set_result(task.id()).unwrap());
    ///     assert_eq!(ended.await, Ok(task.id()));
    /// });
    /// ```
    pub fn add_done_callback(&self, callback: impl FnOnce(&AnyTask) + 'static) {
        let task = self.clone();
        let callback: Box<dyn FnOnce()> = Box::new(move || callback(&task));
        if !self.done() {
            self.task.state().add_callback(callback);
            return;
        }
        with_current(|running| match running {
            Some(running) => drop(running.call_soon(callback)),
            None => callback(),
        });
    }

    pub(crate) const fn raw(&self) -> &TaskRef {
        &self.task
    }
}

impl fmt::Debug for AnyTask {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.done() { "done" } else { "pending" };
        let mut shown = formatter.debug_struct("Task");
        shown.field("name", &self.name()).field("state", &state).finish()
    }
}

/// A task, and the right to its result.
///
/// # Cancellation
/// Who is cancelled while it awaits a task cancels that task, and goes on waiting until it has ended, as
/// in asyncio. [`shield`](super::shield) keeps it from that.
///
/// # Errors
/// Awaiting gives [`TaskError`]: a panic, or a cancellation that the task's code had no say in. Whatever
/// the code returned, cancelled or not, is the result.
///
/// # Examples
/// ```
/// use aioxide::{create_task, run};
///
/// run(async {
///     let mut task = create_task(async { 42 });
///     assert!(task.result().is_none());
///     task.join().await.unwrap();
///     assert_eq!(task.result(), Some(&42));
///     assert!(task.exception().is_none());
///     assert_eq!(task.take_result().unwrap().unwrap(), 42);
/// });
/// ```
pub struct Task<T> {
    any: AnyTask,
    output: Output<T>,
    checkpoint: Checkpoint,
}

impl Task<()> {
    /// Begins to make a task, of any result, with a name or a context of its own.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Task, run};
    ///
    /// run(async {
    ///     let task: Task<u32> = Task::builder().name("answer").create(async { 42 });
    ///     assert_eq!(task.await.unwrap(), 42);
    /// });
    /// ```
    pub const fn builder() -> TaskBuilder {
        TaskBuilder {
            name: None,
            context: None,
        }
    }
}

impl<T> Task<T> {
    pub(crate) fn new(output: Output<T>) -> Task<T> {
        Task {
            any: AnyTask::new(output.task().clone()),
            output,
            checkpoint: Checkpoint::new(),
        }
    }

    /// Lends the result of a task that has ended; `None` before, and after the result was taken.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{create_task, run};
    ///
    /// run(async {
    ///     let task = create_task(async { String::from("hello") });
    ///     assert_eq!(task.result(), None);
    ///     task.join().await.unwrap();
    ///     assert_eq!(task.result().map(String::as_str), Some("hello"));
    /// });
    /// ```
    pub fn result(&self) -> Option<&T> {
        self.outcome()?.as_ref().ok()
    }

    /// Lends what the task has ended with instead of a result.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{create_task, run};
    ///
    /// run(async {
    ///     let task = create_task(async { "twelve".parse::<u32>().unwrap() });
    ///     assert!(task.exception().is_none());
    ///     task.join().await.unwrap();
    ///     assert!(task.exception().unwrap().is_panicked());
    /// });
    /// ```
    pub fn exception(&self) -> Option<&TaskError> {
        self.outcome()?.as_ref().err()
    }

    /// Takes the result out of a task that has ended; `None` before.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{TaskError, create_task, run};
    ///
    /// run(async {
    ///     let mut task = create_task(async { 42 });
    ///     assert!(task.take_result().is_none());
    ///     task.join().await.unwrap();
    ///     assert_eq!(task.take_result().unwrap().unwrap(), 42);
    ///     assert!(matches!(task.await, Err(TaskError::Taken)));
    /// });
    /// ```
    pub fn take_result(&mut self) -> Option<Result<T, TaskError>> {
        self.note_retrieved();
        self.output.take()
    }

    /// Waits for the end of the task, and leaves the result where it is.
    ///
    /// # Cancellation
    /// As awaiting the task itself.
    ///
    /// # Errors
    /// When the task had ended, and the waiting one was cancelled before it could go on.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{create_task, run};
    ///
    /// run(async {
    ///     let task = create_task(async { 42 });
    ///     task.join().await.unwrap();
    ///     assert!(task.done());
    ///     assert_eq!(task.await.unwrap(), 42);
    /// });
    /// ```
    pub async fn join(&self) -> Result<(), Cancelled> {
        let mut checkpoint = Checkpoint::new();
        std::future::poll_fn(|context| poll_end(&self.any, &mut checkpoint, context)).await
    }

    fn outcome(&self) -> Option<&Result<T, TaskError>> {
        self.note_retrieved();
        self.output.peek()
    }

    /// Notes that somebody has seen how the task has ended. Asking earlier is not seeing it.
    fn note_retrieved(&self) {
        if self.any.done() {
            self.any.task.state().retrieved.set(true);
        }
    }
}

impl<T> Deref for Task<T> {
    type Target = AnyTask;

    fn deref(&self) -> &AnyTask {
        &self.any
    }
}

impl<T> StdFuture for Task<T> {
    type Output = Result<T, TaskError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        match poll_end(&this.any, &mut this.checkpoint, context) {
            Poll::Ready(Ok(())) => Poll::Ready(this.take_result().unwrap_or(Err(TaskError::Taken))),
            Poll::Ready(Err(cancelled)) => Poll::Ready(Err(cancelled.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T> Unpin for Task<T> {}

impl<'task, T: Clone> IntoFuture for &'task Task<T> {
    type Output = Result<T, TaskError>;
    type IntoFuture = Pin<Box<dyn StdFuture<Output = Self::Output> + 'task>>;

    /// Waits for the task and copies its result, which stays for the next one who asks.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            self.join().await?;
            self.outcome().cloned().unwrap_or(Err(TaskError::Taken))
        })
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.any.fmt(formatter)
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        let state = self.any.task.state();
        if state.outcome.get() != Outcome::Panicked || state.retrieved.get() {
            return;
        }
        if let Some(Err(TaskError::Panicked(panicked))) = self.output.peek() {
            let kind = crate::reports::ReportKind::NeverRetrieved(panicked.clone());
            let report = crate::reports::Report::new(kind, Some(&self.any.task));
            with_current(|running| running.map(|running| running.report(&report)));
        }
    }
}

/// Waits for the end of a task, passing requests to cancel on to it.
///
/// # Panics
/// When the task is the current one, which would wait for ever.
#[inline]
pub(crate) fn poll_end(
    task: &AnyTask,
    checkpoint: &mut Checkpoint,
    context: &Context<'_>,
) -> Poll<Result<(), Cancelled>> {
    if task.done() {
        // Too late to pass a request on: it ends this wait, and the result stays.
        if let Some(cancelled) = checkpoint.cancelled() {
            return Poll::Ready(Err(cancelled));
        }
        checkpoint.leave();
        adopt(task);
        return Poll::Ready(Ok(()));
    }
    if let Some(message) = checkpoint.request() {
        task.request_cancel(message);
    }
    let is_itself = with_current(|running| running.is_some_and(|running| running.is_current(&task.task)));
    assert!(!is_itself, "Task cannot await on itself");
    task.task.state().join(context.waker());
    if let Some(message) = checkpoint.suspend_or_request(context) {
        task.request_cancel(message);
    }
    Poll::Pending
}

/// Counts a cancellation that comes out of `task` as one of the current task, which hands it on.
pub(crate) fn adopt(task: &AnyTask) {
    if task.task.state().outcome.get() != Outcome::Cancelled {
        return;
    }
    if let Some(delivery) = task.task.state().cancel.in_flight() {
        with_current(|running| running?.cancel_ref()).inspect(|owner| owner.adopt(delivery));
    }
}

/// A task to be made.
///
/// ```
/// # aioxide::run(async {
/// let builder = aioxide::Task::builder().name("nap");
/// let task = builder.create(aioxide::sleep(std::time::Duration::ZERO));
/// assert_eq!(&*task.name(), "nap");
/// task.await.unwrap().unwrap();
/// # });
/// ```
#[derive(Debug, Default)]
#[must_use = "a builder makes nothing until `create`"]
pub struct TaskBuilder {
    name: Option<Rc<str>>,
    context: Option<Variables>,
}

impl TaskBuilder {
    /// Names the task.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Task, current_task, run};
    ///
    /// run(async {
    ///     let task = Task::builder().name("postman").create(async { current_task().unwrap().name() });
    ///     assert_eq!(&*task.await.unwrap(), "postman");
    /// });
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> TaskBuilder {
        self.name = Some(Rc::from(name.into()));
        self
    }

    /// Gives the task this context instead of a copy of its maker's.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Context, ContextVar, Task, run};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// run(async {
    ///     let mut context = Context::new();
    ///     context.run(|| USER.set("alice"));
    ///     let task = Task::builder().context(context).create(async { USER.get() });
    ///     assert_eq!(task.await.unwrap(), Some("alice"));
    /// });
    /// ```
    pub fn context(mut self, context: Variables) -> TaskBuilder {
        self.context = Some(context);
        self
    }

    /// Makes the task, as [`create_task`] does.
    ///
    /// # Panics
    /// When no loop runs.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Task, TaskBuilder, run};
    ///
    /// run(async {
    ///     let builder: TaskBuilder = Task::builder();
    ///     assert_eq!(builder.create(async { 6 * 7 }).await.unwrap(), 42);
    /// });
    /// ```
    #[inline]
    pub fn create<F>(self, future: F) -> Task<F::Output>
    where
        F: StdFuture + 'static,
        F::Output: 'static,
    {
        let future = Finish::new(future, Ok);
        let output = with_current(|running| {
            let running = running.expect("no running event loop");
            running.create_task(future, self.name, self.context)
        });
        Task::new(output)
    }
}
