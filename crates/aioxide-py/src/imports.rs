//! What is asked of the standard library: looked up once, when the module is made.

#![forbid(unsafe_code)]

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};

use crate::object::compat;

/// Python objects used on paths that are not hot enough to be rewritten, and exceptions.
pub struct Imports {
    /// `asyncio.exceptions.CancelledError`.
    pub cancelled_error: Py<PyType>,
    /// `asyncio.exceptions.InvalidStateError`.
    pub invalid_state_error: Py<PyType>,
    /// `asyncio.base_futures._future_repr`.
    pub future_repr: Py<PyAny>,
    /// `asyncio.base_tasks._task_repr`.
    pub task_repr: Py<PyAny>,
    /// `asyncio.base_tasks._task_get_stack`.
    pub task_get_stack: Py<PyAny>,
    /// `asyncio.base_tasks._task_print_stack`.
    pub task_print_stack: Py<PyAny>,
    /// `asyncio.format_helpers.extract_stack`.
    pub extract_stack: Py<PyAny>,
    /// `asyncio.coroutines.iscoroutine`.
    pub iscoroutine: Py<PyAny>,
    /// The loop of a future or task that was given none.
    pub event_loop: Py<PyAny>,
    /// `asyncio.events.get_running_loop`, C.
    pub running_loop: Py<PyAny>,
    /// `asyncio.events._set_running_loop`, C.
    pub set_running_loop: Py<PyAny>,
    /// `signal.set_wakeup_fd`, C.
    pub set_wakeup_fd: Py<PyAny>,
    /// `asyncio.tasks._current_tasks`: loop → task, shared with the C tasks. Unused from 3.14 on.
    pub current_tasks: Py<PyDict>,
    /// `asyncio.tasks._enter_task`, C.
    pub enter_task: Py<PyAny>,
    /// `asyncio.tasks._leave_task`, C.
    pub leave_task: Py<PyAny>,
    /// `asyncio.tasks._swap_current_task`, C; None before 3.12.
    pub swap_current_task: Py<PyAny>,
    /// `asyncio.futures.future_add_to_awaited_by`, C; None before 3.14.
    pub add_to_awaited_by: Py<PyAny>,
    /// `asyncio.futures.future_discard_from_awaited_by`, C; None before 3.14.
    pub discard_from_awaited_by: Py<PyAny>,
    /// `asyncio.tasks.create_task`, Python.
    pub create_task: Py<PyAny>,
    /// `asyncio.ensure_future`, Python.
    pub ensure_future: Py<PyAny>,
    /// `asyncio.wait`, Python.
    pub wait: Py<PyAny>,
    /// `asyncio.wait_for`, Python.
    pub wait_for: Py<PyAny>,
    /// `asyncio.tasks._cancel_and_wait`, Python.
    pub cancel_and_wait: Py<PyAny>,
    /// `asyncio.gather`, Python.
    pub gather: Py<PyAny>,
    /// `asyncio.shield`, Python.
    pub shield: Py<PyAny>,
    /// What reports a failure that nobody waits for behind a shield any more (3.14).
    pub log_on_exception: Option<Py<PyAny>>,
    /// `asyncio.TaskGroup`.
    pub taskgroup: Py<PyAny>,
    /// Whether a group that was left knows its task and its errors no more (3.12.9, 3.13.2).
    pub taskgroups_let_go: bool,
    /// Whether leaving a group says that what is not raised is dealt with (3.15).
    pub taskgroups_swallow: bool,
    /// `aioxide.taskgroups`.
    pub taskgroups: Py<PyAny>,
    /// `asyncio.timeouts.Timeout`, Python.
    pub timeout: Py<PyAny>,
    /// `asyncio.timeouts._State`.
    pub timeout_state: Py<PyAny>,
    /// `asyncio.base_events.BaseEventLoop`.
    pub base_event_loop: Py<PyType>,
    /// `asyncio.selector_events.BaseSelectorEventLoop`.
    pub selector_event_loop: Py<PyAny>,
    /// The descriptors of `family`, `type` and `proto` of sockets that give numbers, not members of enums.
    pub socket_numbers: [Py<PyAny>; 3],
    /// `types.GenericAlias`.
    pub generic_alias: Py<PyAny>,
    /// `inspect.isgenerator`'s type.
    pub generator: Py<PyType>,
    /// `inspect.isgenerator`'s sibling: `types.CoroutineType`.
    pub coroutine: Py<PyType>,
    /// `contextvars.Context`.
    pub context: Py<PyType>,
    /// `asyncio.protocols.BufferedProtocol`.
    pub buffered_protocol: Py<PyAny>,
    /// `asyncio.streams.StreamReader`.
    pub stream_reader: Py<PyAny>,
    /// `asyncio.exceptions.IncompleteReadError`.
    pub incomplete_read_error: Py<PyAny>,
    /// `asyncio.exceptions.LimitOverrunError`.
    pub limit_overrun_error: Py<PyAny>,
    /// `asyncio.exceptions.SendfileNotAvailableError`.
    pub sendfile_not_available: Py<PyType>,
    /// Whether `sock_sendfile()` moves the file's position even if nothing was sent (a late 3.14), or not.
    pub sendfile_moves_always: bool,
    /// `asyncio.log.logger`.
    pub logger: Py<PyAny>,
    /// `aioxide.handles`, where cold parts of handles are written in Python.
    pub handles: Py<PyAny>,
    /// `aioxide.transports`, the cold parts of transports.
    pub transports: Py<PyAny>,
    /// `aioxide.pipes`, the cold parts of pipes' transports.
    pub pipes: Py<PyAny>,
    /// `aioxide.servers`, the cold parts of servers.
    pub servers: Py<PyAny>,
    /// `socket.socket`.
    pub socket: Py<PyAny>,
    /// `asyncio.trsock.TransportSocket`.
    pub transport_socket: Py<PyAny>,
    /// `aioxide.streams`, the cold parts of streams.
    pub streams: Py<PyAny>,
    /// `aioxide.queues`, the classes and exceptions of queues.
    pub queues: Py<PyAny>,
    /// `aioxide.locks`, the classes of locks.
    pub locks: Py<PyAny>,
    /// `asyncio.Barrier`.
    pub barrier: Py<PyAny>,
    /// `asyncio.locks._BarrierState`.
    pub barrier_state: Py<PyAny>,
    /// `asyncio.BrokenBarrierError`.
    pub broken_barrier_error: Py<PyAny>,
    /// `asyncio.locks._ContextManagerMixin`.
    pub context_manager_mixin: Py<PyAny>,
    /// Whether a condition's waiter that fails notifies another, and raises the cancellation it got (3.12.2, 3.13).
    pub conditions_pass_on: bool,
    /// Whether a semaphore's waiter that goes on wakes as many others as there are places (3.12.2), or one.
    pub semaphores_wake_all: bool,
    /// Whether a gathering future that ends lets go of the children that go on (3.14, since gh-157213): they are
    /// awaited by nobody then.
    pub gather_forgets_its_caller: bool,
    /// `collections.deque`.
    pub deque: Py<PyAny>,
    /// `heapq.heappush`.
    pub heappush: Py<PyAny>,
    /// `heapq.heappop`.
    pub heappop: Py<PyAny>,
}

static IMPORTS: PyOnceLock<Imports> = PyOnceLock::new();

/// The imports; made by the first call.
pub fn imports(py: Python<'_>) -> PyResult<&'static Imports> {
    IMPORTS.get_or_try_init(py, || load(py))
}

fn load(py: Python<'_>) -> PyResult<Imports> {
    let exceptions = py.import("asyncio.exceptions")?;
    let base_futures = py.import("asyncio.base_futures")?;
    let base_tasks = py.import("asyncio.base_tasks")?;
    let events = py.import("asyncio.events")?;
    let tasks = py.import("asyncio.tasks")?;
    let futures = py.import("asyncio.futures")?;
    let types = py.import("types")?;
    let taskgroup = py.import("asyncio.taskgroups")?.getattr("TaskGroup")?;
    let event_loop = if compat::version(py) < (3, 12) {
        "_get_event_loop"
    } else {
        "get_event_loop"
    };
    Ok(Imports {
        cancelled_error: exceptions.getattr("CancelledError")?.cast_into()?.unbind(),
        invalid_state_error: exceptions.getattr("InvalidStateError")?.cast_into()?.unbind(),
        future_repr: base_futures.getattr("_future_repr")?.unbind(),
        task_repr: base_tasks.getattr("_task_repr")?.unbind(),
        task_get_stack: base_tasks.getattr("_task_get_stack")?.unbind(),
        task_print_stack: base_tasks.getattr("_task_print_stack")?.unbind(),
        extract_stack: py.import("asyncio.format_helpers")?.getattr("extract_stack")?.unbind(),
        iscoroutine: py.import("asyncio.coroutines")?.getattr("iscoroutine")?.unbind(),
        event_loop: events.getattr(event_loop)?.unbind(),
        running_loop: events.getattr("_get_running_loop")?.unbind(),
        set_running_loop: events.getattr("_set_running_loop")?.unbind(),
        set_wakeup_fd: py.import("signal")?.getattr("set_wakeup_fd")?.unbind(),
        current_tasks: tasks.getattr("_current_tasks")?.cast_into()?.unbind(),
        enter_task: tasks.getattr("_enter_task")?.unbind(),
        leave_task: tasks.getattr("_leave_task")?.unbind(),
        swap_current_task: optional(&tasks, "_swap_current_task")?,
        add_to_awaited_by: optional(&futures, "future_add_to_awaited_by")?,
        discard_from_awaited_by: optional(&futures, "future_discard_from_awaited_by")?,
        create_task: tasks.getattr("create_task")?.unbind(),
        ensure_future: tasks.getattr("ensure_future")?.unbind(),
        wait: tasks.getattr("wait")?.unbind(),
        wait_for: tasks.getattr("wait_for")?.unbind(),
        cancel_and_wait: tasks.getattr("_cancel_and_wait")?.unbind(),
        gather: tasks.getattr("gather")?.unbind(),
        shield: tasks.getattr("shield")?.unbind(),
        log_on_exception: tasks.getattr_opt("_log_on_exception")?.map(Bound::unbind),
        taskgroups_let_go: taskgroup.hasattr("_aexit")?,
        taskgroups_swallow: taskgroup.hasattr("cancel")?,
        taskgroup: taskgroup.unbind(),
        timeout: py.import("asyncio.timeouts")?.getattr("Timeout")?.unbind(),
        timeout_state: py.import("asyncio.timeouts")?.getattr("_State")?.unbind(),
        base_event_loop: py
            .import("asyncio.base_events")?
            .getattr("BaseEventLoop")?
            .cast_into()?
            .unbind(),
        selector_event_loop: py
            .import("asyncio.selector_events")?
            .getattr("BaseSelectorEventLoop")?
            .unbind(),
        socket_numbers: {
            let socket = py.import("_socket")?.getattr("socket")?;
            let number = |name: &str| socket.getattr(name).map(Bound::unbind);
            [number("family")?, number("type")?, number("proto")?]
        },
        generic_alias: types.getattr("GenericAlias")?.unbind(),
        generator: types.getattr("GeneratorType")?.cast_into()?.unbind(),
        coroutine: types.getattr("CoroutineType")?.cast_into()?.unbind(),
        context: py.import("contextvars")?.getattr("Context")?.cast_into()?.unbind(),
        buffered_protocol: py.import("asyncio.protocols")?.getattr("BufferedProtocol")?.unbind(),
        stream_reader: py.import("asyncio.streams")?.getattr("StreamReader")?.unbind(),
        incomplete_read_error: exceptions.getattr("IncompleteReadError")?.unbind(),
        limit_overrun_error: exceptions.getattr("LimitOverrunError")?.unbind(),
        sendfile_not_available: exceptions.getattr("SendfileNotAvailableError")?.cast_into()?.unbind(),
        sendfile_moves_always: {
            let event_loop = py.import("asyncio.unix_events")?.getattr("_UnixSelectorEventLoop")?;
            let code = event_loop
                .getattr("_sock_sendfile_update_filepos")?
                .getattr("__code__")?;
            // The parameter for how much was sent went with the change.
            code.getattr("co_argcount")?.extract::<usize>()? == 3
        },
        logger: py.import("asyncio.log")?.getattr("logger")?.unbind(),
        handles: py.import("aioxide.handles")?.into_any().unbind(),
        transports: py.import("aioxide.transports")?.into_any().unbind(),
        pipes: py.import("aioxide.pipes")?.into_any().unbind(),
        servers: py.import("aioxide.servers")?.into_any().unbind(),
        socket: py.import("socket")?.getattr("socket")?.unbind(),
        transport_socket: py.import("asyncio.trsock")?.getattr("TransportSocket")?.unbind(),
        streams: py.import("aioxide.streams")?.into_any().unbind(),
        queues: py.import("aioxide.queues")?.into_any().unbind(),
        locks: py.import("aioxide.locks")?.into_any().unbind(),
        taskgroups: py.import("aioxide.taskgroups")?.into_any().unbind(),
        gather_forgets_its_caller: tasks.hasattr("_discard_awaited_by")?,
        barrier: py.import("asyncio.locks")?.getattr("Barrier")?.unbind(),
        barrier_state: py.import("asyncio.locks")?.getattr("_BarrierState")?.unbind(),
        broken_barrier_error: exceptions.getattr("BrokenBarrierError")?.unbind(),
        context_manager_mixin: py.import("asyncio.locks")?.getattr("_ContextManagerMixin")?.unbind(),
        conditions_pass_on: py.import("asyncio.locks")?.getattr("Condition")?.hasattr("_notify")?,
        semaphores_wake_all: {
            // What it returns came with the change.
            let semaphore = py.import("asyncio.locks")?.getattr("Semaphore")?.call0()?;
            !semaphore.call_method0("_wake_up_next")?.is_none()
        },
        deque: py.import("collections")?.getattr("deque")?.unbind(),
        heappush: py.import("heapq")?.getattr("heappush")?.unbind(),
        heappop: py.import("heapq")?.getattr("heappop")?.unbind(),
    })
}

/// A name that some versions lack: None there.
fn optional(module: &Bound<'_, PyModule>, name: &str) -> PyResult<Py<PyAny>> {
    let found = module.getattr_opt(name)?;
    Ok(found.map_or_else(|| module.py().None(), Bound::unbind))
}
