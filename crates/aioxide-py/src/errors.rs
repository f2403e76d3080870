//! Rust errors as Python exceptions, and exceptions with asyncio's own words.

#![forbid(unsafe_code)]

use std::io;

use pyo3::exceptions::{PyKeyboardInterrupt, PyOSError, PyRuntimeError, PySystemExit};
use pyo3::prelude::*;

use crate::imports::imports;

/// `OSError(errno, strerror)`: CPython picks the subclass. PyO3's own conversion loses the errno.
pub fn os_error(error: &io::Error) -> PyErr {
    match error.raw_os_error() {
        Some(number) => {
            // io::Error's text ends in " (os error N)", which is not part of strerror.
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or_default().to_owned();
            PyOSError::new_err((number, text))
        }
        None => PyOSError::new_err(error.to_string()),
    }
}

/// asyncio's `InvalidStateError`.
pub fn invalid_state(py: Python<'_>, text: &'static str) -> PyErr {
    match imports(py) {
        Ok(imports) => PyErr::from_type(imports.invalid_state_error.bind(py).clone(), text),
        Err(error) => error,
    }
}

/// What every method of a closed loop raises.
pub fn loop_closed() -> PyErr {
    PyRuntimeError::new_err("Event loop is closed")
}

/// Whether an exception must leave the loop at once instead of going to the exception handler.
pub fn ends_the_loop(py: Python<'_>, exception: &Bound<'_, PyAny>) -> bool {
    let _ = py;
    exception.is_instance_of::<PyKeyboardInterrupt>() || exception.is_instance_of::<PySystemExit>()
}
