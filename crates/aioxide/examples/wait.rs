//! `wait()` stops waiting, and leaves the rest to you.
//!
//! It neither fails nor cancels: what has ended is handed out, what is pending stays in the vector and runs on until
//! you cancel it.

use std::time::Duration;

use aioxide::{Cancelled, ReturnWhen, Task, create_task, run, sleep, wait};

async fn fetch(milliseconds: u64) -> Result<(), Cancelled> {
    sleep(Duration::from_millis(milliseconds)).await
}

fn names<T>(tasks: &[Task<T>]) -> Vec<String> {
    tasks.iter().map(|task| task.name().to_string()).collect()
}

fn main() -> Result<(), Cancelled> {
    run(async {
        let kinds = [
            ("quick", 100),
            ("middle", 300),
            ("slow", 3_600_000),
            ("slower", 7_200_000),
        ];
        let mut pending: Vec<_> = kinds
            .map(|(name, milliseconds)| {
                let task = create_task(fetch(milliseconds));
                task.set_name(name);
                task
            })
            .into();
        let done = wait(&mut pending, ReturnWhen::FirstCompleted, None).await?;
        println!("first: {:?}", names(&done));
        assert_eq!(names(&done), ["quick"]);

        let done = wait(&mut pending, ReturnWhen::AllCompleted, Duration::from_millis(700)).await?;
        println!(
            "after the timeout: done {:?}, pending {:?}",
            names(&done),
            names(&pending)
        );
        assert_eq!(names(&pending), ["slow", "slower"]);

        for task in &pending {
            assert!(task.cancel_with("no more time"));
            assert!(!task.done()); // It was only asked to; it decides at its next step.
        }
        for task in pending {
            let ended = task.await;
            println!("cancelled: {ended:?}");
            assert!(matches!(ended, Ok(Err(_))));
        }
        Ok(())
    })
}
