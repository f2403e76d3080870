//! `time`, `call_later`, `call_at`.

#![forbid(unsafe_code)]

use aioxide::Deadline;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};

use super::scheduling::{Thread, callback_of, check, first_of};
use super::{Entry, Loop, LoopBody};
use crate::handles::{self, Parts, When};
use crate::object::{Args, BodyOf, Owned, Returned, TypeBuilder, method, method_noargs};

/// Adds the methods.
pub fn timing_methods(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method_noargs(
            c"time",
            c"The loop's clock, in seconds: time.monotonic().",
            time,
        ))
        .method(method(
            c"call_later",
            c"Arranges for a callback to be called after a delay in seconds.",
            call_later,
        ))
        .method(method(
            c"call_at",
            c"Arranges for a callback to be called at a time of the loop's clock.",
            call_at,
        ))
}

fn time<'py>(this: &Bound<'py, Loop>) -> Returned<'py> {
    Ok(PyFloat::new(this.py(), seconds(aioxide::now())).into_any())
}

/// A deadline as seconds of the loop's clock.
#[expect(
    clippy::cast_precision_loss,
    reason = "2^53 ns are 104 days; after that the clock ticks in 2 ns"
)]
pub fn seconds(deadline: Deadline) -> f64 {
    deadline.as_nanos() as f64 / NANOS
}

/// Seconds of the loop's clock as a deadline, rounded up: a timer may be late, never early.
///
/// # Errors
/// ValueError for NaN. Differs from asyncio: there the heap of timers loses its order.
pub fn deadline(when: f64, margin: u64) -> PyResult<Deadline> {
    if when.is_nan() {
        return Err(PyValueError::new_err("Invalid time: NaN (not a number)"));
    }
    let exact = when * NANOS;
    if exact >= LATEST {
        return Ok(Deadline::NEVER);
    }
    // Negative times are due at once: the cast saturates to 0. Rounded up by hand: `ceil` is a call of libm's on
    // processors of the baseline.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "checked above; saturation is meant; what a cast rounds off is less than the cast before left"
    )]
    let nanos = {
        let down = exact as u64;
        down + u64::from((down as f64) < exact)
    };
    Ok(Deadline::from_nanos(nanos.saturating_add(margin)))
}

impl LoopBody {
    /// The rounding of `f64` seconds may hide up to 2 ns: waiting that much longer keeps timers from
    /// firing before `loop.time()` says so. A virtual clock compares its own floats and needs none.
    #[inline]
    pub fn margin(&self) -> u64 {
        if self.time_hooked.get() { 0 } else { 2 }
    }
}

/// The loop's time, by the replaced clock if there is one.
pub fn now(this: &Bound<'_, Loop>) -> PyResult<Deadline> {
    if this.body().time_hooked.get() {
        return deadline(this.call_method0(pyo3::intern!(this.py(), "time"))?.extract()?, 0);
    }
    Ok(aioxide::now())
}

fn call_later<'py>(this: &Bound<'py, Loop>, args: Args<'_, 'py>) -> Returned<'py> {
    let delay = first_of(CALL_LATER.0, &args, CALL_LATER.1)?;
    if delay.is_none() {
        return Err(PyTypeError::new_err("delay must not be None"));
    }
    let py = this.py();
    let body = this.body();
    if body.time_hooked.get() {
        let now = this.call_method0(pyo3::intern!(py, "time"))?;
        let when = now.add(delay)?;
        let (callback, arguments, context) = callback_of(CALL_LATER.0, &args, Some(CALL_LATER.1))?;
        let keywords = pyo3::types::PyDict::new(py);
        keywords.set_item("context", context)?;
        let positional = [when, callback.clone()].into_iter().chain(arguments.iter());
        let positional = pyo3::types::PyTuple::new(py, positional.collect::<Vec<_>>())?;
        return this.call_method(pyo3::intern!(py, "call_at"), positional, Some(&keywords));
    }
    // Adding to a float by hand makes no object; what is not a plain number adds itself.
    if let Some(delay) = plain_number(delay) {
        return schedule(this, When::Seconds(seconds(aioxide::now()) + delay), &args, CALL_LATER);
    }
    let when = time(this)?.add(delay)?;
    schedule(this, When::Given(&when), &args, CALL_LATER)
}

/// The value of a plain float or small int.
#[inline]
fn plain_number(number: &Bound<'_, PyAny>) -> Option<f64> {
    match number.cast_exact::<PyFloat>() {
        Ok(number) => Some(number.value()),
        Err(_) => number.cast_exact::<PyInt>().ok()?.extract::<i32>().ok().map(f64::from),
    }
}

fn call_at<'py>(this: &Bound<'py, Loop>, args: Args<'_, 'py>) -> Returned<'py> {
    let when = first_of(CALL_AT.0, &args, CALL_AT.1)?;
    if when.is_none() {
        return Err(PyTypeError::new_err("when cannot be None"));
    }
    schedule(this, When::Given(when), &args, CALL_AT)
}

fn schedule<'py>(
    this: &Bound<'py, Loop>,
    when: When<'_, 'py>,
    args: &Args<'_, 'py>,
    (function, first): (&str, &str),
) -> Returned<'py> {
    let (callback, arguments, context) = callback_of(function, args, Some(first))?;
    let body = this.body();
    body.require_open()?;
    if body.debug.get() {
        // asyncio's call_later checks as call_at.
        check(this, callback, "call_at", Thread::MustBeTheLoops)?;
    }
    let seconds = match when {
        When::Seconds(seconds) => seconds,
        When::Given(when) => when.extract()?,
    };
    let due = deadline(seconds, body.margin())?;
    let parts = Parts {
        callback,
        arguments: arguments.as_any(),
        event_loop: this.as_any(),
        context,
    };
    let handle = handles::new_timer(when, parts, body)?;
    let key = body.add_timer(due, Entry::Handle(Owned::new(handle.as_any())))?;
    handle.body().key.set(Some(key));
    Ok(handle.into_any())
}

/// What a method and the argument before the callback are called.
const CALL_LATER: (&str, &str) = ("BaseEventLoop.call_later", "delay");
const CALL_AT: (&str, &str) = ("BaseEventLoop.call_at", "when");
const NANOS: f64 = 1e9;
/// 2^63 ns, 292 years: beyond it a timer never fires.
const LATEST: f64 = 9.223_372_036_854_776e18;
