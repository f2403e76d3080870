//! A small loop on the engine: what a driver may rely on, with real descriptors, threads and time.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use aioxide::{Clock, Deadline, Engine, FdTable, Inbox, PollBudget, PollPolicy};

/// A callback, as a Rust driver might queue it.
type Callback = Box<dyn FnOnce(&mut Driver)>;

/// Whom a descriptor's readiness concerns.
type Reader = Rc<dyn Fn(&mut Driver)>;

/// What the ready queue holds.
enum Work {
    Call(Callback),
    Message(u32),
    Reader(RawFd),
}

/// Callbacks stay on their thread, so other threads send messages, through an inbox of its own type.
struct Driver {
    engine: Engine<Work>,
    messages: Arc<Inbox<u32>>,
    readers: FdTable<Reader>,
    received: Vec<u32>,
    stopped: bool,
}

impl Driver {
    fn new(policy: PollPolicy) -> Driver {
        let engine = Engine::with(policy, Clock::Monotonic).expect("an engine");
        let messages = Inbox::new().expect("an inbox");
        let interest = aioxide::Interest::READABLE;
        let watched = engine.poller().add(messages.fd(), interest);
        watched.expect("an inbox is watched");
        Driver {
            engine,
            messages,
            readers: FdTable::new(),
            received: Vec::new(),
            stopped: false,
        }
    }

    fn call_soon(&mut self, callback: impl FnOnce(&mut Driver) + 'static) {
        self.engine.push(Work::Call(Box::new(callback)));
    }

    fn call_later(&mut self, delay: Duration, callback: impl FnOnce(&mut Driver) + 'static) {
        let when = self.engine.now().saturating_add(delay);
        let work = Work::Call(Box::new(callback));
        self.engine.timers.insert(when, work);
    }

    fn add_reader(&mut self, fd: RawFd, callback: impl Fn(&mut Driver) + 'static) {
        let set = self.readers.set_reader(self.engine.poller(), fd, Rc::new(callback));
        assert!(set.expect("a watched descriptor").is_none());
    }

    fn run(&mut self) {
        while !self.stopped {
            self.poll().expect("a poll");
            self.engine.begin_run();
            while let Some(work) = self.engine.pop() {
                self.engine.probe().step();
                self.execute(work);
                if self.stopped || self.engine.budget.should_poll() {
                    break;
                }
            }
        }
    }

    fn poll(&mut self) -> io::Result<()> {
        let now = self.engine.now();
        let mut timeout = self.engine.begin_wait(now);
        if !self.messages.begin_sleep() {
            timeout = Some(Duration::ZERO);
        }
        let mut events = Vec::new();
        let waited = self.engine.poller().wait(&mut events, timeout);
        self.messages.end_sleep();
        self.engine.end_wait();
        waited?;
        for event in events {
            if event.fd == self.messages.fd() {
                self.messages.acknowledge();
            } else if event.fd == self.engine.inbox().fd() {
                self.engine.inbox().acknowledge();
            } else if event.readable {
                self.engine.push(Work::Reader(event.fd));
            }
        }
        let mut messages = VecDeque::new();
        self.messages.drain(&mut messages);
        self.engine.ready.extend(messages.into_iter().map(Work::Message));
        self.engine.drain_inbox();
        let now = self.engine.now();
        self.engine.drain_timers(now);
        Ok(())
    }

    fn execute(&mut self, work: Work) {
        match work {
            Work::Call(callback) => callback(self),
            Work::Message(message) => self.received.push(message),
            Work::Reader(fd) => {
                if let Some(reader) = self.readers.reader(fd).cloned() {
                    reader(self);
                }
            }
        }
    }
}

/// Queues itself again for ever.
fn spin(driver: &mut Driver) {
    driver.call_soon(spin);
}

#[test]
fn timers_fire_in_order_and_never_early() {
    let mut driver = Driver::new(PollPolicy::Adaptive);
    let fired = Rc::new(Cell::new(0_u64));
    for delay in [9, 2, 5, 0, 4, 1, 7] {
        let fired = Rc::clone(&fired);
        let delay = Duration::from_micros(delay * 700);
        let due = driver.engine.now().saturating_add(delay);
        driver.call_later(delay, move |driver| {
            assert!(driver.engine.now() >= due);
            assert!(fired.get() <= due.as_nanos());
            fired.set(due.as_nanos());
            driver.stopped = driver.engine.timers.is_empty();
        });
    }
    driver.run();
}

#[test]
fn a_spinning_callback_starves_neither_descriptor_nor_timer_nor_thread() {
    for policy in [PollPolicy::Adaptive, PollPolicy::Strict] {
        let mut driver = Driver::new(policy);
        let (reader, mut writer) = UnixStream::pair().expect("a pair");
        let fd = reader.as_raw_fd();
        let messages = Arc::clone(&driver.messages);
        driver.call_soon(spin);
        driver.call_later(Duration::from_micros(100), move |driver| {
            writer.write_all(b"x").expect("room");
            messages.push(1).expect("a wake-up");
            let steps = driver.engine.probe().steps();
            // The descriptor is ready from here on: it is served within one budget, and what is
            // queued beside it.
            let limit = steps + 2 * u64::from(PollBudget::MAX_ENTRIES);
            let reader = Rc::new(Cell::new(Some(reader)));
            driver.add_reader(fd, move |driver| {
                assert!(driver.engine.probe().steps() <= limit);
                let mut reader = reader.take().expect("called once");
                reader.read_exact(&mut [0]).expect("a byte");
                let removed = driver.readers.remove_reader(driver.engine.poller(), fd);
                assert!(removed.expect("was watched").is_some());
                driver.call_later(Duration::from_micros(100), |driver| driver.stopped = true);
            });
        });
        driver.run();
        assert_eq!(driver.received, [1]);
        assert!(driver.readers.is_empty());
    }
}

#[test]
fn an_idle_loop_does_not_turn_in_vain() {
    let mut driver = Driver::new(PollPolicy::Adaptive);
    driver.call_later(Duration::from_millis(12), |driver| driver.stopped = true);
    driver.run();
    let sample = driver.engine.probe().sample();
    // One wait for the timer; a signal to this process may end one early.
    assert!(sample.polls <= 2, "{sample:?}");
    assert_eq!(sample.steps, 1);
}

#[test]
fn threads_reach_a_sleeping_loop() {
    const MESSAGES: u32 = 300;
    let mut driver = Driver::new(PollPolicy::Adaptive);
    let messages = Arc::clone(&driver.messages);
    let (mut pace, mut paced) = UnixStream::pair().expect("a pair");
    let sender = std::thread::spawn(move || {
        let mut byte = [0];
        for n in 0..MESSAGES {
            messages.push(n).expect("a wake-up");
            // Waits until the loop has answered, so that it goes to sleep each time.
            paced.read_exact(&mut byte).expect("an answer");
        }
    });
    let give_up = driver.engine.now().saturating_add(Duration::from_secs(20));
    let mut answered = 0;
    while answered < MESSAGES as usize {
        driver.poll().expect("a poll");
        while let Some(work) = driver.engine.pop() {
            driver.execute(work);
        }
        while answered < driver.received.len() {
            pace.write_all(b"x").expect("room");
            answered += 1;
        }
        assert!(driver.engine.now() < give_up);
    }
    sender.join().expect("the sender ends well");
    assert!(driver.received.iter().copied().eq(0..MESSAGES));
}

#[test]
fn a_watchdog_sees_a_callback_that_blocks_while_it_blocks() {
    let mut driver = Driver::new(PollPolicy::Adaptive);
    let probe = Arc::clone(driver.engine.probe());
    let (mut release, mut held) = UnixStream::pair().expect("a pair");
    driver.call_soon(move |driver| {
        held.read_exact(&mut [0]).expect("a release");
        driver.stopped = true;
    });
    let watchdog = std::thread::spawn(move || {
        // The callback cannot end before this thread releases it.
        while probe.steps() == 0 {
            std::thread::yield_now();
        }
        let earlier = probe.sample();
        let stuck = probe.sample().is_stuck_since(&earlier);
        release.write_all(b"x").expect("room");
        stuck
    });
    driver.engine.probe().enter_callbacks();
    driver.run();
    driver.engine.probe().leave_callbacks();
    assert!(watchdog.join().expect("the watchdog ends well"));
}

#[test]
fn time_can_be_owned_by_a_test() {
    let start = Deadline::from_nanos(5);
    let clock = Clock::manual(start);
    let mut engine: Engine<u32> = Engine::with(PollPolicy::Adaptive, clock).expect("an engine");
    for hours in [3, 1, 2] {
        let when = start.saturating_add(Duration::from_secs(u64::from(hours) * 3600));
        engine.timers.insert(when, hours);
    }
    let mut fired = Vec::new();
    while let Some(next) = engine.timers.next_deadline() {
        assert!(engine.clock().advance_to(next));
        engine.drain_timers(engine.now());
        fired.extend(engine.ready.drain(..));
    }
    assert_eq!(fired, [1, 2, 3]);
}
