//! Tasks: creation, results, cancellation, panics.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use aioxide::testing::run;
use aioxide::{
    Cancelled, FutureExt, ReportKind, Runner, Strictness, Task, TaskError, all_tasks, create_task, current_task,
    get_running_loop, sleep,
};
use futures_util::stream::{FuturesUnordered, StreamExt};

const ZERO: Duration = Duration::ZERO;
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_new_task_runs_only_when_its_maker_waits() {
    run(async {
        let order = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&order);
        let task = create_task(async move { seen.borrow_mut().push("task") });
        order.borrow_mut().push("maker");
        task.await.unwrap();
        assert_eq!(*order.borrow(), ["maker", "task"]);
    });
}

#[test]
fn ready_tasks_take_turns_in_order() {
    run(async {
        let order = Rc::new(RefCell::new(Vec::new()));
        let tasks: Vec<_> = (0..3)
            .map(|number| {
                let order = Rc::clone(&order);
                create_task(async move {
                    for _ in 0..2 {
                        order.borrow_mut().push(number);
                        sleep(ZERO).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.borrow(), [0, 1, 2, 0, 1, 2]);
    });
}

#[test]
fn a_result_is_taken_once_and_copied_as_often_as_one_likes() {
    run(async {
        let mut task = create_task(async { String::from("done") });
        assert_eq!((&task).await.unwrap(), "done");
        assert_eq!((&task).await.unwrap(), "done");
        assert_eq!(task.result().unwrap(), "done");
        assert!(task.exception().is_none());
        assert_eq!((&mut task).await.unwrap(), "done");
        assert!(matches!((&mut task).await, Err(TaskError::Taken)));
        assert!(task.result().is_none());
    });
}

#[test]
fn a_panic_becomes_the_error_of_the_task() {
    run(async {
        let task = create_task(async {
            sleep(ZERO).await.unwrap();
            if true {
                panic!("the disk is on fire");
            }
        });
        match task.await {
            Err(TaskError::Panicked(panicked)) => assert_eq!(panicked.message(), "the disk is on fire"),
            other => panic!("{other:?}"),
        }
        // The loop goes on.
        assert_eq!(create_task(async { 1 }).await.unwrap(), 1);
    });
}

#[test]
fn a_panic_that_nobody_retrieves_is_reported() {
    let reports = Rc::new(RefCell::new(Vec::new()));
    run(async {
        let heard = Rc::clone(&reports);
        get_running_loop().set_exception_handler(move |report| {
            // Printing the backtrace of a panic takes long, and strict mode sees it.
            if matches!(report.kind(), ReportKind::NeverRetrieved(_)) {
                heard.borrow_mut().push(report.to_string());
            }
        });
        drop(create_task(async { panic!("one") }));
        let kept = create_task(async { panic!("two") });
        sleep(ZERO).await.unwrap();
        assert!(kept.panicked());
        drop(kept);
        // Asking a task that has not ended is not seeing its end.
        let mut asked = create_task(async { panic!("three") });
        assert!(asked.result().is_none() && aioxide::wait_for(aioxide::shield(&mut asked), ZERO).await.is_err());
        sleep(ZERO).await.unwrap();
        drop(asked);
    });
    let reports = reports.borrow();
    assert_eq!(reports.len(), 3, "{reports:?}");
    assert!(reports[0].contains("one") && reports[1].contains("two") && reports[2].contains("three"));
}

#[test]
fn a_panicking_destructor_does_not_take_the_loop_down() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("bomb");
        }
    }
    run(async {
        let task = create_task(async {
            let bomb = Bomb;
            std::future::pending::<()>().await;
            drop(bomb);
        });
        sleep(ZERO).await.unwrap();
        task.cancel();
        assert!(matches!(task.await, Err(TaskError::Panicked(_))));
    });
}

#[test]
fn destructors_of_future_and_result_may_both_panic() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("bomb");
        }
    }
    struct Twice(Bomb);
    impl Future for Twice {
        type Output = Bomb;

        fn poll(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<Bomb> {
            std::task::Poll::Ready(Bomb)
        }
    }
    run(async {
        let task = create_task(Twice(Bomb));
        assert!(matches!(task.await, Err(TaskError::Panicked(_))));
    });
}

#[test]
fn a_cancellation_is_an_error_at_the_await_and_clean_up_may_await() {
    run(async {
        let cleaned = Rc::new(Cell::new(false));
        let mark = Rc::clone(&cleaned);
        let task = create_task(async move {
            let slept = sleep(HOUR).await;
            sleep(Duration::from_secs(1)).await.unwrap();
            mark.set(true);
            slept
        });
        sleep(ZERO).await.unwrap();
        assert!(task.cancel_with("no more time"));
        assert!(!task.cancelled());
        let error = (&task).await.unwrap().unwrap_err();
        assert_eq!(error.message(), Some("no more time"));
        assert!(cleaned.get() && task.cancelled() && task.done());
        assert!(!task.cancel());
    });
}

#[test]
fn a_task_that_is_cancelled_before_its_first_step_never_runs() {
    run(async {
        let ran = Rc::new(Cell::new(false));
        let mark = Rc::clone(&ran);
        let task = create_task(async move { mark.set(true) });
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(!ran.get());
    });
}

#[test]
fn a_request_reaches_the_next_await_when_none_waits() {
    run(async {
        let task = create_task(async {
            current_task().unwrap().cancel();
            // What can go on at once does.
            let lock = aioxide::Lock::new(0);
            let guard = lock.acquire().await.unwrap();
            drop(guard);
            sleep(HOUR).await
        });
        assert!(task.await.unwrap().is_err());
    });
}

#[test]
fn a_cancellation_is_delivered_once() {
    run(async {
        let task = create_task(async {
            let first = sleep(HOUR).await;
            let second = sleep(Duration::from_millis(1)).await;
            (first.is_err(), second.is_err())
        });
        sleep(ZERO).await.unwrap();
        task.cancel();
        task.cancel();
        assert_eq!(task.cancelling(), 2);
        assert_eq!((&task).await.unwrap(), (true, false));
    });
}

#[test]
fn a_request_that_was_taken_back_in_time_reaches_nobody() {
    run(async {
        let task = create_task(sleep(Duration::from_millis(1)));
        sleep(ZERO).await.unwrap();
        task.cancel();
        assert_eq!(task.uncancel(), 0);
        assert_eq!(task.await.unwrap(), Ok(()));
    });
}

#[test]
fn all_awaits_that_wait_in_one_task_end() {
    run(async {
        let task = create_task(async { tokio::join!(sleep(HOUR), sleep(HOUR)) });
        sleep(ZERO).await.unwrap();
        task.cancel();
        let (left, right) = task.await.unwrap();
        assert!(left.is_err() && right.is_err());
    });
}

#[test]
fn a_cancellation_finds_its_way_through_foreign_combinators() {
    run(async {
        let task = create_task(async {
            let mut naps: FuturesUnordered<_> = (0..40).map(|_| sleep(HOUR)).collect();
            let mut cancelled = 0;
            while let Some(slept) = naps.next().await {
                cancelled += usize::from(slept.is_err());
            }
            cancelled
        });
        sleep(ZERO).await.unwrap();
        task.cancel();
        assert_eq!(task.await.unwrap(), 40);
    });
}

#[test]
fn a_task_in_a_foreign_future_is_dropped_there_and_cancellable_makes_it_an_error() {
    run(async {
        let dropped = create_task(async {
            std::future::pending::<()>().await;
            unreachable!("the code after a foreign await does not run")
        });
        let told = create_task(async { std::future::pending::<()>().cancellable().await });
        sleep(ZERO).await.unwrap();
        dropped.cancel_with("a");
        told.cancel_with("b");
        match dropped.await {
            Err(TaskError::Cancelled(cancelled)) => assert_eq!(cancelled.message(), Some("a")),
            other => panic!("{other:?}"),
        }
        assert_eq!(told.await.unwrap().unwrap_err().message(), Some("b"));
    });
}

#[test]
fn who_is_cancelled_while_he_awaits_a_task_cancels_it() {
    run(async {
        let inner = create_task(async {
            let slept = sleep(HOUR).await;
            sleep(Duration::from_secs(1)).await.unwrap();
            slept
        });
        let watched = (*inner).clone();
        let outer = create_task(async move { inner.await.unwrap() });
        sleep(ZERO).await.unwrap();
        sleep(ZERO).await.unwrap();
        outer.cancel_with("both");
        assert_eq!((&outer).await.unwrap().unwrap_err().message(), Some("both"));
        assert!(watched.cancelled() && outer.cancelled());
    });
}

#[test]
fn an_inner_task_that_swallows_the_cancellation_keeps_the_outer_one_alive() {
    run(async {
        let inner = create_task(async {
            sleep(HOUR).await.unwrap_err();
            5
        });
        let outer = create_task(async move { inner.await.unwrap() });
        sleep(ZERO).await.unwrap();
        sleep(ZERO).await.unwrap();
        outer.cancel();
        assert_eq!((&outer).await.unwrap(), 5);
        assert!(!outer.cancelled());
    });
}

#[test]
fn strict_mode_reports_a_swallowed_cancellation() {
    let reports = Rc::new(RefCell::new(Vec::new()));
    let runner = Runner::builder().strictness(Strictness::Strict).build().unwrap();
    runner.run(async {
        let heard = Rc::clone(&reports);
        get_running_loop().set_exception_handler(move |report| {
            let swallowed = matches!(report.kind(), ReportKind::SwallowedCancel);
            if matches!(report.kind(), ReportKind::SlowStep(_)) {
                // How fast the machine is says nothing here.
                return;
            }
            heard
                .borrow_mut()
                .push((swallowed, report.task().map(|task| task.name().to_string())));
        });
        let swallower = Task::builder()
            .name("swallower")
            .create(async { drop(sleep(HOUR).await) });
        let honest = create_task(async {
            drop(sleep(HOUR).await);
            current_task().unwrap().uncancel();
        });
        let propagating = create_task(async { sleep(HOUR).await });
        sleep(ZERO).await.unwrap();
        for task in all_tasks() {
            task.cancel();
        }
        swallower.await.unwrap();
        honest.await.unwrap();
        drop(propagating.await);
    });
    assert_eq!(*reports.borrow(), [(true, Some("swallower".to_owned()))]);
}

#[test]
fn an_error_that_carries_the_cancellation_is_one() {
    fn boxed(error: Cancelled) -> Box<dyn std::error::Error + Send + Sync> {
        error.into()
    }
    run(async {
        let carried = create_task(async { sleep(HOUR).await.map_err(boxed) });
        let io = create_task(async { sleep(HOUR).await.map_err(std::io::Error::from) });
        let replaced = create_task(async { sleep(HOUR).await.map_err(|_| "replaced") });
        sleep(ZERO).await.unwrap();
        for task in all_tasks() {
            task.cancel();
        }
        let (carried_result, io_result) = (carried.join().await, io.join().await);
        assert!(carried_result.is_ok() && io_result.is_ok() && replaced.join().await.is_ok());
        assert!(carried.cancelled() && io.cancelled() && !replaced.cancelled());
    });
}

#[test]
fn callbacks_are_called_in_a_later_turn_and_names_are_kept() {
    run(async {
        let called = Rc::new(Cell::new(0));
        let task = Task::builder().name("named").create(async {});
        for _ in 0..2 {
            let called = Rc::clone(&called);
            task.add_done_callback(move |task| {
                assert_eq!(&*task.name(), "named");
                called.set(called.get() + 1);
            });
        }
        task.join().await.unwrap();
        let late = Rc::clone(&called);
        task.add_done_callback(move |_| late.set(late.get() + 1));
        sleep(ZERO).await.unwrap();
        assert_eq!(called.get(), 3);
        let plain = create_task(async {});
        assert_eq!(&*plain.name(), format!("Task-{}", plain.id()));
        plain.set_name("other");
        assert_eq!(&*plain.name(), "other");
    });
}

#[test]
fn a_dropped_handle_lets_the_task_run_on() {
    run(async {
        let ran = Rc::new(Cell::new(false));
        let mark = Rc::clone(&ran);
        drop(create_task(async move {
            sleep(ZERO).await.unwrap();
            mark.set(true);
        }));
        sleep(Duration::from_millis(1)).await.unwrap();
        assert!(ran.get());
    });
}

#[test]
fn a_task_cannot_await_itself() {
    run(async {
        let own: Rc<RefCell<Option<Task<()>>>> = Rc::default();
        let inside = Rc::clone(&own);
        let task = create_task(async move {
            let task = inside.borrow_mut().take().unwrap();
            task.await.unwrap();
        });
        let watched = (*task).clone();
        *own.borrow_mut() = Some(task);
        sleep(Duration::from_secs(1)).await.unwrap();
        assert!(watched.panicked());
    });
}

#[test]
fn wakers_work_from_other_threads_and_after_the_loop() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let flag = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    aioxide::run(async {
        let set = std::sync::Arc::clone(&flag);
        let task = create_task(std::future::poll_fn(move |context| {
            if set.load(std::sync::atomic::Ordering::SeqCst) {
                return std::task::Poll::Ready(());
            }
            sender.send(context.waker().clone()).unwrap();
            std::task::Poll::Pending
        }));
        sleep(ZERO).await.unwrap();
        let waker = receiver.recv().unwrap();
        let kept = waker.clone();
        let set = std::sync::Arc::clone(&flag);
        let thread = std::thread::spawn(move || {
            set.store(true, std::sync::atomic::Ordering::SeqCst);
            waker.wake_by_ref();
            waker
        });
        task.await.unwrap();
        (thread.join().unwrap(), kept)
    });
    let late =
        aioxide::run(async { std::future::poll_fn(|context| std::task::Poll::Ready(context.waker().clone())).await });
    late.wake_by_ref();
    std::thread::spawn(move || late.wake()).join().unwrap();
}

#[test]
fn a_task_that_gives_way_is_cancelled_there_once() {
    run(async {
        let task = create_task(async {
            let first = sleep(ZERO).await;
            let second = sleep(ZERO).await;
            assert!(second.is_ok());
            first
        });
        sleep(ZERO).await.unwrap();
        task.cancel_with("now");
        assert_eq!(task.await.unwrap().unwrap_err().message(), Some("now"));
    });
}

#[test]
fn a_request_that_is_taken_back_while_a_task_gives_way_does_not_reach_it() {
    run(async {
        let task = create_task(async { sleep(ZERO).await });
        sleep(ZERO).await.unwrap();
        task.cancel();
        task.uncancel();
        assert_eq!(task.await.unwrap(), Ok(()));
    });
}

#[test]
fn a_request_ends_the_turn_that_a_task_gives_away_beside_a_foreign_wait() {
    run(async {
        let task = create_task(async {
            let ask = async {
                current_task().unwrap().cancel();
                sleep(ZERO).await
            };
            // One of them was under way when the request came, the other had not begun: both hear of it.
            let (given, asked) = futures_util::join!(sleep(ZERO), ask);
            assert!(given.is_err() && asked.is_err());
            given
        });
        task.join().await.unwrap();
        assert!(task.cancelled());
        // The next turn has no await of ours any more: the foreign future is dropped.
        let stuck = create_task(async {
            let waited = futures_util::join!(sleep(ZERO), std::future::pending::<()>());
            waited.0
        });
        sleep(ZERO).await.unwrap();
        sleep(ZERO).await.unwrap();
        stuck.cancel();
        assert!(matches!(stuck.await, Err(TaskError::Cancelled(_))));
    });
}

#[test]
fn a_timeout_reaches_a_block_that_only_gives_way() {
    aioxide::run(async {
        let spin = async {
            loop {
                sleep(ZERO).await?;
            }
        };
        let spinning: Result<Result<(), Cancelled>, _> = aioxide::wait_for(spin, Duration::from_millis(2)).await;
        assert!(spinning.unwrap_err().is_expired());
        assert_eq!(current_task().unwrap().cancelling(), 0);
        sleep(ZERO).await.unwrap();
    });
}

#[test]
fn giving_way_behind_a_foreign_waker_works_too() {
    run(async {
        let task = create_task(async {
            let mut turns: FuturesUnordered<_> = (0..3).map(|_| sleep(ZERO)).collect();
            let mut ended = Vec::new();
            while let Some(end) = turns.next().await {
                ended.push(end.is_ok());
            }
            ended
        });
        sleep(ZERO).await.unwrap();
        assert_eq!(task.await.unwrap(), [true; 3]);
    });
}
