//! `watch()`: a thread that notices a step that blocks the loop, while it blocks.
//!
//! The loop counts its steps in the probe. The thread looks at it several times in each threshold: the
//! same step for longer than that is a blocked loop, which is reported once.

#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crate::probe::Probe;

/// Watches a loop through its probe until the returned value is dropped. `callback` is called from the
/// watchdog's thread, while the loop is blocked; [`Probe::task`] says then which task it is.
///
/// # Panics
/// When no thread can be started.
///
/// # Examples
/// ```
/// use aioxide::{current_task, get_running_loop, run, watch};
/// use std::sync::Arc;
/// use std::sync::mpsc::channel;
/// use std::time::Duration;
///
/// run(async {
///     let (report, reports) = channel();
///     let probe = get_running_loop().probe();
///     let looked_at = Arc::clone(&probe);
///     let watching = watch(probe, Duration::from_millis(20), move |blocked| {
///         report.send((blocked, looked_at.task())).unwrap(); // How long so far, and which task it is.
///     });
///     std::thread::sleep(Duration::from_millis(200)); // Careless.
///     drop(watching);
///     let (blocked, task) = reports.recv().unwrap();
///     assert!(blocked >= Duration::from_millis(20));
///     assert_eq!(task, current_task().map(|task| task.id()));
/// });
/// ```
#[must_use = "dropping the watchdog ends it"]
pub fn watch(probe: Arc<Probe>, threshold: Duration, callback: impl FnMut(Duration) + Send + 'static) -> Watchdog {
    let (stop, stopped) = channel();
    let look = move || {
        let mut callback = callback;
        let mut sample = probe.sample();
        let mut since = Instant::now();
        let mut is_reported = false;
        while stopped.recv_timeout(threshold / LOOKS) == Err(RecvTimeoutError::Timeout) {
            let current = probe.sample();
            if !current.is_stuck_since(&sample) {
                (sample, since, is_reported) = (current, Instant::now(), false);
            } else if !is_reported && since.elapsed() >= threshold {
                is_reported = true;
                callback(since.elapsed());
            }
        }
    };
    let thread = Builder::new().name("aioxide-watchdog".to_owned()).spawn(look);
    Watchdog {
        stop: Some(stop),
        thread: Some(thread.expect("can't start new thread")),
    }
}

/// A thread that watches a loop; see [`watch`].
///
/// # Examples
/// ```
/// use aioxide::{Watchdog, get_running_loop, run, watch};
/// use std::time::Duration;
///
/// run(async {
///     let probe = get_running_loop().probe();
///     let watching: Watchdog = watch(probe, Duration::from_secs(1), |_| eprintln!("the loop is blocked"));
///     drop(watching); // Nobody watches any more.
/// });
/// ```
pub struct Watchdog {
    /// Dropping it is the sign to stop.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A callback that panicked was printed by the panic hook; watching has ended then.
            drop(thread.join());
        }
    }
}

impl fmt::Debug for Watchdog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Watchdog").finish_non_exhaustive()
    }
}

/// Looks in each threshold: a block is reported at most a quarter late.
const LOOKS: u32 = 4;
