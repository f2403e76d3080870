//! The loop's clock, and the points in time it speaks of.
//!
//! Everything in the engine that asks for the time goes through a [`Clock`], so that a test can
//! own time and a loop can be run at any speed. Only [`crate::PollBudget`] does not: it measures
//! work, which takes real time whatever the loop's clock says.
//!
//! Counterpart: `BaseEventLoop.time()`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A point in time: nanoseconds of the loop's clock, which is `CLOCK_MONOTONIC` unless a test
/// replaced it.
///
/// Differs from asyncio: an integer, so it cannot be NaN, and two deadlines are equal or not.
///
/// ```
/// use aioxide::Deadline;
/// use std::time::Duration;
///
/// let start = Deadline::from_nanos(500);
/// let end = start.saturating_add(Duration::from_nanos(250));
/// assert_eq!(end.as_nanos(), 750);
/// assert_eq!(start.saturating_duration_since(end), Duration::ZERO);
/// assert!(start < end && Deadline::NEVER.is_never());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Deadline(u64);

impl Deadline {
    /// The point that is never reached: later than every other.
    pub const NEVER: Deadline = Deadline(u64::MAX);

    /// Makes a deadline from nanoseconds of the clock.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Deadline;
    ///
    /// assert!(Deadline::from_nanos(1) < Deadline::from_nanos(2));
    /// ```
    #[inline]
    pub const fn from_nanos(nanos: u64) -> Deadline {
        Deadline(nanos)
    }

    /// Returns the nanoseconds of the clock.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Deadline;
    ///
    /// assert_eq!(Deadline::from_nanos(1_500).as_nanos(), 1_500);
    /// ```
    #[inline]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Returns whether this is [`Deadline::NEVER`].
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Deadline, now};
    ///
    /// assert!(Deadline::NEVER.is_never() && !now().is_never());
    /// ```
    #[inline]
    pub const fn is_never(self) -> bool {
        self.0 == u64::MAX
    }

    /// Returns the point `delay` later; [`Deadline::NEVER`] when that lies past the clock's range
    /// (584 years).
    ///
    /// # Examples
    /// ```
    /// use aioxide::Deadline;
    /// use std::time::Duration;
    ///
    /// let start = Deadline::from_nanos(500);
    /// assert_eq!(start.saturating_add(Duration::from_nanos(250)).as_nanos(), 750);
    /// assert!(start.saturating_add(Duration::MAX).is_never());
    /// ```
    #[inline]
    pub const fn saturating_add(self, delay: Duration) -> Deadline {
        let nanos = delay.as_nanos();
        if nanos >= (u64::MAX - self.0) as u128 {
            return Deadline::NEVER;
        }
        Deadline(self.0 + nanos as u64)
    }

    /// Returns the time from `earlier` to this point; zero when `earlier` is the later of the two.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Deadline;
    /// use std::time::Duration;
    ///
    /// let (early, late) = (Deadline::from_nanos(500), Deadline::from_nanos(750));
    /// assert_eq!(late.saturating_duration_since(early), Duration::from_nanos(250));
    /// assert_eq!(early.saturating_duration_since(late), Duration::ZERO);
    /// ```
    #[inline]
    pub const fn saturating_duration_since(self, earlier: Deadline) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Where a loop reads the time.
///
/// # Examples
/// ```
/// use aioxide::{Clock, Runner, get_running_loop, sleep};
/// use std::time::Duration;
///
/// let clock = Clock::manual(aioxide::Deadline::from_nanos(0));
/// let runner = Runner::builder().clock(clock.clone()).build().unwrap();
/// runner.run(async { sleep(Duration::from_secs(3600)).await }).unwrap();
/// assert_eq!(clock.now().as_nanos(), 3_600_000_000_000);
/// ```
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// `CLOCK_MONOTONIC`, as asyncio's `time.monotonic()`.
    #[default]
    Monotonic,
    /// A clock that stands still until it is advanced; all clones show the same time.
    ///
    /// The poller still waits in real time, so who uses this clock advances it to
    /// [`crate::Timers::next_deadline`] where a loop would wait for a timer.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// Makes a clock that stands at `start` until it is advanced.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Clock, Deadline};
    ///
    /// let start = Deadline::from_nanos(7);
    /// assert_eq!(Clock::manual(start).now(), start);
    /// ```
    pub fn manual(start: Deadline) -> Clock {
        Clock::Manual(Arc::new(AtomicU64::new(start.as_nanos())))
    }

    /// Reads the clock.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Clock;
    ///
    /// let clock = Clock::Monotonic;
    /// assert!(clock.now() <= clock.now());
    /// ```
    #[inline]
    pub fn now(&self) -> Deadline {
        match self {
            Clock::Monotonic => now(),
            Clock::Manual(nanos) => Deadline(nanos.load(Ordering::Relaxed)),
        }
    }

    /// Moves a manual clock forward to `to`, never back. Returns `false`, and does nothing, when
    /// the clock is not a manual one.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Clock, Deadline};
    ///
    /// let clock = Clock::manual(Deadline::from_nanos(0));
    /// assert!(clock.advance_to(Deadline::from_nanos(10)));
    /// assert_eq!(clock.now().as_nanos(), 10);
    /// assert!(!Clock::Monotonic.advance_to(Deadline::from_nanos(10)));
    /// ```
    pub fn advance_to(&self, to: Deadline) -> bool {
        match self {
            Clock::Monotonic => false,
            Clock::Manual(nanos) => {
                nanos.fetch_max(to.as_nanos(), Ordering::Relaxed);
                true
            }
        }
    }
}

/// Reads `CLOCK_MONOTONIC`, the clock of every loop that was not given another.
///
/// # Examples
/// ```
/// let start = aioxide::now();
/// std::thread::sleep(std::time::Duration::from_millis(1));
/// assert!(aioxide::now().saturating_duration_since(start).as_micros() >= 1000);
/// ```
#[inline]
pub fn now() -> Deadline {
    let time = clock_gettime(ClockId::Monotonic);
    // The monotonic clock starts near zero at boot, so both parts are positive and 64 bits hold
    // 584 years of nanoseconds.
    Deadline((time.tv_sec as u64) * NANOS_PER_SECOND + time.tv_nsec as u64)
}

/// Nanoseconds in a second.
const NANOS_PER_SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_does_not_go_back() {
        let first = now();
        let second = now();
        assert!(first.as_nanos() > 0);
        assert!(second >= first);
    }

    #[test]
    fn adding_past_the_range_is_never() {
        let start = Deadline::from_nanos(1_000);
        assert_eq!(
            start.saturating_add(Duration::from_nanos(5)),
            Deadline::from_nanos(1_005)
        );
        assert_eq!(start.saturating_add(Duration::MAX), Deadline::NEVER);
        assert_eq!(start.saturating_add(Duration::from_nanos(u64::MAX)), Deadline::NEVER);
        assert_eq!(Deadline::NEVER.saturating_add(Duration::ZERO), Deadline::NEVER);
        let last = Deadline::from_nanos(u64::MAX - 1);
        assert_eq!(last.saturating_add(Duration::ZERO), last);
        assert_eq!(last.saturating_add(Duration::from_nanos(1)), Deadline::NEVER);
    }

    #[test]
    fn a_duration_since_a_later_point_is_zero() {
        let early = Deadline::from_nanos(10);
        let late = Deadline::from_nanos(25);
        assert_eq!(late.saturating_duration_since(early), Duration::from_nanos(15));
        assert_eq!(early.saturating_duration_since(late), Duration::ZERO);
    }

    #[test]
    fn a_manual_clock_moves_only_forward_and_for_all_its_clones() {
        let clock = Clock::manual(Deadline::from_nanos(100));
        let clone = clock.clone();
        assert_eq!(clone.now(), Deadline::from_nanos(100));
        assert!(clock.advance_to(Deadline::from_nanos(300)));
        assert_eq!(clone.now(), Deadline::from_nanos(300));
        assert!(clock.advance_to(Deadline::from_nanos(200)));
        assert_eq!(clone.now(), Deadline::from_nanos(300));
        assert!(!Clock::default().advance_to(Deadline::NEVER));
    }
}
