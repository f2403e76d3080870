//! An extension module whose functions are awaited from Python: a template to copy.
//!
//! `pip install .`, then:
//!
//! ```python
//! import asyncio, rusty
//! print(asyncio.run(rusty.get("http://127.0.0.1:8000/")))
//! ```

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::Uri;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Nothing, awaited.
#[pyfunction]
fn noop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    aioxide_pyo3::named_future_into_py(py, "noop", async { Ok(()) })
}

/// Sleeps by tokio's timer, and returns `value`.
#[aioxide_pyo3::pyfunction(signature = (seconds, value=None))]
async fn nap(seconds: f64, value: Option<Py<PyAny>>) -> PyResult<Option<Py<PyAny>>> {
    let delay = Duration::try_from_secs_f64(seconds).map_err(|error| PyValueError::new_err(error.to_string()))?;
    tokio::time::sleep(delay).await;
    Ok(value)
}

/// Lets the other tasks run `times` times.
#[aioxide_pyo3::pyfunction]
async fn yield_often(times: usize) -> usize {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
    times
}

/// Fetches a page: (status, body). Everything happens on the thread of the loop that awaits it.
#[aioxide_pyo3::pyfunction]
async fn get(url: String) -> PyResult<(u16, Py<PyBytes>)> {
    let uri: Uri = url
        .parse()
        .map_err(|error| PyValueError::new_err(format!("{url}: {error}")))?;
    let (status, body) = fetch(&uri)
        .await
        .map_err(|error| PyOSError::new_err(error.to_string()))?;
    Python::attach(|py| Ok((status, PyBytes::new(py, &body).unbind())))
}

async fn fetch(uri: &Uri) -> Result<(u16, Bytes), Box<dyn std::error::Error>> {
    let authority = uri.authority().ok_or("a URL without a host")?;
    let stream = tokio::net::TcpStream::connect((authority.host(), authority.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = hyper::Request::get(uri.path())
        .header(hyper::header::HOST, authority.as_str())
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    drop(sender);
    connection.await??;
    Ok((status, body))
}

/// Awaits a Python awaitable `times` times: `make()` makes it. Returns the sum of the results.
#[pyfunction]
fn sum_of(py: Python<'_>, make: Py<PyAny>, times: usize) -> PyResult<Bound<'_, PyAny>> {
    aioxide_pyo3::named_future_into_py(py, "sum_of", async move {
        let mut sum = 0_i64;
        for _ in 0..times {
            let future = Python::attach(|py| aioxide_pyo3::py_into_future(&make.bind(py).call0()?))?;
            let value = future.await?;
            sum += Python::attach(|py| value.extract::<i64>(py))?;
        }
        Ok(sum)
    })
}

/// Counts from 0 to `end`, one number each `seconds`: an asynchronous iterator.
#[pyfunction]
fn ticks(py: Python<'_>, end: u32, seconds: f64) -> PyResult<Bound<'_, PyAny>> {
    let delay = Duration::try_from_secs_f64(seconds).map_err(|error| PyValueError::new_err(error.to_string()))?;
    let stream = futures_util::stream::unfold(0, move |count| async move {
        if count == end {
            return None;
        }
        tokio::time::sleep(delay).await;
        Some((Ok(count), count + 1))
    });
    aioxide_pyo3::stream_into_py(py, stream)
}

/// Collects what an asynchronous iterator of Python gives into a list.
#[pyfunction]
fn collect(py: Python<'_>, iterable: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    let stream = aioxide_pyo3::py_into_stream(iterable)?;
    let future = aioxide_pyo3::named_future_into_py(py, "collect", async move {
        let items: Vec<PyResult<Py<PyAny>>> = futures_util::StreamExt::collect(stream).await;
        items.into_iter().collect::<PyResult<Vec<_>>>()
    })?;
    Ok(future.unbind())
}

/// Panics: the task that awaits it gets an exception.
#[pyfunction]
fn panic(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    aioxide_pyo3::named_future_into_py(py, "panic", async {
        tokio::task::yield_now().await;
        if true {
            panic!("on purpose");
        }
        Ok(())
    })
}

/// Waits until a thread of its own wakes it.
#[pyfunction]
fn woken_by_thread(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    aioxide_pyo3::named_future_into_py(py, "woken_by_thread", async {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || sender.send(5));
        let number = receiver.await.map_err(|error| PyOSError::new_err(error.to_string()))?;
        if thread.join().is_err() {
            return Err(PyOSError::new_err("the thread panicked"));
        }
        Ok(number)
    })
}

/// Waits for ever. How many were dropped so far is `dropped()`.
#[pyfunction]
fn forever(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    struct Counted;
    impl Drop for Counted {
        fn drop(&mut self) {
            DROPPED.set(DROPPED.get() + 1);
        }
    }
    aioxide_pyo3::named_future_into_py(py, "forever", async {
        let _counted = Counted;
        std::future::pending::<()>().await;
        Ok(())
    })
}

/// How many `forever()` have been dropped where they waited, in this thread.
#[pyfunction]
fn dropped() -> usize {
    DROPPED.get()
}

thread_local! {
    static DROPPED: Cell<usize> = const { Cell::new(0) };
}

/// The extension module.
#[pymodule]
mod rusty {
    #[pymodule_export]
    use super::{collect, dropped, forever, get, nap, noop, panic, sum_of, ticks, woken_by_thread, yield_often};
}
