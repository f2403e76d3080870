//! A `Future` is the place where a callback leaves a result.
//!
//! Callbacks and futures meet in it: somebody awaits it, somebody else calls `set_result()` later. Programs need it
//! where they connect code that knows callbacks only.

use std::time::{Duration, Instant};

use aioxide::{Cancelled, Future, get_running_loop, run};

fn main() -> Result<(), Cancelled> {
    run(async {
        let future = Future::new();
        let report = future.clone();
        // As a library does that reports by a callback; the future may have been cancelled meanwhile.
        get_running_loop().call_later(Duration::from_millis(500), move || {
            if !report.done() {
                report.set_result("21.5 °C").expect("it is not done");
            }
        });
        let started = Instant::now();
        println!("waiting: {}", if future.done() { "done" } else { "pending" });
        let result = future.clone().await?;
        println!("the result: {result}, after {:.2} s", started.elapsed().as_secs_f64());
        assert_eq!(result, "21.5 °C");
        let second = future.set_result("22 °C");
        println!("a second result: {second:?}");
        assert!(second.is_err());
        Ok(())
    })
}
