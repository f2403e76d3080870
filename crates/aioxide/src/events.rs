//! The loop of the Rust face: what is queued, who runs, and how long the loop may run before it looks
//! elsewhere.
//!
//! ```text
//!             ready: one FIFO          ┌► Task   the task itself; nothing is allocated for a step
//! schedule ──► [ Entry, Entry, … ] ────┼► Root   the main task, which belongs to `run`
//! timers ─────►                        ├► Call   a callback of `call_soon`, `call_at`
//! inbox ──────►                        └► Send   a function from another thread
//! ```
//!
//! Descriptors are tokio's business here (`hosting.rs`), so the loop's own poller watches the inbox only:
//! while something is ready it asks the inbox's state, which costs no system call.
//!
//! Invariants: no cell is borrowed while foreign code runs (a future, a callback, a waker, a destructor);
//! nothing but `sys::current` reaches a loop through the thread.
//!
//! Counterpart: `BaseEventLoop`.

#![forbid(unsafe_code)]

mod handles;
#[cfg(feature = "tokio")]
mod parking;
mod running;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

pub use handles::{Handle, TimerHandle};
pub use running::{EventLoop, LoopSender, get_running_loop};

use crate::budget::PollPolicy;
use crate::cancellation::{CancelRef, CancelState};
use crate::clock::{Clock, Deadline};
use crate::contextvars::Context;
use crate::engine::Engine;
use crate::exceptions::{Cancelled, Panicked, TaskError};
use crate::inbox::Inbox;
use crate::poller::{Event, Poller};
use crate::probe::Probe;
use crate::reports::{Report, ReportKind, SLOW_STEP};
use crate::sys::Lent;
use crate::sys::current::enter;
use crate::tasks::{Children, LocalWaker, Output, Registry, Remote, TaskRef, TaskState, step, step_child};
use crate::threads::Threads;
use crate::timers::TimerKey;
use handles::Call;

/// A loop: the engine, and what the Rust face adds to it.
pub(crate) struct Loop {
    this: Weak<Loop>,
    engine: RefCell<Engine<Entry, Remote>>,
    inbox: Arc<Inbox<Remote>>,
    arrivals: RefCell<VecDeque<Remote>>,
    probe: Arc<Probe>,
    current: Lent<TaskRef>,
    /// The innermost block that can be cancelled by itself.
    block: Lent<Rc<CancelState>>,
    context: RefCell<Context>,
    tasks: RefCell<Registry<TaskRef>>,
    next_id: Cell<u64>,
    handler: RefCell<Handler>,
    strict: Cell<Strictness>,
    threads: Threads,
    /// Wakes the driver while it is parked in tokio.
    parked: Cell<Option<Waker>>,
    is_parked: Cell<bool>,
}

impl Loop {
    pub(crate) fn new(policy: PollPolicy, clock: Clock, strict: Strictness) -> io::Result<Rc<Loop>> {
        let engine: Engine<Entry, Remote> = Engine::open(policy, clock)?;
        let (inbox, probe) = (Arc::clone(engine.inbox()), Arc::clone(engine.probe()));
        Ok(Rc::new_cyclic(|this| Loop {
            this: Weak::clone(this),
            engine: RefCell::new(engine),
            threads: Threads::new(),
            inbox,
            arrivals: RefCell::new(VecDeque::new()),
            probe,
            current: Lent::new(),
            block: Lent::new(),
            context: RefCell::new(Context::new()),
            tasks: RefCell::new(Registry::new()),
            next_id: Cell::new(1),
            handler: RefCell::new(Rc::new(|report| eprintln!("aioxide: {report}"))),
            strict: Cell::new(strict),
            parked: Cell::new(None),
            is_parked: Cell::new(false),
        }))
    }

    // Queueing.

    /// Adds an entry to the end of the ready queue.
    #[inline]
    pub(crate) fn push(&self, entry: Entry) {
        self.engine.borrow_mut().push(entry);
        if self.is_parked.get() {
            self.unpark();
        }
    }

    pub(crate) fn call_soon(&self, callback: Box<dyn FnOnce()>) -> Handle {
        let call = Call::new(callback, self.context.borrow().clone());
        self.push(Entry::Call(Rc::clone(&call)));
        Handle::new(call)
    }

    pub(crate) fn call_at(&self, when: Deadline, callback: Box<dyn FnOnce()>) -> TimerHandle {
        let call = Call::new(callback, self.context.borrow().clone());
        let key = self.set_timer(when, Entry::Call(Rc::clone(&call)));
        TimerHandle::new(Handle::new(call), Weak::clone(&self.this), key, when)
    }

    pub(crate) fn set_timer(&self, when: Deadline, entry: Entry) -> TimerKey {
        let key = self.engine.borrow_mut().timers.insert(when, entry);
        if self.is_parked.get() {
            // A task of tokio's sets it: the driver has said already how long it may sleep.
            self.unpark();
        }
        key
    }

    /// Takes a timer back. What it held is released when nothing is borrowed.
    pub(crate) fn cancel_timer(&self, key: TimerKey) {
        let entry = self.engine.borrow_mut().timers.cancel(key);
        drop(entry);
    }

    /// Whether a timer is still to fire.
    pub(crate) fn is_timer_set(&self, key: TimerKey) -> bool {
        self.engine.borrow().timers.deadline(key).is_some()
    }

    pub(crate) fn now(&self) -> Deadline {
        self.engine.borrow().now()
    }

    // Tasks.

    /// Makes a task that runs by itself.
    pub(crate) fn create_task<F, T>(&self, future: F, name: Option<Rc<str>>, context: Option<Context>) -> Output<T>
    where
        F: Future<Output = Result<T, TaskError>> + 'static,
        T: 'static,
    {
        let state = self.task_state(crate::tasks::Home::Loop, name, context);
        let output = TaskRef::allocate(future, state, &self.inbox);
        let task = output.task();
        let key = self.tasks.borrow_mut().insert(task.clone());
        task.state().key.set(key);
        task.schedule();
        output
    }

    /// Makes the state of a new task.
    pub(crate) fn task_state(
        &self,
        home: crate::tasks::Home,
        name: Option<Rc<str>>,
        context: Option<Context>,
    ) -> TaskState {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        let context = context.unwrap_or_else(|| self.context.borrow().clone());
        TaskState::new(id, home, name, context)
    }

    /// Takes a task that has ended out of the list.
    #[inline]
    pub(crate) fn forget(&self, task: &TaskRef) {
        let removed = self.tasks.borrow_mut().remove(task.state().key.get());
        drop(removed);
    }

    /// Returns the tasks that run by themselves and have not ended.
    pub(crate) fn all_tasks(&self) -> Vec<TaskRef> {
        self.tasks.borrow().iter().cloned().collect()
    }

    /// Calls `body` as a step of `task`: in its context, and with it as the current task.
    #[inline]
    pub(crate) fn in_task<R>(&self, task: &TaskRef, body: impl FnOnce() -> R) -> R {
        self.context.swap(&task.state().context);
        self.probe.step();
        let outer = self.probe.enter_task(Some(task.state().id));
        let result = self.current.during(Some(task), || self.block.during(None, body));
        self.probe.enter_task(outer);
        self.context.swap(&task.state().context);
        result
    }

    /// Calls `body` inside of a block of the current task that can be cancelled by itself.
    #[inline]
    pub(crate) fn in_block<R>(&self, block: &Rc<CancelState>, body: impl FnOnce() -> R) -> R {
        self.block.during(Some(block), body)
    }

    pub(crate) fn current_task(&self) -> Option<TaskRef> {
        self.current.with(|task| task.cloned())
    }

    #[inline]
    pub(crate) fn is_current(&self, task: &TaskRef) -> bool {
        self.current.with(|current| current == Some(task))
    }

    /// Returns the innermost thing that can be cancelled around the running code.
    #[inline]
    pub(crate) fn cancel_ref(&self) -> Option<CancelRef> {
        let block = self.block.with(|block| block.cloned().map(CancelRef::Block));
        block.or_else(|| self.current_task().map(CancelRef::Task))
    }

    /// Lends the state of [`Loop::cancel_ref`].
    #[inline]
    pub(crate) fn with_cancel_state<R>(&self, body: impl FnOnce(Option<&CancelState>) -> R) -> R {
        self.block.with(|block| match block {
            Some(block) => body(Some(block)),
            None => self.current.with(|task| body(task.map(|task| &task.state().cancel))),
        })
    }

    /// Whether a waker is that of the current task itself.
    #[inline]
    pub(crate) fn is_own_waker(&self, waker: &Waker) -> bool {
        self.current.with(|task| task.is_some_and(|task| task.is_waker(waker)))
    }

    /// Puts the current task at the end of the queue, as its waker does.
    #[inline]
    pub(crate) fn schedule_current(&self) {
        self.current.with(|task| task.map(|task| task.schedule_in(self)));
    }

    pub(crate) const fn context(&self) -> &RefCell<Context> {
        &self.context
    }

    // One turn, for the drivers in `hosting.rs`.

    /// Runs what is ready, pass by pass, until nothing is or the budget is spent.
    pub(crate) fn run_ready(&self, root: &Children<'_>, is_done: &dyn Fn() -> bool) {
        let mut pass = {
            let mut engine = self.engine.borrow_mut();
            engine.begin_run();
            self.probe.enter_callbacks();
            engine.ready_len()
        };
        // What became ready in a pass waits for the next: `base_events._run_once` has the same rule.
        while pass > 0 && !is_done() {
            let mut is_spent = false;
            for _ in 0..pass {
                let Some(entry) = self.engine.borrow_mut().pop() else {
                    break;
                };
                // The main task and callbacks end a run; another task never does.
                let is_task = matches!(entry, Entry::Task(_));
                self.run_entry(entry, root);
                is_spent |= self.engine.borrow_mut().budget.should_poll();
                if crate::hosting::must_yield() {
                    is_spent = true;
                    break;
                }
                if !is_task && is_done() {
                    break;
                }
            }
            if is_spent {
                break;
            }
            pass = self.engine.borrow().ready_len();
        }
        self.probe.leave_callbacks();
    }

    #[inline]
    fn run_entry(&self, entry: Entry, root: &Children<'_>) {
        let started = self.is_strict().then(crate::clock::now);
        let task = match (&entry, started) {
            (Entry::Task(task), Some(_)) => Some(task.clone()),
            _ => None,
        };
        match entry {
            Entry::Task(task) => step(self, &task),
            Entry::Root => self.run_root(root),
            Entry::Wake(task) => task.schedule(),
            Entry::WakeForeign(waker) => waker.wake(),
            Entry::Call(call) => self.run_callback(|| call.run()),
            Entry::Send(call) => self.run_callback(*call),
        }
        if let Some(started) = started {
            let took = crate::clock::now().saturating_duration_since(started);
            if took > SLOW_STEP {
                self.report(&Report::new(ReportKind::SlowStep(took), task.as_ref()));
            }
        }
    }

    fn run_root(&self, root: &Children<'_>) {
        root.queue().arrive(None);
        // What it wakes meanwhile, itself included, tells the loop again.
        for _ in 0..root.queue().len() {
            let Some(child) = root.queue().pop() else { return };
            step_child(self, root, &child);
        }
    }

    fn run_callback(&self, callback: impl FnOnce()) {
        self.probe.step();
        if let Err(payload) = catch_unwind(AssertUnwindSafe(callback)) {
            self.report(&Report::new(ReportKind::Callback(Panicked::new(payload)), None));
        }
    }

    /// Moves what has come from threads, and the timers that have expired, to the ready queue.
    pub(crate) fn collect(&self) {
        self.inbox.drain(&mut self.arrivals.borrow_mut());
        loop {
            // A foreign reference to a task is released when nothing is borrowed.
            let Some(remote) = self.arrivals.borrow_mut().pop_front() else {
                break;
            };
            match remote {
                Remote::Task(task) => {
                    if let Some(task) = task.receive(&self.inbox) {
                        task.schedule();
                    }
                }
                Remote::Call(call) => self.push(Entry::Send(Box::new(call))),
            }
        }
        if self.engine.borrow().timers.is_empty() {
            return;
        }
        let now = self.now();
        loop {
            let Some(entry) = self.engine.borrow_mut().timers.pop_expired(now) else {
                break;
            };
            match entry {
                Entry::Wake(task) => task.schedule(),
                Entry::WakeForeign(waker) => waker.wake(),
                other => self.push(other),
            }
        }
    }

    /// Whether nothing is to be run now.
    pub(crate) fn is_idle(&self) -> bool {
        self.engine.borrow().ready.is_empty()
    }

    /// Prepares a sleep; returns how long it may last. [`Loop::end_sleep`] must follow.
    pub(crate) fn begin_sleep(&self) -> Option<Duration> {
        let mut engine = self.engine.borrow_mut();
        let now = engine.now();
        engine.begin_wait(now)
    }

    /// Sleeps in the loop's own poller, or looks only, with a zero timeout.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<bool> {
        let poller = self.poller();
        let mut events: Vec<Event> = Vec::with_capacity(1);
        poller.wait(&mut events, timeout)?;
        if events.iter().any(|event| event.fd == self.inbox.fd()) {
            self.inbox.acknowledge();
        }
        Ok(!events.is_empty())
    }

    pub(crate) fn end_sleep(&self) {
        self.engine.borrow_mut().end_wait();
    }

    /// Moves a manual clock to the next timer, unless something comes from a thread first; returns
    /// whether it was moved.
    pub(crate) fn jump(&self) -> bool {
        // In this order: a thread sends its result before it is finished.
        if self.threads.unfinished() > 0 || !self.inbox.is_empty() {
            return false;
        }
        let engine = self.engine.borrow();
        match engine.timers.next_deadline() {
            Some(next) if !next.is_never() => engine.clock().advance_to(next),
            _ => false,
        }
    }

    /// Stops a test that would hang: nothing is ready, no timer is set, and nobody else holds what could wake a task.
    pub(crate) fn assert_can_be_woken(&self) {
        if self.foreign_wakers() > 0 || !self.inbox.is_empty() {
            return;
        }
        let names = self.all_tasks().into_iter().map(|task| task.state().name());
        let names: Vec<_> = std::iter::once(Rc::from("the main task")).chain(names).collect();
        panic!("deadlock: nothing can wake {}", names.join(", "));
    }

    pub(crate) fn is_virtual(&self) -> bool {
        matches!(self.engine.borrow().clock(), Clock::Manual(_))
    }

    pub(crate) fn poller(&self) -> Arc<Poller> {
        Arc::clone(self.engine.borrow().poller())
    }

    pub(crate) fn probe(&self) -> Arc<Probe> {
        Arc::clone(&self.probe)
    }

    #[cold]
    pub(crate) fn unpark(&self) {
        self.is_parked.set(false);
        if let Some(waker) = self.parked.take() {
            waker.wake();
        }
    }

    // What surrounds a run.

    /// Calls `body` with this as the running loop.
    pub(crate) fn enter<R>(&self, body: impl FnOnce() -> R) -> R {
        enter(self, body)
    }

    pub(crate) const fn inbox(&self) -> &Arc<Inbox<Remote>> {
        &self.inbox
    }

    /// Returns how many wakers of tasks foreign code holds: each owns a reference to the inbox.
    pub(crate) fn foreign_wakers(&self) -> usize {
        Arc::strong_count(&self.inbox).saturating_sub(OWN_INBOX_REFERENCES)
    }

    pub(crate) const fn threads(&self) -> &Threads {
        &self.threads
    }

    pub(crate) fn upgrade(&self) -> Option<Rc<Loop>> {
        self.this.upgrade()
    }

    pub(crate) fn is_strict(&self) -> bool {
        self.strict.get() == Strictness::Strict
    }

    pub(crate) fn set_strictness(&self, strict: Strictness) {
        self.strict.set(strict);
    }

    pub(crate) fn set_handler(&self, handler: Handler) {
        let former = self.handler.replace(handler);
        drop(former);
    }

    /// Tells the exception handler.
    pub(crate) fn report(&self, report: &Report) {
        let handler = Rc::clone(&self.handler.borrow());
        if catch_unwind(AssertUnwindSafe(|| handler(report))).is_err() {
            eprintln!("aioxide: the exception handler panicked; it was told: {report}");
        }
    }

    /// Ends everything that is left: futures are dropped, callbacks and timers released.
    pub(crate) fn close(&self) {
        self.enter(|| {
            let error = TaskError::Cancelled(Cancelled::new(Some("the loop is closed")));
            for task in self.all_tasks() {
                self.in_task(&task, || task.abandon(error.clone()));
                crate::tasks::tell_end(&task);
                self.forget(&task);
                task.drop_unwanted_output();
            }
            // Destructors may have queued more; none of it will run.
            loop {
                let (ready, timers) = {
                    let mut engine = self.engine.borrow_mut();
                    (std::mem::take(&mut engine.ready), engine.timers.clear())
                };
                self.inbox.drain(&mut self.arrivals.borrow_mut());
                let arrivals = self.arrivals.take();
                let tasks = self.all_tasks();
                if ready.is_empty() && timers.is_empty() && arrivals.is_empty() && tasks.is_empty() {
                    break;
                }
                drop((ready, timers, arrivals));
                for task in tasks {
                    task.abandon(error.clone());
                    self.forget(&task);
                }
            }
        });
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        self.close();
    }
}

/// Who is told of what nobody else would hear of.
type Handler = Rc<dyn Fn(&Report)>;

/// What the ready queue and the timers hold: two words, which pass in registers.
pub(crate) enum Entry {
    /// A task to be resumed.
    Task(TaskRef),
    /// The main task is to be resumed.
    Root,
    /// A task that waits for a timer, and is woken when that has expired.
    Wake(TaskRef),
    /// The same, behind a waker that is not ours.
    WakeForeign(Box<Waker>),
    /// A callback.
    Call(Rc<Call>),
    /// A function from another thread.
    Send(Box<Box<dyn FnOnce() + Send>>),
}

const _: () = assert!(size_of::<Entry>() == 2 * size_of::<usize>(), "an entry is two words");

impl Entry {
    /// Makes the timer entry of somebody who waits.
    #[inline]
    pub(crate) fn wake(waker: LocalWaker) -> Entry {
        match waker {
            LocalWaker::Task(task) => Entry::Wake(task),
            LocalWaker::Foreign(waker) => Entry::WakeForeign(Box::new(waker)),
        }
    }
}

/// The engine's own reference to the inbox, and the loop's.
const OWN_INBOX_REFERENCES: usize = 2;

/// Whether a loop reports what is likely to be a mistake: asyncio's debug mode.
///
/// # Examples
/// ```
/// use aioxide::{Runner, Strictness};
///
/// let runner = Runner::builder().strictness(Strictness::Strict).build().unwrap();
/// assert_eq!(runner.run(async { 42 }), 42);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Strictness {
    /// It does not.
    #[default]
    Lenient,
    /// It reports swallowed cancellations and slow steps; reading the clock costs some 50 ns a step.
    Strict,
}
