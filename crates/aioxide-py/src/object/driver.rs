//! Takes a [`Driver`] out of the capsule in which another extension module hands it over.

use aioxide::Driver;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyCapsuleMethods};

/// The driver in a capsule.
///
/// # Errors
/// ValueError for a capsule of another name; TypeError for a driver of another version, or what is no capsule.
pub fn driver_in(object: &Bound<'_, PyAny>) -> PyResult<Driver> {
    let capsule = object.cast::<PyCapsule>()?;
    let pointer = capsule.pointer_checked(Some(Driver::CAPSULE))?.cast::<Driver>();
    // SAFETY: a capsule of this name holds a `Driver` (checked by name, the only type that CPython gives to a
    // pointer), which lives as long as the capsule. The version lies first in every version of the struct.
    let version = unsafe { (&raw const (*pointer.as_ptr()).version).read() };
    if version != Driver::VERSION {
        return Err(PyTypeError::new_err(format!(
            "a driver of version {version}, this loop knows version {}: build the extension with a matching aioxide-pyo3",
            Driver::VERSION
        )));
    }
    // SAFETY: as above; the version says that the fields are those that we know.
    Ok(unsafe { pointer.as_ptr().read() })
}
