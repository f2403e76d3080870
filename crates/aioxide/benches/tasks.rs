//! asyncio's model in Rust beside bare tokio (a `LocalRuntime`), smol's `LocalExecutor` and async-std's local tasks:
//! `cargo bench -p aioxide --bench tasks`. Every program is run to its end on a loop that is there already; a time
//! is that of the whole program.

use std::future::Future;
use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;

use aioxide::{Queue, Runner, TaskGroup, create_task, gather_all};
use async_executor::LocalExecutor;
use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::runtime::LocalOptions;
use tokio::task::{JoinSet, spawn_local};

/// Tasks of a program.
const TASKS: usize = 1000;
/// Tasks that take turns, and the turns of each.
const SWITCHING: usize = 100;
const TURNS: usize = 100;

/// One row: the same program for each.
fn row<A, T, S, D>(
    criterion: &mut Criterion,
    name: &str,
    ours: impl Fn() -> A,
    tokios: impl Fn() -> T,
    smols: S,
    stds: impl Fn() -> D,
) where
    A: Future<Output = ()>,
    T: Future<Output = ()>,
    D: Future<Output = ()>,
    S: for<'a> Fn(&'a Rc<LocalExecutor<'static>>) -> std::pin::Pin<Box<dyn Future<Output = ()> + 'a>>,
{
    let mut group = criterion.benchmark_group(name);
    let runner = Runner::new().expect("descriptors are left");
    group.bench_function("aioxide", |bencher| bencher.iter(|| runner.run(ours())));

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .expect("descriptors are left");
    group.bench_function("tokio", |bencher| bencher.iter(|| runtime.block_on(tokios())));

    let executor = Rc::new(LocalExecutor::new());
    group.bench_function("smol", |bencher| {
        bencher.iter(|| async_io::block_on(executor.run(smols(&executor))));
    });

    group.bench_function("async-std", |bencher| {
        bencher.iter(|| async_std::task::block_on(stds()));
    });
    group.finish();
}

fn spawn_join(criterion: &mut Criterion) {
    row(
        criterion,
        "spawn and join, 1000 times",
        || async {
            for number in 0..TASKS {
                assert_eq!(create_task(async move { black_box(number) }).await.ok(), Some(number));
            }
        },
        || async {
            for number in 0..TASKS {
                assert_eq!(spawn_local(async move { black_box(number) }).await.ok(), Some(number));
            }
        },
        |executor| {
            Box::pin(async move {
                for number in 0..TASKS {
                    assert_eq!(executor.spawn(async move { black_box(number) }).await, number);
                }
            })
        },
        || async {
            for number in 0..TASKS {
                let task = async_std::task::spawn_local(async move { black_box(number) });
                assert_eq!(task.await, number);
            }
        },
    );
}

fn switch(criterion: &mut Criterion) {
    row(
        criterion,
        "switch, 100 tasks, 100 turns",
        || async {
            let tasks: Vec<_> = (0..SWITCHING)
                .map(|_| {
                    create_task(async {
                        for _ in 0..TURNS {
                            aioxide::sleep(Duration::ZERO).await.expect("nobody cancels");
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.expect("nobody panics");
            }
        },
        || async {
            let tasks: Vec<_> = (0..SWITCHING)
                .map(|_| {
                    spawn_local(async {
                        for _ in 0..TURNS {
                            tokio::task::yield_now().await;
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.expect("nobody panics");
            }
        },
        |executor| {
            Box::pin(async move {
                let tasks: Vec<_> = (0..SWITCHING)
                    .map(|_| {
                        executor.spawn(async {
                            for _ in 0..TURNS {
                                futures_lite::future::yield_now().await;
                            }
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await;
                }
            })
        },
        || async {
            let tasks: Vec<_> = (0..SWITCHING)
                .map(|_| {
                    async_std::task::spawn_local(async {
                        for _ in 0..TURNS {
                            async_std::task::yield_now().await;
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await;
            }
        },
    );
}

fn timers(criterion: &mut Criterion) {
    let delay = |number: usize| Duration::from_micros(1 + (number as u64 * 7919) % 200);
    row(
        criterion,
        "1000 timers within 200 us",
        move || async move {
            let sleeps = (0..TASKS).map(|number| aioxide::sleep(delay(number)));
            join_all(sleeps).await;
        },
        move || async move {
            let sleeps = (0..TASKS).map(|number| tokio::time::sleep(delay(number)));
            join_all(sleeps).await;
        },
        move |_| {
            Box::pin(async move {
                let sleeps = (0..TASKS).map(|number| async_io::Timer::after(delay(number)));
                join_all(sleeps).await;
            })
        },
        move || async move {
            let sleeps = (0..TASKS).map(|number| async_std::task::sleep(delay(number)));
            join_all(sleeps).await;
        },
    );
    row(
        criterion,
        "1000 timers, set and cancelled",
        || async {
            for _ in 0..TASKS {
                let mut sleep = std::pin::pin!(aioxide::sleep(Duration::from_secs(60)));
                assert!(futures_util::poll!(sleep.as_mut()).is_pending());
            }
        },
        || async {
            for _ in 0..TASKS {
                let mut sleep = std::pin::pin!(tokio::time::sleep(Duration::from_secs(60)));
                assert!(futures_util::poll!(sleep.as_mut()).is_pending());
            }
        },
        |_| {
            Box::pin(async {
                for _ in 0..TASKS {
                    let mut sleep = std::pin::pin!(async_io::Timer::after(Duration::from_secs(60)));
                    assert!(futures_util::poll!(sleep.as_mut()).is_pending());
                }
            })
        },
        || async {
            for _ in 0..TASKS {
                let mut sleep = std::pin::pin!(async_std::task::sleep(Duration::from_secs(60)));
                assert!(futures_util::poll!(sleep.as_mut()).is_pending());
            }
        },
    );
}

fn queue(criterion: &mut Criterion) {
    row(
        criterion,
        "queue ping-pong, 1000 messages",
        || async {
            let (to, from) = (Rc::new(Queue::new(1)), Rc::new(Queue::new(1)));
            let (theirs, back) = (Rc::clone(&to), Rc::clone(&from));
            let echo = create_task(async move {
                for _ in 0..TASKS {
                    let item: usize = theirs.get().await.expect("nobody shuts it down");
                    back.put(item).await.expect("nobody shuts it down");
                }
            });
            for number in 0..TASKS {
                to.put(number).await.expect("nobody shuts it down");
                assert_eq!(from.get().await.ok(), Some(number));
            }
            echo.await.expect("nobody panics");
        },
        || async {
            let (to, mut theirs) = tokio::sync::mpsc::channel(1);
            let (back, mut from) = tokio::sync::mpsc::channel(1);
            let echo = spawn_local(async move {
                for _ in 0..TASKS {
                    let item: usize = theirs.recv().await.expect("nobody closes it");
                    back.send(item).await.expect("nobody closes it");
                }
            });
            for number in 0..TASKS {
                to.send(number).await.expect("nobody closes it");
                assert_eq!(from.recv().await, Some(number));
            }
            echo.await.expect("nobody panics");
        },
        |executor| {
            Box::pin(async move {
                let (to, theirs) = async_channel::bounded(1);
                let (back, from) = async_channel::bounded(1);
                let echo = executor.spawn(async move {
                    for _ in 0..TASKS {
                        let item: usize = theirs.recv().await.expect("nobody closes it");
                        back.send(item).await.expect("nobody closes it");
                    }
                });
                for number in 0..TASKS {
                    to.send(number).await.expect("nobody closes it");
                    assert_eq!(from.recv().await.ok(), Some(number));
                }
                echo.await;
            })
        },
        || async {
            let (to, theirs) = async_std::channel::bounded(1);
            let (back, from) = async_std::channel::bounded(1);
            let echo = async_std::task::spawn_local(async move {
                for _ in 0..TASKS {
                    let item: usize = theirs.recv().await.expect("nobody closes it");
                    back.send(item).await.expect("nobody closes it");
                }
            });
            for number in 0..TASKS {
                to.send(number).await.expect("nobody closes it");
                assert_eq!(from.recv().await.ok(), Some(number));
            }
            echo.await;
        },
    );
}

fn gather(criterion: &mut Criterion) {
    row(
        criterion,
        "gather of 1000",
        || async {
            let results = gather_all((0..TASKS).map(|number| async move { black_box(number) })).await;
            assert_eq!(results.map(|results| results.len()).ok(), Some(TASKS));
        },
        || async {
            let tasks: Vec<_> = (0..TASKS)
                .map(|number| spawn_local(async move { black_box(number) }))
                .collect();
            assert_eq!(join_all(tasks).await.len(), TASKS);
        },
        |executor| {
            Box::pin(async move {
                let tasks: Vec<_> = (0..TASKS)
                    .map(|number| executor.spawn(async move { black_box(number) }))
                    .collect();
                assert_eq!(join_all(tasks).await.len(), TASKS);
            })
        },
        || async {
            let tasks: Vec<_> = (0..TASKS)
                .map(|number| async_std::task::spawn_local(async move { black_box(number) }))
                .collect();
            assert_eq!(join_all(tasks).await.len(), TASKS);
        },
    );
}

fn task_group(criterion: &mut Criterion) {
    row(
        criterion,
        "task group of 1000",
        || async {
            let sum = TaskGroup::scope(async |group| {
                for number in 0..TASKS {
                    drop(group.create_task(async move { Ok::<_, ()>(black_box(number)) }));
                }
                Ok(())
            });
            assert!(sum.await.is_ok());
        },
        || async {
            let mut set = JoinSet::new();
            for number in 0..TASKS {
                set.spawn_local(async move { Ok::<_, ()>(black_box(number)) });
            }
            while let Some(result) = set.join_next().await {
                assert!(result.is_ok());
            }
        },
        |executor| {
            Box::pin(async move {
                let mut set: FuturesUnordered<_> = (0..TASKS)
                    .map(|number| executor.spawn(async move { Ok::<_, ()>(black_box(number)) }))
                    .collect();
                while let Some(result) = set.next().await {
                    assert!(result.is_ok());
                }
            })
        },
        || async {
            let mut set: FuturesUnordered<_> = (0..TASKS)
                .map(|number| async_std::task::spawn_local(async move { Ok::<_, ()>(black_box(number)) }))
                .collect();
            while let Some(result) = set.next().await {
                assert!(result.is_ok());
            }
        },
    );
}

criterion_group!(benches, spawn_join, switch, timers, queue, gather, task_group);
criterion_main!(benches);
