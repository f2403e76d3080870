//! The wake-up protocol, in every order its steps can take, and with real threads.

use std::time::Duration;

use super::*;
use crate::poller::{Interest, Poller};

/// One step of one thread. Between two steps any other thread may run; within one, nobody can tell
/// (each step is one atomic operation, one critical section or one system call).
#[derive(Clone, Copy, Debug)]
enum Step {
    Enqueue(u32),
    Announce,
    Signal,
    BeginSleep,
    Wait,
    EndSleep,
    Drain,
}

/// The real inbox, and what each thread remembers between its steps.
struct World {
    inbox: Arc<Inbox<u32>>,
    owed: Vec<Signal>,
    may_sleep: bool,
    reported: bool,
    writes: usize,
    wakes_done: usize,
    wakes_seen: usize,
    received: VecDeque<u32>,
}

impl World {
    fn new(threads: usize) -> World {
        World {
            inbox: Inbox::new().unwrap(),
            owed: vec![Signal::NotNeeded; threads],
            may_sleep: false,
            reported: false,
            writes: 0,
            wakes_done: 0,
            wakes_seen: 0,
            received: VecDeque::new(),
        }
    }

    fn readable(&self) -> bool {
        let mut fds = [rustix::event::PollFd::new(
            &self.inbox.wake_fd,
            rustix::event::PollFlags::IN,
        )];
        let zero = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut fds, Some(&zero)).unwrap() == 1
    }

    /// Whether the step can be taken: a wait that would sleep cannot.
    fn enabled(&self, step: Step) -> bool {
        !matches!(step, Step::Wait) || !self.may_sleep || self.readable()
    }

    fn take(&mut self, thread: usize, step: Step) {
        match step {
            Step::Enqueue(handle) => self.owed[thread] = self.inbox.enqueue(handle),
            Step::Announce => {
                self.owed[thread] = self.inbox.announce(WOKEN);
                self.wakes_done += 1;
            }
            Step::Signal => {
                if self.owed[thread] == Signal::Needed {
                    self.inbox.wake_fd.signal().unwrap();
                    self.writes += 1;
                }
            }
            Step::BeginSleep => self.may_sleep = self.inbox.begin_sleep(),
            Step::Wait => self.reported = self.readable(),
            Step::EndSleep => {
                self.inbox.end_sleep();
                self.wakes_seen = self.wakes_done;
            }
            Step::Drain => {
                if std::mem::take(&mut self.reported) {
                    self.inbox.acknowledge();
                }
                self.inbox.drain(&mut self.received);
            }
        }
    }
}

/// Runs the threads in every order of their steps; the first is the loop. Returns how many orders
/// ended with the loop asleep for good and how many with all steps taken.
fn explore(threads: &[&[Step]], check: &mut impl FnMut(&World, bool)) -> (usize, usize) {
    let mut schedules: Vec<Vec<usize>> = vec![Vec::new()];
    let (mut asleep, mut finished) = (0, 0);
    while let Some(schedule) = schedules.pop() {
        let mut world = World::new(threads.len());
        let mut taken = vec![0; threads.len()];
        for &thread in &schedule {
            let step = threads[thread][taken[thread]];
            world.take(thread, step);
            taken[thread] += 1;
        }
        let able: Vec<_> = (0..threads.len())
            .filter(|&thread| {
                let next = threads[thread].get(taken[thread]);
                next.is_some_and(|step| world.enabled(*step))
            })
            .collect();
        if able.is_empty() {
            let ended = taken[0] == threads[0].len();
            asleep += usize::from(!ended);
            finished += usize::from(ended);
            check(&world, ended);
        }
        for thread in able {
            let mut longer = schedule.clone();
            longer.push(thread);
            schedules.push(longer);
        }
    }
    (asleep, finished)
}

const TURN: [Step; 4] = [Step::BeginSleep, Step::Wait, Step::EndSleep, Step::Drain];

#[test]
fn a_loop_that_sleeps_for_good_has_received_everything() {
    let turns: Vec<Step> = [TURN, TURN, TURN].concat();
    let push_twice = [Step::Enqueue(1), Step::Signal, Step::Enqueue(2), Step::Signal];
    let push_once = [Step::Enqueue(3), Step::Signal];
    let (asleep, finished) = explore(&[&turns, &push_twice, &push_once], &mut |world, ended| {
        if !ended {
            assert!(world.inbox.lock().is_empty(), "lost a wake-up");
            assert_eq!(world.received.len(), 3);
        }
        let firsts = world.received.iter().filter(|handle| **handle < 3);
        assert!(firsts.is_sorted());
    });
    assert!(asleep > 100 && finished > 100);
}

#[test]
fn a_loop_that_sleeps_for_good_has_come_round_after_every_wake() {
    let turns: Vec<Step> = [TURN, TURN, TURN].concat();
    let wake = [Step::Announce, Step::Signal];
    let push_and_wake = [Step::Enqueue(1), Step::Signal, Step::Announce, Step::Signal];
    let (asleep, _) = explore(&[&turns, &wake, &push_and_wake], &mut |world, ended| {
        if !ended {
            assert_eq!(world.wakes_seen, 2, "lost a wake-up");
            assert_eq!(world.received.len(), 1);
        }
    });
    assert!(asleep > 100);
}

#[test]
fn a_burst_writes_once() {
    let world = World::new(1);
    assert!(world.inbox.begin_sleep());
    let signals: Vec<_> = (0..100).map(|n| world.inbox.enqueue(n)).collect();
    assert_eq!(signals[0], Signal::Needed);
    assert!(signals[1..].iter().all(|s| *s == Signal::NotNeeded));
    assert_eq!(world.inbox.announce(WOKEN), Signal::NotNeeded);
    world.inbox.end_sleep();
}

#[test]
fn a_loop_that_is_awake_costs_no_write() {
    let world = World::new(1);
    world.inbox.push(1).unwrap();
    world.inbox.wake().unwrap();
    assert!(!world.readable());
    assert!(!world.inbox.is_empty());
    assert!(!world.inbox.begin_sleep());
    world.inbox.end_sleep();
    assert!(!world.inbox.is_empty());
    let mut into = VecDeque::new();
    world.inbox.drain(&mut into);
    assert!(world.inbox.is_empty());
    assert!(world.inbox.begin_sleep());
}

#[test]
fn drain_appends_in_order() {
    let inbox = Inbox::new().unwrap();
    let mut into = VecDeque::from([1, 2]);
    inbox.drain(&mut into);
    assert_eq!(into, [1, 2]);
    inbox.push(3).unwrap();
    inbox.push(4).unwrap();
    inbox.drain(&mut into);
    assert_eq!(into, [1, 2, 3, 4]);
}

#[test]
fn room_for_a_burst_is_given_back() {
    let inbox = Inbox::new().unwrap();
    let mut into = VecDeque::new();
    for n in 0..100_000 {
        inbox.push(n).unwrap();
    }
    into.push_back(-1);
    inbox.drain(&mut into);
    inbox.push(1).unwrap();
    inbox.drain(&mut into);
    assert_eq!(into.len(), 100_002);
    assert!(inbox.lock().capacity() <= 2 * LARGEST_KEPT);
}

#[test]
fn threads_wake_a_sleeping_loop() {
    const THREADS: u32 = 4;
    const EACH: u32 = 5_000;
    let inbox = Inbox::new().unwrap();
    let poller = Poller::new().unwrap();
    poller.add(inbox.fd(), Interest::READABLE).unwrap();
    let senders: Vec<_> = (0..THREADS)
        .map(|thread| {
            let inbox = Arc::clone(&inbox);
            std::thread::spawn(move || {
                for n in 0..EACH {
                    inbox.push(thread * EACH + n).unwrap();
                    if n % 64 == 0 {
                        std::thread::yield_now();
                    }
                }
            })
        })
        .collect();
    let mut received = VecDeque::new();
    let mut events = Vec::new();
    while received.len() < (THREADS * EACH) as usize {
        // Far longer than the test takes: a lost wake-up shows as a wait that ran out.
        let limit = Duration::from_secs(20);
        let timeout = if inbox.begin_sleep() { limit } else { Duration::ZERO };
        let start = crate::now();
        poller.wait(&mut events, Some(timeout)).unwrap();
        inbox.end_sleep();
        assert!(crate::now().saturating_duration_since(start) < limit);
        if !events.is_empty() {
            inbox.acknowledge();
        }
        inbox.drain(&mut received);
    }
    for sender in senders {
        sender.join().unwrap();
    }
    for thread in 0..THREADS {
        let range = thread * EACH..(thread + 1) * EACH;
        let own = received.iter().filter(|n| range.contains(n));
        assert!(own.copied().eq(range.clone()), "order of thread {thread}");
    }
}
