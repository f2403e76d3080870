//! `ensure_future()`: a future for whatever can be awaited.
//!
//! Counterpart: `ensure_future` in `Lib/asyncio/tasks.py`, which is asked where it is not simple.

#![forbid(unsafe_code)]

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::{Parts, TaskBody, create_task, is_plain_coroutine};
use crate::events::LoopBody;
use crate::futures::FutureBody;
use crate::imports::imports;
use crate::object::{Args, BodyOf, Returned, as_native};

/// Returns a future as it is, and a task for a coroutine or another awaitable.
///
/// # Errors
/// TypeError if it cannot be awaited, ValueError if it is a future of another loop than the one that is given.
pub fn ensure_future<'py>(args: Args<'_, 'py>) -> Returned<'py> {
    let py = args.py();
    let imports = imports(py)?;
    if let Some([given]) = args.only_positional() {
        if as_native::<FutureBody>(given).is_some() || as_native::<TaskBody>(given).is_some() {
            return Ok(given.clone());
        }
        if is_plain_coroutine(given) {
            let event_loop = imports.running_loop.bind(py).call0()?;
            if let Some(native) = as_native::<LoopBody>(&event_loop)
                && native.body().makes_plain_tasks()
            {
                return Ok(create_task(&event_loop, given, &Parts::default())?.into_any());
            }
        }
    }
    let keywords = PyDict::new(py);
    args.keywords_into(&keywords)?;
    let positional = PyTuple::new(py, args.positional())?;
    imports.ensure_future.bind(py).call(positional, Some(&keywords))
}
