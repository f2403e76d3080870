//! Awaiting a task gives its result.
//!
//! The result is moved to the one who awaits the task. Others may look at it while it is there (`result()`), or
//! wait for the end alone (`join()`), as often as they like.

use std::time::Duration;

use aioxide::{Cancelled, TaskError, create_task, run, sleep};

async fn nested() -> Result<u32, Cancelled> {
    sleep(Duration::from_millis(500)).await?;
    Ok(42)
}

fn main() -> Result<(), TaskError> {
    run(async {
        let task = create_task(nested());
        task.set_name("the answer");
        println!("pending: {}, done = {}", task.name(), task.done());
        task.join().await?;
        println!("looked at: {:?}; done = {}", task.result(), task.done());
        assert_eq!(task.result(), Some(&Ok(42)));
        let answer = task.await??; // The task is used up: awaiting it twice does not compile.
        println!("moved out: {answer}");
        assert_eq!(answer, 42);
        Ok(())
    })
}
