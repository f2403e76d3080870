//! `TaskGroup`: tasks that belong to a block, may borrow what lies around it, and end with it.
//!
//! ```text
//!   Open ──► a child or the body fails, or the task is cancelled ──► Aborting: the rest is cancelled
//!     └────────────── body and children have ended ──────────────────────┴──► Closed
//! ```
//!
//! The children are polled by the future of [`TaskGroup::scope`] and by nothing else. That is what lets
//! them borrow: dropped, it drops them first; leaked, it never polls them again. A child that is woken
//! goes into the group's own queue and wakes the group's task once for all of them; they then run in the
//! order in which they were woken.
//!
//! Counterpart: `Lib/asyncio/taskgroups.py`.
//! Differs from asyncio: the body's cancellation by a failing child is the body's own, not the task's.

#![forbid(unsafe_code)]

mod errors;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future as StdFuture, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

pub use errors::{ExceptionGroup, TaskGroupError};

use crate::cancellation::{CancelState, Checkpoint};
use crate::exceptions::{Cancelled, Panicked, TaskError};
use crate::sys::current::with_current;
use crate::tasks::{AnyTask, Children, Finish, Step, Task, step_child, tell_end};
use crate::timeouts::poll_in;

/// The tasks of a block; made by [`TaskGroup::scope`].
///
/// # Examples
/// ```
/// use aioxide::{Cancelled, TaskGroup, run};
///
/// run(async {
///     let prices = vec![20, 22];
///     let total = TaskGroup::<Cancelled>::scope(async |group| {
///         let mut total = 0;
///         for task in prices.iter().map(|price| group.create_task(async move { Ok(*price) })) {
///             total += task.await?;
///         }
///         Ok(total)
///     });
///     assert_eq!(total.await.unwrap(), 42);
/// });
/// ```
pub struct TaskGroup<'env, E> {
    inner: Rc<Inner<'env, E>>,
}

impl<'env, E> TaskGroup<'env, E> {
    /// Runs `body`, which makes tasks in the group, and waits until all have ended. The first one that
    /// fails cancels the others and the body.
    ///
    /// The tasks may borrow whatever outlives the call.
    ///
    /// # Cancellation
    /// Cancels the body and all tasks, waits for them, and is returned. Dropping the future drops the
    /// tasks first.
    ///
    /// # Errors
    /// With every error of the body and of the tasks, cancellations excepted.
    ///
    /// # Panics
    /// When no loop runs.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Cancelled, TaskGroup, run, sleep};
    /// use std::time::Duration;
    ///
    /// async fn fetch(name: &str) -> Result<usize, Cancelled> {
    ///     sleep(Duration::from_millis(1)).await?;
    ///     Ok(name.len())
    /// }
    ///
    /// run(async {
    ///     let names = vec![String::from("first"), String::from("second")];
    ///     let tasks = TaskGroup::scope(async |group| {
    ///         Ok(names.iter().map(|name| group.create_task(fetch(name))).collect::<Vec<_>>())
    ///     });
    ///     let tasks = tasks.await.unwrap();
    ///     assert_eq!(tasks[1].result(), Some(&6));
    /// });
    /// ```
    ///
    /// What ends with the body is not outside of it, and the compiler says so:
    /// ```compile_fail,E0597
    /// use aioxide::{Cancelled, TaskGroup, run};
    ///
    /// let group = TaskGroup::<Cancelled>::scope(async |group| {
    ///     let inside = String::from("inside");
    ///     let name = &inside;
    ///     group.create_task(async move { Ok(name.len()) });
    ///     Ok(())
    /// });
    /// run(group).unwrap();
    /// ```
    pub async fn scope<B, T>(body: B) -> Result<T, TaskGroupError<E>>
    where
        B: AsyncFnOnce(TaskGroup<'env, E>) -> Result<T, E>,
    {
        let group = TaskGroup {
            inner: Rc::new(Inner {
                children: Children::new(),
                errors: Rc::new(RefCell::new(Vec::new())),
                panics: RefCell::new(Vec::new()),
                phase: Cell::new(Phase::Open),
                body: Rc::new(CancelState::default()),
            }),
        };
        let mut body = pin!(Some(body(group.clone())));
        // Declared after the body, so dropped before it: the children go first.
        let close = Close(&group);
        let mut scope = Scope {
            group: &group,
            checkpoint: Checkpoint::new(),
            result: None,
            cancelled: None,
        };
        poll_fn(|context| scope.poll(body.as_mut(), context)).await;
        let result = scope.finish();
        drop(close);
        result
    }

    /// Makes a task in the group. Its error goes to the group; awaiting the task gives
    /// [`TaskError::Taken`] then.
    ///
    /// In a group that has closed or is aborting, the task is made and ends as cancelled before its first
    /// step.
    ///
    /// # Panics
    /// When no loop runs.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Cancelled, TaskGroup, run};
    ///
    /// run(async {
    ///     let name = String::from("borrowed");
    ///     let length = TaskGroup::<Cancelled>::scope(async |group| {
    ///         let task = group.create_task(async { Ok(name.len()) });
    ///         Ok(task.await?)
    ///     });
    ///     assert_eq!(length.await.unwrap(), 8);
    /// });
    /// ```
    pub fn create_task<F, T>(&self, future: F) -> Task<T>
    where
        F: StdFuture<Output = Result<T, E>> + 'env,
        T: 'env,
        E: 'env,
    {
        self.create_named_task(future, None)
    }

    /// As [`TaskGroup::create_task`], with a name for the task.
    ///
    /// # Panics
    /// When no loop runs.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Cancelled, TaskGroup, run};
    ///
    /// run(async {
    ///     let group = TaskGroup::<Cancelled>::scope(async |group| {
    ///         let task = group.create_named_task(async { Ok(()) }, "postman".to_owned());
    ///         assert_eq!(&*task.name(), "postman");
    ///         Ok(())
    ///     });
    ///     group.await.unwrap();
    /// });
    /// ```
    pub fn create_named_task<F, T>(&self, future: F, name: impl Into<Option<String>>) -> Task<T>
    where
        F: StdFuture<Output = Result<T, E>> + 'env,
        T: 'env,
        E: 'env,
    {
        let errors = Rc::clone(&self.inner.errors);
        let future = Finish::new(future, move |output: Result<T, E>| {
            let error = match output {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let task = with_current(|running| running?.current_task());
            match task.and_then(|task| task.state().cancel.in_flight()) {
                Some(delivery) => Err(TaskError::Cancelled(Cancelled::of(delivery))),
                None => {
                    errors.borrow_mut().push(error);
                    Err(TaskError::Taken)
                }
            }
        });
        let output = with_current(|running| {
            let running = running.expect("no running event loop");
            let name = name.into().map(Rc::from);
            let state = |home| running.task_state(home, name, None);
            self.inner.children.insert(future, state, running.inbox())
        });
        let task = Task::new(output);
        match self.inner.phase.get() {
            Phase::Open => {}
            Phase::Aborting => {
                task.cancel();
            }
            Phase::Closed => self.inner.clear(),
        }
        task
    }

    /// Returns how many tasks of the group have not ended.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Cancelled, TaskGroup, run};
    ///
    /// run(async {
    ///     let group = TaskGroup::<Cancelled>::scope(async |group| {
    ///         let task = group.create_task(async { Ok(()) });
    ///         assert_eq!(group.len(), 1);
    ///         task.await?;
    ///         assert_eq!(group.len(), 0);
    ///         Ok(())
    ///     });
    ///     group.await.unwrap();
    /// });
    /// ```
    pub fn len(&self) -> usize {
        self.inner.children.len()
    }

    /// Returns whether all tasks of the group have ended.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Cancelled, TaskGroup, run};
    ///
    /// run(async {
    ///     let group = TaskGroup::<Cancelled>::scope(async |group| {
    ///         assert!(group.is_empty());
    ///         group.create_task(async { Ok(()) });
    ///         assert!(!group.is_empty());
    ///         Ok(())
    ///     });
    ///     group.await.unwrap();
    /// });
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<E> Clone for TaskGroup<'_, E> {
    /// Makes another handle of the same group, so that a task can make tasks beside it.
    fn clone(&self) -> Self {
        TaskGroup {
            inner: Rc::clone(&self.inner),
        }
    }
}

impl<E> fmt::Debug for TaskGroup<'_, E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("TaskGroup");
        shown
            .field("tasks", &self.len())
            .field("phase", &self.inner.phase.get())
            .finish()
    }
}

struct Inner<'env, E> {
    children: Children<'env>,
    /// Shared with the children, which do not own the group: it owns them.
    errors: Rc<RefCell<Vec<E>>>,
    panics: RefCell<Vec<Panicked>>,
    phase: Cell<Phase>,
    /// The cancellation state of the body.
    body: Rc<CancelState>,
}

impl<E> Inner<'_, E> {
    /// Cancels the body and all children, once.
    fn abort(&self) {
        if self.phase.replace(Phase::Aborting) != Phase::Open {
            return;
        }
        self.body.request(None);
        for child in self.children.all() {
            AnyTask::new(child).cancel();
        }
    }

    fn has_failed(&self) -> bool {
        !self.errors.borrow().is_empty() || !self.panics.borrow().is_empty()
    }

    fn clear(&self) {
        let error = TaskError::Cancelled(Cancelled::new(Some("the task group is closed")));
        self.children.clear(&error, tell_end);
        self.children.queue().disown();
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Open,
    Aborting,
    Closed,
}

/// Closes the group however its scope is left.
struct Close<'a, 'env, E>(&'a TaskGroup<'env, E>);

impl<E> Drop for Close<'_, '_, E> {
    fn drop(&mut self) {
        self.0.inner.phase.set(Phase::Closed);
        self.0.inner.clear();
    }
}

/// The future of [`TaskGroup::scope`].
struct Scope<'a, 'env, E, T> {
    group: &'a TaskGroup<'env, E>,
    checkpoint: Checkpoint,
    /// What the body returned, if that was a success.
    result: Option<T>,
    /// The task's own cancellation.
    cancelled: Option<Cancelled>,
}

impl<E, T> Scope<'_, '_, E, T> {
    fn poll<F: StdFuture<Output = Result<T, E>>>(
        &mut self,
        mut body: Pin<&mut Option<F>>,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        let inner = &self.group.inner;
        inner.children.queue().arrive(Some(context.waker()));
        if let Some(message) = self.checkpoint.request() {
            self.cancel(message);
        }
        loop {
            self.poll_body(body.as_mut(), context);
            self.run_children();
            if inner.has_failed() {
                inner.abort();
            }
            if inner.children.queue().len() > 0 || (body.is_some() && inner.body.is_pending()) {
                // What became ready meanwhile has its turn after everything else that is ready.
                inner.children.queue().tell();
            } else if body.is_none() && inner.children.len() == 0 {
                self.checkpoint.leave();
                return Poll::Ready(());
            }
            match self.checkpoint.suspend_or_request(context) {
                Some(message) => self.cancel(message),
                None => return Poll::Pending,
            }
        }
    }

    /// Cancels the whole group because its task is cancelled.
    fn cancel(&mut self, message: Option<Arc<str>>) {
        self.cancelled = Some(Cancelled::new(message.as_deref()));
        self.group.inner.abort();
        // Also when the group was aborting for another reason.
        self.group.inner.body.request(message);
    }

    fn poll_body<F: StdFuture<Output = Result<T, E>>>(
        &mut self,
        mut body: Pin<&mut Option<F>>,
        context: &mut Context<'_>,
    ) {
        let inner = &self.group.inner;
        let Some(running) = body.as_mut().as_pin_mut() else {
            return;
        };
        match poll_in(&inner.body, running, context) {
            Poll::Pending if inner.body.is_unclaimed() => body.set(None),
            Poll::Pending => {}
            Poll::Ready(result) => {
                body.set(None);
                match result {
                    Ok(value) => self.result = Some(value),
                    Err(error) => {
                        self.note_body(error);
                        self.group.inner.abort();
                    }
                }
            }
        }
    }

    /// Keeps an error of the body, unless it is a cancellation.
    fn note_body(&mut self, error: E) {
        let inner = &self.group.inner;
        let Some(delivery) = inner.body.in_flight() else {
            inner.errors.borrow_mut().push(error);
            return;
        };
        // One that nobody here has asked for came from inside of the body, and is the group's.
        if inner.phase.get() == Phase::Open {
            self.cancelled = Some(Cancelled::of(delivery));
        }
    }

    /// Runs the children that are ready now. When one fails, those behind it have their turn all the same, as in
    /// asyncio, where the group hears of a failure in the next turn of the loop.
    fn run_children(&self) {
        let inner = &self.group.inner;
        for _ in 0..inner.children.queue().len() {
            let Some(child) = inner.children.queue().pop() else {
                return;
            };
            let step = with_current(|running| running.map(|running| step_child(running, &inner.children, &child)));
            if let Some(Step::Ended(Some(panicked))) = step {
                inner.panics.borrow_mut().push(panicked);
            }
        }
    }

    /// Decides what comes out of a group that has ended.
    fn finish(&mut self) -> Result<T, TaskGroupError<E>> {
        let inner = &self.group.inner;
        let exceptions = inner.errors.take();
        let panics = inner.panics.take();
        let cancelled = self.cancelled.take();
        if !exceptions.is_empty() || !panics.is_empty() {
            if cancelled.is_some() {
                // The errors come first; the cancellation reaches the next await.
                with_current(|running| running?.cancel_ref()).inspect(|outer| outer.restore());
            }
            return Err(TaskGroupError::Failed(ExceptionGroup { exceptions, panics }));
        }
        match (self.result.take(), cancelled) {
            (Some(result), None) => Ok(result),
            (_, cancelled) => {
                let cancelled = cancelled.unwrap_or_else(|| Cancelled::new(None));
                let delivery = Arc::clone(cancelled.delivery());
                with_current(|running| running?.cancel_ref()).inspect(|outer| outer.adopt(delivery));
                Err(TaskGroupError::Cancelled(cancelled))
            }
        }
    }
}
