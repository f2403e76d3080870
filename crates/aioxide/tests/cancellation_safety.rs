//! Cancellation at every await point: nothing is lost, nothing runs twice, clean-up always runs.
//!
//! A world of tasks that share a lock, a semaphore, a queue, a condition and timers is run again and
//! again, in virtual time; each time one turn later another task is cancelled, and then many at random.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use aioxide::testing::run;
use aioxide::{
    Barrier, BarrierError, Cancelled, Condition, Event, Lock, PutError, Queue, QueueError, ReturnWhen, Semaphore, Task,
    TaskError, TaskGroup, TaskGroupError, TimeoutError, as_completed, create_task, current_task, gather_all, shield,
    sleep, wait, wait_for,
};

const ZERO: Duration = Duration::ZERO;
const HOUR: Duration = Duration::from_secs(3600);
const MILLISECOND: Duration = Duration::from_millis(1);

/// What the tasks share, and the account of what they did.
struct World {
    lock: Lock<u32>,
    inside: Cell<u32>,
    permits: Semaphore,
    inside_permits: Cell<u32>,
    queue: Queue<u32>,
    put: RefCell<Vec<u32>>,
    got: RefCell<Vec<u32>>,
    condition: Condition<u32>,
    entered: Cell<u32>,
    cleaned: Cell<u32>,
    /// How often each step of each worker ran.
    steps: RefCell<BTreeMap<(u32, u32), u32>>,
    next_item: Cell<u32>,
}

impl World {
    fn new() -> Rc<World> {
        Rc::new(World {
            lock: Lock::new(0),
            inside: Cell::new(0),
            permits: Semaphore::new(2),
            inside_permits: Cell::new(0),
            queue: Queue::new(1),
            put: RefCell::default(),
            got: RefCell::default(),
            condition: Condition::new(0),
            entered: Cell::new(0),
            cleaned: Cell::new(0),
            steps: RefCell::default(),
            next_item: Cell::new(0),
        })
    }

    fn step(&self, worker: u32, step: u32) {
        *self.steps.borrow_mut().entry((worker, step)).or_default() += 1;
    }

    /// A worker with its clean-up, which awaits.
    async fn work(self: Rc<World>, worker: u32, rounds: u32, mut random: Random) -> Result<(), Cancelled> {
        self.entered.set(self.entered.get() + 1);
        let result = self.rounds(worker, rounds, &mut random).await;
        // The request was delivered; the clean-up may await, and a second one would only end one of these.
        for _ in 0..2 {
            drop(sleep(MILLISECOND).await);
        }
        self.cleaned.set(self.cleaned.get() + 1);
        result
    }

    async fn rounds(&self, worker: u32, rounds: u32, random: &mut Random) -> Result<(), Cancelled> {
        for round in 0..rounds {
            self.step(worker, round);
            match random.below(7) {
                0 => self.use_lock().await?,
                1 => self.use_permit().await?,
                2 => self.put_item().await?,
                3 => self.get_item().await?,
                4 => self.use_condition().await?,
                5 => self.use_group().await?,
                _ => self.use_shield().await?,
            }
        }
        Ok(())
    }

    async fn use_lock(&self) -> Result<(), Cancelled> {
        let mut value = self.lock.acquire().await?;
        let inside = Inside::enter(&self.inside, 1);
        sleep(ZERO).await?;
        *value += 1;
        drop(inside);
        Ok(())
    }

    async fn use_permit(&self) -> Result<(), Cancelled> {
        let permit = self.permits.acquire().await?;
        let inside = Inside::enter(&self.inside_permits, 2);
        let slept = sleep(MILLISECOND).await;
        drop((inside, permit));
        slept
    }

    async fn put_item(&self) -> Result<(), Cancelled> {
        let item = self.next_item.replace(self.next_item.get() + 1);
        match wait_for(self.queue.put(item), 3 * MILLISECOND).await {
            Ok(Ok(())) => self.put.borrow_mut().push(item),
            Ok(Err(PutError { item: back, cause })) => {
                assert_eq!(back, item, "the item comes back");
                return cancelled(cause);
            }
            Err(TimeoutError::Expired) => {}
            Err(TimeoutError::Cancelled(cancelled)) => return Err(cancelled),
        }
        Ok(())
    }

    async fn get_item(&self) -> Result<(), Cancelled> {
        match wait_for(self.queue.get(), 3 * MILLISECOND).await {
            Ok(Ok(item)) => self.got.borrow_mut().push(item),
            Ok(Err(cause)) => return cancelled(cause),
            Err(TimeoutError::Expired) => {}
            Err(TimeoutError::Cancelled(cancelled)) => return Err(cancelled),
        }
        Ok(())
    }

    async fn use_condition(&self) -> Result<(), Cancelled> {
        let guard = self.condition.acquire().await?;
        let waited = wait_for(self.condition.wait_for(guard, |value| *value % 2 == 1), 2 * MILLISECOND);
        match waited.await {
            Ok(waited) => *waited? += 1,
            Err(TimeoutError::Expired) => {
                *self.condition.acquire().await? += 1;
                self.condition.notify(1);
            }
            Err(TimeoutError::Cancelled(cancelled)) => return Err(cancelled),
        }
        Ok(())
    }

    async fn use_group(&self) -> Result<(), Cancelled> {
        let running = Cell::new(0);
        let joined = TaskGroup::<Cancelled>::scope(async |group| {
            for _ in 0..2 {
                group.create_task(async {
                    let inside = Inside::enter(&running, 2);
                    self.use_lock().await?;
                    sleep(MILLISECOND).await?;
                    drop(inside);
                    Ok(())
                });
            }
            sleep(ZERO).await
        });
        let result = joined.await;
        assert_eq!(running.get(), 0, "no child outlives its group");
        match result {
            Ok(()) => Ok(()),
            Err(TaskGroupError::Cancelled(cancelled)) => Err(cancelled),
            Err(failed) => panic!("{failed}"),
        }
    }

    async fn use_shield(&self) -> Result<(), Cancelled> {
        let mut inner = create_task(sleep(MILLISECOND));
        match shield(&mut inner).await {
            Ok(slept) => slept,
            Err(TaskError::Cancelled(cancelled)) => {
                assert!(!inner.cancelled(), "a shield keeps the cancellation out");
                Err(cancelled)
            }
            Err(other) => panic!("{other}"),
        }
    }

    /// What must hold when all workers have ended.
    async fn check(&self, what: &str) {
        assert_eq!(self.entered.get(), self.cleaned.get(), "{what}: a clean-up did not run");
        assert!(
            self.steps.borrow().values().all(|count| *count == 1),
            "{what}: a step ran twice"
        );
        assert!(
            !self.lock.locked() && self.lock.try_acquire().is_some(),
            "{what}: the lock is lost"
        );
        let (one, two) = (self.permits.try_acquire(), self.permits.try_acquire());
        assert!(one.is_some() && two.is_some(), "{what}: a permit is lost");
        assert!(self.permits.locked(), "{what}: there is a permit too many");
        assert!(!self.condition.locked(), "{what}: the condition's lock is lost");
        let mut got = self.got.take();
        got.extend(std::iter::from_fn(|| self.queue.get_nowait().ok()));
        got.sort_unstable();
        let mut put = self.put.take();
        put.sort_unstable();
        assert_eq!(got, put, "{what}: what was put is what comes out, once");
    }
}

fn cancelled(cause: QueueError) -> Result<(), Cancelled> {
    match cause {
        QueueError::Cancelled(cancelled) => Err(cancelled),
        QueueError::ShutDown(error) => panic!("{error}"),
    }
}

/// Counts who is inside, also when it is dropped there.
struct Inside<'count>(&'count Cell<u32>);

impl Inside<'_> {
    fn enter(count: &Cell<u32>, most: u32) -> Inside<'_> {
        count.set(count.get() + 1);
        assert!(count.get() <= most, "more are inside than may be");
        Inside(count)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Numbers that are the same in each run: xorshift.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from((self.0 >> 33) % u64::from(bound)).unwrap_or(0)
    }
}

fn start(world: &Rc<World>, seed: u64, workers: u32, rounds: u32) -> Vec<Task<Result<(), Cancelled>>> {
    let worker = |worker| {
        let random = Random::new(seed * 64 + u64::from(worker));
        create_task(Rc::clone(world).work(worker, rounds, random))
    };
    (0..workers).map(worker).collect()
}

/// Waits for all workers; one that waits for ever fails the test, in no time.
async fn finish(world: &World, workers: Vec<Task<Result<(), Cancelled>>>, what: &str) {
    for worker in workers {
        match wait_for(worker, HOUR).await {
            Ok(Ok(_)) => {}
            // Cancelled before its first step.
            Ok(Err(TaskError::Cancelled(_))) => {}
            other => panic!("{what}: {other:?}"),
        }
    }
    world.check(what).await;
}

#[test]
fn a_cancellation_in_any_turn_loses_nothing() {
    for seed in 0..6 {
        for victim in 0..4 {
            for turn in 0..60 {
                run(async {
                    let world = World::new();
                    let workers = start(&world, seed, 4, 3);
                    for _ in 0..turn % 20 {
                        sleep(ZERO).await.unwrap();
                    }
                    for _ in 0..turn / 20 {
                        sleep(MILLISECOND).await.unwrap();
                    }
                    workers[victim].cancel();
                    finish(&world, workers, &format!("seed {seed}, victim {victim}, turn {turn}")).await;
                });
            }
        }
    }
}

#[test]
fn many_cancellations_at_random_lose_nothing() {
    for seed in 0..150 {
        run(async {
            let world = World::new();
            let workers = start(&world, seed, 12, 6);
            let mut random = Random::new(seed + 1_000);
            for _ in 0..8 {
                let pause = MILLISECOND * random.below(2);
                sleep(pause).await.unwrap();
                for _ in 0..random.below(3) {
                    let victim = &workers[random.below(12) as usize];
                    // A second request would reach the clean-up.
                    if victim.cancelling() == 0 {
                        victim.cancel_with(format!("seed {seed}"));
                    }
                }
            }
            finish(&world, workers, &format!("seed {seed}")).await;
        });
    }
}

#[test]
fn a_request_taken_back_in_the_same_turn_disturbs_nobody() {
    for seed in 0..40 {
        run(async {
            let world = World::new();
            let workers = start(&world, seed, 6, 4);
            let mut random = Random::new(seed);
            for _ in 0..10 {
                sleep(ZERO).await.unwrap();
                let victim = &workers[random.below(6) as usize];
                victim.cancel();
                victim.uncancel();
            }
            for worker in workers {
                assert!(matches!(wait_for(worker, HOUR).await, Ok(Ok(Ok(())))), "seed {seed}");
            }
            world.check(&format!("seed {seed}")).await;
        });
    }
}

#[test]
fn dropping_a_group_at_any_turn_drops_its_children_and_gives_back_what_they_hold() {
    for turns in 0..30 {
        run(async {
            let world = World::new();
            let held = Event::new();
            let mut group = Box::pin(TaskGroup::<Cancelled>::scope(async |group| {
                for worker in 0..4 {
                    let (world, held) = (&world, &held);
                    group.create_task(async move {
                        for step in 0..3 {
                            world.step(worker, step);
                            world.use_lock().await?;
                            world.use_permit().await?;
                            held.set();
                        }
                        Ok(())
                    });
                }
                Ok(())
            }));
            for turn in 0..turns {
                tokio::select! {
                    biased;
                    _ = &mut group => break,
                    slept = sleep(if turn % 3 == 0 { MILLISECOND } else { ZERO }) => slept.unwrap(),
                }
            }
            drop(group);
            world.check(&format!("dropped in turn {turns}")).await;
        });
    }
}

#[test]
fn a_cancelled_gather_waits_for_the_clean_up_of_all() {
    for turn in 0..12 {
        run(async {
            let world = World::new();
            let inner = Rc::clone(&world);
            let outer = create_task(async move {
                let workers = (0..5).map(|worker| Rc::clone(&inner).work(worker, 2, Random::new(u64::from(worker))));
                gather_all(workers).await.map(drop)
            });
            for _ in 0..turn {
                sleep(ZERO).await.unwrap();
            }
            outer.cancel();
            drop(wait_for(outer, HOUR).await.unwrap());
            world.check(&format!("turn {turn}")).await;
        });
    }
}

/// Works for some turns and milliseconds.
async fn labour(number: u32, mut random: Random) -> u32 {
    for _ in 0..random.below(4) {
        sleep(MILLISECOND * random.below(2)).await.expect("nobody cancels it");
    }
    number
}

#[test]
fn each_result_is_handed_out_once_though_the_waiting_is_cancelled_in_any_turn() {
    for turn in 0..40 {
        run(async {
            let workers = (0..6).map(|number| labour(number, Random::new(u64::from(number) + turn)));
            let mut results = as_completed(workers);
            let consumer = create_task(async move {
                let mut got = Vec::new();
                while let Some(result) = results.next().await {
                    match result {
                        Ok(number) => got.push(number),
                        Err(TaskError::Cancelled(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                current_task().unwrap().uncancel();
                got
            });
            for _ in 0..turn % 10 {
                sleep(ZERO).await.unwrap();
            }
            sleep(MILLISECOND * u32::try_from(turn / 10).unwrap()).await.unwrap();
            consumer.cancel();
            let mut got = consumer.await.unwrap_or_default();
            got.sort_unstable();
            // Cancelled before its first step, it never asked.
            assert!(
                got == [0, 1, 2, 3, 4, 5] || (turn == 0 && got.is_empty()),
                "turn {turn}: {got:?}"
            );
        });
    }
}

#[test]
fn a_wait_that_is_cancelled_in_any_turn_leaves_every_task_with_its_owner() {
    for turn in 0..24 {
        run(async {
            let waiter = create_task(async move {
                let labour = |number| create_task(labour(number, Random::new(u64::from(number) * 7 + turn)));
                let mut tasks: Vec<_> = (0..5).map(labour).collect();
                let mut ended = Vec::new();
                while !tasks.is_empty() {
                    // Cancelled, it says so once and is called again.
                    ended.extend(
                        wait(&mut tasks, ReturnWhen::FirstCompleted, None)
                            .await
                            .unwrap_or_default(),
                    );
                }
                current_task().unwrap().uncancel();
                let mut numbers: Vec<_> = ended.iter().map(|task| *task.result().unwrap()).collect();
                numbers.sort_unstable();
                numbers
            });
            sleep(ZERO).await.unwrap();
            for _ in 0..turn % 8 {
                sleep(ZERO).await.unwrap();
            }
            sleep(MILLISECOND * u32::try_from(turn / 8).unwrap()).await.unwrap();
            waiter.cancel();
            assert_eq!(waiter.await.unwrap(), [0, 1, 2, 3, 4], "turn {turn}");
        });
    }
}

#[test]
fn a_barrier_is_whole_again_after_a_cancellation_in_any_turn_and_a_reset() {
    for victim in 0..3 {
        for turn in 0..24 {
            run(async {
                let barrier = Rc::new(Barrier::new(3));
                let come = |number: u32| {
                    let barrier = Rc::clone(&barrier);
                    let mut random = Random::new(u64::from(number) + turn);
                    create_task(async move {
                        let mut rounds = 0;
                        for _ in 0..4 {
                            for _ in 0..random.below(3) {
                                sleep(ZERO).await?;
                            }
                            barrier.wait().await?;
                            rounds += 1;
                        }
                        Ok::<u32, BarrierError>(rounds)
                    })
                };
                let tasks: Vec<_> = (0..3).map(come).collect();
                for _ in 0..turn {
                    sleep(ZERO).await.unwrap();
                }
                let was_in_time = tasks[victim].cancel();
                tasks[victim].join().await.unwrap();
                if was_in_time {
                    // Cancelled on its way to the barrier, or when all had come, it does not break it.
                    barrier.abort();
                }
                for task in tasks {
                    // The end of the others is never a wait for ever: a break, or all rounds.
                    match wait_for(task, HOUR).await.unwrap() {
                        Ok(Ok(rounds)) => assert_eq!(rounds, 4),
                        Ok(Err(_)) | Err(TaskError::Cancelled(_)) => assert!(was_in_time, "turn {turn}"),
                        Err(error) => panic!("{error}"),
                    }
                }
                barrier.reset();
                let again = gather_all((0..3).map(|_| {
                    let barrier = Rc::clone(&barrier);
                    async move { barrier.wait().await }
                }));
                let again = wait_for(again, HOUR).await.unwrap().unwrap();
                assert!(again.into_iter().all(|end| end.unwrap().is_ok()), "turn {turn}");
            });
        }
    }
}
