//! `create_task()` runs futures at the same time.
//!
//! A task is a future that the loop runs by itself, from its next turn on. Both sleep at once, so the same work as
//! before takes as long as the longer one. A task whose handle is dropped runs on.

use std::time::{Duration, Instant};

use aioxide::{Cancelled, TaskError, create_task, run, sleep};

async fn say_after(seconds: u64, what: &str) -> Result<(), Cancelled> {
    sleep(Duration::from_secs(seconds)).await?;
    println!("{what}, after sleeping for {seconds} s");
    Ok(())
}

fn main() -> Result<(), TaskError> {
    run(async {
        let started = Instant::now();
        let hello = create_task(say_after(1, "hello"));
        let world = create_task(say_after(2, "world"));
        println!("both are created; no task has run yet");
        hello.await??;
        world.await??;
        let took = started.elapsed();
        println!("both: {:.2} s, the longer of 1 and 2", took.as_secs_f64());
        assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(3));
        Ok(())
    })
}
