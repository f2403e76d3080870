//! Streams as asynchronous iterators, and back.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_core::Stream;
use pyo3::exceptions::{PyRuntimeError, PyStopAsyncIteration};
use pyo3::prelude::*;

use crate::awaitable::{PyFuture, py_into_future};
use crate::coroutine::{into_object, named_future_into_py};

/// A stream whose items are Python objects.
type Erased = Pin<Box<dyn Stream<Item = PyResult<Py<PyAny>>>>>;

/// Makes an asynchronous iterator of a stream: `async for item in it`.
///
/// # Cancellation
/// Cancelling the task while it waits for an item leaves the stream as it is: the item comes next time. `aclose()`,
/// or the iterator's end, drops the stream.
///
/// # Errors
/// An `Err` item is raised by the iteration.
///
/// # Examples
/// ```no_run
/// use futures_util::stream;
/// use pyo3::prelude::*;
///
/// /// `async for number in count(3)` in Python.
/// #[pyfunction]
/// fn count(py: Python<'_>, end: u32) -> PyResult<Bound<'_, PyAny>> {
///     aioxide_pyo3::stream_into_py(py, stream::iter((0..end).map(Ok)))
/// }
/// ```
pub fn stream_into_py<'py, S, T>(py: Python<'py>, stream: S) -> PyResult<Bound<'py, PyAny>>
where
    S: Stream<Item = PyResult<T>> + 'static,
    T: for<'a> IntoPyObject<'a> + 'static,
{
    let stream: Erased = Box::pin(Converted(Box::pin(stream)));
    let iterator = RustIterator {
        stream: Rc::new(RefCell::new(Some(stream))),
    };
    Ok(Bound::new(py, iterator)?.into_any())
}

/// A stream with its items made Python objects.
struct Converted<S>(Pin<Box<S>>);

impl<S, T> Stream for Converted<S>
where
    S: Stream<Item = PyResult<T>>,
    T: for<'a> IntoPyObject<'a> + 'static,
{
    type Item = PyResult<Py<PyAny>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Poll::Ready(item) = self.0.as_mut().poll_next(context) else {
            return Poll::Pending;
        };
        Poll::Ready(item.map(|item| {
            let value = item?;
            Python::attach(|py| into_object(py, value))
        }))
    }
}

/// What `async for` iterates over.
#[pyclass(unsendable, module = "aioxide_pyo3")]
struct RustIterator {
    stream: Rc<RefCell<Option<Erased>>>,
}

#[pymethods]
impl RustIterator {
    fn __aiter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __anext__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let shared = Rc::clone(&self.stream);
        named_future_into_py(py, "__anext__", async move {
            let item = poll_fn(|context| {
                let Ok(mut stream) = shared.try_borrow_mut() else {
                    let text = "asynchronous iterator is already running";
                    return Poll::Ready(Some(Err(PyRuntimeError::new_err(text))));
                };
                match stream.as_mut() {
                    Some(stream) => stream.as_mut().poll_next(context),
                    None => Poll::Ready(None),
                }
            })
            .await;
            item.unwrap_or_else(|| {
                drop(shared.take());
                Err(PyStopAsyncIteration::new_err(()))
            })
        })
    }

    fn aclose<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let shared = Rc::clone(&self.stream);
        named_future_into_py(py, "aclose", async move {
            drop(shared.take());
            Ok(())
        })
    }
}

/// Iterates over a Python asynchronous iterator, or iterable, from Rust.
///
/// # Cancellation
/// Dropping the stream while it waits for an item cancels the task of that item.
///
/// # Errors
/// TypeError if it is not asynchronously iterable. What the iteration raises is the last item.
///
/// # Examples
/// ```no_run
/// use futures_util::TryStreamExt;
/// use pyo3::prelude::*;
///
/// /// `await first(iterable)` in Python.
/// #[pyfunction]
/// fn first<'py>(py: Python<'py>, iterable: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
///     let mut items = aioxide_pyo3::py_into_stream(iterable)?;
///     aioxide_pyo3::named_future_into_py(py, "first", async move { items.try_next().await })
/// }
/// ```
pub fn py_into_stream(iterable: &Bound<'_, PyAny>) -> PyResult<PyStream> {
    Ok(PyStream {
        iterator: Some(iterable.call_method0("__aiter__")?.unbind()),
        next: None,
    })
}

/// What [`py_into_stream`] returns.
///
/// # Examples
/// ```no_run
/// use aioxide_pyo3::{PyStream, py_into_stream};
/// use pyo3::prelude::*;
///
/// fn lines(reader: &Bound<'_, PyAny>) -> PyResult<PyStream> {
///     py_into_stream(reader) // An asyncio.StreamReader iterates over its lines.
/// }
/// ```
#[must_use = "streams do nothing unless they are polled"]
pub struct PyStream {
    /// Empty when it has ended.
    iterator: Option<Py<PyAny>>,
    next: Option<PyFuture>,
}

impl Stream for PyStream {
    type Item = PyResult<Py<PyAny>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(iterator) = &this.iterator else {
            return Poll::Ready(None);
        };
        let next = match &mut this.next {
            Some(next) => next,
            empty => {
                let made = Python::attach(|py| py_into_future(&iterator.bind(py).call_method0("__anext__")?));
                match made {
                    Ok(made) => empty.insert(made),
                    Err(error) => return Poll::Ready(Some(Err(error))),
                }
            }
        };
        let Poll::Ready(item) = Pin::new(next).poll(context) else {
            return Poll::Pending;
        };
        this.next = None;
        let ended = item
            .as_ref()
            .is_err_and(|error| Python::attach(|py| error.is_instance_of::<PyStopAsyncIteration>(py)));
        if item.is_err() {
            this.iterator = None;
        }
        Poll::Ready(if ended { None } else { Some(item) })
    }
}
