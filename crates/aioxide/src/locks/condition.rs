//! `Condition`: waits, holding a lock, for a change that another task tells of.

#![forbid(unsafe_code)]

use std::fmt;

use super::lock::{Lock, LockGuard};
use crate::exceptions::Cancelled;
use crate::waiters::{Wait, WaitList};

/// A lock whose holders wait for each other's changes.
///
/// Differs from asyncio: who is cancelled while he waits does not take the lock again, for its guard went
/// into the wait.
///
/// # Examples
/// ```
/// use aioxide::{Condition, create_task, run};
/// use std::rc::Rc;
///
/// run(async {
///     let basket = Rc::new(Condition::new(Vec::new()));
///     let giver = Rc::clone(&basket);
///     let giving = create_task(async move {
///         giver.acquire().await?.push("apple");
///         giver.notify(1);
///         Ok::<_, aioxide::Cancelled>(())
///     });
///     let guard = basket.acquire().await.unwrap();
///     let mut guard = basket.wait_for(guard, |basket| !basket.is_empty()).await.unwrap();
///     assert_eq!(guard.pop(), Some("apple"));
///     giving.await.unwrap().unwrap();
/// });
/// ```
pub struct Condition<T> {
    lock: Lock<T>,
    waiters: WaitList,
}

impl<T> Condition<T> {
    /// Makes a condition with a lock that is free.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Condition;
    ///
    /// let basket = Condition::new(vec!["apple"]);
    /// assert!(!basket.locked());
    /// ```
    pub const fn new(value: T) -> Condition<T> {
        Condition {
            lock: Lock::new(value),
            waiters: WaitList::new(),
        }
    }

    /// Takes the lock; see [`Lock::acquire`].
    ///
    /// # Cancellation
    /// The task leaves the line.
    ///
    /// # Errors
    /// Only the cancellation.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Condition, run};
    ///
    /// run(async {
    ///     let basket = Condition::new(vec!["apple"]);
    ///     basket.acquire().await.unwrap().push("pear");
    ///     assert_eq!(*basket.acquire().await.unwrap(), ["apple", "pear"]);
    /// });
    /// ```
    pub async fn acquire(&self) -> Result<LockGuard<'_, T>, Cancelled> {
        self.lock.acquire().await
    }

    /// Returns whether somebody has the lock.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Condition, run};
    ///
    /// run(async {
    ///     let light = Condition::new("red");
    ///     let guard = light.acquire().await.unwrap();
    ///     assert!(light.locked());
    ///     drop(guard);
    ///     assert!(!light.locked());
    /// });
    /// ```
    pub fn locked(&self) -> bool {
        self.lock.locked()
    }

    /// Releases the lock, waits for a notification, and takes the lock again.
    ///
    /// # Cancellation
    /// The lock stays released. A notification that came in the same turn goes on to the next who waits.
    ///
    /// # Errors
    /// Only the cancellation.
    ///
    /// # Panics
    /// When the guard is of another lock.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Condition, create_task, run};
    /// use std::rc::Rc;
    ///
    /// run(async {
    ///     let light = Rc::new(Condition::new("red"));
    ///     let switch = Rc::clone(&light);
    ///     create_task(async move {
    ///         *switch.acquire().await.unwrap() = "green";
    ///         switch.notify(1);
    ///     });
    ///     let guard = light.acquire().await.unwrap();
    ///     let guard = light.wait(guard).await.unwrap();
    ///     assert_eq!(*guard, "green");
    /// });
    /// ```
    pub async fn wait<'lock>(&'lock self, guard: LockGuard<'lock, T>) -> Result<LockGuard<'lock, T>, Cancelled> {
        assert!(
            std::ptr::eq(guard.lock(), &raw const self.lock),
            "cannot wait on un-acquired lock"
        );
        let notified = {
            // In line before the lock is free: a change that follows at once is not missed.
            let mut wait = Wait::new(&self.waiters, || self.notify(1));
            let mut guard = Some(guard);
            std::future::poll_fn(|context| {
                let polled = wait.poll(context);
                guard.take();
                polled
            })
            .await
        };
        notified?;
        match self.lock.acquire().await {
            Ok(guard) => Ok(guard),
            Err(cancelled) => {
                self.notify(1);
                Err(cancelled)
            }
        }
    }

    /// Waits until `predicate` holds.
    ///
    /// # Cancellation
    /// As [`Condition::wait`].
    ///
    /// # Errors
    /// Only the cancellation.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Condition, create_task, run};
    /// use std::rc::Rc;
    ///
    /// run(async {
    ///     let stock = Rc::new(Condition::new(0));
    ///     let supplier = Rc::clone(&stock);
    ///     create_task(async move {
    ///         for _ in 0..3 {
    ///             *supplier.acquire().await.unwrap() += 1;
    ///             supplier.notify(1);
    ///         }
    ///     });
    ///     let guard = stock.acquire().await.unwrap();
    ///     let guard = stock.wait_for(guard, |count| *count >= 3).await.unwrap();
    ///     assert_eq!(*guard, 3);
    /// });
    /// ```
    pub async fn wait_for<'lock>(
        &'lock self,
        mut guard: LockGuard<'lock, T>,
        mut predicate: impl FnMut(&mut T) -> bool,
    ) -> Result<LockGuard<'lock, T>, Cancelled> {
        while !predicate(&mut guard) {
            guard = self.wait(guard).await?;
        }
        Ok(guard)
    }

    /// Wakes `count` of those who wait, the oldest first.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Condition, create_task, run, sleep};
    /// use std::{rc::Rc, time::Duration};
    ///
    /// run(async {
    ///     let gate = Rc::new(Condition::new(()));
    ///     let visitors = [1, 2, 3].map(|_| {
    ///         let gate = Rc::clone(&gate);
    ///         create_task(async move { gate.wait(gate.acquire().await?).await.map(drop) })
    ///     });
    ///     sleep(Duration::ZERO).await.unwrap();
    ///     gate.notify(2);
    ///     sleep(Duration::ZERO).await.unwrap();
    ///     assert_eq!(visitors.map(|visitor| visitor.done()), [true, true, false]);
    /// });
    /// ```
    pub fn notify(&self, count: usize) {
        for _ in 0..count {
            if !self.waiters.wake_first() {
                return;
            }
        }
    }

    /// Wakes all who wait.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Condition, create_task, run, sleep};
    /// use std::{rc::Rc, time::Duration};
    ///
    /// run(async {
    ///     let gate = Rc::new(Condition::new(()));
    ///     let visitors = [1, 2, 3].map(|_| {
    ///         let gate = Rc::clone(&gate);
    ///         create_task(async move { gate.wait(gate.acquire().await?).await.map(drop) })
    ///     });
    ///     sleep(Duration::ZERO).await.unwrap();
    ///     gate.notify_all();
    ///     for visitor in visitors {
    ///         visitor.await.unwrap().unwrap();
    ///     }
    /// });
    /// ```
    pub fn notify_all(&self) {
        self.waiters.wake_all();
    }
}

impl<T> fmt::Debug for Condition<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Condition");
        shown
            .field("lock", &self.lock)
            .field("waiters", &self.waiters.len())
            .finish()
    }
}
