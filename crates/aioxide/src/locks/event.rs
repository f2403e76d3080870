//! `Event`: tells all who wait that something has happened.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::fmt;

use crate::exceptions::Cancelled;
use crate::waiters::{WaitList, wait_in};

/// A flag that tasks wait for.
///
/// ```
/// use aioxide::{Event, create_task, run};
/// use std::rc::Rc;
///
/// run(async {
///     let event = Rc::new(Event::new());
///     let setter = Rc::clone(&event);
///     let task = create_task(async move { setter.set() });
///     event.wait().await.unwrap();
///     assert!(event.is_set());
///     task.await.unwrap();
/// });
/// ```
pub struct Event {
    set: Cell<bool>,
    waiters: WaitList,
}

impl Event {
    /// Makes an event that is not set.
    ///
    /// # Examples
    /// ```
    /// assert!(!aioxide::Event::new().is_set());
    /// ```
    pub const fn new() -> Event {
        Event {
            set: Cell::new(false),
            waiters: WaitList::new(),
        }
    }

    /// Waits until the event is set. Who was woken goes on even if it is cleared again meanwhile.
    ///
    /// # Cancellation
    /// The task leaves the line.
    ///
    /// # Errors
    /// Only the cancellation.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Event, run, wait_for};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let ready = Event::new();
    ///     assert!(wait_for(ready.wait(), Duration::from_millis(1)).await.is_err());
    ///     ready.set();
    ///     ready.wait().await.unwrap(); // At once.
    /// });
    /// ```
    pub async fn wait(&self) -> Result<(), Cancelled> {
        if self.set.get() {
            return Ok(());
        }
        wait_in(&self.waiters, || {}).await
    }

    /// Sets the event, and wakes all who wait.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Cancelled, Event, TaskGroup, run, sleep};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let doors = Event::new();
    ///     let opened = TaskGroup::<Cancelled>::scope(async |group| {
    ///         group.create_task(doors.wait());
    ///         group.create_task(doors.wait());
    ///         sleep(Duration::from_millis(1)).await?;
    ///         doors.set();
    ///         Ok(())
    ///     });
    ///     assert!(opened.await.is_ok()); // Both were woken.
    /// });
    /// ```
    pub fn set(&self) {
        if !self.set.replace(true) {
            self.waiters.wake_all();
        }
    }

    /// Clears the event: who comes now waits again.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Event;
    ///
    /// let ready = Event::new();
    /// ready.set();
    /// ready.clear();
    /// assert!(!ready.is_set());
    /// ```
    pub fn clear(&self) {
        self.set.set(false);
    }

    /// Returns whether the event is set.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Event;
    ///
    /// let ready = Event::new();
    /// assert!(!ready.is_set());
    /// ready.set();
    /// assert!(ready.is_set());
    /// ```
    pub fn is_set(&self) -> bool {
        self.set.get()
    }
}

impl Default for Event {
    fn default() -> Event {
        Event::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Event");
        shown
            .field("set", &self.is_set())
            .field("waiters", &self.waiters.len())
            .finish()
    }
}
