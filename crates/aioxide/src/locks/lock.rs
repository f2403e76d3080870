//! `Lock`: one task at a time.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell, RefMut};
use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::exceptions::Cancelled;
use crate::waiters::{WaitList, wait_in};

/// A value that one task at a time may use, across awaits.
///
/// # Fairness
/// First come, first served.
///
/// # Examples
/// ```
/// use aioxide::{Lock, run};
///
/// run(async {
///     let count = Lock::new(0);
///     *count.acquire().await.unwrap() += 1;
///     let guard = count.acquire().await.unwrap();
///     assert!(count.locked());
///     assert_eq!(*guard, 1);
/// });
/// ```
pub struct Lock<T> {
    locked: Cell<bool>,
    waiters: WaitList,
    value: RefCell<T>,
}

impl<T> Lock<T> {
    /// Makes a lock that is free.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Lock;
    ///
    /// let account = Lock::new(100);
    /// assert!(!account.locked());
    /// ```
    pub const fn new(value: T) -> Lock<T> {
        Lock {
            locked: Cell::new(false),
            waiters: WaitList::new(),
            value: RefCell::new(value),
        }
    }

    /// Waits until the lock is free, and takes it.
    ///
    /// # Cancellation
    /// The task leaves the line.
    ///
    /// # Errors
    /// Only the cancellation.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Lock, run, sleep};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let account = Lock::new(100);
    ///     let mut balance = account.acquire().await.unwrap();
    ///     sleep(Duration::from_millis(1)).await.unwrap(); // Nobody else comes in between.
    ///     *balance -= 30;
    ///     drop(balance);
    ///     assert_eq!(*account.acquire().await.unwrap(), 70);
    /// });
    /// ```
    pub async fn acquire(&self) -> Result<LockGuard<'_, T>, Cancelled> {
        if let Some(guard) = self.try_acquire() {
            return Ok(guard);
        }
        // Whoever releases the lock hands it over: it stays locked.
        wait_in(&self.waiters, || self.release()).await?;
        Ok(self.guard())
    }

    /// Takes the lock if it is free.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Lock;
    ///
    /// let printer = Lock::new("paper");
    /// let guard = printer.try_acquire().unwrap();
    /// assert!(printer.try_acquire().is_none());
    /// drop(guard);
    /// assert!(printer.try_acquire().is_some());
    /// ```
    pub fn try_acquire(&self) -> Option<LockGuard<'_, T>> {
        (!self.locked.replace(true)).then(|| self.guard())
    }

    /// Returns whether somebody has it.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Lock, run};
    ///
    /// run(async {
    ///     let printer = Lock::new("paper");
    ///     let guard = printer.acquire().await.unwrap();
    ///     assert!(printer.locked());
    ///     drop(guard);
    ///     assert!(!printer.locked());
    /// });
    /// ```
    pub fn locked(&self) -> bool {
        self.locked.get()
    }

    /// Returns the value, which nobody else can be using.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Lock, run};
    ///
    /// run(async {
    ///     let names = Lock::new(Vec::new());
    ///     names.acquire().await.unwrap().push("alice");
    ///     assert_eq!(names.into_inner(), ["alice"]);
    /// });
    /// ```
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }

    fn guard(&self) -> LockGuard<'_, T> {
        LockGuard {
            value: Some(self.value.borrow_mut()),
            lock: self,
        }
    }

    /// Hands the lock to the next one, or frees it.
    fn release(&self) {
        if !self.waiters.wake_first() {
            self.locked.set(false);
        }
    }
}

impl<T: Default> Default for Lock<T> {
    fn default() -> Lock<T> {
        Lock::new(T::default())
    }
}

impl<T> fmt::Debug for Lock<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Lock");
        shown
            .field("locked", &self.locked())
            .field("waiters", &self.waiters.len())
            .finish()
    }
}

/// A [`Lock`] that was acquired; dropping it releases the lock.
///
/// # Examples
/// ```
/// use aioxide::{Lock, LockGuard, run};
///
/// run(async {
///     let names = Lock::new(vec!["alice"]);
///     let mut guard: LockGuard<'_, Vec<&str>> = names.acquire().await.unwrap();
///     guard.push("bob"); // It is used as the value itself.
///     drop(guard);
///     assert!(!names.locked());
/// });
/// ```
#[must_use = "dropping the guard releases the lock"]
pub struct LockGuard<'lock, T> {
    /// Empty only while it is dropped: the value goes before the lock does.
    value: Option<RefMut<'lock, T>>,
    lock: &'lock Lock<T>,
}

impl<'lock, T> LockGuard<'lock, T> {
    pub(super) const fn lock(&self) -> &'lock Lock<T> {
        self.lock
    }
}

impl<T> Deref for LockGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value
            .as_deref()
            .expect("a guard has its value until it is dropped")
    }
}

impl<T> DerefMut for LockGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value
            .as_deref_mut()
            .expect("a guard has its value until it is dropped")
    }
}

impl<T> Drop for LockGuard<'_, T> {
    fn drop(&mut self) {
        self.value = None;
        self.lock.release();
    }
}

impl<T: fmt::Debug> fmt::Debug for LockGuard<'_, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}
