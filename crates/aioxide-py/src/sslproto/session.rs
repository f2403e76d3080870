//! `Session`: one `ssl.SSLObject`, and the two ways to move its records.
//!
//! *Direct*: OpenSSL itself reads what the socket gave and writes into a vector (`object/openssl`).
//! *Memory*: two `ssl.MemoryBIO`s and the object's own methods, as asyncio does it. It serves where the first
//! way is not known to work, for objects of other classes, and when `AIOXIDE_TLS=memorybio` asks for it.
//! Handshake, shutdown and every error are the object's in both.

#![forbid(unsafe_code)]

use std::cell::Cell;

use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyMemoryView, PySlice, PyType};

use crate::events::LoopBody;
use crate::object::openssl::{Connection, Outcome, library};
use crate::object::{Owned, Visitor, bytes};

/// What is asked of `ssl`, and our own cold half.
pub struct Imports {
    /// `ssl.SSLError`.
    pub error: Py<PyType>,
    /// `ssl.SSLWantReadError`.
    want_read: Py<PyType>,
    /// `ssl.SSLSyscallError`.
    syscall_error: Py<PyType>,
    /// `ssl.SSLObject`.
    object: Py<PyType>,
    /// `aioxide.sslproto`.
    pub cold: Py<PyAny>,
}

static IMPORTS: PyOnceLock<Imports> = PyOnceLock::new();

/// The imports; made by the first call.
pub fn imports(py: Python<'_>) -> PyResult<&'static Imports> {
    IMPORTS.get_or_try_init(py, || {
        let ssl = py.import("ssl")?;
        let class = |name: &str| -> PyResult<Py<PyType>> { Ok(ssl.getattr(name)?.cast_into()?.unbind()) };
        Ok(Imports {
            error: class("SSLError")?,
            want_read: class("SSLWantReadError")?,
            syscall_error: class("SSLSyscallError")?,
            object: class("SSLObject")?,
            cold: py.import("aioxide.sslproto")?.into_any().unbind(),
        })
    })
}

/// What became of a handshake or a shutdown.
#[must_use]
pub enum Step {
    Done,
    /// It goes on when more was received.
    Wait,
}

/// How reading ended.
#[must_use]
pub enum End {
    /// There is no more for now.
    Wait,
    /// There may be more.
    Full,
    /// The peer said that it sends no more.
    Closed,
    Failed(PyErr),
}

/// An `ssl.SSLObject`.
pub struct Session {
    object: Owned,
    records: Records,
    /// A method of the object is running. OpenSSL may call back from there, and must not be entered again:
    /// it would crash.
    busy: Cell<bool>,
}

enum Records {
    Direct(Connection),
    Memory { incoming: Owned, outgoing: Owned },
}

impl Session {
    /// Takes an object that was made with these two BIOs.
    pub fn new(object: &Bound<'_, PyAny>, incoming: &Bound<'_, PyAny>, outgoing: &Bound<'_, PyAny>) -> PyResult<Self> {
        let records = match direct(object, incoming)? {
            Some(connection) => Records::Direct(connection),
            None => Self::memory(incoming, outgoing),
        };
        Ok(Self {
            object: Owned::new(object),
            records,
            busy: Cell::new(false),
        })
    }

    /// The same session with another object, one that behaves like an `ssl.SSLObject`.
    pub fn with_object(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let bio = object.py().import("ssl")?.getattr("MemoryBIO")?;
        Ok(Self {
            object: Owned::new(object),
            records: Self::memory(&bio.call0()?, &bio.call0()?),
            busy: Cell::new(false),
        })
    }

    fn memory(incoming: &Bound<'_, PyAny>, outgoing: &Bound<'_, PyAny>) -> Records {
        Records::Memory {
            incoming: Owned::new(incoming),
            outgoing: Owned::new(outgoing),
        }
    }

    /// Whether OpenSSL is used directly.
    pub fn is_direct(&self) -> bool {
        matches!(self.records, Records::Direct(_))
    }

    /// The `ssl.SSLObject`.
    pub fn object<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.object.bind(py)
    }

    /// Shows what it owns to the garbage collector.
    pub fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.owned(&self.object);
        match &self.records {
            Records::Direct(connection) => connection.traverse(visitor),
            Records::Memory { incoming, outgoing } => {
                visitor.owned(incoming);
                visitor.owned(outgoing);
            }
        }
    }

    /// Gives received records to `work`; what it does not use is kept.
    #[inline]
    pub fn feed(&self, py: Python<'_>, input: &[u8], work: impl FnOnce() -> PyResult<()>) -> PyResult<()> {
        match &self.records {
            Records::Direct(connection) => connection.lend(input, work),
            Records::Memory { incoming, .. } => {
                incoming
                    .bind(py)
                    .call_method1(pyo3::intern!(py, "write"), (bytes(py, input),))?;
                work()
            }
        }
    }

    /// How much was received and not used yet.
    #[inline]
    pub fn unread(&self, py: Python<'_>) -> PyResult<usize> {
        match &self.records {
            Records::Direct(connection) => Ok(connection.unread()),
            Records::Memory { incoming, .. } => pending(py, incoming),
        }
    }

    /// How much waits to be sent.
    #[inline]
    pub fn unsent(&self, py: Python<'_>) -> PyResult<usize> {
        match &self.records {
            Records::Direct(connection) => Ok(connection.unsent()),
            Records::Memory { outgoing, .. } => pending(py, outgoing),
        }
    }

    /// Lends the session the loop's vector for records that are written.
    #[inline]
    pub fn offer_room(&self, event_loop: Option<&LoopBody>) {
        if let (Records::Direct(connection), Some(event_loop)) = (&self.records, event_loop) {
            let unused = connection.offer_room(event_loop.tls_output.take());
            if let Some(unused) = unused {
                event_loop.tls_output.set(unused);
            }
        }
    }

    /// Takes what is to be sent.
    #[inline]
    pub fn take_output(&self, py: Python<'_>) -> PyResult<Vec<u8>> {
        match &self.records {
            Records::Direct(connection) => Ok(connection.take_output()),
            Records::Memory { outgoing, .. } => {
                let data = outgoing.bind(py).call_method0(pyo3::intern!(py, "read"))?;
                Ok(data.cast::<PyBytes>()?.as_bytes().to_vec())
            }
        }
    }

    /// Goes on with the handshake.
    pub fn handshake(&self, py: Python<'_>) -> PyResult<Step> {
        self.step(py, "do_handshake")
    }

    /// Goes on with the shutdown.
    pub fn unwrap(&self, py: Python<'_>) -> PyResult<Step> {
        self.step(py, "unwrap")
    }

    fn step(&self, py: Python<'_>, method: &str) -> PyResult<Step> {
        match self.enter(|| self.object(py).call_method0(method)) {
            None => Ok(Step::Wait),
            Some(result) => Self::stepped(py, result),
        }
    }

    fn stepped(py: Python<'_>, result: PyResult<Bound<'_, PyAny>>) -> PyResult<Step> {
        match result {
            Ok(_) => Ok(Step::Done),
            Err(error) if is_again(py, &error)? => Ok(Step::Wait),
            Err(error) => Err(error),
        }
    }

    /// Calls a method of the object, unless one is running.
    #[inline]
    fn enter<R>(&self, call: impl FnOnce() -> R) -> Option<R> {
        if self.busy.replace(true) {
            return None;
        }
        let result = call();
        self.busy.set(false);
        Some(result)
    }

    /// Reads everything that is there, as one `bytes`, `None` if that would be empty.
    pub fn read<'py>(
        &self,
        py: Python<'py>,
        event_loop: Option<&LoopBody>,
    ) -> PyResult<(Option<Bound<'py, PyAny>>, End)> {
        let Records::Direct(connection) = &self.records else {
            return self.read_from_object(py);
        };
        let expected = if self.busy.get() { 0 } else { connection.readable() };
        if expected == 0 {
            return Ok((None, End::Wait));
        }
        let (data, last) = match event_loop {
            // It must not take more than there is room for, or the next call would be for the rest.
            Some(event_loop) if expected <= SCRATCH => read_through(py, connection, event_loop),
            _ => connection.read_bytes(py, expected)?,
        };
        let data = (data.len()? > 0).then_some(data);
        match last {
            Outcome::Some(_) if connection.readable() > 0 => Ok((data, End::Full)),
            Outcome::Some(_) | Outcome::Wait => Ok((data, End::Wait)),
            Outcome::Ask => self.ask(py, data),
        }
    }

    /// Lets `_ssl` find out why reading failed. What was read before is not lost.
    #[cold]
    fn ask<'py>(&self, py: Python<'py>, data: Option<Bound<'py, PyAny>>) -> PyResult<(Option<Bound<'py, PyAny>>, End)> {
        let (more, end) = self.read_from_object(py)?;
        let all = match (data, more) {
            (Some(data), Some(more)) => Some(data.add(more)?),
            (data, more) => data.or(more),
        };
        Ok((all, end))
    }

    fn read_from_object<'py>(&self, py: Python<'py>) -> PyResult<(Option<Bound<'py, PyAny>>, End)> {
        let object = self.object(py);
        let mut parts: Vec<Bound<'py, PyAny>> = Vec::new();
        let end = loop {
            let Some(part) = self.enter(|| object.call_method1(pyo3::intern!(py, "read"), (LARGEST_READ,))) else {
                break End::Wait;
            };
            match part {
                Ok(part) if part.len()? == 0 => break End::Closed,
                Ok(part) => parts.push(part),
                Err(error) if is_again(py, &error)? => break End::Wait,
                Err(error) => break End::Failed(error),
            }
        };
        let data = match &*parts {
            [] => None,
            [one] => Some(one.clone()),
            _ => Some(bytes(py, b"").call_method1("join", (parts,))?),
        };
        Ok((data, end))
    }

    /// Fills a protocol's buffer. Returns how much there is in it.
    pub fn read_into<'py>(&self, py: Python<'py>, lent: &Bound<'py, PyAny>) -> PyResult<(usize, End)> {
        let buffer = PyBuffer::<u8>::get(lent)?;
        let room = buffer.len_bytes();
        let mut filled = 0;
        while filled < room {
            let outcome = match &self.records {
                Records::Direct(_) if self.busy.get() => Some(Outcome::Wait),
                Records::Direct(connection) => connection.read_into(py, &buffer, filled),
                Records::Memory { .. } => Some(Outcome::Ask),
            };
            match outcome {
                Some(Outcome::Some(count)) => filled += count,
                Some(Outcome::Wait) => return Ok((filled, End::Wait)),
                Some(Outcome::Ask) => match self.read_object_into(py, lent, filled, room) {
                    Ok(Some(0)) => return Ok((filled, End::Closed)),
                    Ok(Some(count)) => filled += count,
                    Ok(None) => return Ok((filled, End::Wait)),
                    Err(error) if is_again(py, &error)? => return Ok((filled, End::Wait)),
                    Err(error) => return Ok((filled, End::Failed(error))),
                },
                None => return Err(unusable_buffer("a buffer that is read-only or not contiguous")),
            }
        }
        if room == 0 {
            return Err(unusable_buffer("an empty buffer"));
        }
        Ok((filled, End::Full))
    }

    fn read_object_into(
        &self,
        py: Python<'_>,
        lent: &Bound<'_, PyAny>,
        filled: usize,
        room: usize,
    ) -> PyResult<Option<usize>> {
        let (start, stop) = (isize::try_from(filled)?, isize::try_from(room)?);
        let rest = PyMemoryView::from(lent)?.get_item(PySlice::new(py, start, stop, 1))?;
        let read = self.enter(|| {
            self.object(py)
                .call_method1(pyo3::intern!(py, "read"), (room - filled, rest))
        });
        read.map(|count| count?.extract()).transpose()
    }

    /// Encrypts some of `data`; `None` if that must wait until something is received.
    pub fn write(&self, py: Python<'_>, data: &[u8]) -> PyResult<Option<usize>> {
        match &self.records {
            Records::Direct(_) if self.busy.get() => Ok(None),
            Records::Direct(connection) => match connection.write(data) {
                Outcome::Some(count) => Ok(Some(count)),
                Outcome::Wait => Ok(None),
                // Nothing to send, so nothing is sent should it have been a mistake.
                Outcome::Ask => self.write_to_object(py, &[]).map(|_| None),
            },
            Records::Memory { .. } => self.write_to_object(py, data.get(..LARGEST_WRITE).unwrap_or(data)),
        }
    }

    fn write_to_object(&self, py: Python<'_>, data: &[u8]) -> PyResult<Option<usize>> {
        let object = self.object(py);
        let Some(written) = self.enter(|| object.call_method1(pyo3::intern!(py, "write"), (bytes(py, data),))) else {
            return Ok(None);
        };
        match written {
            Ok(count) => count.extract().map(Some),
            Err(error) if is_again(py, &error)? => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Reads what fits into the loop's buffer, and copies exactly that out.
fn read_through<'py>(py: Python<'py>, connection: &Connection, event_loop: &LoopBody) -> (Bound<'py, PyAny>, Outcome) {
    let mut scratch = event_loop.tls_plain.take();
    if scratch.is_empty() {
        scratch.resize(SCRATCH, 0);
    }
    let mut filled = 0;
    let last = loop {
        if filled == SCRATCH {
            break Outcome::Some(0);
        }
        match connection.read(scratch.get_mut(filled..).unwrap_or_default()) {
            Outcome::Some(count) => filled += count,
            last => break last,
        }
    };
    let data = bytes(py, scratch.get(..filled).unwrap_or_default());
    event_loop.tls_plain.set(scratch);
    (data, last)
}

/// The direct way, if the object is what it must be for that.
fn direct(object: &Bound<'_, PyAny>, incoming: &Bound<'_, PyAny>) -> PyResult<Option<Connection>> {
    let py = object.py();
    let imports = imports(py)?;
    // A class of the user's own may mean to see what is read and written.
    if !object.get_type().is(imports.object.bind(py)) {
        return Ok(None);
    }
    let cold = imports.cold.bind(py);
    if !cold.call_method0("may_be_direct")?.is_truthy()? {
        return Ok(None);
    }
    match library(py, || cold.call_method0("trial_pair")?.extract()) {
        Some(functions) => Connection::attach(functions, object, incoming),
        None => Ok(None),
    }
}

/// Whether an error only says that something must be received first.
fn is_again(py: Python<'_>, error: &PyErr) -> PyResult<bool> {
    let imports = imports(py)?;
    Ok(error.is_instance(py, imports.want_read.bind(py)) || error.is_instance(py, imports.syscall_error.bind(py)))
}

fn unusable_buffer(what: &str) -> PyErr {
    pyo3::exceptions::PyRuntimeError::new_err(format!("get_buffer() returned {what}"))
}

fn pending(py: Python<'_>, bio: &Owned) -> PyResult<usize> {
    bio.bind(py).getattr(pyo3::intern!(py, "pending"))?.extract()
}

/// 34 KiB: two records fit. Larger reads go straight into the `bytes` that they end in.
const SCRATCH: usize = 34 * 1024;
/// 256 KiB: what asyncio reads at most at once.
const LARGEST_READ: usize = 256 * 1024;
/// 16 KiB: a record. `_ssl` takes one at a time, so a larger piece would be copied for nothing.
const LARGEST_WRITE: usize = 16 * 1024;
