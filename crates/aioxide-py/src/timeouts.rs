//! `timeout()`: cancels the current task when a deadline passes.
//!
//! ```text
//!   Created --__aenter__--> Entered --__aexit__--> Exited
//!                             └--the deadline--> Expiring --__aexit__--> Expired
//! ```
//! What happens each time is native: entering, leaving in time, and the timer, which is the timeout itself and no
//! handle. What happens when a deadline passed (who is told what, `uncancel()`, the message) is the running version's
//! own code, `asyncio.timeouts.Timeout.__aexit__`, on our object. So is entering on a loop or in a task that is not
//! ours.
//!
//! Invariant: a timer exists only while `Entered` with a deadline, as `key` or as `handle`.
//! Counterpart: `Lib/asyncio/timeouts.py`.

#![forbid(unsafe_code)]

use std::cell::Cell;

use aioxide::TimerKey;
use pyo3::exceptions::{PyAssertionError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyInt, PyTuple, PyType};

use crate::coroutines::{self, Coroutine, Next, Operation, coroutine, iterator_of};
use crate::events::{Entry, Loop, LoopBody, deadline, seconds};
use crate::handles::bind_parts;
use crate::imports::imports;
use crate::object::{
    Args, Body, BodyOf, Layout, Native, Owned, Returned, Slot, TypeBuilder, Visitor, as_exact, as_native, create,
    getter_setter, init_slots, method, method_noargs, repr_slot,
};
use crate::tasks::{self, Task, TaskBody};

/// How far a timeout is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Created,
    Entered,
    Expiring,
    Expired,
    Exited,
}

impl Progress {
    /// The name of `asyncio.timeouts._State`'s member.
    fn name(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Entered => "ENTERED",
            Self::Expiring => "EXPIRING",
            Self::Expired => "EXPIRED",
            Self::Exited => "EXITED",
        }
    }

    /// The value of that member: what `repr()` says.
    fn value(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Entered => "active",
            Self::Expiring => "expiring",
            Self::Expired => "expired",
            Self::Exited => "finished",
        }
    }
}

/// The body of a `Timeout`.
pub struct TimeoutBody {
    progress: Cell<Progress>,
    /// The deadline in seconds, if `given` is empty and `limited`.
    seconds: Cell<f64>,
    /// The deadline as it was given, unless that was a float.
    given: Slot,
    limit: Cell<Limit>,
    task: Slot,
    /// `task.cancelling()` when it was entered.
    cancelling: Cell<i32>,
    key: Cell<Option<TimerKey>>,
    /// The timer of a loop that is not ours.
    handle: Slot,
}

/// Whether there is a deadline, and where it is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Limit {
    None,
    Seconds,
    Given,
}

/// A native timeout.
pub type Timeout = Native<TimeoutBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for TimeoutBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            progress: Cell::new(Progress::Created),
            seconds: Cell::new(0.0),
            given: Slot::empty(),
            limit: Cell::new(Limit::None),
            task: Slot::empty(),
            cancelling: Cell::new(0),
            key: Cell::new(None),
            handle: Slot::empty(),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        for slot in [&self.given, &self.task, &self.handle] {
            visitor.slot(slot);
        }
    }

    fn clear(&self) {
        for slot in [&self.given, &self.task, &self.handle] {
            slot.clear();
        }
    }
}

/// Makes the types.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    coroutines::build::<Enter>(py, c"aioxide._aioxide.TimeoutEnter")?;
    coroutines::build::<Exit>(py, c"aioxide._aioxide.TimeoutExit")?;
    let mut builder = TypeBuilder::new()
        .subclassable()
        .weak_references()
        .slot(repr_slot(repr));
    for slot in init_slots(init) {
        builder = builder.slot(slot);
    }
    builder
        .attribute(getter_setter(c"_state", state, set_state))
        .attribute(getter_setter(c"_timeout_handler", handler, set_handler))
        .attribute(getter_setter(c"_task", task, set_task))
        .attribute(getter_setter(c"_cancelling", cancelling, set_cancelling))
        .attribute(getter_setter(c"_when", when, set_when))
        .method(method_noargs(
            c"when",
            c"The deadline, in the loop's seconds, or None.",
            when,
        ))
        .method(method(c"reschedule", c"Changes the deadline.", |this, args| {
            reschedule(this, args.one("reschedule", "when")?)
        }))
        .method(method_noargs(c"expired", c"Whether the deadline has passed.", expired))
        .method(method_noargs(c"_on_timeout", c"The deadline has passed.", on_timeout))
        .method(method_noargs(c"__aenter__", c"Sets the timer.", enter))
        .method(method(c"__aexit__", c"Takes the timer back.", exit))
        .method(method(
            c"_insert_timeout_error",
            c"Gives an error whose context is our cancellation the timeout as context.",
            insert_timeout_error,
        ))
        .finish::<TimeoutBody>(
            py,
            c"aioxide.Timeout",
            c"Cancels the current task when a deadline passes; asyncio.Timeout in Rust.",
            None,
            false,
        )
}

/// `timeout(delay)`: a timeout `delay` seconds from now; None for one without a deadline.
///
/// # Errors
/// RuntimeError without a running loop.
pub fn timeout<'py>(args: Args<'_, 'py>) -> Returned<'py> {
    let py = args.py();
    let [delay] = args.bind("timeout", ["delay"], 1, 1)?;
    let event_loop = imports(py)?.running_loop.bind(py).call0()?;
    if event_loop.is_none() {
        return Err(PyRuntimeError::new_err("no running event loop"));
    }
    let body = TimeoutBody::empty();
    let Some(delay) = delay.filter(|delay| !delay.is_none()) else {
        return Ok(create(py, body)?.into_any());
    };
    let plain = match delay.cast_exact::<PyFloat>() {
        Ok(delay) => Some(delay.value()),
        Err(_) => delay
            .cast_exact::<PyInt>()
            .ok()
            .and_then(|delay| delay.extract::<i32>().ok())
            .map(f64::from),
    };
    match (plain, as_native::<LoopBody>(&event_loop)) {
        (Some(delay), Some(native)) if !native.body().is_time_hooked() => {
            body.seconds.set(seconds(aioxide::now()) + delay);
            body.limit.set(Limit::Seconds);
        }
        _ => {
            let now = event_loop.call_method0("time")?;
            body.keep(&now.add(delay)?);
        }
    }
    Ok(create(py, body)?.into_any())
}

/// `timeout_at(when)`: a timeout at a time of the loop's clock.
pub fn timeout_at<'py>(args: Args<'_, 'py>) -> Returned<'py> {
    let [when] = args.bind("timeout_at", ["when"], 1, 1)?;
    let body = TimeoutBody::empty();
    if let Some(when) = when {
        body.keep(when);
    }
    Ok(create(args.py(), body)?.into_any())
}

fn init(this: &Bound<'_, Timeout>, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    let [Some(when)] = bind_parts("Timeout.__init__", args, kwargs, ["when"])? else {
        return Err(pyo3::exceptions::PyTypeError::new_err(
            "Timeout.__init__() missing 1 required positional argument: 'when'",
        ));
    };
    this.body().progress.set(Progress::Created);
    this.body().keep(&when);
    Ok(())
}

impl TimeoutBody {
    fn keep(&self, when: &Bound<'_, PyAny>) {
        if when.is_none() {
            self.limit.set(Limit::None);
            self.given.clear();
        } else if let Ok(when) = when.cast_exact::<PyFloat>() {
            self.seconds.set(when.value());
            self.limit.set(Limit::Seconds);
            self.given.clear();
        } else {
            self.limit.set(Limit::Given);
            self.given.set(Owned::new(when));
        }
    }
}

fn when<'py>(this: &Bound<'py, Timeout>) -> Returned<'py> {
    let py = this.py();
    let body = this.body();
    Ok(match body.limit.get() {
        Limit::None => py.None().into_bound(py),
        Limit::Seconds => PyFloat::new(py, body.seconds.get()).into_any(),
        Limit::Given => body.given.get_or_none(py),
    })
}

fn set_when(this: &Bound<'_, Timeout>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    this.body().keep(value);
    Ok(())
}

fn expired<'py>(this: &Bound<'py, Timeout>) -> Returned<'py> {
    let expired = matches!(this.body().progress.get(), Progress::Expiring | Progress::Expired);
    Ok(pyo3::types::PyBool::new(this.py(), expired).to_owned().into_any())
}

fn repr<'py>(this: &Bound<'py, Timeout>) -> Returned<'py> {
    let py = this.py();
    let progress = this.body().progress.get();
    let mut text = format!("<Timeout [{}]", progress.value());
    if progress == Progress::Entered {
        let when = when(this)?;
        let rounded = if when.is_none() {
            when
        } else {
            py.import("builtins")?.call_method1("round", (when, 3))?
        };
        text.push_str(&format!(" when={rounded}"));
    }
    text.push('>');
    Ok(pyo3::types::PyString::new(py, &text).into_any())
}

fn reschedule<'py>(this: &Bound<'py, Timeout>, value: &Bound<'py, PyAny>) -> Returned<'py> {
    let py = this.py();
    let body = this.body();
    match body.progress.get() {
        Progress::Entered => {}
        Progress::Created => return Err(PyRuntimeError::new_err("Timeout has not been entered")),
        other => {
            let text = format!("Cannot change state of {} Timeout", other.value());
            return Err(PyRuntimeError::new_err(text));
        }
    }
    body.keep(value);
    forget_timer(this)?;
    set_timer(this)?;
    Ok(py.None().into_bound(py))
}

/// Sets the timer for the deadline, if there is one.
fn set_timer(this: &Bound<'_, Timeout>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    let due = match body.limit.get() {
        Limit::None => return Ok(()),
        Limit::Seconds => Some(body.seconds.get()),
        Limit::Given => None,
    };
    let event_loop = imports(py)?.running_loop.bind(py).call0()?;
    if let (Some(due), Some(native)) = (due, plain_loop(&event_loop)) {
        native.body().require_open()?;
        let due = deadline(due, native.body().margin())?;
        let entry = Owned::new(this.as_any());
        if due <= aioxide::now() {
            // asyncio's call_soon: the turn that is coming, not the one after its timers.
            native.body().push(Entry::Timeout(entry));
        } else {
            body.key.set(Some(native.body().add_timer(due, Entry::Timeout(entry))?));
        }
        return Ok(());
    }
    if event_loop.is_none() {
        return Err(PyRuntimeError::new_err("no running event loop"));
    }
    let when = when(this)?;
    let callback = this.getattr("_on_timeout")?;
    let handle = if when.le(event_loop.call_method0("time")?)? {
        event_loop.call_method1("call_soon", (callback,))?
    } else {
        event_loop.call_method1("call_at", (when, callback))?
    };
    body.handle.set(handle.into());
    Ok(())
}

/// Our loop, if nothing stands between it and its timers.
fn plain_loop<'a, 'py>(event_loop: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, Loop>> {
    as_native::<LoopBody>(event_loop).filter(|native| native.body().is_direct() && !native.body().is_time_hooked())
}

fn forget_timer(this: &Bound<'_, Timeout>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    if let Some(handle) = body.handle.take() {
        handle.bind(py).call_method0("cancel")?;
    }
    if let Some(key) = body.key.take()
        && let Some(task) = body.task.get(py)
        && let Some(task) = as_native::<TaskBody>(&task)
    {
        let event_loop = tasks::loop_of(task)?;
        if let Some(native) = as_native::<LoopBody>(&event_loop) {
            drop(native.body().cancel_timer(key));
        }
    }
    Ok(())
}

/// The timer's deadline has passed.
///
/// # Errors
/// Of the task's cancellation.
pub fn fire(timeout: &Bound<'_, PyAny>) -> PyResult<()> {
    let Some(this) = as_native::<TimeoutBody>(timeout) else {
        return Ok(());
    };
    // One that was pushed at once is not taken out of the queue when it is left or rescheduled.
    if this.body().progress.get() != Progress::Entered || !is_due(this)? {
        return Ok(());
    }
    expire(this)
}

fn is_due(this: &Bound<'_, Timeout>) -> PyResult<bool> {
    let body = this.body();
    Ok(body.limit.get() == Limit::Seconds && deadline(body.seconds.get(), 0)? <= aioxide::now())
}

fn expire(this: &Bound<'_, Timeout>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    let task = body.task.get_or_none(py);
    match as_exact::<TaskBody>(&task) {
        Some(native) => {
            tasks::request_cancel(native, None)?;
        }
        None => {
            task.call_method0("cancel")?;
        }
    }
    body.progress.set(Progress::Expiring);
    body.key.set(None);
    body.handle.clear();
    Ok(())
}

/// A timeout that `task`, which is being stepped, has entered for `delay` seconds; none if task or loop are not ours.
///
/// # Errors
/// Of the loop, if it was closed.
pub fn enter_after<'py>(task: &Bound<'py, PyAny>, delay: f64) -> PyResult<Option<Bound<'py, Timeout>>> {
    let Some(native) = as_exact::<TaskBody>(task) else {
        return Ok(None);
    };
    let event_loop = tasks::loop_of(native)?;
    if plain_loop(&event_loop).is_none() {
        return Ok(None);
    }
    let body = TimeoutBody::empty();
    body.seconds.set(seconds(aioxide::now()) + delay);
    body.limit.set(Limit::Seconds);
    body.task.set(Owned::new(task));
    body.cancelling.set(tasks::cancel_requests(native));
    body.progress.set(Progress::Entered);
    let this = create(task.py(), body)?;
    set_timer(&this)?;
    Ok(Some(this))
}

/// Leaves a timeout; false if its deadline has passed, and `Timeout.__aexit__` is to be called.
///
/// # Errors
/// Of the timer's `cancel`.
pub fn leave_in_time(this: &Bound<'_, Timeout>) -> PyResult<bool> {
    forget_timer(this)?;
    let in_time = this.body().progress.get() == Progress::Entered;
    if in_time {
        this.body().progress.set(Progress::Exited);
    }
    Ok(in_time)
}

fn on_timeout<'py>(this: &Bound<'py, Timeout>) -> Returned<'py> {
    if this.body().progress.get() != Progress::Entered {
        return Err(PyAssertionError::new_err(()));
    }
    expire(this)?;
    Ok(this.py().None().into_bound(this.py()))
}

fn enter<'py>(this: &Bound<'py, Timeout>) -> Returned<'py> {
    coroutine(
        this.py(),
        Enter {
            timeout: Slot::new(Owned::new(this.as_any())),
        },
    )
}

fn exit<'py>(this: &Bound<'py, Timeout>, args: Args<'_, 'py>) -> Returned<'py> {
    let [_kind, exception, _traceback] = args.bind("__aexit__", ["exc_type", "exc_val", "exc_tb"], 3, 3)?;
    let operation = Exit {
        timeout: Slot::new(Owned::new(this.as_any())),
        arguments: Slot::empty(),
    };
    if exception.is_some_and(|exception| !exception.is_none()) {
        operation.arguments.set(Owned::new(args.rest(0)?.as_any()));
    }
    coroutine(this.py(), operation)
}

/// `Timeout.__aenter__`.
struct Enter {
    timeout: Slot,
}

static ENTER: Layout = Layout::unset();

impl Operation for Enter {
    const NAME: &'static str = "Timeout.__aenter__";

    fn layout() -> &'static Layout {
        &ENTER
    }

    fn empty() -> Self {
        Self { timeout: Slot::empty() }
    }

    fn start<'py>(this: &Bound<'py, Coroutine<Self>>) -> PyResult<Next<'py>> {
        let py = this.py();
        let timeout = this.body().operation().timeout.get_or_none(py);
        let native = timeout.cast::<Timeout>()?;
        let body = native.body();
        if body.progress.get() == Progress::Created
            && let Some(task) = tasks::stepping_task(py)?
            && let Some(task) = as_exact::<TaskBody>(&task)
        {
            let task: &Bound<'py, Task> = task;
            body.task.set(Owned::new(task.as_any()));
            body.cancelling.set(tasks::cancel_requests(task));
            body.progress.set(Progress::Entered);
            set_timer(native)?;
            return Ok(Next::Return(timeout));
        }
        let entered = imports(py)?.timeout.bind(py).call_method1("__aenter__", (timeout,))?;
        Ok(Next::Delegate(iterator_of(&entered)?))
    }

    fn resumed<'py>(_this: &Bound<'py, Coroutine<Self>>, outcome: PyResult<Bound<'py, PyAny>>) -> PyResult<Next<'py>> {
        outcome.map(Next::Return)
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.timeout);
    }

    fn clear(&self) {
        self.timeout.clear();
    }
}

/// `Timeout.__aexit__`.
struct Exit {
    timeout: Slot,
    /// The arguments as a tuple, if the block raised.
    arguments: Slot,
}

static EXIT: Layout = Layout::unset();

impl Operation for Exit {
    const NAME: &'static str = "Timeout.__aexit__";

    fn layout() -> &'static Layout {
        &EXIT
    }

    fn empty() -> Self {
        Self {
            timeout: Slot::empty(),
            arguments: Slot::empty(),
        }
    }

    fn start<'py>(this: &Bound<'py, Coroutine<Self>>) -> PyResult<Next<'py>> {
        let py = this.py();
        let operation = this.body().operation();
        let timeout = operation.timeout.get_or_none(py);
        let native = timeout.cast::<Timeout>()?;
        forget_timer(native)?;
        if native.body().progress.get() == Progress::Entered {
            native.body().progress.set(Progress::Exited);
            return Ok(Next::Return(py.None().into_bound(py)));
        }
        let none = py.None();
        let mut arguments = vec![timeout.clone().unbind()];
        match operation.arguments.get(py) {
            Some(given) => arguments.extend(given.cast::<PyTuple>()?.iter().map(Bound::unbind)),
            None => arguments.extend([none.clone_ref(py), none.clone_ref(py), none]),
        }
        let left = imports(py)?
            .timeout
            .bind(py)
            .call_method1("__aexit__", PyTuple::new(py, arguments)?)?;
        Ok(Next::Delegate(iterator_of(&left)?))
    }

    fn resumed<'py>(_this: &Bound<'py, Coroutine<Self>>, outcome: PyResult<Bound<'py, PyAny>>) -> PyResult<Next<'py>> {
        outcome.map(Next::Return)
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.timeout);
        visitor.slot(&self.arguments);
    }

    fn clear(&self) {
        self.timeout.clear();
        self.arguments.clear();
    }
}

fn insert_timeout_error<'py>(this: &Bound<'py, Timeout>, args: Args<'_, 'py>) -> Returned<'py> {
    imports(this.py())?
        .timeout
        .bind(this.py())
        .call_method1("_insert_timeout_error", args.rest(0)?)
}

fn state<'py>(this: &Bound<'py, Timeout>) -> Returned<'py> {
    let py = this.py();
    imports(py)?
        .timeout_state
        .bind(py)
        .getattr(this.body().progress.get().name())
}

fn set_state(this: &Bound<'_, Timeout>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let name: String = value.getattr("name")?.extract()?;
    let known = [
        Progress::Created,
        Progress::Entered,
        Progress::Expiring,
        Progress::Expired,
        Progress::Exited,
    ];
    if let Some(progress) = known.into_iter().find(|progress| progress.name() == name) {
        this.body().progress.set(progress);
    }
    Ok(())
}

/// `_timeout_handler`: the timer as a handle; a native timer has none, and is its own.
fn handler<'py>(this: &Bound<'py, Timeout>) -> Returned<'py> {
    Ok(this.body().handle.get_or_none(this.py()))
}

fn set_handler(this: &Bound<'_, Timeout>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    drop(
        this.body()
            .handle
            .replace((!value.is_none()).then(|| Owned::new(value))),
    );
    Ok(())
}

fn task<'py>(this: &Bound<'py, Timeout>) -> Returned<'py> {
    Ok(this.body().task.get_or_none(this.py()))
}

fn set_task(this: &Bound<'_, Timeout>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    drop(this.body().task.replace((!value.is_none()).then(|| Owned::new(value))));
    Ok(())
}

fn cancelling<'py>(this: &Bound<'py, Timeout>) -> Returned<'py> {
    Ok(this.body().cancelling.get().into_pyobject(this.py())?.into_any())
}

fn set_cancelling(this: &Bound<'_, Timeout>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let value = value.extract()?;
    this.body().cancelling.set(value);
    Ok(())
}
