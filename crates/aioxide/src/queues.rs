//! `Queue`, `PriorityQueue`, `LifoQueue`: items on their way from task to task.
//!
//! One type, over three stores. A wake-up is a hint, as in asyncio: who is woken looks again, and who is
//! cancelled with a wake-up in his hands passes it on, so that none is lost.
//!
//! ```text
//! Open ──► shutdown ──► ShutDown: puts fail, gets fail when it is empty
//! ```
//!
//! Counterpart: `Lib/asyncio/queues.py`.
//! Differs from asyncio: an item that could not be put comes back inside of the error.

#![forbid(unsafe_code)]

mod errors;
mod stores;

use std::cell::{Cell, RefCell};
use std::fmt;

pub use errors::{CalledTooOften, PutError, QueueEmpty, QueueError, QueueFull, QueueShutDown};
pub use stores::{Heap, Stack, Store};

use crate::exceptions::Cancelled;
use crate::waiters::{WaitList, wait_in};

/// A queue: first in, first out.
///
/// ```
/// use aioxide::{Queue, TaskGroup, run};
///
/// run(async {
///     let queue = Queue::new(1);
///     let sum = TaskGroup::<aioxide::QueueError>::scope(async |group| {
///         group.create_task(async {
///             for item in 1..=3 {
///                 queue.put(item).await?;
///             }
///             queue.shutdown();
///             Ok(())
///         });
///         let mut sum = 0;
///         while let Ok(item) = queue.get().await {
///             sum += item;
///         }
///         Ok(sum)
///     });
///     assert_eq!(sum.await.unwrap(), 6);
/// });
/// ```
pub type Queue<T> = QueueOf<std::collections::VecDeque<T>>;

/// A queue that gives the smallest item first.
///
/// ```
/// let queue = aioxide::PriorityQueue::new(0);
/// for item in [3, 1, 2] {
///     queue.put_nowait(item).unwrap();
/// }
/// assert_eq!(queue.get_nowait(), Ok(1));
/// ```
pub type PriorityQueue<T> = QueueOf<Heap<T>>;

/// A queue that gives the newest item first.
///
/// ```
/// let queue = aioxide::LifoQueue::new(0);
/// for item in [3, 1, 2] {
///     queue.put_nowait(item).unwrap();
/// }
/// assert_eq!(queue.get_nowait(), Ok(2));
/// ```
pub type LifoQueue<T> = QueueOf<Stack<T>>;

/// What [`Queue`], [`PriorityQueue`] and [`LifoQueue`] have in common.
///
/// ```
/// use aioxide::{Queue, create_task, run};
/// use std::rc::Rc;
///
/// run(async {
///     let queue = Rc::new(Queue::new(2));
///     let worker = Rc::clone(&queue);
///     let worker = create_task(async move {
///         let mut seen = Vec::new();
///         while let Ok(item) = worker.get().await {
///             seen.push(item);
///             worker.task_done().unwrap();
///         }
///         seen
///     });
///     queue.put("spring").await.unwrap();
///     queue.put_nowait("summer").unwrap();
///     assert!(queue.full() && queue.put_nowait("autumn").unwrap_err().into_item() == "autumn");
///     queue.join().await.unwrap();
///     queue.shutdown();
///     assert_eq!(worker.await.unwrap(), ["spring", "summer"]);
/// });
/// ```
pub struct QueueOf<S> {
    items: RefCell<S>,
    /// The largest number of items; zero for any number.
    size: usize,
    shut_down: Cell<bool>,
    getters: WaitList,
    putters: WaitList,
    /// Items that were put and not reported as done.
    unfinished: Cell<usize>,
    joiners: WaitList,
}

impl<S: Store> QueueOf<S> {
    /// Makes an empty queue for `size` items, or for any number if that is zero.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Queue;
    ///
    /// let (small, endless) = (Queue::<u32>::new(1), Queue::<u32>::new(0));
    /// assert!(small.put_nowait(1).is_ok() && small.full());
    /// assert!(endless.put_nowait(1).is_ok() && !endless.full());
    /// ```
    pub fn new(size: usize) -> QueueOf<S> {
        QueueOf {
            items: RefCell::new(S::default()),
            size,
            shut_down: Cell::new(false),
            getters: WaitList::new(),
            putters: WaitList::new(),
            unfinished: Cell::new(0),
            joiners: WaitList::new(),
        }
    }

    /// Puts an item in, and waits for a place if there is none.
    ///
    /// # Cancellation
    /// The item comes back inside of the error.
    ///
    /// # Errors
    /// The cancellation, or that the queue is shut down.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Queue, run, wait_for};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let queue = Queue::new(1);
    ///     queue.put("first").await.unwrap();
    ///     let second = wait_for(queue.put("second"), Duration::from_millis(1)).await;
    ///     assert!(second.is_err()); // There was no place in time.
    ///     assert_eq!(queue.qsize(), 1);
    /// });
    /// ```
    pub async fn put(&self, item: S::Item) -> Result<(), PutError<S::Item>> {
        while !self.shut_down.get() && self.full() {
            if let Err(cancelled) = wait_in(&self.putters, || self.pass_on_place()).await {
                return Err(PutError {
                    item,
                    cause: QueueError::Cancelled(cancelled),
                });
            }
        }
        self.put_nowait(item).map_err(|full| PutError {
            item: full.into_item(),
            cause: QueueError::ShutDown(QueueShutDown),
        })
    }

    /// Puts an item in.
    ///
    /// # Errors
    /// When there is no place, or the queue is shut down; the item comes back.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Queue;
    ///
    /// let queue = Queue::new(1);
    /// assert!(queue.put_nowait("first").is_ok());
    /// assert_eq!(queue.put_nowait("second").unwrap_err().into_item(), "second");
    /// ```
    pub fn put_nowait(&self, item: S::Item) -> Result<(), QueueFull<S::Item>> {
        if self.shut_down.get() || self.full() {
            return Err(QueueFull::new(item));
        }
        self.items.borrow_mut().push(item);
        self.unfinished.set(self.unfinished.get() + 1);
        self.getters.wake_first();
        Ok(())
    }

    /// Takes an item out, and waits for one if there is none.
    ///
    /// # Cancellation
    /// No item is lost: it is taken out in the step that returns it.
    ///
    /// # Errors
    /// The cancellation, or that the queue is shut down and empty.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Queue, create_task, run};
    /// use std::rc::Rc;
    ///
    /// run(async {
    ///     let queue = Rc::new(Queue::new(0));
    ///     let giver = Rc::clone(&queue);
    ///     create_task(async move { giver.put("letter").await });
    ///     assert_eq!(queue.get().await, Ok("letter"));
    /// });
    /// ```
    pub async fn get(&self) -> Result<S::Item, QueueError> {
        loop {
            if let Ok(item) = self.get_nowait() {
                return Ok(item);
            }
            if self.shut_down.get() {
                return Err(QueueError::ShutDown(QueueShutDown));
            }
            wait_in(&self.getters, || self.pass_on_item()).await?;
        }
    }

    /// Takes an item out.
    ///
    /// # Errors
    /// When there is none.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Queue, QueueEmpty};
    ///
    /// let queue = Queue::new(0);
    /// queue.put_nowait("letter").unwrap();
    /// assert_eq!(queue.get_nowait(), Ok("letter"));
    /// assert_eq!(queue.get_nowait(), Err(QueueEmpty));
    /// ```
    pub fn get_nowait(&self) -> Result<S::Item, QueueEmpty> {
        let item = self.items.borrow_mut().pop().ok_or(QueueEmpty)?;
        self.putters.wake_first();
        Ok(item)
    }

    /// Reports that an item that was taken out is dealt with.
    ///
    /// # Errors
    /// When that was reported of all items already.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Queue, run};
    ///
    /// run(async {
    ///     let queue = Queue::new(0);
    ///     queue.put("letter").await.unwrap();
    ///     queue.get().await.unwrap();
    ///     assert!(queue.task_done().is_ok());
    ///     assert!(queue.task_done().is_err()); // There was only one.
    /// });
    /// ```
    pub fn task_done(&self) -> Result<(), CalledTooOften> {
        let left = self.unfinished.get().checked_sub(1).ok_or(CalledTooOften)?;
        self.unfinished.set(left);
        if left == 0 {
            self.joiners.wake_all();
        }
        Ok(())
    }

    /// Waits until all items that were put in are dealt with.
    ///
    /// # Cancellation
    /// Ends the wait.
    ///
    /// # Errors
    /// Only the cancellation.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Queue, create_task, run};
    /// use std::rc::Rc;
    ///
    /// run(async {
    ///     let queue = Rc::new(Queue::new(0));
    ///     queue.put("letter").await.unwrap();
    ///     let worker = Rc::clone(&queue);
    ///     let answering = create_task(async move {
    ///         worker.get().await.unwrap();
    ///         worker.task_done().unwrap();
    ///     });
    ///     queue.join().await.unwrap();
    ///     assert!(answering.done());
    /// });
    /// ```
    pub async fn join(&self) -> Result<(), Cancelled> {
        if self.unfinished.get() > 0 {
            wait_in(&self.joiners, || {}).await?;
        }
        Ok(())
    }

    /// Shuts the queue down: nothing can be put in any more; what is in it can still be taken out.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Queue, run};
    ///
    /// run(async {
    ///     let queue = Queue::new(0);
    ///     queue.put("last").await.unwrap();
    ///     queue.shutdown();
    ///     assert!(queue.put("late").await.is_err());
    ///     assert_eq!(queue.get().await, Ok("last"));
    ///     assert!(queue.get().await.is_err());
    /// });
    /// ```
    pub fn shutdown(&self) {
        self.shut_down.set(true);
        self.getters.wake_all();
        self.putters.wake_all();
    }

    /// Shuts the queue down and returns what was in it, which counts as dealt with.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Queue, run};
    ///
    /// run(async {
    ///     let queue = Queue::new(0);
    ///     queue.put("first").await.unwrap();
    ///     queue.put("second").await.unwrap();
    ///     assert_eq!(queue.shutdown_immediate(), ["first", "second"]);
    ///     assert!(queue.get().await.is_err());
    /// });
    /// ```
    pub fn shutdown_immediate(&self) -> S {
        let items = self.items.take();
        self.unfinished.set(self.unfinished.get().saturating_sub(items.len()));
        self.shutdown();
        if self.unfinished.get() == 0 {
            self.joiners.wake_all();
        }
        items
    }

    /// Returns how many items are in it.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Queue;
    ///
    /// let queue = Queue::new(0);
    /// queue.put_nowait("letter").unwrap();
    /// assert_eq!(queue.qsize(), 1);
    /// ```
    pub fn qsize(&self) -> usize {
        self.items.borrow().len()
    }

    /// Returns the largest number of items; zero for any number.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(aioxide::Queue::<u32>::new(10).maxsize(), 10);
    /// ```
    pub const fn maxsize(&self) -> usize {
        self.size
    }

    /// Returns whether it has no item.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Queue;
    ///
    /// let queue = Queue::new(0);
    /// assert!(queue.empty());
    /// queue.put_nowait("letter").unwrap();
    /// assert!(!queue.empty());
    /// ```
    pub fn empty(&self) -> bool {
        self.qsize() == 0
    }

    /// Returns whether it has no place.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Queue;
    ///
    /// let queue = Queue::new(1);
    /// assert!(!queue.full());
    /// queue.put_nowait("letter").unwrap();
    /// assert!(queue.full());
    /// ```
    pub fn full(&self) -> bool {
        self.size > 0 && self.qsize() >= self.size
    }

    fn pass_on_item(&self) {
        if !self.empty() {
            self.getters.wake_first();
        }
    }

    fn pass_on_place(&self) {
        if !self.full() {
            self.putters.wake_first();
        }
    }
}

impl<S: Store> fmt::Debug for QueueOf<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Queue");
        shown.field("qsize", &self.qsize()).field("maxsize", &self.size);
        shown
            .field("getters", &self.getters.len())
            .field("putters", &self.putters.len())
            .finish()
    }
}
