//! Work for the processor belongs in a pool.
//!
//! Counting primes waits for nothing, so in a task it blocks the loop. Python needs processes for it; Rust has no lock
//! to share, and a pool of threads, one for each processor, does as well: `run_in_executor()`.

use std::time::Instant;

use aioxide::{TaskError, ThreadPoolExecutor, gather, run, run_in_executor};

const LIMITS: [u32; 4] = [290_000, 290_001, 290_002, 290_003];

/// How many primes lie below the limit, counted the slow way.
fn count_primes(limit: u32) -> usize {
    let is_prime = |number: &u32| (2..=number.isqrt()).all(|divisor| !number.is_multiple_of(divisor));
    (2..limit).filter(is_prime).count()
}

fn main() -> Result<(), TaskError> {
    run(async {
        let started = Instant::now();
        let in_the_loop = LIMITS.map(count_primes);
        println!(
            "in the loop: {:.2} s, and nobody else had a turn",
            started.elapsed().as_secs_f64()
        );

        let pool = std::rc::Rc::new(ThreadPoolExecutor::for_computing());
        let started = Instant::now();
        let in_the_pool = gather(LIMITS.map(|limit| {
            let pool = std::rc::Rc::clone(&pool);
            async move { run_in_executor(&pool, move || count_primes(limit)).await }
        }));
        let in_the_pool = in_the_pool.await?;
        println!(
            "in the pool: {:.2} s, and the loop was free",
            started.elapsed().as_secs_f64()
        );
        assert_eq!(in_the_pool, in_the_loop);
        Ok(())
    })
}
