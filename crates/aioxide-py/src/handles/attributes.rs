//! The attributes behind asyncio's slots of the same names.

#![forbid(unsafe_code)]

use pyo3::prelude::*;
use pyo3::types::PyBool;

use super::{HandleLike, HandleState};
use crate::object::{BodyOf, Native, Owned, Returned, Slot, TypeBuilder, context_in, getter_setter};

/// Adds the attributes that both kinds of handle have.
pub fn handle_attributes<B: HandleLike>(builder: TypeBuilder) -> TypeBuilder {
    builder
        .attribute(getter_setter(c"_callback", callback::<B>, set_callback::<B>))
        .attribute(getter_setter(c"_args", arguments::<B>, set_arguments::<B>))
        .attribute(getter_setter(c"_context", context::<B>, set_context::<B>))
        .attribute(getter_setter(c"_loop", event_loop::<B>, set_event_loop::<B>))
        .attribute(getter_setter(c"_cancelled", cancelled::<B>, set_cancelled::<B>))
        .attribute(getter_setter(
            c"_source_traceback",
            source_traceback::<B>,
            set_source_traceback::<B>,
        ))
        .attribute(getter_setter(c"_repr", repr::<B>, set_repr::<B>))
}

fn read<'py, B: HandleLike>(this: &Bound<'py, Native<B>>, slot: fn(&HandleState) -> &Slot) -> Returned<'py> {
    Ok(slot(this.body().handle()).get_or_none(this.py()))
}

fn write<B: HandleLike>(
    this: &Bound<'_, Native<B>>,
    value: &Bound<'_, PyAny>,
    slot: fn(&HandleState) -> &Slot,
) -> PyResult<()> {
    let slot = slot(this.body().handle());
    if value.is_none() {
        slot.clear();
    } else {
        slot.set(Owned::new(value));
    }
    Ok(())
}

fn callback<'py, B: HandleLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    read(this, |handle| &handle.callback)
}

fn set_callback<B: HandleLike>(this: &Bound<'_, Native<B>>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    write(this, value, |handle| &handle.callback)
}

fn arguments<'py, B: HandleLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    this.body().handle().arguments(this.py())
}

fn set_arguments<B: HandleLike>(this: &Bound<'_, Native<B>>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    this.body().handle().single.set(false);
    write(this, value, |handle| &handle.arguments)
}

fn context<'py, B: HandleLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    context_in(this.py(), &this.body().handle().context)
}

fn set_context<B: HandleLike>(this: &Bound<'_, Native<B>>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    write(this, value, |handle| &handle.context)
}

fn event_loop<'py, B: HandleLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    read(this, |handle| &handle.event_loop)
}

fn set_event_loop<B: HandleLike>(this: &Bound<'_, Native<B>>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    write(this, value, |handle| &handle.event_loop)
}

fn cancelled<'py, B: HandleLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    Ok(PyBool::new(this.py(), this.body().handle().cancelled.get())
        .to_owned()
        .into_any())
}

fn set_cancelled<B: HandleLike>(this: &Bound<'_, Native<B>>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let value = value.is_truthy()?;
    this.body().handle().cancelled.set(value);
    Ok(())
}

fn source_traceback<'py, B: HandleLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    read(this, |handle| &handle.source_traceback)
}

fn set_source_traceback<B: HandleLike>(this: &Bound<'_, Native<B>>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    write(this, value, |handle| &handle.source_traceback)
}

fn repr<'py, B: HandleLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    read(this, |handle| &handle.repr)
}

fn set_repr<B: HandleLike>(this: &Bound<'_, Native<B>>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    write(this, value, |handle| &handle.repr)
}
