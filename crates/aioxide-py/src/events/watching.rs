//! Readers and writers: who is told when a file descriptor is ready.
//!
//! Counterpart: `add_reader` and its siblings in `Lib/asyncio/selector_events.py`.

#![forbid(unsafe_code)]

use std::os::fd::RawFd;

use pyo3::exceptions::{PyKeyError, PyOverflowError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyTuple};

use super::{Loop, LoopBody};
use crate::errors::os_error;
use crate::handles::{self, Parts};
use crate::object::{Args, BodyOf, Owned, Returned, TypeBuilder, driver_in, method, method_noargs, method_one};

/// Who is told.
#[derive(Clone)]
pub enum Watch {
    /// A handle, put into the ready queue.
    Handle(Owned),
    /// A native transport, called at once.
    Transport(Owned),
    /// The native transport of a pipe, called at once.
    Pipe(Owned),
    /// The native transport of a datagram socket, called at once.
    Datagrams(Owned),
    /// The future of a coroutine that waits for the descriptor, ended at once.
    Waiter(Owned),
    /// A listening socket, called at once.
    Listener(Owned),
}

impl Watch {
    /// The handle, the transport or the listener.
    pub fn object(&self) -> &Owned {
        match self {
            Watch::Handle(object)
            | Watch::Transport(object)
            | Watch::Pipe(object)
            | Watch::Datagrams(object)
            | Watch::Waiter(object)
            | Watch::Listener(object) => object,
        }
    }
}

/// One of the two things to be told about a descriptor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Read,
    Write,
}

/// Adds the methods.
pub fn watching_methods(builder: TypeBuilder) -> TypeBuilder {
    builder
        .method(method(
            c"_add_reader",
            c"Starts watching a descriptor for reading; returns the handle.",
            add_reader,
        ))
        .method(method_one(
            c"_remove_reader",
            c"Stops watching a descriptor for reading.",
            remove_reader,
        ))
        .method(method(
            c"_add_writer",
            c"Starts watching a descriptor for writing; returns the handle.",
            add_writer,
        ))
        .method(method_one(
            c"_remove_writer",
            c"Stops watching a descriptor for writing.",
            remove_writer,
        ))
        .method(method_one(
            c"_has_native_transport",
            c"Whether a native transport uses a descriptor.",
            has_transport,
        ))
        .method(method_one(
            c"_is_occupied",
            c"Whether a descriptor is that of an accepted connection whose transport is not closed.",
            is_occupied,
        ))
        .method(method_one(
            c"_watched",
            c"The handles (reader, writer) of a descriptor; KeyError if there are none.",
            watched,
        ))
        .method(method_noargs(
            c"_watched_fds",
            c"Every descriptor that is watched.",
            watched_fds,
        ))
        .method(method_noargs(c"_epoll_fd", c"The poller's own descriptor.", poller_fd))
        .method(method_one(
            c"_drive",
            c"Lets a Rust runtime sleep in the loop's place, given its driver in a capsule; False if another does.",
            drive,
        ))
        .method(method_noargs(
            c"_close_engine",
            c"Forgets every callback and descriptor.",
            close_engine,
        ))
}

impl LoopBody {
    /// Starts telling `watch`; returns who was told before.
    pub fn watch(&self, fd: RawFd, direction: Direction, watch: Watch) -> PyResult<Option<Watch>> {
        let io = self.io()?;
        let mut fds = io.fds.borrow_mut();
        match direction {
            Direction::Read => fds.set_reader(&io.poller, fd, watch),
            Direction::Write => fds.set_writer(&io.poller, fd, watch),
        }
        .map_err(|error| os_error(&error))
    }

    /// Keeps the file object of a descriptor: once it is closed it can still be given to `remove_reader`, as
    /// `selectors` allows.
    fn remember_file(&self, fd: RawFd, file: &Bound<'_, PyAny>) {
        let before = {
            let mut files = self.files.borrow_mut();
            let before = files
                .iter()
                .position(|(known, _)| *known == fd)
                .map(|index| files.swap_remove(index));
            files.push((fd, Owned::new(file)));
            before
        };
        drop(before);
    }

    /// The descriptor that a file object had when it was added.
    fn remembered_fd(&self, file: &Bound<'_, PyAny>) -> Option<RawFd> {
        let files = self.files.borrow();
        files
            .iter()
            .find(|(_, known)| known.as_ptr() == file.as_ptr())
            .map(|(fd, _)| *fd)
    }

    /// Forgets the file object of a descriptor that nobody watches any more.
    fn forget_file(&self, fd: RawFd) {
        let watched = self.io().is_ok_and(|io| {
            let fds = io.fds.borrow();
            fds.reader(fd).is_some() || fds.writer(fd).is_some()
        });
        let gone = {
            let mut files = self.files.borrow_mut();
            let index = files.iter().position(|(known, _)| *known == fd).filter(|_| !watched);
            index.map(|index| files.swap_remove(index))
        };
        drop(gone);
    }

    /// Tells `watch` from now on instead of who is told, if anyone is; else gives it back. Costs no system call.
    pub fn hand_over(&self, fd: RawFd, direction: Direction, watch: Watch) -> PyResult<Result<Watch, Watch>> {
        let io = self.io()?;
        let mut fds = io.fds.borrow_mut();
        Ok(match direction {
            Direction::Read => fds.hand_over_reader(fd, watch),
            Direction::Write => fds.hand_over_writer(fd, watch),
        })
    }

    /// Whether exactly `object` is told.
    pub fn is_watched_by(&self, fd: RawFd, direction: Direction, object: &Bound<'_, PyAny>) -> bool {
        self.io().is_ok_and(|io| {
            let fds = io.fds.borrow();
            let told = match direction {
                Direction::Read => fds.reader(fd),
                Direction::Write => fds.writer(fd),
            };
            told.is_some_and(|watch| watch.object().as_ptr() == object.as_ptr())
        })
    }

    /// Stops telling anyone; returns who was told.
    pub fn unwatch(&self, fd: RawFd, direction: Direction) -> PyResult<Option<Watch>> {
        let io = self.io()?;
        let mut fds = io.fds.borrow_mut();
        match direction {
            Direction::Read => fds.remove_reader(&io.poller, fd),
            Direction::Write => fds.remove_writer(&io.poller, fd),
        }
        .map_err(|error| os_error(&error))
    }
}

/// A descriptor, or the descriptor of a file object; errors as `selectors` raises them.
pub fn descriptor(file: &Bound<'_, PyAny>) -> PyResult<RawFd> {
    let number = if file.is_instance_of::<PyInt>() {
        if file.lt(0)? {
            return Err(PyValueError::new_err(format!("Invalid file descriptor: {file}")));
        }
        return file
            .extract()
            .map_err(|_| PyOverflowError::new_err("Python int too large to convert to C int"));
    } else {
        let invalid = || PyValueError::new_err(format!("Invalid file object: {}", text(file)));
        let fileno = file.getattr("fileno").map_err(|_| invalid())?;
        match fileno.call0() {
            Ok(number) => number.extract::<i64>().map_err(|_| invalid())?,
            Err(error) if error.is_instance_of::<PyTypeError>(file.py()) => return Err(invalid()),
            Err(error) if error.is_instance_of::<pyo3::exceptions::PyAttributeError>(file.py()) => {
                return Err(invalid());
            }
            Err(error) => return Err(error),
        }
    };
    RawFd::try_from(number)
        .ok()
        .filter(|fd| *fd >= 0)
        .ok_or_else(|| PyValueError::new_err(format!("Invalid file descriptor: {number}")))
}

fn text(object: &Bound<'_, PyAny>) -> String {
    object.repr().map_or_else(|_| "?".to_owned(), |text| text.to_string())
}

fn add<'py>(this: &Bound<'py, Loop>, args: &Args<'_, 'py>, direction: Direction) -> Returned<'py> {
    let py = this.py();
    let body = this.body();
    body.require_open()?;
    let [file, callback, ..] = args.positional() else {
        return Err(PyTypeError::new_err(
            "missing required positional arguments: 'fd' and 'callback'",
        ));
    };
    let fd = descriptor(file)?;
    let arguments = args.rest(2)?;
    let function = match direction {
        Direction::Read => "_add_reader",
        Direction::Write => "_add_writer",
    };
    let parts = Parts {
        callback,
        arguments: arguments.as_any(),
        event_loop: this.as_any(),
        context: args.only_keyword(function, "context")?,
    };
    let handle = handles::new(parts)?;
    let before = body.watch(fd, direction, Watch::Handle(Owned::new(handle.as_any())))?;
    if !file.is_instance_of::<PyInt>() {
        body.remember_file(fd, file);
    }
    if let Some(Watch::Handle(before)) = before {
        before.bind(py).call_method0("cancel")?;
    }
    Ok(handle.into_any())
}

fn remove<'py>(this: &Bound<'py, Loop>, file: &Bound<'py, PyAny>, direction: Direction) -> Returned<'py> {
    let py = this.py();
    let body = this.body();
    if body.closed.get() {
        return Ok(PyBool::new(py, false).to_owned().into_any());
    }
    let fd = match descriptor(file) {
        Ok(fd) => fd,
        // No descriptor is that large: it is not watched.
        Err(error) if error.is_instance_of::<PyOverflowError>(py) => {
            return Ok(PyBool::new(py, false).to_owned().into_any());
        }
        Err(error) => body.remembered_fd(file).ok_or(error)?,
    };
    let found = body.unwatch(fd, direction)?;
    body.forget_file(fd);
    if let Some(Watch::Handle(handle)) = &found {
        handle.bind(py).call_method0("cancel")?;
    }
    Ok(PyBool::new(py, found.is_some()).to_owned().into_any())
}

fn add_reader<'py>(this: &Bound<'py, Loop>, args: Args<'_, 'py>) -> Returned<'py> {
    add(this, &args, Direction::Read)
}

fn add_writer<'py>(this: &Bound<'py, Loop>, args: Args<'_, 'py>) -> Returned<'py> {
    add(this, &args, Direction::Write)
}

fn remove_reader<'py>(this: &Bound<'py, Loop>, file: &Bound<'py, PyAny>) -> Returned<'py> {
    remove(this, file, Direction::Read)
}

fn remove_writer<'py>(this: &Bound<'py, Loop>, file: &Bound<'py, PyAny>) -> Returned<'py> {
    remove(this, file, Direction::Write)
}

fn has_transport<'py>(this: &Bound<'py, Loop>, file: &Bound<'py, PyAny>) -> Returned<'py> {
    let fd = descriptor(file)?;
    let io = this.body().io()?;
    let fds = io.fds.borrow();
    let is = |watch: Option<&Watch>| matches!(watch, Some(Watch::Transport(_)));
    let found = is(fds.reader(fd)) || is(fds.writer(fd));
    Ok(PyBool::new(this.py(), found).to_owned().into_any())
}

fn is_occupied<'py>(this: &Bound<'py, Loop>, file: &Bound<'py, PyAny>) -> Returned<'py> {
    // A file that was closed has no descriptor, so nobody's.
    let occupied = descriptor(file).is_ok_and(|fd| this.body().occupied.contains(fd));
    Ok(PyBool::new(this.py(), occupied).to_owned().into_any())
}

fn watched<'py>(this: &Bound<'py, Loop>, file: &Bound<'py, PyAny>) -> Returned<'py> {
    let py = this.py();
    let fd = descriptor(file)?;
    let io = this.body().io()?;
    let fds = io.fds.borrow();
    let object = |watch: Option<&Watch>| watch.map(|watch| watch.object().bind(py).clone());
    let (reader, writer) = (object(fds.reader(fd)), object(fds.writer(fd)));
    if reader.is_none() && writer.is_none() {
        return Err(PyKeyError::new_err(format!("{} is not registered", text(file))));
    }
    Ok(PyTuple::new(py, [reader, writer])?.into_any())
}

fn watched_fds<'py>(this: &Bound<'py, Loop>) -> Returned<'py> {
    let found = PyDict::new(this.py());
    if let Ok(io) = this.body().io() {
        for (fd, ..) in io.fds.borrow().iter() {
            found.set_item(fd, fd)?;
        }
    }
    Ok(found.into_any())
}

fn poller_fd<'py>(this: &Bound<'py, Loop>) -> Returned<'py> {
    Ok(this
        .body()
        .io()?
        .poller
        .as_raw_fd()
        .into_pyobject(this.py())?
        .into_any())
}

fn close_engine<'py>(this: &Bound<'py, Loop>) -> Returned<'py> {
    let body = this.body();
    if !body.thread_id.is_empty() {
        return Err(PyRuntimeError::new_err("Cannot close a running event loop"));
    }
    let released = body.take_everything();
    let io = body.io.take();
    let unwatched = io.as_ref().map(|io| io.fds.borrow_mut().drain(&io.poller));
    let files = body.files.take();
    drop((released, unwatched, io, files));
    drop((body.read_buffer.take(), body.datagram_room.take()));
    drop((body.tls_plain.take(), body.tls_output.take()));
    Ok(this.py().None().into_bound(this.py()))
}

/// `_drive(capsule)`: see [`aioxide::Driver`].
fn drive<'py>(this: &Bound<'py, Loop>, capsule: &Bound<'py, PyAny>) -> Returned<'py> {
    let driver = driver_in(capsule)?;
    let io = this.body().io()?;
    let known = io.driver.get();
    let is_ours = known.is_none_or(|known| std::ptr::fn_addr_eq(known.park, driver.park));
    // A loop with a virtual clock decides itself how long it sleeps.
    let accepted = is_ours && this.body().idle.is_empty();
    if accepted {
        io.driver.set(Some(driver));
    }
    Ok(PyBool::new(this.py(), accepted).to_owned().into_any())
}
