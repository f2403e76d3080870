//! Hello, and a sleep that lets others work.
//!
//! An `async fn` gives a future, which does nothing by itself: `run()` starts an event loop, drives the future to
//! its end, and returns what it returned. `sleep(…).await` pauses this future only; the loop is free meanwhile.

use std::time::{Duration, Instant};

use aioxide::{Cancelled, run, sleep};

async fn say_hello() -> Result<&'static str, Cancelled> {
    println!("hello");
    sleep(Duration::from_secs(1)).await?;
    println!("world");
    Ok("done")
}

fn main() {
    let future = say_hello();
    println!("a future is made, and nothing ran so far");
    let started = Instant::now();
    let result = run(future);
    println!(
        "run() returned {result:?} after {:.2} s",
        started.elapsed().as_secs_f64()
    );
    assert_eq!(result, Ok("done"));
}
