//! No wake-up is lost, in whatever order the threads run and whatever their processors reorder.

use std::collections::VecDeque;
use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use models::{Atomics, Inbox, sys};

/// Runs `test` in every order with at most this many places where a thread is interrupted that could go on: more
/// find nothing new in practice, and take days.
const INTERRUPTIONS: usize = 3;

fn model(test: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(INTERRUPTIONS);
    builder.check(test);
}

/// The loop's side of an inbox.
struct Loop<H> {
    inbox: Arc<Inbox<H>>,
    descriptor: Arc<sys::Descriptor>,
    ready: VecDeque<H>,
}

impl<H> Loop<H> {
    fn new() -> Loop<H> {
        let inbox = Inbox::new().expect("a model of a descriptor");
        Loop {
            descriptor: sys::descriptor(inbox.fd()),
            inbox,
            ready: VecDeque::new(),
        }
    }

    /// One turn, as `Engine` and its drivers take it.
    fn turn(&mut self) {
        if self.inbox.begin_sleep() {
            self.descriptor.wait();
        }
        let was_reported = self.descriptor.is_readable();
        self.inbox.end_sleep();
        if was_reported {
            self.inbox.acknowledge();
        }
        self.inbox.drain(&mut self.ready);
    }
}

#[test]
fn what_two_threads_send_arrives_once_and_each_threads_in_order() {
    model(|| {
        let mut running = Loop::new();
        let (first, second) = (Arc::clone(&running.inbox), Arc::clone(&running.inbox));
        let threads = [
            thread::spawn(move || (1..=2).for_each(|number| first.push(number).expect("a model"))),
            thread::spawn(move || second.push(3).expect("a model")),
        ];
        while running.ready.len() < 3 {
            running.turn();
        }
        let firsts: Vec<_> = running.ready.iter().copied().filter(|number| *number < 3).collect();
        assert_eq!(firsts, [1, 2]);
        for thread in threads {
            thread.join().expect("it does not panic");
        }
        assert!(running.inbox.is_empty());
    });
}

#[test]
fn a_wake_ends_the_sleep_and_shows_what_was_done_before_it() {
    model(|| {
        let mut running = Loop::<()>::new();
        let done = Arc::new(AtomicUsize::new(0));
        let threads = [(); 2].map(|()| {
            let (inbox, done) = (Arc::clone(&running.inbox), Arc::clone(&done));
            thread::spawn(move || {
                done.fetch_add(1, Ordering::Relaxed);
                inbox.wake().expect("a model");
            })
        });
        while done.load(Ordering::Relaxed) < 2 {
            running.turn();
        }
        for thread in threads {
            thread.join().expect("it does not panic");
        }
    });
}

#[test]
fn a_task_is_polled_after_every_wake_up_and_sees_what_it_was_woken_for() {
    model(|| {
        let mut running = Loop::new();
        let task = Arc::new(Atomics::new());
        let value = Arc::new(AtomicUsize::new(0));
        let threads = [(); 2].map(|()| {
            let (inbox, task, value) = (Arc::clone(&running.inbox), Arc::clone(&task), Arc::clone(&value));
            thread::spawn(move || {
                // Relaxed: what makes it visible is the wake-up alone.
                value.fetch_add(1, Ordering::Relaxed);
                if task.enter_inbox() {
                    inbox.push(()).expect("a model");
                }
            })
        });
        let mut polled = value.load(Ordering::Relaxed);
        while polled < 2 {
            running.turn();
            for () in running.ready.drain(..) {
                task.leave_inbox();
                polled = value.load(Ordering::Relaxed);
            }
        }
        for thread in threads {
            thread.join().expect("it does not panic");
        }
    });
}

#[test]
fn whoever_lets_go_of_a_task_last_is_one_thread_and_comes_after_all_others() {
    model(|| {
        let task = Arc::new(Atomics::new());
        let block = loom::sync::Arc::new(loom::cell::UnsafeCell::new(0));
        task.retain();
        let let_go = |task: &Atomics, block: &loom::cell::UnsafeCell<i32>| {
            // Using it and freeing it are accesses that loom tells apart.
            block.with(|_| ());
            let is_last = task.release();
            if is_last {
                block.with_mut(|_| ());
            }
            is_last
        };
        let other = {
            let (task, block) = (Arc::clone(&task), block.clone());
            thread::spawn(move || let_go(&task, &block))
        };
        let here = let_go(&task, &block);
        assert_ne!(here, other.join().expect("it does not panic"));
    });
}
