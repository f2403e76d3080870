//! Trampolines: from CPython's calling conventions to safe functions, and back.
//!
//! Each takes the safe function as a type parameter: a function item has a type of its own and no size, so
//! the pointer that CPython gets is a function made for it alone, with the safe one inlined. A panic stops
//! here and becomes a `SystemError`.

use std::ffi::CStr;
use std::os::raw::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pyo3::exceptions::{PyAttributeError, PySystemError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::args::Args;
use super::native::{Body, Native};

/// What a safe method returns.
pub type Returned<'py> = PyResult<Bound<'py, PyAny>>;

/// A method of a native type.
pub struct Method {
    name: &'static CStr,
    doc: &'static CStr,
    function: ffi::PyMethodDefPointer,
    flags: c_int,
}

impl Method {
    pub(super) fn definition(&self) -> ffi::PyMethodDef {
        ffi::PyMethodDef {
            ml_name: self.name.as_ptr(),
            ml_meth: self.function,
            ml_flags: self.flags,
            ml_doc: self.doc.as_ptr(),
        }
    }
}

/// An attribute of a native type.
pub struct GetSet {
    name: &'static CStr,
    get: ffi::getter,
    set: Option<ffi::setter>,
}

impl GetSet {
    pub(super) fn definition(&self) -> ffi::PyGetSetDef {
        ffi::PyGetSetDef {
            name: self.name.as_ptr(),
            get: Some(self.get),
            set: self.set,
            doc: ptr::null(),
            closure: ptr::null_mut(),
        }
    }
}

/// A type slot and the function that fills it.
pub struct TypeSlot {
    pub(super) id: c_int,
    pub(super) function: *mut c_void,
}

/// A method with any arguments.
pub fn method<B, F>(name: &'static CStr, doc: &'static CStr, function: F) -> Method
where
    B: Body,
    F: for<'a, 'py> Fn(&'a Bound<'py, Native<B>>, Args<'a, 'py>) -> Returned<'py> + Copy + 'static,
{
    let _ = function;
    let function = ffi::PyMethodDefPointer {
        PyCFunctionFastWithKeywords: fastcall::<B, F>,
    };
    Method {
        name,
        doc,
        function,
        flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
    }
}

/// A function of the module, with any arguments. PyO3's own attach to the interpreter and parse into an
/// array first; this costs 25 ns less, which is a tenth of a task switch by `sleep(0)`.
pub fn function<'py, F>(
    module: &Bound<'py, pyo3::types::PyModule>,
    name: &'static CStr,
    doc: &'static CStr,
    function: F,
) -> PyResult<Bound<'py, PyAny>>
where
    F: for<'a, 'b> Fn(Args<'a, 'b>) -> Returned<'b> + Copy + 'static,
{
    let _ = function;
    let definition = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunctionFastWithKeywords: module_function::<F>,
        },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: doc.as_ptr(),
    }));
    let module_name = module.name()?;
    // SAFETY: the definition lives forever (leaked above); the function takes no self.
    unsafe {
        let function = ffi::PyCFunction_NewEx(definition, ptr::null_mut(), module_name.as_ptr());
        Bound::from_owned_ptr_or_err(module.py(), function)
    }
}

unsafe extern "C" fn module_function<F>(
    _module: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    F: for<'a, 'b> Fn(Args<'a, 'b>) -> Returned<'b> + Copy + 'static,
{
    enter(ptr::null_mut(), |py| {
        // SAFETY: CPython's vector of arguments lives for the call.
        unsafe { item::<F>()(Args::new(py, args, count, keywords)).map(Bound::into_ptr) }
    })
}

/// A method without arguments.
pub fn method_noargs<B, F>(name: &'static CStr, doc: &'static CStr, function: F) -> Method
where
    B: Body,
    F: for<'py> Fn(&Bound<'py, Native<B>>) -> Returned<'py> + Copy + 'static,
{
    let _ = function;
    Method {
        name,
        doc,
        function: ffi::PyMethodDefPointer {
            PyCFunction: noargs::<B, F>,
        },
        flags: ffi::METH_NOARGS,
    }
}

/// A method with exactly one positional argument.
pub fn method_one<B, F>(name: &'static CStr, doc: &'static CStr, function: F) -> Method
where
    B: Body,
    F: for<'a, 'py> Fn(&'a Bound<'py, Native<B>>, &'a Bound<'py, PyAny>) -> Returned<'py> + Copy + 'static,
{
    let _ = function;
    Method {
        name,
        doc,
        function: ffi::PyMethodDefPointer {
            PyCFunction: one::<B, F>,
        },
        flags: ffi::METH_O,
    }
}

/// A class method with one positional argument, given the class.
pub fn class_method_one<F>(name: &'static CStr, doc: &'static CStr, function: F) -> Method
where
    F: for<'a, 'py> Fn(&'a Bound<'py, PyAny>, &'a Bound<'py, PyAny>) -> Returned<'py> + Copy + 'static,
{
    let _ = function;
    Method {
        name,
        doc,
        function: ffi::PyMethodDefPointer {
            PyCFunction: class_one::<F>,
        },
        flags: ffi::METH_O | ffi::METH_CLASS,
    }
}

/// A read-only attribute.
pub fn getter<B, G>(name: &'static CStr, get: G) -> GetSet
where
    B: Body,
    G: for<'py> Fn(&Bound<'py, Native<B>>) -> Returned<'py> + Copy + 'static,
{
    let _ = get;
    GetSet {
        name,
        get: get_attribute::<B, G>,
        set: None,
    }
}

/// An attribute that can be assigned, but not deleted.
pub fn getter_setter<B, G, S>(name: &'static CStr, get: G, set: S) -> GetSet
where
    B: Body,
    G: for<'py> Fn(&Bound<'py, Native<B>>) -> Returned<'py> + Copy + 'static,
    S: for<'py> Fn(&Bound<'py, Native<B>>, &Bound<'py, PyAny>) -> PyResult<()> + Copy + 'static,
{
    let _ = (get, set);
    GetSet {
        name,
        get: get_attribute::<B, G>,
        set: Some(set_attribute::<B, S>),
    }
}

/// `tp_new` and `tp_init`: the body is made empty, then `init` fills it.
pub fn init_slots<B, F>(init: F) -> [TypeSlot; 2]
where
    B: Body,
    F: for<'a, 'py> Fn(
            &'a Bound<'py, Native<B>>,
            &'a Bound<'py, PyTuple>,
            Option<&'a Bound<'py, PyDict>>,
        ) -> PyResult<()>
        + Copy
        + 'static,
{
    let _ = init;
    [
        TypeSlot {
            id: ffi::Py_tp_new,
            function: super::native::new::<B> as *mut c_void,
        },
        TypeSlot {
            id: ffi::Py_tp_init,
            function: init_object::<B, F> as *mut c_void,
        },
    ]
}

/// `tp_new` that makes an object with an empty body, for types that are finished by other means.
pub fn new_slot<B: Body>() -> TypeSlot {
    TypeSlot {
        id: ffi::Py_tp_new,
        function: super::native::new::<B> as *mut c_void,
    }
}

/// `tp_finalize`, calling [`Body::finalize`].
pub fn finalize_slot<B: Body>() -> TypeSlot {
    TypeSlot {
        id: ffi::Py_tp_finalize,
        function: super::native::finalize::<B> as *mut c_void,
    }
}

/// A slot of the form `object function(self)`.
fn unary<B, F>(id: c_int, function: F) -> TypeSlot
where
    B: Body,
    F: for<'py> Fn(&Bound<'py, Native<B>>) -> Returned<'py> + Copy + 'static,
{
    let _ = function;
    TypeSlot {
        id,
        function: unary_slot::<B, F> as *mut c_void,
    }
}

/// `__repr__`.
pub fn repr_slot<B, F>(function: F) -> TypeSlot
where
    B: Body,
    F: for<'py> Fn(&Bound<'py, Native<B>>) -> Returned<'py> + Copy + 'static,
{
    unary(ffi::Py_tp_repr, function)
}

/// `__iter__`.
pub fn iter_slot<B, F>(function: F) -> TypeSlot
where
    B: Body,
    F: for<'py> Fn(&Bound<'py, Native<B>>) -> Returned<'py> + Copy + 'static,
{
    unary(ffi::Py_tp_iter, function)
}

/// `__aiter__`.
pub fn aiter_slot<B, F>(function: F) -> TypeSlot
where
    B: Body,
    F: for<'py> Fn(&Bound<'py, Native<B>>) -> Returned<'py> + Copy + 'static,
{
    unary(ffi::Py_am_aiter, function)
}

/// `__anext__`.
pub fn anext_slot<B, F>(function: F) -> TypeSlot
where
    B: Body,
    F: for<'py> Fn(&Bound<'py, Native<B>>) -> Returned<'py> + Copy + 'static,
{
    unary(ffi::Py_am_anext, function)
}

/// `__await__`.
pub fn await_slot<B, F>(function: F) -> TypeSlot
where
    B: Body,
    F: for<'py> Fn(&Bound<'py, Native<B>>) -> Returned<'py> + Copy + 'static,
{
    unary(ffi::Py_am_await, function)
}

/// What resuming an awaitable gave.
pub enum Resumed<'py> {
    /// It waits: this is for the task.
    Yielded(Bound<'py, PyAny>),
    /// It is done, with this result.
    Returned(Bound<'py, PyAny>),
}

/// `am_send` and `__next__` of a native awaitable. 3.11 resumes it by `am_send`; `SEND` on 3.12 and up calls
/// `tp_iternext`, where a result of `None` costs no StopIteration object.
pub fn resume_slots<B, F>(function: F) -> [TypeSlot; 2]
where
    B: Body,
    F: for<'py> Fn(&Bound<'py, Native<B>>) -> PyResult<Resumed<'py>> + Copy + 'static,
{
    let _ = function;
    [
        TypeSlot {
            id: ffi::Py_am_send,
            function: send_slot::<B, F> as *mut c_void,
        },
        TypeSlot {
            id: ffi::Py_tp_iternext,
            function: next_slot::<B, F> as *mut c_void,
        },
    ]
}

/// `__setattr__`/`__delattr__`: `before` is told, then the attribute is set as usual.
pub fn setattr_slot<B, F>(before: F) -> TypeSlot
where
    B: Body,
    F: for<'py> Fn(&Bound<'py, Native<B>>, &Bound<'py, PyAny>) + Copy + 'static,
{
    let _ = before;
    TypeSlot {
        id: ffi::Py_tp_setattro,
        function: set_any_attribute::<B, F> as *mut c_void,
    }
}

/// Conjures the function item whose type is `F`.
///
/// A function item has no size and no state, so a value of it exists wherever one is named.
#[inline(always)]
fn item<F: Copy + 'static>() -> F {
    const {
        assert!(
            size_of::<F>() == 0,
            "only function items, not closures with captures or pointers"
        )
    };
    // SAFETY: `F` has no size (checked above at compile time) and is `Copy`; the constructors above were
    // given a value of it, so it is inhabited.
    unsafe { ptr::NonNull::<F>::dangling().as_ptr().read() }
}

/// Runs `function`, turns its error or panic into a raised exception and `failed`.
///
/// CPython holds the GIL here, so nothing is attached; PyO3's own count of attachments is left alone,
/// which saves a thread-local access in each call (4 ns). Its only use is to tell whether a dropped
/// `PyErr` may be released at once: here, outside a running loop, that waits until the next attachment.
#[inline(always)]
fn enter<R>(failed: R, function: impl for<'py> FnOnce(Python<'py>) -> PyResult<R>) -> R {
    // SAFETY: CPython calls slots and methods with the GIL held.
    let py = unsafe { Python::assume_attached() };
    match catch_unwind(AssertUnwindSafe(|| function(py))) {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => {
            error.restore(py);
            failed
        }
        Err(panic) => {
            raise_panic(py, &*panic);
            failed
        }
    }
}

#[cold]
fn raise_panic(py: Python<'_>, panic: &(dyn std::any::Any + Send)) {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("unknown");
    PySystemError::new_err(format!("aioxide: internal error, please report it: {text}")).restore(py);
}

unsafe extern "C" fn fastcall<B, F>(
    this: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    B: Body,
    F: for<'a, 'py> Fn(&'a Bound<'py, Native<B>>, Args<'a, 'py>) -> Returned<'py> + Copy + 'static,
{
    enter(ptr::null_mut(), |py| {
        // SAFETY: CPython calls a method with an instance of the type it was defined on, and the vector of
        // arguments lives for the call.
        unsafe {
            let this = &*ptr::from_ref(&this).cast::<Bound<'_, Native<B>>>();
            item::<F>()(this, Args::new(py, args, count, keywords)).map(Bound::into_ptr)
        }
    })
}

unsafe extern "C" fn noargs<B, F>(this: *mut ffi::PyObject, _unused: *mut ffi::PyObject) -> *mut ffi::PyObject
where
    B: Body,
    F: for<'py> Fn(&Bound<'py, Native<B>>) -> Returned<'py> + Copy + 'static,
{
    // SAFETY: as `unary_slot`.
    unsafe { unary_slot::<B, F>(this) }
}

unsafe extern "C" fn one<B, F>(this: *mut ffi::PyObject, argument: *mut ffi::PyObject) -> *mut ffi::PyObject
where
    B: Body,
    F: for<'a, 'py> Fn(&'a Bound<'py, Native<B>>, &'a Bound<'py, PyAny>) -> Returned<'py> + Copy + 'static,
{
    enter(ptr::null_mut(), |_py| {
        // SAFETY: CPython calls with an instance of our type and one borrowed argument, alive for the call.
        unsafe {
            let this = &*ptr::from_ref(&this).cast::<Bound<'_, Native<B>>>();
            let argument = &*ptr::from_ref(&argument).cast::<Bound<'_, PyAny>>();
            item::<F>()(this, argument).map(Bound::into_ptr)
        }
    })
}

unsafe extern "C" fn class_one<F>(class: *mut ffi::PyObject, argument: *mut ffi::PyObject) -> *mut ffi::PyObject
where
    F: for<'a, 'py> Fn(&'a Bound<'py, PyAny>, &'a Bound<'py, PyAny>) -> Returned<'py> + Copy + 'static,
{
    enter(ptr::null_mut(), |_py| {
        // SAFETY: CPython calls with the class and one borrowed argument, alive for the call.
        unsafe {
            let class = &*ptr::from_ref(&class).cast::<Bound<'_, PyAny>>();
            let argument = &*ptr::from_ref(&argument).cast::<Bound<'_, PyAny>>();
            item::<F>()(class, argument).map(Bound::into_ptr)
        }
    })
}

unsafe extern "C" fn unary_slot<B, F>(this: *mut ffi::PyObject) -> *mut ffi::PyObject
where
    B: Body,
    F: for<'py> Fn(&Bound<'py, Native<B>>) -> Returned<'py> + Copy + 'static,
{
    enter(ptr::null_mut(), |_py| {
        // SAFETY: CPython calls with an instance of our type, alive for the call.
        let this = unsafe { &*ptr::from_ref(&this).cast::<Bound<'_, Native<B>>>() };
        item::<F>()(this).map(Bound::into_ptr)
    })
}

unsafe extern "C" fn get_attribute<B, G>(this: *mut ffi::PyObject, _closure: *mut c_void) -> *mut ffi::PyObject
where
    B: Body,
    G: for<'py> Fn(&Bound<'py, Native<B>>) -> Returned<'py> + Copy + 'static,
{
    // SAFETY: as `unary_slot`.
    unsafe { unary_slot::<B, G>(this) }
}

unsafe extern "C" fn set_attribute<B, S>(
    this: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
    _closure: *mut c_void,
) -> c_int
where
    B: Body,
    S: for<'py> Fn(&Bound<'py, Native<B>>, &Bound<'py, PyAny>) -> PyResult<()> + Copy + 'static,
{
    enter(-1, |_py| {
        if value.is_null() {
            return Err(PyAttributeError::new_err("cannot delete attribute"));
        }
        // SAFETY: CPython calls with an instance of our type and a borrowed value, alive for the call.
        unsafe {
            let this = &*ptr::from_ref(&this).cast::<Bound<'_, Native<B>>>();
            let value = &*ptr::from_ref(&value).cast::<Bound<'_, PyAny>>();
            item::<S>()(this, value).map(|()| 0)
        }
    })
}

unsafe extern "C" fn set_any_attribute<B, F>(
    this: *mut ffi::PyObject,
    name: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> c_int
where
    B: Body,
    F: for<'py> Fn(&Bound<'py, Native<B>>, &Bound<'py, PyAny>) + Copy + 'static,
{
    enter(-1, |_py| {
        // SAFETY: CPython calls with an instance of our type and a borrowed name, alive for the call;
        // `value` is passed on as it came (null deletes).
        unsafe {
            let this = &*ptr::from_ref(&this).cast::<Bound<'_, Native<B>>>();
            let name = &*ptr::from_ref(&name).cast::<Bound<'_, PyAny>>();
            let result = ffi::PyObject_GenericSetAttr(this.as_ptr(), name.as_ptr(), value);
            if result == 0 {
                item::<F>()(this, name);
            }
            Ok(result)
        }
    })
}

unsafe extern "C" fn init_object<B, F>(
    this: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> c_int
where
    B: Body,
    F: for<'a, 'py> Fn(
            &'a Bound<'py, Native<B>>,
            &'a Bound<'py, PyTuple>,
            Option<&'a Bound<'py, PyDict>>,
        ) -> PyResult<()>
        + Copy
        + 'static,
{
    enter(-1, |py| {
        // SAFETY: CPython calls tp_init with an instance of our type, a tuple, and a dict or null.
        unsafe {
            let this = &*ptr::from_ref(&this).cast::<Bound<'_, Native<B>>>();
            let args = &*ptr::from_ref(&args).cast::<Bound<'_, PyTuple>>();
            let kwargs = Bound::from_borrowed_ptr_or_opt(py, kwargs);
            let kwargs = kwargs.as_ref().map(|kwargs| kwargs.cast_unchecked::<PyDict>());
            item::<F>()(this, args, kwargs).map(|()| 0)
        }
    })
}

unsafe extern "C" fn send_slot<B, F>(
    this: *mut ffi::PyObject,
    _value: *mut ffi::PyObject,
    result: *mut *mut ffi::PyObject,
) -> ffi::PySendResult
where
    B: Body,
    F: for<'py> Fn(&Bound<'py, Native<B>>) -> PyResult<Resumed<'py>> + Copy + 'static,
{
    enter(ffi::PySendResult::PYGEN_ERROR, |_py| {
        // SAFETY: CPython calls with an instance of our type and a place for the result; on error it reads
        // nothing from there but expects null.
        unsafe {
            *result = ptr::null_mut();
            let this = &*ptr::from_ref(&this).cast::<Bound<'_, Native<B>>>();
            Ok(match item::<F>()(this)? {
                Resumed::Yielded(value) => {
                    *result = value.into_ptr();
                    ffi::PySendResult::PYGEN_NEXT
                }
                Resumed::Returned(value) => {
                    *result = value.into_ptr();
                    ffi::PySendResult::PYGEN_RETURN
                }
            })
        }
    })
}

unsafe extern "C" fn next_slot<B, F>(this: *mut ffi::PyObject) -> *mut ffi::PyObject
where
    B: Body,
    F: for<'py> Fn(&Bound<'py, Native<B>>) -> PyResult<Resumed<'py>> + Copy + 'static,
{
    enter(ptr::null_mut(), |py| {
        // SAFETY: CPython calls with an instance of our type.
        let this = unsafe { &*ptr::from_ref(&this).cast::<Bound<'_, Native<B>>>() };
        Ok(match item::<F>()(this)? {
            Resumed::Yielded(value) => value.into_ptr(),
            Resumed::Returned(value) => {
                super::call::raise_stop_iteration(py, &value);
                ptr::null_mut()
            }
        })
    })
}
