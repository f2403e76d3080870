//! The coroutines of a group: `__aenter__()` and `__aexit__()`.
//!
//! # Cancellation
//! While a group is left, the running version's `__aexit__()` takes over: it cancels the children and waits for them.

#![forbid(unsafe_code)]

use std::cell::Cell;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyTuple, PyType};

use super::{TaskGroup, TaskGroupBody};
use crate::coroutines::{self, Coroutine, Next, Operation, coroutine, iterator_of};
use crate::events::LoopBody;
use crate::imports::imports;
use crate::object::{
    Args, BodyOf, Layout, Owned, Returned, Slot, TypeBuilder, Visitor, as_native, method, method_noargs,
};
use crate::tasks;

/// Makes the types of the coroutines.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    coroutines::build::<Enter>(py, c"aioxide._aioxide.TaskGroup_aenter")?;
    coroutines::build::<Leave>(py, c"aioxide._aioxide.TaskGroup_aexit")
}

/// Adds the methods.
pub fn crossing_methods(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method_noargs(c"__aenter__", c"Enters the group.", enter))
        .method(method(
            c"__aexit__",
            c"Waits for the children; raises what they raised.",
            leave,
        ))
}

fn enter<'py>(this: &Bound<'py, TaskGroup>) -> Returned<'py> {
    let operation = Enter {
        group: Slot::new(Owned::new(this.as_any())),
    };
    coroutine(this.py(), operation)
}

fn leave<'py>(this: &Bound<'py, TaskGroup>, args: Args<'_, 'py>) -> Returned<'py> {
    let [kind, exception, traceback] = args.bind("__aexit__", ["et", "exc", "tb"], 3, 3)?;
    let error = match kind {
        Some(kind) if !kind.is_none() => Slot::new(Owned::new(
            PyTuple::new(this.py(), [Some(kind), exception, traceback])?.as_any(),
        )),
        _ => Slot::empty(),
    };
    let operation = Leave {
        group: Slot::new(Owned::new(this.as_any())),
        error,
        progress: Cell::new(Progress::Begun),
    };
    coroutine(this.py(), operation)
}

fn group_in<'py>(slot: &Slot, py: Python<'py>) -> PyResult<Bound<'py, TaskGroup>> {
    let gone = || PyRuntimeError::new_err("the group is gone");
    let group = slot.get(py).ok_or_else(gone)?;
    as_native::<TaskGroupBody>(&group).cloned().ok_or_else(gone)
}

/// `__aenter__()`.
struct Enter {
    group: Slot,
}

static ENTER: Layout = Layout::unset();

impl Operation for Enter {
    const NAME: &'static str = "TaskGroup.__aenter__";

    fn layout() -> &'static Layout {
        &ENTER
    }

    fn empty() -> Self {
        Self { group: Slot::empty() }
    }

    fn start<'py>(this: &Bound<'py, Coroutine<Self>>) -> PyResult<Next<'py>> {
        let py = this.py();
        let group = group_in(&this.body().operation().group, py)?;
        let body = group.body();
        if !body.entered.get()
            && body.event_loop.is_empty()
            && !body.cancel_called.get()
            && let Some(parent) = tasks::stepping_task(py)?
        {
            body.event_loop.set(imports(py)?.running_loop.bind(py).call0()?.into());
            body.parent_task.set(parent.into());
            body.entered.set(true);
            return Ok(Next::Return(group.into_any()));
        }
        // A group that must not be entered, or one on a loop that is not ours.
        let entering = group.call_method0(pyo3::intern!(py, "_enter"))?;
        Ok(Next::Delegate(iterator_of(&entering)?))
    }

    fn resumed<'py>(_this: &Bound<'py, Coroutine<Self>>, outcome: PyResult<Bound<'py, PyAny>>) -> PyResult<Next<'py>> {
        outcome.map(Next::Return)
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.group);
    }

    fn clear(&self) {
        self.group.clear();
    }
}

/// How far `__aexit__()` is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Begun,
    /// For `_on_completed_fut`.
    Waiting,
    /// The running version's code does the rest.
    HandedOver,
}

/// `__aexit__()`.
struct Leave {
    group: Slot,
    /// Its three arguments, if the block has raised.
    error: Slot,
    progress: Cell<Progress>,
}

static LEAVE: Layout = Layout::unset();

impl Leave {
    /// Goes on in a coroutine of `aioxide.taskgroups.TaskGroup`.
    fn hand_over<'py>(
        &self,
        group: &Bound<'py, TaskGroup>,
        method: &str,
        arguments: &Bound<'py, PyTuple>,
    ) -> PyResult<Next<'py>> {
        self.progress.set(Progress::HandedOver);
        let leaving = group.call_method1(method, arguments)?;
        Ok(Next::Delegate(iterator_of(&leaving)?))
    }

    /// Waits for the children, or ends, if there are none any more.
    fn wait<'py>(&self, group: &Bound<'py, TaskGroup>) -> PyResult<Next<'py>> {
        let py = group.py();
        let body = group.body();
        if !body.children.is_empty(py)? {
            let completed = coroutines::waiter(&body.event_loop.get_or_none(py))?;
            body.on_completed.set(Owned::new(&completed));
            self.progress.set(Progress::Waiting);
            return Ok(Next::Await(completed));
        }
        body.left.set(true);
        let imports = imports(py)?;
        if imports.taskgroups_let_go {
            body.parent_task.clear();
            body.errors.set(py.None().into_bound(py).into());
        }
        Ok(Next::Return(if imports.taskgroups_swallow {
            PyBool::new(py, true).to_owned().into_any()
        } else {
            py.None().into_bound(py)
        }))
    }
}

impl Operation for Leave {
    const NAME: &'static str = "TaskGroup.__aexit__";

    fn layout() -> &'static Layout {
        &LEAVE
    }

    fn empty() -> Self {
        Self {
            group: Slot::empty(),
            error: Slot::empty(),
            progress: Cell::new(Progress::Begun),
        }
    }

    fn start<'py>(this: &Bound<'py, Coroutine<Self>>) -> PyResult<Next<'py>> {
        let py = this.py();
        let operation = this.body().operation();
        let group = group_in(&operation.group, py)?;
        let body = group.body();
        let well = body.is_well(py)? && body.on_completed.is_empty();
        if operation.error.is_empty() && well && as_native::<LoopBody>(&body.event_loop.get_or_none(py)).is_some() {
            body.exiting.set(true);
            return operation.wait(&group);
        }
        let arguments = match operation.error.take() {
            Some(error) => error.into_bound(py).cast_into::<PyTuple>()?,
            None => PyTuple::new(py, [py.None(), py.None(), py.None()])?,
        };
        operation.hand_over(&group, "_leave", &arguments)
    }

    fn resumed<'py>(this: &Bound<'py, Coroutine<Self>>, outcome: PyResult<Bound<'py, PyAny>>) -> PyResult<Next<'py>> {
        let py = this.py();
        let operation = this.body().operation();
        if operation.progress.get() == Progress::HandedOver {
            return outcome.map(Next::Return);
        }
        let group = group_in(&operation.group, py)?;
        match outcome {
            Err(error) => {
                let arguments = PyTuple::new(py, [error.into_value(py)])?;
                operation.hand_over(&group, "_leave_interrupted", &arguments)
            }
            Ok(_) => {
                group.body().on_completed.clear();
                if group.body().is_well(py)? {
                    return operation.wait(&group);
                }
                let nothing = PyTuple::new(py, [py.None(), py.None(), py.None()])?;
                operation.hand_over(&group, "_leave", &nothing)
            }
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.group);
        visitor.slot(&self.error);
    }

    fn clear(&self) {
        self.group.clear();
        self.error.clear();
    }
}
