//! Linux: epoll, with timeouts precise to the kernel's timer slack.
//!
//! `epoll_wait` counts in milliseconds and `epoll_pwait2` in nanoseconds, but the latter is missing
//! before Linux 5.11 and in container sandboxes of that age, where asking for it may end the process.
//! So timed waits go through `ppoll` on the epoll descriptor, which every kernel has and which is
//! as precise:
//!
//! ```text
//! none or zero    epoll_wait                                one call
//! up to 3 ms      ppoll(epoll fd), then epoll_wait(0)       one call when time runs out, else two
//! more            epoll_wait for most of it, then the       one call when an event comes in the
//!                 rest as above                             first part, as nearly all do
//! ```
//!
//! The second call costs about 1 us (`benches/engine.rs`, `poller`), so a busy server with a timer
//! pending must not pay it for each message; the price of the last line is one more awakening for
//! each timer that is waited for, which is rare beside it. That line also keeps long timers
//! precise: the kernel may end a wait late by 1/1000 of it, 10 ms for a wait of 10 s.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::io::Errno;

use super::{Event, Interest};
use crate::clock::now;
use crate::sys::with_descriptor;

/// The poller on Linux.
#[derive(Debug)]
pub(super) struct Backend {
    epoll: OwnedFd,
}

impl Backend {
    pub(super) fn new() -> io::Result<Backend> {
        Ok(Backend {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        })
    }

    pub(super) fn add(&self, fd: RawFd, interest: Interest) -> io::Result<()> {
        with_descriptor(fd, |source| epoll::add(&self.epoll, source, data(fd), flags(interest)))
    }

    pub(super) fn modify(&self, fd: RawFd, interest: Interest) -> io::Result<()> {
        with_descriptor(fd, |source| {
            epoll::modify(&self.epoll, source, data(fd), flags(interest))
        })
    }

    pub(super) fn delete(&self, fd: RawFd) -> io::Result<()> {
        with_descriptor(fd, |source| epoll::delete(&self.epoll, source))
    }

    pub(super) fn wait(&self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        let waited = match timeout {
            None => self.collect(events, None),
            Some(Duration::ZERO) => self.collect(events, Some(&ZERO)),
            Some(timeout) if timeout <= PRECISE_WAIT => self.wait_precisely(events, timeout),
            Some(timeout) => self.wait_coarsely(events, timeout),
        };
        match waited {
            Ok(()) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits in milliseconds while the end is far, and precisely when it is near.
    fn wait_coarsely(&self, events: &mut Vec<Event>, timeout: Duration) -> rustix::io::Result<()> {
        let deadline = now().saturating_add(timeout);
        let mut left = timeout;
        while left > PRECISE_WAIT {
            // Twice the kernel's slack, and one millisecond, are left for the precise part.
            let coarse = (left - left / 500 - Duration::from_millis(1)).min(LONGEST_COARSE_WAIT);
            let coarse = Duration::from_millis(coarse.as_millis() as u64);
            self.collect(events, Some(&timespec(coarse)))?;
            if !events.is_empty() {
                return Ok(());
            }
            left = deadline.saturating_duration_since(now());
        }
        if left.is_zero() {
            return Ok(());
        }
        self.wait_precisely(events, left)
    }

    /// Waits to the nanosecond, as far as the kernel's slack (50 us by default) allows.
    fn wait_precisely(&self, events: &mut Vec<Event>, timeout: Duration) -> rustix::io::Result<()> {
        let mut this = [PollFd::new(&self.epoll, PollFlags::IN)];
        if poll(&mut this, Some(&timespec(timeout)))? == 0 {
            return Ok(());
        }
        self.collect(events, Some(&ZERO))
    }

    /// Calls `epoll_wait` once and appends what it reports.
    fn collect(&self, events: &mut Vec<Event>, timeout: Option<&Timespec>) -> rustix::io::Result<()> {
        let mut buffer = [const { MaybeUninit::uninit() }; EVENTS_PER_WAIT];
        let (reported, _) = epoll::wait(&self.epoll, &mut buffer, timeout)?;
        events.extend(reported.iter().map(translate));
        Ok(())
    }
}

impl AsFd for Backend {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

/// Reads flags as `selectors.EpollSelector` does: whatever is not plain "in" concerns the writer,
/// whatever is not plain "out" the reader. So `EPOLLERR` and `EPOLLHUP` wake both.
#[inline]
fn translate(event: &epoll::Event) -> Event {
    let flags = event.flags;
    let data = event.data;
    Event {
        fd: data.u64() as RawFd,
        readable: flags.intersects(epoll::EventFlags::OUT.complement()),
        writable: flags.intersects(epoll::EventFlags::IN.complement()),
    }
}

#[inline]
fn data(fd: RawFd) -> epoll::EventData {
    epoll::EventData::new_u64(fd as u64)
}

#[inline]
fn flags(interest: Interest) -> epoll::EventFlags {
    let mut flags = epoll::EventFlags::empty();
    flags.set(epoll::EventFlags::IN, interest.readable);
    flags.set(epoll::EventFlags::OUT, interest.writable);
    flags
}

#[inline]
fn timespec(duration: Duration) -> Timespec {
    Timespec {
        // At most a day (`LONGEST_COARSE_WAIT`).
        tv_sec: duration.as_secs() as i64,
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// How many events one `epoll_wait` may report. The buffer is on the stack and not initialised, so a
/// bigger one costs nothing; 512 events are 6 KiB. epoll rotates its list: none starves.
pub(super) const EVENTS_PER_WAIT: usize = 512;

/// Shorter waits are precise from the start. A coarse wait ends at least a millisecond early, so for
/// these it would buy little.
const PRECISE_WAIT: Duration = Duration::from_millis(3);

/// asyncio's `MAXIMUM_SELECT_TIMEOUT`. `epoll_wait` itself takes 24 days.
const LONGEST_COARSE_WAIT: Duration = Duration::from_secs(24 * 3600);

const ZERO: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
