//! `Reading<M>`: the coroutines of `read()`, `readline()` and their like.
//!
//! A [`Method`] tries to take what it wants out of the buffer. If that is not there yet, the coroutine waits for a
//! future that feeding resolves, and tries again; if it is, there is no future and no suspension.
//!
//! # Cancellation
//! Nothing is taken out of the buffer while a coroutine waits, so nothing is lost; except what `read(-1)` has
//! gathered, as in asyncio.

#![forbid(unsafe_code)]

use pyo3::exceptions::{PyAssertionError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::feeding;
use super::reader::{READING, ReaderBody, StreamReader};
use super::requests::{Line, NextLine, Read, ReadExactly, ReadUntil};
use crate::coroutines::{self, Coroutine, Next, Operation, coroutine};
use crate::imports::imports;
use crate::object::{
    Args, BodyOf, Layout, Owned, Returned, Slot, TypeBuilder, Visitor, aiter_slot, anext_slot, as_native, bytes,
    method, method_noargs, method_one,
};

/// What a kind of read takes out of the buffer.
pub trait Method: Sized + 'static {
    /// What the coroutine is called.
    const NAME: &'static str;
    /// What is said to be called while another coroutine waits already.
    const WAITS_AS: &'static str;

    /// Where the type of its coroutines is written down.
    fn layout() -> &'static Layout;

    /// One that wants nothing.
    fn empty() -> Self;

    /// Checks the arguments and the reader's state, once.
    ///
    /// # Errors
    /// What the coroutine raises; the exception that was set in the reader.
    fn begin(&self, reader: &Bound<'_, StreamReader>) -> PyResult<()> {
        reader.body().check(reader.py())
    }

    /// Takes what it wants; `None` if it has to wait for more.
    ///
    /// # Errors
    /// What the coroutine raises.
    fn attempt<'py>(&self, reader: &Bound<'py, StreamReader>) -> PyResult<Option<Bound<'py, PyAny>>>;

    /// Releases the objects it owns, none of which can be part of a cycle.
    fn clear(&self) {}
}

/// A read that goes on.
pub struct Reading<M> {
    reader: Slot,
    /// The future it waits for, or waited for last.
    waiter: Slot,
    method: M,
}

impl<M: Method> Operation for Reading<M> {
    const NAME: &'static str = M::NAME;

    fn layout() -> &'static Layout {
        M::layout()
    }

    fn empty() -> Self {
        Self {
            reader: Slot::empty(),
            waiter: Slot::empty(),
            method: M::empty(),
        }
    }

    fn start<'py>(this: &Bound<'py, Coroutine<Self>>) -> PyResult<Next<'py>> {
        let operation = this.body().operation();
        let reader = operation.reader(this.py())?;
        operation.method.begin(&reader)?;
        operation.advance(&reader)
    }

    fn resumed<'py>(this: &Bound<'py, Coroutine<Self>>, outcome: PyResult<Bound<'py, PyAny>>) -> PyResult<Next<'py>> {
        let operation = this.body().operation();
        let reader = operation.reader(this.py())?;
        if let Some(waiter) = operation.waiter.take() {
            let registered = &reader.body().waiter;
            // Not another one's, who came between our wake-up and this step.
            if registered.is(waiter.bind(this.py())) {
                registered.clear();
            }
        }
        outcome?;
        operation.advance(&reader)
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.reader);
        visitor.slot(&self.waiter);
    }

    fn clear(&self) {
        self.reader.clear();
        self.waiter.clear();
        self.method.clear();
    }
}

impl<M: Method> Reading<M> {
    fn reader<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, StreamReader>> {
        let reader = self.reader.get(py);
        // One comparison for the class that readers have, which is a subclass of the native one.
        match reader.as_ref().and_then(as_native::<ReaderBody>) {
            Some(reader) => Ok(reader.clone()),
            None => Err(PyRuntimeError::new_err("the reader is gone")),
        }
    }

    #[inline]
    fn advance<'py>(&self, reader: &Bound<'py, StreamReader>) -> PyResult<Next<'py>> {
        if let Some(data) = self.method.attempt(reader)? {
            return Ok(Next::Return(data));
        }
        let waiter = wait(reader, M::WAITS_AS)?;
        self.waiter.set(Owned::new(&waiter));
        Ok(Next::Await(waiter))
    }
}

/// Registers the future that feeding resolves. The transport reads, whatever it was told before: waiting for data
/// from one that is paused would have no end.
fn wait<'py>(reader: &Bound<'py, StreamReader>, function: &str) -> Returned<'py> {
    let body = reader.body();
    if !body.waiter.is_empty() {
        return Err(PyRuntimeError::new_err(format!(
            "{function}() called while another coroutine is already waiting for incoming data"
        )));
    }
    if body.eof.get() {
        return Err(PyAssertionError::new_err("_wait_for_data after EOF"));
    }
    if body.paused.get() {
        feeding::resume(reader)?;
    }
    let waiter = coroutines::waiter(&body.event_loop.get_or_none(reader.py()))?;
    body.waiter.set(Owned::new(&waiter));
    Ok(waiter)
}

/// Takes the first `count` bytes, or all if there are fewer, as `bytes`.
#[inline]
pub fn take<'py>(reader: &Bound<'py, StreamReader>, count: usize) -> Returned<'py> {
    let body = reader.body();
    let data = {
        let mut buffer = body.buffer.borrow_mut();
        let count = count.min(buffer.len());
        // Allocating `bytes` runs no Python: it is no container.
        let data = bytes(reader.py(), buffer.get(..count).unwrap_or_default());
        buffer.consume(count);
        data
    };
    feeding::maybe_resume(reader)?;
    Ok(data)
}

/// Adds the methods.
pub fn reading_methods(builder: TypeBuilder) -> TypeBuilder {
    builder
        .slot(aiter_slot(itself))
        .slot(anext_slot(next_line))
        .method(method(
            c"read",
            c"Up to n bytes; all until the end if n is negative.",
            read,
        ))
        .method(method_noargs(c"readline", c"A line with its newline.", read_line))
        .method(method(c"readexactly", c"Exactly n bytes.", read_exactly))
        .method(method(
            c"readuntil",
            c"Bytes up to a separator, or the first of several.",
            read_until,
        ))
        .method(method_one(
            c"_wait_for_data",
            c"Waits until there is more data, or the end.",
            wait_for_data,
        ))
}

/// Makes the types of the coroutines.
pub fn build_coroutines(py: Python<'_>) -> PyResult<()> {
    coroutines::build::<Reading<Read>>(py, c"aioxide._aioxide.StreamReader_read")?;
    coroutines::build::<Reading<Line>>(py, c"aioxide._aioxide.StreamReader_readline")?;
    coroutines::build::<Reading<NextLine>>(py, c"aioxide._aioxide.StreamReader_anext")?;
    coroutines::build::<Reading<ReadExactly>>(py, c"aioxide._aioxide.StreamReader_readexactly")?;
    coroutines::build::<Reading<ReadUntil>>(py, c"aioxide._aioxide.StreamReader_readuntil")?;
    coroutines::build::<Reading<Data>>(py, c"aioxide._aioxide.StreamReader_wait_for_data")?;
    Ok(())
}

#[inline]
fn reading<'py, M: Method>(this: &Bound<'py, StreamReader>, method: M) -> Returned<'py> {
    let reader = Slot::new(Owned::new(this.as_any()));
    let waiter = Slot::empty();
    coroutine(this.py(), Reading { reader, waiter, method })
}

/// Whether reading natively is what the methods of this object would do.
#[inline]
fn is_plain(this: &Bound<'_, StreamReader>) -> bool {
    this.body().overrides.none(&READING)
}

/// asyncio's own method, which calls the methods that somebody replaced.
#[cold]
fn asyncio_method<'py>(this: &Bound<'py, StreamReader>, name: &str, args: Option<&Args<'_, 'py>>) -> Returned<'py> {
    let py = this.py();
    let keywords = PyDict::new(py);
    let mut positional = vec![this.as_any().clone()];
    if let Some(args) = args {
        positional.extend(args.positional().iter().cloned());
        args.keywords_into(&keywords)?;
    }
    let class = imports(py)?.stream_reader.bind(py);
    class
        .getattr(name)?
        .call(PyTuple::new(py, positional)?, Some(&keywords))
}

fn itself<'py>(this: &Bound<'py, StreamReader>) -> Returned<'py> {
    Ok(this.clone().into_any())
}

fn next_line<'py>(this: &Bound<'py, StreamReader>) -> Returned<'py> {
    if !is_plain(this) {
        return asyncio_method(this, "__anext__", None);
    }
    reading(this, NextLine(Line::empty()))
}

fn read_line<'py>(this: &Bound<'py, StreamReader>) -> Returned<'py> {
    if !is_plain(this) {
        return asyncio_method(this, "readline", None);
    }
    reading(this, Line::empty())
}

fn read<'py>(this: &Bound<'py, StreamReader>, args: Args<'_, 'py>) -> Returned<'py> {
    if !is_plain(this) {
        return asyncio_method(this, "read", Some(&args));
    }
    let [count] = args.bind("read", ["n"], 1, 0)?;
    let count = count.map_or(Ok(-1), number)?;
    reading(this, Read::new(count))
}

fn read_exactly<'py>(this: &Bound<'py, StreamReader>, args: Args<'_, 'py>) -> Returned<'py> {
    if !is_plain(this) {
        return asyncio_method(this, "readexactly", Some(&args));
    }
    let [count] = args.bind("readexactly", ["n"], 1, 1)?;
    let count = count.map_or(Ok(-1), number)?;
    reading(this, ReadExactly::new(count))
}

fn read_until<'py>(this: &Bound<'py, StreamReader>, args: Args<'_, 'py>) -> Returned<'py> {
    if !is_plain(this) {
        // Before 3.13 asyncio knows no tuples.
        let tuple = args
            .positional()
            .first()
            .is_some_and(|first| first.is_instance_of::<PyTuple>());
        if !tuple {
            return asyncio_method(this, "readuntil", Some(&args));
        }
    }
    let [separator] = args.bind("readuntil", ["separator"], 1, 0)?;
    reading(this, ReadUntil::new(separator))
}

/// A number of bytes. Beyond what memory can hold, all are the same.
#[inline]
fn number(count: &Bound<'_, PyAny>) -> PyResult<isize> {
    count.extract::<isize>().or_else(|error| {
        if !error.is_instance_of::<pyo3::exceptions::PyOverflowError>(count.py()) {
            // In the words of asyncio's comparison, where that refuses it too.
            return count.lt(0).and(Err(error));
        }
        Ok(if count.gt(0)? { isize::MAX } else { -1 })
    })
}

fn wait_for_data<'py>(this: &Bound<'py, StreamReader>, function: &Bound<'py, PyAny>) -> Returned<'py> {
    let function = function.str()?.to_string();
    reading(
        this,
        Data {
            function,
            waited: false.into(),
        },
    )
}

/// `_wait_for_data()`: takes nothing.
struct Data {
    function: String,
    waited: std::cell::Cell<bool>,
}

static DATA: Layout = Layout::unset();

impl Method for Data {
    const NAME: &'static str = "StreamReader._wait_for_data";
    const WAITS_AS: &'static str = "_wait_for_data";

    fn layout() -> &'static Layout {
        &DATA
    }

    fn empty() -> Self {
        Self {
            function: String::new(),
            waited: false.into(),
        }
    }

    fn begin(&self, reader: &Bound<'_, StreamReader>) -> PyResult<()> {
        if reader.body().waiter.is_empty() {
            return Ok(());
        }
        wait(reader, &self.function).map(drop)
    }

    fn attempt<'py>(&self, reader: &Bound<'py, StreamReader>) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self
            .waited
            .replace(true)
            .then(|| reader.py().None().into_bound(reader.py())))
    }
}
