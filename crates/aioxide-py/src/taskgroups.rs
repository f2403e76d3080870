//! The children of a `TaskGroup`: made and, when they end well, struck off the list without any Python.
//!
//! The group itself is `aioxide.taskgroups.TaskGroup`, which extends the running version's class: what happens when a
//! child fails, when the last one ends and when the group is left is that version's own code. A child that returns
//! while others still run changes nothing but the set of children; that, and making it, is here.
//!
//! Invariant: a child has the `Children` as its callback, itself, from when it is in the set.
//! Counterpart: `create_task` and `_on_task_done` in `Lib/asyncio/taskgroups.py`.

#![forbid(unsafe_code)]

use std::sync::OnceLock;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PySet, PyTuple, PyType};

use crate::events::LoopBody;
use crate::futures::{Callback, FutureLike, State};
use crate::imports::imports;
use crate::object::{
    Args, Body, BodyOf, Layout, Native, Owned, Returned, Slot, StaticMethod, TypeBuilder, Visitor, as_exact, as_native,
    bound_function, compat, init_slots, method, method_one,
};
use crate::tasks::{self, TaskBody};

/// The body of the `Children`.
pub struct ChildrenBody {
    group: Slot,
    event_loop: Slot,
    /// The group's `_tasks`, a set.
    tasks: Slot,
}

/// The children of a group.
pub type Children = Native<ChildrenBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for ChildrenBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            group: Slot::empty(),
            event_loop: Slot::empty(),
            tasks: Slot::empty(),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        for slot in [&self.group, &self.event_loop, &self.tasks] {
            visitor.slot(slot);
        }
    }

    fn clear(&self) {
        for slot in [&self.group, &self.event_loop, &self.tasks] {
            slot.clear();
        }
    }
}

/// Makes the type.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let mut builder = TypeBuilder::new();
    for slot in init_slots(init) {
        builder = builder.slot(slot);
    }
    builder
        .method(method(
            c"create_task",
            c"Creates a new task in this group and returns it.",
            create_task,
        ))
        .finish::<ChildrenBody>(
            py,
            c"aioxide._aioxide.Children",
            c"The children of a TaskGroup.",
            None,
            false,
        )
}

/// `Children(group)`, for a group that was entered.
fn init(this: &Bound<'_, Children>, args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    let (group,): (Bound<'_, PyAny>,) = args.extract()?;
    let tasks = group.getattr("_tasks")?;
    if !tasks.is_exact_instance_of::<PySet>() {
        return Err(PyTypeError::new_err("the tasks of the group are not kept in a set"));
    }
    let body = this.body();
    body.event_loop.set(group.getattr("_loop")?.into());
    body.tasks.set(tasks.into());
    body.group.set(group.into());
    Ok(())
}

fn create_task<'py>(this: &Bound<'py, Children>, args: Args<'_, 'py>) -> Returned<'py> {
    let py = this.py();
    let body = this.body();
    let group = body.group.get_or_none(py);
    let event_loop = body.event_loop.get_or_none(py);
    // From 3.14 on asyncio also writes down who awaits whom.
    if !compat::TASKS_ARE_PUBLISHED
        && let Some(native) = as_native::<LoopBody>(&event_loop)
        && native.body().makes_plain_tasks()
        && native.body().is_direct()
        && !group.getattr(pyo3::intern!(py, "_exiting"))?.is_truthy()?
        && !group.getattr(pyo3::intern!(py, "_aborting"))?.is_truthy()?
        && let Some(tasks) = body.tasks.get(py)
    {
        let [coroutine, name, context] = args.bind("create_task", ["coro", "name", "context"], 1, 1)?;
        if let Some(coroutine) = coroutine {
            native.body().require_open()?;
            let parts = tasks::Parts {
                name,
                context,
                eager: false,
            };
            let task = tasks::create_task(&event_loop, coroutine, &parts)?;
            tasks.cast::<PySet>()?.add(&task)?;
            task.body().future().callbacks.push(Callback {
                callable: Owned::new(this.as_any()),
                context: None,
            });
            return Ok(task.into_any());
        }
    }
    let keywords = PyDict::new(py);
    args.keywords_into(&keywords)?;
    let mut positional = vec![group];
    positional.extend(args.positional().iter().cloned());
    imports(py)?
        .taskgroup_create_task
        .bind(py)
        .call(PyTuple::new(py, positional)?, Some(&keywords))
}

/// A child has ended.
///
/// # Errors
/// Of the group's own method.
pub fn child_done(this: &Bound<'_, Children>, child: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    if let Some(task) = as_exact::<TaskBody>(child)
        && task.body().future().state.get() == State::Result
        && let Some(tasks) = body.tasks.get(py)
        && let Ok(tasks) = tasks.cast::<PySet>()
        && tasks.len() > 1
    {
        return tasks.discard(child).map(drop);
    }
    let group = body.group.get_or_none(py);
    group
        .call_method1(pyo3::intern!(py, "_on_task_done"), (child,))
        .map(drop)
}

/// The children as a done callback that Python can see, and call with a task.
pub fn listener_of<'py>(this: &Bound<'py, Children>) -> Returned<'py> {
    static LISTENER: OnceLock<StaticMethod> = OnceLock::new();
    bound_function(this, &LISTENER, || {
        method_one(c"_on_task_done", c"A child of the group has ended.", hear)
    })
}

fn hear<'py>(this: &Bound<'py, Children>, child: &Bound<'py, PyAny>) -> Returned<'py> {
    child_done(this, child)?;
    Ok(this.py().None().into_bound(this.py()))
}
