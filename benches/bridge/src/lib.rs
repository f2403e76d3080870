//! What `examples/extension` offers, over pyo3-async-runtimes: the peer of the bridge rows.

use pyo3::prelude::*;

/// Nothing, awaited.
#[pyfunction]
fn noop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    pyo3_async_runtimes::tokio::future_into_py(py, async { Ok(()) })
}

/// Gives way `times` times; returns how often.
#[pyfunction]
fn yield_often(py: Python<'_>, times: usize) -> PyResult<Bound<'_, PyAny>> {
    pyo3_async_runtimes::tokio::future_into_py(py, async move {
        for _ in 0..times {
            tokio::task::yield_now().await;
        }
        Ok(times)
    })
}

/// The module.
#[pymodule]
fn bridge_peer(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(noop, module)?)?;
    module.add_function(wrap_pyfunction!(yield_often, module)?)
}
