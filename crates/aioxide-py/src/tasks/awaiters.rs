//! Who awaits whom, for asyncio's call graph (3.14): `print_call_graph`, `python -m asyncio pstree`.
//!
//! Called only where `compat::TASKS_ARE_PUBLISHED`. One native task that waits for one native future is written down
//! directly; all else is `_asyncio`'s affair.
//! Counterpart: `future_add_to_awaited_by` and `future_discard_from_awaited_by` in `Lib/asyncio/futures.py`.

#![forbid(unsafe_code)]

use pyo3::prelude::*;

use super::TaskBody;
use crate::futures::FutureBody;
use crate::gather::GatherBody;
use crate::imports::imports;
use crate::object::{as_exact, published};

/// Notes that `waiter` waits for `future`.
///
/// # Errors
/// Of `_asyncio`, which has no memory.
#[inline]
pub fn add(future: &Bound<'_, PyAny>, waiter: &Bound<'_, PyAny>) -> PyResult<()> {
    if as_exact::<TaskBody>(waiter).is_some() && noted(future, waiter) {
        return Ok(());
    }
    let add = &imports(future.py())?.add_to_awaited_by;
    add.bind(future.py()).call1((future, waiter)).map(drop)
}

/// Takes back what `add` said.
///
/// # Errors
/// Of `_asyncio`.
#[inline]
pub fn discard(future: &Bound<'_, PyAny>, waiter: &Bound<'_, PyAny>) -> PyResult<()> {
    if forgotten(future, waiter) {
        return Ok(());
    }
    let discard = &imports(future.py())?.discard_from_awaited_by;
    discard.bind(future.py()).call1((future, waiter)).map(drop)
}

#[inline]
fn noted(future: &Bound<'_, PyAny>, waiter: &Bound<'_, PyAny>) -> bool {
    if let Some(future) = as_exact::<FutureBody>(future) {
        return published::note_waiter(future, waiter);
    }
    if let Some(task) = as_exact::<TaskBody>(future) {
        return published::note_waiter(task, waiter);
    }
    as_exact::<GatherBody>(future).is_some_and(|gatherer| published::note_waiter(gatherer, waiter))
}

#[inline]
fn forgotten(future: &Bound<'_, PyAny>, waiter: &Bound<'_, PyAny>) -> bool {
    if let Some(future) = as_exact::<FutureBody>(future) {
        return published::forget_waiter(future, waiter);
    }
    if let Some(task) = as_exact::<TaskBody>(future) {
        return published::forget_waiter(task, waiter);
    }
    as_exact::<GatherBody>(future).is_some_and(|gatherer| published::forget_waiter(gatherer, waiter))
}
