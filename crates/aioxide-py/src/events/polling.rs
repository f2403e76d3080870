//! Asking the poller, and telling those who watch.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;

use super::{Direction, Entry, Io, Loop, Watch, timing};
use crate::errors::os_error;
use crate::object::{BodyOf, Owned};
use crate::{handles, serving, sockets, tasks, transports};

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
    receive(io);
    match (wait, this.body().idle.get(this.py())) {
        (Wait::No, _) => ask(this, io, Some(Duration::ZERO)).map(drop),
        (Wait::UntilWork, None) => {
            let now = timing::now(this)?;
            let timeout = io.engine.borrow_mut().begin_wait(now);
            ask(this, io, timeout).map(drop)
        }
        (Wait::UntilWork, Some(idle)) => {
            tasks::leave_current(this.as_any(), this.body())?;
            poll_as_told(this, io, &idle)
        }
    }
}

/// Whether the poller had news.
#[derive(Clone, Copy, PartialEq, Eq)]
enum News {
    None,
    Some,
}

/// Asks the poller, for so long at most, and acts on what it says.
fn ask(this: &Bound<'_, Loop>, io: &Io, timeout: Option<Duration>) -> PyResult<News> {
    let py = this.py();
    let driver = io.driver.get().filter(|driver| (driver.wants)());
    if timeout == Some(Duration::ZERO) && driver.is_none() {
        tasks::pause_current(this.as_any(), this.body())?;
    } else {
        tasks::leave_current(this.as_any(), this.body())?;
    }
    let mut events = io.events.take();
    let polled = match driver {
        Some(driver) => wait_driven(py, io, driver, &mut events, timeout),
        None if timeout == Some(Duration::ZERO) => io.poller.wait(&mut events, timeout),
        None => {
            let poller = &*io.poller;
            asleep(py, io, || poller.wait(&mut events, timeout))
        }
    };
    io.engine.borrow_mut().end_wait();
    let news = if events.is_empty() { News::None } else { News::Some };
    let told = polled
        .map_err(|error| os_error(&error))
        .and_then(|()| tell(this, io, &events));
    events.clear();
    io.events.set(events);
    told?;
    receive(io);
    expire(this, io)?;
    py.check_signals()?;
    Ok(news)
}

/// Runs `wait` without the GIL, as the loop's sleep.
fn asleep<R: Send>(py: Python<'_>, io: &Io, wait: impl Send + FnOnce() -> R) -> R {
    let probe = Arc::clone(io.engine.borrow().probe());
    probe.leave_callbacks();
    handles::give_back_spares(py);
    io.asleep.set(true);
    let waited = py.detach(wait);
    io.asleep.set(false);
    probe.enter_callbacks();
    waited
}

/// Polls while another runtime has work on this thread: that one sleeps, and watches our poller.
///
/// The poller is asked first, because the other one sees only what is new to it; then the other runtime has its
/// turn, however busy the loop is.
fn wait_driven(
    py: Python<'_>,
    io: &Io,
    driver: aioxide::Driver,
    events: &mut Vec<aioxide::PollEvent>,
    timeout: Option<Duration>,
) -> std::io::Result<()> {
    io.poller.wait(events, Some(Duration::ZERO))?;
    let nanos = match timeout {
        Some(timeout) if events.is_empty() => u64::try_from(timeout.as_nanos()).unwrap_or(aioxide::Driver::FOREVER),
        Some(_) => 0,
        None if events.is_empty() => aioxide::Driver::FOREVER,
        None => 0,
    };
    let poller = io.poller.as_raw_fd();
    asleep(py, io, || (driver.park)(poller, nanos));
    (driver.unparked)();
    if events.is_empty() {
        io.poller.wait(events, Some(Duration::ZERO))?;
    }
    Ok(())
}

/// Polls where somebody else decides what happens when there is nothing to do: `idle(when)` is told the
/// time of the next timer, None without one. It moves the loop's clock and returns None, or returns how many
/// seconds, at most, to wait for events in real time.
fn poll_as_told(this: &Bound<'_, Loop>, io: &Io, idle: &Bound<'_, PyAny>) -> PyResult<()> {
    if ask(this, io, Some(Duration::ZERO))? == News::Some || io.engine.borrow().ready_len() > 0 {
        return Ok(());
    }
    let when = io.engine.borrow().timers.next_deadline().map(timing::seconds);
    let patience: Option<f64> = idle.call1((when,))?.extract()?;
    let Some(patience) = patience else {
        return ask(this, io, Some(Duration::ZERO)).map(drop);
    };
    // Infinity, and what no Duration can hold, is no limit.
    let timeout = Duration::try_from_secs_f64(patience.max(0.0)).ok();
    let now = timing::now(this)?;
    let timeout = match io.engine.borrow_mut().begin_wait(now) {
        Some(Duration::ZERO) => Some(Duration::ZERO),
        _ => timeout,
    };
    ask(this, io, timeout).map(drop)
}

/// Moves what other threads sent into the ready queue.
#[inline]
pub fn receive(io: &Io) {
    io.engine.borrow_mut().drain_inbox();
}

/// Puts the handles of ready descriptors into the ready queue; then lets the native transports work.
fn tell(this: &Bound<'_, Loop>, io: &Io, events: &[aioxide::PollEvent]) -> PyResult<()> {
    if events.is_empty() {
        return Ok(());
    }
    tasks::leave_current(this.as_any(), this.body())?;
    // Found before any of them runs: a transport's protocol may close descriptors and open others.
    let mut ready = Vec::new();
    let others = {
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
                    native => ready.push((native.clone(), event.fd, direction)),
                }
            }
        }
        engine.ready_len() > 0
    };
    for (watch, fd, direction) in ready {
        let object = watch.object().bind(this.py());
        match watch {
            Watch::Transport(_) => transports::ready(this, object, direction)?,
            Watch::Pipe(_) => transports::pipes::ready(this, object, direction)?,
            // One datagram is often all there is to receive, and programs send it before they await it: who was
            // ready before has his turn before it, as in asyncio.
            Watch::Datagrams(_) if others => {
                let handle = transports::datagrams::handle(this, object, direction)?;
                io.engine.borrow_mut().push(Entry::Handle(Owned::from(handle)));
            }
            Watch::Datagrams(_) => transports::datagrams::ready(this, object, direction)?,
            Watch::Waiter(_) => sockets::ready(this, object, fd, direction)?,
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
