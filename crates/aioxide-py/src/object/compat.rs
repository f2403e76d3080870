//! What differs between CPython versions. The only file with `cfg(Py_3_…)`.

use pyo3::ffi;
use pyo3::prelude::*;

/// Whether `asyncio.Task` knows `eager_start` (3.12).
pub const HAS_EAGER_START: bool = cfg!(Py_3_12);
/// Whether `Task.get_context` exists (3.12).
pub const HAS_TASK_GET_CONTEXT: bool = cfg!(Py_3_12);
/// Whether `Future.set_exception(StopIteration)` raises `TypeError` at once (until 3.11) or wraps (3.12).
pub const STOP_ITERATION_IS_WRAPPED: bool = cfg!(Py_3_12);
/// Whether `uncancel()` down to zero also takes back a cancellation not yet delivered (3.13).
pub const UNCANCEL_CLEARS_MUST_CANCEL: bool = cfg!(Py_3_13);
/// Whether a remade `CancelledError` is the original (3.11: a new one with the original as context).
pub const CANCELLED_ERROR_IS_REUSED: bool = cfg!(Py_3_11);
/// Whether `asyncio.sleep(nan)` is refused (3.13).
pub const SLEEP_REFUSES_NAN: bool = cfg!(Py_3_13);

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

/// Whether this interpreter's `asyncio` keeps `_all_tasks` (3.11) or `_scheduled_tasks` (3.12 and up).
pub fn version(py: Python<'_>) -> (u8, u8) {
    let version = py.version_info();
    (version.major, version.minor)
}
