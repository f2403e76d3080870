//! `timeout()` and `timeout_at()` put a whole block under a deadline.
//!
//! Everything awaited inside counts. A deadline can be moved while the block runs, and several blocks can share one.

use std::time::Duration;

use aioxide::{Cancelled, get_running_loop, run, sleep, timeout, timeout_at};

fn main() -> Result<(), Cancelled> {
    run(async {
        let mut steps = 0;
        let late = timeout(Duration::from_millis(350), async |_| {
            loop {
                sleep(Duration::from_millis(100)).await?;
                steps += 1;
            }
            #[expect(unreachable_code, reason = "says what the block returns")]
            Ok::<(), Cancelled>(())
        })
        .await;
        println!("timeout(350 ms): {late:?} after {steps} steps");
        assert!(late.is_err() && (1..=3).contains(&steps));

        let deadline = get_running_loop().time().saturating_add(Duration::from_millis(300));
        let mut reached = Vec::new();
        for name in ["first", "second", "third"] {
            let in_time = timeout_at(deadline, async |_| sleep(Duration::from_millis(200)).await).await;
            if in_time.is_ok() {
                reached.push(name);
            }
        }
        println!("timeout_at: in time: {reached:?}");
        assert_eq!(reached, ["first"]);

        let patient = timeout(Duration::from_millis(100), async |deadline| {
            deadline.reschedule(get_running_loop().time().saturating_add(Duration::from_secs(5)));
            sleep(Duration::from_millis(200)).await?;
            Ok::<_, Cancelled>(deadline.expired())
        });
        let patient = patient.await;
        println!("reschedule: expired = {patient:?}");
        assert!(matches!(patient, Ok(Ok(false))));
        Ok(())
    })
}
