//! How a task begins: `Task(coro, *, loop, name, context, eager_start)` and `loop.create_task`.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use super::{Task, TaskBody, current, make_ready, register, step, unregister};
use crate::events::LoopBody;
use crate::futures::{FutureLike, FutureState, is_debug};
use crate::imports::imports;
use crate::object::{Args, BodyOf, Owned, Returned, as_native, compat, create, create_untracked, published, snapshot};

/// Numbers the tasks that get no name. asyncio counts in the same order, but from a counter of its own.
static NUMBER: AtomicU64 = AtomicU64::new(1);

/// What a task is made of, besides its loop.
#[derive(Default)]
pub struct Parts<'a, 'py> {
    pub name: Option<&'a Bound<'py, PyAny>>,
    pub context: Option<&'a Bound<'py, PyAny>>,
    pub eager: bool,
}

/// Makes and schedules a task of exactly this type. The fast road of `loop.create_task`.
#[inline]
pub fn create_task<'py>(
    event_loop: &Bound<'py, PyAny>,
    coroutine: &Bound<'py, PyAny>,
    parts: &Parts<'_, 'py>,
) -> PyResult<Bound<'py, Task>> {
    let py = event_loop.py();
    let body = TaskBody::with_future(FutureState::pending(event_loop));
    let hidden = !parts.eager && as_native::<LoopBody>(event_loop).is_some_and(|native| native.body().hides_queued());
    let this = if hidden {
        create_untracked(py, body)?
    } else {
        create(py, body)?
    };
    if is_debug(event_loop)? {
        let stack = imports(event_loop.py())?.extract_stack.bind(event_loop.py()).call0()?;
        this.body().future().rare_mut().source_traceback.set(stack.into());
    }
    start(&this, event_loop, coroutine, parts)?;
    Ok(this)
}

/// Schedules a coroutine in the running loop; returns its Task.
///
/// Counterpart: `asyncio.create_task`, which is asked where the running loop is not ours.
///
/// # Errors
/// RuntimeError without a running loop, TypeError if it is no coroutine.
pub fn create_in_running_loop<'py>(args: Args<'_, 'py>) -> Returned<'py> {
    let py = args.py();
    let imports = imports(py)?;
    let event_loop = imports.running_loop.bind(py).call0()?;
    if let Some(native) = as_native::<LoopBody>(&event_loop)
        && native.body().makes_plain_tasks()
    {
        let [coroutine, name, context, eager_start] =
            args.bind("create_task", ["coro", "name", "context", "eager_start"], 1, 1)?;
        if let Some(coroutine) = coroutine {
            native.body().require_open()?;
            let eager = eager_start.map_or(Ok(false), |eager| eager.is_truthy())?;
            let parts = Parts { name, context, eager };
            return Ok(create_task(&event_loop, coroutine, &parts)?.into_any());
        }
    }
    let keywords = PyDict::new(py);
    args.keywords_into(&keywords)?;
    let positional = PyTuple::new(py, args.positional())?;
    if !compat::CREATE_TASK_TAKES_EAGER_START
        && let Some(eager) = keywords.get_item("eager_start")?
    {
        if eager.is_truthy()? {
            // No loop of that version can: the task does it by itself.
            keywords.set_item("loop", event_loop)?;
            return py.get_type::<Task>().call(positional, Some(&keywords));
        }
        keywords.del_item("eager_start")?;
    }
    imports.create_task.bind(py).call(positional, Some(&keywords))
}

/// `__init__`.
pub fn init(this: &Bound<'_, Task>, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    let py = this.py();
    if args.len() > 1 {
        return Err(PyTypeError::new_err(format!(
            "Task() takes at most 1 positional argument ({} given)",
            args.len()
        )));
    }
    let mut coroutine = args.iter().next();
    let (mut event_loop, mut name, mut context, mut eager) = (None, None, None, false);
    for (keyword, value) in kwargs.into_iter().flatten() {
        match keyword.extract::<&str>()? {
            "coro" if coroutine.is_none() => coroutine = Some(value),
            "loop" => event_loop = Some(value),
            "name" => name = Some(value),
            "context" => context = Some(value),
            "eager_start" => eager = value.is_truthy()?,
            keyword => {
                return Err(PyTypeError::new_err(format!(
                    "Task() got an unexpected keyword argument '{keyword}'"
                )));
            }
        }
    }
    let Some(coroutine) = coroutine else {
        return Err(PyTypeError::new_err("Task() missing required argument 'coro' (pos 1)"));
    };
    let body = this.body();
    body.future().require_new(this)?;
    body.future().initialise(py, event_loop.as_ref())?;
    body.cancel_requests.set(0);
    body.must_cancel.set(false);
    body.log_destroy_pending.set(true);
    body.waiter.clear();
    body.to_throw.clear();
    let event_loop = body.future().require_loop(py)?;
    start(
        this,
        &event_loop,
        &coroutine,
        &Parts {
            name: name.as_ref(),
            context: context.as_ref(),
            eager,
        },
    )
}

fn start<'py>(
    this: &Bound<'py, Task>,
    event_loop: &Bound<'py, PyAny>,
    coroutine: &Bound<'py, PyAny>,
    parts: &Parts<'_, 'py>,
) -> PyResult<()> {
    let py = this.py();
    let body = this.body();
    if !is_coroutine(coroutine)? {
        // No task ever runs here: nothing to complain about when it dies.
        body.log_destroy_pending.set(false);
        return Err(PyTypeError::new_err(format!(
            "a coroutine was expected, got {}",
            coroutine.repr()?
        )));
    }
    match parts.context {
        Some(context) if !context.is_none() => {
            if compat::CHECKS_TASK_CONTEXT && !context.is_instance(imports(py)?.context.bind(py))? {
                body.log_destroy_pending.set(false);
                return Err(PyTypeError::new_err(format!(
                    "a contextvars.Context was expected, got {}",
                    context.get_type().name()?
                )));
            }
            body.context.set(Owned::new(context));
        }
        _ => body.context.set(snapshot(py)?),
    }
    match parts.name {
        Some(name) if !name.is_none() => body.name.set(name_of(name)?),
        _ => {
            body.name.clear();
            body.number.set(NUMBER.fetch_add(1, Ordering::Relaxed));
        }
    }
    body.coroutine.set(Owned::new(coroutine));
    if parts.eager && event_loop.call_method0("is_running")?.is_truthy()? {
        return eager_start(this, event_loop);
    }
    register(this)?;
    make_ready(this, event_loop).inspect_err(|_| unregister(this))
}

/// Runs the first step now, inside the caller's own step. asyncio does since 3.12.
fn eager_start(this: &Bound<'_, Task>, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    let body = this.body();
    let previous = current::swap(event_loop, Some(this.as_any()))?;
    register(this)?;
    let stepped = step::run_eagerly(this, event_loop);
    let restored = current::swap(event_loop, previous.as_ref());
    if body.future().done() {
        body.coroutine.clear();
        published::forget_coroutine(this);
        unregister(this);
    }
    stepped.and(restored.map(drop))
}

/// A name as `Task` keeps it: exact strings as they are, all else through `str()`.
pub fn name_of(name: &Bound<'_, PyAny>) -> PyResult<Owned> {
    if name.is_exact_instance_of::<PyString>() {
        return Ok(Owned::new(name));
    }
    Ok(name.str()?.into_any().into())
}

/// Whether it is a coroutine of Python or a `sleep()`: what needs no closer look.
#[inline]
pub fn is_plain_coroutine(object: &Bound<'_, PyAny>) -> bool {
    let Ok(imports) = imports(object.py()) else {
        return false;
    };
    object.get_type().is(imports.coroutine.bind(object.py())) || object.is_instance_of::<crate::sleep::Sleep>()
}

fn is_coroutine(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    if is_plain_coroutine(object) {
        return Ok(true);
    }
    imports(object.py())?
        .iscoroutine
        .bind(object.py())
        .call1((object,))?
        .is_truthy()
}
