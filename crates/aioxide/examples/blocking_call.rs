//! A blocking call stops everybody, and the watchdog tells.
//!
//! `std::thread::sleep()` in a task blocks the whole loop: nothing else runs. `watch()` reports that while it happens,
//! from a thread of its own. The cure is `to_thread()`.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use aioxide::{Cancelled, TaskError, create_task, get_running_loop, run, sleep, to_thread, watch};

/// Notes how long each 20 ms really took.
async fn heartbeat(gaps: Rc<RefCell<Vec<Duration>>>) -> Result<(), Cancelled> {
    loop {
        let started = Instant::now();
        sleep(Duration::from_millis(20)).await?;
        gaps.borrow_mut().push(started.elapsed());
    }
}

fn longest(gaps: &RefCell<Vec<Duration>>) -> Duration {
    gaps.borrow_mut().drain(..).max().unwrap_or_default()
}

fn main() -> Result<(), TaskError> {
    run(async {
        let gaps = Rc::new(RefCell::new(Vec::new()));
        let beating = create_task(heartbeat(Rc::clone(&gaps)));
        let (report, reports) = channel();
        let watching = watch(get_running_loop().probe(), Duration::from_millis(100), move |blocked| {
            // Nobody may be listening any more.
            report.send(blocked).ok();
        });
        sleep(Duration::from_millis(100)).await?;

        create_task(async { thread::sleep(Duration::from_millis(500)) }).await?; // Here the loop stands still.
        sleep(Duration::from_millis(50)).await?;
        let blocked = reports.try_recv().expect("the watchdog has seen it");
        println!("reported after {:.2} s", blocked.as_secs_f64());
        let beat = longest(&gaps);
        println!("thread::sleep(): the longest beat took {:.2} s", beat.as_secs_f64());
        assert!(blocked < Duration::from_millis(500) && beat > Duration::from_millis(400));

        to_thread(|| thread::sleep(Duration::from_millis(500))).await?;
        println!(
            "to_thread(): the longest beat took {:.2} s",
            longest(&gaps).as_secs_f64()
        );
        assert!(reports.try_recv().is_err());
        drop(watching);
        beating.cancel();
        Ok(())
    })
}
