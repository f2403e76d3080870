//! `Functions`: what we call in libssl and libcrypto, looked up in the libraries that `_ssl` is bound to.

use std::ffi::{CStr, CString};
use std::mem;
use std::os::raw::{c_char, c_int, c_long, c_uchar, c_void};
use std::sync::OnceLock;

use pyo3::prelude::*;

/// OpenSSL's `SSL`.
#[repr(C)]
pub struct Ssl {
    _opaque: [u8; 0],
}

/// OpenSSL's `BIO`.
#[repr(C)]
pub struct Bio {
    _opaque: [u8; 0],
}

/// OpenSSL's `BIO_METHOD`.
#[repr(C)]
pub struct BioMethod {
    _opaque: [u8; 0],
}

/// How a BIO's `write_ex` is called.
pub type BioWrite = unsafe extern "C" fn(*mut Bio, *const c_uchar, usize, *mut usize) -> c_int;
/// How a BIO's `read_ex` is called.
pub type BioRead = unsafe extern "C" fn(*mut Bio, *mut c_uchar, usize, *mut usize) -> c_int;
/// How a BIO's `ctrl` is called.
pub type BioControl = unsafe extern "C" fn(*mut Bio, c_int, c_long, *mut c_void) -> c_long;
/// How a BIO's `destroy` is called.
pub type BioDestroy = unsafe extern "C" fn(*mut Bio) -> c_int;

/// The functions, under their own names. All exist since OpenSSL 1.1.1, with these signatures.
pub struct Functions {
    pub ssl_read_ex: unsafe extern "C" fn(*mut Ssl, *mut c_void, usize, *mut usize) -> c_int,
    pub ssl_write_ex: unsafe extern "C" fn(*mut Ssl, *const c_void, usize, *mut usize) -> c_int,
    pub ssl_get_error: unsafe extern "C" fn(*const Ssl, c_int) -> c_int,
    pub ssl_pending: unsafe extern "C" fn(*const Ssl) -> c_int,
    pub ssl_ctrl: unsafe extern "C" fn(*mut Ssl, c_int, c_long, *mut c_void) -> c_long,
    pub ssl_set_bio: unsafe extern "C" fn(*mut Ssl, *mut Bio, *mut Bio),
    pub ssl_get_rbio: unsafe extern "C" fn(*const Ssl) -> *mut Bio,
    pub ssl_get_ex_data: unsafe extern "C" fn(*const Ssl, c_int) -> *mut c_void,
    pub err_clear_error: unsafe extern "C" fn(),
    pub bio_new: unsafe extern "C" fn(*const BioMethod) -> *mut Bio,
    pub bio_set_data: unsafe extern "C" fn(*mut Bio, *mut c_void),
    pub bio_get_data: unsafe extern "C" fn(*mut Bio) -> *mut c_void,
    pub bio_set_init: unsafe extern "C" fn(*mut Bio, c_int),
    pub bio_set_flags: unsafe extern "C" fn(*mut Bio, c_int),
    pub bio_clear_flags: unsafe extern "C" fn(*mut Bio, c_int),
    pub bio_get_new_index: unsafe extern "C" fn() -> c_int,
    pub bio_meth_new: unsafe extern "C" fn(c_int, *const c_char) -> *mut BioMethod,
    pub bio_meth_set_write_ex: unsafe extern "C" fn(*mut BioMethod, BioWrite) -> c_int,
    pub bio_meth_set_read_ex: unsafe extern "C" fn(*mut BioMethod, BioRead) -> c_int,
    pub bio_meth_set_ctrl: unsafe extern "C" fn(*mut BioMethod, BioControl) -> c_int,
    pub bio_meth_set_destroy: unsafe extern "C" fn(*mut BioMethod, BioDestroy) -> c_int,
    openssl_version: unsafe extern "C" fn(c_int) -> *const c_char,
}

static FUNCTIONS: OnceLock<Option<Functions>> = OnceLock::new();

impl Functions {
    /// The functions, if they were found and are of the right version; looked up by the first call.
    pub fn load(py: Python<'_>) -> PyResult<Option<&'static Self>> {
        if let Some(functions) = FUNCTIONS.get() {
            return Ok(functions.as_ref());
        }
        let found = find(py)?;
        Ok(FUNCTIONS.get_or_init(|| found).as_ref())
    }

    /// The functions, for those who can only exist because they were found.
    #[inline]
    pub fn loaded() -> Option<&'static Self> {
        FUNCTIONS.get().and_then(Option::as_ref)
    }
}

fn find(py: Python<'_>) -> PyResult<Option<Functions>> {
    let ssl = py.import("ssl")?;
    let reported: String = ssl.getattr("OPENSSL_VERSION")?.extract()?;
    let numbers: (u32, u32, u32, u32, u32) = ssl.getattr("OPENSSL_VERSION_INFO")?.extract()?;
    let known = (1, 1, 1) <= (numbers.0, numbers.1, numbers.2) && numbers.0 < 4;
    // LibreSSL and the like call themselves by their own names.
    if !known || !reported.starts_with("OpenSSL ") {
        return Ok(None);
    }
    // A built-in module has no file: its symbols are the program's.
    let file = py.import("_ssl")?.getattr_opt("__file__")?;
    let file: Option<String> = file.map(|file| file.extract()).transpose()?;
    let Some(library) = Library::open(file.as_deref()) else {
        return Ok(None);
    };
    let Some(functions) = library.functions() else {
        return Ok(None);
    };
    // SAFETY: O1 is being established: a function of this name exists in every libcrypto, takes an int and
    // returns a static string; 0 is OPENSSL_VERSION.
    let version = unsafe { CStr::from_ptr((functions.openssl_version)(0)) };
    Ok((version.to_bytes() == reported.as_bytes()).then_some(functions))
}

/// A handle of `_ssl`'s shared library, or of the program.
struct Library(*mut c_void);

impl Library {
    /// Finds a library that is loaded already.
    fn open(file: Option<&str>) -> Option<Self> {
        let file = file.map(CString::new).transpose().ok()?;
        let name = file.as_ref().map_or(std::ptr::null(), |file| file.as_ptr());
        // SAFETY: `name` is a C string or null, which stands for the program; RTLD_NOLOAD runs no code.
        let handle = unsafe { libc::dlopen(name, libc::RTLD_NOW | libc::RTLD_NOLOAD) };
        // The handle is kept for ever, as is what it stands for.
        (!handle.is_null()).then_some(Self(handle))
    }

    /// A function that `_ssl` is bound to.
    ///
    /// # Safety
    /// `F` is the type of the C function of that name.
    unsafe fn function<F: Copy>(&self, name: &CStr) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        // SAFETY: the handle is open; looking up a name runs no code of ours.
        let (own, global) = unsafe {
            let own = libc::dlsym(self.0, name.as_ptr());
            (own, libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()))
        };
        // The global scope comes first when a library is bound. Another function there means that `_ssl` may
        // use that one, or that ours comes from elsewhere: better not.
        if own.is_null() || (!global.is_null() && global != own) {
            return None;
        }
        // SAFETY: the caller's promise; a function pointer has a pointer's size, checked above.
        Some(unsafe { mem::transmute_copy(&own) })
    }

    fn functions(&self) -> Option<Functions> {
        // SAFETY: the types are those of OpenSSL's headers.
        unsafe {
            Some(Functions {
                ssl_read_ex: self.function(c"SSL_read_ex")?,
                ssl_write_ex: self.function(c"SSL_write_ex")?,
                ssl_get_error: self.function(c"SSL_get_error")?,
                ssl_pending: self.function(c"SSL_pending")?,
                ssl_ctrl: self.function(c"SSL_ctrl")?,
                ssl_set_bio: self.function(c"SSL_set_bio")?,
                ssl_get_rbio: self.function(c"SSL_get_rbio")?,
                ssl_get_ex_data: self.function(c"SSL_get_ex_data")?,
                err_clear_error: self.function(c"ERR_clear_error")?,
                bio_new: self.function(c"BIO_new")?,
                bio_set_data: self.function(c"BIO_set_data")?,
                bio_get_data: self.function(c"BIO_get_data")?,
                bio_set_init: self.function(c"BIO_set_init")?,
                bio_set_flags: self.function(c"BIO_set_flags")?,
                bio_clear_flags: self.function(c"BIO_clear_flags")?,
                bio_get_new_index: self.function(c"BIO_get_new_index")?,
                bio_meth_new: self.function(c"BIO_meth_new")?,
                bio_meth_set_write_ex: self.function(c"BIO_meth_set_write_ex")?,
                bio_meth_set_read_ex: self.function(c"BIO_meth_set_read_ex")?,
                bio_meth_set_ctrl: self.function(c"BIO_meth_set_ctrl")?,
                bio_meth_set_destroy: self.function(c"BIO_meth_set_destroy")?,
                openssl_version: self.function(c"OpenSSL_version")?,
            })
        }
    }
}
