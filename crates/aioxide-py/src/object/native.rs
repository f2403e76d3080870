//! `Native<B>`: a Python object whose state is the Rust struct `B`, behind a base type's own struct.
//!
//! ```text
//!   | ob_base … the base type's fields | body: B |
//!   ^ object pointer                   ^ + Layout::offset, read once from the base's tp_basicsize
//! ```
//! The base is `object`, `_asyncio.Future`/`_asyncio.Task` or a Python class with slots
//! (`asyncio.Handle`); its fields stay as `tp_alloc` left them, zeroed, and are never ours to read. The few that
//! CPython 3.14 itself reads are kept by `published`.

use std::cell::Cell;
use std::marker::PhantomData;
use std::os::raw::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::type_object::PyTypeInfo;

use super::owned::{Owned, Slot};

/// The Rust half of a native object.
///
/// A body's methods get `&self`: its fields are `Cell`s, `RefCell`s and [`Slot`]s, because user code that
/// runs in the middle of a method may come back to the same object.
pub trait Body: Sized + 'static {
    /// Whether CPython is told of it, where it wants to be (see `published`): tasks are.
    const PUBLISHED: bool = false;

    /// How many dead objects are kept to be used again: by default enough for the locks and handles of 100 tasks that
    /// take turns.
    const KEPT: usize = 128;

    /// Where the type, the base and the offset are written when the module is made.
    fn layout() -> &'static Layout;

    /// A body for an object that nobody has initialised yet.
    fn empty() -> Self;

    /// Shows every Python object that the body owns to the garbage collector.
    fn traverse(&self, visitor: &mut Visitor<'_>);

    /// Releases every Python object that could be part of a cycle.
    fn clear(&self);

    /// Whether `finalize` has anything to do. Asked first, because calling it costs 15 ns.
    fn needs_finalize(&self) -> bool {
        false
    }

    /// Runs before the object dies, while it is still whole (PEP 442). It may resurrect the object.
    fn finalize(this: &Bound<'_, Native<Self>>) {
        let _ = this;
    }

    /// Runs first in deallocation, before anything is torn down: the object leaves every list that knows
    /// its address.
    fn unlink(&self) {}
}

/// What is known of a native type at run time. Written once, by `TypeBuilder::finish`.
pub struct Layout {
    pub(super) class: AtomicPtr<ffi::PyTypeObject>,
    pub(super) base: AtomicPtr<ffi::PyTypeObject>,
    pub(super) offset: AtomicUsize,
    /// Whether the base has fields to release (`_asyncio`'s types).
    pub(super) base_deallocates: AtomicUsize,
    pub(super) weaklist: AtomicUsize,
    /// Where the pointer to an instance's dictionary lies, which is null until an attribute is set; zero if instances
    /// have none.
    pub(super) dictionary: AtomicUsize,
    /// The first subclass whose instance was seen as `Native<B>`; kept alive forever, so that its address
    /// cannot come to mean another class. It makes the second check of `as_native` one comparison.
    favourite: AtomicPtr<ffi::PyTypeObject>,
    free: FreeList,
}

impl Layout {
    /// A layout that no type has claimed yet.
    pub const fn unset() -> Self {
        Self {
            class: AtomicPtr::new(ptr::null_mut()),
            base: AtomicPtr::new(ptr::null_mut()),
            offset: AtomicUsize::new(0),
            base_deallocates: AtomicUsize::new(0),
            weaklist: AtomicUsize::new(0),
            dictionary: AtomicUsize::new(0),
            favourite: AtomicPtr::new(ptr::null_mut()),
            free: FreeList::new(),
        }
    }

    /// The type object; null before the module is made.
    #[inline]
    pub(super) fn class(&self) -> *mut ffi::PyTypeObject {
        self.class.load(Ordering::Relaxed)
    }
}

/// The type parameter of `Bound` and `Py` for an object with body `B`.
pub struct Native<B: Body>(PhantomData<B>);

// SAFETY: `class` is the type that was made for `B`; each of its instances, and of its subclasses, holds a
// `B` at the layout's offset (invariant 2).
unsafe impl<B: Body> PyTypeInfo for Native<B> {
    fn type_object_raw(_py: Python<'_>) -> *mut ffi::PyTypeObject {
        B::layout().class()
    }
}

impl<B: Body> pyo3::types::DerefToPyAny for Native<B> {}

/// Access to the body, for `Bound<Native<B>>`.
pub trait BodyOf<B: Body> {
    /// The body.
    fn body(&self) -> &B;
}

impl<B: Body> BodyOf<B> for Bound<'_, Native<B>> {
    #[inline]
    fn body(&self) -> &B {
        // SAFETY: invariant 2: `alloc` wrote the body before anyone could see the object, and `dealloc` has
        // not run, because `self` owns a reference.
        unsafe { &*body_pointer::<B>(self.as_ptr()) }
    }
}

#[inline]
pub(super) fn body_pointer<B: Body>(object: *mut ffi::PyObject) -> *mut B {
    let offset = B::layout().offset.load(Ordering::Relaxed);
    object.cast::<u8>().wrapping_add(offset).cast()
}

/// Where the pointer to an object's dictionary lies; none if its type, or the type's base, has no room for one.
#[inline]
fn dictionary_place<B: Body>(object: *mut ffi::PyObject) -> Option<*mut *mut ffi::PyObject> {
    match B::layout().dictionary.load(Ordering::Relaxed) {
        0 => None,
        offset => Some(object.cast::<u8>().wrapping_add(offset).cast()),
    }
}

/// Whether `object` is exactly of `B`'s type, not of a subclass.
#[inline]
fn is_exact<B: Body>(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: `object` is alive, so its type may be read.
    ptr::eq(unsafe { ffi::Py_TYPE(object.as_ptr()) }, B::layout().class())
}

/// Sees `object` as a native object if it is exactly of `B`'s type: one comparison.
#[inline]
pub fn as_exact<'a, 'py, B: Body>(object: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, Native<B>>> {
    if is_exact::<B>(object) {
        // SAFETY: checked just above.
        return Some(unsafe { object.cast_unchecked() });
    }
    None
}

/// As [`as_exact`], unless attributes were set on the object: one of them may stand in for a method.
#[inline]
pub fn as_plain<'a, 'py, B: Body>(object: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, Native<B>>> {
    let exact = as_exact::<B>(object)?;
    // SAFETY: the type reserved the place behind its base's fields; `object` is alive and exactly of the type.
    let plain = dictionary_place::<B>(object.as_ptr()).is_none_or(|place| unsafe { (*place).is_null() });
    plain.then_some(exact)
}

/// Sees `object` as a native object if it is of `B`'s type or a subclass.
#[inline]
pub fn as_native<'a, 'py, B: Body>(object: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, Native<B>>> {
    let layout = B::layout();
    // SAFETY: `object` is alive, so its type may be read.
    let class = unsafe { ffi::Py_TYPE(object.as_ptr()) };
    if ptr::eq(class, layout.favourite.load(Ordering::Relaxed)) || ptr::eq(class, layout.class()) {
        // SAFETY: the favourite passed the check below once, and is alive since.
        return Some(unsafe { object.cast_unchecked() });
    }
    as_subclass(object, class)
}

#[cold]
fn as_subclass<'a, 'py, B: Body>(
    object: &'a Bound<'py, PyAny>,
    class: *mut ffi::PyTypeObject,
) -> Option<&'a Bound<'py, Native<B>>> {
    let native = object.cast::<Native<B>>().ok()?;
    let favourite = &B::layout().favourite;
    if favourite
        .compare_exchange(ptr::null_mut(), class, Ordering::Relaxed, Ordering::Relaxed)
        .is_ok()
    {
        // SAFETY: `class` is the live type of `object`. The reference is never given back.
        unsafe { ffi::Py_INCREF(class.cast()) };
    }
    Some(native)
}

/// Makes an object of exactly `B`'s type, with this body.
#[inline]
pub fn create<B: Body>(py: Python<'_>, body: B) -> PyResult<Bound<'_, Native<B>>> {
    let class = B::layout().class();
    if let Some(object) = B::layout().free.take::<B>() {
        // SAFETY: `keep` put it there: memory of an object of exactly this type, untracked, its base fields
        // zeroed, its body dropped. PyObject_Init makes it an object again, with one reference to its type.
        // The body is written before the garbage collector is told.
        unsafe {
            ffi::PyObject_Init(object, class);
            body_pointer::<B>(object).write(body);
            ffi::PyObject_GC_Track(object.cast());
            return Ok(Bound::from_owned_ptr(py, object).cast_into_unchecked());
        }
    }
    // SAFETY: `class` was set when the module was made; its `tp_alloc` is PyType_GenericAlloc.
    let object = unsafe { ffi::PyType_GenericAlloc(class, 0) };
    if object.is_null() {
        return Err(PyErr::fetch(py));
    }
    // SAFETY: the body's room lies inside the allocation (basicsize = offset + size of B), is aligned (the
    // builder rounds up), and nobody else has the pointer. A collection between the two lines cannot
    // happen: the allocation itself was the last point where one may start.
    unsafe {
        body_pointer::<B>(object).write(body);
        Ok(Bound::from_owned_ptr(py, object).cast_into_unchecked())
    }
}

/// Makes an object that the garbage collector does not look at until [`track`] is called: one that owns
/// nothing yet that could lead back to it.
#[inline]
pub fn create_untracked<B: Body>(py: Python<'_>, body: B) -> PyResult<Bound<'_, Native<B>>> {
    let class = B::layout().class();
    if let Some(object) = B::layout().free.take::<B>() {
        // SAFETY: as in `create`.
        unsafe {
            ffi::PyObject_Init(object, class);
            body_pointer::<B>(object).write(body);
            return Ok(Bound::from_owned_ptr(py, object).cast_into_unchecked());
        }
    }
    let object = create(py, body)?;
    // SAFETY: `create` made a tracked object.
    unsafe { ffi::PyObject_GC_UnTrack(object.as_ptr().cast()) };
    Ok(object)
}

/// Gives back some of the memory that is kept for objects of `B`'s type, if it is more than for `enough` of them.
///
/// For a type whose objects come in bursts: in the midst of one everything is kept, and what turns out not to be needed
/// goes bit by bit, [`GIVEN_BACK_AT_ONCE`] at a call.
pub fn give_back<B: Body>(py: Python<'_>, enough: usize) {
    let _ = py;
    let free = &B::layout().free;
    for _ in 0..GIVEN_BACK_AT_ONCE {
        if free.count.get() <= enough {
            return;
        }
        let Some(object) = free.take::<B>() else { return };
        // SAFETY: `keep` put it there: memory of an object whose body is dropped, which nobody has. `tp_free` of a type
        // with a GC head is what `dealloc` would have called.
        unsafe {
            let class = B::layout().class();
            if let Some(free) = (*class).tp_free {
                free(object.cast());
            }
        }
    }
}

/// How many objects' memory is given back at once: 15 us.
const GIVEN_BACK_AT_ONCE: usize = 512;

/// Has the processor fetch an object that is needed soon, as if it had the body `B`; of no effect if it has not.
#[inline]
pub fn prefetch<B: Body>(object: &Owned) {
    let start = object.as_ptr();
    aioxide::prefetch(start.cast::<u8>());
    aioxide::prefetch(body_pointer::<B>(start).cast::<u8>());
}

/// Shows an object to the garbage collector, if it is not yet.
#[inline]
pub fn track<B: Body>(object: &Bound<'_, Native<B>>) {
    // SAFETY: native types have GC heads, and a body that may be traversed at any time.
    unsafe {
        if ffi::PyObject_GC_IsTracked(object.as_ptr()) == 0 {
            ffi::PyObject_GC_Track(object.as_ptr().cast());
        }
    }
}

/// Shows an object to the garbage collector if somebody else has it besides the caller, who is about to release it.
#[inline]
pub fn track_if_shared<B: Body>(object: &Bound<'_, Native<B>>) {
    // SAFETY: the object is alive.
    if unsafe { ffi::Py_REFCNT(object.as_ptr()) } > 1 {
        track(object);
    }
}

/// `tp_new`: the body exists before `__init__` runs.
pub(super) unsafe extern "C" fn new<B: Body>(
    class: *mut ffi::PyTypeObject,
    _args: *mut ffi::PyObject,
    _kwargs: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this with a type that inherits ours; PyType_GenericAlloc is its tp_alloc.
    unsafe {
        let object = ffi::PyType_GenericAlloc(class, 0);
        if !object.is_null() {
            // SAFETY: as in `create`.
            body_pointer::<B>(object).write(B::empty());
        }
        object
    }
}

/// `tp_dealloc`.
pub(super) unsafe extern "C" fn dealloc<B: Body>(object: *mut ffi::PyObject) {
    let layout = B::layout();
    // SAFETY: the reference count is zero, so nobody but us has the object; the body is whole
    // (invariant 2). The order is CPython's own: finalize (which may resurrect), untrack, clear weak
    // references, then the fields, then the memory. A heap type holds a reference from each instance.
    unsafe {
        let class = ffi::Py_TYPE(object);
        let exact = ptr::eq(class, layout.class());
        let finalized = !exact || (*body_pointer::<B>(object)).needs_finalize();
        if finalized && (*class).tp_finalize.is_some() && ffi::PyObject_CallFinalizerFromDealloc(object) < 0 {
            return;
        }
        ffi::PyObject_GC_UnTrack(object.cast());
        (*body_pointer::<B>(object)).unlink();
        super::published::unlink::<B>(object);
        let base = layout.base.load(Ordering::Relaxed);
        let base_deallocates = layout.base_deallocates.load(Ordering::Relaxed) != 0;
        if may_be_watched(object, class, base_deallocates) {
            // Weak references first: their callbacks must find the object unreachable but whole.
            ffi::PyObject_ClearWeakRefs(object);
        }
        ptr::drop_in_place(body_pointer::<B>(object));
        clear_dictionary::<B>(object);
        // All that is left of the base's tp_dealloc, which is not called: from 3.14 on it begins with the
        // finalizer, which would find the body gone.
        if base_deallocates && let Some(base_clear) = (*base).tp_clear {
            base_clear(object);
        }
        // A finalized object (by us or by the garbage collector) has a mark of it in its GC head: such memory
        // is not used again.
        let marked = (*class).tp_finalize.is_some() && ffi::PyObject_GC_IsFinalized(object) != 0;
        if exact && !finalized && !marked && layout.free.keep::<B>(object) {
            ffi::Py_DECREF(class.cast());
            return;
        }
        if let Some(free) = (*class).tp_free {
            free(object.cast());
        }
        ffi::Py_DECREF(class.cast());
    }
}

/// Whether there may be weak references to a dying object: mostly a null pointer says that there are none.
///
/// # Safety
/// `object` is of type `class` and not freed.
#[inline]
unsafe fn may_be_watched(object: *mut ffi::PyObject, class: *mut ffi::PyTypeObject, base_deallocates: bool) -> bool {
    // SAFETY: as the caller promises. A positive offset is that of the list's head; CPython's own are negative.
    unsafe {
        match usize::try_from((*class).tp_weaklistoffset) {
            Ok(0) => base_deallocates,
            Ok(offset) => !object
                .cast::<u8>()
                .wrapping_add(offset)
                .cast::<*mut ffi::PyObject>()
                .read()
                .is_null(),
            Err(_) => true,
        }
    }
}

/// `tp_traverse`.
pub(super) unsafe extern "C" fn traverse<B: Body>(
    object: *mut ffi::PyObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    let layout = B::layout();
    // SAFETY: CPython calls this with a live object of our type, the GIL held.
    unsafe {
        let base = layout.base.load(Ordering::Relaxed);
        let mut visitor = Visitor {
            visit,
            arg,
            result: 0,
            _lifetime: PhantomData,
        };
        if layout.base_deallocates.load(Ordering::Relaxed) != 0 {
            if let Some(base_traverse) = (*base).tp_traverse {
                let result = base_traverse(object, visit, arg);
                if result != 0 {
                    return result;
                }
            }
            if ffi::PyType_HasFeature(base, ffi::Py_TPFLAGS_HEAPTYPE) == 0 {
                visitor.visit_pointer(ffi::Py_TYPE(object).cast());
            }
        } else {
            visitor.visit_pointer(ffi::Py_TYPE(object).cast());
        }
        if let Some(place) = dictionary_place::<B>(object) {
            visitor.visit_pointer(*place);
        }
        (*body_pointer::<B>(object)).traverse(&mut visitor);
        visitor.result
    }
}

/// `tp_clear`.
pub(super) unsafe extern "C" fn clear<B: Body>(object: *mut ffi::PyObject) -> c_int {
    let layout = B::layout();
    // SAFETY: CPython calls this with a live object of our type, the GIL held.
    unsafe {
        (*body_pointer::<B>(object)).clear();
        clear_dictionary::<B>(object);
        if layout.base_deallocates.load(Ordering::Relaxed) != 0 {
            let base = layout.base.load(Ordering::Relaxed);
            if let Some(base_clear) = (*base).tp_clear {
                return base_clear(object);
            }
        }
    }
    0
}

/// Releases an object's dictionary, if it has one.
///
/// # Safety
/// `object` is of `B`'s type; the GIL is held.
#[inline]
unsafe fn clear_dictionary<B: Body>(object: *mut ffi::PyObject) {
    if let Some(place) = dictionary_place::<B>(object) {
        // SAFETY: the place is in the object, and null or owned by it. First emptied, then released.
        unsafe { ffi::Py_XDECREF(place.replace(ptr::null_mut())) };
    }
}

/// `tp_finalize`. Keeps the exception that may be set while it runs.
///
/// It may run while the interpreter ends, when PyO3 refuses to attach: the GIL is held all the same.
pub(super) unsafe extern "C" fn finalize<B: Body>(object: *mut ffi::PyObject) {
    // SAFETY: CPython calls tp_finalize with the GIL held, on an object that is alive for the call; the
    // exception that is taken is raised again.
    unsafe {
        let py = Python::assume_attached();
        let raised = super::compat::take_raised();
        let this = Bound::from_borrowed_ptr(py, object);
        B::finalize(this.cast_unchecked());
        drop(this);
        if !raised.is_null() {
            let raised = Bound::from_owned_ptr(py, raised);
            PyErr::from_value(raised).restore(py);
        }
    }
}

/// Shows owned objects to the garbage collector.
pub struct Visitor<'a> {
    visit: ffi::visitproc,
    arg: *mut c_void,
    result: c_int,
    _lifetime: PhantomData<&'a ()>,
}

impl Visitor<'_> {
    /// Shows what is in a slot.
    #[inline]
    pub fn slot(&mut self, slot: &Slot) {
        self.visit_pointer(slot.as_ptr());
    }

    /// Shows an owned object.
    #[inline]
    pub fn owned(&mut self, object: &Owned) {
        self.visit_pointer(object.as_ptr());
    }

    #[inline]
    fn visit_pointer(&mut self, pointer: *mut ffi::PyObject) {
        if self.result == 0 && !pointer.is_null() {
            // SAFETY: `visit` and `arg` came with the call to tp_traverse; `pointer` is an owned object.
            self.result = unsafe { (self.visit)(pointer, self.arg) };
        }
    }
}

/// The memory of dead objects of one type, to be used again: an allocation of the garbage collector costs
/// 35 ns, this 5; and what is not allocated does not make the collector run.
///
/// Each holds, where its body was, the address of the next.
struct FreeList {
    first: Cell<*mut ffi::PyObject>,
    count: Cell<usize>,
}

// SAFETY: invariant 1: only touched with the GIL held.
unsafe impl Sync for FreeList {}

impl FreeList {
    const fn new() -> Self {
        Self {
            first: Cell::new(ptr::null_mut()),
            count: Cell::new(0),
        }
    }

    /// Keeps an object's memory; false if there is enough.
    ///
    /// # Safety
    /// `object` is of exactly `B`'s type; its body is dropped, and nobody has it.
    #[inline]
    unsafe fn keep<B: Body>(&self, object: *mut ffi::PyObject) -> bool {
        const { assert!(size_of::<B>() >= size_of::<*mut ffi::PyObject>()) };
        const { assert!(align_of::<B>() >= align_of::<*mut ffi::PyObject>()) };
        if self.count.get() >= B::KEPT {
            return false;
        }
        // SAFETY: the body's room is ours, large enough and aligned, as checked just above.
        unsafe {
            body_pointer::<B>(object)
                .cast::<*mut ffi::PyObject>()
                .write(self.first.get())
        };
        self.first.set(object);
        self.count.set(self.count.get() + 1);
        true
    }

    #[inline]
    fn take<B: Body>(&self) -> Option<*mut ffi::PyObject> {
        let object = self.first.get();
        if object.is_null() {
            return None;
        }
        // SAFETY: `keep` wrote it.
        self.first
            .set(unsafe { body_pointer::<B>(object).cast::<*mut ffi::PyObject>().read() });
        self.count.set(self.count.get() - 1);
        Some(object)
    }
}
