//! Wakers of tasks: cheap on the loop's thread, correct on every other.
//!
//! The waker that a task is polled with owns nothing: the poll outlives it. A clone owns one reference to
//! the task's block and one to the loop's inbox, so it may outlive both task and loop; the number of
//! references to the inbox also tells the loop how many wakers foreign code holds (`hosting.rs`).
//!
//! Waking on the loop's thread puts the task into the ready queue. Elsewhere it goes to the inbox, at
//! most once until the loop has taken it out (`atomics.rs`).
//!
//! Awaits of this crate keep a [`LocalWaker`] instead, which counts without atomic operations.

#![expect(unsafe_code, reason = "a waker is made of a pointer and a table of functions")]

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::raw::{Header, TaskRef, release_outside, retain_outside};
use super::state::Home;
use crate::events::Loop;
use crate::inbox::Inbox;
use crate::sys::current::with_current;

/// What other threads send to a loop.
pub(crate) enum Remote {
    /// A task to be resumed.
    Task(RemoteTask),
    /// A function to be called.
    Call(Box<dyn FnOnce() + Send>),
}

/// A reference to a task's block that any thread may hold: an owned waker's.
pub(crate) struct RemoteTask {
    header: NonNull<Header>,
}

// SAFETY: all that is done with it away from the task's thread touches the block's `Outside`: atomics
// and constants. The inbox that it points to is `Sync`, and kept alive by the reference that it owns.
unsafe impl Send for RemoteTask {}

impl RemoteTask {
    /// Takes it out of the inbox: the next wake-up sends it again. Returns the task, if it is to be
    /// resumed. The loop's thread.
    pub(crate) fn receive(self, inbox: &Arc<Inbox<Remote>>) -> Option<TaskRef> {
        // SAFETY: this value owns a reference.
        let outside = unsafe { &(*self.header.as_ptr()).outside };
        outside.atomics.leave_inbox();
        if outside.inbox != Arc::as_ptr(inbox) || outside.atomics.is_over() {
            return None;
        }
        // SAFETY: the inbox is that of the caller's loop, so this is its thread; a task that is not over
        // is held by its registry.
        Some(unsafe { TaskRef::counted(self.header) })
    }

    fn new(header: NonNull<Header>) -> RemoteTask {
        // SAFETY: the caller has a waker, which keeps the block.
        unsafe { retain_outside(header) };
        // SAFETY: the inbox is alive: the loop is running and polls with a borrowed waker, or the waker
        // owns a reference to it.
        unsafe { Arc::increment_strong_count((*header.as_ptr()).outside.inbox) };
        RemoteTask { header }
    }
}

impl Drop for RemoteTask {
    fn drop(&mut self) {
        // SAFETY: this value owns a reference to the inbox, and the block it is read from.
        unsafe { Arc::decrement_strong_count((*self.header.as_ptr()).outside.inbox) };
        // SAFETY: this value owns it.
        unsafe { release_outside(self.header) };
    }
}

/// What wakes a task, kept on its own thread.
#[derive(Clone)]
pub(crate) enum LocalWaker {
    Task(TaskRef),
    Foreign(Waker),
}

impl LocalWaker {
    /// Keeps a waker.
    #[inline]
    pub(crate) fn new(waker: &Waker) -> LocalWaker {
        let task = with_current(|running| TaskRef::of_waker(waker, Arc::as_ptr(running?.inbox())));
        match task {
            Some(task) => LocalWaker::Task(task),
            None => LocalWaker::Foreign(waker.clone()),
        }
    }

    #[inline]
    pub(crate) fn wake(self) {
        match self {
            LocalWaker::Task(task) => task.schedule(),
            LocalWaker::Foreign(waker) => waker.wake(),
        }
    }

    /// Whether it wakes a task that has ended: who keeps a list of wakers may forget it.
    pub(crate) fn is_stale(&self) -> bool {
        matches!(self, LocalWaker::Task(task) if task.is_over())
    }

    #[inline]
    pub(crate) fn will_wake(&self, waker: &Waker) -> bool {
        match self {
            LocalWaker::Task(task) => task.is_waker(waker),
            LocalWaker::Foreign(known) => known.will_wake(waker),
        }
    }
}

/// Makes the waker that a task is polled with. It must not be used when `task` is gone, which its
/// lifetime sees to.
#[inline]
pub(super) fn borrowed(task: &TaskRef) -> Borrowed<'_> {
    let raw = RawWaker::new(task.as_ptr(), &VTABLE);
    // SAFETY: the functions below keep the contract of `RawWaker`; this waker is never dropped, so it
    // needs to own nothing.
    let waker = ManuallyDrop::new(unsafe { Waker::from_raw(raw) });
    Borrowed { waker, _task: task }
}

/// A waker that owns nothing.
pub(super) struct Borrowed<'task> {
    waker: ManuallyDrop<Waker>,
    _task: &'task TaskRef,
}

impl Deref for Borrowed<'_> {
    type Target = Waker;

    fn deref(&self) -> &Waker {
        &self.waker
    }
}

pub(super) static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

/// # Safety
/// `data` is that of a waker of ours; the same for the other functions.
unsafe fn clone(data: *const ()) -> RawWaker {
    // The reference goes over to the new waker.
    let remote = ManuallyDrop::new(RemoteTask::new(header(data)));
    RawWaker::new(remote.header.as_ptr().cast_const().cast(), &VTABLE)
}

/// # Safety
/// As `clone`; the waker owned its references.
unsafe fn wake(data: *const ()) {
    // SAFETY: the caller's promise.
    unsafe { wake_by_ref(data) };
    // SAFETY: the caller's promise.
    unsafe { drop_waker(data) };
}

/// # Safety
/// As `clone`.
unsafe fn wake_by_ref(data: *const ()) {
    let header = header(data);
    // SAFETY: the waker keeps the block.
    let outside = unsafe { &(*header.as_ptr()).outside };
    let here = with_current(|running| running.is_some_and(|running| Arc::as_ptr(running.inbox()) == outside.inbox));
    if outside.atomics.is_over() {
        return;
    }
    if here {
        // SAFETY: the task's loop runs on this thread, and a task that is not over is held by its
        // registry.
        unsafe { TaskRef::counted(header) }.schedule();
        return;
    }
    // SAFETY: a waker owns a reference to the inbox, or is borrowed while the loop polls with it.
    unsafe { send(header) };
}

/// Puts a task into the inbox of its loop, if it is not there.
///
/// # Safety
/// The block is allocated, and the inbox alive.
unsafe fn send(header: NonNull<Header>) {
    // SAFETY: the caller's promise.
    let outside = unsafe { &(*header.as_ptr()).outside };
    if !outside.atomics.enter_inbox() {
        return;
    }
    let remote = RemoteTask::new(header);
    // `remote` owns a reference to the inbox, but is moved into it: another one is held here.
    // SAFETY: the caller's promise.
    unsafe { Arc::increment_strong_count(outside.inbox) };
    // SAFETY: this is the reference that was just made.
    let inbox = unsafe { Arc::from_raw(outside.inbox) };
    ignore_no_eventfd(inbox.push(Remote::Task(remote)));
}

impl TaskRef {
    /// Whether `running` is the task's loop.
    #[inline]
    pub(crate) fn belongs_to(&self, running: &Loop) -> bool {
        // SAFETY: a `TaskRef` keeps the block.
        let outside = unsafe { &(*header(self.as_ptr()).as_ptr()).outside };
        outside.inbox == Arc::as_ptr(running.inbox())
    }

    /// Schedules a task that runs by itself while its loop does not run.
    pub(super) fn send(&self) {
        if self.is_over() || !matches!(self.state().home, Home::Loop) {
            return;
        }
        // The queue that it was noted to be in is the inbox now.
        self.leave_queue();
        // SAFETY: a `TaskRef` keeps the block. A loop ends all tasks that run by themselves before it
        // lets go of its inbox, and this one is not over.
        unsafe { send(header(self.as_ptr())) };
    }
}

/// # Safety
/// As `wake`.
unsafe fn drop_waker(data: *const ()) {
    drop(RemoteTask { header: header(data) });
}

/// Returns the block that a waker of ours carries.
fn header(data: *const ()) -> NonNull<Header> {
    NonNull::new(data.cast_mut().cast()).expect("a waker of ours carries its task")
}

/// A wake-up cannot fail, and no kernel is known to refuse the write; the task is queued all the same.
fn ignore_no_eventfd(result: std::io::Result<()>) {
    debug_assert!(result.is_ok(), "the eventfd can be written");
}
