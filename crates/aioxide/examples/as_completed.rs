//! `as_completed()` hands out results as they arrive.
//!
//! The quickest comes first, whatever the order of the arguments. It is a `Stream`, too.

use std::time::{Duration, Instant};

use aioxide::{TaskError, as_completed, run, sleep};

async fn fetch(name: &'static str, milliseconds: u64) -> Result<&'static str, TaskError> {
    sleep(Duration::from_millis(milliseconds)).await?;
    Ok(name)
}

fn main() -> Result<(), TaskError> {
    run(async {
        let started = Instant::now();
        let mut arrived = Vec::new();
        let mut results = as_completed([fetch("slow", 900), fetch("quick", 100), fetch("middle", 500)]);
        while let Some(result) = results.next().await {
            let name = result??;
            println!("{:.2} s: {name}", started.elapsed().as_secs_f64());
            arrived.push(name);
        }
        assert_eq!(arrived, ["quick", "middle", "slow"]);
        Ok(())
    })
}
