//! The memory of a task: one allocation, reached from its own thread and, through wakers, from others.
//!
//! ```text
//! Block ┌ Outside   any thread    vtable, inbox, `Atomics`: atomics and constants
//!       ├ Inside    its thread    count of `TaskRef`s, phase, `queued`, TaskState (what safe code needs)
//!       └ Stage     its thread    the future, then its output, then nothing
//!
//! phase:  Idle ⇄ Polling            Idle, Polling ──► Done ──► Taken
//!         (the future is there)     (the output is there)  (nothing is)
//! ```
//!
//! Two counts, so that what happens on the loop's thread needs no atomic operation. `TaskRef`s are
//! counted in a `Cell`; all of them together own one reference of the atomic count, and each
//! [`std::task::Waker`] one more. The last `TaskRef` drops the `TaskState`; whoever brings the atomic
//! count to zero, on whatever thread, frees the memory, in which nothing is left then but plain data.
//!
//! Invariants:
//! 1. a `TaskRef` is `!Send`: `Inside` and `Stage` are touched on the thread that made the task only;
//! 2. a live `TaskRef` means that the block is allocated and `state` is not dropped;
//! 3. the phase says what `Stage` holds; it is changed before foreign code runs, so that a call that
//!    comes back here finds no future and no output to touch twice;
//! 4. the future of a task is polled or dropped by [`TaskRef::run`], if it is `'static` (home: the
//!    loop), and otherwise by its [`Children`] only, whose type holds the lifetime: so a future that
//!    borrows is never touched after its borrow, even when its owner was leaked;
//! 5. the output is touched through the one [`Output<T>`], whose type holds its lifetime, or else is
//!    dropped in the step that produced it.
//!
//! Counterpart: `TaskObj` in `Modules/_asynciomodule.c`.

#![expect(unsafe_code, reason = "one allocation of a size that only its maker knows")]

use std::cell::{Cell, RefCell, UnsafeCell};
use std::future::Future as StdFuture;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::atomics::Atomics;
use super::children::ChildQueue;
use super::registry::Registry;
use super::state::{Home, TaskState};
use super::waker;
use crate::exceptions::{Panicked, TaskError};
use crate::inbox::Inbox;

/// A reference to a task, whatever its result, on the thread of its loop.
pub(crate) struct TaskRef {
    header: NonNull<Header>,
}

impl TaskRef {
    /// Makes a task that runs by itself.
    pub(crate) fn allocate<F, T>(future: F, state: TaskState, inbox: &Arc<Inbox<waker::Remote>>) -> Output<T>
    where
        F: StdFuture<Output = Result<T, TaskError>> + 'static,
        T: 'static,
    {
        debug_assert!(matches!(state.home, Home::Loop), "a child is made by its `Children`");
        allocate(future, state, inbox)
    }

    /// Returns what safe code keeps of the task.
    #[inline]
    pub(crate) fn state(&self) -> &TaskState {
        // SAFETY: invariant 2, and only shared references to the state exist before it is dropped.
        unsafe { &*self.inside().state.get() }
    }

    /// Whether the task has ended.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.outside().atomics.is_over()
    }

    /// Notes that the task is in a queue; returns whether it was not.
    #[inline]
    pub(crate) fn enter_queue(&self) -> bool {
        !self.inside().queued.replace(true) && !self.is_over()
    }

    /// Notes that the task is not in a queue any more.
    #[inline]
    pub(crate) fn leave_queue(&self) {
        self.inside().queued.set(false);
    }

    /// Resumes the task, if it is one that runs by itself and is suspended.
    #[inline]
    pub(crate) fn run(&self) -> Progress {
        if !matches!(self.state().home, Home::Loop) {
            return Progress::Pending;
        }
        // SAFETY: invariant 4: `allocate` demands that this home's futures are `'static`.
        unsafe { self.step() }
    }

    /// Drops the future of a task that runs by itself, and ends it with `error`. Returns whether it was
    /// suspended.
    pub(crate) fn abandon(&self, error: TaskError) -> bool {
        if !matches!(self.state().home, Home::Loop) {
            return false;
        }
        // SAFETY: as in `run`.
        unsafe { self.drop_future(error) }
    }

    /// Whether the waker wakes this task and nothing else.
    #[inline]
    pub(crate) fn is_waker(&self, waker: &Waker) -> bool {
        ptr::eq(waker.data(), self.header.as_ptr().cast()) && ptr::eq(waker.vtable(), &waker::VTABLE)
    }

    /// Returns the task that a waker of ours wakes, when it lives on this thread, in the loop whose
    /// inbox lies at `inbox`, and has not ended.
    #[inline]
    pub(crate) fn of_waker(waker: &Waker, inbox: *const Inbox<waker::Remote>) -> Option<TaskRef> {
        if !ptr::eq(waker.vtable(), &waker::VTABLE) {
            return None;
        }
        let header = NonNull::new(waker.data().cast_mut().cast::<Header>())?;
        // SAFETY: the waker is one of ours, so it keeps the block allocated; `Outside` may be read from
        // any thread.
        let outside = unsafe { &(*header.as_ptr()).outside };
        if outside.inbox != inbox || outside.atomics.is_over() {
            return None;
        }
        // SAFETY: the inbox is that of the loop that runs on this thread, so invariant 1 holds; a task
        // that is not over is held by its registry, so invariant 2 does.
        Some(unsafe { TaskRef::counted(header) })
    }

    /// Makes another reference.
    ///
    /// # Safety
    /// This is the task's thread, and another `TaskRef` is alive.
    #[inline]
    pub(super) unsafe fn counted(header: NonNull<Header>) -> TaskRef {
        let borrowed = ManuallyDrop::new(TaskRef { header });
        TaskRef::clone(&borrowed)
    }

    /// Returns the address that wakers carry.
    #[inline]
    pub(super) const fn as_ptr(&self) -> *const () {
        self.header.as_ptr().cast_const().cast()
    }

    #[inline]
    fn outside(&self) -> &Outside {
        // SAFETY: invariant 2.
        unsafe { &(*self.header.as_ptr()).outside }
    }

    #[inline]
    fn inside(&self) -> &Inside {
        // SAFETY: invariants 1 and 2.
        unsafe { &(*self.header.as_ptr()).inside }
    }

    /// Resumes the future.
    ///
    /// # Safety
    /// The future's borrows are valid: invariant 4.
    unsafe fn step(&self) -> Progress {
        let inside = self.inside();
        if inside.phase.get() != Phase::Idle {
            return Progress::Pending;
        }
        inside.phase.set(Phase::Busy);
        let waker = waker::borrowed(self);
        let mut context = Context::from_waker(&waker);
        // SAFETY: the phase was `Idle`, so the stage holds the future, and nobody else touches it while
        // the phase is `Busy`.
        let poll = || unsafe { (self.outside().vtable.poll)(self.header, &mut context) };
        match catch_unwind(AssertUnwindSafe(poll)) {
            Ok(Poll::Pending) => {
                inside.phase.set(Phase::Idle);
                Progress::Pending
            }
            Ok(Poll::Ready(None)) => {
                self.finish();
                Progress::Returned
            }
            Ok(Poll::Ready(Some(panicked))) => {
                self.finish();
                Progress::Panicked(panicked)
            }
            Err(payload) => {
                let panicked = Panicked::new(payload);
                // SAFETY: as above; a future that has panicked is still there, and is dropped.
                unsafe { (self.outside().vtable.fail)(self.header, TaskError::Panicked(panicked.clone())) };
                self.finish();
                Progress::Panicked(panicked)
            }
        }
    }

    /// Drops the future, and puts `error` in its place.
    ///
    /// # Safety
    /// The future's borrows are valid: invariant 4.
    unsafe fn drop_future(&self, error: TaskError) -> bool {
        if self.inside().phase.get() != Phase::Idle {
            return false;
        }
        self.inside().phase.set(Phase::Busy);
        // SAFETY: the phase was `Idle`, so the stage holds the future.
        unsafe { (self.outside().vtable.fail)(self.header, error) };
        self.finish();
        true
    }

    /// Notes that the output is there. One that nobody can ask for is dropped now: invariant 5.
    fn finish(&self) {
        self.outside().atomics.finish();
        self.inside().phase.set(Phase::Done);
    }

    /// Drops the output, if it is there.
    ///
    /// # Safety
    /// The output's borrows are valid: invariant 5.
    unsafe fn drop_output(&self) {
        if self.inside().phase.get() != Phase::Done {
            return;
        }
        self.inside().phase.set(Phase::Taken);
        // SAFETY: the phase was `Done`, so the stage holds the output.
        let drop_output = || unsafe { (self.outside().vtable.drop_output)(self.header) };
        // A destructor that panics ends here, as it would end a thread: the loop goes on.
        ignore_panic(catch_unwind(AssertUnwindSafe(drop_output)));
    }

    /// Drops an output that nobody can ask for any more. To be called at the end of the task's last
    /// step, when its end was told.
    pub(crate) fn drop_unwanted_output(&self) {
        if self.inside().detached.get() && matches!(self.state().home, Home::Loop) {
            // SAFETY: invariant 4: it is `'static`.
            unsafe { self.drop_output() };
        }
    }

    /// Whether nobody holds the task's `Output`.
    pub(crate) fn is_detached(&self) -> bool {
        self.inside().detached.get()
    }
}

impl Clone for TaskRef {
    #[inline]
    fn clone(&self) -> TaskRef {
        let references = &self.inside().references;
        let more = references.get().wrapping_add(1);
        references.set(more);
        // As in `Rc`: whoever forgets four thousand million references must not get one to freed memory.
        if more == 0 {
            std::process::abort();
        }
        TaskRef { header: self.header }
    }
}

impl Drop for TaskRef {
    #[inline]
    fn drop(&mut self) {
        let left = self.inside().references.get() - 1;
        self.inside().references.set(left);
        if left == 0 {
            // SAFETY: it was the last `TaskRef`, and this is the task's thread.
            unsafe { release_inside(self.header) };
        }
    }
}

impl PartialEq for TaskRef {
    fn eq(&self, other: &TaskRef) -> bool {
        self.header == other.header
    }
}

impl Eq for TaskRef {}

/// The right to a task's result: there is one for each task.
pub(crate) struct Output<T> {
    task: TaskRef,
    _output: PhantomData<T>,
}

impl<T> Output<T> {
    pub(crate) const fn task(&self) -> &TaskRef {
        &self.task
    }

    /// Takes the result out; `None` while the task runs, `Err(Taken)` when it was taken before.
    pub(crate) fn take(&mut self) -> Option<Result<T, TaskError>> {
        match self.task.inside().phase.get() {
            Phase::Idle | Phase::Busy => None,
            Phase::Taken => Some(Err(TaskError::Taken)),
            Phase::Done => {
                self.task.inside().phase.set(Phase::Taken);
                // SAFETY: the phase was `Done`, so the output is there, of the type that `allocate` gave
                // to this `Output`; it is moved out once, since the phase has changed.
                Some(unsafe { ptr::read(self.place()) })
            }
        }
    }

    /// Lends the result; `None` when it is not there.
    pub(crate) fn peek(&self) -> Option<&Result<T, TaskError>> {
        if self.task.inside().phase.get() != Phase::Done {
            return None;
        }
        // SAFETY: as in `take`. It is moved out or dropped through a `&mut` to this `Output` only.
        Some(unsafe { &*self.place() })
    }

    fn place(&self) -> *const Result<T, TaskError> {
        // SAFETY: invariant 2.
        unsafe { (self.task.outside().vtable.output)(self.task.header) }
            .cast_const()
            .cast()
    }
}

impl<T> Drop for Output<T> {
    fn drop(&mut self) {
        self.task.inside().detached.set(true);
        // SAFETY: invariant 5: `T` is valid as long as this value is.
        unsafe { self.task.drop_output() };
    }
}

/// Tasks whose futures may borrow, and that run only when their owner runs them.
///
/// Sound even when it is leaked: what is never called touches no future.
pub(crate) struct Children<'env> {
    queue: Rc<ChildQueue>,
    all: RefCell<Registry<TaskRef>>,
    _env: PhantomData<Env<'env>>,
}

impl<'env> Children<'env> {
    pub(crate) fn new() -> Children<'env> {
        Children {
            queue: ChildQueue::new(),
            all: RefCell::new(Registry::new()),
            _env: PhantomData,
        }
    }

    /// Makes a child and schedules it. `state` makes its state for the home it is given.
    pub(crate) fn insert<F, T>(
        &self,
        future: F,
        state: impl FnOnce(Home) -> TaskState,
        inbox: &Arc<Inbox<waker::Remote>>,
    ) -> Output<T>
    where
        F: StdFuture<Output = Result<T, TaskError>> + 'env,
        T: 'env,
    {
        let output = allocate(future, state(Home::Children(Rc::clone(&self.queue))), inbox);
        let key = self.all.borrow_mut().insert(TaskRef::clone(output.task()));
        output.task().state().key.set(key);
        output.task().schedule();
        output
    }

    /// Returns the queue in which children wait to be run.
    pub(crate) const fn queue(&self) -> &Rc<ChildQueue> {
        &self.queue
    }

    /// Returns how many children have not ended.
    pub(crate) fn len(&self) -> usize {
        self.all.borrow().len()
    }

    /// Returns the children that have not ended, oldest first as far as places were not reused.
    pub(crate) fn all(&self) -> Vec<TaskRef> {
        self.all.borrow().iter().cloned().collect()
    }

    /// Resumes a child that was taken from the queue.
    pub(crate) fn run(&self, child: &TaskRef) -> Progress {
        if !self.owns(child) {
            return Progress::Pending;
        }
        // SAFETY: invariant 4: the child is one of ours, whose futures outlive `'env`, which is alive as
        // this value's type says.
        unsafe { child.step() }
    }

    /// Drops the future of a child, and ends it with `error`. Returns whether it was suspended.
    pub(crate) fn abandon(&self, child: &TaskRef, error: TaskError) -> bool {
        // SAFETY: as in `run`.
        self.owns(child) && unsafe { child.drop_future(error) }
    }

    /// Forgets a child that has ended.
    pub(crate) fn remove(&self, child: &TaskRef) {
        if self.owns(child) {
            let removed = self.all.borrow_mut().remove(child.state().key.get());
            if child.is_detached() {
                // SAFETY: as in `run`; invariant 5.
                unsafe { child.drop_output() };
            }
            drop(removed);
        }
    }

    /// Drops the futures of all children, the youngest last.
    pub(crate) fn clear(&self, error: &TaskError, mut ended: impl FnMut(&TaskRef)) {
        loop {
            // A destructor may make new children.
            let children = self.all();
            if children.is_empty() {
                return;
            }
            for child in children {
                if !self.abandon(&child, error.clone()) && !child.is_over() {
                    // It is being polled further down the stack: its future can neither be dropped now
                    // nor be left behind. No safe program gets here, for that poll borrows our owner.
                    std::process::abort();
                }
                ended(&child);
                self.remove(&child);
            }
        }
    }

    fn owns(&self, child: &TaskRef) -> bool {
        matches!(&child.state().home, Home::Children(queue) if Rc::ptr_eq(queue, &self.queue))
    }
}

impl Drop for Children<'_> {
    fn drop(&mut self) {
        let error = TaskError::Cancelled(crate::exceptions::Cancelled::new(None));
        self.clear(&error, super::step::tell_end);
        // A child that was woken in its last step is in the queue, which its block owns.
        self.queue.disown();
    }
}

/// Invariant in its lifetime, and owner of futures: they must be valid when it is dropped.
type Env<'env> = (Cell<&'env ()>, Box<dyn StdFuture<Output = ()> + 'env>);

/// Makes a future's output what a task stores.
pub(crate) struct Finish<F, G> {
    future: F,
    finish: Option<G>,
}

impl<F, G> Finish<F, G> {
    pub(crate) const fn new(future: F, finish: G) -> Finish<F, G> {
        Finish {
            future,
            finish: Some(finish),
        }
    }
}

impl<F, G, T> StdFuture for Finish<F, G>
where
    F: StdFuture,
    G: FnOnce(F::Output) -> Result<T, TaskError>,
{
    type Output = Result<T, TaskError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `future` is pinned with `self` and never moved; `finish` is never pinned.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: the same.
        let future = unsafe { Pin::new_unchecked(&mut this.future) };
        let Poll::Ready(output) = future.poll(context) else {
            return Poll::Pending;
        };
        Poll::Ready(match this.finish.take() {
            Some(finish) => finish(output),
            None => Err(TaskError::Taken),
        })
    }
}

/// What came of resuming a task.
#[must_use = "a task that has ended must be told about"]
pub(crate) enum Progress {
    /// It is suspended, or was not to be resumed.
    Pending,
    /// It has ended by itself.
    Returned,
    /// It has ended with a panic.
    Panicked(Panicked),
}

/// The part of a block that any thread may read.
pub(super) struct Outside {
    vtable: &'static Vtable,
    /// The inbox of the task's loop. Alive as long as the loop, and as each waker that owns a reference.
    pub(super) inbox: *const Inbox<waker::Remote>,
    pub(super) atomics: Atomics,
}

/// The part that its own thread may touch.
struct Inside {
    references: Cell<u32>,
    phase: Cell<Phase>,
    queued: Cell<bool>,
    detached: Cell<bool>,
    state: UnsafeCell<ManuallyDrop<TaskState>>,
}

/// What all blocks begin with.
#[repr(C)]
pub(super) struct Header {
    pub(super) outside: Outside,
    inside: Inside,
}

#[repr(C)]
struct Block<F, T> {
    header: Header,
    stage: UnsafeCell<Stage<F, T>>,
}

/// What the phase says. Its fields are reached through their addresses, which are all the same.
#[repr(C)]
union Stage<F, T> {
    future: ManuallyDrop<F>,
    _output: ManuallyDrop<Result<T, TaskError>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The future is there, suspended.
    Idle,
    /// The future is being polled or dropped.
    Busy,
    /// The output is there.
    Done,
    /// Nothing is there.
    Taken,
}

/// What is known of a block's future and output. All functions demand a block of their own types.
struct Vtable {
    /// Polls the future; when it is ready, replaces it by its output. Returns the panic of its
    /// destructor, if that is the output.
    poll: unsafe fn(NonNull<Header>, &mut Context<'_>) -> Poll<Option<Panicked>>,
    /// Drops the future and puts an error in its place.
    fail: unsafe fn(NonNull<Header>, TaskError),
    output: unsafe fn(NonNull<Header>) -> *mut (),
    drop_output: unsafe fn(NonNull<Header>),
    /// Frees the memory, dropping nothing.
    free: unsafe fn(NonNull<Header>),
}

struct Functions<F, T>(PhantomData<(F, T)>);

impl<F: StdFuture<Output = Result<T, TaskError>>, T> Functions<F, T> {
    const VTABLE: Vtable = Vtable {
        poll: Self::poll,
        fail: Self::fail,
        output: Self::output,
        drop_output: Self::drop_output,
        free: Self::free,
    };

    /// Returns the place of the future and the output.
    ///
    /// # Safety
    /// `header` begins a live `Block<F, T>`.
    unsafe fn stage(header: NonNull<Header>) -> *mut Stage<F, T> {
        let block = header.as_ptr().cast::<Block<F, T>>();
        // SAFETY: the caller's promise; no reference is made, only an address.
        unsafe { UnsafeCell::raw_get(&raw const (*block).stage) }
    }

    /// # Safety
    /// As `stage`, and the future is there.
    unsafe fn poll(header: NonNull<Header>, context: &mut Context<'_>) -> Poll<Option<Panicked>> {
        // SAFETY: the caller's promise.
        let future = unsafe { Self::stage(header) }.cast::<F>();
        // SAFETY: the block does not move, and the future is dropped in its place: it is pinned.
        let polled = unsafe { Pin::new_unchecked(&mut *future) }.poll(context);
        let Poll::Ready(mut output) = polled else {
            return Poll::Pending;
        };
        // SAFETY: the future is there, and the output takes its place at once.
        let dropped = catch_unwind(AssertUnwindSafe(|| unsafe { ptr::drop_in_place(future) }));
        let panicked = dropped.err().map(Panicked::new);
        if let Some(panicked) = &panicked {
            let former = std::mem::replace(&mut output, Err(TaskError::Panicked(panicked.clone())));
            // It must not unwind from here: the future is gone, and the place is empty.
            ignore_panic(catch_unwind(AssertUnwindSafe(|| drop(former))));
        }
        // SAFETY: the place is free.
        unsafe { ptr::write(Self::output(header).cast(), output) };
        Poll::Ready(panicked)
    }

    /// # Safety
    /// As `poll`.
    unsafe fn fail(header: NonNull<Header>, error: TaskError) {
        // SAFETY: the caller's promise.
        let future = unsafe { Self::stage(header) }.cast::<F>();
        // SAFETY: the future is there, and the error takes its place at once.
        let dropped = catch_unwind(AssertUnwindSafe(|| unsafe { ptr::drop_in_place(future) }));
        let error = match dropped {
            Ok(()) => error,
            Err(payload) => TaskError::Panicked(Panicked::new(payload)),
        };
        let output: Result<T, TaskError> = Err(error);
        // SAFETY: the place is free.
        unsafe { ptr::write(Self::output(header).cast(), output) };
    }

    /// # Safety
    /// As `stage`.
    unsafe fn output(header: NonNull<Header>) -> *mut () {
        // SAFETY: the caller's promise.
        unsafe { Self::stage(header) }.cast()
    }

    /// # Safety
    /// As `stage`, and the output is there.
    unsafe fn drop_output(header: NonNull<Header>) {
        // SAFETY: the caller's promise.
        unsafe { ptr::drop_in_place(Self::output(header).cast::<Result<T, TaskError>>()) };
    }

    /// # Safety
    /// As `stage`, and no reference of either kind is left.
    unsafe fn free(header: NonNull<Header>) {
        // SAFETY: `allocate` made it by `Box::into_raw`; a block has no destructor, for everything in it
        // that could have one is `ManuallyDrop`.
        drop(unsafe { Box::from_raw(header.as_ptr().cast::<Block<F, T>>()) });
    }
}

/// Allocates a block.
fn allocate<F, T>(future: F, state: TaskState, inbox: &Arc<Inbox<waker::Remote>>) -> Output<T>
where
    F: StdFuture<Output = Result<T, TaskError>>,
{
    let block = Box::new(Block {
        header: Header {
            outside: Outside {
                vtable: &Functions::<F, T>::VTABLE,
                inbox: Arc::as_ptr(inbox),
                atomics: Atomics::new(),
            },
            inside: Inside {
                references: Cell::new(1),
                phase: Cell::new(Phase::Idle),
                queued: Cell::new(false),
                detached: Cell::new(false),
                state: UnsafeCell::new(ManuallyDrop::new(state)),
            },
        },
        stage: UnsafeCell::new(Stage::<F, T> {
            future: ManuallyDrop::new(future),
        }),
    });
    // SAFETY: a box is not null. The whole block's provenance is kept.
    let header = unsafe { NonNull::new_unchecked(Box::into_raw(block).cast::<Header>()) };
    Output {
        task: TaskRef { header },
        _output: PhantomData,
    }
}

/// Drops what is left inside, and the reference that all `TaskRef`s owned together.
///
/// # Safety
/// No `TaskRef` is left, and this is the task's thread.
#[cold]
unsafe fn release_inside(header: NonNull<Header>) {
    // SAFETY: the memory is there, for the count of the outside is not zero yet.
    let inside = unsafe { &(*header.as_ptr()).inside };
    // A future or an output that is still there was leaked by its owner: invariants 4 and 5.
    // SAFETY: nobody can reach the state any more, and it is dropped once.
    unsafe { ManuallyDrop::drop(&mut *inside.state.get()) };
    // SAFETY: this is the reference of the inside.
    unsafe { release_outside(header) };
}

/// Counts another waker.
///
/// # Safety
/// The block is allocated.
pub(super) unsafe fn retain_outside(header: NonNull<Header>) {
    // SAFETY: the caller's promise.
    unsafe { &(*header.as_ptr()).outside }.atomics.retain();
}

/// Gives back a reference to the block, and frees it with the last one.
///
/// # Safety
/// The caller owned a reference of the atomic count.
pub(super) unsafe fn release_outside(header: NonNull<Header>) {
    // SAFETY: the caller's reference keeps the block allocated up to here.
    let outside = unsafe { &(*header.as_ptr()).outside };
    let free = outside.vtable.free;
    if outside.atomics.release() {
        // SAFETY: it was the last reference of all.
        unsafe { free(header) };
    }
}

/// The panic of a destructor was printed by the panic hook, and there is nobody to give it to.
fn ignore_panic<T>(result: std::thread::Result<T>) {
    drop(result);
}
