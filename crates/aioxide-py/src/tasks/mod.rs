//! `Task`: a coroutine that the loop runs.
//!
//! ```text
//!            create
//!              |
//!              v          yields a pending future
//!   Ready(exception?) --> Stepping ----------------> Waiting(future)
//!        ^                 |    |                        |
//!        |  yields nothing |    | ends                   | the future is done
//!        +-----------------+    v                        |
//!        |                   Finished                    |
//!        +-----------------------------------------------+
//! ```
//! Ready: the task is in the loop's ready queue, exactly once; `to_throw` or the outcome of `waiter`, if it
//! failed, is thrown at the next step. Waiting: it is a callback of `waiter`.
//! Counterpart: `Lib/asyncio/tasks.py`, `TaskObj` in `Modules/_asynciomodule.c`.

#![forbid(unsafe_code)]

mod attributes;
pub mod awaiters;
mod cancellation;
mod current;
mod ensuring;
mod init;
mod methods;
mod step;
mod waiting;

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::types::PySet;

use crate::events::{Entry, LoopBody};
use crate::futures::{FutureLike, FutureState};
use crate::object::{Body, BodyOf, Head, Layout, Links, Native, Owned, Slot, Visitor, as_native, compat, published};

pub use cancellation::{pass_on, request as request_cancel};
pub use current::{leave as leave_current, pause as pause_current, stepping_task};
pub use ensuring::ensure_future;
pub use init::{Parts, create_in_running_loop, create_task, is_plain_coroutine};
pub use methods::build;
pub use step::run_queued;
pub use waiting::{context_of, wait_instead, wake, wakeup_of};

/// The body of a `Task`.
pub struct TaskBody {
    future: FutureState,
    /// Empty once it has ended eagerly, as in asyncio.
    pub(super) coroutine: Slot,
    pub(super) context: Slot,
    /// `_fut_waiter`: what it waits for, or whose end made it ready.
    pub(super) waiter: Slot,
    /// Thrown into the coroutine at the next step.
    pub(super) to_throw: Slot,
    /// The name; empty for one that was not asked for yet: `Task-<number>`.
    pub(super) name: Slot,
    number: Cell<u64>,
    /// A cancellation that could not be passed to `waiter`.
    pub(super) must_cancel: Cell<bool>,
    pub log_destroy_pending: Cell<bool>,
    /// `cancelling()`.
    pub(super) cancel_requests: Cell<i32>,
    /// How often it was stepped.
    pub(super) steps: Cell<u32>,
    /// How often it waited for something: a task whose steps grow and whose waits do not is spinning.
    pub(super) waits: Cell<u32>,
    /// Where the group that made it keeps it; of no meaning elsewhere.
    pub place_in_group: Cell<usize>,
    links: Links,
}

/// A native task.
pub type Task = Native<TaskBody>;

static LAYOUT: Layout = Layout::unset();
static LIVE: Head = Head::new();

impl Body for TaskBody {
    const PUBLISHED: bool = true;
    // `gather()` of a thousand is common. 320 KiB at most.
    const KEPT: usize = 1024;

    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self::with_future(FutureState::empty())
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        self.future.traverse(visitor);
        for slot in [&self.coroutine, &self.context, &self.waiter, &self.to_throw, &self.name] {
            visitor.slot(slot);
        }
    }

    fn clear(&self) {
        self.future.clear();
        for slot in [&self.coroutine, &self.context, &self.waiter, &self.to_throw, &self.name] {
            slot.clear();
        }
    }

    fn needs_finalize(&self) -> bool {
        self.future.log_traceback.get() || !self.future.done()
    }

    fn finalize(this: &Bound<'_, Task>) {
        methods::finalize(this);
    }

    fn unlink(&self) {
        self.links.leave();
    }
}

impl FutureLike for TaskBody {
    fn future(&self) -> &FutureState {
        &self.future
    }
}

impl TaskBody {
    fn with_future(future: FutureState) -> Self {
        Self {
            future,
            coroutine: Slot::empty(),
            context: Slot::empty(),
            waiter: Slot::empty(),
            to_throw: Slot::empty(),
            name: Slot::empty(),
            number: Cell::new(0),
            must_cancel: Cell::new(false),
            log_destroy_pending: Cell::new(true),
            cancel_requests: Cell::new(0),
            steps: Cell::new(0),
            waits: Cell::new(0),
            place_in_group: Cell::new(0),
            links: Links::unlinked(),
        }
    }
}

/// Makes a task visible to `all_tasks()`.
#[inline]
fn register(this: &Bound<'_, Task>) -> PyResult<()> {
    let body = this.body();
    body.links.enter(&LIVE, this);
    if compat::TASKS_ARE_PUBLISHED {
        let py = this.py();
        // A number stands for the name that nobody asked for yet, as in asyncio's own tasks.
        let name = match body.name.get(py) {
            Some(name) => name,
            None => body.number.get().into_pyobject(py)?.into_any(),
        };
        published::publish(this, &body.coroutine.get_or_none(py), name.into());
    }
    Ok(())
}

/// Takes a task out of `all_tasks()`, which shows no finished task.
#[inline]
fn unregister(this: &Bound<'_, Task>) {
    this.body().links.leave();
    published::unpublish(this);
}

/// Every native task that was started and has not finished, of all loops.
pub fn live(py: Python<'_>) -> Vec<Bound<'_, PyAny>> {
    crate::object::linked(py, &LIVE)
}

/// The tasks of a loop that were started and have not finished.
///
/// # Errors
/// MemoryError.
pub fn unfinished<'py>(event_loop: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PySet>> {
    let py = event_loop.py();
    let found = PySet::empty(py)?;
    for task in live(py) {
        let is_its_own = as_native::<TaskBody>(&task).is_some_and(|task| {
            let future = task.body().future();
            !future.done() && future.event_loop.get(py).is_some_and(|own| own.is(event_loop))
        });
        if is_its_own {
            found.add(task)?;
        }
    }
    Ok(found)
}

/// The task's loop.
///
/// # Errors
/// RuntimeError if the task was never initialised.
pub fn loop_of<'py>(this: &Bound<'py, Task>) -> PyResult<Bound<'py, PyAny>> {
    this.body().future().require_loop(this.py())
}

/// `cancelling()`: how many requests to cancel it have not been withdrawn.
pub fn cancel_requests(this: &Bound<'_, Task>) -> i32 {
    this.body().cancel_requests.get()
}

/// Puts a ready task at the end of its loop's queue: natively on our loop, else by `call_soon`.
#[inline]
fn make_ready(this: &Bound<'_, Task>, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Some(native) = as_native::<LoopBody>(event_loop)
        && native.body().is_direct()
    {
        native.body().require_open()?;
        native.body().push(Entry::Task(Owned::new(this.as_any())));
        return Ok(());
    }
    waiting::call_soon(this, event_loop)
}
