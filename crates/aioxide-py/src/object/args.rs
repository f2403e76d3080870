//! `Args`: the arguments of one call, as CPython's vectorcall passes them.

use std::os::raw::c_void;
use std::slice;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

/// Positional and keyword arguments, borrowed for one call.
#[derive(Clone)]
pub struct Args<'a, 'py> {
    positional: &'a [Bound<'py, PyAny>],
    named: &'a [Bound<'py, PyAny>],
    names: Option<Bound<'py, PyTuple>>,
    py: Python<'py>,
}

impl<'a, 'py> Args<'a, 'py> {
    /// Sees a call's vector.
    ///
    /// # Safety
    /// The four are those of a METH_FASTCALL | METH_KEYWORDS call that is going on for all of `'a`.
    #[inline]
    pub(super) unsafe fn new(
        py: Python<'py>,
        args: *const *mut ffi::PyObject,
        count: ffi::Py_ssize_t,
        names: *mut ffi::PyObject,
    ) -> Self {
        let count = usize::try_from(count).unwrap_or(0);
        // SAFETY: `names` is a tuple or null and lives for the call.
        let names = unsafe { Bound::from_borrowed_ptr_or_opt(py, names) }.map(|names| {
            // SAFETY: METH_KEYWORDS passes a tuple.
            unsafe { names.cast_into_unchecked::<PyTuple>() }
        });
        let named = names.as_ref().map_or(0, PyTupleMethods::len);
        let all: &[Bound<'py, PyAny>] = if args.is_null() {
            &[]
        } else {
            // SAFETY: `args` holds `count` positional and then one value for each name; a `Bound` is one
            // non-null pointer.
            unsafe { slice::from_raw_parts(args.cast::<c_void>().cast(), count + named) }
        };
        let (positional, named) = all.split_at(count.min(all.len()));
        Self {
            positional,
            named,
            names,
            py,
        }
    }

    /// The GIL token.
    #[inline]
    pub fn py(&self) -> Python<'py> {
        self.py
    }

    /// The positional arguments.
    #[inline]
    pub fn positional(&self) -> &'a [Bound<'py, PyAny>] {
        self.positional
    }

    /// The positional arguments, if there are no others.
    #[inline]
    pub fn only_positional(&self) -> Option<&'a [Bound<'py, PyAny>]> {
        self.names.is_none().then_some(self.positional)
    }

    /// The positional arguments from `start` on, as a tuple.
    #[inline]
    pub fn rest(&self, start: usize) -> PyResult<Bound<'py, PyTuple>> {
        match self.positional.get(start..) {
            Some(rest) if !rest.is_empty() => PyTuple::new(self.py, rest),
            _ => Ok(PyTuple::empty(self.py)),
        }
    }

    /// The only keyword argument that is allowed, if it was given.
    #[inline]
    pub fn only_keyword(&self, function: &str, name: &str) -> PyResult<Option<&'a Bound<'py, PyAny>>> {
        if self.names.is_none() {
            return Ok(None);
        }
        let [value] = self.bind_keywords(function, [name])?;
        Ok(value)
    }

    /// The values of the allowed keyword arguments, in the order of `allowed`.
    pub fn bind_keywords<const N: usize>(
        &self,
        function: &str,
        allowed: [&str; N],
    ) -> PyResult<[Option<&'a Bound<'py, PyAny>>; N]> {
        let mut found = [None; N];
        let Some(names) = &self.names else { return Ok(found) };
        'names: for (name, value) in names.iter().zip(self.named) {
            let name = name.cast::<PyString>()?;
            let text = name.to_cow()?;
            for (place, allowed) in found.iter_mut().zip(allowed) {
                if text == allowed {
                    *place = Some(value);
                    continue 'names;
                }
            }
            return Err(PyTypeError::new_err(format!(
                "{function}() got an unexpected keyword argument '{text}'"
            )));
        }
        Ok(found)
    }

    /// The one argument there is, by position or by name.
    #[inline]
    pub fn one(&self, function: &str, name: &str) -> PyResult<&'a Bound<'py, PyAny>> {
        match self.only_positional() {
            Some([value]) => Ok(value),
            _ => self.one_by_name(function, name),
        }
    }

    #[cold]
    fn one_by_name(&self, function: &str, name: &str) -> PyResult<&'a Bound<'py, PyAny>> {
        let [value] = self.bind(function, [name], 1, 1)?;
        value.ok_or_else(|| {
            PyTypeError::new_err(format!("{function}() missing 1 required positional argument: '{name}'"))
        })
    }

    /// Binds arguments that may be given by position or by name. The first `required` must be given; from
    /// `positional` on they are keyword-only.
    pub fn bind<const N: usize>(
        &self,
        function: &str,
        names: [&str; N],
        positional: usize,
        required: usize,
    ) -> PyResult<[Option<&'a Bound<'py, PyAny>>; N]> {
        let mut bound = self.bind_keywords(function, names)?;
        if self.positional.len() > positional {
            return Err(PyTypeError::new_err(format!(
                "{function}() takes at most {positional} positional argument{} ({} given)",
                if positional == 1 { "" } else { "s" },
                self.positional.len()
            )));
        }
        for ((place, value), name) in bound.iter_mut().zip(self.positional).zip(names) {
            if place.replace(value).is_some() {
                return Err(PyTypeError::new_err(format!(
                    "{function}() got multiple values for argument '{name}'"
                )));
            }
        }
        for (index, (place, name)) in bound.iter().zip(names).enumerate().take(required) {
            if place.is_none() {
                return Err(PyTypeError::new_err(format!(
                    "{function}() missing required argument '{name}' (pos {})",
                    index + 1
                )));
            }
        }
        Ok(bound)
    }
}

impl<'py> Args<'_, 'py> {
    /// Copies the keyword arguments into a dictionary.
    pub fn keywords_into(&self, keywords: &Bound<'py, pyo3::types::PyDict>) -> PyResult<()> {
        for (name, value) in self.names.iter().flatten().zip(self.named) {
            keywords.set_item(name, value)?;
        }
        Ok(())
    }
}
