//! `Semaphore` and `BoundedSemaphore`: so many tasks at a time.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::error::Error;
use std::fmt;

use crate::exceptions::Cancelled;
use crate::waiters::{WaitList, wait_in};

/// A number of permits that tasks take and give back.
///
/// # Fairness
/// First come, first served.
///
/// # Examples
/// ```
/// use aioxide::{Semaphore, run};
///
/// run(async {
///     let tables = Semaphore::new(2);
///     let first = tables.acquire().await.unwrap();
///     let second = tables.acquire().await.unwrap();
///     assert!(tables.locked());
///     drop(first);
///     assert!(!tables.locked());
///     # drop(second);
/// });
/// ```
pub struct Semaphore {
    permits: Cell<usize>,
    waiters: WaitList,
}

impl Semaphore {
    /// Makes a semaphore with so many permits.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Semaphore;
    ///
    /// assert!(!Semaphore::new(2).locked());
    /// assert!(Semaphore::new(0).locked()); // Until somebody calls `release`.
    /// ```
    pub const fn new(permits: usize) -> Semaphore {
        Semaphore {
            permits: Cell::new(permits),
            waiters: WaitList::new(),
        }
    }

    /// Waits for a permit. Dropping the [`Permit`] gives it back.
    ///
    /// # Cancellation
    /// The task leaves the line.
    ///
    /// # Errors
    /// Only the cancellation.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Semaphore, run, wait_for};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let tables = Semaphore::new(1);
    ///     let permit = tables.acquire().await.unwrap();
    ///     assert!(wait_for(tables.acquire(), Duration::from_millis(1)).await.is_err());
    ///     drop(permit);
    ///     assert!(tables.acquire().await.is_ok());
    /// });
    /// ```
    pub async fn acquire(&self) -> Result<Permit<'_>, Cancelled> {
        if let Some(permit) = self.try_acquire() {
            return Ok(permit);
        }
        // Whoever gives a permit back hands it over; it is not counted in between.
        wait_in(&self.waiters, || self.release()).await?;
        Ok(Permit { semaphore: self })
    }

    /// Takes a permit if one is free.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Semaphore;
    ///
    /// let tables = Semaphore::new(1);
    /// let permit = tables.try_acquire();
    /// assert!(permit.is_some() && tables.try_acquire().is_none());
    /// ```
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        let left = self.permits.get().checked_sub(1)?;
        self.permits.set(left);
        Some(Permit { semaphore: self })
    }

    /// Gives a permit back, or a new one.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Semaphore;
    ///
    /// let jobs = Semaphore::new(0);
    /// jobs.release(); // Another one can be had.
    /// assert!(jobs.try_acquire().is_some());
    /// ```
    pub fn release(&self) {
        if !self.waiters.wake_first() {
            self.permits.set(self.permits.get().saturating_add(1));
        }
    }

    /// Returns whether the next one who comes has to wait.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Semaphore;
    ///
    /// let tables = Semaphore::new(1);
    /// let permit = tables.try_acquire();
    /// assert!(tables.locked());
    /// drop(permit);
    /// assert!(!tables.locked());
    /// ```
    pub fn locked(&self) -> bool {
        self.permits.get() == 0
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Semaphore");
        shown
            .field("permits", &self.permits.get())
            .field("waiters", &self.waiters.len())
            .finish()
    }
}

/// A permit of a [`Semaphore`]; dropping it gives it back.
///
/// # Examples
/// ```
/// use aioxide::{Permit, Semaphore, run};
///
/// run(async {
///     let tables = Semaphore::new(1);
///     let permit: Permit<'_> = tables.acquire().await.unwrap();
///     drop(permit);
///     assert!(!tables.locked());
/// });
/// ```
#[must_use = "dropping the permit gives it back"]
#[derive(Debug)]
pub struct Permit<'semaphore> {
    semaphore: &'semaphore Semaphore,
}

impl Permit<'_> {
    /// Keeps the permit for good, until somebody calls `release`.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Semaphore;
    ///
    /// let jobs = Semaphore::new(1);
    /// jobs.try_acquire().unwrap().forget();
    /// assert!(jobs.locked());
    /// jobs.release();
    /// assert!(!jobs.locked());
    /// ```
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.semaphore.release();
    }
}

/// A [`Semaphore`] that never has more permits than it was made with.
///
/// ```
/// use aioxide::BoundedSemaphore;
///
/// let tables = BoundedSemaphore::new(1);
/// assert!(tables.release().is_err());
/// tables.try_acquire().unwrap().forget();
/// assert!(tables.release().is_ok());
/// ```
pub struct BoundedSemaphore {
    semaphore: Semaphore,
    bound: usize,
}

impl BoundedSemaphore {
    /// Makes a semaphore with so many permits.
    ///
    /// # Examples
    /// ```
    /// use aioxide::BoundedSemaphore;
    ///
    /// let tables = BoundedSemaphore::new(2);
    /// assert!(!tables.locked());
    /// assert!(tables.release().is_err()); // There never are three.
    /// ```
    pub const fn new(permits: usize) -> BoundedSemaphore {
        BoundedSemaphore {
            semaphore: Semaphore::new(permits),
            bound: permits,
        }
    }

    /// As [`Semaphore::acquire`].
    ///
    /// # Cancellation
    /// The task leaves the line.
    ///
    /// # Errors
    /// Only the cancellation.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{BoundedSemaphore, run};
    ///
    /// run(async {
    ///     let tables = BoundedSemaphore::new(1);
    ///     let permit = tables.acquire().await.unwrap();
    ///     assert!(tables.locked());
    ///     drop(permit);
    ///     assert!(!tables.locked());
    /// });
    /// ```
    pub async fn acquire(&self) -> Result<Permit<'_>, Cancelled> {
        self.semaphore.acquire().await
    }

    /// As [`Semaphore::try_acquire`].
    ///
    /// # Examples
    /// ```
    /// use aioxide::BoundedSemaphore;
    ///
    /// let tables = BoundedSemaphore::new(1);
    /// let permit = tables.try_acquire();
    /// assert!(permit.is_some() && tables.try_acquire().is_none());
    /// ```
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.semaphore.try_acquire()
    }

    /// Gives a permit back that was [forgotten](Permit::forget).
    ///
    /// # Errors
    /// When no permit is missing.
    ///
    /// # Examples
    /// ```
    /// use aioxide::BoundedSemaphore;
    ///
    /// let jobs = BoundedSemaphore::new(1);
    /// jobs.try_acquire().unwrap().forget();
    /// assert!(jobs.release().is_ok());
    /// assert!(jobs.release().is_err());
    /// ```
    pub fn release(&self) -> Result<(), ReleasedTooOften> {
        if self.semaphore.permits.get() >= self.bound {
            return Err(ReleasedTooOften);
        }
        self.semaphore.release();
        Ok(())
    }

    /// As [`Semaphore::locked`].
    ///
    /// # Examples
    /// ```
    /// use aioxide::BoundedSemaphore;
    ///
    /// let tables = BoundedSemaphore::new(1);
    /// let permit = tables.try_acquire();
    /// assert!(tables.locked());
    /// drop(permit);
    /// assert!(!tables.locked());
    /// ```
    pub fn locked(&self) -> bool {
        self.semaphore.locked()
    }
}

impl fmt::Debug for BoundedSemaphore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("BoundedSemaphore");
        shown
            .field("semaphore", &self.semaphore)
            .field("bound", &self.bound)
            .finish()
    }
}

/// A permit was given back that nobody had taken: asyncio's `ValueError`.
///
/// # Examples
/// ```
/// use aioxide::{BoundedSemaphore, ReleasedTooOften};
///
/// assert_eq!(BoundedSemaphore::new(1).release(), Err(ReleasedTooOften));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReleasedTooOften;

impl fmt::Display for ReleasedTooOften {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("BoundedSemaphore released too many times")
    }
}

impl Error for ReleasedTooOften {}
