//! Wake-ups from other threads: none is lost, none outlives what it wakes.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;

use aioxide::{Future, LoopSender, TaskGroup, create_task, get_running_loop, run, sleep, wait_for};

/// A number that threads raise and one task waits for.
#[derive(Default)]
struct Counter {
    value: AtomicU32,
    waker: Mutex<Option<Waker>>,
}

impl Counter {
    fn raise(&self) {
        self.value.fetch_add(1, Ordering::SeqCst);
        let waker = self.waker.lock().expect("nobody panics with it").clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn reaches(&self, value: u32) {
        poll_fn(|context| {
            *self.waker.lock().expect("nobody panics with it") = Some(context.waker().clone());
            if self.value.load(Ordering::SeqCst) >= value {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

/// So long a lost wake-up is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Miri runs each step a thousand times slower, and tries other orders in few of them.
const fn often(times: u32) -> u32 {
    if cfg!(miri) { times / 50 } else { times }
}

#[test]
fn many_threads_wake_one_task_and_no_wake_up_is_lost() {
    run(async {
        let counter = Arc::new(Counter::default());
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let counter = Arc::clone(&counter);
                thread::spawn(move || (0..often(5_000)).for_each(|_| counter.raise()))
            })
            .collect();
        for value in (0..=4 * often(5_000)).step_by(7) {
            wait_for(counter.reaches(value), PATIENCE).await.unwrap();
        }
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_wake_up_at_any_moment_before_during_and_after_falling_asleep_arrives() {
    run(async {
        let (order, orders) = channel::<(Arc<Counter>, u32)>();
        let thread = thread::spawn(move || {
            for (counter, pause) in orders {
                (0..pause).for_each(|_| std::hint::spin_loop());
                counter.raise();
            }
        });
        for pause in (0..often(600)).chain((0..often(600)).rev()) {
            let counter = Arc::new(Counter::default());
            order.send((Arc::clone(&counter), pause)).unwrap();
            wait_for(counter.reaches(1), PATIENCE).await.unwrap();
        }
        drop(order);
        thread.join().unwrap();
    });
}

#[test]
fn the_children_of_a_group_are_woken_from_threads_too() {
    run(async {
        let counters: Vec<_> = (0..8).map(|_| Arc::new(Counter::default())).collect();
        let threads: Vec<_> = counters
            .iter()
            .cloned()
            .map(|counter| thread::spawn(move || (0..often(500)).for_each(|_| counter.raise())))
            .collect();
        let waiting = TaskGroup::<()>::scope(async |group| {
            for counter in &counters {
                group.create_task(async move {
                    for value in (0..=often(500)).step_by(5) {
                        counter.reaches(value).await;
                    }
                    Ok(())
                });
            }
            Ok(())
        });
        wait_for(waiting, PATIENCE).await.unwrap().unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_task_that_is_woken_while_it_runs_runs_again() {
    run(async {
        let polls = Rc::new(Cell::new(0));
        let counted = Rc::clone(&polls);
        let task = create_task(poll_fn(move |context| {
            counted.set(counted.get() + 1);
            if counted.get() == 3 {
                return Poll::Ready(());
            }
            let waker = context.waker().clone();
            // On this thread, twice, and on another: one more step all the same, or two.
            waker.wake_by_ref();
            waker.wake_by_ref();
            thread::spawn(move || waker.wake()).join().unwrap();
            Poll::Pending
        }));
        wait_for(task, PATIENCE).await.unwrap().unwrap();
        assert_eq!(polls.get(), 3);
    });
}

#[test]
fn a_future_dies_on_its_own_thread_whoever_holds_the_last_waker() {
    struct Note(Rc<Cell<Option<ThreadId>>>);
    impl Drop for Note {
        fn drop(&mut self) {
            self.0.set(Some(thread::current().id()));
        }
    }
    for is_woken in [true, false] {
        let died = Rc::new(Cell::new(None));
        let note = Note(Rc::clone(&died));
        let (sender, receiver) = channel();
        run(async {
            drop(create_task(async move {
                poll_fn(|context| {
                    sender.send(context.waker().clone()).unwrap();
                    Poll::<()>::Pending
                })
                .await;
                drop(note);
            }));
            sleep(Duration::ZERO).await.unwrap();
        });
        assert_eq!(died.get(), Some(thread::current().id()), "the loop ended the task");
        let waker = receiver.recv().unwrap();
        let late = move || if is_woken { waker.wake() } else { drop(waker) };
        thread::spawn(late).join().unwrap();
    }
}

#[test]
fn a_waker_of_one_loop_is_a_stranger_in_another() {
    let (sender, receiver) = channel();
    let go = Arc::new(AtomicBool::new(false));
    let gone = Arc::clone(&go);
    let first = thread::spawn(move || {
        run(async {
            let task = create_task(poll_fn(move |context| {
                if gone.load(Ordering::SeqCst) {
                    return Poll::Ready(());
                }
                drop(sender.send(context.waker().clone()));
                Poll::Pending
            }));
            wait_for(task, PATIENCE).await.unwrap().unwrap();
        });
    });
    run(async {
        let waker = receiver.recv().unwrap();
        go.store(true, Ordering::SeqCst);
        waker.wake();
        sleep(Duration::ZERO).await.unwrap();
    });
    first.join().unwrap();
}

#[test]
fn calls_from_threads_arrive_once_and_each_threads_in_order() {
    run(async {
        let sender = get_running_loop().sender();
        let done = Future::new();
        thread_local!(static SEEN: std::cell::RefCell<Vec<(u32, u32)>> = const { std::cell::RefCell::new(Vec::new()) });
        let threads: Vec<_> = (0..4).map(|thread| send_numbers(thread, sender.clone())).collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let last = done.clone();
        get_running_loop().call_soon(move || last.set_result(()).expect("it is set once"));
        wait_for(async { done.await.unwrap() }, PATIENCE).await.unwrap();
        let seen = SEEN.take();
        assert_eq!(seen.len(), 4 * often(300) as usize);
        for thread in 0..4 {
            let numbers: Vec<_> = seen
                .iter()
                .filter(|(from, _)| *from == thread)
                .map(|(_, number)| *number)
                .collect();
            assert_eq!(numbers, (0..often(300)).collect::<Vec<_>>());
        }

        fn send_numbers(thread: u32, sender: LoopSender) -> thread::JoinHandle<()> {
            thread::spawn(move || {
                for number in 0..often(300) {
                    sender.call_soon_threadsafe(move || SEEN.with_borrow_mut(|seen| seen.push((thread, number))));
                }
            })
        }
    });
}

#[test]
fn what_is_sent_to_a_loop_that_has_ended_is_dropped_and_never_called() {
    let sender = run(async { get_running_loop().sender() });
    let called = Arc::new(AtomicBool::new(false));
    let call = Arc::clone(&called);
    sender.call_soon_threadsafe(move || call.store(true, Ordering::SeqCst));
    drop(sender);
    assert!(!called.load(Ordering::SeqCst));
    assert_eq!(Arc::strong_count(&called), 1);
}
