//! How a queue keeps its items: first in first out, last in first out, smallest first, or as a subclass does.

#![forbid(unsafe_code)]

use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyList, PyType};

use super::queue::Queue;
use crate::imports::imports;
use crate::object::{BodyOf, Returned, call_method_one};

/// Which item comes out first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Discipline {
    /// The oldest.
    Fifo,
    /// The newest: `LifoQueue`.
    Lifo,
    /// The smallest: `PriorityQueue`.
    Heap,
    /// What `_get()` says.
    Custom,
}

/// The methods that keep items.
const KEEPING: [&str; 3] = ["_init", "_put", "_get"];

impl Discipline {
    /// That of a class. Known classes by one comparison; others by what the three methods are.
    pub fn of(class: &Bound<'_, PyType>) -> PyResult<Self> {
        static KNOWN: PyOnceLock<[Py<PyAny>; 3]> = PyOnceLock::new();
        let py = class.py();
        let queues = imports(py)?.queues.bind(py);
        let known = KNOWN.get_or_try_init(py, || -> PyResult<_> {
            let [fifo, lifo, heap] = ["Queue", "LifoQueue", "PriorityQueue"].map(|name| queues.getattr(name));
            Ok([fifo?.unbind(), lifo?.unbind(), heap?.unbind()])
        })?;
        for (known, discipline) in known.iter().zip([Self::Fifo, Self::Lifo, Self::Heap]) {
            let known = known.bind(py);
            let mut same = true;
            if !class.is(known) {
                for name in KEEPING {
                    same = same && class.getattr(name)?.is(known.getattr(name)?);
                }
            }
            if same {
                return Ok(discipline);
            }
        }
        Ok(Self::Custom)
    }
}

/// Begins with no items; `_init()` of a subclass says what holds them.
pub fn initialise<'py>(this: &Bound<'py, Queue>, maxsize: &Bound<'py, PyAny>) -> PyResult<()> {
    let py = this.py();
    this.body().items.clear();
    match this.body().discipline.get() {
        Discipline::Fifo | Discipline::Lifo => {}
        Discipline::Heap => this.body().items.assign(&PyList::empty(py)),
        Discipline::Custom => {
            call_method_one(this.as_any(), pyo3::intern!(py, "_init"), maxsize)?;
        }
    }
    Ok(())
}

/// The container of the items, for those who look.
pub fn container<'py>(this: &Bound<'py, Queue>) -> Returned<'py> {
    let py = this.py();
    if this.body().discipline.get() == Discipline::Lifo {
        return this.body().items.share(py.get_type::<PyList>().as_any());
    }
    this.body().items.share(imports(py)?.deque.bind(py))
}

/// Adds an item.
#[inline]
pub fn store<'py>(this: &Bound<'py, Queue>, item: &Bound<'py, PyAny>) -> PyResult<()> {
    let py = this.py();
    match this.body().discipline.get() {
        Discipline::Fifo | Discipline::Lifo => this.body().items.push(item),
        Discipline::Heap => {
            let heap = container(this)?;
            imports(py)?.heappush.bind(py).call1((heap, item)).map(drop)
        }
        Discipline::Custom => call_method_one(this.as_any(), pyo3::intern!(py, "_put"), item).map(drop),
    }
}

/// Takes out the item whose turn it is.
///
/// # Errors
/// IndexError if there is none.
#[inline]
pub fn take<'py>(this: &Bound<'py, Queue>) -> Returned<'py> {
    let py = this.py();
    let taken = match this.body().discipline.get() {
        Discipline::Fifo => this.body().items.pop_front(py)?,
        Discipline::Lifo => this.body().items.pop_back(py)?,
        Discipline::Heap => return imports(py)?.heappop.bind(py).call1((container(this)?,)),
        Discipline::Custom => return this.call_method0(pyo3::intern!(py, "_get")),
    };
    taken.ok_or_else(|| PyIndexError::new_err("pop from an empty deque"))
}
