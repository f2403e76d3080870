//! `sleep()`: an awaitable that needs no coroutine, no handle and, for a delay of 0, no future.
//!
//! ```text
//!   New --resume, delay <= 0--> Yielded --resume--> Finished
//!   New --resume--------------> Waiting(future, timer) --resume, throw, close--> Finished
//! ```
//! Invariant: a timer exists only while `Waiting`.
//! Counterpart: `asyncio.sleep` in `Lib/asyncio/tasks.py`. It has a coroutine's methods, so `iscoroutine`
//! and `create_task` accept it. On a loop that is not ours it arranges the wait through `call_later`.

#![forbid(unsafe_code)]

use std::cell::Cell;

use aioxide::TimerKey;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyInt, PyType};

use crate::events::{Entry, Loop, LoopBody, deadline};
use crate::futures::{self, FutureBody, FutureLike, State};
use crate::imports::imports;
use crate::object::{
    Args, Body, BodyOf, Layout, Native, Owned, Resumed, Returned, Slot, TypeBuilder, Visitor, as_exact, as_native,
    await_slot, compat, create, create_untracked, finalize_slot, iter_slot, method, method_noargs, method_one,
    resume_slots, track,
};

/// How far a sleep is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nobody awaited it.
    New,
    /// A sleep of no time: it let the others run.
    Yielded,
    /// `future` is what the task waits for.
    Waiting,
    /// It returned or raised.
    Finished,
}

/// The body of a `sleep()`.
pub struct SleepBody {
    progress: Cell<Progress>,
    delay: Cell<f64>,
    /// Empty for None.
    result: Slot,
    future: Slot,
    key: Cell<Option<TimerKey>>,
    /// On a loop that is not ours: its timer handle.
    handle: Slot,
}

/// A native `sleep()`.
pub type Sleep = Native<SleepBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for SleepBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            progress: Cell::new(Progress::New),
            delay: Cell::new(0.0),
            result: Slot::empty(),
            future: Slot::empty(),
            key: Cell::new(None),
            handle: Slot::empty(),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.result);
        visitor.slot(&self.future);
        visitor.slot(&self.handle);
    }

    fn clear(&self) {
        self.result.clear();
        self.future.clear();
        self.handle.clear();
    }

    fn needs_finalize(&self) -> bool {
        self.progress.get() == Progress::New
    }

    /// A sleep that nobody awaited is a mistake, as a coroutine is.
    fn finalize(this: &Bound<'_, Native<Self>>) {
        if this.body().progress.get() != Progress::New {
            return;
        }
        let py = this.py();
        let text = c"coroutine 'sleep' was never awaited";
        if let Err(error) = PyErr::warn(py, &py.get_type::<pyo3::exceptions::PyRuntimeWarning>(), text, 1) {
            error.write_unraisable(py, Some(this.as_any()));
        }
    }
}

/// Makes the type.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let mut builder = TypeBuilder::new()
        .slot(await_slot(itself))
        .slot(iter_slot(itself))
        .slot(finalize_slot::<SleepBody>());
    for slot in resume_slots(resume) {
        builder = builder.slot(slot);
    }
    builder
        .method(method_one(c"send", c"Resumes the sleep.", send))
        .method(method(c"throw", c"Ends the sleep with an exception.", throw))
        .method(method_noargs(c"close", c"Gives the sleep up.", close))
        .finish::<SleepBody>(
            py,
            c"aioxide._aioxide.Sleep",
            c"What sleep() returns: awaitable once.",
            None,
            false,
        )
}

/// Suspends the current task for `delay` seconds, then returns `result`. A delay of 0 or less lets the other
/// tasks run once.
///
/// Counterpart: `asyncio.sleep`.
///
/// # Errors
/// ValueError for NaN, when awaited, on versions where asyncio refuses it.
///
/// # Cancellation
/// The timer is forgotten and CancelledError raised where the sleep is awaited.
pub fn sleep<'py>(args: Args<'_, 'py>) -> Returned<'py> {
    let (delay, result) = match args.only_positional() {
        Some([delay]) => (delay, None),
        _ => match args.bind("sleep", ["delay", "result"], 2, 1)? {
            [Some(delay), result] => (delay, result),
            [None, _] => {
                return Err(PyTypeError::new_err(
                    "sleep() missing required argument 'delay' (pos 1)",
                ));
            }
        },
    };
    let body = SleepBody::empty();
    body.delay.set(seconds_of(delay).map_err(|_| {
        let class = delay
            .get_type()
            .name()
            .map_or_else(|_| "?".to_owned(), |name| name.to_string());
        PyTypeError::new_err(format!("'<=' not supported between instances of '{class}' and 'int'"))
    })?);
    if let Some(result) = result.filter(|result| !result.is_none()) {
        body.result.set(Owned::new(result));
        return Ok(create(delay.py(), body)?.into_any());
    }
    // It owns nothing until it is awaited; a sleep(0) never does.
    Ok(create_untracked(delay.py(), body)?.into_any())
}

/// A delay as a float; `sleep(0)`, the most frequent by far, by one comparison.
#[inline]
fn seconds_of(delay: &Bound<'_, PyAny>) -> PyResult<f64> {
    let zero = ZERO.get_or_init(delay.py(), || {
        0.into_pyobject(delay.py())
            .map_or_else(|never| match never {}, Bound::unbind)
    });
    if delay.is(zero) {
        return Ok(0.0);
    }
    match delay.cast_exact::<PyInt>() {
        Ok(small) => small.extract::<i32>().map(f64::from).or_else(|_| delay.extract()),
        Err(_) => delay.extract(),
    }
}

fn itself<'py>(this: &Bound<'py, Sleep>) -> Returned<'py> {
    Ok(this.clone().into_any())
}

fn resume<'py>(this: &Bound<'py, Sleep>) -> PyResult<Resumed<'py>> {
    let py = this.py();
    let body = this.body();
    match body.progress.get() {
        Progress::New => {
            let delay = body.delay.get();
            if delay <= 0.0 {
                body.progress.set(Progress::Yielded);
                return Ok(Resumed::Yielded(py.None().into_bound(py)));
            }
            if delay.is_nan() && compat::SLEEP_REFUSES_NAN {
                body.progress.set(Progress::Finished);
                return Err(PyValueError::new_err("Invalid delay: NaN (not a number)"));
            }
            track(this);
            let future = arrange(this, delay)?;
            body.progress.set(Progress::Waiting);
            Ok(Resumed::Yielded(future))
        }
        Progress::Yielded => {
            body.progress.set(Progress::Finished);
            Ok(Resumed::Returned(body.result.get_or_none(py)))
        }
        Progress::Waiting => {
            let Some(future) = body.future.get(py) else {
                return Err(reused());
            };
            let outcome = match as_exact::<FutureBody>(&future) {
                Some(native) if native.body().future().state.get() == State::Pending => {
                    Err(PyRuntimeError::new_err("await wasn't used with future"))
                }
                Some(native) => native.body().future().result(py),
                None => future.call_method0("result"),
            };
            end(this)?;
            outcome.map(Resumed::Returned)
        }
        Progress::Finished => Err(reused()),
    }
}

fn reused() -> PyErr {
    PyRuntimeError::new_err("cannot reuse already awaited coroutine")
}

/// Makes the future that the task will wait for, and the timer that ends it.
fn arrange<'py>(this: &Bound<'py, Sleep>, delay: f64) -> Returned<'py> {
    let py = this.py();
    let body = this.body();
    let event_loop = imports(py)?.running_loop.bind(py).call0()?;
    if event_loop.is_none() {
        return Err(PyRuntimeError::new_err("no running event loop"));
    }
    if let Some(native) = as_native::<LoopBody>(&event_loop) {
        let native: &Bound<'_, Loop> = native;
        if native.body().is_direct() && !native.body().is_time_hooked() {
            return arrange_natively(this, native, delay);
        }
    }
    let future = event_loop.call_method0("create_future")?;
    let set_result = py.import("asyncio.futures")?.getattr("_set_result_unless_cancelled")?;
    let result = body.result.get_or_none(py);
    let handle = event_loop.call_method1("call_later", (delay, set_result, &future, result))?;
    body.handle.set(handle.into());
    future.setattr("_asyncio_future_blocking", true)?;
    body.future.set(Owned::new(&future));
    Ok(future)
}

/// The fast road: the timer is the future itself, with the result laid ready in it.
fn arrange_natively<'py>(this: &Bound<'py, Sleep>, event_loop: &Bound<'py, Loop>, delay: f64) -> Returned<'py> {
    let py = this.py();
    let body = this.body();
    let native = event_loop.body();
    native.require_open()?;
    let future = create(py, FutureBody::pending(event_loop.as_any()))?;
    let state = future.body().future();
    state.blocking.set(true);
    if let Some(result) = body.result.get(py) {
        state.outcome.set(result.into());
    }
    #[expect(clippy::cast_precision_loss, reason = "exact for 104 days of uptime")]
    let when = aioxide::now().as_nanos() as f64 / 1e9 + delay;
    let key = native.add_timer(
        deadline(when, native.margin())?,
        Entry::Sleep(Owned::new(future.as_any())),
    )?;
    body.key.set(Some(key));
    body.future.set(Owned::new(future.as_any()));
    Ok(future.into_any())
}

/// Forgets the timer and the future.
fn end(this: &Bound<'_, Sleep>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    body.progress.set(Progress::Finished);
    let future = body.future.take();
    if let Some(handle) = body.handle.take() {
        handle.bind(py).call_method0("cancel")?;
    }
    if let Some(key) = body.key.take()
        && let Some(future) = &future
        && let Some(future) = as_exact::<FutureBody>(future.bind(py))
        && let Some(event_loop) = future.body().future().event_loop.get(py)
        && let Some(native) = as_native::<LoopBody>(&event_loop)
    {
        drop(native.body().cancel_timer(key));
    }
    Ok(())
}

fn send<'py>(this: &Bound<'py, Sleep>, _value: &Bound<'py, PyAny>) -> Returned<'py> {
    match resume(this)? {
        Resumed::Yielded(value) => Ok(value),
        Resumed::Returned(value) => Err(futures::stop_iteration(&value)?),
    }
}

fn throw<'py>(this: &Bound<'py, Sleep>, args: Args<'_, 'py>) -> Returned<'py> {
    let error = futures::thrown(args)?;
    end(this)?;
    Err(error)
}

fn close<'py>(this: &Bound<'py, Sleep>) -> Returned<'py> {
    end(this)?;
    Ok(this.py().None().into_bound(this.py()))
}

/// The integer 0, of which there is only one.
static ZERO: PyOnceLock<Py<PyInt>> = PyOnceLock::new();
