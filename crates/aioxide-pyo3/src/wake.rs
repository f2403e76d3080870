//! How a waker reaches the task that awaits a Rust future.
//!
//! ```text
//!   wake ── on the loop's thread, GIL held ─────────► the asyncio future is done at once
//!        ── on the loop's thread, while it sleeps ──► the hub's list; the loop looks when it has slept
//!        ── on another thread ──────────────────────► the hub's list and, for the first, its eventfd
//! ```
//! A waker never takes the GIL: a thread that wakes does not wait for Python.
//!
//! Invariant: `Signal::waiting` is the asyncio future that the task waits for, set after the poll that returned
//! `Pending` and taken by whoever ends it, both on the loop's thread with the GIL held.

#![forbid(unsafe_code)]

use std::cell::{OnceCell, RefCell};
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Wake;
use std::thread::ThreadId;

use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyWeakref, PyWeakrefMethods, PyWeakrefReference};
use rustix::event::{EventfdFlags, eventfd};

/// What a coroutine's waker is about.
pub struct Signal {
    thread: ThreadId,
    /// Woken since the last poll began.
    woken: AtomicBool,
    waiting: Mutex<Option<Py<PyAny>>>,
    inbox: OnceLock<Arc<Inbox>>,
}

impl Signal {
    /// A signal of a coroutine on this thread.
    pub fn new() -> Self {
        Self {
            thread: std::thread::current().id(),
            woken: AtomicBool::new(false),
            waiting: Mutex::new(None),
            inbox: OnceLock::new(),
        }
    }

    /// The coroutine is about to be polled: what woke it is dealt with.
    pub fn begin_poll(&self) {
        // An exchange and not a store: whatever a thread did that found the flag raised, and so told nobody, is
        // visible to the poll.
        self.woken.swap(false, Ordering::SeqCst);
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Option<Py<PyAny>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_waiting(&self) -> Option<Py<PyAny>> {
        self.waiting().take()
    }

    /// Ends the asyncio future, so that the task goes on.
    fn end_wait(&self, py: Python<'_>) -> PyResult<()> {
        let Some(waiting) = self.take_waiting() else {
            return Ok(());
        };
        let waiting = waiting.bind(py);
        if !waiting.call_method0(pyo3::intern!(py, "done"))?.is_truthy()? {
            waiting.call_method1(pyo3::intern!(py, "set_result"), (py.None(),))?;
        }
        Ok(())
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        if self.woken.swap(true, Ordering::SeqCst) {
            return;
        }
        // Before the first `Pending` there is no inbox, and nothing waits: the end of the poll sees `woken`. Each
        // side writes its own and reads the other's; with both fences one of them sees what the other wrote.
        fence(Ordering::SeqCst);
        let Some(inbox) = self.inbox.get().cloned() else {
            return;
        };
        let is_local = std::thread::current().id() == self.thread;
        if is_local && !is_parked() {
            Python::attach(|py| {
                // Reported: a waker has nobody to tell.
                if let Err(error) = self.end_wait(py) {
                    error.write_unraisable(py, None);
                }
            });
            return;
        }
        inbox.push(self, is_local);
    }
}

#[cfg(feature = "tokio")]
use crate::runtime::{end_park, is_parked};

/// Whether this thread's loop sleeps in a driver of ours, without the GIL.
#[cfg(not(feature = "tokio"))]
fn is_parked() -> bool {
    false
}

/// Ends that sleep.
#[cfg(not(feature = "tokio"))]
fn end_park() {}

/// What was woken while Python did not run, and the descriptor that tells the loop.
pub struct Inbox {
    signals: Mutex<Vec<Arc<Signal>>>,
    eventfd: OwnedFd,
}

impl Inbox {
    fn new() -> PyResult<Arc<Self>> {
        let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| PyOSError::new_err((error.raw_os_error(), "eventfd")))?;
        Ok(Arc::new(Self {
            signals: Mutex::default(),
            eventfd,
        }))
    }

    fn push(&self, signal: Arc<Signal>, is_local: bool) {
        let was_empty = {
            let mut signals = self.signals();
            signals.push(signal);
            signals.len() == 1
        };
        if is_local {
            end_park();
        } else if was_empty {
            ignore_full_or_empty(rustix::io::write(&self.eventfd, &1_u64.to_ne_bytes()));
        }
    }

    /// Whether nothing was woken.
    pub fn is_empty(&self) -> bool {
        self.signals().is_empty()
    }

    /// Lets the tasks go on whose futures were woken.
    pub fn flush(&self, py: Python<'_>) -> PyResult<()> {
        let signals = std::mem::take(&mut *self.signals());
        for signal in signals {
            signal.end_wait(py)?;
        }
        Ok(())
    }

    fn signals(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Signal>>> {
        self.signals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An eventfd refuses to be written to when 2^64 - 2 wake-ups wait in it, and to be read when nobody has written:
/// in both cases the loop knows already what it should.
fn ignore_full_or_empty(_counted: rustix::io::Result<usize>) {}

/// The loop's reader of the inbox's descriptor.
#[pyclass(module = "aioxide_pyo3")]
struct Flush(Arc<Inbox>);

#[pymethods]
impl Flush {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let mut count = [0; 8];
        ignore_full_or_empty(rustix::io::read(&self.0.eventfd, &mut count));
        self.0.flush(py)
    }
}

/// What this thread knows of its running loop.
pub struct Hub {
    event_loop: Py<PyWeakref>,
    /// Made when a future has to wait for the first time.
    inbox: OnceCell<Arc<Inbox>>,
    #[cfg(feature = "tokio")]
    runtime: crate::runtime::Place,
}

impl Hub {
    /// The hub of the running loop.
    ///
    /// # Errors
    /// RuntimeError without one.
    pub fn current(py: Python<'_>) -> PyResult<Rc<Self>> {
        let event_loop = running_loop(py)?;
        let known = HUB.with_borrow(|hub| {
            hub.as_ref()
                .filter(|hub| hub.event_loop(py).is_some_and(|known| known.is(&event_loop)))
                .map(Rc::clone)
        });
        if let Some(hub) = known {
            return Ok(hub);
        }
        let hub = Rc::new(Self {
            event_loop: PyWeakrefReference::new(&event_loop)?.into_any().cast_into()?.unbind(),
            inbox: OnceCell::new(),
            #[cfg(feature = "tokio")]
            runtime: crate::runtime::Place::of(&event_loop)?,
        });
        let before = HUB.replace(Some(Rc::clone(&hub)));
        drop(before);
        Ok(hub)
    }

    /// Runs `poll` where tokio's types find their runtime.
    pub fn enter<R>(&self, poll: impl FnOnce() -> R) -> R {
        #[cfg(feature = "tokio")]
        let _entered = self.runtime.enter();
        poll()
    }

    /// What the coroutine yields after a poll that was `Pending`: a future that the signal ends; None, as
    /// `sleep(0)` yields it, if it was woken while it was polled.
    pub fn suspend(&self, py: Python<'_>, signal: &Arc<Signal>) -> PyResult<Py<PyAny>> {
        let Some(event_loop) = self.event_loop(py) else {
            return Err(PyRuntimeError::new_err("the event loop is gone"));
        };
        let inbox = self.inbox(&event_loop)?;
        // It may be known from an earlier wait.
        drop(signal.inbox.set(Arc::clone(inbox)));
        fence(Ordering::SeqCst);
        let future = event_loop.call_method0(pyo3::intern!(py, "create_future"))?;
        future.setattr(pyo3::intern!(py, "_asyncio_future_blocking"), true)?;
        let before = signal.waiting().replace(future.clone().unbind());
        drop(before);
        if signal.woken.load(Ordering::SeqCst) && signal.take_waiting().is_some() {
            return Ok(py.None());
        }
        Ok(future.unbind())
    }

    fn event_loop<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.event_loop.bind(py).upgrade()
    }

    /// The inbox, whose descriptor the loop watches.
    fn inbox(&self, event_loop: &Bound<'_, PyAny>) -> PyResult<&Arc<Inbox>> {
        if let Some(inbox) = self.inbox.get() {
            return Ok(inbox);
        }
        let inbox = Inbox::new()?;
        event_loop.call_method1("add_reader", (inbox.eventfd.as_raw_fd(), Flush(Arc::clone(&inbox))))?;
        Ok(self.inbox.get_or_init(|| inbox))
    }
}

/// The inbox of this thread's loop, if a future ever had to wait there.
#[cfg(feature = "tokio")]
pub fn local_inbox() -> Option<Arc<Inbox>> {
    HUB.with_borrow(|hub| hub.as_ref()?.inbox.get().cloned())
}

/// The running loop.
///
/// # Errors
/// RuntimeError without one.
pub fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static RUNNING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    RUNNING.import(py, "asyncio", "get_running_loop")?.call0()
}

thread_local! {
    static HUB: RefCell<Option<Rc<Hub>>> = const { RefCell::new(None) };
}
