//! `SendQueue`: the datagrams that the socket did not take yet, in order.

#![forbid(unsafe_code)]

use std::collections::VecDeque;

use rustix::net::SocketAddrAny;

use crate::object::{Owned, compat};

/// Where a datagram goes.
pub enum Target {
    /// To the peer that the socket is connected to.
    Peer,
    /// To an address that the system understands.
    Address(SocketAddrAny),
    /// To an address that only Python understands: a name to be looked up, or a mistake.
    Other(Owned),
}

/// One datagram.
pub struct Datagram {
    /// What it carries, copied.
    pub data: Vec<u8>,
    /// Where it goes.
    pub target: Target,
}

/// Datagrams, and how much they count for the water marks.
#[derive(Default)]
pub struct SendQueue {
    datagrams: VecDeque<Datagram>,
    size: usize,
}

impl SendQueue {
    /// How much waits: bytes, and from 3.13 on a header for each datagram.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether nothing waits. The size does not tell: a datagram may be empty.
    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// The addresses that are whatever the user gave.
    pub fn others(&self) -> impl Iterator<Item = &Owned> {
        self.datagrams.iter().filter_map(|datagram| match &datagram.target {
            Target::Other(address) => Some(address),
            Target::Peer | Target::Address(_) => None,
        })
    }

    /// Adds a datagram at the end.
    pub fn push(&mut self, datagram: Datagram) {
        self.size += weight(&datagram);
        self.datagrams.push_back(datagram);
    }

    /// Adds several datagrams at the end.
    pub fn extend(&mut self, datagrams: impl IntoIterator<Item = Datagram>) {
        for datagram in datagrams {
            self.push(datagram);
        }
    }

    /// Takes the first datagram out.
    pub fn take_first(&mut self) -> Option<Datagram> {
        let datagram = self.datagrams.pop_front()?;
        self.size = self.size.saturating_sub(weight(&datagram));
        Some(datagram)
    }

    /// Puts a datagram back that the socket did not take.
    pub fn put_back(&mut self, datagram: Datagram) {
        self.size += weight(&datagram);
        self.datagrams.push_front(datagram);
    }
}

/// Differs from asyncio: 3.13.0 counts the header when a datagram is queued and forgets it when it is sent, so
/// that a transport counts ever more.
fn weight(datagram: &Datagram) -> usize {
    datagram.data.len() + compat::DATAGRAM_HEADER_SIZE
}
