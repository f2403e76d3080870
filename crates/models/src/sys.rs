//! The engine's `sys`, for loom: its atomics and locks, and an eventfd without a kernel.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;

use loom::sync::{Condvar, Mutex};

/// What the engine takes from `std::sync`.
pub mod sync {
    pub use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, fence};
    pub use loom::sync::{Mutex, MutexGuard};
}

loom::lazy_static! {
    static ref OPEN: Mutex<Vec<Arc<Descriptor>>> = Mutex::new(Vec::new());
}

/// A descriptor that becomes readable when it is signalled, until it is cleared.
#[derive(Debug)]
pub struct WakeFd {
    descriptor: Arc<Descriptor>,
    number: RawFd,
}

impl WakeFd {
    /// Opens a descriptor that is not signalled.
    ///
    /// # Errors
    /// None; the kernel has some.
    pub fn new() -> io::Result<WakeFd> {
        let descriptor = Arc::new(Descriptor {
            is_readable: Mutex::new(false),
            signalled: Condvar::new(),
        });
        let mut open = locked(&OPEN);
        open.push(Arc::clone(&descriptor));
        let number = RawFd::try_from(open.len() - 1).map_err(io::Error::other)?;
        Ok(WakeFd { descriptor, number })
    }

    /// Makes the descriptor readable.
    ///
    /// # Errors
    /// None; the kernel has some.
    pub fn signal(&self) -> io::Result<()> {
        *locked(&self.descriptor.is_readable) = true;
        self.descriptor.signalled.notify_one();
        Ok(())
    }

    /// Makes the descriptor unreadable; returns whether it was readable.
    pub fn clear(&self) -> bool {
        std::mem::take(&mut *locked(&self.descriptor.is_readable))
    }

    /// Returns the descriptor's number.
    pub fn as_raw_fd(&self) -> RawFd {
        self.number
    }
}

/// Returns the descriptor with a number, for a loop to wait on.
///
/// # Panics
/// When there is none.
pub fn descriptor(number: RawFd) -> Arc<Descriptor> {
    let number = usize::try_from(number).expect("descriptors count from zero");
    Arc::clone(&locked(&OPEN)[number])
}

/// What the kernel keeps of a descriptor.
#[derive(Debug)]
pub struct Descriptor {
    is_readable: Mutex<bool>,
    signalled: Condvar,
}

impl Descriptor {
    /// Waits until the descriptor is readable.
    pub fn wait(&self) {
        let mut is_readable = locked(&self.is_readable);
        while !*is_readable {
            is_readable = self
                .signalled
                .wait(is_readable)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// Whether the descriptor is readable.
    pub fn is_readable(&self) -> bool {
        *locked(&self.is_readable)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> loom::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
