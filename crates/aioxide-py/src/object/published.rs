//! What CPython 3.14 and later keeps about tasks in memory of its own: fields of `_asyncio.Task`, the list of
//! tasks of each thread, and each thread's running task.
//!
//! `all_tasks()`, `current_task()` and the tools that look from another process (`python -m asyncio ps`) read them
//! there and ask nobody. So the base's fields that they read are kept true for our tasks. Where they lie is private
//! to each build of CPython: [`find`] learns it when the module is made, by having `_asyncio`'s own functions write
//! known pointers and looking for those. Nothing is published before that, nor on earlier versions.
//!
//! Written directly, because `_asyncio`'s functions cost 20 ns a call: a spawned and awaited task needs six.

use std::os::raw::c_char;
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::call;
use super::compat;
use super::memory::{Memory, Place, thread, unknown};
use super::native::{Body, Native};
use super::owned::Owned;

/// A link of CPython's lists of tasks; both null in a task that is in no list.
#[repr(C)]
struct Node {
    next: *mut Node,
    previous: *mut Node,
}

static COROUTINE: Place = Place::unknown();
static NAME: Place = Place::unknown();
static AWAITED_BY: Place = Place::unknown();
static IS_TASK: Place = Place::unknown();
static NODE: Place = Place::unknown();
static RUNNING_LOOP: Place = Place::unknown();
static RUNNING_TASK: Place = Place::unknown();
static TASKS: Place = Place::unknown();

/// Shows a new task: its coroutine, its name, and its place in the thread's list.
#[inline]
pub fn publish<B: Body>(task: &Bound<'_, Native<B>>, coroutine: &Bound<'_, PyAny>, name: Owned) {
    if !compat::TASKS_ARE_PUBLISHED || !B::PUBLISHED {
        return;
    }
    let object = task.as_ptr().cast::<u8>();
    // SAFETY: `find` checked the places against a task of `_asyncio`, which every published body extends. The
    // GIL is held, and the references that the fields own are ours to replace.
    unsafe {
        // What is no coroutine of Python's own must not be read as one from outside.
        let pointer = coroutine.as_ptr();
        let readable = ffi::PyCoro_CheckExact(pointer) != 0 || ffi::PyGen_CheckExact(pointer) != 0;
        let shown = if readable {
            coroutine.clone().into_ptr()
        } else {
            ptr::null_mut()
        };
        let coroutine = replace(COROUTINE.of(object), shown);
        let name = replace(NAME.of(object), name.into_raw());
        IS_TASK.of::<c_char>(object).write(1);
        let node = NODE.of::<Node>(object);
        if (*node).next.is_null() {
            let head = TASKS.of::<Node>(thread());
            let last = (*head).previous;
            (*node).next = head;
            (*node).previous = last;
            (*last).next = node;
            (*head).previous = node;
        }
        ffi::Py_XDECREF(coroutine);
        ffi::Py_XDECREF(name);
    }
}

/// Shows a task's new name.
pub fn rename<B: Body>(task: &Bound<'_, Native<B>>, name: Owned) {
    if compat::TASKS_ARE_PUBLISHED && B::PUBLISHED {
        // SAFETY: as in `publish`.
        unsafe { ffi::Py_XDECREF(replace(NAME.of(task.as_ptr().cast()), name.into_raw())) };
    }
}

/// Forgets the coroutine of a task that has ended eagerly.
pub fn forget_coroutine<B: Body>(task: &Bound<'_, Native<B>>) {
    if compat::TASKS_ARE_PUBLISHED && B::PUBLISHED {
        // SAFETY: as in `publish`.
        unsafe { ffi::Py_XDECREF(replace(COROUTINE.of(task.as_ptr().cast()), ptr::null_mut())) };
    }
}

/// Takes a task out of the list it is in, if it is in one.
#[inline]
pub fn unpublish<B: Body>(task: &Bound<'_, Native<B>>) {
    // SAFETY: `task` is alive.
    unsafe { unlink::<B>(task.as_ptr()) };
}

/// The same for an object that dies.
///
/// # Safety
/// The GIL is held; `object` is of `B`'s type and not freed yet.
#[inline]
pub(super) unsafe fn unlink<B: Body>(object: *mut ffi::PyObject) {
    if !compat::TASKS_ARE_PUBLISHED || !B::PUBLISHED || NODE.offset() == 0 {
        return;
    }
    // SAFETY: as in `publish`. A task in a list has two neighbours, which are alive: each leaves before it dies.
    unsafe {
        let node = NODE.of::<Node>(object.cast());
        if (*node).next.is_null() {
            return;
        }
        (*(*node).previous).next = (*node).next;
        (*(*node).next).previous = (*node).previous;
        (*node).next = ptr::null_mut();
        (*node).previous = ptr::null_mut();
    }
}

/// Notes that `waiter` waits for `future`, which is of exactly `B`'s type. False if others wait for it already:
/// then `_asyncio` has to keep a set.
#[inline]
pub fn note_waiter<B: Body>(future: &Bound<'_, Native<B>>, waiter: &Bound<'_, PyAny>) -> bool {
    // SAFETY: as in `publish`; futures and tasks have this field at the same place.
    unsafe {
        let field = AWAITED_BY.of::<*mut ffi::PyObject>(future.as_ptr().cast());
        let free = (*field).is_null();
        if free {
            field.write(waiter.clone().into_ptr());
        }
        free
    }
}

/// Forgets what [`note_waiter`] noted. False if it is not there: it may be in a set.
#[inline]
pub fn forget_waiter<B: Body>(future: &Bound<'_, Native<B>>, waiter: &Bound<'_, PyAny>) -> bool {
    // SAFETY: as in `publish`. The caller has `waiter`, so that the reference is not the last one.
    unsafe {
        let field = AWAITED_BY.of::<*mut ffi::PyObject>(future.as_ptr().cast());
        let found = ptr::eq(*field, waiter.as_ptr());
        if found {
            ffi::Py_DECREF(replace(field, ptr::null_mut()));
        }
        found
    }
}

/// Whether `event_loop` runs in this thread.
#[inline]
pub fn is_running_here(event_loop: &Bound<'_, PyAny>) -> bool {
    // SAFETY: as in `publish`, for the state of this thread.
    ptr::eq(
        unsafe { *RUNNING_LOOP.of::<*mut ffi::PyObject>(thread()) },
        event_loop.as_ptr(),
    )
}

/// The task that this thread runs.
#[inline]
pub fn running_task(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    // SAFETY: as in `is_running_here`; the thread state owns a reference.
    unsafe { Bound::from_borrowed_ptr_or_opt(py, *RUNNING_TASK.of::<*mut ffi::PyObject>(thread())) }
}

/// Says which task this thread runs; returns the one before.
#[inline]
pub fn set_running_task<'py>(py: Python<'py>, task: Option<&Bound<'py, PyAny>>) -> Option<Bound<'py, PyAny>> {
    let task = task.map_or(ptr::null_mut(), |task| task.clone().into_ptr());
    // SAFETY: as in `is_running_here`; the reference that the field owned is handed over.
    unsafe { Bound::from_owned_ptr_or_opt(py, replace(RUNNING_TASK.of(thread()), task)) }
}

/// Stores an owned pointer; the caller owns the one that was there.
///
/// # Safety
/// `field` is a field that owns what it points to, or null.
#[inline]
unsafe fn replace(field: *mut *mut ffi::PyObject, value: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: as the caller promises.
    unsafe { field.replace(value) }
}

/// Learns where the fields are, from `_asyncio`'s task `sample`, which waits to be run, and two of its futures.
/// `event_loop` stands for a running loop meanwhile.
///
/// # Errors
/// ImportError if this build of CPython keeps them in a way that is not known.
pub fn find<'py>(
    sample: &Bound<'py, PyAny>,
    [first, second]: [&Bound<'py, PyAny>; 2],
    event_loop: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = sample.py();
    let asyncio = py.import("_asyncio")?;
    let call = |name: &str, arguments: &Bound<'py, PyTuple>| call::call_tuple(&asyncio.getattr(name)?, arguments);
    let one = |object: &Bound<'py, PyAny>| PyTuple::new(py, [object]);
    let two = |left: &Bound<'py, PyAny>, right: &Bound<'py, PyAny>| PyTuple::new(py, [left, right]);
    let task = Memory::of(sample)?;
    let future = Memory::of(first)?;

    COROUTINE.set(task.find(&sample.call_method0("get_coro")?)?);
    NAME.set(task.find(&sample.call_method0("get_name")?)?);

    call("future_add_to_awaited_by", &two(sample, first)?)?;
    AWAITED_BY.set(task.find(first)?);
    let before = task.bytes();
    call("future_add_to_awaited_by", &two(sample, second)?)?;
    let flag = task.only_byte_set_since(&before, AWAITED_BY.offset())?;
    // The flag that it is a task lies before the one that its waiters are a set.
    let is_task = flag.checked_sub(1).ok_or_else(unknown)?;
    if task.bytes().get(is_task) != Some(&1) || future.bytes().get(is_task) != Some(&0) {
        return Err(unknown());
    }
    IS_TASK.set(is_task);

    call("_unregister_task", &one(sample)?)?;
    let before = task.bytes();
    call("_register_task", &one(sample)?)?;
    NODE.set(task.first_word_changed_since(&before)?);

    // Nothing runs between these calls that could see the wrong loop: they are all C.
    let set_loop = asyncio.getattr("_set_running_loop")?;
    let swap = asyncio.getattr("_swap_current_task")?;
    let outer_loop = call("_get_running_loop", &PyTuple::empty(py))?;
    let none = py.None().into_bound(py);
    let outer_task = if outer_loop.is_none() {
        none.clone()
    } else {
        swap.call1((&outer_loop, &none))?
    };
    set_loop.call1((event_loop,))?;
    let state = Memory::of_this_thread();
    let found = state.find(event_loop).and_then(|running_loop| {
        swap.call1((event_loop, sample))?;
        let running_task = state.find(sample);
        swap.call1((event_loop, &none))?;
        let running_task = running_task?;
        let forgotten = state.word(running_task).is_some_and(|word| word == 0);
        forgotten.then_some((running_loop, running_task)).ok_or_else(unknown)
    });
    set_loop.call1((&outer_loop,))?;
    if !outer_task.is_none() {
        swap.call1((&outer_loop, &outer_task))?;
    }
    let (running_loop, running_task) = found?;
    RUNNING_LOOP.set(running_loop);
    RUNNING_TASK.set(running_task);
    TASKS.set(head_of_the_list(sample, &state, running_task)?);
    Ok(())
}

/// Follows the links of a task's list to the one that lies in the thread's state, a few words behind `running_task`.
fn head_of_the_list(sample: &Bound<'_, PyAny>, state: &Memory, running_task: usize) -> PyResult<usize> {
    let near = running_task..running_task + 4 * size_of::<usize>();
    let mut node = NODE.of::<Node>(sample.as_ptr().cast());
    for _ in 0..MOST_TASKS {
        if let Some(offset) = state.offset_of(node.cast()).filter(|offset| near.contains(offset)) {
            return Ok(offset);
        }
        // SAFETY: a link of a list that `_asyncio` keeps; all tasks in it are alive.
        node = unsafe { (*node).next };
        if node.is_null() {
            break;
        }
    }
    Err(unknown())
}

/// More tasks than there are when the extension is imported: the search for the list's head ends.
const MOST_TASKS: usize = 1_000_000;
