//! `gather()` runs all and returns results in the order of its arguments.
//!
//! The slowest comes first here and finishes last; in the result it is first all the same. The macro takes futures
//! of different types, the function any number of one type.

use std::time::{Duration, Instant};

use aioxide::{TaskError, gather, run, sleep};

async fn fetch(name: &'static str, milliseconds: u64) -> Result<String, TaskError> {
    sleep(Duration::from_millis(milliseconds)).await?;
    println!("finished: {name}");
    Ok(format!("{name} in {milliseconds} ms"))
}

fn main() -> Result<(), TaskError> {
    run(async {
        let started = Instant::now();
        let results = gather([fetch("slow", 900), fetch("middle", 500), fetch("quick", 100)]).await?;
        println!("returned: {results:?}");
        println!("all: {:.2} s, instead of 1.5 in a row", started.elapsed().as_secs_f64());
        assert_eq!(results, ["slow in 900 ms", "middle in 500 ms", "quick in 100 ms"]);

        let (number, text) = gather!(async { Ok::<_, TaskError>(1) }, fetch("text", 1)).await?;
        assert_eq!((number, text.as_str()), (1, "text in 1 ms"));
        Ok(())
    })
}
