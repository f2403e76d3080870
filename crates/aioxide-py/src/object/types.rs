//! Making a native type: its base, its slots, its methods and attributes.

use std::ffi::CStr;
use std::mem;
use std::os::raw::{c_int, c_void};
use std::sync::atomic::Ordering;

use pyo3::exceptions::PySystemError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use super::methods::{GetSet, Method};
use super::native::{self, Body};

/// Collects what a native type consists of.
pub struct TypeBuilder {
    slots: Vec<ffi::PyType_Slot>,
    methods: Vec<Method>,
    getsets: Vec<GetSet>,
    subclassable: bool,
    weak_references: bool,
    instance_attributes: bool,
}

impl TypeBuilder {
    /// Starts an empty type.
    pub fn new() -> Self {
        Self {
            slots: Vec::new(),
            methods: Vec::new(),
            getsets: Vec::new(),
            subclassable: false,
            weak_references: false,
            instance_attributes: false,
        }
    }

    /// Lets Python classes inherit from it.
    pub fn subclassable(mut self) -> Self {
        self.subclassable = true;
        self
    }

    /// Gives instances a weak reference list of their own (the base has none).
    pub fn weak_references(mut self) -> Self {
        self.weak_references = true;
        self
    }

    /// Lets attributes be set on instances, as on those of a Python class: eight bytes until one is set.
    pub fn instance_attributes(mut self) -> Self {
        self.instance_attributes = true;
        self
    }

    /// Adds a method.
    pub fn method(mut self, method: Method) -> Self {
        self.methods.push(method);
        self
    }

    /// Adds an attribute.
    pub fn attribute(mut self, getset: GetSet) -> Self {
        self.getsets.push(getset);
        self
    }

    /// Fills a type slot with a function made by one of `methods.rs`'s `…_slot` constructors.
    pub fn slot(mut self, slot: super::methods::TypeSlot) -> Self {
        self.slots.push(ffi::PyType_Slot {
            slot: slot.id,
            pfunc: slot.function,
        });
        self
    }

    /// Makes the type. `name` is dotted and lives forever, as `tp_name` needs it to.
    pub fn finish<'py, B: Body>(
        mut self,
        py: Python<'py>,
        name: &'static CStr,
        doc: &'static CStr,
        base: Option<&Bound<'py, PyType>>,
        base_deallocates: bool,
    ) -> PyResult<Bound<'py, PyType>> {
        let layout = B::layout();
        // SAFETY: `base` is a live type object, or `object`'s static one.
        let (base_pointer, base_size) = unsafe {
            let base = base.map_or(&raw mut ffi::PyBaseObject_Type, |base| base.as_ptr().cast());
            (base, (*base).tp_basicsize)
        };
        let base_size = usize::try_from(base_size).map_err(|_| PySystemError::new_err("negative tp_basicsize"))?;
        let mut offset = base_size;
        let mut members = Vec::new();
        let mut reserve = |name: &'static CStr| {
            members.push(ffi::PyMemberDef {
                name: name.as_ptr(),
                type_code: ffi::Py_T_PYSSIZET,
                offset: offset as ffi::Py_ssize_t,
                flags: ffi::Py_READONLY,
                doc: std::ptr::null(),
            });
            let reserved = offset;
            offset += mem::size_of::<*mut c_void>();
            reserved
        };
        if self.weak_references {
            layout.weaklist.store(reserve(c"__weaklistoffset__"), Ordering::Relaxed);
        }
        if self.instance_attributes {
            layout.dictionary.store(reserve(c"__dictoffset__"), Ordering::Relaxed);
        }
        let offset = offset.next_multiple_of(mem::align_of::<B>());
        let size = (offset + mem::size_of::<B>()).next_multiple_of(mem::align_of::<*mut c_void>());

        // CPython keeps pointers into these tables for as long as the type lives, which is forever.
        let methods: &'static mut [ffi::PyMethodDef] = Box::leak(
            self.methods
                .iter()
                .map(Method::definition)
                .chain([ffi::PyMethodDef::zeroed()])
                .collect(),
        );
        let end = ffi::PyGetSetDef {
            name: std::ptr::null(),
            get: None,
            set: None,
            doc: std::ptr::null(),
            closure: std::ptr::null_mut(),
        };
        let dictionary = self.instance_attributes.then_some(ffi::PyGetSetDef {
            name: c"__dict__".as_ptr(),
            get: Some(ffi::PyObject_GenericGetDict),
            set: Some(ffi::PyObject_GenericSetDict),
            doc: std::ptr::null(),
            closure: std::ptr::null_mut(),
        });
        let getsets = self.getsets.iter().map(GetSet::definition);
        let getsets: &'static mut [ffi::PyGetSetDef] = Box::leak(getsets.chain(dictionary).chain([end]).collect());
        members.push(ffi::PyMemberDef::default());
        let members: &'static mut [ffi::PyMemberDef] = Box::leak(members.into_boxed_slice());

        let mut push = |id: c_int, function: *mut c_void| {
            self.slots.push(ffi::PyType_Slot {
                slot: id,
                pfunc: function,
            })
        };
        push(ffi::Py_tp_doc, doc.as_ptr() as *mut c_void);
        push(ffi::Py_tp_methods, methods.as_mut_ptr().cast());
        push(ffi::Py_tp_getset, getsets.as_mut_ptr().cast());
        push(ffi::Py_tp_members, members.as_mut_ptr().cast());
        push(ffi::Py_tp_dealloc, native::dealloc::<B> as *mut c_void);
        push(ffi::Py_tp_traverse, native::traverse::<B> as *mut c_void);
        push(ffi::Py_tp_clear, native::clear::<B> as *mut c_void);
        push(0, std::ptr::null_mut());

        let mut flags = ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_HAVE_GC;
        if self.subclassable {
            flags |= ffi::Py_TPFLAGS_BASETYPE;
        }
        let mut spec = ffi::PyType_Spec {
            name: name.as_ptr(),
            basicsize: c_int::try_from(size).map_err(|_| PySystemError::new_err("type too large"))?,
            itemsize: 0,
            flags: flags as std::os::raw::c_uint,
            slots: self.slots.as_mut_ptr(),
        };
        let bases = base.map(|base| PyTuple::new(py, [base])).transpose()?;
        layout.offset.store(offset, Ordering::Relaxed);
        layout.base.store(base_pointer, Ordering::Relaxed);
        layout
            .base_deallocates
            .store(usize::from(base_deallocates), Ordering::Relaxed);
        // SAFETY: the spec's tables outlive the type (leaked above); every function in them was made for
        // this slot by `methods.rs` or `native.rs`, for a body of type `B` at `offset`.
        let class = unsafe {
            let bases = bases.as_ref().map_or(std::ptr::null_mut(), |bases| bases.as_ptr());
            let class = ffi::PyType_FromSpecWithBases(&raw mut spec, bases);
            Bound::from_owned_ptr_or_err(py, class)?
        };
        let class = class.cast_into::<PyType>().map_err(PyErr::from)?;
        layout.class.store(class.clone().into_ptr().cast(), Ordering::Relaxed);
        Ok(class)
    }
}

/// Gives a type another metaclass.
///
/// # Errors
/// SystemError if the metaclass's instances are laid out differently from plain types.
pub fn set_metaclass(class: &Bound<'_, PyType>, metaclass: &Bound<'_, PyType>) -> PyResult<()> {
    let size = |class: &Bound<'_, PyAny>| class.getattr("__basicsize__")?.extract::<usize>();
    let present = class.get_type();
    if size(&present)? != size(metaclass)? || !metaclass.is_subclass(&present)? {
        return Err(PySystemError::new_err("the metaclass does not fit"));
    }
    // SAFETY: same layout and a subclass of the present metaclass, checked just above. The new one gets the
    // reference that each instance of a heap type holds; the old one, `type`, is static and holds none.
    unsafe {
        ffi::Py_INCREF(metaclass.as_ptr());
        (*class.as_ptr()).ob_type = metaclass.as_ptr().cast();
    }
    Ok(())
}
