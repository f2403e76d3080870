//! Virtual time and strict mode.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use aioxide::{
    Deadline, Queue, Report, ReportKind, Runner, Strictness, TimeoutError, create_task, gather_all, get_running_loop,
    sleep, sleep_until, testing, timeout, to_thread, wait_for,
};

const SECOND: Duration = Duration::from_secs(1);

fn seconds() -> u64 {
    get_running_loop().time().as_nanos() / 1_000_000_000
}

#[test]
fn the_clock_begins_at_zero_and_stands_still_while_there_is_work() {
    testing::run(async {
        assert_eq!(get_running_loop().time(), Deadline::from_nanos(0));
        for _ in 0..1_000 {
            sleep(Duration::ZERO).await.unwrap();
        }
        assert_eq!(get_running_loop().time(), Deadline::from_nanos(0));
    });
}

#[test]
fn timers_fire_in_the_order_of_their_times_each_at_its_own() {
    testing::run(async {
        let order = RefCell::new(Vec::new());
        let naps = [5, 1, 86_400, 3, 1].map(|nap| sleep(nap * SECOND));
        let order = &order;
        let waits = naps.into_iter().enumerate().map(|(index, nap)| async move {
            nap.await.unwrap();
            order.borrow_mut().push((seconds(), index));
        });
        futures_util::future::join_all(waits).await;
        assert_eq!(*order.borrow(), [(1, 1), (1, 4), (3, 3), (5, 0), (86_400, 2)]);
    });
}

#[test]
fn a_year_with_a_tick_every_hour_takes_no_time() {
    let start = Instant::now();
    let ticks = testing::run(async {
        let mut ticks = 0;
        let year = timeout(365 * 24 * 3600 * SECOND, async |_| {
            loop {
                sleep(3600 * SECOND).await?;
                ticks += 1;
            }
        });
        let ended: Result<Result<(), aioxide::Cancelled>, _> = year.await;
        assert_eq!(ended, Err(TimeoutError::Expired));
        ticks
    });
    assert!((365 * 24 - 1..=365 * 24).contains(&ticks), "{ticks}");
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn callbacks_of_the_loop_go_by_the_same_clock() {
    testing::run(async {
        let called = Rc::new(Cell::new(None));
        let note = Rc::clone(&called);
        let running = get_running_loop();
        let handle = running.call_later(10 * SECOND, move || note.set(Some(seconds())));
        let taken_back = running.call_later(5 * SECOND, || panic!("it was cancelled"));
        taken_back.cancel();
        assert_eq!(handle.when(), running.time().saturating_add(10 * SECOND));
        sleep_until(handle.when()).await.unwrap();
        sleep(Duration::ZERO).await.unwrap();
        assert_eq!(called.get(), Some(10));
    });
}

#[test]
fn a_thread_is_waited_for_before_the_clock_jumps() {
    testing::run(async {
        let calls = (0..4_u64).map(|number| async move {
            let slow = to_thread(move || {
                std::thread::sleep(Duration::from_millis(5));
                number
            });
            wait_for(slow, SECOND).await.expect("it is in time").unwrap()
        });
        let results = gather_all(calls).await.unwrap();
        assert_eq!(results.into_iter().map(Result::unwrap).sum::<u64>(), 6);
        assert_eq!(seconds(), 0);
    });
}

#[test]
fn a_rate_is_exact_in_virtual_time() {
    testing::run(async {
        let queue = Queue::new(0);
        let producer = async {
            for item in 0..10_u64 {
                queue.put(item).await.unwrap();
                sleep(2 * SECOND).await.unwrap();
            }
            queue.shutdown();
        };
        let consumer = async {
            while let Ok(item) = queue.get().await {
                assert_eq!(seconds(), 2 * item);
            }
        };
        tokio::join!(producer, consumer);
        assert_eq!(seconds(), 20);
    });
}

/// Runs `body` and returns what the exception handler was told.
fn reports(strictness: Strictness, body: impl AsyncFnOnce()) -> Vec<ReportKind> {
    let told = Rc::new(RefCell::new(Vec::new()));
    let runner = Runner::builder()
        .strictness(strictness)
        .build()
        .expect("descriptors are left");
    runner.run(async {
        let tell = Rc::clone(&told);
        get_running_loop().set_exception_handler(move |report: &Report| tell.borrow_mut().push(report.kind().clone()));
        body().await;
    });
    drop(runner);
    told.take()
}

#[test]
fn strict_mode_reports_a_slow_step_and_its_task_and_lenient_mode_does_not() {
    let slow = async || {
        create_task(async { std::thread::sleep(aioxide::SLOW_STEP + Duration::from_millis(10)) })
            .await
            .unwrap();
    };
    let told = reports(Strictness::Strict, slow);
    assert!(
        matches!(told[..], [ReportKind::SlowStep(took)] if took > aioxide::SLOW_STEP),
        "{told:?}"
    );
    assert!(reports(Strictness::Lenient, slow).is_empty());
}

#[test]
fn strictness_can_be_changed_while_the_loop_runs() {
    let told = reports(Strictness::Lenient, async || {
        let swallow = async || {
            let task = create_task(async { drop(sleep(3600 * SECOND).await) });
            sleep(Duration::ZERO).await.unwrap();
            task.cancel();
            task.await.unwrap();
        };
        swallow().await;
        get_running_loop().set_strictness(Strictness::Strict);
        swallow().await;
    });
    assert!(matches!(told[..], [ReportKind::SwallowedCancel]), "{told:?}");
}

#[test]
fn a_timeout_that_catches_its_own_cancellation_is_no_swallowing() {
    let told = reports(Strictness::Strict, async || {
        let late = wait_for(sleep(3600 * SECOND), Duration::from_millis(1));
        assert_eq!(late.await, Err(TimeoutError::Expired));
    });
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn an_exception_handler_that_panics_does_not_take_the_loop_down() {
    aioxide::run(async {
        get_running_loop().set_exception_handler(|_| panic!("the handler itself"));
        get_running_loop().call_soon(|| panic!("a callback"));
        sleep(Duration::ZERO).await.unwrap();
        assert_eq!(create_task(async { 1 }).await.unwrap(), 1);
    });
}

#[test]
fn a_program_that_nothing_can_wake_fails_and_says_who_waits() {
    let stuck = std::panic::catch_unwind(|| {
        testing::run(async {
            let queue = Rc::new(Queue::<u32>::new(0));
            let task = create_task({
                let queue = Rc::clone(&queue);
                async move { queue.get().await }
            });
            task.set_name("consumer");
            sleep(SECOND).await.unwrap();
            queue.join().await.unwrap();
            task.join().await
        })
    });
    let message = stuck.unwrap_err();
    let message = message.downcast_ref::<String>().unwrap();
    assert_eq!(message, "deadlock: nothing can wake the main task, consumer");
}

#[test]
fn a_program_that_another_thread_can_wake_is_waited_for() {
    testing::run(async {
        let future = aioxide::Future::new();
        let sender = get_running_loop().sender();
        thread_local!(static WAITED: RefCell<Option<aioxide::Future<u32>>> = const { RefCell::new(None) });
        WAITED.set(Some(future.clone()));
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            sender.call_soon_threadsafe(|| WAITED.take().unwrap().set_result(7).unwrap());
        });
        assert_eq!(future.await, Ok(7));
        thread.join().unwrap();
    });
}
