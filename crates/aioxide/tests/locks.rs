//! `Lock`, `Event`, `Condition`, `Semaphore`, `BoundedSemaphore`, `Barrier`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use aioxide::testing::run;
use aioxide::{
    Barrier, BarrierError, BoundedSemaphore, Condition, Event, Lock, Semaphore, create_task, gather_all, sleep,
};

const ZERO: Duration = Duration::ZERO;

#[test]
fn a_lock_is_handed_over_in_order_and_nobody_overtakes() {
    run(async {
        let lock = Rc::new(Lock::new(Vec::new()));
        let guard = lock.acquire().await.unwrap();
        let tasks: Vec<_> = (0..3)
            .map(|number| {
                let lock = Rc::clone(&lock);
                create_task(async move {
                    let mut order = lock.acquire().await.unwrap();
                    sleep(ZERO).await.unwrap();
                    order.push(number);
                })
            })
            .collect();
        sleep(ZERO).await.unwrap();
        drop(guard);
        assert!(lock.try_acquire().is_none());
        lock.acquire().await.unwrap().push(9);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*lock.acquire().await.unwrap(), [0, 1, 2, 9]);
    });
}

#[test]
fn a_lock_that_goes_to_a_cancelled_task_goes_on_to_the_next() {
    run(async {
        let lock = Rc::new(Lock::new(()));
        let guard = lock.acquire().await.unwrap();
        let waiting = |lock: &Rc<Lock<()>>| {
            let lock = Rc::clone(lock);
            create_task(async move { lock.acquire().await.map(drop) })
        };
        let (first, second) = (waiting(&lock), waiting(&lock));
        sleep(ZERO).await.unwrap();
        // The lock is handed to the first, which is cancelled before it sees it.
        drop(guard);
        first.cancel();
        assert!(first.await.unwrap().is_err());
        assert!(second.await.unwrap().is_ok());
        assert!(!lock.locked());
    });
}

#[test]
fn an_event_wakes_all_who_wait_and_lets_pass_who_comes_later() {
    run(async {
        let event = Rc::new(Event::new());
        let waiting = (0..3).map(|_| {
            let event = Rc::clone(&event);
            async move { event.wait().await }
        });
        let waiting = gather_all(waiting);
        sleep(ZERO).await.unwrap();
        event.set();
        event.clear();
        assert!(waiting.await.unwrap().into_iter().all(|result| result.unwrap().is_ok()));
        assert!(!event.is_set());
        event.set();
        event.wait().await.unwrap();
    });
}

#[test]
fn a_condition_wakes_as_many_as_it_is_told_to() {
    run(async {
        let condition = Rc::new(Condition::new(0));
        let woken = Rc::new(Cell::new(0));
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let (condition, woken) = (Rc::clone(&condition), Rc::clone(&woken));
                create_task(async move {
                    let guard = condition.acquire().await.unwrap();
                    let guard = condition.wait(guard).await;
                    woken.set(woken.get() + usize::from(guard.is_ok()));
                })
            })
            .collect();
        sleep(ZERO).await.unwrap();
        condition.notify(2);
        sleep(Duration::from_secs(1)).await.unwrap();
        assert_eq!(woken.get(), 2);
        // A notification that goes to a cancelled task goes on to the next.
        condition.notify(1);
        tasks[2].cancel();
        sleep(Duration::from_secs(1)).await.unwrap();
        assert_eq!(woken.get(), 3);
        assert!(!condition.locked());
        condition.notify_all();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn a_semaphore_lets_so_many_in() {
    run(async {
        let semaphore = Rc::new(Semaphore::new(2));
        let (now, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let work = (0..10).map(|_| {
            let (semaphore, now, most) = (Rc::clone(&semaphore), Rc::clone(&now), Rc::clone(&most));
            async move {
                let permit = semaphore.acquire().await.unwrap();
                now.set(now.get() + 1);
                most.set(most.get().max(now.get()));
                sleep(Duration::from_secs(1)).await.unwrap();
                now.set(now.get() - 1);
                drop(permit);
            }
        });
        gather_all(work).await.unwrap();
        assert_eq!(most.get(), 2);
        assert!(!semaphore.locked());
        let bounded = BoundedSemaphore::new(1);
        let permit = bounded.acquire().await.unwrap();
        assert!(bounded.locked() && bounded.try_acquire().is_none());
        drop(permit);
        assert!(bounded.release().is_err());
    });
}

#[test]
fn a_barrier_opens_when_all_have_come_and_can_be_used_again() {
    run(async {
        let barrier = Rc::new(Barrier::new(3));
        let rounds = Rc::new(RefCell::new(Vec::new()));
        let work = (0..3).map(|number| {
            let (barrier, rounds) = (Rc::clone(&barrier), Rc::clone(&rounds));
            async move {
                for round in 0..3 {
                    sleep(Duration::from_secs(number)).await.unwrap();
                    barrier.wait().await.unwrap();
                    rounds.borrow_mut().push(round);
                }
            }
        });
        gather_all(work).await.unwrap();
        assert_eq!(*rounds.borrow(), [0, 0, 0, 1, 1, 1, 2, 2, 2]);
        assert_eq!((barrier.n_waiting(), barrier.parties()), (0, 3));
    });
}

#[test]
fn a_barrier_breaks_when_one_gives_up_and_is_whole_again_after_a_reset() {
    run(async {
        let barrier = Rc::new(Barrier::new(3));
        let wait = |barrier: &Rc<Barrier>| {
            let barrier = Rc::clone(barrier);
            create_task(async move { barrier.wait().await })
        };
        let (patient, hasty) = (wait(&barrier), wait(&barrier));
        sleep(ZERO).await.unwrap();
        assert_eq!(barrier.n_waiting(), 2);
        hasty.cancel();
        assert!(matches!(hasty.await.unwrap(), Err(BarrierError::Cancelled(_))));
        assert!(matches!(patient.await.unwrap(), Err(BarrierError::Broken(_))));
        assert!(barrier.broken() && barrier.wait().await.is_err());
        barrier.reset();
        let three = [wait(&barrier), wait(&barrier), wait(&barrier)];
        let mut indices = Vec::new();
        for task in three {
            indices.push(task.await.unwrap().unwrap());
        }
        assert_eq!(indices, [0, 1, 2]);
    });
}
