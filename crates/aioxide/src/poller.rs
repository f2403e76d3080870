//! `Poller`: waits until file descriptors are ready. Level-triggered, as asyncio's `add_reader` is.
//!
//! The seam between systems is `Backend`: `epoll.rs` has it for Linux. A kqueue backend offers the
//! same six functions and is named in the two `cfg` lines below; nothing above this module changes.
//!
//! Counterpart: `selectors.EpollSelector`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "poller/epoll.rs"]
mod backend;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
compile_error!("aioxide has a poller for Linux only: another system needs poller/<name>.rs");

use backend::Backend;

/// What is registered with the kernel, and the wait for it.
///
/// It remembers nothing itself: who wants to know about a descriptor is [`crate::FdTable`]'s
/// business. All methods take `&self`, so that one thread may register while another waits.
///
/// # Examples
/// ```
/// use aioxide::{Interest, Poller};
/// use std::io::Write;
/// use std::os::fd::AsRawFd;
/// use std::os::unix::net::UnixStream;
///
/// let poller = Poller::new().unwrap();
/// let (here, mut there) = UnixStream::pair().unwrap();
/// poller.add(here.as_raw_fd(), Interest::READABLE).unwrap();
/// there.write_all(b"hello").unwrap();
/// let mut events = Vec::new();
/// poller.wait(&mut events, None).unwrap();
/// assert!(events[0].fd == here.as_raw_fd() && events[0].readable);
/// ```
#[derive(Debug)]
pub struct Poller {
    backend: Backend,
}

impl Poller {
    /// Opens a poller that watches nothing.
    ///
    /// # Errors
    /// When the process or the system has no descriptor left.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Poller;
    /// use std::time::Duration;
    ///
    /// let mut events = Vec::new();
    /// Poller::new().unwrap().wait(&mut events, Some(Duration::ZERO)).unwrap();
    /// assert!(events.is_empty());
    /// ```
    pub fn new() -> io::Result<Poller> {
        Ok(Poller {
            backend: Backend::new()?,
        })
    }

    /// Starts watching `fd`.
    ///
    /// # Errors
    /// `EEXIST` when it is watched already, `EPERM` when it is always ready by nature (a regular
    /// file, a directory), `EBADF` when it is not open.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Interest, Poller};
    /// use std::os::fd::AsRawFd;
    /// use std::os::unix::net::UnixStream;
    ///
    /// let poller = Poller::new().unwrap();
    /// let (here, _there) = UnixStream::pair().unwrap();
    /// poller.add(here.as_raw_fd(), Interest::READABLE).unwrap();
    /// let twice = poller.add(here.as_raw_fd(), Interest::READABLE);
    /// assert_eq!(twice.unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    /// ```
    #[inline]
    pub fn add(&self, fd: RawFd, interest: Interest) -> io::Result<()> {
        self.backend.add(fd, interest)
    }

    /// Changes what `fd` is watched for.
    ///
    /// # Errors
    /// `ENOENT` when it is not watched, `EBADF` when it is not open.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Interest, Poller};
    /// use std::os::fd::AsRawFd;
    /// use std::os::unix::net::UnixStream;
    ///
    /// let poller = Poller::new().unwrap();
    /// let (here, _there) = UnixStream::pair().unwrap();
    /// poller.add(here.as_raw_fd(), Interest::READABLE).unwrap();
    /// poller.modify(here.as_raw_fd(), Interest::WRITABLE).unwrap();
    /// let mut events = Vec::new();
    /// poller.wait(&mut events, None).unwrap();
    /// assert!(events[0].writable);
    /// ```
    #[inline]
    pub fn modify(&self, fd: RawFd, interest: Interest) -> io::Result<()> {
        self.backend.modify(fd, interest)
    }

    /// Stops watching `fd`. The kernel does so by itself when the last copy of it is closed.
    ///
    /// # Errors
    /// `ENOENT` when it is not watched, `EBADF` when it is not open.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Interest, Poller};
    /// use std::os::fd::AsRawFd;
    /// use std::os::unix::net::UnixStream;
    ///
    /// let poller = Poller::new().unwrap();
    /// let (here, _there) = UnixStream::pair().unwrap();
    /// poller.add(here.as_raw_fd(), Interest::WRITABLE).unwrap();
    /// poller.delete(here.as_raw_fd()).unwrap();
    /// let unknown = poller.delete(here.as_raw_fd());
    /// assert_eq!(unknown.unwrap_err().kind(), std::io::ErrorKind::NotFound);
    /// ```
    #[inline]
    pub fn delete(&self, fd: RawFd) -> io::Result<()> {
        self.backend.delete(fd)
    }

    /// Waits until a watched descriptor is ready or `timeout` has passed (`None`: for ever;
    /// zero: does not wait), and fills `events` with those that are ready, clearing it first.
    ///
    /// At most 512 descriptors are reported at a time; the kernel hands out the others first at
    /// the next call. When a signal handler interrupted the wait, it returns without events, early:
    /// the caller runs what signals asked for and waits again.
    ///
    /// It never returns before `timeout` has passed for any other reason than an event or a signal,
    /// and is late by no more than the kernel's timer slack (50 us) and the time the thread needs
    /// to be scheduled.
    ///
    /// # Errors
    /// None is known on a poller that was opened; `events` is empty then.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Interest, Poller};
    /// use std::io::Write;
    /// use std::os::fd::AsRawFd;
    /// use std::os::unix::net::UnixStream;
    ///
    /// let poller = Poller::new().unwrap();
    /// let (here, mut there) = UnixStream::pair().unwrap();
    /// poller.add(here.as_raw_fd(), Interest::READABLE).unwrap();
    /// let mut events = Vec::new();
    /// poller.wait(&mut events, Some(std::time::Duration::from_millis(1))).unwrap();
    /// assert!(events.is_empty(), "nothing was sent");
    /// there.write_all(b"hello").unwrap();
    /// poller.wait(&mut events, None).unwrap();
    /// assert_eq!(events.len(), 1);
    /// ```
    #[inline]
    pub fn wait(&self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        self.backend.wait(events, timeout)
    }

    /// Returns the poller's own descriptor, which is readable when a watched one is ready: a poller
    /// can be watched by another.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Interest, Poller};
    ///
    /// let (outer, inner) = (Poller::new().unwrap(), Poller::new().unwrap());
    /// outer.add(inner.as_raw_fd(), Interest::READABLE).unwrap();
    /// ```
    #[inline]
    pub fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.backend.as_fd()
    }
}

impl AsRawFd for Poller {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

/// What a descriptor is watched for.
///
/// # Examples
/// ```
/// use aioxide::Interest;
///
/// assert_eq!(Interest { readable: true, writable: true }, Interest::BOTH);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Interest {
    /// Wakes when a read would not block.
    pub readable: bool,
    /// Wakes when a write would not block.
    pub writable: bool,
}

impl Interest {
    /// Nothing: the kernel still reports errors and hang-ups.
    pub const NONE: Interest = Interest {
        readable: false,
        writable: false,
    };
    /// Reads only.
    pub const READABLE: Interest = Interest {
        readable: true,
        writable: false,
    };
    /// Writes only.
    pub const WRITABLE: Interest = Interest {
        readable: false,
        writable: true,
    };
    /// Reads and writes.
    pub const BOTH: Interest = Interest {
        readable: true,
        writable: true,
    };

    /// Returns whether it is [`Interest::NONE`].
    ///
    /// # Examples
    /// ```
    /// use aioxide::Interest;
    ///
    /// assert!(Interest::NONE.is_none() && !Interest::READABLE.is_none());
    /// ```
    #[inline]
    pub const fn is_none(self) -> bool {
        !self.readable && !self.writable
    }
}

/// A descriptor that is ready.
///
/// An error or a hang-up sets both flags, whatever the descriptor is watched for: asyncio wakes
/// reader and writer then, and their next call on the descriptor gets the error.
///
/// # Examples
/// ```
/// use aioxide::{Interest, Poller};
/// use std::os::fd::AsRawFd;
/// use std::os::unix::net::UnixStream;
///
/// let poller = Poller::new().unwrap();
/// let (here, _there) = UnixStream::pair().unwrap();
/// poller.add(here.as_raw_fd(), Interest::BOTH).unwrap();
/// let mut events: Vec<aioxide::PollEvent> = Vec::new();
/// poller.wait(&mut events, None).unwrap();
/// assert!(events[0].writable && !events[0].readable);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// The descriptor's number, as it was registered.
    pub fd: RawFd,
    /// A read will not block.
    pub readable: bool,
    /// A write will not block.
    pub writable: bool,
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn ready(poller: &Poller) -> Vec<Event> {
        let mut events = vec![Event {
            fd: -1,
            readable: true,
            writable: true,
        }];
        poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
        events
    }

    fn errno(result: io::Result<()>) -> Option<i32> {
        result.expect_err("an error").raw_os_error()
    }

    #[test]
    fn readiness_is_reported_until_it_is_taken() {
        let poller = Poller::new().unwrap();
        let (reader, mut writer) = UnixStream::pair().unwrap();
        let fd = reader.as_raw_fd();
        poller.add(fd, Interest::READABLE).unwrap();
        assert_eq!(ready(&poller), []);
        writer.write_all(b"x").unwrap();
        let readable = Event {
            fd,
            readable: true,
            writable: false,
        };
        assert_eq!(ready(&poller), [readable]);
        assert_eq!(ready(&poller), [readable]);
    }

    #[test]
    fn interest_is_what_is_reported() {
        let poller = Poller::new().unwrap();
        let (one, mut other) = UnixStream::pair().unwrap();
        other.write_all(b"x").unwrap();
        let fd = one.as_raw_fd();
        poller.add(fd, Interest::WRITABLE).unwrap();
        let flags = |poller: &Poller| {
            ready(poller)
                .iter()
                .map(|event| (event.readable, event.writable))
                .collect::<Vec<_>>()
        };
        assert_eq!(flags(&poller), [(false, true)]);
        poller.modify(fd, Interest::BOTH).unwrap();
        assert_eq!(flags(&poller), [(true, true)]);
        poller.modify(fd, Interest::READABLE).unwrap();
        assert_eq!(flags(&poller), [(true, false)]);
        poller.modify(fd, Interest::NONE).unwrap();
        assert_eq!(flags(&poller), []);
        poller.modify(fd, Interest::BOTH).unwrap();
        poller.delete(fd).unwrap();
        assert_eq!(flags(&poller), []);
    }

    #[test]
    fn a_hang_up_wakes_reader_and_writer() {
        let poller = Poller::new().unwrap();
        let (one, other) = UnixStream::pair().unwrap();
        poller.add(one.as_raw_fd(), Interest::WRITABLE).unwrap();
        drop(other);
        let events = ready(&poller);
        assert_eq!(events.len(), 1);
        assert!(events[0].readable && events[0].writable);
    }

    #[test]
    fn the_kernels_errors_come_back() {
        let poller = Poller::new().unwrap();
        let (one, other) = UnixStream::pair().unwrap();
        let fd = one.as_raw_fd();
        let code = |errno: rustix::io::Errno| Some(errno.raw_os_error());
        use rustix::io::Errno;
        assert_eq!(errno(poller.modify(fd, Interest::BOTH)), code(Errno::NOENT));
        assert_eq!(errno(poller.delete(fd)), code(Errno::NOENT));
        poller.add(fd, Interest::BOTH).unwrap();
        assert_eq!(errno(poller.add(fd, Interest::BOTH)), code(Errno::EXIST));
        assert_eq!(errno(poller.add(-1, Interest::BOTH)), code(Errno::BADF));
        assert_eq!(errno(poller.add(1 << 30, Interest::BOTH)), code(Errno::BADF));
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        assert_eq!(
            errno(poller.add(file.as_raw_fd(), Interest::READABLE)),
            code(Errno::PERM)
        );
        drop(other);
    }

    #[test]
    fn a_timeout_never_ends_early() {
        let poller = Poller::new().unwrap();
        let mut events = Vec::new();
        // Precise from the start, and coarse first (see `epoll.rs`).
        for micros in [1, 300, 3_000, 3_001, 20_400] {
            let timeout = Duration::from_micros(micros);
            let start = crate::now();
            poller.wait(&mut events, Some(timeout)).unwrap();
            let waited = crate::now().saturating_duration_since(start);
            assert!(waited >= timeout, "{waited:?} of {timeout:?}");
            assert!(events.is_empty());
        }
    }

    #[test]
    fn an_event_ends_every_kind_of_wait() {
        let poller = Poller::new().unwrap();
        let (reader, mut writer) = UnixStream::pair().unwrap();
        poller.add(reader.as_raw_fd(), Interest::READABLE).unwrap();
        writer.write_all(b"x").unwrap();
        let minute = Duration::from_secs(60);
        let short = Duration::from_millis(2);
        for timeout in [None, Some(short), Some(minute), Some(Duration::MAX)] {
            let mut events = Vec::new();
            let start = crate::now();
            poller.wait(&mut events, timeout).unwrap();
            let waited = crate::now().saturating_duration_since(start);
            assert_eq!(events.len(), 1, "{timeout:?}");
            assert!(waited < minute / 2, "{timeout:?}");
        }
    }

    #[test]
    fn more_descriptors_than_one_report_holds_are_all_reported_in_turn() {
        let poller = Poller::new().unwrap();
        let mut pairs = Vec::new();
        while pairs.len() < backend::EVENTS_PER_WAIT + 20 {
            let Ok(pair) = UnixStream::pair() else {
                // The machine's limit on open files is lower: what there is, is tested.
                break;
            };
            let Ok(()) = poller.add(pair.0.as_raw_fd(), Interest::WRITABLE) else {
                break;
            };
            pairs.push(pair);
        }
        let mut seen = std::collections::HashSet::new();
        for _ in 0..2 {
            seen.extend(ready(&poller).iter().map(|event| event.fd));
        }
        assert_eq!(seen.len(), pairs.len());
    }

    #[test]
    fn a_poller_can_be_watched_and_used_from_other_threads() {
        fn shareable<T: Send + Sync>(_: &T) {}
        let inner = Poller::new().unwrap();
        shareable(&inner);
        let outer = Poller::new().unwrap();
        outer.add(inner.as_raw_fd(), Interest::READABLE).unwrap();
        assert_eq!(ready(&outer), []);
        let (reader, mut writer) = UnixStream::pair().unwrap();
        writer.write_all(b"x").unwrap();
        inner.add(reader.as_raw_fd(), Interest::READABLE).unwrap();
        assert_eq!(ready(&outer).len(), 1);
    }
}
