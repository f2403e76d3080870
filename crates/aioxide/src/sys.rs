//! The only folder of the engine with `unsafe` in it, and one of the two with platform `cfg`s.

#![expect(
    unsafe_code,
    reason = "std offers no safe way from a number to a borrowed descriptor"
)]

mod descriptor;
mod wake;

pub(crate) use descriptor::with_descriptor;
pub(crate) use wake::WakeFd;
