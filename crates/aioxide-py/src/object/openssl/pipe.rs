//! `Pipe`: what our BIO reads from and writes to.

use std::os::raw::{c_int, c_long, c_uchar, c_void};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::functions::{Bio, BioMethod, Functions};

/// The two ends of a connection's records.
pub struct Pipe {
    /// What was not read when its loan ended; read before what is lent.
    kept: Vec<u8>,
    /// How much of `kept` was read.
    read: usize,
    /// What a caller lends for now (O5).
    lent: *const u8,
    lent_length: usize,
    /// What OpenSSL wrote.
    pub output: Vec<u8>,
}

// SAFETY: the pointer is only followed under the mutex, while the loan lasts (O5), wherever that is.
unsafe impl Send for Pipe {}

impl Pipe {
    /// An empty one.
    pub fn new() -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            kept: Vec::new(),
            read: 0,
            lent: ptr::null(),
            lent_length: 0,
            output: Vec::new(),
        }))
    }

    /// How much waits to be read.
    #[inline]
    pub fn unread(&self) -> usize {
        self.kept.len() - self.read + self.lent_length
    }

    /// Begins a loan. One that is still going on is ended: what remains of it is kept.
    ///
    /// # Safety
    /// `input` stays alive and unchanged until `end_loan`, which is called under the same mutex.
    #[inline]
    pub unsafe fn begin_loan(&mut self, input: &[u8]) {
        self.end_loan();
        self.lent = input.as_ptr();
        self.lent_length = input.len();
    }

    /// Ends the loan; what was not read is kept.
    #[inline]
    pub fn end_loan(&mut self) {
        if self.lent_length > 0 {
            // SAFETY: O5: the loan lasts.
            let rest = unsafe { std::slice::from_raw_parts(self.lent, self.lent_length) };
            self.kept.extend_from_slice(rest);
        }
        self.lent = ptr::null();
        self.lent_length = 0;
    }

    /// Copies up to `room` bytes to `to`; returns how many.
    ///
    /// # Safety
    /// `to` has room for them.
    #[inline]
    unsafe fn take(&mut self, to: *mut u8, room: usize) -> usize {
        let kept = self.kept.get(self.read..).unwrap_or_default();
        if !kept.is_empty() {
            let count = kept.len().min(room);
            // SAFETY: the caller's room; `kept` is not in it.
            unsafe { ptr::copy_nonoverlapping(kept.as_ptr(), to, count) };
            self.read += count;
            if self.read == self.kept.len() {
                // The memory too: an idle connection holds no buffer.
                self.kept = Vec::new();
                self.read = 0;
            }
            return count;
        }
        let count = self.lent_length.min(room);
        if count > 0 {
            // SAFETY: O5: the loan lasts, and has at least `count` bytes; the caller's room.
            unsafe {
                ptr::copy_nonoverlapping(self.lent, to, count);
                self.lent = self.lent.add(count);
            }
            self.lent_length -= count;
        }
        count
    }
}

/// Locks a pipe. Whoever panicked with it locked had changed nothing halfway.
#[inline]
pub fn lock(pipe: &Mutex<Pipe>) -> MutexGuard<'_, Pipe> {
    pipe.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A BIO over a pipe, owned by the caller; null if there is no memory for it.
pub fn bio(functions: &'static Functions, pipe: &Arc<Mutex<Pipe>>) -> *mut Bio {
    let method = METHOD.get_or_init(|| Method(method(functions))).0;
    if method.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: O1, and the method lives for ever. From here on the BIO owns a share of the pipe (O4).
    unsafe {
        let bio = (functions.bio_new)(method);
        if !bio.is_null() {
            let data = Arc::into_raw(Arc::clone(pipe));
            (functions.bio_set_data)(bio, data.cast_mut().cast());
            (functions.bio_set_init)(bio, 1);
        }
        bio
    }
}

struct Method(*mut BioMethod);

// SAFETY: it is made once and then only read, by OpenSSL.
unsafe impl Send for Method {}
// SAFETY: as above.
unsafe impl Sync for Method {}

static METHOD: OnceLock<Method> = OnceLock::new();

fn method(functions: &Functions) -> *mut BioMethod {
    // SAFETY: O1. The index marks it as a source and sink of its own; the callbacks have the types of theirs.
    unsafe {
        let kind = (functions.bio_get_new_index)() | BIO_TYPE_SOURCE_SINK;
        let method = (functions.bio_meth_new)(kind, c"aioxide".as_ptr());
        if method.is_null() {
            return method;
        }
        let set = (functions.bio_meth_set_write_ex)(method, write)
            & (functions.bio_meth_set_read_ex)(method, read)
            & (functions.bio_meth_set_ctrl)(method, control)
            & (functions.bio_meth_set_destroy)(method, destroy);
        if set == 1 { method } else { ptr::null_mut() }
    }
}

/// The pipe of a BIO of ours, unless somebody is using it, which none of our threads would be.
///
/// # Safety
/// `bio` is ours and alive for `'a`.
#[inline]
unsafe fn pipe_of<'a>(functions: &Functions, bio: *mut Bio) -> Option<MutexGuard<'a, Pipe>> {
    // SAFETY: O4: the data is null or a pipe that the BIO owns a share of.
    let pipe = unsafe { (functions.bio_get_data)(bio).cast::<Mutex<Pipe>>().as_ref() };
    pipe.and_then(|pipe| pipe.try_lock().ok())
}

unsafe extern "C" fn write(bio: *mut Bio, data: *const c_uchar, length: usize, written: *mut usize) -> c_int {
    let Some(functions) = Functions::loaded() else {
        return 0;
    };
    // SAFETY: OpenSSL calls with our BIO, `length` bytes of data, and a place for their number.
    unsafe {
        (functions.bio_clear_flags)(bio, FLAGS_RETRY);
        let Some(mut pipe) = pipe_of(functions, bio) else {
            (functions.bio_set_flags)(bio, FLAG_WRITE | FLAG_SHOULD_RETRY);
            return -1;
        };
        if length > 0 {
            let data = std::slice::from_raw_parts(data, length);
            pipe.output.extend_from_slice(data);
        }
        *written = length;
    }
    1
}

unsafe extern "C" fn read(bio: *mut Bio, to: *mut c_uchar, room: usize, count: *mut usize) -> c_int {
    let Some(functions) = Functions::loaded() else {
        return 0;
    };
    // SAFETY: OpenSSL calls with our BIO, `room` bytes to write to, and a place for the number written.
    unsafe {
        (functions.bio_clear_flags)(bio, FLAGS_RETRY);
        let taken = match pipe_of(functions, bio) {
            Some(mut pipe) => pipe.take(to, room),
            None => 0,
        };
        *count = taken;
        if taken > 0 {
            return 1;
        }
        (functions.bio_set_flags)(bio, FLAG_READ | FLAG_SHOULD_RETRY);
    }
    -1
}

unsafe extern "C" fn control(bio: *mut Bio, command: c_int, _number: c_long, _pointer: *mut c_void) -> c_long {
    if command == CONTROL_FLUSH {
        return 1;
    }
    // OpenSSL asks several things for each record, of which most mean nothing to a pipe.
    if !matches!(command, CONTROL_PENDING | CONTROL_PENDING_OUTPUT) {
        return 0;
    }
    let Some(functions) = Functions::loaded() else {
        return 0;
    };
    // SAFETY: OpenSSL calls with our BIO.
    let length = unsafe { pipe_of(functions, bio) }.map_or(0, |pipe| match command {
        CONTROL_PENDING => pipe.unread(),
        _ => pipe.output.len(),
    });
    c_long::try_from(length).unwrap_or(c_long::MAX)
}

unsafe extern "C" fn destroy(bio: *mut Bio) -> c_int {
    let Some(functions) = Functions::loaded() else {
        return 0;
    };
    // SAFETY: OpenSSL calls this once, last. O4: the data is null or the share of a pipe that the BIO owns.
    unsafe {
        let pipe = (functions.bio_get_data)(bio).cast::<Mutex<Pipe>>().cast_const();
        if !pipe.is_null() {
            (functions.bio_set_data)(bio, ptr::null_mut());
            drop(Arc::from_raw(pipe));
        }
    }
    1
}

// From OpenSSL's bio.h; the same in 1.1.1 and 3.x.
const BIO_TYPE_SOURCE_SINK: c_int = 0x0400;
const FLAG_READ: c_int = 0x01;
const FLAG_WRITE: c_int = 0x02;
const FLAG_SHOULD_RETRY: c_int = 0x08;
const FLAGS_RETRY: c_int = 0x0f;
const CONTROL_PENDING: c_int = 10;
const CONTROL_FLUSH: c_int = 11;
const CONTROL_PENDING_OUTPUT: c_int = 13;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_loan_leaves_is_read_first() {
        let pipe = Pipe::new();
        let mut pipe = lock(&pipe);
        let mut room = [0; 3];
        let (first, second) = (*b"abcdef", *b"gh");
        // SAFETY: both arrays outlive the pipe's use of them; `room` has three bytes.
        unsafe {
            pipe.begin_loan(&first);
            assert_eq!(pipe.take(room.as_mut_ptr(), 3), 3);
            pipe.begin_loan(&second);
            assert_eq!(pipe.unread(), 5);
            assert_eq!(pipe.take(room.as_mut_ptr(), 3), 3);
            assert_eq!(&room, b"def");
            assert_eq!(pipe.take(room.as_mut_ptr(), 3), 2);
            assert_eq!(pipe.unread(), 0);
            pipe.end_loan();
        }
        assert_eq!(pipe.kept.capacity(), 0);
    }
}
