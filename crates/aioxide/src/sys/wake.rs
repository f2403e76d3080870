//! The descriptor that wakes a sleeping poller: an eventfd.
//!
//! Seam: on a system without eventfd, a non-blocking pipe behind the same three functions.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{Errno, read, retry_on_intr, write};

/// A descriptor that becomes readable when it is signalled, until it is cleared.
#[derive(Debug)]
pub(crate) struct WakeFd(OwnedFd);

impl WakeFd {
    /// Opens a descriptor that is not signalled.
    pub(crate) fn new() -> io::Result<WakeFd> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(WakeFd(eventfd(0, flags)?))
    }

    /// Makes the descriptor readable.
    pub(crate) fn signal(&self) -> io::Result<()> {
        match retry_on_intr(|| write(&self.0, &1_u64.to_ne_bytes())) {
            // `EAGAIN`: the counter is full, so the descriptor is readable as it is to be.
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the descriptor unreadable; returns whether it was readable.
    pub(crate) fn clear(&self) -> bool {
        // One read takes the whole counter. It fails with `EAGAIN` when there was no signal, and
        // cannot fail otherwise: the buffer has the size the kernel asks for.
        let mut counter = [0_u8; 8];
        retry_on_intr(|| read(&self.0, &mut counter)).is_ok()
    }

    /// Returns the descriptor's number.
    pub(crate) fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for WakeFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_cleared_once_however_often_it_was_given() {
        let wake = WakeFd::new().unwrap();
        assert!(!wake.clear());
        wake.signal().unwrap();
        wake.signal().unwrap();
        assert!(wake.clear());
        assert!(!wake.clear());
    }
}
