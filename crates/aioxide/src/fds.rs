//! `FdTable`: who reads and who writes each descriptor, kept in step with the poller.
//!
//! Descriptors are small numbers, given out lowest first: the table is a vector indexed by them.
//! An entry grows the table only after the kernel has accepted the descriptor, so a wild number
//! cannot.
//!
//! Users close descriptors without telling the loop. The kernel forgets them then, and the number
//! may come back as another file. So what the kernel says overrules what the table remembers:
//! "no such entry" on a change means add, "exists" on an addition means change, and neither that
//! nor "bad descriptor" is an error on a removal.
//!
//! Counterpart: `BaseSelectorEventLoop._add_reader` and its three siblings, and the selector's map.

use std::io;
use std::os::fd::RawFd;

use rustix::io::Errno;

use crate::poller::{Interest, Poller};

/// A reader and a writer for each watched descriptor.
///
/// No method drops an `R`: each gives it to the caller, who may have to bring his own state in
/// order before its destructor runs.
///
/// # Examples
/// ```
/// use aioxide::{FdTable, Poller};
/// use std::os::fd::AsRawFd;
/// use std::os::unix::net::UnixStream;
///
/// let (poller, mut table) = (Poller::new().unwrap(), FdTable::new());
/// let (here, _there) = UnixStream::pair().unwrap();
/// let fd = here.as_raw_fd();
/// table.set_reader(&poller, fd, "whom it concerns").unwrap();
/// assert_eq!(table.reader(fd), Some(&"whom it concerns"));
/// table.drain(&poller);
/// ```
#[derive(Debug)]
pub struct FdTable<R> {
    entries: Vec<Entry<R>>,
    /// Entries with a reader or a writer.
    watched: usize,
}

impl<R> FdTable<R> {
    /// Makes an empty table.
    ///
    /// # Examples
    /// ```
    /// let table = aioxide::FdTable::<&str>::new();
    /// assert!(table.is_empty());
    /// ```
    pub const fn new() -> FdTable<R> {
        FdTable {
            entries: Vec::new(),
            watched: 0,
        }
    }

    /// Watches `fd` for reading on behalf of `reader`; returns the reader it replaces.
    ///
    /// # Errors
    /// The poller's; nothing has changed then.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{FdTable, Poller};
    /// use std::os::fd::AsRawFd;
    /// use std::os::unix::net::UnixStream;
    ///
    /// let (poller, mut table) = (Poller::new().unwrap(), FdTable::new());
    /// let (here, _there) = UnixStream::pair().unwrap();
    /// let fd = here.as_raw_fd();
    /// assert_eq!(table.set_reader(&poller, fd, "first").unwrap(), None);
    /// assert_eq!(table.set_reader(&poller, fd, "second").unwrap(), Some("first"));
    /// ```
    pub fn set_reader(&mut self, poller: &Poller, fd: RawFd, reader: R) -> io::Result<Option<R>> {
        self.set(poller, fd, Side::Reader, reader)
    }

    /// Watches `fd` for writing on behalf of `writer`; returns the writer it replaces.
    ///
    /// # Errors
    /// The poller's; nothing has changed then.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{FdTable, Poller};
    /// use std::os::fd::AsRawFd;
    /// use std::os::unix::net::UnixStream;
    ///
    /// let (poller, mut table) = (Poller::new().unwrap(), FdTable::new());
    /// let (here, _there) = UnixStream::pair().unwrap();
    /// let fd = here.as_raw_fd();
    /// assert_eq!(table.set_writer(&poller, fd, "writer").unwrap(), None);
    /// let mut events = Vec::new();
    /// poller.wait(&mut events, None).unwrap();
    /// assert!(events[0].writable, "nothing was written yet");
    /// ```
    pub fn set_writer(&mut self, poller: &Poller, fd: RawFd, writer: R) -> io::Result<Option<R>> {
        self.set(poller, fd, Side::Writer, writer)
    }

    /// Stops watching `fd` for reading; returns the reader, if there was one.
    ///
    /// # Errors
    /// The poller's; nothing has changed then. That `fd` is closed is not one.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{FdTable, Poller};
    /// use std::os::fd::AsRawFd;
    /// use std::os::unix::net::UnixStream;
    ///
    /// let (poller, mut table) = (Poller::new().unwrap(), FdTable::new());
    /// let (here, _there) = UnixStream::pair().unwrap();
    /// let fd = here.as_raw_fd();
    /// table.set_reader(&poller, fd, "reader").unwrap();
    /// assert_eq!(table.remove_reader(&poller, fd).unwrap(), Some("reader"));
    /// assert_eq!(table.remove_reader(&poller, fd).unwrap(), None);
    /// ```
    pub fn remove_reader(&mut self, poller: &Poller, fd: RawFd) -> io::Result<Option<R>> {
        self.remove(poller, fd, Side::Reader)
    }

    /// Stops watching `fd` for writing; returns the writer, if there was one.
    ///
    /// # Errors
    /// The poller's; nothing has changed then. That `fd` is closed is not one.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{FdTable, Poller};
    /// use std::os::fd::AsRawFd;
    /// use std::os::unix::net::UnixStream;
    ///
    /// let (poller, mut table) = (Poller::new().unwrap(), FdTable::new());
    /// let (here, _there) = UnixStream::pair().unwrap();
    /// let fd = here.as_raw_fd();
    /// table.set_writer(&poller, fd, "writer").unwrap();
    /// assert_eq!(table.remove_writer(&poller, fd).unwrap(), Some("writer"));
    /// assert!(table.is_empty());
    /// ```
    pub fn remove_writer(&mut self, poller: &Poller, fd: RawFd) -> io::Result<Option<R>> {
        self.remove(poller, fd, Side::Writer)
    }

    /// Tells `reader` from now on instead of the reader of `fd`, which is returned; the poller is not asked.
    ///
    /// # Errors
    /// The argument, if `fd` has no reader.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{FdTable, Poller};
    /// use std::os::fd::AsRawFd;
    /// use std::os::unix::net::UnixStream;
    ///
    /// let (poller, mut table) = (Poller::new().unwrap(), FdTable::new());
    /// let (here, _there) = UnixStream::pair().unwrap();
    /// let fd = here.as_raw_fd();
    /// table.set_reader(&poller, fd, "old").unwrap();
    /// assert_eq!(table.hand_over_reader(fd, "new"), Ok("old"));
    /// assert_eq!(table.hand_over_reader(99_999, "nobody"), Err("nobody"));
    /// ```
    pub fn hand_over_reader(&mut self, fd: RawFd, reader: R) -> Result<R, R> {
        self.hand_over(fd, Side::Reader, reader)
    }

    /// Tells `writer` from now on instead of the writer of `fd`, which is returned; the poller is not asked.
    ///
    /// # Errors
    /// The argument, if `fd` has no writer.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{FdTable, Poller};
    /// use std::os::fd::AsRawFd;
    /// use std::os::unix::net::UnixStream;
    ///
    /// let (poller, mut table) = (Poller::new().unwrap(), FdTable::new());
    /// let (here, _there) = UnixStream::pair().unwrap();
    /// let fd = here.as_raw_fd();
    /// table.set_writer(&poller, fd, "old").unwrap();
    /// assert_eq!(table.hand_over_writer(fd, "new"), Ok("old"));
    /// assert_eq!(table.writer(fd), Some(&"new"));
    /// ```
    pub fn hand_over_writer(&mut self, fd: RawFd, writer: R) -> Result<R, R> {
        self.hand_over(fd, Side::Writer, writer)
    }

    /// Empties the table and stops watching every descriptor in it; returns the readers and
    /// writers.
    ///
    /// The poller's errors are of no interest here: whatever the reason, the descriptor is not
    /// watched for the table any more.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{FdTable, Poller};
    /// use std::os::fd::AsRawFd;
    /// use std::os::unix::net::UnixStream;
    ///
    /// let (poller, mut table) = (Poller::new().unwrap(), FdTable::new());
    /// let (here, _there) = UnixStream::pair().unwrap();
    /// let fd = here.as_raw_fd();
    /// table.set_reader(&poller, fd, "reader").unwrap();
    /// table.set_writer(&poller, fd, "writer").unwrap();
    /// assert_eq!(table.drain(&poller).len(), 2);
    /// assert!(table.is_empty());
    /// ```
    pub fn drain(&mut self, poller: &Poller) -> Vec<R> {
        self.watched = 0;
        let mut removed = Vec::new();
        for (fd, entry) in std::mem::take(&mut self.entries).into_iter().enumerate() {
            if !entry.registered.is_none() {
                ignore_unwatched(poller.delete(fd as RawFd));
            }
            removed.extend(entry.reader);
            removed.extend(entry.writer);
        }
        removed
    }

    /// Returns the reader of `fd`.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{FdTable, Poller};
    /// use std::os::fd::AsRawFd;
    /// use std::os::unix::net::UnixStream;
    ///
    /// let (poller, mut table) = (Poller::new().unwrap(), FdTable::new());
    /// let (here, _there) = UnixStream::pair().unwrap();
    /// let fd = here.as_raw_fd();
    /// table.set_reader(&poller, fd, "reader").unwrap();
    /// assert_eq!((table.reader(fd), table.writer(fd)), (Some(&"reader"), None));
    /// ```
    #[inline]
    pub fn reader(&self, fd: RawFd) -> Option<&R> {
        self.entry(fd)?.reader.as_ref()
    }

    /// Returns the writer of `fd`.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{FdTable, Poller};
    /// use std::os::fd::AsRawFd;
    /// use std::os::unix::net::UnixStream;
    ///
    /// let (poller, mut table) = (Poller::new().unwrap(), FdTable::new());
    /// let (here, _there) = UnixStream::pair().unwrap();
    /// let fd = here.as_raw_fd();
    /// table.set_writer(&poller, fd, "writer").unwrap();
    /// assert_eq!((table.reader(fd), table.writer(fd)), (None, Some(&"writer")));
    /// ```
    #[inline]
    pub fn writer(&self, fd: RawFd) -> Option<&R> {
        self.entry(fd)?.writer.as_ref()
    }

    /// Returns what the poller watches `fd` for, as far as the table knows.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{FdTable, Poller};
    /// use std::os::fd::AsRawFd;
    /// use std::os::unix::net::UnixStream;
    ///
    /// let (poller, mut table) = (Poller::new().unwrap(), FdTable::new());
    /// let (here, _there) = UnixStream::pair().unwrap();
    /// let fd = here.as_raw_fd();
    /// table.set_reader(&poller, fd, "reader").unwrap();
    /// assert_eq!(table.interest(fd), aioxide::Interest::READABLE);
    /// ```
    pub fn interest(&self, fd: RawFd) -> Interest {
        self.entry(fd).map_or(Interest::NONE, |entry| entry.registered)
    }

    /// Returns how many descriptors have a reader or a writer.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{FdTable, Poller};
    /// use std::os::fd::AsRawFd;
    /// use std::os::unix::net::UnixStream;
    ///
    /// let (poller, mut table) = (Poller::new().unwrap(), FdTable::new());
    /// let (here, _there) = UnixStream::pair().unwrap();
    /// let fd = here.as_raw_fd();
    /// table.set_reader(&poller, fd, "reader").unwrap();
    /// table.set_writer(&poller, fd, "writer").unwrap();
    /// assert_eq!(table.len(), 1, "one descriptor");
    /// ```
    #[inline]
    pub fn len(&self) -> usize {
        self.watched
    }

    /// Returns whether no descriptor has a reader or a writer.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{FdTable, Poller};
    /// use std::os::fd::AsRawFd;
    /// use std::os::unix::net::UnixStream;
    ///
    /// let (poller, mut table) = (Poller::new().unwrap(), FdTable::new());
    /// let (here, _there) = UnixStream::pair().unwrap();
    /// let fd = here.as_raw_fd();
    /// assert!(table.is_empty());
    /// table.set_reader(&poller, fd, "reader").unwrap();
    /// assert!(!table.is_empty());
    /// ```
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.watched == 0
    }

    /// Returns each descriptor with its reader and writer, the lowest first.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{FdTable, Poller};
    /// use std::os::fd::AsRawFd;
    /// use std::os::unix::net::UnixStream;
    ///
    /// let (poller, mut table) = (Poller::new().unwrap(), FdTable::new());
    /// let (here, _there) = UnixStream::pair().unwrap();
    /// let fd = here.as_raw_fd();
    /// table.set_reader(&poller, fd, "reader").unwrap();
    /// assert_eq!(table.iter().collect::<Vec<_>>(), [(fd, Some(&"reader"), None)]);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (RawFd, Option<&R>, Option<&R>)> {
        let entries = self.entries.iter().enumerate();
        entries
            .filter(|(_, entry)| !entry.is_vacant())
            .map(|(fd, entry)| (fd as RawFd, entry.reader.as_ref(), entry.writer.as_ref()))
    }

    fn set(&mut self, poller: &Poller, fd: RawFd, side: Side, value: R) -> io::Result<Option<R>> {
        let before = self.interest(fd);
        let wanted = side.with(before);
        // Also when nothing seems to change: the number may have become another file since.
        register(poller, fd, before, wanted)?;
        // `fd` was accepted, so it is not negative.
        let index = fd as usize;
        if index >= self.entries.len() {
            self.entries.resize_with(index + 1, Entry::vacant);
        }
        let entry = &mut self.entries[index];
        self.watched += usize::from(entry.is_vacant());
        entry.registered = wanted;
        Ok(entry.side(side).replace(value))
    }

    fn remove(&mut self, poller: &Poller, fd: RawFd, side: Side) -> io::Result<Option<R>> {
        let Some(entry) = usize::try_from(fd).ok().and_then(|index| self.entries.get_mut(index)) else {
            return Ok(None);
        };
        if entry.side(side).is_none() {
            return Ok(None);
        }
        let wanted = side.without(entry.registered);
        entry.registered = unregister(poller, fd, entry.registered, wanted)?;
        let removed = entry.side(side).take();
        self.watched -= usize::from(entry.is_vacant());
        Ok(removed)
    }

    fn hand_over(&mut self, fd: RawFd, side: Side, value: R) -> Result<R, R> {
        let index = usize::try_from(fd).ok();
        match index.and_then(|index| self.entries.get_mut(index)?.side(side).as_mut()) {
            Some(told) => Ok(std::mem::replace(told, value)),
            None => Err(value),
        }
    }

    #[inline]
    fn entry(&self, fd: RawFd) -> Option<&Entry<R>> {
        // A negative number becomes a huge one, which no table has.
        self.entries.get(fd as usize)
    }
}

impl<R> Default for FdTable<R> {
    fn default() -> Self {
        FdTable::new()
    }
}

/// A descriptor's reader and writer, and what the poller was told.
///
/// `registered` lacks a side that is set only when the descriptor was found closed.
#[derive(Debug)]
struct Entry<R> {
    reader: Option<R>,
    writer: Option<R>,
    registered: Interest,
}

impl<R> Entry<R> {
    fn vacant() -> Entry<R> {
        Entry {
            reader: None,
            writer: None,
            registered: Interest::NONE,
        }
    }

    fn is_vacant(&self) -> bool {
        self.reader.is_none() && self.writer.is_none()
    }

    fn side(&mut self, side: Side) -> &mut Option<R> {
        match side {
            Side::Reader => &mut self.reader,
            Side::Writer => &mut self.writer,
        }
    }
}

#[derive(Clone, Copy)]
enum Side {
    Reader,
    Writer,
}

impl Side {
    fn with(self, interest: Interest) -> Interest {
        match self {
            Side::Reader => Interest {
                readable: true,
                ..interest
            },
            Side::Writer => Interest {
                writable: true,
                ..interest
            },
        }
    }

    fn without(self, interest: Interest) -> Interest {
        match self {
            Side::Reader => Interest {
                readable: false,
                ..interest
            },
            Side::Writer => Interest {
                writable: false,
                ..interest
            },
        }
    }
}

/// Makes the poller watch `fd` for `wanted`, whether or not it is watched as `before` says.
fn register(poller: &Poller, fd: RawFd, before: Interest, wanted: Interest) -> io::Result<()> {
    if before.is_none() {
        match poller.add(fd, wanted) {
            Err(error) if is(&error, Errno::EXIST) => poller.modify(fd, wanted),
            added => added,
        }
    } else {
        match poller.modify(fd, wanted) {
            Err(error) if is(&error, Errno::NOENT) => poller.add(fd, wanted),
            modified => modified,
        }
    }
}

/// Reduces what the poller watches `fd` for to `wanted`; returns what it is watched for now.
fn unregister(poller: &Poller, fd: RawFd, before: Interest, wanted: Interest) -> io::Result<Interest> {
    if before == wanted {
        return Ok(before);
    }
    let reduced = if wanted.is_none() {
        poller.delete(fd)
    } else {
        register(poller, fd, before, wanted)
    };
    match reduced {
        Ok(()) => Ok(wanted),
        Err(error) if is_gone(&error) => Ok(Interest::NONE),
        Err(error) => Err(error),
    }
}

fn ignore_unwatched(deleted: io::Result<()>) {
    if let Err(error) = deleted {
        debug_assert!(is_gone(&error), "{error}");
    }
}

/// Whether the kernel had forgotten the descriptor: it is closed, or its number is another file.
/// That may be one that cannot be watched, which `epoll_ctl` answers with `EPERM`.
fn is_gone(error: &io::Error) -> bool {
    [Errno::NOENT, Errno::BADF, Errno::PERM]
        .iter()
        .any(|errno| is(error, *errno))
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

#[cfg(test)]
#[path = "fds/tests.rs"]
mod tests;
