//! `wait_for()` gives up after its timeout, and cancels.
//!
//! What was waited for sees the cancellation as an error at its await and may clean up. `shield()` keeps a task
//! alive: then only the waiting ends.

use std::time::{Duration, Instant};

use aioxide::{Cancelled, TaskError, create_task, run, shield, sleep, wait_for};

async fn work(name: &str, milliseconds: u64) -> Result<String, Cancelled> {
    match sleep(Duration::from_millis(milliseconds)).await {
        Ok(()) => Ok(format!("{name} is finished")),
        Err(cancelled) => {
            println!("{name} cleans up");
            Err(cancelled) // Cancellation must go on, or the canceller waits in vain.
        }
    }
}

fn main() -> Result<(), TaskError> {
    run(async {
        println!("{:?}", wait_for(work("quick", 100), Duration::from_secs(5)).await);

        let started = Instant::now();
        let late = wait_for(work("endless", 3_600_000), Duration::from_millis(300)).await;
        println!("{late:?} after {:.2} s", started.elapsed().as_secs_f64());
        assert!(late.is_err_and(|error| error.is_expired()));

        let mut task = create_task(work("shielded", 500));
        let late = wait_for(shield(&mut task), Duration::from_millis(100)).await;
        println!(
            "expired again: {}, but the task goes on: {}",
            late.is_err(),
            !task.done()
        );
        assert_eq!(task.await??, "shielded is finished");
        Ok(())
    })
}
