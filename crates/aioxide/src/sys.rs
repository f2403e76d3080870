//! The only folder of the engine with `unsafe` in it, and one of the two with platform `cfg`s.

#![expect(
    unsafe_code,
    reason = "std offers no safe way from a number to a borrowed descriptor, nor to a scoped thread-local"
)]

pub(crate) mod current;
mod descriptor;
#[cfg(feature = "tokio")]
mod nested;
mod prefetch;
#[cfg(feature = "tokio")]
mod timer;
mod wake;

pub(crate) use descriptor::with_descriptor;
#[cfg(feature = "tokio")]
pub(crate) use nested::{NestedPoller, nest};
pub use prefetch::prefetch;
#[cfg(feature = "tokio")]
pub(crate) use timer::TimerFd;
pub(crate) use wake::WakeFd;
