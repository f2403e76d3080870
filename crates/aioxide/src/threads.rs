//! `to_thread()` and `run_in_executor()`: blocking calls and work for the processor, away from the loop.
//!
//! A pool starts a thread when a job comes and none is idle, up to its limit. The job's result goes into
//! a place that both sides share, and the waker of who waits brings it home.
//!
//! Counterpart: `asyncio.to_thread`, `loop.run_in_executor`, `concurrent.futures.ThreadPoolExecutor`.
//! Differs from asyncio: threads share the processor's cores, so one kind of pool does for blocking calls
//! and for computing. A job begins when it is first waited for, as every future of Rust. Context variables stay
//! on the loop's thread, for their values need not be `Send`: what a job needs of them it takes along.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future as StdFuture, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::{Builder, JoinHandle};

use crate::cancellation::Checkpoint;
use crate::exceptions::{Panicked, TaskError};
use crate::sys::current::with_current;

/// Calls a blocking function in a thread of the loop's own pool, and waits for its result.
///
/// # Cancellation
/// Ends the wait. A call that has begun cannot be stopped; its result is dropped.
///
/// # Errors
/// The cancellation, or the panic of the function.
///
/// # Panics
/// When no loop runs.
///
/// # Examples
/// ```
/// # aioxide::run(async {
/// let size = aioxide::to_thread(|| std::fs::read("Cargo.toml").map(|bytes| bytes.len()));
/// assert!(size.await.unwrap().unwrap() > 0);
/// # });
/// ```
pub async fn to_thread<F, T>(function: F) -> Result<T, TaskError>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let pool = with_current(|running| running.expect("no running event loop").threads().default_pool());
    pool.submit(function).await
}

/// Calls a function in a thread of `executor`, and waits for its result. Otherwise as [`to_thread`].
///
/// ```
/// # aioxide::run(async {
/// let pool = aioxide::ThreadPoolExecutor::for_computing();
/// let sum = aioxide::run_in_executor(&pool, || (1..=1000_u64).sum::<u64>());
/// assert_eq!(sum.await.unwrap(), 500_500);
/// # });
/// ```
///
/// # Errors
/// The cancellation, or the panic of the function.
pub async fn run_in_executor<F, T>(executor: &ThreadPoolExecutor, function: F) -> Result<T, TaskError>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    executor.submit(function).await
}

/// A pool of threads. Dropping it waits for the jobs that it was given.
///
/// ```
/// use aioxide::{ThreadPoolExecutor, run, run_in_executor};
///
/// let pool = ThreadPoolExecutor::new(2);
/// let name = run(run_in_executor(&pool, || std::thread::current().name().map(str::to_owned)));
/// assert_eq!(name.unwrap().as_deref(), Some("aioxide-1"));
/// ```
pub struct ThreadPoolExecutor {
    pool: Arc<Pool>,
    threads: RefCell<Vec<JoinHandle<()>>>,
}

impl ThreadPoolExecutor {
    /// Makes a pool of at most `threads` threads; none is started yet.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{ThreadPoolExecutor, run, run_in_executor};
    ///
    /// let pool = ThreadPoolExecutor::new(4);
    /// let answer = run(run_in_executor(&pool, || 6 * 7));
    /// assert_eq!(answer.unwrap(), 42);
    /// ```
    pub fn new(threads: usize) -> ThreadPoolExecutor {
        ThreadPoolExecutor {
            pool: Arc::new(Pool {
                state: Mutex::new(PoolState {
                    jobs: VecDeque::new(),
                    idle: 0,
                    threads: 0,
                    is_closed: false,
                }),
                limit: threads.max(1),
                wake: Condvar::new(),
                jobs: AtomicUsize::new(0),
            }),
            threads: RefCell::new(Vec::new()),
        }
    }

    /// Makes a pool for work that keeps a processor busy: one thread for each core.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{ThreadPoolExecutor, run, run_in_executor};
    ///
    /// let pool = ThreadPoolExecutor::for_computing();
    /// let is_prime = run(run_in_executor(&pool, || (2..7919).all(|divisor| 7919 % divisor != 0)));
    /// assert!(is_prime.unwrap());
    /// ```
    pub fn for_computing() -> ThreadPoolExecutor {
        ThreadPoolExecutor::new(cores())
    }

    /// Hands a function to the pool, and returns its result when that is awaited.
    fn submit<F, T>(&self, function: F) -> impl StdFuture<Output = Result<T, TaskError>> + use<F, T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let place = Arc::new(Place {
            state: Mutex::new(PlaceState::Waiting(None)),
        });
        let filled = Arc::clone(&place);
        self.push(Box::new(move || {
            filled.fill(catch_unwind(AssertUnwindSafe(function)).map_err(Panicked::new));
        }));
        async move {
            let mut checkpoint = Checkpoint::new();
            poll_fn(|context| place.poll(&mut checkpoint, context)).await
        }
    }

    fn push(&self, job: Job) {
        self.pool.jobs.fetch_add(1, Ordering::Relaxed);
        let mut state = self.pool.lock();
        state.jobs.push_back(job);
        // An idle thread that was woken for an earlier job counts as idle until it has taken that.
        if state.jobs.len() <= state.idle || state.threads == self.pool.limit {
            drop(state);
            self.pool.wake.notify_one();
            return;
        }
        state.threads += 1;
        let index = state.threads;
        drop(state);
        let pool = Arc::clone(&self.pool);
        let thread = Builder::new()
            .name(format!("aioxide-{index}"))
            .spawn(move || pool.work());
        match thread {
            Ok(thread) => self.threads.borrow_mut().push(thread),
            Err(error) => {
                let mut state = self.pool.lock();
                state.threads -= 1;
                // Another thread will come to the job; without one, nobody ever would.
                assert!(state.threads > 0, "can't start new thread: {error}");
            }
        }
    }

    /// Returns how many functions were handed over and have not returned.
    pub(crate) fn unfinished(&self) -> usize {
        self.pool.jobs.load(Ordering::Acquire)
    }
}

impl fmt::Debug for ThreadPoolExecutor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("ThreadPoolExecutor");
        shown
            .field("limit", &self.pool.limit)
            .field("threads", &self.threads.borrow().len())
            .finish()
    }
}

impl Drop for ThreadPoolExecutor {
    fn drop(&mut self) {
        self.pool.lock().is_closed = true;
        self.pool.wake.notify_all();
        for thread in self.threads.take() {
            // The pool may be dropped by one of its own jobs: that thread cannot wait for itself.
            if thread.thread().id() != std::thread::current().id() {
                ignore_panic(thread.join());
            }
        }
    }
}

/// The pool of a loop, made when it is first used.
pub(crate) struct Threads {
    pool: RefCell<Option<std::rc::Rc<ThreadPoolExecutor>>>,
}

impl Threads {
    pub(crate) const fn new() -> Threads {
        Threads {
            pool: RefCell::new(None),
        }
    }

    pub(crate) fn default_pool(&self) -> std::rc::Rc<ThreadPoolExecutor> {
        let mut pool = self.pool.borrow_mut();
        // As asyncio's default executor.
        let make = || std::rc::Rc::new(ThreadPoolExecutor::new((cores() + 4).min(32)));
        std::rc::Rc::clone(pool.get_or_insert_with(make))
    }

    /// Returns how many functions have not returned.
    pub(crate) fn unfinished(&self) -> usize {
        self.pool.borrow().as_ref().map_or(0, |pool| pool.unfinished())
    }

    /// Waits for the functions that run.
    pub(crate) fn shutdown(&self) {
        let pool = self.pool.take();
        drop(pool);
    }
}

/// What a pool's threads share.
struct Pool {
    state: Mutex<PoolState>,
    limit: usize,
    wake: Condvar,
    jobs: AtomicUsize,
}

struct PoolState {
    jobs: VecDeque<Job>,
    idle: usize,
    threads: usize,
    is_closed: bool,
}

impl Pool {
    /// What a thread of the pool does.
    fn work(&self) {
        while let Some(job) = self.next_job() {
            job();
            // After the result was sent: who sees this, sees that, too.
            self.jobs.fetch_sub(1, Ordering::Release);
        }
    }

    fn next_job(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.is_closed {
                return None;
            }
            state.idle += 1;
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        // No foreign code runs under the lock, so a panic cannot leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one result.
struct Place<T> {
    state: Mutex<PlaceState<T>>,
}

enum PlaceState<T> {
    Waiting(Option<Waker>),
    Done(Result<T, Panicked>),
    Taken,
}

impl<T> Place<T> {
    /// Puts the result in. The pool's thread.
    fn fill(&self, result: Result<T, Panicked>) {
        let former = std::mem::replace(&mut *self.lock(), PlaceState::Done(result));
        if let PlaceState::Waiting(Some(waker)) = former {
            waker.wake();
        }
    }

    fn poll(&self, checkpoint: &mut Checkpoint, context: &Context<'_>) -> Poll<Result<T, TaskError>> {
        if let Some(cancelled) = checkpoint.cancelled() {
            return Poll::Ready(Err(cancelled.into()));
        }
        let mut state = self.lock();
        if let PlaceState::Waiting(known) = &mut *state {
            let same = known.as_ref().is_some_and(|known| known.will_wake(context.waker()));
            let former = if same {
                None
            } else {
                known.replace(context.waker().clone())
            };
            drop(state);
            drop(former);
            checkpoint.suspend(context)?;
            return Poll::Pending;
        }
        let done = std::mem::replace(&mut *state, PlaceState::Taken);
        drop(state);
        checkpoint.leave();
        Poll::Ready(match done {
            PlaceState::Done(Ok(result)) => Ok(result),
            PlaceState::Done(Err(panicked)) => Err(TaskError::Panicked(panicked)),
            PlaceState::Waiting(_) | PlaceState::Taken => Err(TaskError::Taken),
        })
    }

    fn lock(&self) -> MutexGuard<'_, PlaceState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Job = Box<dyn FnOnce() + Send>;

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A thread of a pool catches the panics of its jobs, so it does not panic itself.
fn ignore_panic(result: std::thread::Result<()>) {
    debug_assert!(result.is_ok(), "a pool's thread does not panic");
}
