//! `timeout`, `timeout_at`, `wait_for`, `shield`.

use std::cell::Cell;
use std::time::Duration;

use aioxide::testing::run;
use aioxide::{
    TimeoutError, create_task, current_task, get_running_loop, shield, sleep, timeout, timeout_at, wait_for,
};

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_is_in_time_is_returned_and_what_is_not_is_cancelled() {
    run(async {
        assert_eq!(wait_for(async { 1 }, SECOND).await, Ok(1));
        assert_eq!(wait_for(sleep(SECOND), HOUR).await, Ok(Ok(())));
        let start = get_running_loop().time();
        let cleaned = Cell::new(false);
        let late = wait_for(
            async {
                let slept = sleep(HOUR).await;
                sleep(SECOND).await.unwrap();
                cleaned.set(true);
                slept
            },
            SECOND,
        );
        assert_eq!(late.await, Err(TimeoutError::Expired));
        assert!(cleaned.get());
        assert_eq!(get_running_loop().time(), start.saturating_add(2 * SECOND));
        assert_eq!(current_task().unwrap().cancelling(), 0);
    });
}

#[test]
fn a_block_that_swallows_its_cancellation_keeps_its_result() {
    run(async {
        let block = timeout(SECOND, async |deadline| {
            sleep(HOUR).await.unwrap_err();
            assert!(deadline.expired());
            "kept"
        });
        assert_eq!(block.await, Ok("kept"));
    });
}

#[test]
fn a_timeout_converts_its_own_cancellation_only() {
    run(async {
        let task = create_task(async { wait_for(sleep(HOUR), SECOND).await });
        sleep(Duration::ZERO).await.unwrap();
        task.cancel_with("from outside");
        let result = (&task).await.unwrap();
        assert_eq!(result.unwrap().unwrap_err().message(), Some("from outside"));
        assert!(task.cancelled());

        // Both at once: the cancellation from outside wins.
        let task = create_task(async {
            wait_for(
                async {
                    let slept = sleep(HOUR).await;
                    sleep(HOUR).await.and(slept)
                },
                SECOND,
            )
            .await
        });
        sleep(2 * SECOND).await.unwrap();
        task.cancel_with("later");
        assert!((&task).await.unwrap().unwrap().is_err());
        assert!(task.cancelled());
    });
}

#[test]
fn nested_timeouts_end_the_block_that_is_theirs() {
    run(async {
        let outer = wait_for(async { wait_for(sleep(HOUR), 2 * SECOND).await }, SECOND);
        assert_eq!(outer.await, Err(TimeoutError::Expired));
        let inner = wait_for(async { wait_for(sleep(HOUR), SECOND).await }, 2 * SECOND);
        assert_eq!(inner.await, Ok(Err(TimeoutError::Expired)));
    });
}

#[test]
fn what_runs_beside_a_timeout_in_the_same_task_is_not_cancelled() {
    run(async {
        let (short, long) = tokio::join!(wait_for(sleep(HOUR), SECOND), sleep(2 * SECOND));
        assert_eq!((short, long), (Err(TimeoutError::Expired), Ok(())));
    });
}

#[test]
fn a_deadline_can_be_moved_and_taken_away() {
    run(async {
        let start = get_running_loop().time();
        let block = timeout(SECOND, async |deadline| {
            assert_eq!(deadline.when(), Some(start.saturating_add(SECOND)));
            deadline.reschedule(start.saturating_add(5 * SECOND));
            sleep(2 * SECOND).await?;
            deadline.reschedule(None);
            sleep(HOUR).await?;
            assert!(!deadline.expired());
            deadline.reschedule(start.saturating_add(HOUR + 9 * SECOND));
            sleep(HOUR).await
        });
        assert_eq!(block.await, Err(TimeoutError::Expired));
        assert_eq!(get_running_loop().time(), start.saturating_add(HOUR + 9 * SECOND));
    });
}

#[test]
fn one_deadline_serves_several_blocks_and_one_that_has_passed_ends_at_once() {
    run(async {
        let deadline = get_running_loop().time().saturating_add(3 * SECOND);
        let mut in_time = 0;
        for _ in 0..3 {
            let block = timeout_at(deadline, async |_| sleep(2 * SECOND).await);
            in_time += usize::from(block.await.is_ok());
        }
        assert_eq!(in_time, 1);
        assert_eq!(get_running_loop().time(), deadline);
        assert!(wait_for(sleep(HOUR), Duration::ZERO).await.is_err());
        assert_eq!(wait_for(async { 5 }, Duration::ZERO).await, Ok(5));
    });
}

#[test]
fn a_foreign_future_is_dropped_at_the_deadline_and_on_cancellation() {
    run(async {
        let late = wait_for(std::future::pending::<()>(), SECOND);
        assert_eq!(late.await, Err(TimeoutError::Expired));
        let task = create_task(async { wait_for(std::future::pending::<()>(), HOUR).await });
        sleep(SECOND).await.unwrap();
        task.cancel_with("m");
        match task.await.unwrap() {
            Err(TimeoutError::Cancelled(cancelled)) => assert_eq!(cancelled.message(), Some("m")),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_timeout_around_a_task_cancels_it_and_a_shield_does_not() {
    run(async {
        let task = create_task(sleep(HOUR));
        let watched = (*task).clone();
        assert!(matches!(wait_for(task, SECOND).await, Err(TimeoutError::Expired)));
        assert!(watched.cancelled());

        let mut task = create_task(async { sleep(5 * SECOND).await.map(|()| "shielded") });
        let hasty = wait_for(shield(&mut task), SECOND).await;
        assert!(hasty.is_err() && !task.done());
        assert_eq!(task.await.unwrap(), Ok("shielded"));
    });
}

#[test]
fn a_finished_block_leaves_no_timer() {
    run(async {
        for _ in 0..100 {
            wait_for(sleep(Duration::ZERO), HOUR).await.unwrap().unwrap();
        }
        let start = get_running_loop().time();
        sleep(SECOND).await.unwrap();
        assert_eq!(get_running_loop().time(), start.saturating_add(SECOND));
    });
}
