//! asyncio's event loop for Rust: the engine that the Python package `aioxide` runs on too.
//!
//! The engine knows nothing of what it runs. [`Engine<H>`] is generic over its handle type `H`: the
//! Python face queues tasks and handles as they are, a Rust face its own, and nothing is boxed for
//! the other's sake. It is a set of parts that the loop's driver puts together:
//!
//! | part | what it does |
//! |---|---|
//! | [`Engine::ready`] | the FIFO of handles to run |
//! | [`Timers`] | handles to run at a [`Deadline`]; cancelling gives the memory back |
//! | [`Poller`] | level-triggered readiness of file descriptors |
//! | [`FdTable`] | who wants to know about which descriptor |
//! | [`Inbox`] | handles from other threads, and their wake-up |
//! | [`PollBudget`] | how much may run before the poller is asked again |
//! | [`Probe`] | counters that a watchdog thread reads |
//! | [`Clock`] | the loop's time, real or set by a test |
//!
//! One turn of a loop, with every rule it must keep:
//!
//! ```
//! use aioxide::{Engine, FdTable, Interest};
//!
//! # fn main() -> std::io::Result<()> {
//! let mut engine: Engine<&'static str> = Engine::new()?;
//! let readers: FdTable<&'static str> = FdTable::new();
//! let mut events = Vec::new();
//! engine.push("hello");
//!
//! // 1. Wait: not at all when something is ready, else until the next timer, an fd, or a thread.
//! let now = engine.now();
//! let timeout = engine.begin_wait(now);
//! let waited = engine.poller().wait(&mut events, timeout); // Python: with the GIL released
//! engine.end_wait();
//! waited?;
//! // 2. Collect: descriptors, then threads, then timers.
//! for event in &events {
//!     if event.fd == engine.inbox().fd() {
//!         engine.inbox().acknowledge();
//!     } else if let Some(reader) = readers.reader(event.fd).filter(|_| event.readable) {
//!         engine.ready.push_back(*reader);
//!     }
//! }
//! engine.drain_inbox();
//! let now = engine.now();
//! engine.drain_timers(now);
//! // 3. Run, until the budget says that the poller must be asked again.
//! engine.begin_run();
//! while let Some(handle) = engine.pop() {
//!     assert_eq!(handle, "hello");
//!     engine.probe().step();
//!     if engine.budget.should_poll() {
//!         break;
//!     }
//! }
//! # Ok(())
//! # }
//! ```

#![deny(unsafe_code)]
#![deny(missing_docs)]

mod budget;
mod cancellation;
mod clock;
mod contextvars;
mod driver;
mod engine;
mod events;
mod exceptions;
mod fds;
mod futures;
mod hosting;
mod inbox;
mod locks;
mod poller;
mod probe;
mod queues;
mod reports;
mod runners;
mod sys;
mod taskgroups;
mod tasks;
pub mod testing;
mod threads;
mod timeouts;
mod timers;
mod waiters;
mod watchdog;

pub use budget::{PollBudget, PollPolicy};
pub use clock::{Clock, Deadline, now};
pub use contextvars::{Context, ContextVar, Token, copy_context};
pub use driver::Driver;
pub use engine::Engine;
pub use events::{EventLoop, Handle, LoopSender, Strictness, TimerHandle, get_running_loop};
pub use exceptions::{Cancelled, InvalidStateError, Panicked, TaskError, TimeoutError};
pub use fds::FdTable;
pub use futures::Future;
pub use inbox::Inbox;
pub use locks::{
    Barrier, BarrierError, BoundedSemaphore, BrokenBarrierError, Condition, Event, Lock, LockGuard, Permit,
    ReleasedTooOften, Semaphore,
};
pub use poller::{Event as PollEvent, Interest, Poller};
pub use probe::{Probe, Sample};
pub use queues::{
    CalledTooOften, Heap, LifoQueue, PriorityQueue, PutError, Queue, QueueEmpty, QueueError, QueueFull, QueueOf,
    QueueShutDown, Stack, Store,
};
pub use reports::{Report, ReportKind, SLOW_STEP};
pub use runners::{Runner, RunnerBuilder, run};
pub use sys::prefetch;
pub use taskgroups::{ExceptionGroup, TaskGroup, TaskGroupError};
pub use tasks::{
    AnyTask, AsCompleted, FutureExt, Gather, GatherAll, GatherTuple, ReturnWhen, Shield, Sleep, Task, TaskBuilder,
    all_tasks, as_completed, create_task, current_task, gather, gather_all, shield, sleep, sleep_until, wait,
};
pub use threads::{ThreadPoolExecutor, run_in_executor, to_thread};
pub use timeouts::{Timeout, timeout, timeout_at, wait_for};
pub use timers::{TimerKey, Timers};
pub use watchdog::{Watchdog, watch};

/// The chapter on Rust in `docs/`, so that its examples are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/rust.md")]
struct Chapter;
