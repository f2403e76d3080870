//! Two awaits in a row take as long as both together.
//!
//! `await` waits: the second future is not even made before the first has ended. One second and then two make three.

use std::time::{Duration, Instant};

use aioxide::{Cancelled, run, sleep};

async fn say_after(seconds: u64, what: &str) -> Result<(), Cancelled> {
    sleep(Duration::from_secs(seconds)).await?;
    println!("{what}, after sleeping for {seconds} s");
    Ok(())
}

fn main() -> Result<(), Cancelled> {
    run(async {
        let started = Instant::now();
        say_after(1, "hello").await?;
        say_after(2, "world").await?;
        let took = started.elapsed();
        println!("both: {:.2} s = 1 + 2", took.as_secs_f64());
        assert!(took >= Duration::from_secs(3));
        Ok(())
    })
}
