//! Tests that take no time: a loop whose clock jumps to the next timer when nothing else is to be done.
//!
//! Differs from asyncio: it has none.

#![forbid(unsafe_code)]

use std::future::Future as StdFuture;

use crate::clock::{Clock, Deadline};
use crate::events::Strictness;
use crate::runners::Runner;

/// As [`run`](crate::run), in strict mode and in virtual time, which begins at zero.
///
/// While functions of `to_thread` run, the clock stands still and the loop waits for them; for other
/// foreign code it waits 10 ms before the clock jumps. tokio's own timers go by the real clock.
///
/// # Panics
/// As [`run`](crate::run); and when every task waits for another one, with their names: nothing could ever wake them.
///
/// # Examples
/// ```
/// use aioxide::{get_running_loop, sleep, testing};
/// use std::time::Duration;
///
/// testing::run(async {
///     sleep(Duration::from_secs(3600)).await.unwrap();
///     assert_eq!(get_running_loop().time().as_nanos(), 3_600_000_000_000);
/// });
/// ```
///
/// ```should_panic
/// use aioxide::{Lock, testing};
///
/// testing::run(async {
///     let lock = Lock::new(());
///     let held = lock.acquire().await;
///     lock.acquire().await.unwrap(); // Deadlock: a panic here, where `run` would hang.
///     drop(held);
/// });
/// ```
pub fn run<F: StdFuture>(future: F) -> F::Output {
    let clock = Clock::manual(Deadline::from_nanos(0));
    let builder = Runner::builder().clock(clock).strictness(Strictness::Strict);
    builder.build().expect("a loop needs file descriptors").run(future)
}
