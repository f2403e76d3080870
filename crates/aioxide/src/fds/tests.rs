//! The table against a real poller and descriptors that come and go.

use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::*;

/// A table, its poller, and a socket that is readable and writable.
struct Fixture {
    table: FdTable<&'static str>,
    poller: Poller,
    socket: Option<UnixStream>,
    _peer: UnixStream,
    fd: RawFd,
}

impl Fixture {
    fn new() -> Fixture {
        let (socket, mut peer) = UnixStream::pair().unwrap();
        peer.write_all(b"x").unwrap();
        Fixture {
            table: FdTable::new(),
            poller: Poller::new().unwrap(),
            fd: socket.as_raw_fd(),
            socket: Some(socket),
            _peer: peer,
        }
    }

    fn set_reader(&mut self, reader: &'static str) -> io::Result<Option<&'static str>> {
        self.table.set_reader(&self.poller, self.fd, reader)
    }

    fn set_writer(&mut self, writer: &'static str) -> io::Result<Option<&'static str>> {
        self.table.set_writer(&self.poller, self.fd, writer)
    }

    fn remove_reader(&mut self) -> io::Result<Option<&'static str>> {
        self.table.remove_reader(&self.poller, self.fd)
    }

    fn remove_writer(&mut self) -> io::Result<Option<&'static str>> {
        self.table.remove_writer(&self.poller, self.fd)
    }

    /// What the kernel really watches the socket for.
    fn watched(&self) -> Interest {
        let mut events = Vec::new();
        self.poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
        events.first().map_or(Interest::NONE, |event| Interest {
            readable: event.readable,
            writable: event.writable,
        })
    }

    /// Closes the socket behind the table's back.
    fn close(&mut self) {
        self.socket = None;
    }
}

#[test]
fn the_poller_watches_what_the_table_holds() {
    let mut fixture = Fixture::new();
    assert!(fixture.table.is_empty());
    assert_eq!(fixture.set_reader("reader").unwrap(), None);
    assert_eq!(fixture.watched(), Interest::READABLE);
    assert_eq!(fixture.set_writer("writer").unwrap(), None);
    assert_eq!(fixture.watched(), Interest::BOTH);
    assert_eq!(fixture.table.len(), 1);
    let fd = fixture.fd;
    assert_eq!(fixture.table.reader(fd), Some(&"reader"));
    assert_eq!(fixture.table.writer(fd), Some(&"writer"));
    let all: Vec<_> = fixture.table.iter().collect();
    assert_eq!(all, [(fd, Some(&"reader"), Some(&"writer"))]);
    assert_eq!(fixture.remove_reader().unwrap(), Some("reader"));
    assert_eq!(fixture.watched(), Interest::WRITABLE);
    assert_eq!(fixture.table.len(), 1);
    assert_eq!(fixture.remove_writer().unwrap(), Some("writer"));
    assert_eq!(fixture.watched(), Interest::NONE);
    assert!(fixture.table.is_empty());
    assert_eq!(fixture.table.iter().count(), 0);
}

#[test]
fn a_reader_is_replaced_and_given_back() {
    let mut fixture = Fixture::new();
    fixture.set_reader("old").unwrap();
    assert_eq!(fixture.set_reader("new").unwrap(), Some("old"));
    assert_eq!(fixture.table.len(), 1);
    assert_eq!(fixture.remove_reader().unwrap(), Some("new"));
    assert_eq!(fixture.remove_reader().unwrap(), None);
}

#[test]
fn what_is_not_there_is_not_removed() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.remove_reader().unwrap(), None);
    fixture.set_reader("reader").unwrap();
    assert_eq!(fixture.remove_writer().unwrap(), None);
    assert_eq!(fixture.watched(), Interest::READABLE);
    let negative = fixture.table.remove_reader(&fixture.poller, -1);
    assert_eq!(negative.unwrap(), None);
    assert_eq!(fixture.table.reader(-1), None);
    assert_eq!(fixture.table.writer(RawFd::MAX), None);
}

#[test]
fn a_refused_descriptor_leaves_no_trace() {
    let mut fixture = Fixture::new();
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    for (fd, errno) in [
        (-1, Errno::BADF),
        (1 << 30, Errno::BADF),
        (file.as_raw_fd(), Errno::PERM),
    ] {
        let refused = fixture.table.set_reader(&fixture.poller, fd, "reader");
        assert!(is(&refused.unwrap_err(), errno));
    }
    assert!(fixture.table.is_empty());
    assert!(fixture.table.entries.is_empty());
}

#[test]
fn a_closed_descriptor_can_be_removed() {
    let mut fixture = Fixture::new();
    fixture.set_reader("reader").unwrap();
    fixture.set_writer("writer").unwrap();
    fixture.close();
    assert_eq!(fixture.remove_reader().unwrap(), Some("reader"));
    assert_eq!(fixture.remove_writer().unwrap(), Some("writer"));
    assert!(fixture.table.is_empty());
}

#[test]
fn a_number_that_became_another_file_is_watched_again() {
    let mut fixture = Fixture::new();
    fixture.set_reader("stale").unwrap();
    let (other, mut peer) = UnixStream::pair().unwrap();
    peer.write_all(b"x").unwrap();
    // Puts `other` under the socket's number, as the kernel does when numbers are reused.
    let mut number: OwnedFd = fixture.socket.take().unwrap().into();
    rustix::io::dup2(&other, &mut number).unwrap();
    assert_eq!(fixture.watched(), Interest::NONE);
    assert_eq!(fixture.set_reader("new").unwrap(), Some("stale"));
    assert_eq!(fixture.watched(), Interest::READABLE);
}

#[test]
fn a_descriptor_the_poller_knows_already_is_taken_over() {
    let mut fixture = Fixture::new();
    fixture.poller.add(fixture.fd, Interest::WRITABLE).unwrap();
    fixture.set_reader("reader").unwrap();
    assert_eq!(fixture.watched(), Interest::READABLE);
}

#[test]
fn drain_gives_everything_back_and_watches_nothing() {
    let mut fixture = Fixture::new();
    let (other, peer) = UnixStream::pair().unwrap();
    fixture.set_reader("one").unwrap();
    fixture.set_writer("two").unwrap();
    let fd = other.as_raw_fd();
    fixture.table.set_writer(&fixture.poller, fd, "three").unwrap();
    drop((other, peer));
    let mut drained = fixture.table.drain(&fixture.poller);
    drained.sort_unstable();
    assert_eq!(drained, ["one", "three", "two"]);
    assert!(fixture.table.is_empty());
    assert_eq!(fixture.watched(), Interest::NONE);
    assert_eq!(fixture.set_reader("again").unwrap(), None);
    assert_eq!(fixture.watched(), Interest::READABLE);
}

#[test]
fn a_side_is_handed_over_without_asking_the_poller() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.table.hand_over_reader(fixture.fd, "first"), Err("first"));
    assert_eq!(fixture.table.hand_over_reader(-1, "first"), Err("first"));
    fixture.set_reader("first").unwrap();
    assert_eq!(fixture.table.hand_over_writer(fixture.fd, "writer"), Err("writer"));
    assert_eq!(fixture.table.hand_over_reader(fixture.fd, "second"), Ok("first"));
    assert_eq!(fixture.table.reader(fixture.fd), Some(&"second"));
    assert!(fixture.watched().readable);
}
