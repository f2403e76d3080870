//! `gather()`: one future for the results of many.
//!
//! Each child has the gathering future as its callback, **itself**: a child that ends puts (gatherer, child) into the
//! ready queue, with no handle, no context and no Python call. The order of events is asyncio's: the gatherer hears
//! of a child one turn after its end.
//!
//! ```text
//!   Pending --last child done-----------------------> Result([...])
//!           --a child failed, not return_exceptions-> Exception
//!           --last child done, cancel() was called--> Exception(CancelledError)
//! ```
//! Where the loop is not ours, or an argument is neither a coroutine nor a native future, asyncio's own `gather`
//! does the work.
//! Counterpart: `gather` and `_GatheringFuture` in `Lib/asyncio/tasks.py`.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::sync::OnceLock;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyList, PyString, PyTuple, PyType};

use crate::combinators::{Seen, future_state};
use crate::events::LoopBody;
use crate::futures::{self, Callback, FutureLike, FutureState, State};
use crate::imports::imports;
use crate::object::{
    Args, Body, BodyOf, Layout, Native, Owned, Returned, Slot, StaticMethod, TypeBuilder, Visitor, as_native,
    bound_function, compat, create, finalize_slot, getter, method, method_one, repr_slot,
};
use crate::tasks;

/// The body of a gathering future.
pub struct GatherBody {
    future: FutureState,
    /// In the order of the arguments; one that was given twice is there twice.
    children: RefCell<Vec<Owned>>,
    /// Different children that have not ended, as far as was heard.
    pending: Cell<usize>,
    on_failure: Cell<OnFailure>,
    /// `cancel()` reached a child.
    cancel_requested: Cell<bool>,
    /// The task that called `gather()`, while children of which it is known to await them have not ended (3.14).
    caller: Slot,
}

/// What becomes of a child's exception.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnFailure {
    /// It is the gatherer's.
    Raise,
    /// It is a result: `return_exceptions=True`.
    Collect,
}

/// What `gather()` returns.
pub type Gather = Native<GatherBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for GatherBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            future: FutureState::empty(),
            children: RefCell::default(),
            pending: Cell::new(0),
            on_failure: Cell::new(OnFailure::Raise),
            cancel_requested: Cell::new(false),
            caller: Slot::empty(),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        self.future.traverse(visitor);
        visitor.slot(&self.caller);
        if let Ok(children) = self.children.try_borrow() {
            for child in children.iter() {
                visitor.owned(child);
            }
        }
    }

    fn clear(&self) {
        self.future.clear();
        self.caller.clear();
        drop(self.children.take());
    }

    fn needs_finalize(&self) -> bool {
        self.future.log_traceback.get()
    }

    fn finalize(this: &Bound<'_, Gather>) {
        futures::finalize_unread_exception(this);
    }
}

impl FutureLike for GatherBody {
    fn future(&self) -> &FutureState {
        &self.future
    }
}

/// Makes the type.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let base = py.import("_asyncio")?.getattr("Future")?.cast_into::<PyType>()?;
    let mut builder = TypeBuilder::new()
        .slot(finalize_slot::<GatherBody>())
        .slot(repr_slot(futures::repr::<GatherBody>));
    builder = futures::future_methods::<GatherBody>(builder);
    builder = futures::future_attributes::<GatherBody>(builder);
    builder
        .attribute(getter(c"_children", children))
        .attribute(getter(c"_cancel_requested", cancel_requested))
        .method(method_one(
            c"set_result",
            c"Marks the future done and sets its result.",
            set_result,
        ))
        .method(method_one(
            c"set_exception",
            c"Marks the future done and sets an exception.",
            set_exception,
        ))
        .method(method(c"cancel", c"Cancels the children.", cancel))
        .finish::<GatherBody>(
            py,
            c"aioxide._aioxide._GatheringFuture",
            c"What gather() returns: a future whose cancel() cancels its children.",
            Some(&base),
            true,
        )
}

/// `gather(*coros_or_futures, return_exceptions=False)`.
///
/// # Errors
/// As asyncio's.
///
/// # Cancellation
/// Cancelling the returned future cancels every child that has not ended. Once all have, it raises CancelledError.
pub fn gather<'py>(args: Args<'_, 'py>) -> Returned<'py> {
    let py = args.py();
    let event_loop = imports(py)?.running_loop.bind(py).call0()?;
    let given = args.positional();
    let keyword = args.only_keyword("gather", "return_exceptions");
    if let (Some(native), Ok(collect)) = (as_native::<LoopBody>(&event_loop), keyword)
        && !given.is_empty()
        && native.body().makes_plain_tasks()
        && native.body().is_direct()
        && given.iter().all(|given| is_plain(given, &event_loop))
    {
        native.body().require_open()?;
        let on_failure = match collect {
            Some(collect) if collect.is_truthy()? => OnFailure::Collect,
            _ => OnFailure::Raise,
        };
        return Ok(gather_natively(&event_loop, given, on_failure)?.into_any());
    }
    let keywords = PyDict::new(py);
    args.keywords_into(&keywords)?;
    imports(py)?
        .gather
        .bind(py)
        .call(PyTuple::new(py, given)?, Some(&keywords))
}

/// Whether an argument becomes a native child on this loop.
#[inline]
fn is_plain(given: &Bound<'_, PyAny>, event_loop: &Bound<'_, PyAny>) -> bool {
    if tasks::is_plain_coroutine(given) {
        return true;
    }
    future_state(given, |state| state.event_loop.is(event_loop)).unwrap_or(false)
}

fn gather_natively<'py>(
    event_loop: &Bound<'py, PyAny>,
    given: &[Bound<'py, PyAny>],
    on_failure: OnFailure,
) -> PyResult<Bound<'py, Gather>> {
    let py = event_loop.py();
    let body = GatherBody::empty();
    body.future.event_loop.set(Owned::new(event_loop));
    body.on_failure.set(on_failure);
    let outer = create(py, body)?;
    if futures::is_debug(event_loop)? {
        let stack = imports(py)?.extract_stack.bind(py).call0()?;
        outer.body().future.rare_mut().source_traceback.set(stack.into());
    }
    if compat::TASKS_ARE_PUBLISHED
        && let Some(caller) = tasks::stepping_task(py)?
    {
        outer.body().caller.set(caller.into());
    }
    let mut done = Vec::new();
    let mut seen = Seen::of(given);
    for (index, given) in given.iter().enumerate() {
        if let Some(first) = seen.before(given, index) {
            let child = outer.body().children.borrow().get(first).cloned();
            outer.body().children.borrow_mut().extend(child);
            continue;
        }
        let child = child_of(event_loop, given)?;
        outer.body().children.borrow_mut().push(Owned::new(&child));
        outer.body().pending.set(outer.body().pending.get() + 1);
        if compat::GATHER_TAKES_DONE_AT_ONCE && future_state(&child, FutureState::done).unwrap_or(false) {
            done.push(child);
        } else {
            if let Some(caller) = outer.body().caller.get(py) {
                tasks::awaiters::add(&child, &caller)?;
            }
            listen(event_loop, &child, &outer)?;
        }
    }
    for child in done {
        child_done(&outer, &child)?;
    }
    Ok(outer)
}

/// The child of an argument: itself, or a task for a coroutine.
fn child_of<'py>(event_loop: &Bound<'py, PyAny>, given: &Bound<'py, PyAny>) -> Returned<'py> {
    if future_state(given, |_| ()).is_some() {
        return Ok(given.clone());
    }
    let task = tasks::create_task(event_loop, given, &tasks::Parts::default())?;
    // Nobody else can: the caller does not know the task.
    task.body().log_destroy_pending.set(false);
    Ok(task.into_any())
}

fn listen<'py>(event_loop: &Bound<'py, PyAny>, child: &Bound<'py, PyAny>, outer: &Bound<'py, Gather>) -> PyResult<()> {
    let callback = Callback {
        callable: Owned::new(outer.as_any()),
        context: None,
    };
    if future_state(child, FutureState::done).unwrap_or(false) {
        return futures::schedule(event_loop, callback, child);
    }
    future_state(child, |state| state.callbacks.push(callback));
    Ok(())
}

/// A child has ended.
///
/// # Errors
/// Of the loop, if it was closed.
pub fn child_done(outer: &Bound<'_, Gather>, child: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = outer.py();
    let body = outer.body();
    if child.is(outer) {
        return forget_caller(outer);
    }
    body.pending.set(body.pending.get().saturating_sub(1));
    if let Some(caller) = body.caller.get(py) {
        tasks::awaiters::discard(child, &caller)?;
        if body.pending.get() == 0 {
            body.caller.clear();
        }
    }
    let Some(state) = future_state(child, |state| state.state.get()) else {
        return Ok(());
    };
    if body.future.done() {
        // Its exception counts as read.
        future_state(child, |state| state.log_traceback.set(false));
        return Ok(());
    }
    if body.on_failure.get() == OnFailure::Raise && matches!(state, State::Cancelled | State::Exception) {
        let exception = failure_of(child)?;
        return finish(outer, |outer| futures::set_exception(outer, &exception));
    }
    if body.pending.get() > 0 {
        return Ok(());
    }
    if body.cancel_requested.get() {
        // Results that nobody gets count as read, exceptions among them.
        for child in body.children.borrow().iter() {
            future_state(child.bind(py), |state| state.log_traceback.set(false));
        }
        // The last argument's, as in asyncio: its message tells more than none.
        let last = body.children.borrow().last().cloned();
        let exception = last.and_then(|last| future_state(last.bind(py), |state| state.make_cancelled_error(py)));
        let exception = exception.transpose()?;
        return exception.map_or(Ok(()), |exception| futures::set_exception(outer, &exception));
    }
    let results = results_of(outer)?;
    futures::set_result(outer, Owned::new(results.as_any()))
}

/// Ends a gatherer. If children go on, nobody is said to await them from the next turn of the loop on.
fn finish(outer: &Bound<'_, Gather>, end: impl FnOnce(&Bound<'_, Gather>) -> PyResult<()>) -> PyResult<()> {
    let py = outer.py();
    let future = &outer.body().future;
    if !outer.body().caller.is_empty() && !future.done() && imports(py)?.gather_forgets_its_caller {
        // It hears of its own end, before anybody else does.
        let callback = Callback {
            callable: Owned::new(outer.as_any()),
            context: None,
        };
        futures::schedule(&future.require_loop(py)?, callback, outer)?;
    }
    end(outer)
}

fn forget_caller(outer: &Bound<'_, Gather>) -> PyResult<()> {
    let py = outer.py();
    let Some(caller) = outer.body().caller.take() else {
        return Ok(());
    };
    let children = outer.body().children.borrow().clone();
    for child in children {
        tasks::awaiters::discard(child.bind(py), caller.bind(py))?;
    }
    Ok(())
}

/// What a child failed with; it counts as read.
fn failure_of<'py>(child: &Bound<'py, PyAny>) -> Returned<'py> {
    let py = child.py();
    let failure = future_state(child, |state| match state.state.get() {
        State::Cancelled => state.make_cancelled_error(py),
        _ => state.exception(py),
    });
    failure.unwrap_or_else(|| Ok(py.None().into_bound(py)))
}

fn results_of<'py>(outer: &Bound<'py, Gather>) -> PyResult<Bound<'py, PyList>> {
    let py = outer.py();
    let children = outer.body().children.borrow().clone();
    let mut results = Vec::with_capacity(children.len());
    for child in children {
        let result = future_state(child.bind(py), |state| match state.state.get() {
            State::Cancelled => {
                let message = state.rare().and_then(|rare| rare.cancel_message.get(py));
                let message = message.filter(|message| !message.is_none());
                let message = message.unwrap_or_else(|| PyString::new(py, "").into_any());
                imports(py)?.cancelled_error.bind(py).call1((message,))
            }
            State::Exception => state.exception(py),
            State::Result | State::Pending => state.result(py),
        });
        results.push(result.transpose()?);
    }
    PyList::new(py, results)
}

/// `cancel(msg=None)`: true if a child took the request.
fn cancel<'py>(this: &Bound<'py, Gather>, args: Args<'_, 'py>) -> Returned<'py> {
    let py = this.py();
    let [message] = args.bind("cancel", ["msg"], 1, 0)?;
    let body = this.body();
    let mut reached = false;
    if !body.future.done() {
        let children = body.children.borrow().clone();
        for child in children {
            reached |= tasks::pass_on(child.bind(py), message)?;
        }
        if reached {
            // If any child went on nevertheless, the gatherer is cancelled all the same.
            body.cancel_requested.set(true);
        }
    }
    Ok(PyBool::new(py, reached).to_owned().into_any())
}

fn set_result<'py>(this: &Bound<'py, Gather>, result: &Bound<'py, PyAny>) -> Returned<'py> {
    finish(this, |this| futures::set_result(this, Owned::new(result)))?;
    Ok(this.py().None().into_bound(this.py()))
}

fn set_exception<'py>(this: &Bound<'py, Gather>, exception: &Bound<'py, PyAny>) -> Returned<'py> {
    finish(this, |this| futures::set_exception(this, exception))?;
    Ok(this.py().None().into_bound(this.py()))
}

fn children<'py>(this: &Bound<'py, Gather>) -> Returned<'py> {
    let children = this.body().children.borrow().clone();
    let children = children.into_iter().map(|child| child.into_bound(this.py()));
    Ok(PyList::new(this.py(), children.collect::<Vec<_>>())?.into_any())
}

fn cancel_requested<'py>(this: &Bound<'py, Gather>) -> Returned<'py> {
    Ok(PyBool::new(this.py(), this.body().cancel_requested.get())
        .to_owned()
        .into_any())
}

/// The gatherer as a done callback that Python can see, and call with a child.
pub fn listener_of<'py>(outer: &Bound<'py, Gather>) -> Returned<'py> {
    static LISTENER: OnceLock<StaticMethod> = OnceLock::new();
    bound_function(outer, &LISTENER, || {
        method_one(c"_done_callback", c"A child of gather() has ended.", hear)
    })
}

fn hear<'py>(this: &Bound<'py, Gather>, child: &Bound<'py, PyAny>) -> Returned<'py> {
    child_done(this, child)?;
    Ok(this.py().None().into_bound(this.py()))
}
