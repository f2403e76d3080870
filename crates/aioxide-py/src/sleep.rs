//! `sleep()`: an awaitable that needs no coroutine, no handle and, where a native task awaits it, no future.
//!
//! ```text
//!   New --resume, delay <= 0-------> Yielded --resume------------------------> Finished
//!   New --resume, by a native task-> Asleep --fire---> Fired --resume--------> Finished
//!                                      └──---cancel--> Cancelled(msg) --throw-> Finished
//!   New --resume, else-------------> Waiting(future, timer) --resume, throw--> Finished
//! ```
//! `Asleep`, it yields itself: the task waits for the sleep, whose timer makes the task ready. That saves the
//! future, 176 of the 930 bytes of a sleeping task. Whoever else gets hold of the sleep then (`_fut_waiter`, a task of
//! asyncio's own that was started inside a native task's step) finds a future's methods, which make one.
//!
//! Invariants: a timer exists only while `Asleep` or `Waiting`; `partner` is the waiting task while `Asleep`, `Fired`
//! or `Cancelled`, the timer handle of a foreign loop while `Waiting`, and, while `New`, a delay that is no number.
//! Counterpart: `asyncio.sleep` in `Lib/asyncio/tasks.py`. It has a coroutine's methods, so `iscoroutine`
//! and `create_task` accept it. On a loop that is not ours it arranges the wait through `call_later`.

#![forbid(unsafe_code)]

use std::cell::Cell;

use aioxide::{Deadline, TimerKey};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyFloat, PyInt, PyType};

use crate::events::{Entry, Loop, LoopBody, deadline};
use crate::futures::{self, FutureBody, FutureLike, State};
use crate::imports::imports;
use crate::object::{
    Args, Body, BodyOf, Layout, Native, Owned, Resumed, Returned, Slot, TypeBuilder, Visitor, as_exact, as_native,
    await_slot, compat, create, create_untracked, finalize_slot, getter_setter, iter_slot, method, method_noargs,
    method_one, resume_slots, track,
};
use crate::tasks::{self, Task};

/// How far a sleep is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nobody awaited it.
    New,
    /// A sleep of no time: it let the others run.
    Yielded,
    /// A native task waits for the sleep itself.
    Asleep,
    /// Its time has come; the task is ready.
    Fired,
    /// The task was cancelled, and is ready; `result` is the message.
    Cancelled,
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
    /// What a foreign task waits for, or somebody asked an `Asleep` one for.
    future: Slot,
    key: Cell<Option<TimerKey>>,
    /// The waiting task, a foreign loop's timer handle, or a delay that is no number.
    partner: Slot,
}

/// A native `sleep()`.
pub type Sleep = Native<SleepBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for SleepBody {
    const KEPT: usize = 1024;

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
            partner: Slot::empty(),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.result);
        visitor.slot(&self.future);
        visitor.slot(&self.partner);
    }

    fn clear(&self) {
        self.result.clear();
        self.future.clear();
        self.partner.clear();
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
        .attribute(getter_setter(c"_asyncio_future_blocking", blocking, set_blocking))
        .method(method_noargs(
            c"get_loop",
            c"The loop of the future that stands for it.",
            get_loop,
        ))
        .method(method(
            c"add_done_callback",
            c"Calls a function when it has ended, as a future does.",
            add_done_callback,
        ))
        .method(method(
            c"cancel",
            c"Cancels the future that stands for it.",
            cancel_future,
        ))
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
    let seconds = seconds_of(delay).unwrap_or_else(|_| {
        body.partner.set(Owned::new(delay));
        f64::NAN
    });
    body.delay.set(seconds);
    if let Some(result) = result.filter(|result| !result.is_none()) {
        body.result.set(Owned::new(result));
        return Ok(create(delay.py(), body)?.into_any());
    }
    if seconds.is_nan() {
        return Ok(create(delay.py(), body)?.into_any());
    }
    // It owns nothing until it is awaited; a sleep(0) never does.
    Ok(create_untracked(delay.py(), body)?.into_any())
}

/// What awaiting a sleep of no number raises: what comparing it, or adding it to a time, does.
#[cold]
fn refusal(delay: &Bound<'_, PyAny>) -> PyErr {
    let added = delay.le(0).and_then(|_| PyFloat::new(delay.py(), 0.0).add(delay));
    added.map_or_else(
        |error| error,
        |_| PyTypeError::new_err(format!("a delay must be a real number, not {delay}")),
    )
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

/// Resumes a sleep. One of no time is resumed twice for each turn of a task: that much is worth being inlined.
#[inline(always)]
fn resume<'py>(this: &Bound<'py, Sleep>) -> PyResult<Resumed<'py>> {
    let py = this.py();
    let body = this.body();
    match body.progress.get() {
        Progress::New if body.delay.get() <= 0.0 => {
            body.progress.set(Progress::Yielded);
            Ok(Resumed::Yielded(py.None().into_bound(py)))
        }
        Progress::Yielded => {
            body.progress.set(Progress::Finished);
            Ok(Resumed::Returned(body.result.get_or_none(py)))
        }
        _ => resume_asleep(this),
    }
}

#[inline(never)]
fn resume_asleep<'py>(this: &Bound<'py, Sleep>) -> PyResult<Resumed<'py>> {
    let py = this.py();
    let body = this.body();
    match body.progress.get() {
        Progress::New => {
            let delay = body.delay.get();
            if delay.is_nan() {
                if let Some(given) = body.partner.take() {
                    body.progress.set(Progress::Finished);
                    return Err(refusal(given.bind(py)));
                }
                if compat::SLEEP_REFUSES_NAN {
                    body.progress.set(Progress::Finished);
                    return Err(PyValueError::new_err("Invalid delay: NaN (not a number)"));
                }
            }
            track(this);
            arrange(this, delay).map(Resumed::Yielded)
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
        Progress::Fired => {
            let result = body.result.get_or_none(py);
            end(this)?;
            Ok(Resumed::Returned(result))
        }
        Progress::Asleep | Progress::Cancelled => {
            end(this)?;
            Err(PyRuntimeError::new_err("await wasn't used with future"))
        }
        Progress::Yielded | Progress::Finished => Err(reused()),
    }
}

fn reused() -> PyErr {
    PyRuntimeError::new_err("cannot reuse already awaited coroutine")
}

/// Sets the timer; returns what the task will wait for.
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
            if native.body().stepping.get() {
                return fall_asleep(this, native, delay);
            }
            return arrange_natively(this, native, delay);
        }
    }
    let future = event_loop.call_method0("create_future")?;
    let set_result = py.import("asyncio.futures")?.getattr("_set_result_unless_cancelled")?;
    let result = body.result.get_or_none(py);
    let handle = event_loop.call_method1("call_later", (delay, set_result, &future, result))?;
    body.partner.set(handle.into());
    future.setattr("_asyncio_future_blocking", true)?;
    body.future.set(Owned::new(&future));
    body.progress.set(Progress::Waiting);
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
    let key = native.add_timer(due(native, delay)?, Entry::Sleep(Owned::new(future.as_any())))?;
    body.key.set(Some(key));
    body.future.set(Owned::new(future.as_any()));
    body.progress.set(Progress::Waiting);
    Ok(future.into_any())
}

/// The shortest road: a native task is being stepped, and will wait for the sleep itself.
fn fall_asleep<'py>(this: &Bound<'py, Sleep>, event_loop: &Bound<'py, Loop>, delay: f64) -> Returned<'py> {
    let body = this.body();
    let native = event_loop.body();
    native.require_open()?;
    let key = native.add_timer(due(native, delay)?, Entry::Sleep(Owned::new(this.as_any())))?;
    body.key.set(Some(key));
    body.progress.set(Progress::Asleep);
    Ok(this.clone().into_any())
}

fn due(event_loop: &LoopBody, delay: f64) -> PyResult<Deadline> {
    #[expect(clippy::cast_precision_loss, reason = "exact for 104 days of uptime")]
    let when = aioxide::now().as_nanos() as f64 / 1e9 + delay;
    deadline(when, event_loop.margin())
}

/// Lets `task` wait for a sleep that it was yielded; false if that is not asleep, or awaited already.
#[inline]
pub fn wait_by(this: &Bound<'_, Sleep>, task: &Bound<'_, Task>) -> bool {
    let body = this.body();
    let free = body.progress.get() == Progress::Asleep && body.partner.is_empty();
    if free {
        body.partner.set(Owned::new(task.as_any()));
    }
    free
}

/// The timer of a sleep, or of the future of one, has come.
///
/// # Errors
/// Of the loop, if it was closed.
pub fn fire(entry: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = entry.py();
    if let Some(future) = as_exact::<FutureBody>(entry) {
        // The result was put into the outcome beforehand.
        let result = future.body().future().outcome.get_or_none(py);
        return finish(future, result);
    }
    let Some(this) = as_exact::<SleepBody>(entry) else {
        return Ok(());
    };
    let body = this.body();
    body.key.set(None);
    match body.progress.get() {
        Progress::Asleep => {
            body.progress.set(Progress::Fired);
            wake_partner(this)
        }
        Progress::Waiting => match body.future.get(py) {
            Some(future) => finish(future.cast::<futures::Future>()?, body.result.get_or_none(py)),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

fn finish<'py>(future: &Bound<'py, futures::Future>, result: Bound<'py, PyAny>) -> PyResult<()> {
    if future.body().future().done() {
        return Ok(());
    }
    futures::set_result(future, Owned::from(result))
}

fn wake_partner(this: &Bound<'_, Sleep>) -> PyResult<()> {
    match this.body().partner.get(this.py()) {
        Some(task) => tasks::wake(task.cast::<Task>()?),
        None => Ok(()),
    }
}

/// Cancels the sleep that a task waits for; false if it has ended.
///
/// # Errors
/// Of the loop, if it was closed.
pub fn cancel(this: &Bound<'_, Sleep>, message: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
    if this.body().progress.get() != Progress::Asleep {
        return Ok(false);
    }
    forget_timer(this)?;
    this.body().progress.set(Progress::Cancelled);
    drop(this.body().result.replace(message.map(Owned::new)));
    wake_partner(this)?;
    Ok(true)
}

/// The exception with which a sleep that has ended wakes its task.
pub fn failure_of<'py>(this: &Bound<'py, Sleep>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = this.py();
    if this.body().progress.get() != Progress::Cancelled {
        return Ok(None);
    }
    let class = imports(py)?.cancelled_error.bind(py);
    match this.body().result.get(py).filter(|message| !message.is_none()) {
        Some(message) => class.call1((message,)).map(Some),
        None => class.call0().map(Some),
    }
}

/// The future that stands for a sleep, for those who want to see one: it becomes what the task waits for.
///
/// # Errors
/// RuntimeError if it does not sleep.
pub fn as_future<'py>(this: &Bound<'py, Sleep>) -> Returned<'py> {
    let py = this.py();
    let body = this.body();
    if let Some(future) = body.future.get(py) {
        return Ok(future);
    }
    let future = create(py, FutureBody::pending(&loop_of(this)?))?;
    match body.progress.get() {
        Progress::Asleep => {
            body.progress.set(Progress::Waiting);
            body.future.set(Owned::new(future.as_any()));
            match body.partner.take() {
                Some(task) => tasks::wait_instead(task.bind(py).cast::<Task>()?, &future),
                None => future.body().future().blocking.set(true),
            }
        }
        Progress::Fired => finish(&future, body.result.get_or_none(py))?,
        Progress::Cancelled => {
            futures::cancel(&future, body.result.get(py).as_ref())?;
        }
        _ => return Err(PyRuntimeError::new_err("this sleep does not wait")),
    }
    Ok(future.into_any())
}

/// The loop of a sleep: its future's, its task's or the running one.
fn loop_of<'py>(this: &Bound<'py, Sleep>) -> Returned<'py> {
    let py = this.py();
    let body = this.body();
    if let Some(future) = body.future.get(py) {
        return future.call_method0("get_loop");
    }
    if let Some(partner) = body.partner.get(py)
        && let Ok(task) = partner.cast::<Task>()
    {
        return task.body().future().require_loop(py);
    }
    imports(py)?.running_loop.bind(py).call0()
}

/// `_asyncio_future_blocking`: None, as `isfuture` takes it for what is no future, unless it sleeps.
fn blocking<'py>(this: &Bound<'py, Sleep>) -> Returned<'py> {
    let py = this.py();
    match this.body().progress.get() {
        Progress::Asleep | Progress::Waiting => as_future(this)?.getattr("_asyncio_future_blocking"),
        _ => Ok(py.None().into_bound(py)),
    }
}

fn set_blocking(this: &Bound<'_, Sleep>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    as_future(this)?.setattr("_asyncio_future_blocking", value)
}

fn get_loop<'py>(this: &Bound<'py, Sleep>) -> Returned<'py> {
    as_future(this)?.call_method0("get_loop")
}

fn add_done_callback<'py>(this: &Bound<'py, Sleep>, args: Args<'_, 'py>) -> Returned<'py> {
    let keywords = PyDict::new(this.py());
    args.keywords_into(&keywords)?;
    as_future(this)?.call_method("add_done_callback", args.rest(0)?, Some(&keywords))
}

fn cancel_future<'py>(this: &Bound<'py, Sleep>, args: Args<'_, 'py>) -> Returned<'py> {
    let keywords = PyDict::new(this.py());
    args.keywords_into(&keywords)?;
    as_future(this)?.call_method("cancel", args.rest(0)?, Some(&keywords))
}

/// Takes the timer back, if there is one.
fn forget_timer(this: &Bound<'_, Sleep>) -> PyResult<()> {
    let Some(key) = this.body().key.take() else {
        return Ok(());
    };
    if let Some(native) = as_native::<LoopBody>(&loop_of(this)?) {
        drop(native.body().cancel_timer(key));
    }
    Ok(())
}

/// Forgets the timer and the future.
fn end(this: &Bound<'_, Sleep>) -> PyResult<()> {
    let body = this.body();
    forget_timer(this)?;
    let before = body.progress.replace(Progress::Finished);
    let (future, partner) = (body.future.take(), body.partner.take());
    if before == Progress::Waiting
        && let Some(handle) = &partner
    {
        handle.bind(this.py()).call_method0("cancel")?;
    }
    drop((future, partner));
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
