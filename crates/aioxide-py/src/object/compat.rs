//! What differs between CPython versions. The only file with `cfg(Py_3_…)`.

use pyo3::ffi;
use pyo3::prelude::*;

/// Whether `asyncio.create_task` knows `eager_start` (3.14).
pub const CREATE_TASK_TAKES_EAGER_START: bool = cfg!(Py_3_14);
/// Whether `call_soon_threadsafe()` returns a `_ThreadSafeHandle` (3.14).
pub const HAS_THREAD_SAFE_HANDLE: bool = cfg!(Py_3_14);
/// Whether `Task.get_context` exists (3.12).
pub const HAS_TASK_GET_CONTEXT: bool = cfg!(Py_3_12);
/// Whether `__init__` of a future or task refuses to be called again (3.15).
pub const INITIALISES_ONCE: bool = cfg!(Py_3_15);
/// Whether a task refuses a context that is none when it is made, not when it runs (3.15).
pub const CHECKS_TASK_CONTEXT: bool = cfg!(Py_3_15);
/// Whether all of a connection, its end too, runs in a context of its own (3.15).
pub const CONNECTIONS_HAVE_CONTEXTS: bool = cfg!(Py_3_15);
/// Whether `uncancel()` down to zero also takes back a cancellation not yet delivered (3.13).
pub const UNCANCEL_CLEARS_MUST_CANCEL: bool = cfg!(Py_3_13);
/// Whether `gather()` looks at once at children that are done already (3.12); before, a turn later.
pub const GATHER_TAKES_DONE_AT_ONCE: bool = cfg!(Py_3_12);
/// Whether `wait_for()` is a `timeout()` around an await (3.12); before, the awaitable becomes a task.
pub const WAIT_FOR_IS_A_TIMEOUT: bool = cfg!(Py_3_12);
/// Whether `as_completed()` is a generator, which begins when it is iterated over (before 3.13).
pub const AS_COMPLETED_IS_LAZY: bool = !cfg!(Py_3_13);
/// Whether `asyncio.sleep(nan)` is refused (3.13).
pub const SLEEP_REFUSES_NAN: bool = cfg!(Py_3_13);

/// What `transport.write()` says it takes.
pub const WRITABLE: &str = if cfg!(Py_3_14) {
    "a bytes, bytearray, or memoryview object"
} else {
    "a bytes-like object"
};
/// The words around the class of what cannot be awaited.
pub const NOT_AWAITABLE: (&str, &str) = if cfg!(Py_3_14) {
    ("'", "' object can't be awaited")
} else {
    ("object ", " can't be used in 'await' expression")
};

/// Whether an empty datagram is sent (3.13); before, it was dropped without a word.
pub const SENDS_EMPTY_DATAGRAMS: bool = cfg!(Py_3_13);
/// What a buffered datagram counts for the water marks besides its bytes (3.13).
pub const DATAGRAM_HEADER_SIZE: usize = if cfg!(Py_3_13) { 8 } else { 0 };

/// Whether a TLS transport that aborts passes the reason on to the transport below (3.13).
pub const ABORTS_BY_FORCE_CLOSE: bool = cfg!(Py_3_13);
/// Whether CPython keeps each thread's tasks and its running one in memory of its own (3.14; see `published`).
pub const TASKS_ARE_PUBLISHED: bool = cfg!(Py_3_14);
/// How many bytes of a thread's state are searched for what it runs; its `sizeof` is as much, or a little more.
pub const THREAD_STATE_SIZE: usize = if cfg!(Py_3_15) {
    1088
} else if cfg!(Py_3_14) {
    920
} else {
    288
};

/// Takes the raised exception, as an object with its traceback set; null if there is none.
///
/// # Safety
/// The GIL is held. The caller owns the reference.
pub(super) unsafe fn take_raised() -> *mut ffi::PyObject {
    #[cfg(Py_3_12)]
    {
        // SAFETY: the GIL is held.
        unsafe { ffi::PyErr_GetRaisedException() }
    }
    #[cfg(not(Py_3_12))]
    {
        use std::ptr::null_mut;
        let (mut kind, mut value, mut traceback) = (null_mut(), null_mut(), null_mut());
        // SAFETY: the GIL is held and the three are valid to write to.
        unsafe { ffi::PyErr_Fetch(&raw mut kind, &raw mut value, &raw mut traceback) };
        if kind.is_null() {
            return null_mut();
        }
        // SAFETY: the three come from PyErr_Fetch.
        unsafe { ffi::PyErr_NormalizeException(&raw mut kind, &raw mut value, &raw mut traceback) };
        if !traceback.is_null() {
            // SAFETY: `value` is a normalized exception, `traceback` a traceback object that we own.
            unsafe {
                ffi::PyException_SetTraceback(value, traceback);
                ffi::Py_DECREF(traceback);
            }
        }
        // SAFETY: PyErr_Fetch gave us this reference.
        unsafe { ffi::Py_DECREF(kind) };
        value
    }
}

/// Raises an exception instance as it is, taking over the reference.
///
/// # Safety
/// The GIL is held; `exception` is a StopIteration that the caller owns.
pub(super) unsafe fn set_raised(exception: *mut ffi::PyObject) {
    #[cfg(Py_3_12)]
    {
        // SAFETY: as the caller promises.
        unsafe { ffi::PyErr_SetRaisedException(exception) };
    }
    #[cfg(not(Py_3_12))]
    {
        // SAFETY: as the caller promises; PyErr_Restore takes over both references.
        unsafe {
            ffi::Py_INCREF(ffi::PyExc_StopIteration);
            ffi::PyErr_Restore(ffi::PyExc_StopIteration, exception, std::ptr::null_mut());
        }
    }
}

/// Whether `Future.set_exception(StopIteration)` wraps it into a RuntimeError, as of 3.11.8, 3.12.2 and 3.13,
/// or refuses it with a TypeError.
pub fn wraps_stop_iteration(py: Python<'_>) -> bool {
    let version = py.version_info();
    match (version.major, version.minor) {
        (3, 11) => version.patch >= 8,
        (3, 12) => version.patch >= 2,
        other => other > (3, 12),
    }
}

/// A dictionary's version (PEP 509), which every change makes another one; None where there is none (3.14), or where
/// somebody watches the dictionary (3.12).
///
/// # Safety
/// The GIL is held; `dictionary` is an exact dictionary that is alive.
#[inline]
pub(super) unsafe fn version_of_dict(dictionary: *mut ffi::PyObject) -> Option<u64> {
    #[cfg(not(Py_3_14))]
    {
        // Removed in 3.14 without a successor, like the dictionary that this is for.
        #[cfg_attr(Py_3_12, expect(deprecated, reason = "until 3.13 it is there"))]
        // SAFETY: as the caller promises.
        let version = unsafe { (*dictionary.cast::<ffi::PyDictObject>()).ma_version_tag };
        // The lowest byte says who watches.
        if cfg!(Py_3_12) && version & 0xff != 0 {
            return None;
        }
        Some(version)
    }
    #[cfg(Py_3_14)]
    {
        let _ = dictionary;
        None
    }
}

/// The running version: (major, minor).
pub fn version(py: Python<'_>) -> (u8, u8) {
    let version = py.version_info();
    (version.major, version.minor)
}

/// Whether this is a version whose `_ssl` objects we know: `openssl` looks into them.
pub fn knows_ssl_objects(py: Python<'_>) -> bool {
    ((3, 11)..=(3, 15)).contains(&version(py)) && !cfg!(Py_GIL_DISABLED)
}

/// Makes `bytes` of what `fill` writes to the `room` bytes at the pointer it gets. `fill` returns how many it
/// wrote, and what the caller is to get.
pub fn bytes_with<'py, R>(
    py: Python<'py>,
    room: usize,
    fill: impl FnOnce(*mut u8) -> (usize, R),
) -> PyResult<(Bound<'py, PyAny>, R)> {
    let size = ffi::Py_ssize_t::try_from(room)?;
    // SAFETY: the GIL is held. With a null pointer the bytes are left unwritten: nobody else sees the object
    // before `fill` has written them and the rest is cut off.
    unsafe {
        let mut object = ffi::PyBytes_FromStringAndSize(std::ptr::null(), size);
        if object.is_null() {
            return Err(PyErr::fetch(py));
        }
        let (filled, result) = fill(ffi::PyBytes_AsString(object).cast());
        if filled < room && _PyBytes_Resize(&raw mut object, filled as ffi::Py_ssize_t) != 0 {
            return Err(PyErr::fetch(py));
        }
        Ok((Bound::from_owned_ptr(py, object), result))
    }
}

unsafe extern "C" {
    /// Documented, for all its underscore; PyO3 does not declare it.
    fn _PyBytes_Resize(object: *mut *mut ffi::PyObject, size: ffi::Py_ssize_t) -> std::os::raw::c_int;
}
