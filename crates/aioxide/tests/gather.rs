//! `gather`, `gather!`, `gather_all`, `as_completed`, `wait`.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use aioxide::testing::run;
use aioxide::{
    Cancelled, ReturnWhen, Task, TaskError, as_completed, create_task, gather, gather_all, get_running_loop, sleep,
    wait,
};
use futures_util::StreamExt;

const HOUR: Duration = Duration::from_secs(3600);

#[derive(Debug, PartialEq)]
enum Error {
    Odd(u64),
    Panicked(String),
    Cancelled(Cancelled),
}

impl From<TaskError> for Error {
    fn from(error: TaskError) -> Error {
        match error {
            TaskError::Cancelled(cancelled) => Error::Cancelled(cancelled),
            other => Error::Panicked(other.to_string()),
        }
    }
}

impl From<Cancelled> for Error {
    fn from(cancelled: Cancelled) -> Error {
        Error::Cancelled(cancelled)
    }
}

async fn half(number: u64) -> Result<u64, Error> {
    sleep(Duration::from_secs(number)).await?;
    if number % 2 == 1 {
        Err(Error::Odd(number))
    } else {
        Ok(number / 2)
    }
}

#[test]
fn results_come_in_the_order_of_the_arguments() {
    run(async {
        assert_eq!(gather([half(6), half(2), half(4)]).await, Ok(vec![3, 1, 2]));
        assert_eq!(
            gather(Vec::<std::future::Ready<Result<(), Error>>>::new()).await,
            Ok(vec![])
        );
        let both = aioxide::gather!(half(4), async { Ok::<_, Error>("text") });
        assert_eq!(both.await, Ok((2, "text")));
    });
}

#[test]
fn the_first_error_is_returned_at_once_and_the_others_run_on() {
    run(async {
        let start = get_running_loop().time();
        assert_eq!(gather([half(8), half(3), half(5)]).await, Err(Error::Odd(3)));
        assert_eq!(get_running_loop().time(), start.saturating_add(Duration::from_secs(3)));
        assert_eq!(aioxide::all_tasks().len(), 2);
        assert_eq!(aioxide::gather!(half(8), half(1)).await, Err(Error::Odd(1)));
    });
}

#[test]
fn a_panic_is_an_error_too() {
    run(async {
        let work = |panics: bool| async move {
            assert!(!panics, "oh");
            half(2).await
        };
        match gather([work(false), work(true)]).await {
            Err(Error::Panicked(text)) => assert!(text.contains("oh")),
            other => panic!("{other:?}"),
        }
        let all = gather_all([work(false), work(true)]).await.unwrap();
        assert!(all[0].is_ok() && matches!(all[1], Err(TaskError::Panicked(_))));
    });
}

#[test]
fn all_is_waited_for_when_errors_are_results() {
    run(async {
        let results = gather_all([half(4), half(1)]).await.unwrap();
        assert_eq!(results[0].as_ref().unwrap(), &Ok(2));
        assert_eq!(results[1].as_ref().unwrap(), &Err(Error::Odd(1)));
    });
}

#[test]
fn all_of_different_types_is_waited_for_and_a_panic_is_one_of_the_ends() {
    run(async {
        let start = get_running_loop().time();
        let panics = async {
            sleep(Duration::from_secs(1)).await.unwrap();
            panic!("oh");
        };
        let ends = aioxide::gather_all!(half(4), half(1), async { "text" }, panics).await;
        let (half, odd, text, panicked): (_, _, _, Result<(), _>) = ends.unwrap();
        assert_eq!(
            (half.unwrap(), odd.unwrap(), text.unwrap()),
            (Ok(2), Err(Error::Odd(1)), "text")
        );
        assert!(panicked.unwrap_err().is_panicked());
        assert_eq!(get_running_loop().time(), start.saturating_add(Duration::from_secs(4)));
    });
}

#[test]
fn a_cancellation_of_all_of_different_types_is_returned_when_the_clean_up_is_done() {
    run(async {
        let cleaned = Rc::new(Cell::new(false));
        let clean = Rc::clone(&cleaned);
        let careful = async move {
            let slept = sleep_hour().await;
            sleep(Duration::from_secs(1)).await.unwrap();
            clean.set(true);
            slept
        };
        let all = create_task(async { aioxide::gather_all!(careful, sleep_hour(), async { 1 }).await });
        sleep(Duration::from_secs(1)).await.unwrap();
        all.cancel_with("m");
        let start = get_running_loop().time();
        all.join().await.unwrap();
        assert!(cleaned.get() && all.cancelled());
        assert_eq!(get_running_loop().time(), start.saturating_add(Duration::from_secs(1)));
        let ended = all.await.unwrap().unwrap_err();
        assert_eq!(ended.message(), Some("m"));
    });
}

#[test]
fn a_cancellation_is_passed_on_to_all() {
    run(async {
        let fast = create_task(async { gather((0..3).map(|_| sleep_hour())).await });
        let all = create_task(async { gather_all((0..3).map(|_| sleep_hour())).await });
        let tuple = create_task(async { aioxide::gather!(sleep_hour(), sleep_hour()).await });
        sleep(Duration::from_secs(1)).await.unwrap();
        for task in [&*fast, &*all, &*tuple] {
            task.cancel_with("m");
        }
        assert_eq!((&fast).await.unwrap().unwrap_err().message(), Some("m"));
        assert_eq!((&tuple).await.unwrap().unwrap_err().message(), Some("m"));
        all.join().await.unwrap();
        assert!(fast.cancelled() && all.cancelled() && tuple.cancelled());
        sleep(Duration::ZERO).await.unwrap();
        assert_eq!(aioxide::all_tasks().len(), 0);
    });
}

async fn sleep_hour() -> Result<(), Cancelled> {
    sleep(HOUR).await
}

#[test]
fn as_completed_gives_the_quickest_first_and_is_a_stream() {
    run(async {
        let results = as_completed([half(6), half(1), half(4)]);
        let results: Vec<_> = results.map(Result::unwrap).collect().await;
        assert_eq!(results, [Err(Error::Odd(1)), Ok(2), Ok(3)]);
    });
}

#[test]
fn wait_returns_what_has_ended_and_leaves_the_rest() {
    run(async {
        let start = |number| create_task(half(number));
        let mut tasks: Vec<_> = [2, 4, 5, 3600].map(start).into();
        let done = wait(&mut tasks, ReturnWhen::FirstCompleted, None).await.unwrap();
        assert_eq!((done.len(), tasks.len()), (1, 3));
        let done = wait(&mut tasks, ReturnWhen::FirstException(Result::is_err), None)
            .await
            .unwrap();
        assert_eq!((done.len(), tasks.len()), (2, 1));
        let done = wait(&mut tasks, ReturnWhen::AllCompleted, Duration::from_secs(9))
            .await
            .unwrap();
        assert_eq!((done.len(), tasks.len()), (0, 1));
        assert!(!tasks[0].done());
        tasks[0].cancel();
        let done = wait(&mut tasks, ReturnWhen::AllCompleted, None).await.unwrap();
        assert!(done[0].cancelled() && tasks.is_empty());
    });
}

#[test]
fn a_cancelled_wait_leaves_the_tasks_alone() {
    run(async {
        let task = create_task(async {
            let mut tasks: Vec<Task<_>> = vec![create_task(half(2))];
            let waited = wait(&mut tasks, ReturnWhen::AllCompleted, None).await;
            assert!(waited.is_err());
            sleep(Duration::from_secs(5)).await.unwrap();
            tasks.remove(0).await.unwrap()
        });
        sleep(Duration::from_secs(1)).await.unwrap();
        task.cancel();
        assert_eq!(task.await.unwrap(), Ok(1));
    });
}
