//! `shield()`: a future that ends with another, and whose cancellation does not reach that.
//!
//! The outer future is an ordinary one. A `Shield` listens to both: to the inner one, to pass its outcome on, and to
//! the outer one, to stop listening when that was cancelled first. Each hears one turn after the end, as in asyncio.
//!
//! ```text
//!   caller --awaits--> outer <──outcome── Shield <──tells── inner
//! ```
//! Where the loop is not ours, or what is shielded is no native future, asyncio's own `shield` does the work.

#![forbid(unsafe_code)]

use pyo3::prelude::*;
use pyo3::types::PyType;

use super::listeners::future_state;
use crate::events::LoopBody;
use crate::futures::{self, Callback, FutureBody, FutureLike, FutureState, State};
use crate::imports::imports;
use crate::object::{
    Args, Body, BodyOf, Layout, Native, Owned, Returned, Slot, TypeBuilder, Visitor, as_exact, as_native, compat,
    create,
};
use crate::tasks;

/// The body of a shield.
pub struct ShieldBody {
    inner: Slot,
    /// A native future of ours.
    outer: Slot,
    /// The task that called `shield()`, which is known to await the inner future (3.14).
    caller: Slot,
}

/// What listens between the two futures.
pub type Shield = Native<ShieldBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for ShieldBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            inner: Slot::empty(),
            outer: Slot::empty(),
            caller: Slot::empty(),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        for slot in [&self.inner, &self.outer, &self.caller] {
            visitor.slot(slot);
        }
    }

    fn clear(&self) {
        for slot in [&self.inner, &self.outer, &self.caller] {
            slot.clear();
        }
    }
}

/// Makes the type.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    TypeBuilder::new().finish::<ShieldBody>(
        py,
        c"aioxide._aioxide._Shield",
        c"What listens for shield() to both futures.",
        None,
        false,
    )
}

/// `shield(arg)`.
///
/// # Errors
/// TypeError for what is not awaitable.
pub fn shield<'py>(args: Args<'_, 'py>) -> Returned<'py> {
    let py = args.py();
    let [given] = args.bind("shield", ["arg"], 1, 1)?;
    let given = given.map_or_else(|| py.None().into_bound(py), Bound::clone);
    let inner = inner_of(&given)?;
    let Some(outer) = outer_for(&inner)? else {
        return imports(py)?.shield.bind(py).call1((inner,));
    };
    let body = ShieldBody::empty();
    body.inner.set(Owned::new(&inner));
    body.outer.set(Owned::new(outer.as_any()));
    if compat::TASKS_ARE_PUBLISHED
        && let Some(caller) = tasks::stepping_task(py)?
    {
        tasks::awaiters::add(&inner, &caller)?;
        body.caller.set(caller.into());
    }
    let this = create(py, body)?;
    future_state(&inner, |state| state.callbacks.push(callback(&this)));
    outer.body().future().callbacks.push(callback(&this));
    Ok(outer.into_any())
}

/// The future of what is to be shielded: itself, or a task for a coroutine.
fn inner_of<'py>(given: &Bound<'py, PyAny>) -> Returned<'py> {
    let py = given.py();
    if future_state(given, |_| ()).is_some() {
        return Ok(given.clone());
    }
    imports(py)?.ensure_future.bind(py).call1((given,))
}

/// A new future, if a pending native one of our loop is to be shielded.
fn outer_for<'py>(inner: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, Native<FutureBody>>>> {
    let py = inner.py();
    if future_state(inner, FutureState::done) != Some(false) {
        return Ok(None);
    }
    let event_loop = future_state(inner, |state| state.require_loop(py)).transpose()?;
    let Some(event_loop) = event_loop else {
        return Ok(None);
    };
    if !as_native::<LoopBody>(&event_loop).is_some_and(|native| native.body().is_direct()) {
        return Ok(None);
    }
    let outer = event_loop.call_method0(pyo3::intern!(py, "create_future"))?;
    Ok(as_exact::<FutureBody>(&outer).cloned())
}

fn callback(this: &Bound<'_, Shield>) -> Callback {
    Callback {
        callable: Owned::new(this.as_any()),
        context: None,
    }
}

/// One of the two futures has ended.
///
/// # Errors
/// Of the loop, if it was closed.
pub fn told(this: &Bound<'_, Shield>, child: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    let outer = body.outer.get_or_none(py);
    if child.is(&outer) {
        return outer_done(this);
    }
    awaited_no_more(this, child)?;
    let Ok(outer) = outer.cast::<Native<FutureBody>>() else {
        return Ok(());
    };
    let Some(state) = future_state(child, |state| state.state.get()) else {
        return Ok(());
    };
    if outer.body().future().state.get() == State::Cancelled {
        // Both ended in the same turn. Before 3.14 what the inner one failed with counts as read.
        if imports(py)?.log_on_exception.is_none() {
            future_state(child, |state| state.log_traceback.set(false));
        }
        return Ok(());
    }
    match state {
        State::Cancelled => futures::cancel(outer, None).map(drop),
        State::Exception => {
            let exception = future_state(child, |state| state.exception(py)).transpose()?;
            exception.map_or(Ok(()), |exception| futures::set_exception(outer, &exception))
        }
        State::Result | State::Pending => {
            let result = future_state(child, |state| state.result(py)).transpose()?;
            result.map_or(Ok(()), |result| futures::set_result(outer, Owned::new(&result)))
        }
    }
}

/// The outer future ended first: whoever waited does not any more.
fn outer_done(this: &Bound<'_, Shield>) -> PyResult<()> {
    let py = this.py();
    let inner = this.body().inner.get_or_none(py);
    if future_state(&inner, FutureState::done) != Some(false) {
        return Ok(());
    }
    future_state(&inner, |state| state.callbacks.forget(this));
    if let Some(log) = &imports(py)?.log_on_exception {
        // Once, however many shields there were.
        inner.call_method1("remove_done_callback", (log,))?;
        inner.call_method1("add_done_callback", (log,))?;
    }
    awaited_no_more(this, &inner)
}

fn awaited_no_more(this: &Bound<'_, Shield>, inner: &Bound<'_, PyAny>) -> PyResult<()> {
    let Some(caller) = this.body().caller.take() else {
        return Ok(());
    };
    tasks::awaiters::discard(inner, caller.bind(this.py()))
}
