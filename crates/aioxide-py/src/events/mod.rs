//! The loop: `LoopCore`, the native base of `aioxide.EventLoop`.
//!
//! What happens per event is here. What is cold (connecting, servers, executors, signals, debug checks) is
//! inherited, by the Python class, from the running version's own event loop, so that it behaves as that
//! version does. Both see the same state: `_ready`, `_stopping`, `_closed`, `_debug`, `_thread_id` are
//! attributes of this type, which shadow the instance's.
//! Counterpart: `Lib/asyncio/base_events.py`, `selector_events.py`.

#![forbid(unsafe_code)]

mod attributes;
mod factories;
mod occupied;
mod polling;
mod run;
mod scheduling;
mod timing;
mod views;
mod watching;

use std::cell::{Cell, RefCell};
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::Arc;

use aioxide::{Clock, Engine, FdTable, Inbox, PollPolicy, Poller, TimerKey};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::errors::{loop_closed, os_error};
use crate::handles::{self, TimerHandleBody};
use crate::object::{
    Args, Body, BodyOf, DictEntry, Layout, Native, Owned, Returned, Slot, TypeBuilder, Visitor, as_exact, method,
    new_slot, prefetch, setattr_slot, track,
};
use crate::sockets;

use crate::tasks::TaskBody;

use occupied::Occupied;
pub use timing::{deadline, seconds};
pub use watching::{Direction, Watch};

/// What waits in the ready queue.
pub enum Entry {
    /// A native task, to be stepped.
    Task(Owned),
    /// A handle of any kind.
    Handle(Owned),
    /// A `sleep()`, or the future of one, whose time has come.
    Sleep(Owned),
    /// A `timeout()` whose deadline has passed.
    Timeout(Owned),
    /// A gathering future, or the children of a group, and the child that has ended. Not boxed: three words an
    /// entry cost less than an allocation for each child.
    Child(Owned, Owned),
}

/// The body of `LoopCore`.
pub struct LoopBody {
    /// Made by `_open`, dropped by `_close_engine`.
    io: RefCell<Option<Rc<Io>>>,
    pub closed: Cell<bool>,
    pub stopping: Cell<bool>,
    pub debug: Cell<bool>,
    /// The thread it runs in, as Python's `_thread_id`; empty while it does not run.
    thread_id: Slot,
    task_factory: Slot,
    /// Asked what to do when there is nothing to do, instead of waiting: a clock that takes no time.
    idle: Slot,
    /// Told of each task that failed while nobody waited for it.
    pub observer: Slot,
    /// A method that natives would bypass was replaced, in a subclass or on the instance.
    hooked: Cell<bool>,
    /// Somebody replaced `time()`: a virtual clock.
    time_hooked: Cell<bool>,
    /// Somebody replaced `create_task()`.
    tasks_hooked: Cell<bool>,
    /// `run_forever()` is on the stack: `_run_once` runs all of it.
    whole_run: Cell<bool>,
    /// A task of this loop is being stepped.
    pub stepping: Cell<bool>,
    /// `asyncio.tasks._current_tasks` has an entry for this loop, perhaps a stale one.
    pub current_written: Cell<bool>,
    /// There are timers whose handles the garbage collector does not see.
    pub timers_hidden: Cell<bool>,
    /// That entry.
    pub current_entry: DictEntry,
    /// File objects that were given to `add_reader` or `add_writer`, by descriptor.
    files: RefCell<Vec<(RawFd, Owned)>>,
    /// What reads are received into, lent to one transport at a time.
    pub read_buffer: Cell<Vec<u8>>,
    /// The descriptors of accepted connections.
    pub occupied: Occupied,
    /// What TLS records are decrypted into, lent as above.
    pub tls_plain: Cell<Vec<u8>>,
    /// What TLS records are written to, lent until they are sent.
    pub tls_output: Cell<Vec<u8>>,
}

/// The engine's parts.
struct Io {
    engine: RefCell<Engine<Entry>>,
    poller: Arc<Poller>,
    inbox: Arc<Inbox<Entry>>,
    fds: RefCell<FdTable<Watch>>,
    strict: bool,
    /// Sleeps in the poller's place while it has work: a Rust runtime of another extension module.
    driver: Cell<Option<aioxide::Driver>>,
    /// The poller waits, with the GIL released, and nobody has woken it up yet.
    asleep: Cell<bool>,
    /// Taken while the loop polls.
    events: Cell<Vec<aioxide::PollEvent>>,
}

/// The native base of the loop.
pub type Loop = Native<LoopBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for LoopBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            io: RefCell::new(None),
            closed: Cell::new(false),
            stopping: Cell::new(false),
            debug: Cell::new(false),
            thread_id: Slot::empty(),
            task_factory: Slot::empty(),
            idle: Slot::empty(),
            observer: Slot::empty(),
            hooked: Cell::new(false),
            time_hooked: Cell::new(false),
            tasks_hooked: Cell::new(false),
            whole_run: Cell::new(false),
            stepping: Cell::new(false),
            current_written: Cell::new(false),
            timers_hidden: Cell::new(false),
            current_entry: DictEntry::unknown(),
            files: RefCell::new(Vec::new()),
            read_buffer: Cell::new(Vec::new()),
            occupied: Occupied::default(),
            tls_plain: Cell::new(Vec::new()),
            tls_output: Cell::new(Vec::new()),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.thread_id);
        visitor.slot(&self.task_factory);
        visitor.slot(&self.idle);
        visitor.slot(&self.observer);
        if let Ok(files) = self.files.try_borrow() {
            for (_, file) in files.iter() {
                visitor.owned(file);
            }
        }
        let Ok(io) = self.io.try_borrow() else { return };
        let Some(io) = &*io else { return };
        if let Ok(engine) = io.engine.try_borrow() {
            for entry in engine.ready.iter().chain(engine.timers.iter().map(|(_, entry)| entry)) {
                entry.traverse(visitor);
            }
        }
        if let Ok(fds) = io.fds.try_borrow() {
            for (_, reader, writer) in fds.iter() {
                for watch in reader.into_iter().chain(writer) {
                    visitor.owned(watch.object());
                }
            }
        }
    }

    fn clear(&self) {
        self.thread_id.clear();
        self.task_factory.clear();
        self.idle.clear();
        self.observer.clear();
        drop(self.files.take());
        drop(self.take_everything());
    }
}

impl Entry {
    /// The object that it is about.
    pub fn object(&self) -> &Owned {
        match self {
            Entry::Task(object) | Entry::Handle(object) | Entry::Sleep(object) | Entry::Timeout(object) => object,
            Entry::Child(listener, _) => listener,
        }
    }

    /// Has the processor fetch the object while another one runs: thousands do not fit into its caches. Worth a tenth of
    /// a timer's time (`benches`, row `timer_fire`).
    #[inline]
    fn prefetch(&self) {
        match self {
            Entry::Task(task) => prefetch::<TaskBody>(task),
            Entry::Handle(handle) => prefetch::<TimerHandleBody>(handle),
            _ => {}
        }
    }

    /// Shows the object to the garbage collector, if it was hidden: see [`LoopBody::hides_queued`].
    fn show(&self, py: Python<'_>) {
        match self {
            Entry::Task(task) => {
                if let Some(task) = as_exact::<TaskBody>(task.bind(py)) {
                    track(task);
                }
            }
            Entry::Handle(handle) => handles::show(handle.bind(py)),
            _ => {}
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.owned(self.object());
        if let Entry::Child(_, child) = self {
            visitor.owned(child);
        }
    }
}

impl LoopBody {
    /// The engine's parts.
    ///
    /// # Errors
    /// RuntimeError if `__init__` was never called or the loop is closed.
    fn io(&self) -> PyResult<Rc<Io>> {
        if let Some(io) = &*self.io.borrow() {
            return Ok(Rc::clone(io));
        }
        self.require_open()?;
        Err(PyRuntimeError::new_err("the event loop's __init__() was not called"))
    }

    /// Whether natives may bypass the loop's Python methods: nothing replaced, no debug checks to make.
    #[inline]
    pub fn is_direct(&self) -> bool {
        !self.hooked.get() && !self.debug.get()
    }

    /// Whether a task may be appended to the ready queue without more ado.
    #[inline]
    pub fn takes_at_once(&self) -> bool {
        self.is_direct() && !self.closed.get()
    }

    /// Whether `create_task` would make a plain native task: no factory, nothing replaced.
    #[inline]
    pub fn makes_plain_tasks(&self) -> bool {
        !self.tasks_hooked.get() && self.task_factory.is_empty()
    }

    /// Whether somebody replaced one of the loop's methods.
    #[inline]
    pub fn is_hooked(&self) -> bool {
        self.hooked.get()
    }

    /// Whether somebody replaced `time()`.
    #[inline]
    pub fn is_time_hooked(&self) -> bool {
        self.time_hooked.get()
    }

    /// Appends to the ready queue. Callers have checked that the loop is open.
    #[inline]
    pub fn push(&self, entry: Entry) {
        if let Some(io) = &*self.io.borrow() {
            io.engine.borrow_mut().push(entry);
        }
    }

    /// Adds a timer.
    ///
    /// # Errors
    /// RuntimeError if the loop is closed.
    #[inline]
    pub fn add_timer(&self, when: aioxide::Deadline, entry: Entry) -> PyResult<TimerKey> {
        match &*self.io.borrow() {
            Some(io) => Ok(io.engine.borrow_mut().timers.insert(when, entry)),
            None => Err(loop_closed()),
        }
    }

    /// Whether a timer is still to come.
    pub fn has_timer(&self, key: TimerKey) -> bool {
        self.io
            .borrow()
            .as_ref()
            .is_some_and(|io| io.engine.borrow().timers.deadline(key).is_some())
    }

    /// Removes a timer; the caller releases what it held.
    pub fn cancel_timer(&self, key: TimerKey) -> Option<Entry> {
        self.io
            .borrow()
            .as_ref()
            .and_then(|io| io.engine.borrow_mut().timers.cancel(key))
    }

    /// Whether what is put into this loop's queues need not be shown to the garbage collector while it is there: a new
    /// task until its first step, a handle until it has run or is cancelled. The loop runs and holds it, so it is no
    /// garbage; thousands that are made at once are not looked at each time then.
    #[inline]
    pub fn hides_queued(&self) -> bool {
        self.whole_run.get() && self.is_direct()
    }

    /// Shows the garbage collector what is in the queues, which may become garbage from now on.
    fn show_queued(&self, py: Python<'_>) {
        let Some(io) = self.io.borrow().clone() else { return };
        let engine = io.engine.borrow();
        engine.ready.iter().for_each(|entry| entry.show(py));
        if self.timers_hidden.replace(false) {
            engine.timers.iter().for_each(|(_, entry)| entry.show(py));
        }
    }

    /// Checks that the loop is open.
    #[inline]
    pub fn require_open(&self) -> PyResult<()> {
        if self.closed.get() {
            return Err(loop_closed());
        }
        Ok(())
    }

    /// Empties the queues; the caller releases what was in them.
    fn take_everything(&self) -> Vec<Entry> {
        let Ok(io) = self.io() else { return Vec::new() };
        let mut engine = io.engine.borrow_mut();
        let mut all: Vec<Entry> = engine.ready.drain(..).collect();
        all.extend(engine.timers.clear());
        all
    }
}

/// Makes the type.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let mut builder = TypeBuilder::new()
        .subclassable()
        .slot(new_slot::<LoopBody>())
        .slot(setattr_slot(note_replaced));
    builder = attributes::loop_attributes(builder);
    builder = scheduling::scheduling_methods(builder);
    builder = timing::timing_methods(builder);
    builder = factories::factory_methods(builder);
    builder = run::run_methods(builder);
    builder = views::view_methods(builder);
    builder = watching::watching_methods(builder);
    builder = sockets::socket_methods(builder);
    builder
        .method(method(c"_open", c"Opens the engine. Called once, by __init__.", open))
        .finish::<LoopBody>(
            py,
            c"aioxide.LoopCore",
            c"The native base of the event loop.",
            None,
            false,
        )
}

fn open<'py>(this: &Bound<'py, Loop>, args: Args<'_, 'py>) -> Returned<'py> {
    let [strict_polling] = args.bind("_open", ["strict_polling"], 0, 0)?;
    let py = this.py();
    let strict = strict_polling.map_or(Ok(false), |strict| strict.is_truthy())?;
    let policy = if strict {
        PollPolicy::Strict
    } else {
        PollPolicy::Adaptive
    };
    let body = this.body();
    if body.io.borrow().is_some() {
        return Err(PyRuntimeError::new_err("the event loop is open already"));
    }
    let engine = Engine::with(policy, Clock::Monotonic).map_err(|error| os_error(&error))?;
    let io = Io {
        poller: Arc::clone(engine.poller()),
        inbox: Arc::clone(engine.inbox()),
        engine: RefCell::new(engine),
        fds: RefCell::new(FdTable::new()),
        strict,
        driver: Cell::new(None),
        asleep: Cell::new(false),
        events: Cell::new(Vec::new()),
    };
    body.io.replace(Some(Rc::new(io)));
    let class = this.get_type();
    let core = py.get_type_of::<LoopBody>();
    for name in HOOKS.iter().chain(TIME_HOOKS).chain(TASK_HOOKS) {
        if !class.getattr(*name)?.is(core.getattr(*name)?) {
            note_name(body, name);
        }
    }
    Ok(py.None().into_bound(py))
}

/// The type object of a body.
trait TypeOf {
    fn get_type_of<B: Body>(&self) -> Bound<'_, PyType>;
}

impl TypeOf for Python<'_> {
    fn get_type_of<B: Body>(&self) -> Bound<'_, PyType> {
        use pyo3::type_object::PyTypeInfo;
        Native::<B>::type_object(*self)
    }
}

fn note_replaced(this: &Bound<'_, Loop>, name: &Bound<'_, PyAny>) {
    if let Ok(name) = name.cast::<pyo3::types::PyString>()
        && let Ok(name) = name.to_cow()
    {
        note_name(this.body(), &name);
    }
}

/// Remembers that a method was replaced, by name.
fn note_name(body: &LoopBody, name: &str) {
    if HOOKS.contains(&name) {
        body.hooked.set(true);
    }
    if TASK_HOOKS.contains(&name) {
        body.tasks_hooked.set(true);
    }
    if TIME_HOOKS.contains(&name) {
        body.time_hooked.set(true);
    }
}

/// Methods that natives bypass. Once one was replaced, they are called.
const HOOKS: &[&str] = &["call_soon", "get_debug"];
/// The method whose replacement means that tasks are made elsewhere.
const TASK_HOOKS: &[&str] = &["create_task"];
/// Methods whose replacement means a clock that is not ours.
const TIME_HOOKS: &[&str] = &["time", "call_at", "call_later"];
