//! Errors: a task's result is a `Result`, and so is the task's end.
//!
//! `task.await?` is for what happened to the task (cancelled before it began, or a panic), the next `?` for what
//! its code returned. `gather()` returns the first error and lets the others run on; `gather_all()` waits for all.

use std::time::Duration;

use aioxide::{TaskError, create_task, gather_all, run, sleep};

#[derive(Debug)]
enum Failed {
    ByZero,
    Task,
}

impl From<TaskError> for Failed {
    fn from(_: TaskError) -> Self {
        Failed::Task
    }
}

async fn divide(dividend: u32, divisor: u32, milliseconds: u64) -> Result<u32, Failed> {
    sleep(Duration::from_millis(milliseconds))
        .await
        .map_err(TaskError::from)?;
    dividend.checked_div(divisor).ok_or(Failed::ByZero)
}

fn main() {
    run(async {
        let alone = create_task(divide(1, 0, 100)).await;
        println!("awaiting a task: {alone:?}");
        assert!(matches!(alone, Ok(Err(Failed::ByZero))));

        let first = aioxide::gather([divide(1, 0, 100), divide(6, 3, 400)]).await;
        println!("gather: {first:?}");
        assert!(matches!(first, Err(Failed::ByZero)));

        let all = gather_all([divide(6, 2, 200), divide(1, 0, 100), divide(8, 2, 100)]).await;
        println!("gather_all: {all:?}");

        let panicked = create_task(async { panic!("a bug") }).await;
        println!("a panic is its task's error, the loop goes on: {:?}", panicked.is_err());
        assert!(matches!(panicked, Err(TaskError::Panicked(_))));
    });
}
