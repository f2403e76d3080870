//! `SocketCall`: a call that is tried, and tried again whenever its socket is ready.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::io;
use std::os::fd::RawFd;

use pyo3::exceptions::{PyBlockingIOError, PyInterruptedError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::coroutines::{self, Coroutine, Next, Operation};
use crate::errors::os_error;
use crate::events::{Direction, Loop, Watch};
use crate::mixins::{give_up, is_done, wake};
use crate::object::{BodyOf, Layout, Owned, Slot, Visitor};

/// One kind of call.
pub trait Call: Sized + 'static {
    /// What its coroutine is called.
    const NAME: &'static str;
    /// What its socket must be ready for.
    const DIRECTION: Direction;

    /// Where the coroutine's type is written down.
    fn layout() -> &'static Layout;

    /// A call of which nothing is known.
    fn empty() -> Self;

    /// Makes the call, without waiting.
    ///
    /// # Errors
    /// What the coroutine raises.
    fn attempt<'py>(&self, on: &On<'_, 'py>) -> PyResult<Outcome<'py>>;

    /// What is to be done once before the call waits.
    ///
    /// # Errors
    /// What the coroutine raises.
    fn begin_wait(&self, py: Python<'_>) -> PyResult<()> {
        let _ = py;
        Ok(())
    }

    /// What it owns.
    fn slots(&self) -> [&Slot; 2];
}

/// What a call is made on.
pub struct On<'a, 'py> {
    /// The loop.
    pub event_loop: &'a Bound<'py, Loop>,
    /// The Python socket.
    pub socket: &'a Bound<'py, PyAny>,
    /// Its descriptor now: -1 once it is closed.
    pub fd: RawFd,
}

/// What came of an attempt.
pub enum Outcome<'py> {
    /// The call has this result.
    Done(Bound<'py, PyAny>),
    /// The socket is not ready, or not for all of it.
    WouldBlock,
}

impl<'py> On<'_, 'py> {
    /// The GIL token.
    pub fn py(&self) -> Python<'py> {
        self.socket.py()
    }

    /// What a system call's result means.
    #[inline]
    pub fn outcome<T>(
        &self,
        result: io::Result<T>,
        value: impl FnOnce(T) -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Outcome<'py>> {
        match result {
            Ok(result) => value(result).map(Outcome::Done),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(Outcome::WouldBlock)
            }
            Err(error) => Err(os_error(&error)),
        }
    }

    /// Whether the socket's own methods would not block either.
    pub fn is_nonblocking(&self) -> PyResult<bool> {
        would_never_block(self.socket)
    }

    /// Makes the call by a method of the socket.
    pub fn by_python<A>(&self, method: &str, arguments: A) -> PyResult<Outcome<'py>>
    where
        A: pyo3::call::PyCallArgs<'py>,
    {
        match self.socket.call_method1(method, arguments) {
            Ok(result) => Ok(Outcome::Done(result)),
            Err(error) => or_blocked(self.py(), error),
        }
    }
}

/// What an exception of a socket's method means.
fn or_blocked(py: Python<'_>, error: PyErr) -> PyResult<Outcome<'_>> {
    if error.is_instance_of::<PyBlockingIOError>(py) || error.is_instance_of::<PyInterruptedError>(py) {
        return Ok(Outcome::WouldBlock);
    }
    Err(error)
}

/// A call, its socket and its wait.
pub struct SocketCall<C> {
    event_loop: Slot,
    socket: Slot,
    /// The future it awaits; the loop tells it when the descriptor is ready.
    waiter: Slot,
    /// The descriptor that is watched, or -1.
    watched: Cell<RawFd>,
    call: C,
}

impl<C: Call> SocketCall<C> {
    /// A call on a socket.
    #[inline]
    pub fn new(event_loop: &Bound<'_, Loop>, socket: &Bound<'_, PyAny>, call: C) -> Self {
        Self {
            event_loop: Slot::new(Owned::new(event_loop.as_any())),
            socket: Slot::new(Owned::new(socket)),
            waiter: Slot::empty(),
            watched: Cell::new(-1),
            call,
        }
    }

    fn attempt<'py>(&self, py: Python<'py>) -> PyResult<(Outcome<'py>, RawFd)> {
        let event_loop = self.event_loop(py)?;
        let socket = self.socket.get_or_none(py);
        let on = On {
            event_loop: &event_loop,
            socket: &socket,
            fd: socket.call_method0(pyo3::intern!(py, "fileno"))?.extract()?,
        };
        Ok((self.call.attempt(&on)?, on.fd))
    }

    /// Debug mode looks whether a socket would block the loop.
    #[cold]
    fn require_nonblocking(&self, py: Python<'_>) -> PyResult<()> {
        if would_never_block(&self.socket.get_or_none(py))? {
            return Ok(());
        }
        Err(PyValueError::new_err("the socket must be non-blocking"))
    }

    fn event_loop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Loop>> {
        Ok(self.event_loop.get_or_none(py).cast_into()?)
    }

    /// Has the loop watch the descriptor, and awaits a future that it ends.
    fn wait<'py>(&self, py: Python<'py>, fd: RawFd) -> PyResult<Next<'py>> {
        let event_loop = self.event_loop(py)?;
        let waiter = coroutines::waiter(event_loop.as_any())?;
        let watch = Watch::Waiter(Owned::new(&waiter));
        let before = event_loop.body().watch(fd, C::DIRECTION, watch)?;
        self.waiter.set(Owned::new(&waiter));
        self.watched.set(fd);
        if let Some(Watch::Handle(handle)) = before {
            handle.bind(py).call_method0("cancel")?;
        }
        Ok(Next::Await(waiter))
    }

    /// Awaits once more, after the call was tried and is still not complete.
    fn wait_again<'py>(&self, py: Python<'py>, fd: RawFd) -> PyResult<Next<'py>> {
        let event_loop = self.event_loop(py)?;
        let still_watched = self.watched.get() == fd
            && self
                .waiter
                .get(py)
                .is_some_and(|waiter| event_loop.body().is_watched_by(fd, C::DIRECTION, &waiter));
        if !still_watched {
            self.end_wait(py)?;
            return self.wait(py, fd);
        }
        let waiter = coroutines::waiter(event_loop.as_any())?;
        let watch = Watch::Waiter(Owned::new(&waiter));
        drop(event_loop.body().hand_over(fd, C::DIRECTION, watch)?);
        self.waiter.set(Owned::new(&waiter));
        Ok(Next::Await(waiter))
    }

    /// Ends the wait: nothing is watched for this call any more, unless somebody else has taken its place.
    fn end_wait(&self, py: Python<'_>) -> PyResult<()> {
        let (fd, waiter) = (self.watched.replace(-1), self.waiter.take());
        let Some(waiter) = waiter.filter(|_| fd >= 0) else {
            return Ok(());
        };
        let waiter = waiter.into_bound(py);
        let event_loop = self.event_loop(py)?;
        if event_loop.body().is_watched_by(fd, C::DIRECTION, &waiter) {
            drop(event_loop.body().unwatch(fd, C::DIRECTION)?);
        }
        give_up(&waiter)
    }
}

impl<C: Call> Operation for SocketCall<C> {
    const NAME: &'static str = C::NAME;

    fn layout() -> &'static Layout {
        C::layout()
    }

    fn empty() -> Self {
        Self {
            event_loop: Slot::empty(),
            socket: Slot::empty(),
            waiter: Slot::empty(),
            watched: Cell::new(-1),
            call: C::empty(),
        }
    }

    fn start<'py>(this: &Bound<'py, Coroutine<Self>>) -> PyResult<Next<'py>> {
        let py = this.py();
        let operation = this.body().operation();
        let event_loop = operation.event_loop(py)?;
        if event_loop.body().debug.get() {
            operation.require_nonblocking(py)?;
        }
        match operation.attempt(py)? {
            (Outcome::Done(result), _) => Ok(Next::Return(result)),
            (Outcome::WouldBlock, fd) => {
                ensure_no_transport(&event_loop, fd)?;
                operation.call.begin_wait(py)?;
                operation.wait(py, fd)
            }
        }
    }

    fn resumed<'py>(this: &Bound<'py, Coroutine<Self>>, outcome: PyResult<Bound<'py, PyAny>>) -> PyResult<Next<'py>> {
        let py = this.py();
        let operation = this.body().operation();
        let attempted = outcome.and_then(|_| operation.attempt(py));
        match attempted {
            Ok((Outcome::Done(result), _)) => operation.end_wait(py).map(|()| Next::Return(result)),
            Ok((Outcome::WouldBlock, fd)) => operation.wait_again(py, fd),
            Err(error) => operation.end_wait(py).and(Err(error)),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        for slot in [&self.event_loop, &self.socket, &self.waiter] {
            visitor.slot(slot);
        }
        for slot in self.call.slots() {
            visitor.slot(slot);
        }
    }

    fn clear(&self) {
        for slot in [&self.event_loop, &self.socket, &self.waiter] {
            slot.clear();
        }
        for slot in self.call.slots() {
            slot.clear();
        }
    }
}

/// Wakes the call that waits for a descriptor.
///
/// # Errors
/// When the descriptor cannot be unwatched.
pub fn ready(event_loop: &Bound<'_, Loop>, waiter: &Bound<'_, PyAny>, fd: RawFd, direction: Direction) -> PyResult<()> {
    if !is_done(waiter)? {
        return wake(waiter, waiter.py().None().into_bound(waiter.py()));
    }
    // It was told already and has not come to try again: the loop must not be told over and over.
    let body = event_loop.body();
    if body.is_watched_by(fd, direction, waiter) {
        drop(body.unwatch(fd, direction)?);
    }
    Ok(())
}

fn would_never_block(socket: &Bound<'_, PyAny>) -> PyResult<bool> {
    let timeout = socket.call_method0(pyo3::intern!(socket.py(), "gettimeout"))?;
    Ok(!timeout.is_none() && timeout.extract::<f64>()? == 0.0)
}

/// Refuses the descriptor of a transport. asyncio's own method is asked only if there may be one: it is Python.
fn ensure_no_transport(event_loop: &Bound<'_, Loop>, fd: RawFd) -> PyResult<()> {
    let py = event_loop.py();
    let known = event_loop
        .getattr(pyo3::intern!(py, "_transports"))?
        .getattr(pyo3::intern!(py, "data"))?;
    let may_be = match known.cast::<PyDict>() {
        Ok(known) => known.contains(fd)?,
        Err(_) => true,
    };
    if may_be || event_loop.body().occupied.contains(fd) {
        event_loop.call_method1(pyo3::intern!(py, "_ensure_fd_no_transport"), (fd,))?;
    }
    Ok(())
}
