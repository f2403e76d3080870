//! `PollBudget`: how much may run before the poller is asked again.
//!
//! A poll that finds nothing costs 160-250 ns, more than a task switch (about 95 ns). So while handles
//! are ready the loop polls after a bounded amount of work, not after each pass over the queue.
//!
//! Reading the clock costs 20-30 ns, so it is read after every `stride` handles only. The stride
//! doubles while handles are quick and falls back to one as soon as they are slow.
//!
//! `benches/engine.rs` (`budget`) has the numbers: about 3 ns for each handle, all looks included.

use std::time::Duration;

use crate::clock::{Deadline, now};

/// Decides when a loop with ready handles must poll.
///
/// # Fairness
/// With [`PollPolicy::Adaptive`], a ready descriptor or timer waits for no more than
/// [`PollBudget::MAX_ENTRIES`] (64) handles, and no longer than [`PollBudget::MAX_WORK`] (26 us) plus
/// the time of the handles up to the next look at the clock. That is one handle when handles have
/// been slow (over 2 us) lately, and [`PollBudget::MAX_STRIDE`] (16) at the worst: when a stretch of
/// quick handles suddenly turns slow.
///
/// # Examples
/// ```
/// use aioxide::{PollBudget, PollPolicy, now};
///
/// let mut budget = PollBudget::new(PollPolicy::Adaptive);
/// budget.restart(now());
/// let handles = (1..=PollBudget::MAX_ENTRIES).find(|_| budget.should_poll());
/// assert!(handles.is_some(), "a poll is due after 64 handles, or sooner");
/// ```
#[derive(Debug)]
pub struct PollBudget {
    policy: PollPolicy,
    /// Handles until the next look, at the clock or at the count.
    countdown: u32,
    /// Handles between the last look and the next.
    stretch: u32,
    /// Handles that may still run before a poll, those of the stretch included.
    entries_left: u32,
    /// Handles between two looks at the clock.
    stride: u32,
    /// When the last look was.
    looked: Deadline,
    /// When the work must stop for a poll.
    until: Deadline,
}

impl PollBudget {
    /// Handles that may run before a poll.
    pub const MAX_ENTRIES: u32 = 64;

    /// Time that may pass before a poll.
    pub const MAX_WORK: Duration = Duration::from_micros(26);

    /// Handles that may run without a look at the clock.
    pub const MAX_STRIDE: u32 = 16;

    /// Makes a budget that is used up: the first handle is followed by a poll.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{PollBudget, PollPolicy};
    ///
    /// assert!(PollBudget::new(PollPolicy::Adaptive).should_poll());
    /// ```
    pub const fn new(policy: PollPolicy) -> PollBudget {
        PollBudget {
            policy,
            countdown: 1,
            stretch: 1,
            entries_left: 1,
            stride: 1,
            looked: Deadline::from_nanos(0),
            until: Deadline::from_nanos(0),
        }
    }

    /// Fills the budget after a poll that ended at `now`, a time of [`crate::now`]. With
    /// [`PollPolicy::Strict`] it holds one handle; see [`PollBudget::restart_with`].
    ///
    /// # Examples
    /// ```
    /// use aioxide::{PollBudget, PollPolicy, now};
    ///
    /// let mut budget = PollBudget::new(PollPolicy::Strict);
    /// budget.restart(now());
    /// assert!(budget.should_poll());
    /// ```
    #[inline]
    pub fn restart(&mut self, now: Deadline) {
        self.restart_with(now, 1);
    }

    /// Fills the budget after a poll that ended at `now`, when `ready` handles are in the queue.
    /// With [`PollPolicy::Strict`] the budget is those handles.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{PollBudget, PollPolicy, now};
    ///
    /// let mut budget = PollBudget::new(PollPolicy::Strict);
    /// budget.restart_with(now(), 2);
    /// assert!(!budget.should_poll());
    /// assert!(budget.should_poll(), "both have run");
    /// ```
    #[inline]
    pub fn restart_with(&mut self, now: Deadline, ready: usize) {
        match self.policy {
            PollPolicy::Adaptive => {
                self.looked = now;
                self.until = now.saturating_add(PollBudget::MAX_WORK);
                self.entries_left = PollBudget::MAX_ENTRIES;
                self.begin_stretch(self.stride);
            }
            PollPolicy::Strict => {
                self.entries_left = u32::try_from(ready).unwrap_or(u32::MAX).max(1);
                self.begin_stretch(self.entries_left);
            }
        }
    }

    /// Counts a handle that has run; returns whether the loop must poll before the next one.
    ///
    /// A loop that first ends its pass over the queue is told once, and again when as much has run once
    /// more: not after each handle, which would read the clock for each.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{PollBudget, PollPolicy, now};
    ///
    /// let mut budget = PollBudget::new(PollPolicy::Strict);
    /// budget.restart_with(now(), 3);
    /// assert_eq!([(); 3].map(|()| budget.should_poll()), [false, false, true]);
    /// ```
    #[inline]
    pub fn should_poll(&mut self) -> bool {
        self.countdown = self.countdown.saturating_sub(1);
        self.countdown == 0 && self.look(now)
    }

    /// Returns the policy.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{PollBudget, PollPolicy};
    ///
    /// assert_eq!(PollBudget::new(PollPolicy::Strict).policy(), PollPolicy::Strict);
    /// ```
    pub const fn policy(&self) -> PollPolicy {
        self.policy
    }

    #[inline]
    fn begin_stretch(&mut self, entries: u32) {
        self.stretch = entries.min(self.entries_left);
        self.countdown = self.stretch;
    }

    /// Ends a stretch: decides, or plans the next one.
    #[inline(never)]
    fn look(&mut self, clock: impl FnOnce() -> Deadline) -> bool {
        self.entries_left = self.entries_left.saturating_sub(self.stretch);
        if self.policy == PollPolicy::Strict {
            return self.entries_left == 0;
        }
        let now = clock();
        let spent = now.saturating_duration_since(self.looked);
        self.looked = now;
        self.stride = if spent > SLOW_ENTRY * self.stretch {
            1
        } else {
            (self.stride * 2).min(PollBudget::MAX_STRIDE)
        };
        let is_spent = self.entries_left == 0 || now >= self.until;
        if is_spent {
            self.until = now.saturating_add(PollBudget::MAX_WORK);
            self.entries_left = PollBudget::MAX_ENTRIES;
        }
        self.begin_stretch(self.stride);
        is_spent
    }
}

/// How often a loop with ready handles polls.
///
/// # Examples
/// ```
/// use aioxide::{PollPolicy, Runner};
///
/// let runner = Runner::builder().polling(PollPolicy::Strict).build().unwrap();
/// assert_eq!(runner.run(async { 42 }), 42);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PollPolicy {
    /// After a bounded amount of work.
    #[default]
    Adaptive,
    /// After each pass over what was ready when the pass began, as asyncio does.
    Strict,
}

/// A handle that takes longer makes the budget read the clock after each one. A look costs about
/// 1 % of that.
const SLOW_ENTRY: Duration = Duration::from_micros(2);

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs handles of `cost` on a clock that only they move, until the budget wants a poll.
    fn run(budget: &mut PollBudget, time: &mut u64, mut cost: impl FnMut(u32) -> u64) -> u32 {
        budget.restart_with(Deadline::from_nanos(*time), 5);
        for entry in 1.. {
            *time += cost(entry);
            budget.countdown -= 1;
            if budget.countdown == 0 && budget.look(|| Deadline::from_nanos(*time)) {
                return entry;
            }
        }
        unreachable!("a budget ends")
    }

    #[test]
    fn quick_handles_are_followed_by_a_poll_after_64() {
        let mut budget = PollBudget::new(PollPolicy::Adaptive);
        let mut time = 0;
        for _ in 0..10 {
            assert_eq!(run(&mut budget, &mut time, |_| 100), 64);
        }
        assert_eq!(budget.stride, PollBudget::MAX_STRIDE);
    }

    #[test]
    fn slow_handles_are_followed_by_a_poll_after_26_us_and_one_handle() {
        let mut budget = PollBudget::new(PollPolicy::Adaptive);
        let mut time = 0;
        for cost in [3_000, 26_000, 30_000, 10_000_000] {
            run(&mut budget, &mut time, |_| cost);
            let entries = run(&mut budget, &mut time, |_| cost);
            assert_eq!(u64::from(entries), 26_000_u64.div_ceil(cost), "{cost} ns");
        }
    }

    #[test]
    fn handles_that_turn_slow_are_noticed_within_one_stride() {
        for quick in 0..64 {
            let mut budget = PollBudget::new(PollPolicy::Adaptive);
            let mut time = 0;
            run(&mut budget, &mut time, |_| 100);
            let cost = |entry| if entry <= quick { 100 } else { 50_000 };
            let entries = run(&mut budget, &mut time, cost);
            assert!(entries <= quick + PollBudget::MAX_STRIDE);
        }
    }

    #[test]
    fn no_budget_exceeds_its_published_bound() {
        let mut budget = PollBudget::new(PollPolicy::Adaptive);
        let mut time = 0;
        let mut seed = 88_172_645_463_325_252_u64;
        for _ in 0..20_000 {
            let mut costs = Vec::new();
            let entries = run(&mut budget, &mut time, |_| {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                costs.push(1 << (seed % 20));
                costs[costs.len() - 1]
            });
            assert!(entries <= PollBudget::MAX_ENTRIES);
            let late = costs.len().saturating_sub(PollBudget::MAX_STRIDE as usize);
            let before: u64 = costs[..late].iter().sum();
            assert!(before < PollBudget::MAX_WORK.as_nanos() as u64);
        }
    }

    #[test]
    fn strict_polls_after_what_was_ready() {
        let mut budget = PollBudget::new(PollPolicy::Strict);
        let mut time = 0;
        assert_eq!(run(&mut budget, &mut time, |_| 100), 5);
        assert_eq!(run(&mut budget, &mut time, |_| 50_000_000), 5);
        budget.restart_with(now(), 0);
        assert!(budget.should_poll());
        budget.restart_with(now(), 100_000);
        assert_eq!((0..).position(|_| budget.should_poll()), Some(99_999));
    }

    #[test]
    fn a_new_budget_is_used_up() {
        assert!(PollBudget::new(PollPolicy::Adaptive).should_poll());
        assert!(PollBudget::new(PollPolicy::Strict).should_poll());
    }

    #[test]
    fn a_strict_budget_that_is_exhausted_stays_so() {
        let mut budget = PollBudget::new(PollPolicy::Strict);
        assert!((0..100).all(|_| budget.should_poll()));
    }

    #[test]
    fn a_pass_that_goes_on_is_told_again_after_as_much_work() {
        let mut budget = PollBudget::new(PollPolicy::Adaptive);
        let clock = || Deadline::from_nanos(0);
        budget.restart(clock());
        for _ in 0..3 {
            let told = (1..).find(|_| {
                budget.countdown -= 1;
                budget.countdown == 0 && budget.look(clock)
            });
            assert_eq!(told, Some(PollBudget::MAX_ENTRIES));
        }
    }
}
