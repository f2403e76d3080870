//! `Connection`: the `SSL*` of an `ssl.SSLObject`, read from and written to directly.

use std::cell::Cell;
use std::os::raw::{c_int, c_long};
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex};

use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::functions::{Bio, Functions, Ssl};
use super::pipe::{self, Pipe, lock};
use crate::object::compat;
use crate::object::native::Visitor;
use crate::object::owned::Owned;

/// What reading or writing came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// So many bytes.
    Some(usize),
    /// Nothing before more is received.
    Wait,
    /// An end or an error; `_ssl`, asked to do the same, says which. OpenSSL's error queue is left for it.
    Ask,
}

/// One end of a TLS connection.
pub struct Connection {
    functions: &'static Functions,
    ssl: NonNull<Ssl>,
    /// The `_ssl._SSLSocket` that owns `ssl`.
    owner: Owned,
    pipe: Arc<Mutex<Pipe>>,
    /// A call on `ssl` is going on: a callback of the user's, made by OpenSSL, must not begin another (O3).
    busy: Cell<bool>,
    /// OpenSSL has, or may have, the beginning of a record.
    holds_part: Cell<bool>,
    /// OpenSSL gives its buffer of received records back when that is empty.
    releases: Cell<bool>,
}

impl Connection {
    /// Takes over reading and writing for `object`, an `ssl.SSLObject` that was made with `incoming` as its
    /// first BIO and has not been used yet. `None` if anything about it is not as expected; it is then as
    /// it was.
    pub fn attach(
        functions: &'static Functions,
        object: &Bound<'_, PyAny>,
        incoming: &Bound<'_, PyAny>,
    ) -> PyResult<Option<Self>> {
        let py = object.py();
        let module = py.import("_ssl")?;
        let owner = object.getattr("_sslobj")?;
        let context = owner.getattr("context")?;
        let expected = is_exactly(&owner, &module, "_SSLSocket")? && is_exactly(incoming, &module, "MemoryBIO")?;
        if !expected || !header_is_plain(py)? {
            return Ok(None);
        }
        // The struct begins: header (two words), weak reference to a socket, SSL*, context.
        let words = owner.as_ptr().cast::<usize>();
        // SAFETY: the size of its instances was checked: more than five words.
        let (socket, candidate, owners_context) =
            unsafe { (words.add(2).read(), words.add(3).read(), words.add(4).read()) };
        let aligned = candidate.is_multiple_of(align_of::<usize>());
        if socket != 0 || owners_context != context.as_ptr() as usize || !aligned {
            return Ok(None);
        }
        let Some(ssl) = NonNull::new(candidate as *mut Ssl) else {
            return Ok(None);
        };
        // SAFETY: a MemoryBIO begins: header (two words), BIO*; its size was checked.
        let incoming_bio = unsafe { incoming.as_ptr().cast::<*mut Bio>().add(2).read() };
        // SAFETY: O1; the word lies between the two that it must lie between, so it is the SSL*. O2 is
        // established here: `_ssl` stores the object itself as application data number 0.
        let (named, reads_from) = unsafe {
            let named = (functions.ssl_get_ex_data)(ssl.as_ptr(), 0);
            (named, (functions.ssl_get_rbio)(ssl.as_ptr()))
        };
        if !ptr::eq(named.cast(), owner.as_ptr()) || reads_from != incoming_bio {
            return Ok(None);
        }
        let pipe = Pipe::new();
        let bio = pipe::bio(functions, &pipe);
        if bio.is_null() {
            return Ok(None);
        }
        // SAFETY: O1, O2; it takes over our one reference, for both directions, and gives back those of the
        // memory BIOs. The mode only says that buffers are released when they are empty.
        unsafe {
            (functions.ssl_set_bio)(ssl.as_ptr(), bio, bio);
            (functions.ssl_ctrl)(ssl.as_ptr(), CONTROL_MODE, MODE_RELEASE_BUFFERS, ptr::null_mut());
        }
        Ok(Some(Self {
            functions,
            ssl,
            owner: owner.into(),
            pipe,
            busy: Cell::new(false),
            holds_part: Cell::new(true),
            releases: Cell::new(true),
        }))
    }

    /// Lets `work` read `input`. What it leaves is copied, and read first next time.
    #[inline]
    pub fn lend<R>(&self, input: &[u8], work: impl FnOnce() -> R) -> R {
        struct Loan<'a>(&'a Mutex<Pipe>);
        impl Drop for Loan<'_> {
            fn drop(&mut self) {
                lock(self.0).end_loan();
            }
        }
        // SAFETY: `input` is borrowed for this whole call; `loan` ends it, also when `work` panics (O5).
        unsafe { lock(&self.pipe).begin_loan(input) };
        let loan = Loan(&self.pipe);
        let result = work();
        drop(loan);
        result
    }

    /// How many bytes were received and not read by OpenSSL.
    #[inline]
    pub fn unread(&self) -> usize {
        lock(&self.pipe).unread()
    }

    /// How many bytes wait to be sent.
    #[inline]
    pub fn unsent(&self) -> usize {
        lock(&self.pipe).output.len()
    }

    /// Gives OpenSSL a vector to write to, if it has none; returns it if not needed.
    #[inline]
    pub fn offer_room(&self, room: Vec<u8>) -> Option<Vec<u8>> {
        let output = &mut lock(&self.pipe).output;
        if output.capacity() > 0 {
            return Some(room);
        }
        *output = room;
        None
    }

    /// Takes what OpenSSL wrote.
    #[inline]
    pub fn take_output(&self) -> Vec<u8> {
        std::mem::take(&mut lock(&self.pipe).output)
    }

    /// An upper bound for what can be read now, zero if nothing can. With compression it is only an estimate.
    #[inline]
    pub fn readable(&self) -> usize {
        match self.unread() {
            0 => self.decrypted(),
            unread if self.holds_part.get() => unread + self.decrypted() + LARGEST_RECORD,
            unread => unread + self.decrypted(),
        }
    }

    /// How much OpenSSL has decrypted that was not read.
    #[inline]
    fn decrypted(&self) -> usize {
        // SAFETY: O1, O2, O3.
        let pending = unsafe { (self.functions.ssl_pending)(self.ssl.as_ptr()) };
        usize::try_from(pending).unwrap_or(0)
    }

    /// Reads decrypted data into `room`.
    #[inline]
    pub fn read(&self, room: &mut [u8]) -> Outcome {
        // SAFETY: `room` is ours to write to, for its whole length.
        unsafe { self.read_raw(room.as_mut_ptr(), room.len()) }
    }

    /// Reads decrypted data into a new `bytes`, until it is full or there is no more. Returns it and how
    /// the last read went.
    pub fn read_bytes<'py>(&self, py: Python<'py>, room: usize) -> PyResult<(Bound<'py, PyAny>, Outcome)> {
        compat::bytes_with(py, room, |to| {
            let mut filled = 0;
            while filled < room {
                // SAFETY: `to` has `room` bytes.
                match unsafe { self.read_raw(to.add(filled), room - filled) } {
                    Outcome::Some(count) => filled += count,
                    last => return (filled, last),
                }
            }
            (filled, Outcome::Some(0))
        })
    }

    /// Reads decrypted data into a buffer that a protocol lends, from `offset` on. `None` if it is read-only
    /// or not contiguous.
    pub fn read_into(&self, py: Python<'_>, buffer: &PyBuffer<u8>, offset: usize) -> Option<Outcome> {
        let _ = py;
        if buffer.readonly() || !buffer.is_c_contiguous() {
            return None;
        }
        let room = buffer.len_bytes().checked_sub(offset)?;
        // SAFETY: writable, contiguous and long enough, checked just above; the export keeps it in place.
        Some(unsafe { self.read_raw(buffer.buf_ptr().cast::<u8>().add(offset), room) })
    }

    /// Reads decrypted data.
    ///
    /// # Safety
    /// `to` has `room` bytes to write to.
    #[inline]
    unsafe fn read_raw(&self, to: *mut u8, room: usize) -> Outcome {
        // Nothing received and nothing decrypted: OpenSSL would only find that out more slowly.
        if self.busy.get() || room == 0 || self.readable() == 0 {
            return Outcome::Wait;
        }
        let mut count = 0;
        let _call = Call::begin(&self.busy);
        self.release_after(self.unread());
        // SAFETY: O1, O2, O3; the caller's room. The queue is emptied first, since SSL_get_error looks there.
        unsafe {
            (self.functions.err_clear_error)();
            let done = (self.functions.ssl_read_ex)(self.ssl.as_ptr(), to.cast(), room, &raw mut count);
            let outcome = self.outcome(done, count);
            // It reads one record at a time, and no further.
            self.holds_part.set(outcome == Outcome::Wait);
            outcome
        }
    }

    /// Lets OpenSSL keep its buffer while more than a record waits in the pipe: it would allocate it again for
    /// the next one. So the last record that it reads finds the mode set, and an idle connection has no buffer.
    #[inline]
    fn release_after(&self, unread: usize) {
        let releases = unread <= LARGEST_RECORD;
        if self.releases.replace(releases) != releases {
            let command = if releases { CONTROL_MODE } else { CONTROL_CLEAR_MODE };
            // SAFETY: O1, O2; it changes a number.
            unsafe { (self.functions.ssl_ctrl)(self.ssl.as_ptr(), command, MODE_RELEASE_BUFFERS, ptr::null_mut()) };
        }
    }

    /// Encrypts as much of `data` as it can.
    #[inline]
    pub fn write(&self, data: &[u8]) -> Outcome {
        if self.busy.get() {
            return Outcome::Wait;
        }
        let mut count = 0;
        let _call = Call::begin(&self.busy);
        // SAFETY: O1, O2, O3; as above.
        unsafe {
            (self.functions.err_clear_error)();
            let ssl = self.ssl.as_ptr();
            let done = (self.functions.ssl_write_ex)(ssl, data.as_ptr().cast(), data.len(), &raw mut count);
            self.outcome(done, count)
        }
    }

    /// What a call came to.
    ///
    /// # Safety
    /// It was the last one on `ssl`.
    #[inline]
    unsafe fn outcome(&self, done: c_int, count: usize) -> Outcome {
        if done == 1 {
            return Outcome::Some(count);
        }
        // SAFETY: O1, O2, O3.
        match unsafe { (self.functions.ssl_get_error)(self.ssl.as_ptr(), done) } {
            ERROR_WANT_READ | ERROR_WANT_WRITE => Outcome::Wait,
            _ => Outcome::Ask,
        }
    }

    /// Shows what it owns to the garbage collector.
    pub fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.owned(&self.owner);
    }
}

/// Marks a call on an `SSL*` for as long as it lasts.
struct Call<'a>(&'a Cell<bool>);

impl<'a> Call<'a> {
    #[inline]
    fn begin(busy: &'a Cell<bool>) -> Self {
        busy.set(true);
        Self(busy)
    }
}

impl Drop for Call<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// Whether `object` is exactly of `_ssl`'s type of this name, whose instances have the words that are looked at.
fn is_exactly(object: &Bound<'_, PyAny>, module: &Bound<'_, PyModule>, name: &str) -> PyResult<bool> {
    let class = module.getattr(name)?.cast_into::<PyType>()?;
    let size: usize = class.getattr("__basicsize__")?.extract()?;
    let words = if name == "MemoryBIO" { 3 } else { 6 };
    Ok(object.get_type().is(&class) && size >= words * size_of::<usize>())
}

/// Whether objects begin with a reference count and a type and nothing else.
fn header_is_plain(py: Python<'_>) -> PyResult<bool> {
    let size: usize = py.get_type::<PyAny>().getattr("__basicsize__")?.extract()?;
    Ok(size == 2 * size_of::<usize>() && compat::knows_ssl_objects(py))
}

// From OpenSSL's ssl.h; the same in 1.1.1 and 3.x.
const ERROR_WANT_READ: c_int = 2;
const ERROR_WANT_WRITE: c_int = 3;
/// 16 KiB of data, and what TLS adds.
const LARGEST_RECORD: usize = 16 * 1024 + 256;
const CONTROL_MODE: c_int = 33;
const CONTROL_CLEAR_MODE: c_int = 78;
const MODE_RELEASE_BUFFERS: c_long = 0x10;
