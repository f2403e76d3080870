//! A `TaskGroup` waits for all of its tasks.
//!
//! Tasks made by `group.create_task()` belong to the scope: it ends when the last of them has ended, so they may
//! borrow from what is around it. What they returned is read from them afterwards.

use std::time::{Duration, Instant};

use aioxide::{Cancelled, TaskGroup, run, sleep};

async fn fetch(name: &str, seconds: u64) -> Result<String, Cancelled> {
    sleep(Duration::from_secs(seconds)).await?;
    println!("{name} is here");
    Ok(name.to_uppercase())
}

fn main() -> Result<(), Cancelled> {
    let names = [String::from("first"), String::from("second")];
    run(async {
        let started = Instant::now();
        let (first, second) = TaskGroup::scope(async |group| {
            let first = group.create_task(fetch(&names[0], 1)); // Borrowed: no Rc, no 'static.
            let second = group.create_task(fetch(&names[1], 2));
            println!("the block is written, its tasks are not finished");
            assert!(!first.done() && !second.done());
            Ok((first, second))
        })
        .await?;
        println!("after the block: {:?}, {:?}", first.result(), second.result());
        assert_eq!(second.result().map(String::as_str), Some("SECOND"));
        assert!(started.elapsed() < Duration::from_secs(3));
        Ok(())
    })
}
