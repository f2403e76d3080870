//! Asking the poller, and telling those who watch.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;

use super::{Direction, Entry, Io, Loop, Watch, timing};
use crate::errors::os_error;
use crate::object::BodyOf;
use crate::{serving, tasks, transports};

/// How long a poll may take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Not at all: there is work, or the loop is stopping.
    No,
    /// Until something happens.
    UntilWork,
}

/// Polls once: moves what threads sent, ready descriptors and expired timers into the ready queue, and
/// lets native transports read and write.
///
/// # Errors
/// Of signal handlers and of protocols' KeyboardInterrupt; of the poller itself.
pub fn poll(this: &Bound<'_, Loop>, io: &Io, wait: Wait) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    receive(io);
    tasks::leave_current(this.as_any(), body)?;
    let timeout = match wait {
        Wait::No => Some(Duration::ZERO),
        Wait::UntilWork => {
            let now = timing::now(this)?;
            io.engine.borrow_mut().begin_wait(now)
        }
    };
    let mut events = io.events.take();
    let polled = if timeout == Some(Duration::ZERO) {
        io.poller.wait(&mut events, timeout)
    } else {
        let probe = Arc::clone(io.engine.borrow().probe());
        probe.leave_callbacks();
        let poller = &*io.poller;
        io.asleep.set(true);
        let polled = py.detach(|| poller.wait(&mut events, timeout));
        io.asleep.set(false);
        probe.enter_callbacks();
        polled
    };
    io.engine.borrow_mut().end_wait();
    let told = polled
        .map_err(|error| os_error(&error))
        .and_then(|()| tell(this, io, &events));
    events.clear();
    io.events.set(events);
    told?;
    receive(io);
    expire(this, io)?;
    py.check_signals()
}

/// Moves what other threads sent into the ready queue.
#[inline]
pub fn receive(io: &Io) {
    io.engine.borrow_mut().drain_inbox();
}

/// Puts the handles of ready descriptors into the ready queue; then lets the native transports work.
fn tell(this: &Bound<'_, Loop>, io: &Io, events: &[aioxide::Event]) -> PyResult<()> {
    if events.is_empty() {
        return Ok(());
    }
    // Found before any of them runs: a transport's protocol may close descriptors and open others.
    let mut ready = Vec::new();
    {
        let fds = io.fds.borrow();
        let mut engine = io.engine.borrow_mut();
        for event in events {
            if event.fd == io.inbox.fd() {
                io.inbox.acknowledge();
                continue;
            }
            let reader = event
                .readable
                .then(|| fds.reader(event.fd))
                .flatten()
                .map(|watch| (watch, Direction::Read));
            let writer = event
                .writable
                .then(|| fds.writer(event.fd))
                .flatten()
                .map(|watch| (watch, Direction::Write));
            for (watch, direction) in reader.into_iter().chain(writer) {
                match watch {
                    Watch::Handle(handle) => engine.push(Entry::Handle(handle.clone())),
                    native => ready.push((native.clone(), direction)),
                }
            }
        }
    }
    for (watch, direction) in ready {
        let object = watch.object().bind(this.py());
        match watch {
            Watch::Transport(_) => transports::ready(this, object, direction)?,
            Watch::Pipe(_) => transports::pipes::ready(this, object, direction)?,
            Watch::Listener(_) => serving::ready(this, object)?,
            Watch::Handle(_) => {}
        }
    }
    Ok(())
}

/// Moves expired timers into the ready queue.
fn expire(this: &Bound<'_, Loop>, io: &Io) -> PyResult<()> {
    if io.engine.borrow().timers.is_empty() {
        return Ok(());
    }
    let now = timing::now(this)?;
    let mut engine = io.engine.borrow_mut();
    // The handles themselves are not touched: thousands of them do not fit into a cache.
    engine.drain_timers(now);
    Ok(())
}
