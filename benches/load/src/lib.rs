//! What the two programs of this folder share: an epoll set over sockets that are found by number.
//!
//! - `load`: sends requests on many connections and checks every byte that comes back.
//! - `epoll_echo`: the echo server with nothing above the kernel, the floor of the TCP rows.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll;

/// What a socket is watched for; level-triggered, as every loop under test watches its sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Until there is something to read.
    Read,
    /// Until there is room to write what is left over.
    Write,
    /// Until either of the two.
    Both,
}

/// An epoll instance; every socket is registered under a number of the caller's.
#[derive(Debug)]
pub struct Poller {
    epoll: OwnedFd,
    events: [MaybeUninit<epoll::Event>; EVENTS],
}

impl Poller {
    /// Opens an empty epoll set.
    ///
    /// # Errors
    /// The kernel's, when no file descriptor is left.
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self {
            epoll,
            events: [MaybeUninit::uninit(); EVENTS],
        })
    }

    /// Watches `socket` under `number`.
    ///
    /// # Errors
    /// The kernel's, when the socket is watched already.
    pub fn add(&self, socket: impl AsFd, number: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(
            &self.epoll,
            socket,
            epoll::EventData::new_u64(number),
            interest.flags(),
        )?)
    }

    /// Changes what `socket` is watched for.
    ///
    /// # Errors
    /// The kernel's, when the socket is not watched.
    pub fn modify(&self, socket: impl AsFd, number: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(
            &self.epoll,
            socket,
            epoll::EventData::new_u64(number),
            interest.flags(),
        )?)
    }

    /// Waits until something is ready and puts the numbers of what is into `ready`.
    ///
    /// # Errors
    /// The kernel's; an interrupted wait leaves `ready` empty instead.
    pub fn wait(&mut self, ready: &mut Vec<u64>) -> io::Result<()> {
        ready.clear();
        match epoll::wait(&self.epoll, self.events.as_mut_slice(), None) {
            Ok((events, _)) => ready.extend(events.iter().map(|event| event.data.u64())),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

impl Interest {
    fn flags(self) -> epoll::EventFlags {
        match self {
            Self::Read => epoll::EventFlags::IN,
            Self::Write => epoll::EventFlags::OUT,
            Self::Both => epoll::EventFlags::IN | epoll::EventFlags::OUT,
        }
    }
}

/// Events taken in one wait: more than the most connections of a row, so that one wait sees all.
const EVENTS: usize = 256;

/// Bytes of a read buffer: what asyncio and uvloop offer the kernel, so that no peer makes more calls.
pub const BUFFER: usize = 256 * 1024;
