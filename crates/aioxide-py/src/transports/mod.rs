//! Transports.

#![forbid(unsafe_code)]

use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::events::{Direction, Loop};
use crate::object::TypeBuilder;

pub fn transport_methods(builder: TypeBuilder) -> TypeBuilder {
    builder
}

pub fn ready(_event_loop: &Bound<'_, Loop>, _transport: &Bound<'_, PyAny>, _direction: Direction) -> PyResult<()> {
    Ok(())
}

pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    Ok(py.get_type::<pyo3::types::PyAny>())
}
