//! Tasks: `create_task`, `Task`, `current_task`, `all_tasks`, and what waits for several of them.
//!
//! ```text
//! create_task ──► Ready ──► Stepping ──► Waiting ─┐     Stepping ──► Finished
//!                   ▲                             │
//!                   └───────── woken ◄────────────┘
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `raw` | the memory of a task: the unsafe part |
//! | `waker` | how threads and foreign code wake it: the unsafe part |
//! | `atomics` | what any thread may change of it |
//! | `state`, `children`, `registry` | what a task keeps, who runs it, where it is found |
//! | `step` | one step, and what follows the last |
//! | `handle` | `Task` and `AnyTask` |
//! | `sleep`, `gather`, `wait`, `as_completed`, `shield`, `cancellable` | one function each |
//!
//! Counterpart: `Lib/asyncio/tasks.py`.

mod as_completed;
mod atomics;
mod cancellable;
mod children;
mod gather;
mod handle;
mod raw;
mod registry;

mod shield;
mod sleep;
mod state;
mod step;
mod wait;
mod waker;

pub use as_completed::{AsCompleted, as_completed};
pub use cancellable::FutureExt;
pub use gather::{Gather, GatherAll, GatherAllTuple, GatherTuple, gather, gather_all};
pub use handle::{AnyTask, Task, TaskBuilder, all_tasks, create_task, current_task};
pub use shield::{Shield, shield};
pub use sleep::{Sleep, sleep, sleep_until};
pub use wait::{ReturnWhen, wait};

pub(crate) use raw::{Children, Finish, Output, TaskRef};
pub(crate) use registry::Registry;
pub(crate) use state::{Home, TaskState, push_waker};
pub(crate) use step::{Step, step, step_child, tell_end};
pub(crate) use waker::{LocalWaker, Remote};
