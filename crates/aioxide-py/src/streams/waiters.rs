//! The futures that readers and writers wait for, and the attributes that hold them.

#![forbid(unsafe_code)]

use pyo3::prelude::*;

use crate::futures::{self, FutureBody, FutureLike};
use crate::object::{BodyOf, Owned, Slot, as_exact};

/// Ends a waiter's future, unless it is done: it was cancelled.
#[inline]
pub fn finish_waiter(waiter: &Bound<'_, PyAny>, exception: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    let py = waiter.py();
    if let Some(native) = as_exact::<FutureBody>(waiter) {
        return match exception {
            _ if native.body().future().done() => Ok(()),
            None => futures::set_result(native, Owned::from(py.None().into_bound(py))),
            Some(exception) => futures::set_exception(native, exception),
        };
    }
    if waiter.call_method0(pyo3::intern!(py, "done"))?.is_truthy()? {
        return Ok(());
    }
    match exception {
        None => waiter.call_method1(pyo3::intern!(py, "set_result"), (py.None(),)),
        Some(exception) => waiter.call_method1(pyo3::intern!(py, "set_exception"), (exception,)),
    }
    .map(drop)
}

/// Puts what was assigned to an attribute into its slot, which is empty for `None`.
pub fn assign(slot: &Slot, value: &Bound<'_, PyAny>) {
    if value.is_none() {
        slot.clear();
    } else {
        slot.set(Owned::new(value));
    }
}
