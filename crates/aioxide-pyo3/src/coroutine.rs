//! The coroutine of a Rust future: what Python awaits.
//!
//! ```text
//!   New --send--> polled: Ready --> Finished
//!                  │  ▲   woken meanwhile --> a bare yield, as sleep(0)
//!                  │  └── send: the future below is done
//!                  └─► Pending: yields an asyncio future, which the waker ends
//! ```
//! Invariant: while the Rust future is polled it is not in its place; a coroutine that is resumed from within
//! itself finds nothing there and says so.

#![forbid(unsafe_code)]

use std::any::TypeId;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use pyo3::BoundObject;
use pyo3::exceptions::{PyRuntimeError, PyRuntimeWarning, PyStopIteration, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::wake::{Hub, Signal};

/// A Rust future whose result is a Python object.
type Erased = Pin<Box<dyn Future<Output = PyResult<Py<PyAny>>>>>;

/// Makes a Python coroutine of a Rust future.
///
/// It is awaited once, on the thread that made it, with a loop running there. Its result is converted as a
/// `#[pyfunction]`'s is; an `Err` is raised.
///
/// # Cancellation
/// When the awaiting task is cancelled the future is dropped, at once, and CancelledError raised where it was awaited.
///
/// # Errors
/// None by itself. Awaited: what the future returns; RuntimeError if it panics, with the panic's message.
///
/// # Examples
/// ```no_run
/// use pyo3::prelude::*;
/// use tokio::net::TcpStream;
///
/// /// `await can_connect("localhost", 80)` in Python.
/// #[pyfunction]
/// fn can_connect(py: Python<'_>, host: String, port: u16) -> PyResult<Bound<'_, PyAny>> {
///     aioxide_pyo3::future_into_py(py, async move {
///         Ok(TcpStream::connect((host.as_str(), port)).await.is_ok())
///     })
/// }
/// ```
pub fn future_into_py<'py, F, T>(py: Python<'py>, future: F) -> PyResult<Bound<'py, PyAny>>
where
    F: Future<Output = PyResult<T>> + 'static,
    T: for<'a> IntoPyObject<'a> + 'static,
{
    named_future_into_py(py, "future", future)
}

/// [`future_into_py`] with the name that the coroutine has in reprs and warnings.
///
/// # Errors
/// As [`future_into_py`].
///
/// # Examples
/// ```no_run
/// use pyo3::prelude::*;
///
/// #[pyfunction]
/// fn answer(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
///     // Forgotten, it is: coroutine 'answer' was never awaited.
///     aioxide_pyo3::named_future_into_py(py, "answer", async { Ok(42) })
/// }
/// ```
pub fn named_future_into_py<'py, F, T>(py: Python<'py>, name: &'static str, future: F) -> PyResult<Bound<'py, PyAny>>
where
    F: Future<Output = PyResult<T>> + 'static,
    T: for<'a> IntoPyObject<'a> + 'static,
{
    let erased = async move {
        let value = future.await?;
        Python::attach(|py| into_object(py, value))
    };
    let coroutine = RustCoroutine {
        name,
        progress: RefCell::new(Progress::New(Box::pin(erased))),
        signal: Cell::new(None),
    };
    Ok(Bound::new(py, coroutine)?.into_any())
}

/// A result as a Python object; `()` is None, as a `#[pyfunction]`'s is.
pub fn into_object<T>(py: Python<'_>, value: T) -> PyResult<Py<PyAny>>
where
    T: for<'a> IntoPyObject<'a> + 'static,
{
    if TypeId::of::<T>() == TypeId::of::<()>() {
        return Ok(py.None());
    }
    value
        .into_pyobject(py)
        .map(|value| value.into_any().unbind())
        .map_err(Into::into)
}

/// How far a coroutine is.
enum Progress {
    New(Erased),
    Suspended(Erased, Waiting),
    /// Being polled, further up the stack.
    Running,
    Finished,
}

/// What `await` sees of a Rust future.
#[pyclass(unsendable, weakref, module = "aioxide_pyo3")]
struct RustCoroutine {
    name: &'static str,
    progress: RefCell<Progress>,
    signal: Cell<Option<Arc<Signal>>>,
}

/// Counts the futures that wait on this thread: while there are any, tokio has something to do.
#[cfg(feature = "tokio")]
use crate::runtime::Waiting;

#[cfg(not(feature = "tokio"))]
struct Waiting;

#[cfg(not(feature = "tokio"))]
impl Waiting {
    fn new() -> Self {
        Self
    }
}

/// What resuming gave.
enum Resumed {
    Yielded(Py<PyAny>),
    Returned(Py<PyAny>),
}

impl RustCoroutine {
    fn resume(&self, py: Python<'_>) -> PyResult<Resumed> {
        let mut future = match self.progress.replace(Progress::Running) {
            Progress::New(future) | Progress::Suspended(future, _) => future,
            Progress::Running => return Err(PyValueError::new_err("coroutine already executing")),
            Progress::Finished => {
                self.progress.replace(Progress::Finished);
                return Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine"));
            }
        };
        let hub = match Hub::current(py) {
            Ok(hub) => hub,
            Err(error) => {
                self.finish(future);
                return Err(error);
            }
        };
        let signal = match self.signal.take() {
            Some(signal) => signal,
            None => Arc::new(Signal::new()),
        };
        signal.begin_poll();
        let waker = Waker::from(Arc::clone(&signal));
        let polled = catch_unwind(AssertUnwindSafe(|| {
            hub.enter(|| future.as_mut().poll(&mut Context::from_waker(&waker)))
        }));
        match polled {
            Ok(Poll::Pending) => {
                let yielded = hub.suspend(py, &signal);
                self.signal.set(Some(signal));
                self.progress.replace(Progress::Suspended(future, Waiting::new()));
                Ok(Resumed::Yielded(yielded?))
            }
            Ok(Poll::Ready(result)) => {
                self.finish(future);
                result.map(Resumed::Returned)
            }
            Err(panic) => {
                self.finish(future);
                Err(panicked(&*panic))
            }
        }
    }

    fn finish(&self, future: Erased) {
        self.progress.replace(Progress::Finished);
        // It may run anything, this coroutine's own methods too.
        drop(future);
    }

    /// Drops the future.
    fn give_up(&self) -> PyResult<()> {
        if matches!(*self.progress.borrow(), Progress::Running) {
            return Err(PyValueError::new_err("coroutine already executing"));
        }
        let before = self.progress.replace(Progress::Finished);
        drop(self.signal.take());
        catch_unwind(AssertUnwindSafe(|| drop(before))).map_err(|panic| panicked(&*panic))
    }
}

#[pymethods]
impl RustCoroutine {
    fn __await__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        match self.resume(py)? {
            Resumed::Yielded(value) => Ok(Some(value)),
            // The interpreter takes the end of an iterator for `return None`, without an exception.
            Resumed::Returned(value) if value.is_none(py) => Ok(None),
            Resumed::Returned(value) => Err(stop_iteration(py, value)),
        }
    }

    fn send(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        if !value.is_none() && matches!(*self.progress.borrow(), Progress::New(_)) {
            return Err(PyTypeError::new_err(
                "can't send non-None value to a just-started coroutine",
            ));
        }
        match self.resume(py)? {
            Resumed::Yielded(value) => Ok(value),
            Resumed::Returned(value) => Err(stop_iteration(py, value)),
        }
    }

    #[pyo3(signature = (kind, value=None, traceback=None))]
    fn throw(
        &self,
        kind: &Bound<'_, PyAny>,
        value: Option<&Bound<'_, PyAny>>,
        traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let exception = match kind.cast::<pyo3::types::PyType>() {
            Ok(class) => match value {
                Some(value) if value.is_instance(class)? => value.clone(),
                Some(value) if !value.is_none() => class.call1((value,))?,
                _ => class.call0()?,
            },
            Err(_) => kind.clone(),
        };
        if !exception.is_instance_of::<pyo3::exceptions::PyBaseException>() {
            return Err(PyTypeError::new_err(
                "exceptions must be classes deriving BaseException or instances of such a class",
            ));
        }
        if let Some(traceback) = traceback.filter(|traceback| !traceback.is_none()) {
            exception.setattr("__traceback__", traceback)?;
        }
        self.give_up()?;
        Err(PyErr::from_value(exception))
    }

    fn close(&self) -> PyResult<()> {
        self.give_up()
    }

    #[getter]
    fn __name__(&self) -> &'static str {
        self.name
    }

    #[getter]
    fn __qualname__(&self) -> &'static str {
        self.name
    }

    #[getter]
    fn cr_running(&self) -> bool {
        matches!(*self.progress.borrow(), Progress::Running)
    }

    fn __repr__(&self) -> String {
        format!("<coroutine object {} in Rust>", self.name)
    }
}

impl Drop for RustCoroutine {
    fn drop(&mut self) {
        if !matches!(*self.progress.borrow(), Progress::New(_)) {
            return;
        }
        Python::attach(|py| {
            let text = format!("coroutine '{}' was never awaited", self.name);
            let category = py.get_type::<PyRuntimeWarning>();
            let text = std::ffi::CString::new(text).unwrap_or_default();
            if let Err(error) = PyErr::warn(py, &category, &text, 1) {
                error.write_unraisable(py, None);
            }
        });
    }
}

/// StopIteration(value): a tuple or an exception as value is not taken apart.
fn stop_iteration(py: Python<'_>, value: Py<PyAny>) -> PyErr {
    let arguments = PyTuple::new(py, [value]);
    match arguments.and_then(|arguments| py.get_type::<PyStopIteration>().call1(arguments)) {
        Ok(exception) => PyErr::from_value(exception),
        Err(error) => error,
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> PyErr {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    PyRuntimeError::new_err(format!("a Rust future panicked: {message}"))
}
