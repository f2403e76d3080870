//! `TaskGroupCore`: tasks that end together; the native base of `TaskGroup`.
//!
//! ```text
//!   new --__aenter__--> entered --__aexit__--> exiting --the last child ends--> left
//!                          └──── a child fails ──┴──> aborting ──────────────────┘
//! ```
//! What happens when all goes well is native: entering, making a child, a child that returns, and leaving. What
//! happens when a child fails, the block raises or somebody cancels is the running version's own code, on our object:
//! it finds its attributes here (`attributes`).
//!
//! Invariant: a native child has the group as its callback, itself, while it is in `children`.
//! Counterpart: `Lib/asyncio/taskgroups.py`.

#![forbid(unsafe_code)]

mod attributes;
mod children;
mod crossing;

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple, PyType};

use children::Children;

use crate::events::LoopBody;
use crate::futures::{Callback, FutureLike, State};
use crate::handles::bind_parts;
use crate::imports::imports;
use crate::mixins;
use crate::object::{
    Args, Body, BodyOf, Layout, Native, Owned, Returned, Slot, TypeBuilder, Visitor, as_exact, as_native, compat,
    init_slots, method, setattr_slot,
};
use crate::overrides::{Group, Overrides};
use crate::tasks::{self, TaskBody};

/// The body of a group. The fields are asyncio's attributes of the same names.
pub struct TaskGroupBody {
    entered: Cell<bool>,
    exiting: Cell<bool>,
    aborting: Cell<bool>,
    parent_cancel_requested: Cell<bool>,
    /// `cancel()` was called while it had an effect.
    cancel_called: Cell<bool>,
    /// `__aexit__()` has ended.
    left: Cell<bool>,
    event_loop: Slot,
    parent_task: Slot,
    children: Children,
    /// A list, or None once it was raised; empty as long as nobody has looked and nothing went wrong.
    errors: Slot,
    base_error: Slot,
    on_completed: Slot,
    overrides: Overrides,
}

/// A native group.
pub type TaskGroup = Native<TaskGroupBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for TaskGroupBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            entered: Cell::new(false),
            exiting: Cell::new(false),
            aborting: Cell::new(false),
            parent_cancel_requested: Cell::new(false),
            cancel_called: Cell::new(false),
            left: Cell::new(false),
            event_loop: Slot::empty(),
            parent_task: Slot::empty(),
            children: Children::new(),
            errors: Slot::empty(),
            base_error: Slot::empty(),
            on_completed: Slot::empty(),
            overrides: Overrides::unknown(),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        self.children.traverse(visitor);
        for slot in self.slots() {
            visitor.slot(slot);
        }
    }

    fn clear(&self) {
        self.children.clear();
        for slot in self.slots() {
            slot.clear();
        }
    }
}

impl TaskGroupBody {
    fn slots(&self) -> [&Slot; 5] {
        [
            &self.event_loop,
            &self.parent_task,
            &self.errors,
            &self.base_error,
            &self.on_completed,
        ]
    }

    /// Whether nothing has happened that the running version's own code must deal with.
    fn is_well(&self, py: Python<'_>) -> PyResult<bool> {
        let fine = !self.aborting.get() && !self.parent_cancel_requested.get() && self.base_error.is_empty();
        if !fine {
            return Ok(false);
        }
        match self.errors.get(py) {
            Some(errors) => Ok(!errors.is_truthy()?),
            None => Ok(true),
        }
    }
}

/// Makes the types.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    crossing::build(py)?;
    let mut builder = TypeBuilder::new().subclassable().slot(setattr_slot(assigned));
    for slot in init_slots(init) {
        builder = builder.slot(slot);
    }
    builder = attributes::group_attributes(builder);
    crossing::crossing_methods(builder)
        .method(method(
            c"create_task",
            c"Creates a new task in this group and returns it.",
            create_task,
        ))
        .finish::<TaskGroupBody>(
            py,
            c"aioxide.TaskGroupCore",
            c"The native base of TaskGroup.",
            None,
            false,
        )
}

fn init(this: &Bound<'_, TaskGroup>, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    let py = this.py();
    let [] = bind_parts("TaskGroup.__init__", args, kwargs, [])?;
    let body = this.body();
    for flag in [
        &body.entered,
        &body.exiting,
        &body.aborting,
        &body.parent_cancel_requested,
        &body.cancel_called,
        &body.left,
    ] {
        flag.set(false);
    }
    body.clear();
    let imports = imports(py)?;
    let plain = imports.taskgroups.bind(py).getattr(pyo3::intern!(py, "TaskGroup"))?;
    body.overrides.look(
        &this.get_type(),
        imports.taskgroup.bind(py).cast()?,
        &plain,
        &[&HEARING],
    )
}

fn assigned(this: &Bound<'_, TaskGroup>, name: &Bound<'_, PyAny>) {
    this.body().overrides.assigned(name, &[&HEARING]);
}

fn create_task<'py>(this: &Bound<'py, TaskGroup>, args: Args<'_, 'py>) -> Returned<'py> {
    let py = this.py();
    let body = this.body();
    let event_loop = body.event_loop.get_or_none(py);
    if let Some(native) = as_native::<LoopBody>(&event_loop)
        && native.body().makes_plain_tasks()
        && native.body().is_direct()
        && body.overrides.none(&HEARING)
        && body.entered.get()
        && !body.aborting.get()
        && !(body.exiting.get() && body.children.is_empty(py)?)
        && let Ok([coroutine, name, context, None]) =
            args.bind("create_task", ["coro", "name", "context", "eager_start"], 1, 1)
        && let Some(coroutine) = coroutine
    {
        native.body().require_open()?;
        let parts = tasks::Parts {
            name,
            context,
            eager: false,
        };
        let task = tasks::create_task(&event_loop, coroutine, &parts)?;
        if compat::TASKS_ARE_PUBLISHED
            && let Some(parent) = body.parent_task.get(py)
        {
            tasks::awaiters::add(&task, &parent)?;
        }
        body.children.add(&task)?;
        task.body().future().callbacks.push(Callback {
            callable: Owned::new(this.as_any()),
            context: None,
        });
        return Ok(task.into_any());
    }
    let keywords = PyDict::new(py);
    args.keywords_into(&keywords)?;
    if !compat::CREATE_TASK_TAKES_EAGER_START && keywords.contains("eager_start")? {
        let positional = PyTuple::new(py, args.positional())?;
        return this.call_method("_create_eagerly", positional, Some(&keywords));
    }
    let mut positional = vec![this.as_any().clone()];
    positional.extend(args.positional().iter().cloned());
    imports(py)?
        .taskgroup
        .bind(py)
        .getattr(pyo3::intern!(py, "create_task"))?
        .call(PyTuple::new(py, positional)?, Some(&keywords))
}

/// A child has ended.
///
/// # Errors
/// Of the running version's `_on_task_done()`.
pub fn child_done(this: &Bound<'_, TaskGroup>, child: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    let Some(task) = as_exact::<TaskBody>(child)
        .filter(|task| matches!(task.body().future().state.get(), State::Result | State::Cancelled))
        .filter(|_| body.overrides.none(&HEARING))
    else {
        return this
            .call_method1(pyo3::intern!(py, "_on_task_done"), (child,))
            .map(drop);
    };
    body.children.discard(task)?;
    if compat::TASKS_ARE_PUBLISHED
        && let Some(parent) = body.parent_task.get(py)
    {
        tasks::awaiters::discard(child, &parent)?;
    }
    let Some(completed) = body.on_completed.get(py) else {
        return Ok(());
    };
    if !body.children.is_empty(py)? || mixins::is_done(&completed)? {
        return Ok(());
    }
    mixins::wake(&completed, PyBool::new(py, true).to_owned().into_any())
}

/// The group as a done callback that Python can see, and call with a task.
pub fn listener_of<'py>(this: &Bound<'py, TaskGroup>) -> Returned<'py> {
    this.getattr(pyo3::intern!(this.py(), "_on_task_done"))
}

/// What is told that a child has ended.
const HEARING: Group = Group::new(0, &["_on_task_done"]);
