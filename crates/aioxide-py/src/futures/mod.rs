//! `Future`: a result that does not exist yet.
//!
//! Counterpart: `Lib/asyncio/futures.py`. `Future` extends `_asyncio.Future`, so that `isinstance` stays true
//! everywhere; every method and attribute of the base is overridden, and the base's struct is never used.

#![forbid(unsafe_code)]

mod attributes;
mod callbacks;
mod iterator;
mod methods;
mod state;

pub use attributes::future_attributes;
pub use callbacks::Callback;
pub use iterator::{build as build_iterator, stop_iteration, thrown};
pub use methods::{build, finalize_unread_exception, future_methods, repr};
pub use state::{FutureLike, FutureState, State, cancel, is_debug, schedule, set_exception, set_result};

use crate::object::{Body, Layout, Native, Visitor};

/// The body of a `Future`.
pub struct FutureBody {
    state: FutureState,
}

/// A native future.
pub type Future = Native<FutureBody>;

static LAYOUT: Layout = Layout::unset();

impl FutureBody {
    /// A pending future of a loop.
    pub fn pending(event_loop: &pyo3::Bound<'_, pyo3::PyAny>) -> Self {
        Self {
            state: FutureState::pending(event_loop),
        }
    }
}

impl Body for FutureBody {
    const KEPT: usize = 1024;

    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            state: FutureState::empty(),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        self.state.traverse(visitor);
    }

    fn clear(&self) {
        self.state.clear();
    }

    fn needs_finalize(&self) -> bool {
        self.state.log_traceback.get()
    }

    fn finalize(this: &pyo3::Bound<'_, Native<Self>>) {
        finalize_unread_exception(this);
    }
}

impl FutureLike for FutureBody {
    fn future(&self) -> &FutureState {
        &self.state
    }
}
