//! The loop's poller, watched by tokio's.

use std::io;
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::poller::Poller;

/// A poller that tokio watches.
pub(crate) type NestedPoller = AsyncFd<Arc<Poller>>;

/// Registers a poller with the running tokio runtime.
pub(crate) fn nest(poller: Arc<Poller>) -> io::Result<NestedPoller> {
    // SAFETY: the descriptor must stay open, and stay the same, as long as the registration lasts. The
    // poller owns it and never changes it, and the registration owns a reference to the poller.
    let nested = unsafe { AsyncFd::register_with_interest(poller, Interest::READABLE) };
    Ok(nested?)
}
