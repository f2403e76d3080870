//! `Handle` and its kinds: a callback that the loop was asked to run.
//!
//! They extend asyncio's classes, so `isinstance` holds, and inherit what is cold from them (repr,
//! comparison); the base's slots stay empty, each is shadowed by an attribute here.
//! Counterpart: `Lib/asyncio/events.py`.

#![forbid(unsafe_code)]

mod attributes;
mod running;
mod threadsafe;
mod timer;

use std::cell::Cell;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple, PyType};

use crate::events::LoopBody;
use crate::imports::imports;
use crate::object::{
    Body, BodyOf, Layout, Native, Owned, Returned, Slot, TypeBuilder, Visitor, as_exact, as_native, context_in, create,
    create_untracked, init_slots, method_noargs, snapshot, track,
};

pub use running::{report, report_method, run};
pub use threadsafe::{ThreadSafeHandleBody, build as build_threadsafe, new as new_threadsafe};
pub use timer::{TimerHandleBody, When, build as build_timer, give_back_spares, new as new_timer};

/// The fields of all kinds of handle.
pub struct HandleState {
    /// Empty once cancelled.
    pub callback: Slot,
    /// A tuple; or one bare argument, if `single` says so: most callbacks of futures.
    pub arguments: Slot,
    pub context: Slot,
    pub event_loop: Slot,
    pub cancelled: Cell<bool>,
    /// `arguments` is the only argument itself, not a tuple.
    pub single: Cell<bool>,
    /// Where it was made, in debug mode.
    pub source_traceback: Slot,
    /// The repr it had before it was cancelled, in debug mode.
    pub repr: Slot,
}

/// A native type that is a handle.
pub trait HandleLike: Body {
    /// The handle's part of the body.
    fn handle(&self) -> &HandleState;
}

impl HandleState {
    fn empty() -> Self {
        Self {
            callback: Slot::empty(),
            arguments: Slot::empty(),
            context: Slot::empty(),
            event_loop: Slot::empty(),
            cancelled: Cell::new(false),
            single: Cell::new(false),
            source_traceback: Slot::empty(),
            repr: Slot::empty(),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        for slot in [
            &self.callback,
            &self.arguments,
            &self.context,
            &self.event_loop,
            &self.source_traceback,
            &self.repr,
        ] {
            visitor.slot(slot);
        }
    }

    fn clear(&self) {
        for slot in [
            &self.callback,
            &self.arguments,
            &self.context,
            &self.event_loop,
            &self.source_traceback,
            &self.repr,
        ] {
            slot.clear();
        }
    }

    /// Fills it; a context that is missing is a snapshot of the current one.
    fn fill(&self, parts: Parts<'_, '_>) -> PyResult<()> {
        self.fill_plainly(parts)?;
        if crate::futures::is_debug(parts.event_loop)? {
            let stack = imports(parts.callback.py())?
                .extract_stack
                .bind(parts.callback.py())
                .call0()?;
            self.source_traceback.set(stack.into());
        }
        Ok(())
    }

    /// The same outside debug mode.
    #[inline]
    fn fill_plainly(&self, parts: Parts<'_, '_>) -> PyResult<()> {
        let context = match parts.context {
            Some(context) if !context.is_none() => Owned::new(context),
            _ => snapshot(parts.callback.py())?,
        };
        self.context.set(context);
        self.callback.set(Owned::new(parts.callback));
        self.arguments.set(Owned::new(parts.arguments));
        self.single.set(false);
        self.cancelled.set(false);
        self.event_loop.set(Owned::new(parts.event_loop));
        Ok(())
    }

    /// The arguments as a tuple; None once cancelled.
    pub fn arguments<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let arguments = self.arguments.get_or_none(py);
        if self.single.get() && !arguments.is_none() {
            return Ok(PyTuple::new(py, [arguments])?.into_any());
        }
        Ok(arguments)
    }
}

/// What a handle is made of.
#[derive(Clone, Copy)]
pub struct Parts<'a, 'py> {
    pub callback: &'a Bound<'py, PyAny>,
    pub arguments: &'a Bound<'py, PyAny>,
    pub event_loop: &'a Bound<'py, PyAny>,
    pub context: Option<&'a Bound<'py, PyAny>>,
}

/// The body of a `Handle`.
pub struct HandleBody(HandleState);

/// A native handle.
pub type Handle = Native<HandleBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for HandleBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self(HandleState::empty())
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        self.0.traverse(visitor);
    }

    fn clear(&self) {
        self.0.clear();
    }
}

impl HandleLike for HandleBody {
    fn handle(&self) -> &HandleState {
        &self.0
    }
}

/// Makes the type.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let base = py.import("asyncio.events")?.getattr("Handle")?.cast_into::<PyType>()?;
    let mut builder = TypeBuilder::new().subclassable();
    for slot in init_slots(init) {
        builder = builder.slot(slot);
    }
    builder = handle_methods::<HandleBody>(builder);
    builder
        .method(method_noargs(
            c"cancel",
            c"Cancels the callback; no effect if it ran already.",
            cancel::<HandleBody>,
        ))
        .finish::<HandleBody>(
            py,
            c"aioxide.Handle",
            c"A callback that the loop was asked to run; asyncio.Handle in Rust.",
            Some(&base),
            false,
        )
}

/// What `Handle` and `TimerHandle` have in common.
fn handle_methods<B: HandleLike>(builder: TypeBuilder) -> TypeBuilder {
    attributes::handle_attributes::<B>(builder)
        .method(method_noargs(
            c"cancelled",
            c"Whether it was cancelled.",
            cancelled::<B>,
        ))
        .method(method_noargs(
            c"get_context",
            c"The context the callback runs in.",
            context::<B>,
        ))
        .method(method_noargs(c"_run", c"Runs the callback now.", run_now::<B>))
}

fn init(this: &Bound<'_, Handle>, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    fill_from(&this.body().0, "Handle", args, kwargs)
}

/// Fills a handle with the arguments of its class.
fn fill_from<'py>(
    handle: &HandleState,
    class: &str,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<()> {
    let [callback, arguments, event_loop, context] =
        bind_parts(class, args, kwargs, ["callback", "args", "loop", "context"])?;
    let (Some(callback), Some(arguments), Some(event_loop)) = (callback, arguments, event_loop) else {
        return Err(PyTypeError::new_err(format!(
            "{class}() missing required arguments: 'callback', 'args' and 'loop'"
        )));
    };
    let parts = Parts {
        callback: &callback,
        arguments: &arguments,
        event_loop: &event_loop,
        context: context.as_ref(),
    };
    handle.fill(parts)
}

/// Binds arguments that may be given by position or by name.
pub fn bind_parts<'py, const N: usize>(
    function: &str,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
    names: [&str; N],
) -> PyResult<[Option<Bound<'py, PyAny>>; N]> {
    let mut parts = [const { None }; N];
    if args.len() > N {
        return Err(PyTypeError::new_err(format!(
            "{function}() takes at most {N} arguments ({} given)",
            args.len()
        )));
    }
    for (place, value) in parts.iter_mut().zip(args.iter()) {
        *place = Some(value);
    }
    for (keyword, value) in kwargs.into_iter().flatten() {
        let keyword = keyword.extract::<String>()?;
        let place = parts.iter_mut().zip(names).find(|(_, name)| *name == keyword);
        let Some((place, _)) = place else {
            return Err(PyTypeError::new_err(format!(
                "{function}() got an unexpected keyword argument '{keyword}'"
            )));
        };
        if place.replace(value).is_some() {
            return Err(PyTypeError::new_err(format!(
                "{function}() got multiple values for argument '{keyword}'"
            )));
        }
    }
    Ok(parts)
}

/// Makes a handle.
#[inline]
pub fn new<'py>(parts: Parts<'_, 'py>) -> PyResult<Bound<'py, Handle>> {
    let body = HandleBody::empty();
    body.0.fill(parts)?;
    create(parts.callback.py(), body)
}

/// Makes a handle that goes into the queue of a loop which hides what is there ([`LoopBody::hides_queued`]).
#[inline]
pub fn new_hidden<'py>(parts: Parts<'_, 'py>) -> PyResult<Bound<'py, Handle>> {
    let body = HandleBody::empty();
    body.0.fill_plainly(parts)?;
    create_untracked(parts.callback.py(), body)
}

/// Shows a handle that was hidden in a queue to the garbage collector.
pub fn show(handle: &Bound<'_, PyAny>) {
    if let Some(handle) = as_exact::<HandleBody>(handle) {
        track(handle);
    } else if let Some(handle) = as_exact::<TimerHandleBody>(handle) {
        track(handle);
    }
}

/// Makes the handle of a future's callback, outside debug mode.
#[inline]
pub fn for_callback(
    event_loop: &Bound<'_, PyAny>,
    callback: Owned,
    future: &Bound<'_, PyAny>,
    context: Owned,
) -> PyResult<Owned> {
    let body = HandleBody::empty();
    body.0.callback.set(callback);
    body.0.arguments.set(Owned::new(future));
    body.0.single.set(true);
    body.0.context.set(context);
    body.0.event_loop.set(Owned::new(event_loop));
    let hidden = as_native::<LoopBody>(event_loop).is_some_and(|native| native.body().hides_queued());
    let handle = if hidden {
        create_untracked(event_loop.py(), body)?
    } else {
        create(event_loop.py(), body)?
    };
    Ok(handle.into_any().into())
}

/// `cancel()`: the callback will not run, and what it holds is released now.
fn cancel<'py, B: HandleLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    let py = this.py();
    let handle = this.body().handle();
    if !handle.cancelled.get() {
        let debug = match handle.event_loop.get(py) {
            Some(event_loop) => crate::futures::is_debug(&event_loop)?,
            None => false,
        };
        handle.cancelled.set(true);
        if debug {
            let repr = this.repr()?;
            handle.repr.set(repr.into_any().into());
        }
        cancel_plainly(this);
    }
    Ok(py.None().into_bound(py))
}

/// Cancels a handle outside debug mode.
#[inline]
fn cancel_plainly<B: HandleLike>(this: &Bound<'_, Native<B>>) {
    let handle = this.body().handle();
    handle.cancelled.set(true);
    track(this);
    handle.callback.clear();
    handle.arguments.clear();
}

fn cancelled<'py, B: HandleLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    Ok(PyBool::new(this.py(), this.body().handle().cancelled.get())
        .to_owned()
        .into_any())
}

fn context<'py, B: HandleLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    context_in(this.py(), &this.body().handle().context)
}

fn run_now<'py, B: HandleLike>(this: &Bound<'py, Native<B>>) -> Returned<'py> {
    running::run_state(this)?;
    Ok(this.py().None().into_bound(this.py()))
}
