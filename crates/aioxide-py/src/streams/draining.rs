//! The coroutines of writers: `drain()`, `_drain_helper()`, `wait_closed()`.
//!
//! # Cancellation
//! Who waits in them leaves the protocol's list of waiters, whatever ends the wait.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::marker::PhantomData;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::flow::{DRAINING, FlowControlled, FlowState, MixinBody};
use super::protocol::ProtocolBody;
use super::reader::{FAILING, ReaderBody};
use super::writer::{StreamWriter, is_closing};
use crate::coroutines::{self, Coroutine, Next, Operation, iterator_of};
use crate::futures::FutureBody;
use crate::object::{BodyOf, Layout, Native, Owned, Slot, Visitor, as_exact, as_native, call_method_one};

/// Makes the types of the coroutines.
pub fn build_coroutines(py: Python<'_>) -> PyResult<()> {
    coroutines::build::<Drain>(py, c"aioxide._aioxide.StreamWriter_drain")?;
    coroutines::build::<WaitClosed>(py, c"aioxide._aioxide.StreamWriter_wait_closed")?;
    coroutines::build::<DrainHelper<MixinBody>>(py, c"aioxide._aioxide.FlowControlMixin_drain_helper")?;
    coroutines::build::<DrainHelper<ProtocolBody>>(py, c"aioxide._aioxide.StreamReaderProtocol_drain_helper")?;
    Ok(())
}

fn none<'py>(py: Python<'py>) -> Next<'py> {
    Next::Return(py.None().into_bound(py))
}

fn gone() -> PyErr {
    PyRuntimeError::new_err("the stream is gone")
}

/// What a wait for room in the transport's buffer owns.
struct Wait {
    /// The future that `resume_writing()` resolves; it is in the protocol's list.
    waiter: Slot,
}

impl Wait {
    /// Goes on if there is room; waits otherwise.
    fn begin<'py>(&self, py: Python<'py>, flow: &FlowState) -> PyResult<Next<'py>> {
        if flow.may_write()? {
            return Ok(none(py));
        }
        let waiter = coroutines::waiter(&flow.event_loop.get_or_none(py))?;
        flow.waiters(py)?
            .call_method1(pyo3::intern!(py, "append"), (&waiter,))?;
        self.waiter.set(Owned::new(&waiter));
        Ok(Next::Await(waiter))
    }

    /// Leaves the list.
    fn end(&self, py: Python<'_>, flow: &FlowState) -> PyResult<()> {
        let Some(waiter) = self.waiter.take() else {
            return Ok(());
        };
        flow.waiters(py)?
            .call_method1(pyo3::intern!(py, "remove"), (waiter.bind(py),))
            .map(drop)
    }
}

/// `_drain_helper()` of a native protocol.
pub struct DrainHelper<B> {
    protocol: Slot,
    wait: Wait,
    _body: PhantomData<B>,
}

/// Where the types of the coroutines of `_drain_helper()` are written down, one for each kind of protocol.
pub mod layouts {
    use crate::object::Layout;

    /// Of `FlowControlMixin`.
    pub static MIXIN: Layout = Layout::unset();
    /// Of `StreamReaderProtocol`.
    pub static PROTOCOL: Layout = Layout::unset();
}

impl<B: FlowControlled> DrainHelper<B> {
    /// Of this protocol.
    pub fn of(protocol: &Bound<'_, Native<B>>) -> Self {
        Self {
            protocol: Slot::new(Owned::new(protocol.as_any())),
            wait: Wait { waiter: Slot::empty() },
            _body: PhantomData,
        }
    }

    fn protocol<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Native<B>>> {
        let protocol = self.protocol.get(py).ok_or_else(gone)?;
        Ok(protocol.cast_into::<Native<B>>()?)
    }
}

impl<B: FlowControlled> Operation for DrainHelper<B> {
    const NAME: &'static str = "FlowControlMixin._drain_helper";

    fn layout() -> &'static Layout {
        B::helper_layout()
    }

    fn empty() -> Self {
        Self {
            protocol: Slot::empty(),
            wait: Wait { waiter: Slot::empty() },
            _body: PhantomData,
        }
    }

    fn start<'py>(this: &Bound<'py, Coroutine<Self>>) -> PyResult<Next<'py>> {
        let operation = this.body().operation();
        let protocol = operation.protocol(this.py())?;
        operation.wait.begin(this.py(), protocol.body().flow())
    }

    fn resumed<'py>(this: &Bound<'py, Coroutine<Self>>, outcome: PyResult<Bound<'py, PyAny>>) -> PyResult<Next<'py>> {
        let operation = this.body().operation();
        let protocol = operation.protocol(this.py())?;
        operation.wait.end(this.py(), protocol.body().flow())?;
        outcome.map(|_| none(this.py()))
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.protocol);
        visitor.slot(&self.wait.waiter);
    }

    fn clear(&self) {
        self.protocol.clear();
        self.wait.waiter.clear();
    }
}

/// `StreamWriter.drain()`.
pub struct Drain {
    writer: Slot,
    /// The protocol that is waited for, while it is a native one.
    protocol: Slot,
    stage: Cell<Stage>,
    wait: Wait,
}

/// What `drain()` waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// That a transport which is closing tells of the loss: one turn of the loop.
    Turn,
    /// The protocol.
    Protocol,
}

static DRAIN: Layout = Layout::unset();

impl Drain {
    /// Of this writer.
    #[inline]
    pub fn of(writer: &Bound<'_, StreamWriter>) -> Self {
        Self {
            writer: Slot::new(Owned::new(writer.as_any())),
            ..Self::empty()
        }
    }

    fn writer<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, StreamWriter>> {
        let writer = self.writer.get(py).ok_or_else(gone)?;
        Ok(writer.cast_into::<StreamWriter>()?)
    }

    /// Asks the protocol, which is native as a rule.
    #[inline]
    fn ask_protocol<'py>(&self, writer: &Bound<'py, StreamWriter>) -> PyResult<Next<'py>> {
        let py = writer.py();
        self.stage.set(Stage::Protocol);
        let protocol = writer.body().protocol.get_or_none(py);
        if let Some(native) = as_native::<ProtocolBody>(&protocol)
            && native.body().overrides().none(&DRAINING)
        {
            let next = self.wait.begin(py, native.body().flow())?;
            if matches!(next, Next::Await(_)) {
                self.protocol.set(Owned::new(&protocol));
            }
            return Ok(next);
        }
        let awaitable = protocol.call_method0(pyo3::intern!(py, "_drain_helper"))?;
        Ok(Next::Delegate(iterator_of(&awaitable)?))
    }
}

impl Operation for Drain {
    const NAME: &'static str = "StreamWriter.drain";

    fn layout() -> &'static Layout {
        &DRAIN
    }

    fn empty() -> Self {
        Self {
            writer: Slot::empty(),
            protocol: Slot::empty(),
            stage: Cell::new(Stage::Turn),
            wait: Wait { waiter: Slot::empty() },
        }
    }

    #[inline]
    fn start<'py>(this: &Bound<'py, Coroutine<Self>>) -> PyResult<Next<'py>> {
        let py = this.py();
        let operation = this.body().operation();
        let writer = operation.writer(py)?;
        if let Some(reader) = writer.body().reader.get(py) {
            check_reader(&reader)?;
        }
        // Without a turn of the loop, a program that writes and drains in a loop would never see the loss.
        if is_closing(&writer)? {
            return Ok(Next::Yield);
        }
        operation.ask_protocol(&writer)
    }

    fn resumed<'py>(this: &Bound<'py, Coroutine<Self>>, outcome: PyResult<Bound<'py, PyAny>>) -> PyResult<Next<'py>> {
        let py = this.py();
        let operation = this.body().operation();
        if operation.stage.get() == Stage::Turn {
            outcome?;
            return operation.ask_protocol(&operation.writer(py)?);
        }
        if let Some(protocol) = operation.protocol.take()
            && let Some(native) = as_native::<ProtocolBody>(protocol.bind(py))
        {
            operation.wait.end(py, native.body().flow())?;
        }
        outcome.map(|_| none(py))
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.writer);
        visitor.slot(&self.protocol);
        visitor.slot(&self.wait.waiter);
    }

    fn clear(&self) {
        self.writer.clear();
        self.protocol.clear();
        self.wait.waiter.clear();
    }
}

/// Raises the exception of any reader, if it has one.
#[inline]
fn check_reader(reader: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = reader.py();
    if let Some(native) = as_native::<ReaderBody>(reader)
        && native.body().overrides.none(&FAILING)
    {
        return native.body().check(py);
    }
    let exception = reader.call_method0(pyo3::intern!(py, "exception"))?;
    if exception.is_none() {
        return Ok(());
    }
    Err(PyErr::from_value(exception))
}

/// `StreamWriter.wait_closed()`.
pub struct WaitClosed {
    writer: Slot,
}

static WAIT_CLOSED: Layout = Layout::unset();

impl WaitClosed {
    /// Of this writer.
    pub fn of(writer: &Bound<'_, StreamWriter>) -> Self {
        Self {
            writer: Slot::new(Owned::new(writer.as_any())),
        }
    }
}

impl Operation for WaitClosed {
    const NAME: &'static str = "StreamWriter.wait_closed";

    fn layout() -> &'static Layout {
        &WAIT_CLOSED
    }

    fn empty() -> Self {
        Self { writer: Slot::empty() }
    }

    fn start<'py>(this: &Bound<'py, Coroutine<Self>>) -> PyResult<Next<'py>> {
        let py = this.py();
        let writer = this.body().operation().writer.get(py).ok_or_else(gone)?;
        let protocol = writer.cast::<StreamWriter>()?.body().protocol.get_or_none(py);
        let closed = call_method_one(&protocol, pyo3::intern!(py, "_get_close_waiter"), &writer)?;
        if as_exact::<FutureBody>(&closed).is_some() {
            return Ok(Next::Await(closed));
        }
        Ok(Next::Delegate(iterator_of(&closed)?))
    }

    fn resumed<'py>(this: &Bound<'py, Coroutine<Self>>, outcome: PyResult<Bound<'py, PyAny>>) -> PyResult<Next<'py>> {
        outcome.map(|_| none(this.py()))
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.writer);
    }

    fn clear(&self) {
        self.writer.clear();
    }
}
