//! `run()` and `Runner`: a loop, from its making to its end.
//!
//! ```text
//! Runner::new ──► run ──► run ──► … ──► drop: cancel what is left, wait for it, close the loop
//! ```
//!
//! Counterpart: `Lib/asyncio/runners.py`.
//! Differs from asyncio: an interrupt (Ctrl-C) ends the process, as it does in Rust; a program that wants
//! to clean up waits for `tokio::signal::ctrl_c`.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::future::Future as StdFuture;
use std::io;
use std::rc::Rc;

use crate::budget::PollPolicy;
use crate::clock::Clock;
use crate::events::{Loop, Strictness};
use crate::exceptions::TaskError;
use crate::hosting::Host;
use crate::sys::current::with_current;
use crate::tasks::{AnyTask, Children, Finish, Task};

/// Runs a future to its end on a new loop, and returns what it returns. Tasks that are left then are
/// cancelled and waited for.
///
/// The future may borrow from the caller.
///
/// # Panics
/// When the future panics, with its panic. When a loop runs on this thread already. When the system has
/// no descriptor left.
///
/// # Examples
/// ```
/// let greeting = aioxide::run(async {
///     aioxide::sleep(std::time::Duration::from_millis(1)).await?;
///     Ok::<_, aioxide::Cancelled>("hello")
/// });
/// assert_eq!(greeting, Ok("hello"));
/// ```
pub fn run<F: StdFuture>(future: F) -> F::Output {
    Runner::new().expect("a loop needs file descriptors").run(future)
}

/// A loop that runs one future after another.
///
/// Tasks that a run leaves behind go on in the next.
///
/// ```
/// use aioxide::{Runner, Strictness};
///
/// # fn main() -> std::io::Result<()> {
/// let runner = Runner::builder().strictness(Strictness::Strict).build()?;
/// assert_eq!(runner.run(async { 1 }), 1);
/// assert_eq!(runner.run(async { 2 }), 2);
/// # Ok(())
/// # }
/// ```
pub struct Runner {
    // Dropped in this order: what tokio runs may hold wakers of the loop's tasks.
    host: Host,
    running: Rc<Loop>,
}

impl Runner {
    /// Makes a loop.
    ///
    /// # Errors
    /// When the process or the system has no descriptor left.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Runner;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runner = Runner::new()?;
    /// assert_eq!(runner.run(async { 6 * 7 }), 42);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new() -> io::Result<Runner> {
        Runner::builder().build()
    }

    /// Begins to make a loop that is not the default one.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{PollPolicy, Runner};
    ///
    /// let runner = Runner::builder().polling(PollPolicy::Strict).build().unwrap();
    /// assert_eq!(runner.run(async { 6 * 7 }), 42);
    /// ```
    pub fn builder() -> RunnerBuilder {
        RunnerBuilder {
            policy: PollPolicy::default(),
            clock: Clock::default(),
            strictness: Strictness::default(),
        }
    }

    /// Runs a future to its end, and returns what it returns.
    ///
    /// # Panics
    /// When the future panics, with its panic. When a loop runs on this thread already.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Runner, create_task, sleep};
    /// use std::time::Duration;
    ///
    /// let runner = Runner::new().unwrap();
    /// let task = runner.run(async { create_task(sleep(Duration::ZERO)) });
    /// assert!(!task.done());
    /// assert!(runner.run(task).unwrap().is_ok()); // It went on in the second run.
    /// ```
    pub fn run<F: StdFuture>(&self, future: F) -> F::Output {
        let is_nested = with_current(|running| running.is_some());
        assert!(!is_nested, "run() cannot be called from a running event loop");
        let root = Children::new();
        root.queue().own_by_loop();
        let future = Finish::new(future, Ok);
        let task = self.running.enter(|| {
            let state = |home| self.running.task_state(home, None, None);
            Task::new(root.insert(future, state, self.running.inbox()))
        });
        let result = self.complete(task, &root);
        match result {
            Ok(output) => output,
            Err(TaskError::Panicked(panicked)) => panicked.resume(),
            Err(error) => panic!("the main task ended without a result: {error}"),
        }
    }

    fn complete<T>(&self, mut task: Task<T>, root: &Children<'_>) -> Result<T, TaskError> {
        let any = (*task).clone();
        self.drive(root, &|| any.done());
        // The result leaves the task before the children of `root` are released.
        task.take_result().unwrap_or(Err(TaskError::Taken))
    }

    /// Cancels all tasks that are left, and runs the loop until they have ended.
    fn cancel_all(&self) {
        let left = self.running.all_tasks();
        if left.is_empty() {
            return;
        }
        let count = Rc::new(Cell::new(left.len()));
        self.host.enter(&self.running, || {
            for task in left {
                let task = AnyTask::new(task);
                let count = Rc::clone(&count);
                task.add_done_callback(move |_| count.set(count.get() - 1));
                task.cancel();
            }
        });
        self.drive(&Children::new(), &|| count.get() == 0);
    }

    fn drive(&self, root: &Children<'_>, is_done: &dyn Fn() -> bool) {
        let driven = self.host.run(&self.running, root, is_done);
        driven.expect("waiting on descriptors that are open does not fail");
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What the tasks would do for their clean-up might panic again.
            return self.running.close();
        }
        self.cancel_all();
        self.running.threads().shutdown();
        self.host.enter(&self.running, || self.running.close());
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tasks = self.running.all_tasks().len();
        formatter.debug_struct("Runner").field("tasks", &tasks).finish()
    }
}

/// A loop to be made.
///
/// ```
/// use aioxide::{Clock, Deadline, PollPolicy, Runner, Strictness, sleep};
/// use std::time::Duration;
///
/// let builder = Runner::builder().polling(PollPolicy::Strict).strictness(Strictness::Strict);
/// let runner = builder.clock(Clock::manual(Deadline::from_nanos(0))).build().unwrap();
/// runner.run(async { sleep(Duration::from_secs(3600)).await.unwrap() }); // Takes no time.
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder makes nothing until `build`"]
pub struct RunnerBuilder {
    policy: PollPolicy,
    clock: Clock,
    strictness: Strictness,
}

impl RunnerBuilder {
    /// Sets how often a loop that has work looks elsewhere.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{PollPolicy, Runner};
    ///
    /// // As asyncio does it: once in each turn.
    /// let runner = Runner::builder().polling(PollPolicy::Strict).build().unwrap();
    /// assert_eq!(runner.run(async { 6 * 7 }), 42);
    /// ```
    pub const fn polling(mut self, policy: PollPolicy) -> RunnerBuilder {
        self.policy = policy;
        self
    }

    /// Sets the clock. With a manual one the loop does not wait for timers: when nothing else is to be
    /// done, the clock jumps to the next; see [`testing`](crate::testing).
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Clock, Deadline, Runner, get_running_loop, sleep};
    /// use std::time::Duration;
    ///
    /// let clock = Clock::manual(Deadline::from_nanos(0));
    /// let runner = Runner::builder().clock(clock).build().unwrap();
    /// runner.run(async {
    ///     sleep(Duration::from_secs(1)).await.unwrap(); // Takes no time.
    ///     assert_eq!(get_running_loop().time(), Deadline::from_nanos(1_000_000_000));
    /// });
    /// ```
    pub fn clock(mut self, clock: Clock) -> RunnerBuilder {
        self.clock = clock;
        self
    }

    /// Turns strict mode on.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{ReportKind, Runner, Strictness, create_task, get_running_loop, sleep};
    /// use std::{cell::Cell, rc::Rc, time::Duration};
    ///
    /// let told = Rc::new(Cell::new(false));
    /// let tell = Rc::clone(&told);
    /// let runner = Runner::builder().strictness(Strictness::Strict).build().unwrap();
    /// runner.run(async move {
    ///     let is_swallowed = |kind: &ReportKind| matches!(kind, ReportKind::SwallowedCancel);
    ///     get_running_loop().set_exception_handler(move |report| tell.set(is_swallowed(report.kind())));
    ///     let stubborn = create_task(async { drop(sleep(Duration::from_secs(3600)).await) });
    ///     sleep(Duration::ZERO).await.unwrap();
    ///     stubborn.cancel();
    ///     stubborn.await.unwrap();
    /// });
    /// assert!(told.get());
    /// ```
    pub const fn strictness(mut self, strictness: Strictness) -> RunnerBuilder {
        self.strictness = strictness;
        self
    }

    /// Makes the loop.
    ///
    /// # Errors
    /// When the process or the system has no descriptor left.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Runner, RunnerBuilder};
    ///
    /// let runner: Runner = RunnerBuilder::default().build().unwrap();
    /// assert_eq!(runner.run(async { "hello" }), "hello");
    /// ```
    pub fn build(self) -> io::Result<Runner> {
        let running = Loop::new(self.policy, self.clock, self.strictness)?;
        Ok(Runner {
            host: Host::new(&running)?,
            running,
        })
    }
}
