//! A Python awaitable as a Rust future.

#![forbid(unsafe_code)]

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use pyo3::prelude::*;

use crate::wake::running_loop;

/// Awaits a Python awaitable from Rust: it runs as a task of the running loop.
///
/// The task begins at the loop's next turn and has a copy of the current context; a future or task that exists is
/// awaited as it is.
///
/// # Cancellation
/// Dropping the future cancels the task, unless it was a future or task already.
///
/// # Errors
/// RuntimeError without a running loop; TypeError if it cannot be awaited.
///
/// # Examples
/// ```no_run
/// use pyo3::prelude::*;
///
/// /// `await twice(fetch)` in Python: awaits `fetch()` two times, and adds.
/// #[aioxide_pyo3::pyfunction]
/// async fn twice(fetch: Py<PyAny>) -> PyResult<i64> {
///     let mut sum = 0;
///     for _ in 0..2 {
///         let future = Python::attach(|py| aioxide_pyo3::py_into_future(&fetch.bind(py).call0()?))?;
///         let value = future.await?;
///         sum += Python::attach(|py| value.extract::<i64>(py))?;
///     }
///     Ok(sum)
/// }
/// ```
pub fn py_into_future(awaitable: &Bound<'_, PyAny>) -> PyResult<PyFuture> {
    let py = awaitable.py();
    let event_loop = running_loop(py)?;
    let asyncio = py.import(pyo3::intern!(py, "asyncio"))?;
    let existed = asyncio.getattr("isfuture")?.call1((awaitable,))?.is_truthy()?;
    let keywords = pyo3::types::PyDict::new(py);
    keywords.set_item("loop", event_loop)?;
    let future = asyncio.getattr("ensure_future")?.call((awaitable,), Some(&keywords))?;
    Ok(PyFuture {
        future: future.unbind(),
        on_drop: if existed { OnDrop::LeaveIt } else { OnDrop::Cancel },
        waker: None,
        thread_bound: PhantomData,
    })
}

/// What [`py_into_future`] returns.
///
/// # Examples
/// ```no_run
/// use aioxide_pyo3::{PyFuture, py_into_future};
/// use pyo3::prelude::*;
///
/// fn sleep(py: Python<'_>, seconds: f64) -> PyResult<PyFuture> {
///     py_into_future(&py.import("asyncio")?.call_method1("sleep", (seconds,))?)
/// }
/// ```
#[must_use = "futures do nothing unless they are awaited"]
pub struct PyFuture {
    future: Py<PyAny>,
    on_drop: OnDrop,
    /// Set when it was polled for the first time.
    waker: Option<Arc<Mutex<Waker>>>,
    /// Python's futures belong to the loop's thread.
    thread_bound: PhantomData<*const ()>,
}

/// What becomes of the Python future when the Rust one is dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnDrop {
    Cancel,
    LeaveIt,
}

impl Future for PyFuture {
    type Output = PyResult<Py<PyAny>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Python::attach(|py| {
            let future = self.future.clone_ref(py);
            let future = future.bind(py);
            let polled = (|| {
                if future.call_method0(pyo3::intern!(py, "done"))?.is_truthy()? {
                    return future.call_method0(pyo3::intern!(py, "result")).map(Some);
                }
                if let Some(waker) = &self.waker {
                    let mut waker = waker.lock().unwrap_or_else(PoisonError::into_inner);
                    waker.clone_from(context.waker());
                    return Ok(None);
                }
                let waker = Arc::new(Mutex::new(context.waker().clone()));
                future.call_method1(pyo3::intern!(py, "add_done_callback"), (WakeUp(Arc::clone(&waker)),))?;
                self.waker = Some(waker);
                Ok(None)
            })();
            match polled {
                Ok(None) => Poll::Pending,
                Ok(Some(result)) => {
                    self.on_drop = OnDrop::LeaveIt;
                    Poll::Ready(Ok(result.unbind()))
                }
                Err(error) => {
                    self.on_drop = OnDrop::LeaveIt;
                    Poll::Ready(Err(error))
                }
            }
        })
    }
}

impl Drop for PyFuture {
    fn drop(&mut self) {
        if self.on_drop == OnDrop::LeaveIt {
            return;
        }
        Python::attach(|py| {
            if let Err(error) = self.future.bind(py).call_method0("cancel") {
                error.write_unraisable(py, None);
            }
        });
    }
}

/// The done callback.
#[pyclass(module = "aioxide_pyo3")]
struct WakeUp(Arc<Mutex<Waker>>);

#[pymethods]
impl WakeUp {
    fn __call__(&self, _future: &Bound<'_, PyAny>) {
        let waker = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        waker.wake();
    }
}
