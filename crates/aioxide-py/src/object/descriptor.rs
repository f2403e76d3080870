//! Receiving, sending and accepting on a descriptor that Python owns.

use std::io;
use std::io::IoSlice;
use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};

use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use rustix::net::{RecvFlags, SendFlags, SocketAddrAny, SocketFlags};

/// Lends a descriptor for one call.
pub(super) fn lend<'a>(fd: RawFd) -> io::Result<BorrowedFd<'a>> {
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(rustix::io::Errno::BADF.raw_os_error()));
    }
    // SAFETY: not -1, checked just above. The kernel checks the rest: a descriptor that was closed fails
    // with EBADF; one that was closed and opened again is the transport's mistake, not memory's.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// `recv(2)` into `buffer`, without waiting. Zero is the end of the stream.
///
/// # Errors
/// As the system says; WouldBlock if nothing is there.
#[inline]
pub fn receive(fd: RawFd, buffer: &mut [u8]) -> io::Result<usize> {
    let (count, _) = rustix::net::recv(lend(fd)?, buffer, RecvFlags::DONTWAIT)?;
    Ok(count)
}

/// `recv(2)` into a buffer that a protocol lends.
///
/// # Errors
/// As the system says; InvalidInput if the buffer is read-only or not contiguous.
pub fn receive_into(py: Python<'_>, fd: RawFd, buffer: &PyBuffer<u8>) -> io::Result<usize> {
    let _ = py;
    if buffer.readonly() || !buffer.is_c_contiguous() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // SAFETY: writable and contiguous, checked just above; the export keeps the memory in place; the GIL is
    // held for the whole call, so no Python code sees the memory while it changes.
    let room = unsafe { std::slice::from_raw_parts_mut(buffer.buf_ptr().cast::<u8>(), buffer.len_bytes()) };
    receive(fd, room)
}

/// `send(2)`, without waiting and without SIGPIPE. Returns how much the system took.
///
/// # Errors
/// As the system says; WouldBlock if its buffer is full.
#[inline]
pub fn send(fd: RawFd, data: &[u8]) -> io::Result<usize> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    Ok(rustix::net::send(lend(fd)?, data, flags)?)
}

/// `send(2)` of what a buffer holds from `start` on, without waiting and without SIGPIPE.
///
/// # Errors
/// As the system says; InvalidInput if the buffer is not contiguous.
pub fn send_buffer(py: Python<'_>, fd: RawFd, buffer: &PyBuffer<u8>, start: usize) -> io::Result<usize> {
    let _ = py;
    if !buffer.is_c_contiguous() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    if buffer.len_bytes() == 0 {
        return send(fd, &[]);
    }
    // SAFETY: contiguous, checked just above, and not empty, so the pointer is not null; the export keeps the
    // memory in place; the GIL is held for the whole call, so no Python code changes it meanwhile.
    let data = unsafe { std::slice::from_raw_parts(buffer.buf_ptr().cast::<u8>(), buffer.len_bytes()) };
    send(fd, data.get(start..).unwrap_or_default())
}

/// `recvfrom(2)` into `buffer`, without waiting. A sender without a name has no address.
///
/// # Errors
/// As the system says; WouldBlock if nothing is there.
#[inline]
pub fn receive_from(fd: RawFd, buffer: &mut [u8]) -> io::Result<(usize, Option<SocketAddrAny>)> {
    let (count, _, address) = rustix::net::recvfrom(lend(fd)?, buffer, RecvFlags::DONTWAIT)?;
    Ok((count, address))
}

/// `sendto(2)`, without waiting and without SIGPIPE. Returns how much the system took.
///
/// # Errors
/// As the system says; WouldBlock if its buffer is full.
#[inline]
pub fn send_to(fd: RawFd, data: &[u8], address: &SocketAddrAny) -> io::Result<usize> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    Ok(rustix::net::sendto(lend(fd)?, data, flags, address)?)
}

/// `sendfile(2)`: to a socket, from an offset of a file, at most so many bytes. Returns how many.
///
/// # Errors
/// As the system says; WouldBlock if the socket's buffer is full.
pub fn send_file(socket: RawFd, file: RawFd, mut offset: u64, most: u64) -> io::Result<u64> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let sent = rustix::fs::sendfile(lend(socket)?, lend(file)?, Some(&mut offset), most)?;
    Ok(sent as u64)
}

/// Moves the position of a file (`lseek(2)`).
///
/// # Errors
/// As the system says.
pub fn seek(file: RawFd, position: u64) -> io::Result<()> {
    rustix::fs::seek(lend(file)?, rustix::fs::SeekFrom::Start(position))?;
    Ok(())
}

/// `connect(2)`.
///
/// # Errors
/// As the system says; `EINPROGRESS` if the connection is being made, of a socket that does not block.
pub fn connect(fd: RawFd, address: &SocketAddrAny) -> io::Result<()> {
    Ok(rustix::net::connect(lend(fd)?, address)?)
}

/// What has become of a connection that was being made (`SO_ERROR`).
///
/// # Errors
/// Why it was not made.
pub fn connected(fd: RawFd) -> io::Result<()> {
    Ok(rustix::net::sockopt::socket_error(lend(fd)?)??)
}

/// `writev(2)`. Returns how much the system took.
///
/// # Errors
/// As the system says; WouldBlock if its buffer is full.
pub fn send_vectored(fd: RawFd, data: &[IoSlice<'_>]) -> io::Result<usize> {
    Ok(rustix::io::writev(lend(fd)?, data)?)
}

/// `read(2)` into `buffer`. Zero is the end of the stream.
///
/// # Errors
/// As the system says; WouldBlock if nothing is there.
pub fn read(fd: RawFd, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::io::read(lend(fd)?, buffer)?)
}

/// `write(2)`. Returns how much the system took.
///
/// # Errors
/// As the system says; WouldBlock if its buffer is full.
pub fn write(fd: RawFd, data: &[u8]) -> io::Result<usize> {
    Ok(rustix::io::write(lend(fd)?, data)?)
}

/// A connection that was accepted: it does not block and is closed in children. Closed when dropped.
pub struct Accepted {
    fd: OwnedFd,
    /// The peer's address.
    pub peer: Option<SocketAddrAny>,
}

/// `accept4(2)`.
///
/// # Errors
/// As the system says; WouldBlock if nobody waits.
pub fn accept(fd: RawFd) -> io::Result<Accepted> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (fd, peer) = rustix::net::acceptfrom_with(lend(fd)?, flags)?;
    Ok(Accepted { fd, peer })
}

impl Accepted {
    /// The peer's address, if it is an IPv4 one.
    pub fn ipv4_peer(&self) -> Option<SocketAddrV4> {
        SocketAddrV4::try_from(self.peer.clone()?).ok()
    }

    /// The address of our side, if it is an IPv4 one.
    pub fn name(&self) -> Option<SocketAddrV4> {
        let name = rustix::net::getsockname(&self.fd).ok()?;
        SocketAddrV4::try_from(name).ok()
    }

    /// Sends small writes at once (`TCP_NODELAY`).
    ///
    /// # Errors
    /// As the system says: the peer may be gone.
    pub fn set_nodelay(&self) -> io::Result<()> {
        Ok(rustix::net::sockopt::set_tcp_nodelay(&self.fd, true)?)
    }

    /// The descriptor, which stays ours.
    pub fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Gives the descriptor up: somebody else owns it now.
    pub fn give_up(self) {
        let _given: RawFd = self.fd.into_raw_fd();
    }
}
