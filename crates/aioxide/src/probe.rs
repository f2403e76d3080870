//! `Probe`: what a loop shows to other threads while it runs.
//!
//! The loop's thread is the only writer, so a counter is raised by a plain load and store: no
//! locked instruction, and nothing measurable when nobody looks. Readers see values that are a few
//! nanoseconds old and need not agree with each other; a watchdog compares samples that lie
//! milliseconds apart.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A loop's counters.
///
/// # Examples
/// ```
/// use aioxide::Probe;
///
/// let probe = Probe::new();
/// probe.enter_callbacks();
/// probe.step();
/// probe.leave_callbacks();
/// assert_eq!(probe.sample().steps, 1);
/// ```
#[derive(Debug, Default)]
// Its own cache line: a watchdog that reads must not slow the writes to what lies beside it.
#[repr(align(64))]
pub struct Probe {
    steps: AtomicU64,
    polls: AtomicU64,
    asleep_nanos: AtomicU64,
    in_callbacks: AtomicBool,
    /// The number of the task that runs; zero for none, since tasks count from one.
    task: AtomicU64,
}

impl Probe {
    /// Makes a probe with all counters at zero.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(aioxide::Probe::new().steps(), 0);
    /// ```
    pub const fn new() -> Probe {
        Probe {
            steps: AtomicU64::new(0),
            polls: AtomicU64::new(0),
            asleep_nanos: AtomicU64::new(0),
            in_callbacks: AtomicBool::new(false),
            task: AtomicU64::new(0),
        }
    }

    /// Counts a handle that begins to run. The loop's thread only.
    ///
    /// # Examples
    /// ```
    /// let probe = aioxide::Probe::new();
    /// probe.step();
    /// probe.step();
    /// assert_eq!(probe.steps(), 2);
    /// ```
    #[inline]
    pub fn step(&self) {
        raise(&self.steps, 1);
    }

    /// Notes which task runs, by its number, which is not zero; returns which one ran before, further down the
    /// stack. The loop's thread only.
    ///
    /// # Examples
    /// ```
    /// let probe = aioxide::Probe::new();
    /// let outer = probe.enter_task(Some(7));
    /// assert_eq!((outer, probe.task()), (None, Some(7)));
    /// probe.enter_task(outer);
    /// assert_eq!(probe.task(), None);
    /// ```
    #[inline]
    pub fn enter_task(&self, id: Option<u64>) -> Option<u64> {
        let outer = self.task();
        self.task.store(id.unwrap_or(0), Ordering::Relaxed);
        outer
    }

    /// Returns the number of the task that runs: [`AnyTask::id`](crate::AnyTask::id). `None` while a callback runs
    /// or the loop waits. Any thread.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{current_task, get_running_loop, run};
    ///
    /// run(async {
    ///     let id = current_task().map(|task| task.id());
    ///     assert_eq!(get_running_loop().probe().task(), id);
    /// });
    /// ```
    #[inline]
    pub fn task(&self) -> Option<u64> {
        Some(self.task.load(Ordering::Relaxed)).filter(|id| *id != 0)
    }

    /// Counts a poll that has ended. The loop's thread only.
    ///
    /// # Examples
    /// ```
    /// let probe = aioxide::Probe::new();
    /// probe.polled();
    /// assert_eq!(probe.polls(), 1);
    /// ```
    #[inline]
    pub fn polled(&self) {
        raise(&self.polls, 1);
    }

    /// Adds the time of a wait that has ended. The loop's thread only.
    ///
    /// # Examples
    /// ```
    /// let probe = aioxide::Probe::new();
    /// probe.slept(std::time::Duration::from_secs(2));
    /// assert_eq!(probe.asleep().as_secs(), 2);
    /// ```
    #[inline]
    pub fn slept(&self, duration: Duration) {
        raise(&self.asleep_nanos, duration.as_nanos() as u64);
    }

    /// Shows that handles are being run. The loop's thread only.
    ///
    /// # Examples
    /// ```
    /// let probe = aioxide::Probe::new();
    /// probe.enter_callbacks();
    /// assert!(probe.in_callbacks());
    /// ```
    #[inline]
    pub fn enter_callbacks(&self) {
        self.in_callbacks.store(true, Ordering::Relaxed);
    }

    /// Shows that no handle is being run. The loop's thread only.
    ///
    /// # Examples
    /// ```
    /// let probe = aioxide::Probe::new();
    /// probe.enter_callbacks();
    /// probe.leave_callbacks();
    /// assert!(!probe.in_callbacks());
    /// ```
    #[inline]
    pub fn leave_callbacks(&self) {
        self.in_callbacks.store(false, Ordering::Relaxed);
    }

    /// Returns how many handles have begun to run.
    ///
    /// # Examples
    /// ```
    /// let probe = aioxide::Probe::new();
    /// assert_eq!(probe.steps(), 0);
    /// probe.step();
    /// assert_eq!(probe.steps(), 1);
    /// ```
    #[inline]
    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// Returns how many polls have ended.
    ///
    /// # Examples
    /// ```
    /// let probe = aioxide::Probe::new();
    /// probe.polled();
    /// probe.polled();
    /// assert_eq!(probe.polls(), 2);
    /// ```
    #[inline]
    pub fn polls(&self) -> u64 {
        self.polls.load(Ordering::Relaxed)
    }

    /// Returns how long the loop has waited in all.
    ///
    /// # Examples
    /// ```
    /// let probe = aioxide::Probe::new();
    /// let second = std::time::Duration::from_secs(1);
    /// probe.slept(second);
    /// probe.slept(second);
    /// assert_eq!(probe.asleep(), 2 * second);
    /// ```
    #[inline]
    pub fn asleep(&self) -> Duration {
        Duration::from_nanos(self.asleep_nanos.load(Ordering::Relaxed))
    }

    /// Returns whether handles are being run.
    ///
    /// # Examples
    /// ```
    /// let probe = aioxide::Probe::new();
    /// assert!(!probe.in_callbacks());
    /// probe.enter_callbacks();
    /// assert!(probe.in_callbacks());
    /// ```
    #[inline]
    pub fn in_callbacks(&self) -> bool {
        self.in_callbacks.load(Ordering::Relaxed)
    }

    /// Reads everything at once.
    ///
    /// # Examples
    /// ```
    /// let probe = aioxide::Probe::new();
    /// probe.polled();
    /// let sample = probe.sample();
    /// assert_eq!((sample.steps, sample.polls, sample.in_callbacks), (0, 1, false));
    /// ```
    pub fn sample(&self) -> Sample {
        Sample {
            steps: self.steps(),
            polls: self.polls(),
            asleep: self.asleep(),
            in_callbacks: self.in_callbacks(),
        }
    }
}

/// What a [`Probe`] showed at one moment.
///
/// # Examples
/// ```
/// use aioxide::Probe;
///
/// let probe = Probe::new();
/// let before = probe.sample();
/// probe.step();
/// assert_eq!(probe.sample().steps - before.steps, 1);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample {
    /// Handles that have begun to run.
    pub steps: u64,
    /// Polls that have ended.
    pub polls: u64,
    /// Time waited.
    pub asleep: Duration,
    /// Whether handles are being run.
    pub in_callbacks: bool,
}

impl Sample {
    /// Returns whether the very handle that was running at `earlier`, a former sample of the same
    /// probe, is running still: it has blocked the loop since.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Probe;
    ///
    /// let probe = Probe::new();
    /// probe.enter_callbacks();
    /// probe.step();
    /// let before = probe.sample();
    /// assert!(probe.sample().is_stuck_since(&before), "the same handle runs still");
    /// probe.step();
    /// assert!(!probe.sample().is_stuck_since(&before));
    /// ```
    pub fn is_stuck_since(&self, earlier: &Sample) -> bool {
        self.in_callbacks && earlier.in_callbacks && self.steps == earlier.steps && self.polls == earlier.polls
    }
}

/// Raises a counter that only this thread writes.
#[inline]
fn raise(counter: &AtomicU64, by: u64) {
    let value = counter.load(Ordering::Relaxed);
    counter.store(value.wrapping_add(by), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_shows_what_was_counted() {
        let probe = Probe::new();
        probe.enter_callbacks();
        probe.step();
        probe.step();
        probe.polled();
        probe.slept(Duration::from_nanos(40));
        probe.slept(Duration::from_nanos(2));
        let sample = probe.sample();
        let expected = Sample {
            steps: 2,
            polls: 1,
            asleep: Duration::from_nanos(42),
            in_callbacks: true,
        };
        assert_eq!(sample, expected);
        probe.leave_callbacks();
        assert!(!probe.in_callbacks());
    }

    #[test]
    fn a_loop_is_stuck_when_the_same_handle_runs_in_two_samples() {
        let probe = Probe::new();
        let idle = probe.sample();
        assert!(!probe.sample().is_stuck_since(&idle));
        probe.enter_callbacks();
        probe.step();
        let running = probe.sample();
        assert!(!running.is_stuck_since(&idle));
        assert!(probe.sample().is_stuck_since(&running));
        probe.step();
        assert!(!probe.sample().is_stuck_since(&running));
        let running = probe.sample();
        probe.leave_callbacks();
        assert!(!probe.sample().is_stuck_since(&running));
    }
}
