//! The checked calls: what a body may ask of Python that safe PyO3 does not offer, or not as cheaply.

use std::cell::Cell;
use std::os::raw::{c_char, c_int};
use std::ptr;

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use super::compat;
use super::owned::Owned;

/// What sending `None` into a coroutine gave.
pub enum Sent<'py> {
    /// It waits for this.
    Yielded(Bound<'py, PyAny>),
    /// It has ended with this result.
    Returned(Bound<'py, PyAny>),
    /// It has ended with this exception.
    Raised(Bound<'py, PyAny>),
}

/// Resumes a coroutine (PEP 342's `send(None)`, without building a StopIteration).
#[inline]
pub fn send<'py>(coroutine: &Bound<'py, PyAny>) -> Sent<'py> {
    let py = coroutine.py();
    let mut result = ptr::null_mut();
    STOP.steps.set(STOP.steps.get() + 1);
    // SAFETY: the GIL is held; `result` is valid to write to; on NEXT and RETURN we own what it gets.
    unsafe {
        let sent = ffi::PyIter_Send(coroutine.as_ptr(), ffi::Py_None(), &raw mut result);
        STOP.end_step();
        match sent {
            ffi::PySendResult::PYGEN_NEXT => Sent::Yielded(Bound::from_owned_ptr(py, result)),
            ffi::PySendResult::PYGEN_RETURN => Sent::Returned(Bound::from_owned_ptr(py, result)),
            ffi::PySendResult::PYGEN_ERROR => Sent::Raised(take_raised(py)),
        }
    }
}

/// Throws an exception into a coroutine.
pub fn throw<'py>(coroutine: &Bound<'py, PyAny>, exception: &Bound<'py, PyAny>) -> Sent<'py> {
    let py = coroutine.py();
    match coroutine.call_method1(pyo3::intern!(py, "throw"), (exception,)) {
        Ok(yielded) => Sent::Yielded(yielded),
        Err(error) => {
            if error.is_instance_of::<pyo3::exceptions::PyStopIteration>(py) {
                let value = error.value(py).getattr(pyo3::intern!(py, "value"));
                return value.map_or_else(
                    |error| Sent::Raised(error.into_value(py).into_bound(py).into_any()),
                    Sent::Returned,
                );
            }
            Sent::Raised(error.into_value(py).into_bound(py).into_any())
        }
    }
}

/// Takes the exception that is set; one of ours if, against the protocol, none is.
#[cold]
fn take_raised(py: Python<'_>) -> Bound<'_, PyAny> {
    // SAFETY: the GIL is held; the reference is ours.
    let raised = unsafe { Bound::from_owned_ptr_or_opt(py, compat::take_raised()) };
    raised.unwrap_or_else(|| {
        PyRuntimeError::new_err("error return without exception set")
            .into_value(py)
            .into_bound(py)
            .into_any()
    })
}

/// Raises StopIteration(value) as an iterator's end; `None` needs no object.
///
/// Inside a step (see [`send`]) one exception object serves all: making one costs 100 ns, a fifth of a task
/// that is spawned and awaited. It is made anew if somebody kept it, or left something on it.
pub fn raise_stop_iteration(py: Python<'_>, value: &Bound<'_, PyAny>) {
    if value.is_none() {
        return;
    }
    // SAFETY: the GIL is held.
    unsafe {
        let exception = if STOP.steps.get() > 0 {
            STOP.reuse()
        } else {
            ptr::null_mut()
        };
        if !exception.is_null() {
            let field = &raw mut (*exception.cast::<ffi::PyStopIterationObject>()).value;
            let before = field.replace(value.clone().into_ptr());
            STOP.filled.set(true);
            ffi::Py_INCREF(exception);
            compat::set_raised(exception);
            // Last: it may run Python, which finds everything in its place.
            ffi::Py_XDECREF(before);
            return;
        }
        // A tuple or an exception as value would be taken apart by PyErr_SetObject: the instance is made first.
        let exception = ffi::PyObject_CallOneArg(ffi::PyExc_StopIteration, value.as_ptr());
        if !exception.is_null() {
            if STOP.steps.get() > 0 {
                STOP.keep(exception);
            }
            ffi::PyErr_SetObject(ffi::PyExc_StopIteration, exception);
            ffi::Py_DECREF(exception);
        }
    }
    let _ = py;
}

/// The StopIteration that steps share.
struct SharedStop {
    exception: Cell<*mut ffi::PyObject>,
    /// How many steps are on the stack.
    steps: Cell<u32>,
    /// It holds a value that the step has to take out again.
    filled: Cell<bool>,
}

// SAFETY: invariant 1: only touched with the GIL held.
unsafe impl Sync for SharedStop {}

static STOP: SharedStop = SharedStop {
    exception: Cell::new(ptr::null_mut()),
    steps: Cell::new(0),
    filled: Cell::new(false),
};

impl SharedStop {
    /// The exception, if nobody else has it and nothing was left on it; else null.
    ///
    /// # Safety
    /// The GIL is held.
    unsafe fn reuse(&self) -> *mut ffi::PyObject {
        let exception = self.exception.get();
        if exception.is_null() {
            return exception;
        }
        // SAFETY: we own a reference to a StopIteration.
        let (shared, untouched) = unsafe {
            let fields = exception.cast::<ffi::PyBaseExceptionObject>();
            let untouched = (*fields).traceback.is_null() && (*fields).context.is_null() && (*fields).cause.is_null();
            (ffi::Py_REFCNT(exception) > 1, untouched)
        };
        if shared || !untouched {
            self.exception.set(ptr::null_mut());
            // SAFETY: the reference was ours.
            unsafe { ffi::Py_DECREF(exception) };
            return ptr::null_mut();
        }
        exception
    }

    /// Keeps a new exception for later, without what it carries now.
    ///
    /// # Safety
    /// The GIL is held; `exception` is a StopIteration.
    unsafe fn keep(&self, exception: *mut ffi::PyObject) {
        // SAFETY: a new reference for us.
        unsafe { ffi::Py_INCREF(exception) };
        let before = self.exception.replace(exception);
        self.filled.set(true);
        // SAFETY: the reference was ours, or it is null.
        unsafe { ffi::Py_XDECREF(before) };
    }

    /// Ends a step: what the exception carries is released, so that no result outlives its await.
    #[inline]
    fn end_step(&self) {
        self.steps.set(self.steps.get().saturating_sub(1));
        if !self.filled.replace(false) {
            return;
        }
        // SAFETY: the GIL is held. Only an exception that is ours alone is emptied: whoever else has it may
        // still want the value.
        unsafe {
            let exception = self.reuse();
            if exception.is_null() {
                return;
            }
            let field = &raw mut (*exception.cast::<ffi::PyStopIterationObject>()).value;
            ffi::Py_INCREF(ffi::Py_None());
            let before = field.replace(ffi::Py_None());
            // The instance that `keep` kept has the first value in its args, too.
            let arguments = &raw mut (*exception.cast::<ffi::PyBaseExceptionObject>()).args;
            let tuple = if ffi::PyTuple_GET_SIZE(*arguments) > 0 {
                ffi::PyTuple_New(0)
            } else {
                ptr::null_mut()
            };
            let released = if tuple.is_null() {
                ptr::null_mut()
            } else {
                arguments.replace(tuple)
            };
            ffi::Py_XDECREF(before);
            ffi::Py_XDECREF(released);
        }
    }
}

/// Calls `callable(*arguments)` without copying the tuple.
#[inline]
pub fn call_tuple<'py>(callable: &Bound<'py, PyAny>, arguments: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
    let py = callable.py();
    // SAFETY: a tuple's items lie in one array, alive as long as `arguments`; vectorcall only borrows them.
    unsafe {
        let tuple = arguments.as_ptr().cast::<ffi::PyTupleObject>();
        let count = ffi::PyTuple_GET_SIZE(arguments.as_ptr()) as usize;
        let result = ffi::PyObject_Vectorcall(
            callable.as_ptr(),
            (&raw const (*tuple).ob_item).cast(),
            count,
            ptr::null_mut(),
        );
        Bound::from_owned_ptr_or_err(py, result)
    }
}

/// Calls `object.name(argument)` without making a bound method.
#[inline]
pub fn call_method_one<'py>(
    object: &Bound<'py, PyAny>,
    name: &Bound<'py, PyString>,
    argument: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let arguments = [object.as_ptr(), argument.as_ptr()];
    // SAFETY: both are alive for the call; vectorcall only borrows them.
    unsafe {
        let result = ffi::PyObject_VectorcallMethod(name.as_ptr(), arguments.as_ptr(), 2, ptr::null_mut());
        Bound::from_owned_ptr_or_err(object.py(), result)
    }
}

/// Calls `object.name(first, second)` without making a bound method.
#[inline]
pub fn call_method_two<'py>(
    object: &Bound<'py, PyAny>,
    name: &Bound<'py, PyString>,
    first: &Bound<'py, PyAny>,
    second: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let arguments = [object.as_ptr(), first.as_ptr(), second.as_ptr()];
    // SAFETY: all are alive for the call; vectorcall only borrows them.
    unsafe {
        let result = ffi::PyObject_VectorcallMethod(name.as_ptr(), arguments.as_ptr(), 3, ptr::null_mut());
        Bound::from_owned_ptr_or_err(object.py(), result)
    }
}

/// Raises an auditing event about a socket and an address, as the `socket` module does before it uses one.
///
/// # Errors
/// What a hook raises, to forbid it.
#[inline]
pub fn audit_address(event: &std::ffi::CStr, socket: &Bound<'_, PyAny>, address: &Bound<'_, PyAny>) -> PyResult<()> {
    // SAFETY: the GIL is held; the format names the two objects that follow, which are alive for the call.
    let failed = unsafe { PySys_Audit(event.as_ptr(), c"OO".as_ptr(), socket.as_ptr(), address.as_ptr()) };
    if failed != 0 {
        return Err(PyErr::fetch(socket.py()));
    }
    Ok(())
}

unsafe extern "C" {
    /// PyO3 does not declare it.
    fn PySys_Audit(event: *const c_char, format: *const c_char, ...) -> c_int;
}

/// A copy of the current context (`contextvars.copy_context()`).
#[inline]
pub fn copy_context(py: Python<'_>) -> PyResult<Owned> {
    // SAFETY: the GIL is held; the reference is ours.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyContext_CopyCurrent()) }.map(Owned::from)
}

/// A copy of a context (`Context.copy()`).
///
/// # Errors
/// RuntimeError if it is no context.
pub fn copy_of(context: &Bound<'_, PyAny>) -> PyResult<Owned> {
    // SAFETY: the GIL is held; PyContext_Copy checks what it got; the reference is ours.
    unsafe { Bound::from_owned_ptr_or_err(context.py(), ffi::PyContext_Copy(context.as_ptr())) }.map(Owned::from)
}

/// Runs `body` with `context` entered, as `Context.run` does.
///
/// # Errors
/// RuntimeError if the context is entered already, TypeError if it is no context.
#[inline]
pub fn in_context<R>(context: &Bound<'_, PyAny>, body: impl FnOnce() -> R) -> PyResult<R> {
    // SAFETY: the GIL is held; PyContext_Enter checks that it got a context.
    if unsafe { ffi::PyContext_Enter(context.as_ptr()) } != 0 {
        return Err(PyErr::fetch(context.py()));
    }
    let result = body();
    // SAFETY: entered just above, and `body` leaves the stack of contexts as it found it. It fails only if
    // somebody broke that; the exception then goes the way of every error.
    if unsafe { ffi::PyContext_Exit(context.as_ptr()) } != 0 {
        return Err(PyErr::fetch(context.py()));
    }
    Ok(result)
}

/// Makes `bytes` of exactly the data.
#[inline]
pub fn bytes<'py>(py: Python<'py>, data: &[u8]) -> Bound<'py, PyAny> {
    pyo3::types::PyBytes::new(py, data).into_any()
}

/// A bound built-in method of its own name, whose `__self__` is `this`.
pub fn bound_function<'py>(
    this: &Bound<'py, PyAny>,
    definition: &'static std::sync::OnceLock<StaticMethod>,
    make: fn() -> super::methods::Method,
) -> PyResult<Bound<'py, PyAny>> {
    let definition = definition.get_or_init(|| StaticMethod(make().definition()));
    let pointer = ptr::from_ref(&definition.0).cast_mut();
    // SAFETY: the definition is static; the function it names takes a `this` of its type, which the callers
    // of this function give.
    unsafe {
        let function = ffi::PyCFunction_NewEx(pointer, this.as_ptr(), ptr::null_mut());
        Bound::from_owned_ptr_or_err(this.py(), function)
    }
}

/// A method definition that lives as long as the process.
pub struct StaticMethod(ffi::PyMethodDef);

// SAFETY: it holds pointers to static strings and functions only.
unsafe impl Send for StaticMethod {}
// SAFETY: as above; it is never written after it was made.
unsafe impl Sync for StaticMethod {}
