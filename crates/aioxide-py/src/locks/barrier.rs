//! `BarrierCore`: so many tasks wait for each other.
//!
//! `wait()` is native; what is called seldom (`reset()`, `abort()`, the properties) is the running version's own code,
//! on our object.
//! Counterpart: `Barrier` in `Lib/asyncio/locks.py`.

#![forbid(unsafe_code)]

use std::cell::Cell;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use super::barrier_waiting::{self, Wait};
use super::condition::{Condition, ConditionBody};
use crate::coroutines::coroutine;
use crate::handles::bind_parts;
use crate::imports::imports;
use crate::object::{
    Body, BodyOf, Layout, Native, Owned, Returned, Slot, TypeBuilder, Visitor, as_native, getter_setter, init_slots,
    method_noargs, setattr_slot,
};
use crate::overrides::{Group, Overrides};

/// How far a barrier is: the members of `asyncio.locks._BarrierState`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum State {
    Filling,
    Draining,
    Resetting,
    Broken,
}

impl State {
    const ALL: [Self; 4] = [Self::Filling, Self::Draining, Self::Resetting, Self::Broken];

    fn name(self) -> &'static str {
        match self {
            Self::Filling => "FILLING",
            Self::Draining => "DRAINING",
            Self::Resetting => "RESETTING",
            Self::Broken => "BROKEN",
        }
    }
}

/// The body of a barrier.
pub struct BarrierBody {
    condition: Slot,
    parties: Slot,
    pub state: Cell<State>,
    /// Tasks inside.
    pub count: Cell<i64>,
    overrides: Overrides,
}

/// A native barrier.
pub type Barrier = Native<BarrierBody>;

static LAYOUT: Layout = Layout::unset();

impl Body for BarrierBody {
    fn layout() -> &'static Layout {
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            condition: Slot::empty(),
            parties: Slot::empty(),
            state: Cell::new(State::Filling),
            count: Cell::new(0),
            overrides: Overrides::unknown(),
        }
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.condition);
        visitor.slot(&self.parties);
    }

    fn clear(&self) {
        self.condition.clear();
        self.parties.clear();
    }
}

impl BarrierBody {
    /// The condition, if all that `wait()` does can be done natively.
    fn native_condition<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, Condition>>> {
        let condition = self.condition.get_or_none(py);
        let plain = imports(py)?.locks.bind(py).getattr(pyo3::intern!(py, "Condition"))?;
        if !self.overrides.none(&PARTS) || !condition.get_type().is(&plain) {
            return Ok(None);
        }
        let condition = as_native::<ConditionBody>(&condition).cloned();
        Ok(condition.filter(|condition| condition.body().is_plain(py)))
    }

    /// Whether these are all.
    ///
    /// # Errors
    /// Of numbers that cannot be compared.
    pub fn is_full(&self, py: Python<'_>, count: i64) -> PyResult<bool> {
        count.into_pyobject(py)?.into_any().eq(self.parties.get_or_none(py))
    }
}

/// Makes the types.
pub fn build(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    barrier_waiting::build(py)?;
    let mut builder = TypeBuilder::new().subclassable().slot(setattr_slot(assigned));
    for slot in init_slots(init) {
        builder = builder.slot(slot);
    }
    builder
        .attribute(getter_setter(c"_cond", condition, set_condition))
        .attribute(getter_setter(c"_parties", parties, set_parties))
        .attribute(getter_setter(c"_state", state, set_state))
        .attribute(getter_setter(c"_count", count, set_count))
        .method(method_noargs(
            c"wait",
            c"Waits until so many wait; returns an index of its own to each.",
            wait,
        ))
        .method(method_noargs(c"__aenter__", c"Waits.", enter))
        .finish::<BarrierBody>(py, c"aioxide.BarrierCore", c"The native base of Barrier.", None, false)
}

fn init(this: &Bound<'_, Barrier>, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    let py = this.py();
    let imports = imports(py)?;
    let original = imports.barrier.bind(py);
    let [parties] = bind_parts("Barrier.__init__", args, kwargs, ["parties"])?;
    let Some(parties) = parties.filter(|parties| matches!(parties.lt(1), Ok(false))) else {
        // It knows the words of its errors.
        let mut all = vec![this.as_any().clone()];
        all.extend(args.iter());
        let initialise = original.getattr(pyo3::intern!(py, "__init__"))?;
        return initialise.call(PyTuple::new(py, all)?, kwargs).map(drop);
    };
    let body = this.body();
    let locks = imports.locks.bind(py);
    body.condition
        .set(locks.getattr(pyo3::intern!(py, "Condition"))?.call0()?.into());
    body.parties.set(parties.into());
    body.state.set(State::Filling);
    body.count.set(0);
    let plain = locks.getattr(pyo3::intern!(py, "Barrier"))?;
    body.overrides
        .look(&this.get_type(), original.cast()?, &plain, &[&PARTS])
}

fn assigned(this: &Bound<'_, Barrier>, name: &Bound<'_, PyAny>) {
    this.body().overrides.assigned(name, &[&PARTS]);
}

fn condition<'py>(this: &Bound<'py, Barrier>) -> Returned<'py> {
    Ok(this.body().condition.get_or_none(this.py()))
}

fn set_condition(this: &Bound<'_, Barrier>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    this.body().condition.set(Owned::new(value));
    Ok(())
}

fn parties<'py>(this: &Bound<'py, Barrier>) -> Returned<'py> {
    Ok(this.body().parties.get_or_none(this.py()))
}

fn set_parties(this: &Bound<'_, Barrier>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    this.body().parties.set(Owned::new(value));
    Ok(())
}

fn state<'py>(this: &Bound<'py, Barrier>) -> Returned<'py> {
    let py = this.py();
    imports(py)?
        .barrier_state
        .bind(py)
        .getattr(this.body().state.get().name())
}

fn set_state(this: &Bound<'_, Barrier>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let states = imports(this.py())?.barrier_state.bind(this.py());
    for state in State::ALL {
        if states.getattr(state.name())?.is(value) {
            this.body().state.set(state);
            return Ok(());
        }
    }
    Err(PyTypeError::new_err("not a state of a barrier"))
}

fn count<'py>(this: &Bound<'py, Barrier>) -> Returned<'py> {
    Ok(this.body().count.get().into_pyobject(this.py())?.into_any())
}

fn set_count(this: &Bound<'_, Barrier>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let value = value.extract()?;
    this.body().count.set(value);
    Ok(())
}

fn wait<'py>(this: &Bound<'py, Barrier>) -> Returned<'py> {
    let py = this.py();
    match this.body().native_condition(py)? {
        Some(condition) => coroutine(py, Wait::of(this, &condition)),
        None => imports(py)?
            .barrier
            .bind(py)
            .call_method1(pyo3::intern!(py, "wait"), (this,)),
    }
}

fn enter<'py>(this: &Bound<'py, Barrier>) -> Returned<'py> {
    this.call_method0(pyo3::intern!(this.py(), "wait"))
}

/// The steps of asyncio's `wait()`, which the native one does not call.
const PARTS: Group = Group::new(0, &["_block", "_release", "_wait", "_exit"]);
