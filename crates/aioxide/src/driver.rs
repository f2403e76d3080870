//! `Driver`: what sleeps in the loop's place when a runtime of another library is on its thread.
//!
//! A loop that has a driver asks it to sleep instead of its own poller, and gives it the poller's descriptor to
//! watch: so the other runtime's timers and sockets are served on the loop's thread, and the loop's by it.

use std::os::fd::RawFd;

/// The calls of a driver. They are made on the loop's thread only and must not unwind.
///
/// Laid out as C does, for it passes from one extension module to another, each with its own copy of this crate.
///
/// # Examples
/// ```
/// use aioxide::Driver;
///
/// extern "C" fn wants() -> bool {
///     false // Nothing to do: the loop waits by itself.
/// }
/// extern "C" fn park(_poller: std::os::fd::RawFd, _nanos: u64) {}
/// extern "C" fn unparked() {}
///
/// let driver = Driver { version: Driver::VERSION, wants, park, unparked };
/// assert!(!(driver.wants)());
/// ```
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Driver {
    /// [`Driver::VERSION`] of who made it.
    pub version: u32,
    /// Whether the runtime has anything to do; if not, the loop waits by itself.
    pub wants: extern "C" fn() -> bool,
    /// Runs the runtime until `poller` is readable, `nanos` nanoseconds have passed ([`Driver::FOREVER`]: no
    /// limit; 0: look once) or a future was woken. The GIL is not held.
    pub park: extern "C" fn(poller: RawFd, nanos: u64),
    /// Called after `park`, with the GIL held: hands on what was woken meanwhile.
    pub unparked: extern "C" fn(),
}

impl Driver {
    /// The layout and the meaning of this struct.
    pub const VERSION: u32 = 1;

    /// No limit.
    pub const FOREVER: u64 = u64::MAX;

    /// The name of the capsule in which a driver is handed over.
    pub const CAPSULE: &'static std::ffi::CStr = c"aioxide.Driver";
}
