//! What the kinds of read take: `Read`, `Line`, `NextLine`, `ReadExactly`, `ReadUntil`.
//!
//! Each looks only at what it has not seen yet.

#![forbid(unsafe_code)]

use std::cell::{Cell, OnceCell, RefCell};

use pyo3::exceptions::{PyStopAsyncIteration, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::feeding;
use super::reader::StreamReader;
use super::reading::{Method, take};
use super::separators::Separators;
use crate::imports::imports;
use crate::object::{BodyOf, Layout, Owned, Slot, bytes};

/// `read(n)`.
pub struct Read {
    count: isize,
    /// It has waited since it last took something.
    waited: Cell<bool>,
    /// What `read(-1)` has taken so far.
    gathered: RefCell<Vec<u8>>,
}

/// `readline()`.
pub struct Line {
    /// How much is known to have no newline.
    seen: Cell<usize>,
}

/// A step of `async for`.
pub struct NextLine(pub Line);

/// `readexactly(n)`.
pub struct ReadExactly {
    count: isize,
}

/// `readuntil(separator)`.
pub struct ReadUntil {
    given: Slot,
    separators: OnceCell<Separators>,
    /// How much is known to have no separator.
    seen: Cell<usize>,
}

static READ: Layout = Layout::unset();
static LINE: Layout = Layout::unset();
static NEXT_LINE: Layout = Layout::unset();
static READ_EXACTLY: Layout = Layout::unset();
static READ_UNTIL: Layout = Layout::unset();

impl Read {
    /// Up to `count` bytes; all until the end if it is negative.
    #[inline]
    pub fn new(count: isize) -> Self {
        Self {
            count,
            waited: Cell::new(false),
            gathered: RefCell::new(Vec::new()),
        }
    }

    /// What asyncio does by reading again and again, each time checking for an exception.
    fn to_the_end<'py>(&self, reader: &Bound<'py, StreamReader>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let body = reader.body();
        loop {
            if !self.waited.get() {
                body.check(reader.py())?;
            }
            if body.waiting() == 0 && !body.eof.get() && !self.waited.replace(true) {
                return Ok(None);
            }
            self.waited.set(false);
            if body.waiting() == 0 {
                // The last of asyncio's reads finds nothing, and lets the transport go on all the same.
                feeding::maybe_resume(reader)?;
                return Ok(Some(bytes(reader.py(), &self.gathered.take())));
            }
            {
                let mut buffer = body.buffer.borrow_mut();
                self.gathered.borrow_mut().extend_from_slice(&buffer);
                buffer.clear();
            }
            feeding::maybe_resume(reader)?;
        }
    }
}

impl Method for Read {
    const NAME: &'static str = "StreamReader.read";
    const WAITS_AS: &'static str = "read";

    fn layout() -> &'static Layout {
        &READ
    }

    fn empty() -> Self {
        Self::new(0)
    }

    #[inline]
    fn attempt<'py>(&self, reader: &Bound<'py, StreamReader>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let body = reader.body();
        let Ok(count) = usize::try_from(self.count) else {
            return self.to_the_end(reader);
        };
        if count == 0 {
            return Ok(Some(bytes(reader.py(), b"")));
        }
        if body.waiting() == 0 && !body.eof.get() && !self.waited.replace(true) {
            return Ok(None);
        }
        take(reader, count).map(Some)
    }
}

impl Method for Line {
    const NAME: &'static str = "StreamReader.readline";
    // asyncio's readline() reads until a newline.
    const WAITS_AS: &'static str = "readuntil";

    fn layout() -> &'static Layout {
        &LINE
    }

    fn empty() -> Self {
        Self { seen: Cell::new(0) }
    }

    #[inline]
    fn attempt<'py>(&self, reader: &Bound<'py, StreamReader>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let body = reader.body();
        let (found, length) = {
            let buffer = body.buffer.borrow();
            let seen = self.seen.get().min(buffer.len());
            let found = memchr::memchr(b'\n', buffer.get(seen..).unwrap_or_default());
            (found.map(|found| seen + found), buffer.len())
        };
        match found {
            Some(end) if end <= body.limit.get() => take(reader, end + 1).map(Some),
            Some(end) => {
                body.buffer.borrow_mut().consume(end + 1);
                feeding::maybe_resume(reader)?;
                Err(PyValueError::new_err(TOO_LONG))
            }
            None if length > body.limit.get() => {
                body.buffer.borrow_mut().clear();
                feeding::maybe_resume(reader)?;
                Err(PyValueError::new_err(NOT_FOUND))
            }
            None if body.eof.get() => {
                let rest = bytes(reader.py(), &body.buffer.borrow());
                body.buffer.borrow_mut().clear();
                Ok(Some(rest))
            }
            None => {
                self.seen.set(length);
                Ok(None)
            }
        }
    }
}

impl Method for NextLine {
    const NAME: &'static str = "StreamReader.__anext__";
    const WAITS_AS: &'static str = "readuntil";

    fn layout() -> &'static Layout {
        &NEXT_LINE
    }

    fn empty() -> Self {
        Self(Line::empty())
    }

    #[inline]
    fn attempt<'py>(&self, reader: &Bound<'py, StreamReader>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.0.attempt(reader)? {
            Some(line) if line.len()? == 0 => Err(PyStopAsyncIteration::new_err(())),
            other => Ok(other),
        }
    }
}

impl ReadExactly {
    /// Exactly `count` bytes.
    #[inline]
    pub fn new(count: isize) -> Self {
        Self { count }
    }
}

impl Method for ReadExactly {
    const NAME: &'static str = "StreamReader.readexactly";
    const WAITS_AS: &'static str = "readexactly";

    fn layout() -> &'static Layout {
        &READ_EXACTLY
    }

    fn empty() -> Self {
        Self::new(0)
    }

    fn begin(&self, reader: &Bound<'_, StreamReader>) -> PyResult<()> {
        if self.count < 0 {
            return Err(PyValueError::new_err("readexactly size can not be less than zero"));
        }
        reader.body().check(reader.py())
    }

    #[inline]
    fn attempt<'py>(&self, reader: &Bound<'py, StreamReader>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let body = reader.body();
        let count = self.count.unsigned_abs();
        if count == 0 {
            return Ok(Some(bytes(reader.py(), b"")));
        }
        if body.waiting() >= count {
            return take(reader, count).map(Some);
        }
        if body.eof.get() {
            return Err(incomplete(reader, Some(count)));
        }
        Ok(None)
    }
}

impl ReadUntil {
    /// Up to a separator, or the first of a tuple of them; up to a newline if none is given.
    #[inline]
    pub fn new(separator: Option<&Bound<'_, PyAny>>) -> Self {
        let until = Self::empty();
        if let Some(separator) = separator {
            until.given.set(Owned::new(separator));
        }
        until
    }
}

impl Method for ReadUntil {
    const NAME: &'static str = "StreamReader.readuntil";
    const WAITS_AS: &'static str = "readuntil";

    fn layout() -> &'static Layout {
        &READ_UNTIL
    }

    fn empty() -> Self {
        Self {
            given: Slot::empty(),
            separators: OnceCell::new(),
            seen: Cell::new(0),
        }
    }

    fn begin(&self, reader: &Bound<'_, StreamReader>) -> PyResult<()> {
        let separators = match self.given.get(reader.py()) {
            Some(given) => Separators::of(&given)?,
            None => Separators::newline(),
        };
        // Set once only: a coroutine begins once.
        self.separators.get_or_init(|| separators);
        reader.body().check(reader.py())
    }

    #[inline]
    fn attempt<'py>(&self, reader: &Bound<'py, StreamReader>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let body = reader.body();
        let separators = self.separators.get_or_init(Separators::newline);
        let limit = body.limit.get();
        let (found, length) = {
            let buffer = body.buffer.borrow();
            (separators.find(&buffer, self.seen.get()), buffer.len())
        };
        match found {
            Some((start, end)) if start <= limit => return take(reader, end).map(Some),
            Some((start, _)) => return Err(overrun(reader.py(), TOO_LONG, start)),
            None => {}
        }
        // The last bytes may be the beginning of a separator.
        if length.saturating_sub(self.seen.get()) >= separators.shortest() {
            let seen = (length + 1).saturating_sub(separators.longest());
            self.seen.set(seen);
            if seen > limit {
                return Err(overrun(reader.py(), NOT_FOUND, seen));
            }
        }
        if body.eof.get() {
            return Err(incomplete(reader, None));
        }
        Ok(None)
    }

    fn clear(&self) {
        self.given.clear();
    }
}

/// `LimitOverrunError`; the data stays in the buffer.
#[cold]
fn overrun(py: Python<'_>, message: &str, consumed: usize) -> PyErr {
    let error = imports(py).and_then(|imports| imports.limit_overrun_error.bind(py).call1((message, consumed)));
    error.map_or_else(|error| error, PyErr::from_value)
}

/// `IncompleteReadError` with the rest of the data, which is taken out of the buffer.
#[cold]
fn incomplete(reader: &Bound<'_, StreamReader>, expected: Option<usize>) -> PyErr {
    let py = reader.py();
    let partial = PyBytes::new(py, &reader.body().buffer.borrow());
    reader.body().buffer.borrow_mut().clear();
    let error = imports(py).and_then(|imports| imports.incomplete_read_error.bind(py).call1((partial, expected)));
    error.map_or_else(|error| error, PyErr::from_value)
}

const TOO_LONG: &str = "Separator is found, but chunk is longer than limit";
const NOT_FOUND: &str = "Separator is not found, and chunk exceed the limit";
