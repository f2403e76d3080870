//! `Timers`: handles to run at a deadline, with cancellation that gives the memory back.
//!
//! A heap of small nodes is ordered by deadline, then by order of insertion; a slab holds the
//! handles and knows where each one's node is, so that cancelling removes the node at once.
//!
//! ```text
//! heap: [ (when, sequence, slot) , ... ]      slab: [ Slot { generation, link, handle } , ... ]
//!            4 children a node  \--- slot --->        link: the node's place in the heap,
//!                                <-- link ---/              or the next vacant slot
//! ```
//!
//! Invariants:
//! 1. a slot is occupied if and only if exactly one node names it, and its `link` is that node's place;
//! 2. vacant slots form a list from `vacant`, through `link`, to `NIL`;
//! 3. a slot's generation is raised each time it is vacated, and a slot that comes back after the
//!    slab has shrunk starts above all that were dropped: no [`TimerKey`] ever names two timers.
//!
//! Four children a node rather than two: half the levels, and siblings share cache lines.
//! `benches/engine.rs` (`timers`) has the numbers.
//!
//! Counterpart: `BaseEventLoop._scheduled`.
//! Differs from asyncio: a cancelled timer is gone at once, not when it comes to the top or when
//! half of the heap is cancelled; timers of one deadline fire in the order they were set.

use crate::clock::Deadline;

/// A set of timers, each holding a handle.
///
/// No method drops a handle: each gives it to the caller, who may have to bring his own state in
/// order before the handle's destructor runs.
///
/// # Examples
/// ```
/// use aioxide::{Deadline, Timers};
///
/// let mut timers = Timers::new();
/// timers.insert(Deadline::from_nanos(20), "later");
/// timers.insert(Deadline::from_nanos(10), "sooner");
/// assert_eq!(timers.pop_expired(Deadline::from_nanos(15)), Some("sooner"));
/// assert_eq!(timers.pop_expired(Deadline::from_nanos(15)), None);
/// ```
#[derive(Debug)]
pub struct Timers<H> {
    heap: Vec<Node>,
    slots: Vec<Slot<H>>,
    /// Head of the list of vacant slots.
    vacant: u32,
    /// The next node's rank among equal deadlines.
    sequence: u64,
    /// The generation that new slots start with.
    first_generation: u32,
    /// Shrink when fewer timers than this are left.
    shrink_below: usize,
}

impl<H> Timers<H> {
    /// Makes an empty set; nothing is allocated.
    ///
    /// # Examples
    /// ```
    /// assert!(aioxide::Timers::<u32>::new().is_empty());
    /// ```
    pub const fn new() -> Timers<H> {
        Timers {
            heap: Vec::new(),
            slots: Vec::new(),
            vacant: NIL,
            sequence: 0,
            first_generation: 0,
            shrink_below: 0,
        }
    }

    /// Sets a timer. One set for [`Deadline::NEVER`] can only be cancelled.
    ///
    /// # Panics
    /// When 2³² - 1 timers are set (over 100 GiB of them).
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Deadline, Timers};
    ///
    /// let mut timers = Timers::new();
    /// let key = timers.insert(Deadline::from_nanos(10), "handle");
    /// assert_eq!(timers.deadline(key), Some(Deadline::from_nanos(10)));
    /// ```
    #[inline]
    pub fn insert(&mut self, when: Deadline, handle: H) -> TimerKey {
        let (index, generation) = self.occupy(handle);
        let node = Node {
            when,
            sequence: self.sequence,
            slot: index,
        };
        self.sequence += 1;
        self.heap.push(node);
        self.sift_up(self.heap.len() - 1, node);
        TimerKey { index, generation }
    }

    /// Removes a timer and returns its handle; `None` when it has fired or was cancelled.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Deadline, Timers};
    ///
    /// let mut timers = Timers::new();
    /// let key = timers.insert(Deadline::from_nanos(10), "handle");
    /// assert_eq!(timers.cancel(key), Some("handle"));
    /// assert_eq!(timers.cancel(key), None);
    /// ```
    #[inline]
    pub fn cancel(&mut self, key: TimerKey) -> Option<H> {
        let slot = self.slots.get(key.index as usize)?;
        if slot.generation != key.generation || slot.handle.is_none() {
            return None;
        }
        let place = slot.link as usize;
        let handle = self.vacate(key.index);
        self.remove_node(place);
        self.shrink_if_sparse();
        handle
    }

    /// Removes the earliest timer if its deadline is not later than `now`, and returns its handle.
    /// Timers of one deadline come in the order they were set.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Deadline, Timers};
    ///
    /// let mut timers = Timers::new();
    /// timers.insert(Deadline::from_nanos(10), "first");
    /// timers.insert(Deadline::from_nanos(10), "second");
    /// let now = Deadline::from_nanos(10);
    /// assert_eq!((timers.pop_expired(now), timers.pop_expired(now)), (Some("first"), Some("second")));
    /// ```
    #[inline]
    pub fn pop_expired(&mut self, now: Deadline) -> Option<H> {
        let first = self.heap.first()?;
        if first.when > now || first.when.is_never() {
            return None;
        }
        let handle = self.vacate(first.slot);
        self.remove_node(0);
        self.shrink_if_sparse();
        handle
    }

    /// Removes every handle that is due at `now`, and hands each to `taker`, the earliest first.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Deadline, Timers};
    ///
    /// let mut timers = Timers::new();
    /// for nanos in [30, 10, 20] {
    ///     timers.insert(Deadline::from_nanos(nanos), nanos);
    /// }
    /// let mut due = Vec::new();
    /// timers.take_expired(Deadline::from_nanos(20), |handle| due.push(handle));
    /// assert_eq!(due, [10, 20]);
    /// assert_eq!(timers.len(), 1);
    /// ```
    #[inline]
    pub fn take_expired(&mut self, now: Deadline, mut taker: impl FnMut(H)) {
        for _ in 0..ONE_BY_ONE {
            match self.pop_expired(now) {
                Some(handle) => taker(handle),
                None => return,
            }
        }
        self.take_many_expired(now, taker);
    }

    /// Removes all timers and returns their handles, the earliest first.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Deadline, Timers};
    ///
    /// let mut timers = Timers::new();
    /// timers.insert(Deadline::from_nanos(20), "later");
    /// timers.insert(Deadline::from_nanos(10), "sooner");
    /// assert_eq!(timers.clear(), ["sooner", "later"]);
    /// ```
    pub fn clear(&mut self) -> Vec<H> {
        let mut nodes = std::mem::take(&mut self.heap);
        nodes.sort_unstable_by_key(Node::order);
        let handles = nodes.iter().filter_map(|node| self.vacate(node.slot)).collect();
        self.shrink();
        handles
    }

    /// Returns the earliest deadline.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Deadline, Timers};
    ///
    /// let mut timers = Timers::new();
    /// assert_eq!(timers.next_deadline(), None);
    /// timers.insert(Deadline::from_nanos(10), "handle");
    /// assert_eq!(timers.next_deadline(), Some(Deadline::from_nanos(10)));
    /// ```
    #[inline]
    pub fn next_deadline(&self) -> Option<Deadline> {
        self.heap.first().map(|node| node.when)
    }

    /// Returns a timer's deadline; `None` when it has fired or was cancelled.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Deadline, Timers};
    ///
    /// let mut timers = Timers::new();
    /// let key = timers.insert(Deadline::from_nanos(10), "handle");
    /// timers.pop_expired(Deadline::from_nanos(10));
    /// assert_eq!(timers.deadline(key), None, "it has fired");
    /// ```
    pub fn deadline(&self, key: TimerKey) -> Option<Deadline> {
        let slot = self.slots.get(key.index as usize)?;
        if slot.generation != key.generation || slot.handle.is_none() {
            return None;
        }
        Some(self.heap[slot.link as usize].when)
    }

    /// Returns the number of timers that are set.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Deadline, Timers};
    ///
    /// let mut timers = Timers::new();
    /// timers.insert(Deadline::NEVER, "handle");
    /// assert_eq!(timers.len(), 1);
    /// ```
    #[inline]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Returns whether no timer is set.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Deadline, Timers};
    ///
    /// let mut timers = Timers::new();
    /// let key = timers.insert(Deadline::NEVER, "handle");
    /// assert!(!timers.is_empty());
    /// timers.cancel(key);
    /// assert!(timers.is_empty());
    /// ```
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Returns deadlines and handles, in no particular order.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Deadline, Timers};
    ///
    /// let mut timers = Timers::new();
    /// timers.insert(Deadline::from_nanos(10), "handle");
    /// assert_eq!(timers.iter().collect::<Vec<_>>(), [(Deadline::from_nanos(10), &"handle")]);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (Deadline, &H)> {
        self.heap.iter().filter_map(|node| {
            let handle = self.slots[node.slot as usize].handle.as_ref()?;
            Some((node.when, handle))
        })
    }

    /// Puts a handle into a vacant slot, or a new one; the caller owes the node (invariant 1).
    #[inline]
    fn occupy(&mut self, handle: H) -> (u32, u32) {
        let index = self.vacant;
        if let Some(slot) = self.slots.get_mut(index as usize) {
            self.vacant = slot.link;
            slot.handle = Some(handle);
            return (index, slot.generation);
        }
        let index = u32::try_from(self.slots.len()).unwrap_or(NIL);
        assert!(index != NIL, "fewer than 2^32 - 1 timers");
        let generation = self.first_generation;
        self.slots.push(Slot {
            generation,
            link: NIL,
            handle: Some(handle),
        });
        self.shrink_below = self.slots.len() / SPARSENESS;
        (index, generation)
    }

    /// Takes the handle out of a slot and puts the slot on the vacant list; the caller owes the
    /// removal of the node (invariant 1).
    #[inline]
    fn vacate(&mut self, index: u32) -> Option<H> {
        let slot = &mut self.slots[index as usize];
        let handle = slot.handle.take();
        slot.generation = slot.generation.wrapping_add(1);
        if slot.generation == RETIRED {
            // All its generations are used up: it stays off the list for good (invariant 3).
            return handle;
        }
        slot.link = self.vacant;
        self.vacant = index;
        handle
    }

    /// The same for many: the nodes that are due are the top of the heap, for each is due only if the one above it is.
    /// Where they are much of it, sorting them and building the rest anew is a third of the work of taking one after
    /// the other from the top.
    #[inline(never)]
    fn take_many_expired(&mut self, now: Deadline, mut taker: impl FnMut(H)) {
        let is_due = |node: &Node| node.when <= now && !node.when.is_never();
        let mut places = Vec::new();
        places.extend(self.heap.first().filter(|node| is_due(node)).map(|_| 0));
        let mut seen = 0;
        while let Some(place) = places.get(seen) {
            let first = place * CHILDREN + 1;
            let children = self.heap.iter().enumerate().skip(first).take(CHILDREN);
            places.extend(children.filter(|(_, node)| is_due(node)).map(|(place, _)| place));
            seen += 1;
        }
        if places.len() < self.heap.len() / MUCH {
            while let Some(handle) = self.pop_expired(now) {
                taker(handle);
            }
            return;
        }
        let mut due: Vec<Node> = places.iter().map(|place| self.heap[*place]).collect();
        due.sort_unstable_by_key(Node::order);
        self.heap.retain(|node| !is_due(node));
        self.build();
        for node in due {
            if let Some(handle) = self.vacate(node.slot) {
                taker(handle);
            }
        }
        self.shrink_if_sparse();
    }

    /// Makes a heap of nodes in any order.
    fn build(&mut self) {
        for place in (0..self.heap.len()).rev() {
            self.sift_down(place, self.heap[place]);
        }
    }

    /// Removes the node at `place` and mends the heap with the last one.
    #[inline]
    fn remove_node(&mut self, place: usize) {
        let removed = self.heap[place];
        let Some(last) = self.heap.pop() else { return };
        if place == self.heap.len() {
            return;
        }
        // The last node may belong to another branch, so it can be earlier than the removed one.
        if last.before(&removed) {
            self.sift_up(place, last);
        } else {
            self.sift_down(place, last);
        }
    }

    /// Moves `node` from the hole at `place` towards the root, to where it belongs.
    #[inline]
    fn sift_up(&mut self, mut place: usize, node: Node) {
        while place > 0 {
            let parent = (place - 1) / CHILDREN;
            let above = self.heap[parent];
            if !node.before(&above) {
                break;
            }
            self.put(place, above);
            place = parent;
        }
        self.put(place, node);
    }

    /// Moves `node` from the hole at `place` towards the leaves, to where it belongs.
    #[inline]
    fn sift_down(&mut self, mut place: usize, node: Node) {
        while let Some(child) = self.earliest_child(place) {
            let least = self.heap[child];
            if !least.before(&node) {
                break;
            }
            self.put(place, least);
            place = child;
        }
        self.put(place, node);
    }

    /// Returns the place of the earliest child of the node at `place`.
    #[inline]
    fn earliest_child(&self, place: usize) -> Option<usize> {
        let first = place * CHILDREN + 1;
        let children = self.heap.get(first..)?;
        let Some(children) = children.first_chunk::<CHILDREN>() else {
            // The heap's last family.
            let children = children.iter().enumerate();
            return children
                .min_by_key(|(_, child)| child.order())
                .map(|(index, _)| first + index);
        };
        // Which child is earliest is as good as random: indices computed from comparisons, not
        // branches on them, save a quarter of the time of a removal.
        let left = usize::from(children[1].before(&children[0]));
        let right = 2 + usize::from(children[3].before(&children[2]));
        let least = [left, right][usize::from(children[right].before(&children[left]))];
        Some(first + least)
    }

    /// Writes a node into the heap and its place into its slot (invariant 1).
    #[inline]
    fn put(&mut self, place: usize, node: Node) {
        self.heap[place] = node;
        self.slots[node.slot as usize].link = place as u32;
    }

    #[inline]
    fn shrink_if_sparse(&mut self) {
        if self.heap.len() < self.shrink_below {
            self.shrink();
        }
    }

    /// Gives memory back: cuts vacant slots off the slab's end and spare capacity off both vectors.
    ///
    /// It takes time in proportion to the slab, so it is tried only when the slab has become
    /// [`SPARSENESS`] times too big, and again only when half of what is left is gone (the last few
    /// one by one, for the oldest timers often go first, and the youngest has the highest slot).
    /// The threshold only falls until the slab grows: constant time for each timer set.
    #[cold]
    fn shrink(&mut self) {
        if self.slots.len() > SMALLEST_SHRUNK {
            let occupied = self.slots.iter().rposition(|slot| slot.handle.is_some());
            let kept = occupied.map_or(0, |last| last + 1);
            let generations = self.slots[kept..].iter().map(|slot| slot.generation);
            let above_all = generations.fold(self.first_generation, u32::max);
            // A retired slot must stay: there is no generation above its own to start again with.
            if above_all < RETIRED {
                self.first_generation = above_all;
                self.slots.truncate(kept);
            }
            self.slots.shrink_to(kept * 2);
            self.heap.shrink_to(self.heap.len() * 2);
            self.relink_vacant();
        }
        self.shrink_below = match self.heap.len() {
            left @ ..FEW => left,
            left => left / 2,
        };
    }

    /// Rebuilds the vacant list, low slots first, so that the slab's end becomes vacant in time.
    fn relink_vacant(&mut self) {
        self.vacant = NIL;
        for (index, slot) in self.slots.iter_mut().enumerate().rev() {
            if slot.handle.is_none() && slot.generation != RETIRED {
                slot.link = self.vacant;
                self.vacant = index as u32;
            }
        }
    }
}

impl<H> Default for Timers<H> {
    fn default() -> Self {
        Timers::new()
    }
}

/// Names one timer for as long as the program lives: when the timer is gone, so is its name.
///
/// # Examples
/// ```
/// use aioxide::{Deadline, Timers};
///
/// let mut timers = Timers::new();
/// let key = timers.insert(Deadline::NEVER, "first");
/// timers.cancel(key);
/// timers.insert(Deadline::NEVER, "second");
/// assert_eq!(timers.cancel(key), None, "a key names one timer only");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TimerKey {
    index: u32,
    generation: u32,
}

impl TimerKey {
    /// Packs the key into an integer.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Deadline, Timers};
    ///
    /// let mut timers = Timers::new();
    /// let key = timers.insert(Deadline::NEVER, "handle");
    /// let bits: u64 = key.to_bits();
    /// assert_eq!(timers.cancel(aioxide::TimerKey::from_bits(bits)), Some("handle"));
    /// ```
    #[inline]
    pub const fn to_bits(self) -> u64 {
        ((self.generation as u64) << 32) | self.index as u64
    }

    /// Unpacks what [`TimerKey::to_bits`] packed. Any other integer names no timer, or some timer
    /// of the caller's; `u64::MAX` never names one.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Deadline, Timers};
    ///
    /// let mut timers = Timers::new();
    /// timers.insert(Deadline::NEVER, "handle");
    /// assert_eq!(timers.cancel(aioxide::TimerKey::from_bits(u64::MAX)), None);
    /// ```
    #[inline]
    pub const fn from_bits(bits: u64) -> TimerKey {
        TimerKey {
            index: bits as u32,
            generation: (bits >> 32) as u32,
        }
    }
}

/// A timer's place in the order of time.
#[derive(Clone, Copy, Debug)]
struct Node {
    when: Deadline,
    sequence: u64,
    slot: u32,
}

impl Node {
    #[inline]
    fn order(&self) -> u128 {
        (u128::from(self.when.as_nanos()) << 64) | u128::from(self.sequence)
    }

    #[inline]
    fn before(&self, other: &Node) -> bool {
        // One wide comparison, which compiles to no branch.
        self.order() < other.order()
    }
}

/// A timer's handle, or a vacancy.
#[derive(Debug)]
struct Slot<H> {
    generation: u32,
    /// Occupied: the node's place in the heap. Vacant: the next vacant slot, or `NIL`.
    link: u32,
    handle: Option<H>,
}

/// The end of the vacant list; no slot has this index.
const NIL: u32 = u32::MAX;

/// The generation of a slot that is never occupied again.
const RETIRED: u32 = u32::MAX;

/// Children of a heap node: 4 x 24 bytes of nodes lie within two cache lines.
const CHILDREN: usize = 4;

/// How many slots for one timer are too many: a heap that grows and halves does not reallocate.
const SPARSENESS: usize = 4;

/// So few timers may each be the one that holds up a big slab's end.
const FEW: usize = 16;

/// How many timers are taken from the top of the heap before it is asked how many more are due.
const ONE_BY_ONE: usize = 16;

/// Where at least one of so many timers is due, all that are due are taken at once.
const MUCH: usize = 8;

/// A slab of this many slots (some 4 KiB) is not worth shrinking.
const SMALLEST_SHRUNK: usize = 256;

#[cfg(test)]
#[path = "timers/tests.rs"]
mod tests;
