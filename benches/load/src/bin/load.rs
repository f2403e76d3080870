//! A closed-loop load generator: each connection sends a request, waits for its echo, sends the next.
//!
//! `load PORT CONNECTIONS BYTES SECONDS`. Warms up, prints `warm` and waits for a line on its input, so
//! that the harness reads the server's CPU clock while nothing is under way; then measures, drains
//! every connection, and prints one line of JSON. So all the CPU time in between belongs to exactly the
//! requests that were counted. Every byte is compared; a wrong one ends the run.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use aioxide_bench_load::{BUFFER, Interest, Poller};

struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    number: u64,
    sent: usize,
    received: usize,
    started: Instant,
    interest: Interest,
}

impl Connection {
    /// Starts the next request, whose bytes differ from the last one's and from other connections'.
    fn start(&mut self) -> io::Result<()> {
        self.number += 1;
        let stamp = self.number.to_le_bytes();
        let length = stamp.len().min(self.request.len());
        self.request[..length].copy_from_slice(&stamp[..length]);
        (self.sent, self.received) = (0, 0);
        self.started = Instant::now();
        self.send()
    }

    fn send(&mut self) -> io::Result<()> {
        while self.sent < self.request.len() {
            match (&self.stream).write(&self.request[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what is there; true once the whole echo has come back.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let count = match (&self.stream).read(buffer) {
            Ok(0) => return Err(io::Error::other("the server closed the connection")),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        let expected = self.request.get(self.received..self.received + count);
        if expected != Some(&buffer[..count]) {
            return Err(io::Error::other("the echo differs from the request"));
        }
        self.received += count;
        Ok(self.received == self.request.len())
    }

    /// What to watch for now; a change only, since most requests leave in one write.
    fn changed_interest(&mut self) -> Option<Interest> {
        let wanted = if self.sent < self.request.len() {
            Interest::Both
        } else {
            Interest::Read
        };
        (wanted != self.interest).then(|| {
            self.interest = wanted;
            wanted
        })
    }
}

struct Load {
    poller: Poller,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
}

impl Load {
    fn connect(port: u16, count: usize, bytes: usize) -> io::Result<Self> {
        let poller = Poller::new()?;
        let mut connections = Vec::with_capacity(count);
        for index in 0..count {
            let stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            poller.add(&stream, index as u64, Interest::Read)?;
            connections.push(Connection {
                stream,
                request: pattern(index, bytes),
                number: 0,
                sent: 0,
                received: 0,
                started: Instant::now(),
                interest: Interest::Read,
            });
        }
        Ok(Self {
            poller,
            connections,
            buffer: vec![0; BUFFER],
        })
    }

    /// Keeps every connection busy for `duration`, then waits for the last echoes; returns each
    /// request's latency.
    fn run(&mut self, duration: Duration) -> io::Result<Vec<Duration>> {
        let deadline = Instant::now() + duration;
        let mut latencies = Vec::new();
        let mut ready = Vec::new();
        for index in 0..self.connections.len() {
            self.connections[index].start()?;
            self.watch(index)?;
        }
        let mut busy = self.connections.len();
        while busy > 0 {
            self.poller.wait(&mut ready)?;
            for index in ready.iter().map(|&number| number as usize) {
                let connection = &mut self.connections[index];
                connection.send()?;
                if connection.receive(&mut self.buffer)? {
                    let now = Instant::now();
                    latencies.push(now - connection.started);
                    if now < deadline {
                        connection.start()?;
                    } else {
                        busy -= 1;
                    }
                }
                self.watch(index)?;
            }
        }
        Ok(latencies)
    }

    fn watch(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        match connection.changed_interest() {
            Some(interest) => self.poller.modify(&connection.stream, index as u64, interest),
            None => Ok(()),
        }
    }
}

fn main() -> io::Result<()> {
    let arguments: Vec<f64> = std::env::args()
        .skip(1)
        .map(|text| text.parse())
        .collect::<Result<_, _>>()
        .map_err(io::Error::other)?;
    let [port, connections, bytes, seconds] = arguments[..] else {
        return Err(io::Error::other("usage: load PORT CONNECTIONS BYTES SECONDS"));
    };
    if connections < 1.0 || bytes < 1.0 {
        return Err(io::Error::other("at least one connection and one byte are needed"));
    }
    let mut load = Load::connect(port as u16, connections as usize, bytes as usize)?;
    load.run(WARM_UP)?;
    println!("warm");
    io::stdin().read_line(&mut String::new())?;

    let start = Instant::now();
    let mut latencies = load.run(Duration::from_secs_f64(seconds))?;
    let elapsed = start.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let requests = latencies.len();
    let quantile = |part: f64| latencies[((requests - 1) as f64 * part) as usize].as_secs_f64() * 1e6;
    println!(
        "{{\"requests\": {requests}, \"seconds\": {elapsed}, \"p50_us\": {:.1}, \"p99_us\": {:.1}}}",
        quantile(0.5),
        quantile(0.99),
    );
    Ok(())
}

/// Bytes that depend on the connection and on the place, so that an echo mixed up in either is seen.
fn pattern(index: usize, bytes: usize) -> Vec<u8> {
    (0..bytes)
        .map(|place| (place.wrapping_mul(31) ^ (place >> 8) ^ index.wrapping_mul(97)) as u8)
        .collect()
}

/// Long enough for caches, allocator and the receive window to settle.
const WARM_UP: Duration = Duration::from_millis(200);
