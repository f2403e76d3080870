//! Running: one tick after the other.
//!
//! ```text
//!   poll (waits only if nothing is ready)
//!     -> batch: what was ready when it began   <--+
//!     -> nothing ready, budget spent or strict? --+ no
//!     -> yes: poll again
//! ```
//! asyncio polls after every batch. A batch of one is common (two tasks that wake each other), and a poll
//! costs more than a step, so here several small batches share a poll, within the bound of `PollBudget`: after
//! the batch in which the 64th callback ran, or 26 us passed, the loop polls. `strict_polling` restores
//! asyncio's way. Polling in the middle of a batch was tried and is worse: with callbacks of 50 us each
//! event would have a poll of its own (measured with aiohttp: six times the polls, 20 % fewer requests).

#![forbid(unsafe_code)]

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::polling::{self, Wait};
use super::{Entry, Io, Loop, LoopBody};
use crate::combinators;
use crate::errors::loop_closed;
use crate::handles;
use crate::imports::imports;
use crate::object::{Args, BodyOf, Returned, TypeBuilder, as_exact, method, method_noargs};
use crate::sleep;
use crate::tasks::{self, TaskBody};
use crate::timeouts;

/// Adds the methods.
pub fn run_methods(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method_noargs(
            c"_run_once",
            c"Runs one iteration; inside run_forever(), all iterations until stop().",
            run_once,
        ))
        .method(method(
            c"_run_whole",
            c"Calls the base class's run_forever(); the loop is not running afterwards, whatever happens.",
            run_whole,
        ))
        .method(method_noargs(
            c"_probe",
            c"(callbacks run, whether callbacks are running, thread id), for the watchdog.",
            probe,
        ))
}

/// `BaseEventLoop.run_forever` calls this until `_stopping`. Then (`_whole_run` is set) the whole run happens
/// in one call; for those who drive the loop by hand it is one iteration.
fn run_once<'py>(this: &Bound<'py, Loop>) -> Returned<'py> {
    // For PyO3's count: errors dropped while the loop runs are released at once.
    Python::attach(|_py| run_attached(this))
}

/// What surrounds a run and must happen whatever an interrupt hits: it is native, so none comes between.
///
/// `wakeup_fd` gets a byte for each signal while the loop runs: one that arrives right before the poller
/// sleeps is not noticed late. -1 outside the main thread.
fn run_whole<'py>(this: &Bound<'py, Loop>, args: Args<'_, 'py>) -> Returned<'py> {
    let [run_forever, wakeup_fd] = args.bind("_run_whole", ["run_forever", "wakeup_fd"], 2, 2)?;
    let (Some(run_forever), Some(wakeup_fd)) = (run_forever, wakeup_fd) else {
        return Err(loop_closed());
    };
    let body = this.body();
    let wakeup_fd: i32 = wakeup_fd.extract()?;
    let previous = if wakeup_fd >= 0 {
        set_wakeup_fd(this.py(), wakeup_fd)?
    } else {
        -1
    };
    let nested = body.whole_run.replace(true);
    let ran = run_forever.call0();
    body.whole_run.set(nested);
    if !nested && ran.is_err() {
        forget_run(this)?;
    }
    // Handlers outlive the run, and need it.
    if wakeup_fd >= 0 && this.getattr("_signal_handlers")?.len()? == 0 {
        set_wakeup_fd(this.py(), if previous == wakeup_fd { -1 } else { previous })?;
    }
    ran
}

/// `signal.set_wakeup_fd(fd, warn_on_full_buffer=False)`; returns the one before.
fn set_wakeup_fd(py: Python<'_>, fd: i32) -> PyResult<i32> {
    let keywords = PyDict::new(py);
    keywords.set_item("warn_on_full_buffer", false)?;
    imports(py)?
        .set_wakeup_fd
        .bind(py)
        .call((fd,), Some(&keywords))?
        .extract()
}

/// An interrupt may have hit the base class's clean-up, which is Python, and left a loop that believes it
/// runs.
fn forget_run(this: &Bound<'_, Loop>) -> PyResult<()> {
    let py = this.py();
    let imports = imports(py)?;
    this.body().thread_id.clear();
    this.body().stopping.set(false);
    if imports.running_loop.bind(py).call0()?.is(this) {
        imports.set_running_loop.bind(py).call1((py.None(),))?;
    }
    Ok(())
}

fn run_attached<'py>(this: &Bound<'py, Loop>) -> Returned<'py> {
    let body = this.body();
    body.require_open()?;
    let io = &*body.io()?;
    io.engine.borrow().probe().enter_callbacks();
    let ran = if body.whole_run.get() {
        run_until_stopped(this, io)
    } else {
        tick(this, io, Batches::One)
    };
    io.engine.borrow().probe().leave_callbacks();
    body.show_queued(this.py());
    let left = tasks::leave_current(this.as_any(), body);
    ran?;
    left?;
    Ok(this.py().None().into_bound(this.py()))
}

fn run_until_stopped(this: &Bound<'_, Loop>, io: &Io) -> PyResult<()> {
    let batches = if io.strict { Batches::One } else { Batches::WithinBudget };
    loop {
        tick(this, io, batches)?;
        if this.body().stopping.get() {
            return Ok(());
        }
    }
}

/// How many batches may share one poll.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Batches {
    One,
    WithinBudget,
}

fn tick(this: &Bound<'_, Loop>, io: &Io, batches: Batches) -> PyResult<()> {
    let body = this.body();
    let wait = if body.stopping.get() { Wait::No } else { Wait::UntilWork };
    polling::poll(this, io, wait)?;
    io.engine.borrow_mut().begin_run();
    loop {
        // What these callbacks add runs in the next batch: a callback that reschedules itself must not keep
        // the others, or the poller, waiting.
        let count = io.engine.borrow().ready_len();
        // A clock that somebody moves may make a timer due at any callback.
        let mut spent = batches == Batches::One || body.is_time_hooked();
        for _ in 0..count {
            // Somebody may have emptied the queue meanwhile.
            let Some(entry) = take_entry(io) else { break };
            run_entry(this, body, entry)?;
            if io.engine.borrow_mut().budget.should_poll() {
                spent = true;
                // A long batch of callbacks written in C would not notice signals otherwise.
                this.py().check_signals()?;
            }
        }
        polling::receive(io);
        if spent || body.stopping.get() || io.engine.borrow().ready_len() == 0 {
            return Ok(());
        }
    }
}

#[inline]
fn take_entry(io: &Io) -> Option<Entry> {
    let mut engine = io.engine.borrow_mut();
    engine.probe().step();
    let entry = engine.pop();
    if let Some(next) = engine.ready.front() {
        next.prefetch();
    }
    entry
}

/// Runs what came out of the ready queue.
///
/// # Errors
/// KeyboardInterrupt and SystemExit, which end the loop. The entries behind it stay in the queue.
#[inline]
fn run_entry(this: &Bound<'_, Loop>, body: &LoopBody, entry: Entry) -> PyResult<()> {
    if body.debug.get() {
        return run_entry_timed(this, body, &entry);
    }
    run_entry_now(this, body, &entry)
}

#[inline]
fn run_entry_now(this: &Bound<'_, Loop>, body: &LoopBody, entry: &Entry) -> PyResult<()> {
    let py = this.py();
    match entry {
        Entry::Task(task) => {
            let task = task.bind(py);
            let stepped = match as_exact::<TaskBody>(task) {
                Some(task) => tasks::run_queued(task, this),
                None => tasks::run_queued(task.cast()?, this),
            };
            stepped.or_else(|error| handles::report(this.as_any(), task, error))
        }
        Entry::Handle(handle) => {
            tasks::leave_current(this.as_any(), body)?;
            handles::run(handle.bind(py))
        }
        Entry::Sleep(sleeper) => sleep::fire(sleeper.bind(py)),
        Entry::Timeout(timeout) => {
            tasks::leave_current(this.as_any(), body)?;
            timeouts::fire(timeout.bind(py)).or_else(|error| handles::report(this.as_any(), timeout.bind(py), error))
        }
        Entry::Child(listener, child) => {
            tasks::leave_current(this.as_any(), body)?;
            let (listener, child) = (listener.bind(py), child.bind(py));
            combinators::tell(listener, child).or_else(|error| handles::report(this.as_any(), listener, error))
        }
    }
}

/// Debug mode: names what took longer than `slow_callback_duration`, in asyncio's words.
#[cold]
fn run_entry_timed(this: &Bound<'_, Loop>, body: &LoopBody, entry: &Entry) -> PyResult<()> {
    let py = this.py();
    let object = entry.object().bind(py).clone();
    this.setattr(pyo3::intern!(py, "_current_handle"), &object)?;
    let before = this.call_method0(pyo3::intern!(py, "time"))?;
    let ran = run_entry_now(this, body, entry);
    this.setattr(pyo3::intern!(py, "_current_handle"), py.None())?;
    ran?;
    let took = this.call_method0(pyo3::intern!(py, "time"))?.sub(before)?;
    if took.ge(this.getattr("slow_callback_duration")?)? {
        imports(py)?
            .handles
            .bind(py)
            .call_method1("report_slow", (object, took))?;
    }
    Ok(())
}

fn probe<'py>(this: &Bound<'py, Loop>) -> Returned<'py> {
    let py = this.py();
    let io = this.body().io()?;
    let (steps, in_callbacks) = {
        let engine = io.engine.borrow();
        (engine.probe().steps(), engine.probe().in_callbacks())
    };
    Ok((steps, in_callbacks, this.body().thread_id.get_or_none(py))
        .into_pyobject(py)?
        .into_any())
}
