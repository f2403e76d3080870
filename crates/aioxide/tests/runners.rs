//! `run` and `Runner`.

#![expect(
    clippy::async_yields_async,
    reason = "runs hand their tasks on to what comes after them"
)]

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use aioxide::{Runner, TaskError, create_task, get_running_loop, run, sleep};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn the_main_future_may_borrow() {
    let mut count = 0;
    run(async {
        for _ in 0..3 {
            sleep(Duration::ZERO).await.unwrap();
            count += 1;
        }
    });
    assert_eq!(count, 3);
}

#[test]
fn tasks_that_are_left_are_cancelled_and_clean_up() {
    let cleaned = Rc::new(Cell::new(false));
    let mark = Rc::clone(&cleaned);
    run(async {
        drop(create_task(async move {
            sleep(HOUR).await.unwrap_err();
            sleep(Duration::from_millis(1)).await.unwrap();
            mark.set(true);
        }));
        sleep(Duration::ZERO).await.unwrap();
    });
    assert!(cleaned.get());
}

#[test]
fn a_task_outlives_the_loop_only_as_a_finished_one() {
    let task = run(async {
        let task = create_task(std::future::pending::<()>());
        sleep(Duration::ZERO).await.unwrap();
        task
    });
    assert!(task.done() && task.cancelled());
    assert!(matches!(task.exception(), Some(TaskError::Cancelled(_))));
    assert!(!task.cancel());
}

#[test]
fn tasks_go_on_in_the_next_run_of_a_runner() {
    let runner = Runner::new().unwrap();
    let task = runner.run(async { create_task(async { sleep(Duration::from_millis(1)).await.map(|()| 7) }) });
    assert!(!task.done());
    assert_eq!(runner.run(task).unwrap(), Ok(7));
}

#[test]
fn a_task_can_be_cancelled_between_two_runs() {
    let runner = Runner::new().unwrap();
    let task = runner.run(async {
        let task = create_task(sleep(HOUR));
        sleep(Duration::ZERO).await.unwrap();
        task
    });
    task.cancel();
    assert!(runner.run(task).unwrap().is_err());
}

#[test]
fn a_panic_of_the_main_future_comes_out_and_the_next_run_works() {
    let panicked = catch_unwind(AssertUnwindSafe(|| run(async { panic!("out") })));
    assert_eq!(*panicked.unwrap_err().downcast_ref::<&str>().unwrap(), "out");
    assert_eq!(run(async { 1 }), 1);
}

#[test]
fn a_loop_cannot_run_in_a_loop() {
    let inner = run(async { catch_unwind(|| run(async {})) });
    let text = inner.unwrap_err();
    let text = text.downcast_ref::<&str>().unwrap();
    assert_eq!(*text, "run() cannot be called from a running event loop");
}

#[test]
fn callbacks_keep_their_order_and_can_be_taken_back() {
    run(async {
        let running = get_running_loop();
        let order = Rc::new(std::cell::RefCell::new(Vec::new()));
        let note = |what: &'static str| {
            let order = Rc::clone(&order);
            move || order.borrow_mut().push(what)
        };
        let now = running.time();
        running.call_at(now.saturating_add(Duration::from_millis(4)), note("call_at"));
        running.call_later(Duration::from_millis(2), note("call_later"));
        running.call_soon(note("call_soon"));
        let never = running.call_later(Duration::from_millis(1), note("never"));
        never.cancel();
        assert!(never.cancelled());
        let soon = running.call_soon(note("never"));
        soon.cancel();
        let sender = running.sender();
        let thread = std::thread::spawn(move || sender.call_soon_threadsafe(|| {}));
        sleep(Duration::from_millis(10)).await.unwrap();
        thread.join().unwrap();
        assert_eq!(*order.borrow(), ["call_soon", "call_later", "call_at"]);
    });
}

#[test]
fn a_callback_that_panics_is_reported() {
    run(async {
        let told = Rc::new(Cell::new(false));
        let mark = Rc::clone(&told);
        let running = get_running_loop();
        running.set_exception_handler(move |report| mark.set(report.to_string().contains("oh")));
        running.call_soon(|| panic!("oh"));
        sleep(Duration::ZERO).await.unwrap();
        assert!(told.get());
    });
}

#[test]
fn timers_do_not_fire_early() {
    run(async {
        let start = get_running_loop().time();
        for millis in [1, 3, 7] {
            let before = get_running_loop().time();
            let delay = Duration::from_millis(millis);
            sleep(delay).await.unwrap();
            assert!(get_running_loop().time() >= before.saturating_add(delay));
        }
        assert!(get_running_loop().time() >= start.saturating_add(Duration::from_millis(11)));
    });
}
