//! `to_thread`, `run_in_executor`, `Future`, context variables, virtual time, the watchdog.

use std::rc::Rc;
use std::sync::mpsc::channel;
use std::time::Duration;

use aioxide::{
    Context, ContextVar, Future, TaskError, ThreadPoolExecutor, create_task, get_running_loop, run_in_executor, sleep,
    testing, to_thread, wait_for, watch,
};

#[test]
fn a_blocking_call_leaves_the_loop_free() {
    aioxide::run(async {
        let (send, receive) = channel();
        let blocked = create_task(to_thread(move || receive.recv().unwrap()));
        sleep(Duration::from_millis(2)).await.unwrap();
        assert!(!blocked.done());
        send.send(5).unwrap();
        assert_eq!(blocked.await.unwrap().unwrap(), 5);
    });
}

#[test]
fn the_panic_of_a_call_comes_back_and_the_thread_lives_on() {
    aioxide::run(async {
        let pool = ThreadPoolExecutor::new(1);
        let panicked: Result<(), _> = run_in_executor(&pool, || panic!("in a thread")).await;
        match panicked {
            Err(TaskError::Panicked(panicked)) => assert_eq!(panicked.message(), "in a thread"),
            other => panic!("{other:?}"),
        }
        assert_eq!(run_in_executor(&pool, || 1).await.unwrap(), 1);
    });
}

#[test]
fn a_cancelled_wait_for_a_thread_ends_at_once() {
    aioxide::run(async {
        let (send, receive) = channel::<()>();
        let late = wait_for(to_thread(move || receive.recv()), Duration::from_millis(2)).await;
        assert!(late.unwrap_err().is_expired());
        drop(send);
    });
}

#[test]
fn a_pool_runs_many_jobs_on_few_threads() {
    aioxide::run(async {
        let pool = ThreadPoolExecutor::for_computing();
        let jobs: Vec<_> = (0..200_u64).map(|n| run_in_executor(&pool, move || n * n)).collect();
        let mut sum = 0;
        for job in jobs {
            sum += job.await.unwrap();
        }
        assert_eq!(sum, (0..200).map(|n| n * n).sum());
    });
}

#[test]
fn jobs_that_come_at_once_each_get_a_thread_though_only_one_is_idle() {
    aioxide::run(async {
        let pool = Rc::new(ThreadPoolExecutor::new(3));
        run_in_executor(&pool, || ()).await.unwrap();
        // The thread is idle soon after.
        sleep(Duration::from_millis(5)).await.unwrap();
        let (send, receive) = channel();
        let job = |job: Box<dyn FnOnce() -> bool + Send>| {
            let pool = Rc::clone(&pool);
            async move { run_in_executor(&pool, job).await }
        };
        let waits = job(Box::new(move || receive.recv_timeout(Duration::from_secs(10)).is_ok()));
        let sends = job(Box::new(move || send.send(()).is_ok()));
        let (waited, sent) = aioxide::gather_all!(waits, sends).await.unwrap();
        assert!(
            waited.unwrap().unwrap() && sent.unwrap().unwrap(),
            "one waited for the other's end"
        );
    });
}

#[test]
fn virtual_time_takes_no_time_and_waits_for_threads() {
    let start = std::time::Instant::now();
    testing::run(async {
        let begin = get_running_loop().time();
        let long = create_task(sleep(Duration::from_secs(3600)));
        assert_eq!(
            to_thread(|| std::thread::sleep(Duration::from_millis(20)))
                .await
                .unwrap(),
            ()
        );
        assert!(!long.done());
        long.await.unwrap().unwrap();
        assert_eq!(
            get_running_loop().time(),
            begin.saturating_add(Duration::from_secs(3600))
        );
    });
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_future_is_set_once_and_awaited_often() {
    testing::run(async {
        let future = Future::new();
        let waiting = future.clone();
        let task = create_task(async move { waiting.await });
        sleep(Duration::ZERO).await.unwrap();
        future.set_result(3).unwrap();
        assert!(future.set_result(4).is_err() && !future.cancel());
        assert_eq!(task.await.unwrap(), Ok(3));
        assert_eq!(future.clone().await, Ok(3));
        assert_eq!(future.result(), Some(Ok(3)));
    });
}

#[test]
fn who_is_cancelled_while_he_awaits_a_future_cancels_it() {
    testing::run(async {
        let future = Future::<()>::new();
        let waiting = future.clone();
        let task = create_task(async move { waiting.await });
        sleep(Duration::ZERO).await.unwrap();
        task.cancel_with("m");
        assert_eq!((&task).await.unwrap().unwrap_err().message(), Some("m"));
        assert!(future.cancelled() && task.cancelled());
    });
}

static USER: ContextVar<&str> = ContextVar::new("user");

#[test]
fn a_variable_follows_its_task() {
    testing::run(async {
        let token = USER.set("ann");
        let child = create_task(async {
            USER.set("bob");
            sleep(Duration::ZERO).await.unwrap();
            USER.get()
        });
        sleep(Duration::ZERO).await.unwrap();
        assert_eq!(USER.get(), Some("ann"));
        assert_eq!(child.await.unwrap(), Some("bob"));
        USER.reset(token);
        assert_eq!(USER.get(), None);
        let task = aioxide::Task::builder()
            .context(Context::new())
            .create(async { USER.get() });
        assert_eq!(task.await.unwrap(), None);
    });
}

#[test]
fn the_watchdog_reports_a_block_once_while_it_lasts() {
    aioxide::run(async {
        let (report, reports) = channel();
        let probe = get_running_loop().probe();
        let watching = watch(probe, Duration::from_millis(20), move |duration| {
            report.send(duration).unwrap()
        });
        // It ends when the report has come: while it blocks.
        let blocked = reports.recv_timeout(Duration::from_secs(30)).unwrap();
        assert!(blocked >= Duration::from_millis(20));
        std::thread::sleep(Duration::from_millis(40));
        drop(watching);
        assert!(reports.try_recv().is_err());
    });
}

#[test]
fn a_probe_says_which_task_runs_to_every_thread() {
    aioxide::run(async {
        let probe = get_running_loop().probe();
        let look = move || {
            let probe = std::sync::Arc::clone(&probe);
            std::thread::spawn(move || probe.task()).join().unwrap()
        };
        let own = aioxide::current_task().unwrap().id();
        assert_eq!(look(), Some(own));
        let group = aioxide::TaskGroup::<()>::scope(async |group| {
            let child = group.create_task(async { Ok(look()) });
            assert_eq!(look(), Some(own));
            let id = child.id();
            assert_eq!(child.await.unwrap(), Some(id));
            assert_eq!(look(), Some(own));
            Ok(())
        });
        group.await.unwrap();
        let seen = Future::new();
        let tell = seen.clone();
        let from_callback = look.clone();
        get_running_loop().call_soon(move || tell.set_result(from_callback()).unwrap());
        assert_eq!(seen.await, Ok(None));
    });
}
