//! `prefetch`: asks the processor for memory that is needed soon.

/// Has the processor fetch the cache line at `address`, on processors that take such a hint. It changes nothing but time:
/// the address need not be valid.
///
/// For loops that run one object after the other, each somewhere else in memory.
///
/// # Examples
/// ```
/// let next = 7;
/// aioxide::prefetch(&raw const next);
/// ```
#[inline]
pub fn prefetch<T>(address: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint: no address faults, and nothing is read or written that a program could see.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    {
        let _ = address;
    }
}
