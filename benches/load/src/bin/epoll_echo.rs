//! A bare epoll echo server: the least a server can spend on a request, and so the floor of the TCP rows.
//!
//! Prints its port on one line and serves until it is killed. What the kernel does not take at once is
//! kept and written when there is room; nothing is read meanwhile, so memory stays bounded.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use aioxide_bench_load::{BUFFER, Interest, Poller};

struct Connection {
    stream: TcpStream,
    unsent: Vec<u8>,
}

/// What a connection needs after an event.
#[derive(PartialEq, Eq)]
enum Next {
    Keep,
    Watch(Interest),
    Close,
}

impl Connection {
    fn handle(&mut self, buffer: &mut [u8]) -> io::Result<Next> {
        if !self.unsent.is_empty() {
            let written = would_block_is_zero((&self.stream).write(&self.unsent))?;
            self.unsent.drain(..written);
            return Ok(if self.unsent.is_empty() {
                Next::Watch(Interest::Read)
            } else {
                Next::Keep
            });
        }
        let count = match (&self.stream).read(buffer) {
            Ok(0) => return Ok(Next::Close),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Next::Keep),
            Err(error) => return Err(error),
        };
        let written = would_block_is_zero((&self.stream).write(&buffer[..count]))?;
        if written == count {
            return Ok(Next::Keep);
        }
        self.unsent.extend_from_slice(&buffer[written..count]);
        Ok(Next::Watch(Interest::Write))
    }
}

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    println!("{}", listener.local_addr()?.port());
    let mut poller = Poller::new()?;
    poller.add(&listener, LISTENER, Interest::Read)?;
    let mut connections = HashMap::new();
    let mut next_number = LISTENER + 1;
    let mut buffer = vec![0; BUFFER];
    let mut ready = Vec::new();
    loop {
        poller.wait(&mut ready)?;
        for &number in &ready {
            if number == LISTENER {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                poller.add(&stream, next_number, Interest::Read)?;
                connections.insert(
                    next_number,
                    Connection {
                        stream,
                        unsent: Vec::new(),
                    },
                );
                next_number += 1;
                continue;
            }
            let Some(connection) = connections.get_mut(&number) else {
                continue;
            };
            // A peer that resets is gone like one that closes; the load generator reports what it lost.
            match connection.handle(&mut buffer).unwrap_or(Next::Close) {
                Next::Keep => {}
                Next::Watch(interest) => poller.modify(&connection.stream, number, interest)?,
                Next::Close => drop(connections.remove(&number)),
            }
        }
    }
}

fn would_block_is_zero(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}

/// The listener's number; connections count up from the next one.
const LISTENER: u64 = 0;
