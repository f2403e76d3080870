//! The only file of this crate with `unsafe`: a descriptor of another loop, watched by tokio.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Watches a poller for being readable. tokio gets a duplicate of its own: the loop may close the poller first.
///
/// # Errors
/// What the system says; above all EBADF for a number that is no open descriptor.
pub fn watch(poller: RawFd) -> io::Result<AsyncFd<OwnedFd>> {
    if poller < 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: it is not -1 (checked above), and it is borrowed for this one system call, which duplicates what
    // the number means at that moment and refuses a number that means nothing.
    let borrowed = unsafe { BorrowedFd::borrow_raw(poller) };
    let own = borrowed.try_clone_to_owned()?;
    // SAFETY: the descriptor is open until the `AsyncFd` that owns it is dropped.
    let watched = unsafe { AsyncFd::register_with_interest(own, Interest::READABLE) };
    watched.map_err(|error| error.into_parts().1)
}
