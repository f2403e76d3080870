//! Contexts that are not made before somebody needs them.
//!
//! A `Context` is an object that names an immutable map of variables (PEP 567); copying one is making an object that
//! names the same map. asyncio copies one for each task, timer and callback, which weighs 64 bytes, and which the
//! garbage collector walks over from then on; nearly all of them are looked at by nobody. So what is kept is the map, a
//! *snapshot*. While something runs in it the map is lent to a spare context, which goes into the slot meanwhile; when
//! somebody still has that one afterwards (a `Token` does) it stays there. Whoever asks for the context gets one made,
//! and it is the same from then on.
//!
//! Where CPython keeps a context's map, and a thread its context, is learnt and tried out when the module is made. A
//! build that does otherwise has copies, as in asyncio: `snapshot` makes one then, and no slot ever holds a map.
//!
//! Measured (3.13): with 100,000 parked tasks 80 bytes each, and a third of the time to make them.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;

use super::call::{copy_context, in_context};
use super::memory::{Memory, Place, thread, unknown};
use super::owned::{Owned, Slot};

/// The map in a context.
static MAP: Place = Place::unknown();
/// The context in a thread's state.
static CURRENT: Place = Place::unknown();
/// The type of maps; null while nothing was learnt.
static MAP_TYPE: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(ptr::null_mut());

/// A context that nobody else has, with an empty map in it.
struct Spare(Cell<Option<Owned>>);

// SAFETY: invariant 1: only touched with the GIL held.
unsafe impl Sync for Spare {}

static SPARE: Spare = Spare(Cell::new(None));

/// What the variables are now: the current context's map, or a copy of the context where maps cannot be had.
#[inline]
pub fn snapshot(py: Python<'_>) -> PyResult<Owned> {
    if MAP.offset() == 0 {
        return copy_context(py);
    }
    // SAFETY: `learn` tried both places out. The thread state owns its context, and that its map, which is never null.
    unsafe {
        let current = *CURRENT.of::<*mut ffi::PyObject>(thread());
        if current.is_null() {
            // No context was asked for in this thread yet.
            return copy_context(py);
        }
        let map = *MAP.of::<*mut ffi::PyObject>(current.cast());
        Ok(Owned::from(Bound::from_borrowed_ptr(py, map)))
    }
}

/// Whether an object is a map, not a context.
#[inline]
fn is_map(object: *mut ffi::PyObject) -> bool {
    // SAFETY: `object` is null or alive, so its type may be read.
    !object.is_null() && ptr::eq(unsafe { ffi::Py_TYPE(object) }, MAP_TYPE.load(Ordering::Relaxed))
}

/// The context in `slot`, made if it held a snapshot; None if it is empty.
#[inline]
pub fn context_in<'py>(py: Python<'py>, slot: &Slot) -> PyResult<Bound<'py, PyAny>> {
    if is_map(slot.as_ptr()) {
        make_in(py, slot)?;
    }
    Ok(slot.get_or_none(py))
}

/// Puts a context in the place of a map.
fn make_in(py: Python<'_>, slot: &Slot) -> PyResult<()> {
    let context = empty(py)?;
    let Some(map) = slot.replace(Some(context.clone())) else {
        return Ok(());
    };
    drop(exchange(&context, map));
    Ok(())
}

/// Runs `body` in the context that `slot` holds, or in a spare one with the map that it holds.
///
/// # Errors
/// RuntimeError if the context is entered already, TypeError if it is no context.
#[inline]
pub fn in_slot<R>(py: Python<'_>, slot: &Slot, body: impl FnOnce() -> R) -> PyResult<R> {
    if !is_map(slot.as_ptr()) {
        return in_context(&slot.get_or_none(py), body);
    }
    let context = match SPARE.0.take() {
        Some(context) => context,
        None => empty(py)?,
    };
    let Some(map) = slot.replace(Some(context.clone())) else {
        return in_context(context.bind(py), body);
    };
    let nothing = exchange(&context, map);
    let result = in_context(context.bind(py), body);
    // SAFETY: the GIL is held and `context` is alive. Two references are the slot's and ours.
    let shared = unsafe { ffi::Py_REFCNT(context.as_ptr()) } > 2 || !ptr::eq(slot.as_ptr(), context.as_ptr());
    if !shared {
        let map = exchange(&context, nothing);
        // The slot's reference; ours keeps the context.
        drop(slot.replace(Some(map)));
        drop(SPARE.0.replace(Some(context)));
    }
    result
}

/// A new context without variables.
fn empty(py: Python<'_>) -> PyResult<Owned> {
    // SAFETY: the GIL is held; the reference is ours.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyContext_New()) }.map(Owned::from)
}

/// Puts a map into a context that nobody has entered; returns the one that was there.
#[inline]
fn exchange(context: &Owned, map: Owned) -> Owned {
    // SAFETY: `learn` tried the place out: it owns a map. No context has its map cached while it is not entered: a
    // variable's cache is good for one entry only.
    unsafe {
        let before = MAP
            .of::<*mut ffi::PyObject>(context.as_ptr().cast())
            .replace(map.into_raw());
        Owned::from_raw(ptr::NonNull::new_unchecked(before))
    }
}

/// Learns where contexts have their maps and threads their contexts, and tries it out. What cannot be learnt is
/// not used.
///
/// # Errors
/// Of Python's own functions, which have no reason to fail.
pub fn learn(py: Python<'_>) -> PyResult<()> {
    let contextvars = py.import("contextvars")?;
    let variable = contextvars.call_method1("ContextVar", ("aioxide",))?;
    let context = contextvars.call_method0("Context")?;
    let other = contextvars.call_method0("Context")?;
    context.call_method1("run", (variable.getattr("set")?, py.Ellipsis()))?;
    let referents = py.import("gc")?.call_method1("get_referents", (&context,))?;
    let maps: Vec<_> = referents
        .try_iter()?
        .filter_map(Result::ok)
        .filter(|object| object.get_type().name().is_ok_and(|name| name == "hamt"))
        .collect();
    let [map] = maps.as_slice() else { return Ok(()) };
    let Ok(map_place) = Memory::of(&context)?.find(map) else {
        return Ok(());
    };
    let is_current = |context: &Bound<'_, PyAny>| Memory::of_this_thread().find(context);
    let Ok(Ok(current_place)) = in_context(&context, || is_current(&context)) else {
        return Ok(());
    };
    let elsewhere = in_context(&other, || is_current(&other)).unwrap_or_else(|_| Err(unknown()));
    if is_current(&context).is_ok() || elsewhere.ok() != Some(current_place) {
        return Ok(());
    }
    // Tried out: another context with this map must have the variable, and no other one.
    MAP.set(map_place);
    let before = exchange(&Owned::new(&other), Owned::new(map));
    let lent = other.call_method1("run", (variable.getattr("get")?, py.None()))?;
    drop(exchange(&Owned::new(&other), before));
    let back = other.call_method1("run", (variable.getattr("get")?, py.None()))?;
    if !lent.is(py.Ellipsis()) || !back.is_none() {
        MAP.set(0);
        return Ok(());
    }
    CURRENT.set(current_place);
    // SAFETY: a type object, kept alive for ever: maps are told by its address.
    unsafe {
        let class = ffi::Py_TYPE(map.as_ptr());
        ffi::Py_INCREF(class.cast());
        MAP_TYPE.store(class, Ordering::Relaxed);
    }
    Ok(())
}
