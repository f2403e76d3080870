//! `Barrier`: nobody goes on before all have come.
//!
//! ```text
//! Filling ──► the last one comes ──► Draining ──► the last one has gone ──► Filling
//!    └──► abort, a cancellation ──► Broken ──► reset ──► Filling
//! ```

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::error::Error;
use std::fmt;

use crate::exceptions::Cancelled;
use crate::waiters::{WaitList, wait_in};

/// A meeting point for a fixed number of tasks.
///
/// Differs from asyncio: who is cancelled while he waits breaks the barrier for the others, as
/// `threading.Barrier` does, for they would wait in vain.
///
/// # Examples
/// ```
/// use aioxide::{Barrier, Cancelled, TaskGroup, run};
///
/// run(async {
///     let barrier = Barrier::new(2);
///     let meeting = TaskGroup::<aioxide::BarrierError>::scope(async |group| {
///         group.create_task(barrier.wait());
///         barrier.wait().await
///     });
///     assert!(meeting.await.unwrap() < 2);
/// });
/// ```
pub struct Barrier {
    parties: usize,
    phase: Cell<Phase>,
    /// How many wait, or have not gone yet.
    count: Cell<usize>,
    /// Raised by each `reset`.
    generation: Cell<u64>,
    inside: WaitList,
    outside: WaitList,
}

impl Barrier {
    /// Makes a barrier for `parties` tasks.
    ///
    /// # Panics
    /// When that is none.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Barrier;
    ///
    /// let barrier = Barrier::new(3);
    /// assert_eq!((barrier.parties(), barrier.n_waiting()), (3, 0));
    /// ```
    pub const fn new(parties: usize) -> Barrier {
        assert!(parties > 0, "parties must be > 0");
        Barrier {
            parties,
            phase: Cell::new(Phase::Filling),
            count: Cell::new(0),
            generation: Cell::new(0),
            inside: WaitList::new(),
            outside: WaitList::new(),
        }
    }

    /// Waits until all have come; returns a number from 0 that is another for each.
    ///
    /// # Cancellation
    /// Breaks the barrier, if the others have not come yet.
    ///
    /// # Errors
    /// The cancellation, or that the barrier is broken.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Barrier, BarrierError, TaskGroup, run};
    ///
    /// run(async {
    ///     let barrier = Barrier::new(2);
    ///     let meeting = TaskGroup::<BarrierError>::scope(async |group| {
    ///         let other = group.create_task(barrier.wait());
    ///         Ok((barrier.wait().await?, other.await))
    ///     });
    ///     let (mine, others) = meeting.await.unwrap();
    ///     assert_ne!(mine, others.unwrap()); // One of them is 0: it may clean up for all.
    /// });
    /// ```
    pub async fn wait(&self) -> Result<usize, BarrierError> {
        while self.phase.get() == Phase::Draining {
            wait_in(&self.outside, || {}).await?;
        }
        if self.phase.get() == Phase::Broken {
            return Err(BarrierError::Broken(BrokenBarrierError));
        }
        let index = self.count.get();
        self.count.set(index + 1);
        if index + 1 == self.parties {
            self.phase.set(Phase::Draining);
            self.inside.wake_all();
            self.go();
            return Ok(index);
        }
        let generation = self.generation.get();
        let leave = Leave {
            barrier: self,
            generation,
        };
        wait_in(&self.inside, || {}).await?;
        if self.phase.get() == Phase::Broken || self.generation.get() != generation {
            return Err(BarrierError::Broken(BrokenBarrierError));
        }
        drop(leave);
        Ok(index)
    }

    /// Empties the barrier. Who waits in it gets an error.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Barrier;
    ///
    /// let barrier = Barrier::new(2);
    /// barrier.abort();
    /// barrier.reset();
    /// assert!(!barrier.broken()); // It may be used again.
    /// ```
    pub fn reset(&self) {
        self.generation.set(self.generation.get() + 1);
        self.count.set(0);
        self.phase.set(Phase::Filling);
        self.inside.wake_all();
        self.outside.wake_all();
    }

    /// Breaks the barrier: who waits, and who comes until it is reset, gets an error.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Barrier, run};
    ///
    /// run(async {
    ///     let barrier = Barrier::new(2);
    ///     barrier.abort();
    ///     assert!(barrier.wait().await.is_err());
    /// });
    /// ```
    pub fn abort(&self) {
        self.phase.set(Phase::Broken);
        self.inside.wake_all();
        self.outside.wake_all();
    }

    /// Returns how many tasks the barrier is for.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(aioxide::Barrier::new(5).parties(), 5);
    /// ```
    pub const fn parties(&self) -> usize {
        self.parties
    }

    /// Returns how many wait in it.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Barrier, create_task, run, sleep};
    /// use std::{rc::Rc, time::Duration};
    ///
    /// run(async {
    ///     let barrier = Rc::new(Barrier::new(2));
    ///     let first = Rc::clone(&barrier);
    ///     let first = create_task(async move { first.wait().await });
    ///     sleep(Duration::ZERO).await.unwrap();
    ///     assert_eq!(barrier.n_waiting(), 1);
    ///     barrier.wait().await.unwrap();
    ///     first.await.unwrap().unwrap();
    /// });
    /// ```
    pub fn n_waiting(&self) -> usize {
        if self.phase.get() == Phase::Filling {
            self.count.get()
        } else {
            0
        }
    }

    /// Returns whether the barrier is broken.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Barrier, create_task, run, sleep};
    /// use std::{rc::Rc, time::Duration};
    ///
    /// run(async {
    ///     let barrier = Rc::new(Barrier::new(2));
    ///     let first = Rc::clone(&barrier);
    ///     let first = create_task(async move { first.wait().await });
    ///     sleep(Duration::ZERO).await.unwrap();
    ///     first.cancel();
    ///     assert!(first.await.unwrap().is_err() && barrier.broken());
    /// });
    /// ```
    pub fn broken(&self) -> bool {
        self.phase.get() == Phase::Broken
    }

    /// One goes on.
    fn go(&self) {
        self.count.set(self.count.get().saturating_sub(1));
        if self.count.get() == 0 && self.phase.get() == Phase::Draining {
            self.phase.set(Phase::Filling);
            self.outside.wake_all();
        }
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Barrier");
        shown
            .field("phase", &self.phase.get())
            .field("parties", &self.parties)
            .finish()
    }
}

/// One who waits, however his wait ends.
struct Leave<'a> {
    barrier: &'a Barrier,
    generation: u64,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if self.barrier.generation.get() != self.generation {
            return;
        }
        match self.barrier.phase.get() {
            Phase::Draining => self.barrier.go(),
            // Given up, by a cancellation or by being dropped: the others cannot become enough.
            Phase::Filling => self.barrier.abort(),
            Phase::Broken => {}
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Filling,
    Draining,
    Broken,
}

/// Why a wait at a [`Barrier`] has failed.
///
/// # Examples
/// ```
/// use aioxide::{Barrier, BarrierError, run};
///
/// run(async {
///     let barrier = Barrier::new(2);
///     barrier.abort();
///     match barrier.wait().await {
///         Err(BarrierError::Broken(broken)) => assert_eq!(broken.to_string(), "Barrier aborted"),
///         other => panic!("{other:?}"),
///     }
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BarrierError {
    /// The barrier is broken.
    Broken(BrokenBarrierError),
    /// The task was cancelled.
    Cancelled(Cancelled),
}

impl fmt::Display for BarrierError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BarrierError::Broken(broken) => broken.fmt(formatter),
            BarrierError::Cancelled(cancelled) => cancelled.fmt(formatter),
        }
    }
}

impl Error for BarrierError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            BarrierError::Broken(broken) => Some(broken),
            BarrierError::Cancelled(cancelled) => Some(cancelled),
        }
    }
}

impl From<Cancelled> for BarrierError {
    fn from(cancelled: Cancelled) -> BarrierError {
        BarrierError::Cancelled(cancelled)
    }
}

/// A [`Barrier`] was reset or broken while a task waited at it.
///
/// # Examples
/// ```
/// use aioxide::{Barrier, BarrierError, BrokenBarrierError, create_task, run, sleep};
/// use std::{rc::Rc, time::Duration};
///
/// run(async {
///     let barrier = Rc::new(Barrier::new(2));
///     let first = Rc::clone(&barrier);
///     let first = create_task(async move { first.wait().await });
///     sleep(Duration::ZERO).await.unwrap();
///     barrier.reset();
///     assert_eq!(first.await.unwrap(), Err(BarrierError::Broken(BrokenBarrierError)));
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenBarrierError;

impl fmt::Display for BrokenBarrierError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Barrier aborted")
    }
}

impl Error for BrokenBarrierError {}
