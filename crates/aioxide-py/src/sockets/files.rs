//! `_send_file()`: `sendfile(2)` until all is sent; `sock_sendfile()` and `sendfile()` come here.
//!
//! Counterpart: `_sock_sendfile_native_impl` in `Lib/asyncio/unix_events.py`.
//! Differs from asyncio: the loop goes on watching the socket between two pieces, which saves two system calls for
//! each; after the last byte that was asked for it is not asked whether there is another.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::io;
use std::os::fd::RawFd;

use pyo3::exceptions::PyConnectionError;
use pyo3::prelude::*;
use rustix::io::Errno;

use super::waiting::{Call, On, Outcome, SocketCall};
use crate::coroutines::{self, coroutine};
use crate::errors::os_error;
use crate::events::{Direction, Loop};
use crate::imports::imports;
use crate::object::{Args, Layout, Returned, Slot, TypeBuilder, descriptor, method};

/// Makes the type of the coroutine.
pub fn build(py: Python<'_>) -> PyResult<()> {
    coroutines::build::<SocketCall<SendFile>>(py, c"aioxide._aioxide.sock_sendfile").map(drop)
}

/// Adds the method.
pub fn file_methods(builder: TypeBuilder) -> TypeBuilder {
    builder.method(method(
        c"_send_file",
        c"Sends so many bytes of a file from an offset on, 0 for all; returns how many.",
        send_file,
    ))
}

fn send_file<'py>(this: &Bound<'py, Loop>, args: Args<'_, 'py>) -> Returned<'py> {
    let names = ["sock", "fileno", "offset", "count"];
    let [Some(socket), Some(file), Some(offset), Some(count)] = args.bind("_send_file", names, 4, 4)? else {
        return Ok(this.py().None().into_bound(this.py()));
    };
    let call = SendFile {
        file: Cell::new(file.extract()?),
        offset: Cell::new(offset.extract()?),
        count: count.extract()?,
        sent: Cell::new(0),
        unused: Slot::empty(),
    };
    coroutine(this.py(), SocketCall::new(this, socket, call))
}

/// `_send_file`.
struct SendFile {
    file: Cell<RawFd>,
    /// Where the next byte is.
    offset: Cell<u64>,
    /// How many bytes are to be sent; 0 for all.
    count: u64,
    sent: Cell<u64>,
    /// It owns nothing.
    unused: Slot,
}

impl Call for SendFile {
    const NAME: &'static str = "sock_sendfile";
    const DIRECTION: Direction = Direction::Write;

    fn layout() -> &'static Layout {
        static LAYOUT: Layout = Layout::unset();
        &LAYOUT
    }

    fn empty() -> Self {
        Self {
            file: Cell::new(-1),
            offset: Cell::new(0),
            count: 0,
            sent: Cell::new(0),
            unused: Slot::empty(),
        }
    }

    fn attempt<'py>(&self, on: &On<'_, 'py>) -> PyResult<Outcome<'py>> {
        let py = on.py();
        let (file, offset, sent) = (self.file.get(), self.offset.get(), self.sent.get());
        let most = match self.count {
            0 => MOST_AT_ONCE,
            count => count.saturating_sub(sent).min(MOST_AT_ONCE),
        };
        let socket = on.fd;
        // Without the GIL: the file may have to be read from a disk.
        let taken = py.detach(|| descriptor::send_file(socket, file, offset, most));
        match taken {
            Ok(0) => self.finish(py),
            Ok(taken) => {
                self.offset.set(offset + taken);
                self.sent.set(sent + taken);
                if self.count == sent + taken {
                    return self.finish(py);
                }
                Ok(Outcome::WouldBlock)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(Outcome::WouldBlock)
            }
            Err(error) => Err(self.failed(py, &error)),
        }
    }

    fn slots(&self) -> [&Slot; 2] {
        [&self.unused, &self.unused]
    }
}

impl SendFile {
    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Outcome<'py>> {
        self.move_position(py)?;
        Ok(Outcome::Done(self.sent.get().into_pyobject(py)?.into_any()))
    }

    /// The file's position is behind what was sent, as if it had been read.
    fn move_position(&self, py: Python<'_>) -> PyResult<()> {
        if self.sent.get() == 0 && !imports(py)?.sendfile_moves_always {
            return Ok(());
        }
        descriptor::seek(self.file.get(), self.offset.get()).map_err(|error| os_error(&error))
    }

    /// What a failed call raises: before the first byte, that somebody else has to send the file.
    #[cold]
    fn failed(&self, py: Python<'_>, error: &io::Error) -> PyErr {
        if let Err(error) = self.move_position(py) {
            return error;
        }
        if self.sent.get() == 0 {
            return match imports(py) {
                Ok(imports) => {
                    let kind = imports.sendfile_not_available.bind(py).clone();
                    PyErr::from_type(kind, "os.sendfile call failed")
                }
                Err(error) => error,
            };
        }
        let cause = os_error(error);
        let gone = Errno::NOTCONN.raw_os_error();
        if error.raw_os_error() != Some(gone) {
            return cause;
        }
        let normalized = PyConnectionError::new_err(("socket is not connected", gone));
        normalized.set_cause(py, Some(cause));
        normalized
    }
}

/// 1 GiB. The system takes what the socket's buffer holds, which is much less.
const MOST_AT_ONCE: u64 = 1 << 30;
