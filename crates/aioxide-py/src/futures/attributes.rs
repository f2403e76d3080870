//! The private attributes of asyncio's futures, which libraries and asyncio itself read.

#![forbid(unsafe_code)]

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyString};

use super::state::{FutureLike, State, callbacks_list};
use crate::object::{BodyOf, Native, Owned, Returned, Slot, TypeBuilder, getter, getter_setter};

/// Adds the attributes that `Future` and `Task` have in common.
pub fn future_attributes<B: FutureLike>(builder: TypeBuilder) -> TypeBuilder {
    builder
        .attribute(getter(c"_state", state::<B>))
        .attribute(getter_setter(
            c"_asyncio_future_blocking",
            blocking::<B>,
            set_blocking::<B>,
        ))
        .attribute(getter(c"_loop", event_loop::<B>))
        .attribute(getter(c"_callbacks", callbacks_list::<B>))
        .attribute(getter(c"_result", result::<B>))
        .attribute(getter(c"_exception", exception::<B>))
        .attribute(getter_setter(
            c"_log_traceback",
            log_traceback::<B>,
            set_log_traceback::<B>,
        ))
        .attribute(getter(c"_source_traceback", source_traceback::<B>))
        .attribute(getter_setter(
            c"_cancel_message",
            cancel_message::<B>,
            set_cancel_message::<B>,
        ))
        .attribute(getter(c"_cancelled_exc", cancelled_error::<B>))
}

fn boolean(py: Python<'_>, value: bool) -> Bound<'_, PyAny> {
    PyBool::new(py, value).to_owned().into_any()
}

fn state<'py, B: FutureLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    let py = this.py();
    let name: &Bound<'py, PyString> = match this.body().future().state.get() {
        State::Pending => pyo3::intern!(py, "PENDING"),
        State::Cancelled => pyo3::intern!(py, "CANCELLED"),
        State::Result | State::Exception => pyo3::intern!(py, "FINISHED"),
    };
    Ok(name.clone().into_any())
}

fn blocking<'py, B: FutureLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    let future = this.body().future();
    Ok(boolean(this.py(), future.blocking.get()))
}

fn set_blocking<B: FutureLike>(this: &Bound<'_, Native<B>>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let value = value.is_truthy()?;
    this.body().future().blocking.set(value);
    Ok(())
}

fn event_loop<'py, B: FutureLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    Ok(this.body().future().event_loop.get_or_none(this.py()))
}

fn result<'py, B: FutureLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    let future = this.body().future();
    Ok(match future.state.get() {
        State::Result => future.outcome.get_or_none(this.py()),
        _ => this.py().None().into_bound(this.py()),
    })
}

fn exception<'py, B: FutureLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    let future = this.body().future();
    Ok(match future.state.get() {
        State::Exception => future.outcome.get_or_none(this.py()),
        _ => this.py().None().into_bound(this.py()),
    })
}

fn log_traceback<'py, B: FutureLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    Ok(boolean(this.py(), this.body().future().log_traceback.get()))
}

fn set_log_traceback<B: FutureLike>(this: &Bound<'_, Native<B>>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    if value.is_truthy()? {
        return Err(PyValueError::new_err("_log_traceback can only be set to False"));
    }
    this.body().future().log_traceback.set(false);
    Ok(())
}

fn rare<'py, B: FutureLike>(
    this: &Bound<'py, Native<B>>,
    slot: impl Fn(&super::state::Rare) -> &Slot,
) -> Bound<'py, PyAny> {
    let py = this.py();
    this.body()
        .future()
        .rare()
        .and_then(|rare| slot(rare).get(py))
        .unwrap_or_else(|| py.None().into_bound(py))
}

fn source_traceback<'py, B: FutureLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    Ok(rare(this, |rare| &rare.source_traceback))
}

fn cancel_message<'py, B: FutureLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    Ok(rare(this, |rare| &rare.cancel_message))
}

fn set_cancel_message<B: FutureLike>(this: &Bound<'_, Native<B>>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    this.body().future().rare_mut().cancel_message.set(Owned::new(value));
    Ok(())
}

fn cancelled_error<'py, B: FutureLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    Ok(rare(this, |rare| &rare.cancelled_error))
}
