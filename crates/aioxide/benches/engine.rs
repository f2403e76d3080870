//! What the engine's parts cost, in nanoseconds for each operation.
//!
//! `cargo bench -p aioxide [-- name]`. Each line is the best of seven rounds: the machine's noise
//! only ever adds.

use std::collections::VecDeque;
use std::hint::black_box;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use aioxide::{Deadline, Engine, FdTable, Inbox, Interest, PollBudget, PollPolicy, Poller, Timers};

fn main() -> io::Result<()> {
    // cargo passes `--bench` besides the user's own argument.
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let selected = |name: &str| wanted.as_ref().is_none_or(|wanted| name.contains(wanted));
    if selected("ready") {
        ready()?;
    }
    if selected("budget") {
        budget();
    }
    if selected("timers") {
        timers();
    }
    if selected("inbox") {
        inbox()?;
    }
    if selected("poller") {
        poller()?;
    }
    if selected("fds") {
        fds()?;
    }
    if selected("engine") {
        report("engine: open and close", 200, || {
            for _ in 0..200 {
                black_box(Engine::<u64>::new().map(|engine| engine.ready_len())).ok();
            }
        });
    }
    Ok(())
}

fn ready() -> io::Result<()> {
    let mut engine: Engine<u64> = Engine::new()?;
    for n in 0..100 {
        engine.push(n);
    }
    report("ready: pop, step, budget, push", 100_000, || {
        engine.begin_run();
        for _ in 0..100_000 {
            if let Some(handle) = engine.pop() {
                engine.probe().step();
                engine.push(black_box(handle));
            }
            if engine.budget.should_poll() {
                engine.begin_run();
            }
        }
    });
    Ok(())
}

fn budget() {
    for policy in [PollPolicy::Adaptive, PollPolicy::Strict] {
        let mut budget = PollBudget::new(policy);
        let name = format!("budget: should_poll, {policy:?}");
        report(&name, 100_000, || {
            for _ in 0..100_000 {
                if black_box(budget.should_poll()) {
                    budget.restart_with(aioxide::now(), 100);
                }
            }
        });
    }
    report("budget: reading the clock", 100_000, || {
        for _ in 0..100_000 {
            black_box(aioxide::now());
        }
    });
}

fn timers() {
    for others in [0, 1_000, 100_000] {
        let mut timers = Timers::new();
        for n in 0..others {
            timers.insert(scattered(n), n);
        }
        let name = format!("timers: set and cancel, {others} others");
        report(&name, 100_000, || {
            for n in 0..100_000 {
                let key = timers.insert(scattered(n), n);
                black_box(timers.cancel(key));
            }
        });
    }
    for count in [1_000, 100_000] {
        let mut timers = Timers::new();
        let name = format!("timers: set {count} and fire all");
        report(&name, count, || {
            for n in 0..count {
                timers.insert(scattered(n), n);
            }
            while let Some(handle) = timers.pop_expired(LATE) {
                black_box(handle);
            }
        });
        let name = format!("timers: set {count} in order and fire all");
        report(&name, count, || {
            for n in 0..count {
                timers.insert(Deadline::from_nanos(n * 100), n);
            }
            while let Some(handle) = timers.pop_expired(LATE) {
                black_box(handle);
            }
        });
        let name = format!("timers: set {count} and cancel all");
        let mut keys = Vec::with_capacity(count as usize);
        report(&name, count, || {
            keys.extend((0..count).map(|n| timers.insert(scattered(n), n)));
            for key in keys.drain(..) {
                black_box(timers.cancel(key));
            }
        });
    }
}

fn inbox() -> io::Result<()> {
    let inbox = Inbox::new()?;
    let mut into = VecDeque::new();
    report("inbox: push and drain, loop awake", 10_000, || {
        for n in 0..10_000_u64 {
            inbox.push(n).ok();
        }
        inbox.drain(&mut into);
        black_box(into.len());
        into.clear();
    });
    report("inbox: drain of an empty one", 10_000, || {
        for _ in 0..10_000 {
            inbox.drain(black_box(&mut into));
        }
    });
    Ok(())
}

fn poller() -> io::Result<()> {
    let poller = Poller::new()?;
    let (socket, _peer) = UnixStream::pair()?;
    let fd = socket.as_raw_fd();
    let mut events = Vec::new();
    poller.add(fd, Interest::READABLE)?;
    report("poller: a poll that finds nothing", 10_000, || {
        for _ in 0..10_000 {
            poller.wait(&mut events, Some(Duration::ZERO)).ok();
        }
    });
    poller.modify(fd, Interest::WRITABLE)?;
    let timeouts = [
        ("none", None),
        ("2 ms", Some(Duration::from_millis(2))),
        ("10 s", Some(Duration::from_secs(10))),
    ];
    for (name, timeout) in timeouts {
        let name = format!("poller: one ready, timeout {name}");
        report(&name, 10_000, || {
            for _ in 0..10_000 {
                poller.wait(black_box(&mut events), timeout).ok();
            }
        });
    }
    Ok(())
}

fn fds() -> io::Result<()> {
    let poller = Poller::new()?;
    let (socket, _peer) = UnixStream::pair()?;
    let fd = socket.as_raw_fd();
    let mut table = FdTable::new();
    report("fds: set and remove a reader", 10_000, || {
        for n in 0..10_000_u64 {
            table.set_reader(&poller, fd, n).ok();
            table.remove_reader(&poller, fd).ok();
        }
    });
    table.set_reader(&poller, fd, 1)?;
    report("fds: look up a reader", 100_000, || {
        for _ in 0..100_000 {
            black_box(table.reader(black_box(fd)));
        }
    });
    Ok(())
}

/// Runs `operations` operations seven times and prints the best round.
fn report(name: &str, operations: u64, mut round: impl FnMut()) {
    let best = (0..7).map(|_| {
        let start = aioxide::now();
        round();
        aioxide::now().saturating_duration_since(start)
    });
    let best = best.min().unwrap_or_default();
    let nanos = best.as_nanos() as f64 / operations as f64;
    println!("{name:45} {nanos:9.1} ns");
}

/// Deadlines that come in no order.
fn scattered(n: u64) -> Deadline {
    Deadline::from_nanos(n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 24)
}

/// Later than every [`scattered`] deadline.
const LATE: Deadline = Deadline::from_nanos(1 << 41);
