//! tokio for futures that Python awaits.
//!
//! On aioxide's loop the runtime is on the loop's own thread: the loop sleeps in [`park`], which sleeps in tokio and
//! watches the loop's poller as one more descriptor. On another loop a runtime of one thread waits for sockets and
//! timers; the futures are polled on the loop's thread there, too.
//!
//! Invariant: the runtime of a thread is entered by its polls and its parks only, which do not nest.

#![forbid(unsafe_code)]

use std::cell::{Cell, OnceCell, RefCell};
use std::future::{Future, poll_fn};
use std::os::fd::{OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use aioxide::Driver;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Builder, EnterGuard, Handle, Runtime};

use crate::sys;
use crate::wake::local_inbox;

/// Where tokio runs for a loop's futures.
pub enum Place {
    /// On the loop's thread.
    Here(Handle),
    /// On a thread of its own.
    Beside(Handle),
}

impl Place {
    /// The place for a loop: here, if it lets a driver sleep for it.
    pub fn of(event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Some(drive) = event_loop.getattr_opt("_drive")? {
            let here = handle_here()?;
            let driver = Driver {
                version: Driver::VERSION,
                wants,
                park,
                unparked,
            };
            let capsule = PyCapsule::new_with_value(event_loop.py(), driver, Driver::CAPSULE)?;
            if drive.call1((capsule,))?.is_truthy()? {
                // The poller of the loop before, if there was one, is closed.
                drop(POLLER.take());
                return Ok(Self::Here(here));
            }
        }
        Ok(Self::Beside(handle_beside()?))
    }

    /// Makes tokio's types find their runtime, until the guard is dropped.
    pub fn enter(&self) -> EnterGuard<'_> {
        match self {
            Self::Here(handle) | Self::Beside(handle) => handle.enter(),
        }
    }
}

/// One future that waits on this thread.
pub struct Waiting(());

impl Waiting {
    /// Counts it until it is dropped.
    pub fn new() -> Self {
        WAITING.set(WAITING.get() + 1);
        Self(())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITING.set(WAITING.get().saturating_sub(1));
    }
}

/// Whether this thread's loop sleeps in [`park`].
pub fn is_parked() -> bool {
    PARKED.get()
}

/// Ends the sleep of this thread's loop.
pub fn end_park() {
    let waker = SLEEPER.take();
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn handle_here() -> PyResult<Handle> {
    RUNTIME.with(|runtime| {
        if let Some(runtime) = runtime.get() {
            return Ok(runtime.handle().clone());
        }
        let made = Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.get_or_init(|| made).handle().clone())
    })
}

fn handle_beside() -> PyResult<Handle> {
    static BESIDE: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = BESIDE.get() {
        return Ok(runtime.handle().clone());
    }
    let made = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("aioxide-tokio")
        .enable_all()
        .build()?;
    Ok(BESIDE.get_or_init(|| made).handle().clone())
}

extern "C" fn wants() -> bool {
    WAITING.get() > 0
        || RUNTIME.with(|runtime| {
            runtime
                .get()
                .is_some_and(|runtime| runtime.metrics().num_alive_tasks() > 0)
        })
}

extern "C" fn park(poller: RawFd, nanos: u64) {
    PARKED.set(true);
    // An unwinding panic must not leave a C function. tokio catches those of its tasks; ours do not panic.
    let parked = catch_unwind(AssertUnwindSafe(|| {
        RUNTIME.with(|runtime| {
            if let Some(runtime) = runtime.get() {
                runtime.block_on(sleep(poller, nanos));
            }
        });
    }));
    PARKED.set(false);
    drop(SLEEPER.take());
    if parked.is_err() {
        // The loop polls by itself right afterwards: it goes on, only tokio has missed a turn.
        drop(parked);
    }
}

extern "C" fn unparked() {
    let flushed = catch_unwind(|| {
        let Some(inbox) = local_inbox() else { return };
        Python::attach(|py| {
            if let Err(error) = inbox.flush(py) {
                error.write_unraisable(py, None);
            }
        });
    });
    drop(flushed);
}

/// Waits until the loop has a reason to go on.
async fn sleep(poller: RawFd, nanos: u64) {
    if nanos == 0 {
        // One turn of the runtime: its sockets are looked at between the two polls.
        let mut polls = 0;
        return poll_fn(|context| {
            polls += 1;
            if polls > 1 {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
    let inbox = local_inbox();
    let mut alarm = pin!((nanos != Driver::FOREVER).then(|| tokio::time::sleep(Duration::from_nanos(nanos))));
    poll_fn(|context| {
        drop(SLEEPER.replace(Some(context.waker().clone())));
        if inbox.as_ref().is_some_and(|inbox| !inbox.is_empty()) || is_readable(poller, context) {
            return Poll::Ready(());
        }
        match alarm.as_mut().as_pin_mut() {
            Some(alarm) => alarm.poll(context),
            None => Poll::Pending,
        }
    })
    .await;
}

/// Whether the loop's poller has news; true also if it cannot be watched, for then the loop must look itself.
fn is_readable(poller: RawFd, context: &mut Context<'_>) -> bool {
    POLLER.with_borrow_mut(|known| {
        if known.as_ref().is_none_or(|(watched, _)| *watched != poller) {
            *known = sys::watch(poller).ok().map(|watch| (poller, watch));
        }
        let Some((_, known)) = known else { return true };
        match known.poll_read_ready(context) {
            Poll::Ready(Ok(mut guard)) => {
                guard.clear_ready();
                true
            }
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        }
    })
}

thread_local! {
    static RUNTIME: OnceCell<Runtime> = const { OnceCell::new() };
    static POLLER: RefCell<Option<(RawFd, AsyncFd<OwnedFd>)>> = const { RefCell::new(None) };
    static WAITING: Cell<usize> = const { Cell::new(0) };
    static PARKED: Cell<bool> = const { Cell::new(false) };
    static SLEEPER: Cell<Option<Waker>> = const { Cell::new(None) };
}
