//! The coroutines of queues: `get()`, `put()`, `join()`.
//!
//! Each first tries; there is no future and no suspension if it need not wait.
//!
//! # Cancellation
//! Who waits leaves the list of waiters. One that was woken already passes the wake-up on to the next.

#![forbid(unsafe_code)]

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;

use super::queue::{
    BINDING, GETTING, PUTTING, Queue, QueueBody, finished, get_nowait, is_empty, is_full, put_nowait, require_running,
    wakeup_next,
};
use crate::coroutines::{self, Coroutine, Next, Operation, coroutine, iterator_of};
use crate::deque::Deque;
use crate::mixins::{give_up, is_cancelled};
use crate::object::{
    Args, BodyOf, Layout, Owned, Returned, Slot, TypeBuilder, Visitor, as_native, call_method_one, method,
    method_noargs,
};

/// Makes the types of the coroutines.
pub fn build_coroutines(py: Python<'_>) -> PyResult<()> {
    coroutines::build::<Get>(py, c"aioxide._aioxide.Queue_get")?;
    coroutines::build::<Put>(py, c"aioxide._aioxide.Queue_put")?;
    coroutines::build::<Join>(py, c"aioxide._aioxide.Queue_join")?;
    Ok(())
}

/// Adds the methods.
pub fn waiting_methods(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method_noargs(
            c"get",
            c"Takes an item out, waiting until there is one.",
            get,
        ))
        .method(method(c"put", c"Adds an item, waiting until there is room.", put))
        .method(method_noargs(c"join", c"Waits until all items are dealt with.", join))
        .method(method_noargs(c"_get_loop", c"The loop it is bound to.", get_loop))
}

fn get<'py>(this: &Bound<'py, Queue>) -> Returned<'py> {
    coroutine(this.py(), Get(Wait::on(this)))
}

fn put<'py>(this: &Bound<'py, Queue>, args: Args<'_, 'py>) -> Returned<'py> {
    let item = item_in("put", &args)?;
    let wait = Wait::on(this);
    let item = Slot::new(Owned::new(item));
    coroutine(this.py(), Put { wait, item })
}

/// The argument of `put()` and `put_nowait()`.
#[inline]
pub fn item_in<'a, 'py>(function: &str, args: &Args<'a, 'py>) -> PyResult<&'a Bound<'py, PyAny>> {
    if let Some([item]) = args.only_positional() {
        return Ok(item);
    }
    let [item] = args.bind(function, ["item"], 1, 1)?;
    item.ok_or_else(|| PyTypeError::new_err("missing item"))
}

fn join<'py>(this: &Bound<'py, Queue>) -> Returned<'py> {
    coroutine(
        this.py(),
        Join {
            queue: Slot::new(Owned::new(this.as_any())),
        },
    )
}

fn get_loop<'py>(this: &Bound<'py, Queue>) -> Returned<'py> {
    this.body().bound.running_loop(this.as_any())
}

/// A queue, and the future that somebody who waits for it waits for.
struct Wait {
    queue: Slot,
    waiter: Slot,
}

impl Wait {
    const fn empty() -> Self {
        Self {
            queue: Slot::empty(),
            waiter: Slot::empty(),
        }
    }

    #[inline]
    fn on(queue: &Bound<'_, Queue>) -> Self {
        Self {
            queue: Slot::new(Owned::new(queue.as_any())),
            waiter: Slot::empty(),
        }
    }

    #[inline]
    fn queue<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Queue>> {
        queue_in(&self.queue, py)
    }

    /// Joins those who wait.
    fn begin<'py>(&self, queue: &Bound<'py, Queue>, waiters: &Deque) -> PyResult<Next<'py>> {
        let body = queue.body();
        require_running(queue)?;
        let event_loop = if body.overrides.none(&BINDING) {
            body.bound.running_loop(queue.as_any())?
        } else {
            queue.call_method0(pyo3::intern!(queue.py(), "_get_loop"))?
        };
        let waiter = coroutines::waiter(&event_loop)?;
        waiters.push(&waiter)?;
        self.waiter.set(Owned::new(&waiter));
        Ok(Next::Await(waiter))
    }

    /// The wait has ended with an error; `useless` tells whether a wake-up would have been of no use to anybody.
    fn abandon<'py>(
        &self,
        queue: &Bound<'py, Queue>,
        waiters: &Deque,
        useless: impl FnOnce(&Bound<'py, Queue>) -> PyResult<bool>,
    ) -> PyResult<()> {
        let Some(waiter) = self.waiter.take() else {
            return Ok(());
        };
        let waiter = waiter.into_bound(queue.py());
        give_up(&waiter)?;
        waiters.remove(&waiter)?;
        if !useless(queue)? && !is_cancelled(&waiter)? {
            wakeup_next(queue, waiters)?;
        }
        Ok(())
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.queue);
        visitor.slot(&self.waiter);
    }

    fn clear(&self) {
        self.queue.clear();
        self.waiter.clear();
    }
}

#[inline]
fn queue_in<'py>(slot: &Slot, py: Python<'py>) -> PyResult<Bound<'py, Queue>> {
    let gone = || PyRuntimeError::new_err("the queue is gone");
    let queue = slot.get(py).ok_or_else(gone)?;
    as_native::<QueueBody>(&queue).cloned().ok_or_else(gone)
}

/// `Queue.get()`.
struct Get(Wait);

static GET: Layout = Layout::unset();

impl Get {
    #[inline]
    fn advance<'py>(&self, queue: &Bound<'py, Queue>) -> PyResult<Next<'py>> {
        if is_empty(queue)? {
            return self.0.begin(queue, &queue.body().getters);
        }
        if queue.body().overrides.none(&GETTING) {
            return get_nowait(queue).map(Next::Return);
        }
        queue
            .call_method0(pyo3::intern!(queue.py(), "get_nowait"))
            .map(Next::Return)
    }
}

impl Operation for Get {
    const NAME: &'static str = "Queue.get";

    fn layout() -> &'static Layout {
        &GET
    }

    fn empty() -> Self {
        Self(Wait::empty())
    }

    #[inline]
    fn start<'py>(this: &Bound<'py, Coroutine<Self>>) -> PyResult<Next<'py>> {
        let operation = this.body().operation();
        operation.advance(&operation.0.queue(this.py())?)
    }

    #[inline]
    fn resumed<'py>(this: &Bound<'py, Coroutine<Self>>, outcome: PyResult<Bound<'py, PyAny>>) -> PyResult<Next<'py>> {
        let operation = this.body().operation();
        let queue = operation.0.queue(this.py())?;
        if let Err(error) = outcome {
            operation.0.abandon(&queue, &queue.body().getters, is_empty)?;
            return Err(error);
        }
        operation.0.waiter.clear();
        operation.advance(&queue)
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        self.0.traverse(visitor);
    }

    fn clear(&self) {
        self.0.clear();
    }
}

/// `Queue.put()`.
struct Put {
    wait: Wait,
    item: Slot,
}

static PUT: Layout = Layout::unset();

impl Put {
    #[inline]
    fn advance<'py>(&self, queue: &Bound<'py, Queue>) -> PyResult<Next<'py>> {
        let py = queue.py();
        if is_full(queue)? {
            return self.wait.begin(queue, &queue.body().putters);
        }
        let item = self.item.get_or_none(py);
        if queue.body().overrides.none(&PUTTING) {
            put_nowait(queue, &item)?;
            return Ok(Next::Return(py.None().into_bound(py)));
        }
        call_method_one(queue.as_any(), pyo3::intern!(py, "put_nowait"), &item).map(Next::Return)
    }
}

impl Operation for Put {
    const NAME: &'static str = "Queue.put";

    fn layout() -> &'static Layout {
        &PUT
    }

    fn empty() -> Self {
        Self {
            wait: Wait::empty(),
            item: Slot::empty(),
        }
    }

    #[inline]
    fn start<'py>(this: &Bound<'py, Coroutine<Self>>) -> PyResult<Next<'py>> {
        let operation = this.body().operation();
        operation.advance(&operation.wait.queue(this.py())?)
    }

    fn resumed<'py>(this: &Bound<'py, Coroutine<Self>>, outcome: PyResult<Bound<'py, PyAny>>) -> PyResult<Next<'py>> {
        let operation = this.body().operation();
        let queue = operation.wait.queue(this.py())?;
        if let Err(error) = outcome {
            operation.wait.abandon(&queue, &queue.body().putters, is_full)?;
            return Err(error);
        }
        operation.wait.waiter.clear();
        operation.advance(&queue)
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        self.wait.traverse(visitor);
        visitor.slot(&self.item);
    }

    fn clear(&self) {
        self.wait.clear();
        self.item.clear();
    }
}

/// `Queue.join()`.
struct Join {
    queue: Slot,
}

static JOIN: Layout = Layout::unset();

impl Operation for Join {
    const NAME: &'static str = "Queue.join";

    fn layout() -> &'static Layout {
        &JOIN
    }

    fn empty() -> Self {
        Self { queue: Slot::empty() }
    }

    fn start<'py>(this: &Bound<'py, Coroutine<Self>>) -> PyResult<Next<'py>> {
        let py = this.py();
        let queue = queue_in(&this.body().operation().queue, py)?;
        if queue.body().unfinished.get() <= 0 {
            return Ok(Next::Return(py.None().into_bound(py)));
        }
        let waiting = finished(&queue)?.call_method0(pyo3::intern!(py, "wait"))?;
        Ok(Next::Delegate(iterator_of(&waiting)?))
    }

    fn resumed<'py>(this: &Bound<'py, Coroutine<Self>>, outcome: PyResult<Bound<'py, PyAny>>) -> PyResult<Next<'py>> {
        outcome.map(|_| Next::Return(this.py().None().into_bound(this.py())))
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.queue);
    }

    fn clear(&self) {
        self.queue.clear();
    }
}
