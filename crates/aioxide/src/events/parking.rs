//! The loop while another runtime's driver sleeps in its place.

#![forbid(unsafe_code)]

use std::io;
use std::os::fd::RawFd;
use std::task::Waker;

use super::Loop;
use crate::poller::Interest;

impl Loop {
    /// Lets the loop's own poller report `fd`, too.
    pub(crate) fn watch_fd(&self, fd: RawFd) -> io::Result<()> {
        self.engine.borrow().poller().add(fd, Interest::READABLE)
    }

    /// Notes who is to be woken when something becomes ready on this very thread.
    pub(crate) fn park(&self, waker: &Waker) {
        let former = self.parked.replace(Some(waker.clone()));
        self.is_parked.set(true);
        drop(former);
    }

    /// Notes that the driver is back.
    pub(crate) fn forget_parked(&self) {
        self.is_parked.set(false);
        let waker = self.parked.take();
        drop(waker);
    }
}
