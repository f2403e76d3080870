//! Descriptors that are known by number only, as asyncio's `add_reader(fd)` gets them.

use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use rustix::io::Errno;

/// Lends `fd` to `operation` as a borrowed descriptor.
///
/// The caller of the loop owns the descriptor and may have closed it, or never opened it: the
/// kernel answers `EBADF` then, and so does this function for a negative number.
pub(crate) fn with_descriptor<T>(
    fd: RawFd,
    operation: impl FnOnce(BorrowedFd<'_>) -> rustix::io::Result<T>,
) -> io::Result<T> {
    if fd < 0 {
        return Err(Errno::BADF.into());
    }
    // SAFETY: `fd` is not -1 (checked above), which is all that the type's layout needs. Nothing is
    // read from or written to the descriptor: `operation` only names it to `epoll_ctl`, which
    // refuses numbers that are not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    operation(borrowed).map_err(io::Error::from)
}
