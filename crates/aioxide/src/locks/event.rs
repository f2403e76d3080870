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
    pub async fn wait(&self) -> Result<(), Cancelled> {
        if self.set.get() {
            return Ok(());
        }
        wait_in(&self.waiters, || {}).await
    }

    /// Sets the event, and wakes all who wait.
    pub fn set(&self) {
        if !self.set.replace(true) {
            self.waiters.wake_all();
        }
    }

    /// Clears the event: who comes now waits again.
    pub fn clear(&self) {
        self.set.set(false);
    }

    /// Returns whether the event is set.
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
