//! The stores behind the queues: in which order items come out.

#![forbid(unsafe_code)]

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// A collection that decides which item is next.
///
/// # Examples
/// ```
/// use aioxide::{QueueOf, Store};
/// use std::collections::BinaryHeap;
///
/// #[derive(Default)]
/// struct LargestFirst(BinaryHeap<u32>);
///
/// impl Store for LargestFirst {
///     type Item = u32;
///
///     fn push(&mut self, item: u32) {
///         self.0.push(item);
///     }
///
///     fn pop(&mut self) -> Option<u32> {
///         self.0.pop()
///     }
///
///     fn len(&self) -> usize {
///         self.0.len()
///     }
/// }
///
/// let queue: QueueOf<LargestFirst> = QueueOf::new(0);
/// queue.put_nowait(1).unwrap();
/// queue.put_nowait(2).unwrap();
/// assert_eq!(queue.get_nowait(), Ok(2));
/// ```
pub trait Store: Default {
    /// What is stored.
    type Item;

    /// Adds an item.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Heap, Store};
    ///
    /// let mut heap = Heap::default();
    /// heap.push("item");
    /// assert_eq!(heap.len(), 1);
    /// ```
    fn push(&mut self, item: Self::Item);

    /// Takes the next item out.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Heap, Store};
    ///
    /// let mut heap = Heap::default();
    /// heap.push("item");
    /// assert_eq!((heap.pop(), heap.pop()), (Some("item"), None));
    /// ```
    fn pop(&mut self) -> Option<Self::Item>;

    /// Returns how many items there are.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Heap, Store};
    ///
    /// assert_eq!(Heap::<u32>::default().len(), 0);
    /// ```
    fn len(&self) -> usize;

    /// Returns whether there is none.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Heap, Store};
    ///
    /// assert!(Heap::<u32>::default().is_empty());
    /// ```
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Store for VecDeque<T> {
    type Item = T;

    fn push(&mut self, item: T) {
        self.push_back(item);
    }

    fn pop(&mut self) -> Option<T> {
        self.pop_front()
    }

    fn len(&self) -> usize {
        VecDeque::len(self)
    }
}

/// The smallest item first.
///
/// # Examples
/// ```
/// use aioxide::{Heap, Store};
///
/// let mut heap = Heap::default();
/// [2, 3, 1].into_iter().for_each(|item| heap.push(item));
/// assert_eq!([heap.pop(), heap.pop(), heap.pop()], [Some(1), Some(2), Some(3)]);
/// ```
#[derive(Debug)]
pub struct Heap<T>(BinaryHeap<Reverse<T>>);

impl<T: Ord> Default for Heap<T> {
    fn default() -> Heap<T> {
        Heap(BinaryHeap::new())
    }
}

impl<T: Ord> Store for Heap<T> {
    type Item = T;

    fn push(&mut self, item: T) {
        self.0.push(Reverse(item));
    }

    fn pop(&mut self) -> Option<T> {
        self.0.pop().map(|Reverse(item)| item)
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

/// The newest item first.
///
/// # Examples
/// ```
/// use aioxide::{Stack, Store};
///
/// let mut stack = Stack::default();
/// [2, 3, 1].into_iter().for_each(|item| stack.push(item));
/// assert_eq!([stack.pop(), stack.pop(), stack.pop()], [Some(1), Some(3), Some(2)]);
/// ```
#[derive(Debug)]
pub struct Stack<T>(Vec<T>);

impl<T> Default for Stack<T> {
    fn default() -> Stack<T> {
        Stack(Vec::new())
    }
}

impl<T> Store for Stack<T> {
    type Item = T;

    fn push(&mut self, item: T) {
        self.0.push(item);
    }

    fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}
