"""The native module: the event loop's core, futures, tasks, handles, timers, transports and streams.

Each class does what CPython's class of the same name does, and extends it where it can; ``Source`` names the
module to compare with. Times are seconds, sizes are bytes. Names with an underscore are shared with asyncio's own
Python code, or with this package's, and are no promise to anybody else.
"""

import asyncio
import sys
from _asyncio import Future as _AsyncioFuture
from _asyncio import Task as _AsyncioTask
from asyncio.transports import _FlowControlMixin
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from contextvars import Context
from socket import socket
from ssl import SSLContext
from traceback import StackSummary
from types import GenericAlias, TracebackType
from typing import (
    Any,
    Generic,
    Literal,
    Self,
    SupportsIndex,
    TypeAlias,
    TypeVar,
    TypeVarTuple,
    final,
    overload,
)

from typing_extensions import Buffer, disjoint_base

__all__ = [
    "__version__",
    "Future",
    "Task",
    "Handle",
    "TimerHandle",
    "DatagramTransport",
    "Listener",
    "ReadPipeTransport",
    "WritePipeTransport",
    "Sleep",
    "SocketTransport",
    "SSLTransport",
    "SSLProtocol",
    "LoopCore",
    "LockCore",
    "EventCore",
    "ConditionCore",
    "BarrierCore",
    "SemaphoreCore",
    "TaskGroupCore",
    "QueueCore",
    "StreamReaderCore",
    "StreamWriterCore",
    "FlowControlCore",
    "StreamReaderProtocolCore",
    "sleep",
    "create_task",
    "gather",
    "wait",
    "wait_for",
    "as_completed",
    "shield",
    "timeout",
    "timeout_at",
    "Timeout",
    "live_tasks",
    "unfinished_tasks",
    "ensure_future",
]

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)
_Ts = TypeVarTuple("_Ts")

_Loop: TypeAlias = asyncio.AbstractEventLoop
_Coroutine: TypeAlias = Generator[Any, None, _T] | Coroutine[Any, Any, _T]
#: What ``write()`` takes.
_Data: TypeAlias = bytes | bytearray | memoryview[Any]

#: The version of this package, as in its metadata.
__version__: str

@disjoint_base
class Future(_AsyncioFuture[_T]):
    """A result that does not exist yet.

    Its callbacks are run by its loop, in the order in which they were added. Not thread-safe. An exception that
    nobody has asked for is reported to the loop's exception handler when the future dies.

    ``isinstance(x, Future)`` is true for every future and task of asyncio as well, and the other way round.
    Awaiting one that is done makes no generator. Source: ``asyncio.futures``.
    """

    @property
    def _state(self) -> Literal["PENDING", "CANCELLED", "FINISHED"]: ...  # type: ignore[override]
    @property
    def _result(self) -> _T | None: ...
    @property
    def _source_traceback(self) -> StackSummary | None: ...
    @property
    def _cancelled_exc(self) -> asyncio.CancelledError | None: ...
    _cancel_message: Any
    def __init__(self, *, loop: _Loop | None = None) -> None:
        """A pending future of ``loop``, or of the current loop: RuntimeError if there is none."""

    def __del__(self) -> None: ...
    def __await__(self) -> Generator[Any, None, _T]: ...
    def __iter__(self) -> Generator[Any, None, _T]: ...
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    def done(self) -> bool:
        """Whether it has a result or an exception, or was cancelled."""

    def cancelled(self) -> bool:
        """Whether it was cancelled."""

    def result(self) -> _T:
        """The result; raises the exception it ended with, CancelledError, or InvalidStateError while pending."""

    def exception(self) -> BaseException | None:
        """The exception it ended with, or None. CancelledError if cancelled, InvalidStateError while pending."""

    def set_result(self, result: _T, /) -> None:
        """End it with a result. InvalidStateError if it is done."""

    def set_exception(self, exception: type | BaseException, /) -> None:
        """End it with an exception, or an instance of a class of exceptions.

        InvalidStateError if it is done; TypeError for StopIteration, which cannot be raised into a coroutine.
        """

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel it and schedule its callbacks. False, and nothing happens, if it is done."""

    def add_done_callback(self, fn: Callable[[Self], object], /, *, context: Context | None = None) -> None:
        """Let the loop call ``fn(future)`` when it is done; soon, if it is already.

        The call happens in ``context``, or in a copy made here: of the current one, as asyncio takes it.
        """

    def remove_done_callback(self, fn: Callable[[Self], object], /) -> int:
        """Remove every callback that equals ``fn``; return how many there were."""

    def get_loop(self) -> _Loop:
        """The loop it belongs to. RuntimeError if ``__init__`` was never called."""

    def _make_cancelled_error(self) -> asyncio.CancelledError: ...

@disjoint_base
class Task(_AsyncioTask[_T_co]):
    """A coroutine that the loop runs, and the future of what it returns.

    It is suspended where it awaits a future and continues in a later step. The loop's queue holds the task itself,
    not a handle. A task that dies pending is reported to the loop's exception handler. The loop keeps no strong
    reference to a task that waits: keep one.

    ``isinstance(x, Task)`` is true for every task of asyncio as well. Unnamed tasks are numbered by a counter of
    their own. Source: ``asyncio.tasks``.
    """

    _log_destroy_pending: bool
    _cancel_message: Any
    @property
    def _state(self) -> Literal["PENDING", "CANCELLED", "FINISHED"]: ...  # type: ignore[override]
    @property
    def _result(self) -> _T_co | None: ...
    @property
    def _source_traceback(self) -> StackSummary | None: ...
    @property
    def _cancelled_exc(self) -> asyncio.CancelledError | None: ...
    @property
    def _coro(self) -> _Coroutine[_T_co] | None: ...
    @property
    def _fut_waiter(self) -> Any: ...
    @property
    def _must_cancel(self) -> bool: ...
    @property
    def _steps(self) -> int:
        """How often it was stepped. Not in asyncio."""
    @property
    def _waits(self) -> int:
        """How often it waited for a future. Not in asyncio."""

    def __init__(
        self,
        coro: Coroutine[Any, Any, _T_co],
        *,
        loop: _Loop | None = None,
        name: str | None = None,
        context: Context | None = None,
        eager_start: bool = False,
    ) -> None:
        """Schedule ``coro``; with ``eager_start``, run its first step now if the loop is running.

        TypeError if it is no coroutine; RuntimeError without a loop or on a closed one.
        """

    if sys.version_info >= (3, 12):
        def get_context(self) -> Context:
            """The context it runs in."""

    def __del__(self) -> None: ...
    def __await__(self) -> Generator[Any, None, _T_co]: ...
    def __iter__(self) -> Generator[Any, None, _T_co]: ...
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    def cancel(self, msg: Any | None = None) -> bool:
        """Ask it to stop: CancelledError is raised where it waits, at its next step. False if it is done.

        The coroutine may catch that and go on; ``cancelled()`` tells how it ended.
        """

    def cancelling(self) -> int:
        """How many calls of ``cancel()`` were not taken back by ``uncancel()``."""

    def uncancel(self) -> int:
        """Take one cancellation back; return how many remain.

        From 3.13 on, the last one also takes back a CancelledError that was not raised yet, as in asyncio.
        """

    def set_result(self, result: object, /) -> None:
        """Not for tasks: raises RuntimeError."""

    def set_exception(self, exception: object, /) -> None:
        """Not for tasks: raises RuntimeError."""

    def get_name(self) -> str:
        """Its name, ``Task-<number>`` if it was given none."""

    def set_name(self, value: object, /) -> None:
        """Set its name to ``str(value)``."""

    def _make_cancelled_error(self) -> asyncio.CancelledError: ...

@disjoint_base
class Handle(asyncio.Handle):
    """A callback that the loop was asked to run. Made by ``call_soon()`` and its like.

    ``get_context()`` exists on 3.11 too. Source: ``asyncio.events``.
    """

    _callback: Callable[..., object] | None
    _args: Any
    _context: Context | None
    _loop: Any
    _source_traceback: StackSummary | None
    _repr: str | None
    def __init__(
        self,
        callback: Callable[..., object],
        args: Sequence[Any],
        loop: _Loop,
        context: Context | None = None,
    ) -> None: ...
    def cancel(self) -> None:
        """Do not run it, and release what it holds. No effect if it ran already."""

    def cancelled(self) -> bool:
        """Whether it was cancelled."""

    def get_context(self) -> Context:
        """The context it runs in."""

    def _run(self) -> None: ...

@disjoint_base
class TimerHandle(asyncio.TimerHandle):
    """A callback that the loop was asked to run at a time. Made by ``call_later()`` and ``call_at()``.

    Cancelling takes it out of the timers at once; asyncio leaves it there until it is due, or until half of the
    timers are cancelled ones. Source: ``asyncio.events``.
    """

    _callback: Callable[..., object] | None
    _args: Any
    _context: Context | None
    _loop: Any
    _source_traceback: StackSummary | None
    _repr: str | None
    _when: float
    _scheduled: bool
    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        args: Sequence[Any],
        loop: _Loop,
        context: Context | None = None,
    ) -> None: ...
    def when(self) -> float:
        """When it is due, in seconds of ``loop.time()``."""

    def cancel(self) -> None:
        """Do not run it, forget the timer, and release what it holds."""

    def cancelled(self) -> bool:
        """Whether it was cancelled."""

    def get_context(self) -> Context:
        """The context it runs in."""

    def _run(self) -> None: ...

@final
class Sleep(Coroutine[Any, Any, _T_co], Generic[_T_co]):
    """What ``sleep()`` returns. Awaitable once; ``asyncio.iscoroutine()`` is true, so it can be made a task.

    One that is never awaited is a RuntimeWarning, as with a coroutine.
    """

    def __await__(self) -> Generator[Any, Any, _T_co]: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Any: ...
    def __del__(self) -> None: ...
    def send(self, value: Any, /) -> Any:
        """Resume it: returns what it waits for, or raises StopIteration with the result."""

    @overload
    def throw(
        self,
        typ: type[BaseException],
        val: BaseException | object = None,
        tb: TracebackType | None = None,
        /,
    ) -> Any:
        """End it with an exception, which is raised here."""

    @overload
    def throw(self, typ: BaseException, val: None = None, tb: TracebackType | None = None, /) -> Any: ...
    def close(self) -> None:
        """Give it up: the timer is forgotten."""

    def add_done_callback(
        self, callback: Callable[[Any], object], /, *, context: Context | None = None
    ) -> None: ...
    def cancel(self, msg: Any = None) -> bool: ...
    def get_loop(self) -> Any: ...

@overload
def sleep(delay: float) -> Coroutine[Any, Any, None]:
    """Suspend the task for ``delay`` seconds; awaiting it gives ``result``. What it returns is a ``Sleep``.

    A delay of 0 or less lets the other tasks run once. Cancelling the task forgets the timer.

    Errors: TypeError if ``delay`` is no number; when awaited, ValueError for NaN (from 3.13 on, as in asyncio)
    and RuntimeError without a running loop.

    Differs from asyncio: the argument is checked at the call, not when it is awaited, and what is returned is no
    coroutine made by ``async def``, though it has its methods. Source: ``asyncio.tasks``.
    """

@overload
def sleep(delay: float, result: _T) -> Coroutine[Any, Any, _T]: ...
def create_task(
    coro: _Coroutine[_T],
    *,
    name: object = None,
    context: Context | None = None,
    eager_start: bool = False,
) -> asyncio.Task[_T]:
    """Schedule a coroutine in the running loop; return its task: a native one, or what its task factory makes.

    With ``eager_start``, on every version, its first step runs now. RuntimeError without a running loop; TypeError if
    it is no coroutine. Source: ``asyncio.tasks``.
    """

def ensure_future(coro_or_future: Awaitable[_T], *, loop: _Loop | None = None) -> asyncio.Future[_T]:
    """Return a future as it is, and a task of the running loop for a coroutine or another awaitable.

    TypeError if it cannot be awaited; ValueError if it is a future of another loop. Source: ``asyncio.tasks``.
    """

@disjoint_base
class TaskGroupCore:
    """The native base of ``TaskGroup``. Source: ``asyncio.taskgroups``."""

    _entered: bool
    _exiting: bool
    _aborting: bool
    _parent_cancel_requested: bool
    _cancel_called: bool
    _left: bool
    _loop: asyncio.AbstractEventLoop | None
    _parent_task: asyncio.Task[Any] | None
    _tasks: set[Any]
    _errors: list[BaseException] | None
    _base_error: BaseException | None
    _on_completed_fut: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...
    def __aenter__(self) -> Coroutine[Any, Any, Self]: ...
    def __aexit__(
        self, et: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> Coroutine[Any, Any, None]: ...
    def create_task(
        self,
        coro: _Coroutine[_T],
        *,
        name: str | None = None,
        context: Context | None = None,
        eager_start: bool | None = None,
    ) -> asyncio.Task[_T]:
        """Create a new task in this group and return it; with ``eager_start``, its first step runs now."""

@disjoint_base
class Timeout:
    """An asynchronous context manager that cancels the task that entered it when a deadline passes.

    Leaving it then raises TimeoutError. Made by ``timeout()`` and ``timeout_at()``. Source: ``asyncio.timeouts``.

    Differs from asyncio: ``_timeout_handler`` is None where the timer is native.
    """

    _state: Any
    _timeout_handler: asyncio.Handle | None
    _task: asyncio.Task[Any] | None
    _cancelling: int
    _when: float | None
    def __init__(self, when: float | None) -> None: ...
    def when(self) -> float | None:
        """Return the deadline, in the loop's seconds, or None."""

    def reschedule(self, when: float | None, /) -> None:
        """Change the deadline. RuntimeError before it was entered and after it has expired or was left."""

    def expired(self) -> bool:
        """Return whether the deadline has passed."""

    def _on_timeout(self) -> None: ...
    def _insert_timeout_error(self, exc_val: BaseException, /) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None: ...

def timeout(delay: float | None) -> Timeout:
    """Return a timeout that expires ``delay`` seconds from now; None: never. RuntimeError without a running loop."""

def timeout_at(when: float | None) -> Timeout:
    """Return a timeout that expires at a time of the loop's clock; None: never."""

def gather(*coros_or_futures: Awaitable[Any], return_exceptions: bool = False) -> asyncio.Future[list[Any]]:
    """Return a future for the list of their results, in the order given; a coroutine becomes a task.

    Fails as soon as one of them does, unless ``return_exceptions``: then exceptions are results. Cancelling it cancels
    every child. Source: ``asyncio.tasks``.
    """

def wait(
    fs: Iterable[asyncio.Future[_T]],
    *,
    timeout: float | None = None,
    return_when: str = "ALL_COMPLETED",
) -> Coroutine[Any, Any, tuple[set[asyncio.Future[_T]], set[asyncio.Future[_T]]]]:
    """Wait until all futures have ended, or the first has, or the first has failed; return (done, pending).

    When ``timeout`` seconds have passed it returns what there is; it raises nothing and cancels nothing. Neither does
    cancelling it. TypeError for coroutines, ValueError for no futures. Source: ``asyncio.tasks``.
    """

def wait_for(fut: Awaitable[_T], timeout: float | None) -> Coroutine[Any, Any, _T]:
    """Wait for a result, for at most ``timeout`` seconds; None: for ever.

    When time is up, what is awaited is cancelled and waited for, then TimeoutError is raised. Cancelling it cancels
    what is awaited. Before 3.12 a coroutine runs in a task of its own. Source: ``asyncio.tasks``.
    """

@final
class _AsCompletedIterator(Iterator[Coroutine[Any, Any, _T]], AsyncIterator[asyncio.Future[_T]]):
    """What ``as_completed()`` returns."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> Coroutine[Any, Any, _T]: ...
    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Coroutine[Any, Any, asyncio.Future[_T]]: ...

def as_completed(fs: Iterable[Awaitable[_T]], *, timeout: float | None = None) -> _AsCompletedIterator[_T]:
    """Iterate over awaitables in the order in which they end.

    ``for`` gives coroutines, each of which returns the next result; ``async for`` gives the futures themselves, on every
    version of Python (asyncio: from 3.13 on). When ``timeout`` seconds have passed, what is left raises TimeoutError.
    TypeError if it is given one awaitable; before 3.13, when it is iterated over. Source: ``asyncio.tasks``.
    """

def shield(arg: Awaitable[_T]) -> asyncio.Future[_T]:
    """Return a future for an awaitable's outcome, the cancellation of which does not reach it.

    Cancelling the awaitable itself cancels the future. What is done already is returned as it is. Keep a reference to
    what is shielded: the loop holds none to a task that waits. From 3.14 on the loop's exception handler is told when
    it fails after the future was cancelled. TypeError for what is not awaitable. Source: ``asyncio.tasks``.
    """

def _prepare() -> None: ...
def live_tasks() -> list[Task[Any]]:
    """Every native task that was started and has not finished, of all loops and threads. Not in asyncio."""

def unfinished_tasks(event_loop: object) -> set[Task[Any]]:
    """The native tasks of a loop that were started and have not finished. Not in asyncio."""

@disjoint_base
class SocketTransport(_FlowControlMixin):
    """A connected stream socket and its protocol. Made by the loop.

    Writes try the socket at once; what it does not take is copied and sent when it does. The protocol is called in
    the context in which the transport was made. One that was not closed is a ResourceWarning when it dies.

    ``get_extra_info()`` knows ``socket``, ``sockname`` and ``peername``. Source: ``asyncio.selector_events``.
    """

    @property
    def _loop(self) -> Any: ...
    @property
    def _protocol(self) -> Any: ...
    @property
    def _sock(self) -> socket | None: ...
    @property
    def _sock_fd(self) -> int: ...
    @property
    def _server(self) -> Any: ...
    @property
    def _extra(self) -> Any: ...
    @property
    def _closing(self) -> bool: ...
    @property
    def _paused(self) -> bool: ...
    @property
    def _eof(self) -> bool: ...
    @property
    def _conn_lost(self) -> int: ...
    @property
    def _protocol_paused(self) -> bool: ...
    @property
    def _high_water(self) -> int: ...
    @property
    def _low_water(self) -> int: ...
    @property
    def _empty_waiter(self) -> Any: ...
    @property
    def _start_tls_compatible(self) -> bool: ...
    @property
    def _sendfile_compatible(self) -> Any: ...
    def __init__(
        self,
        loop: LoopCore,
        sock: socket,
        protocol: asyncio.BaseProtocol,
        extra: dict[str, Any],
        server: Any,
        context: Context | None,
        /,
    ) -> None: ...
    def __del__(self) -> None: ...
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the connection, by name; ``default`` if nothing is."""

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol."""

    def set_protocol(self, protocol: asyncio.BaseProtocol, /) -> None:
        """Let another protocol get what is read. A BufferedProtocol gives the buffer to read into."""

    def is_reading(self) -> bool:
        """Whether it reads: it is open and not paused."""

    def pause_reading(self) -> None:
        """Stop reading. No effect if it is paused or closing."""

    def resume_reading(self) -> None:
        """Read again. No effect if it is not paused, or closing."""

    def write(self, data: _Data, /) -> None:
        """Write; never blocks.

        TypeError if it is not bytes-like; RuntimeError after ``write_eof()`` and during ``sendfile()``.
        """

    def writelines(self, list_of_data: Iterable[_Data], /) -> None:
        """Write several pieces with one system call, as if joined."""

    def write_eof(self) -> None:
        """Close the writing side after what is buffered was sent."""

    def can_write_eof(self) -> Literal[True]:
        """True."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the water marks, in bytes: above ``high`` the protocol is paused, at ``low`` it is resumed.

        64 KiB and a quarter of it by default. ValueError unless high >= low >= 0.
        """

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """The water marks (low, high), in bytes."""

    def get_write_buffer_size(self) -> int:
        """How many bytes wait to be sent."""

    def is_closing(self) -> bool:
        """Whether it is closing or closed."""

    def close(self) -> None:
        """Stop reading, send what is buffered, then call ``connection_lost(None)``."""

    def abort(self) -> None:
        """Close now: what is buffered is lost, ``connection_lost(None)`` is called soon."""

    def _begin_reading(self) -> None: ...
    def _vacate(self) -> None: ...
    def _force_close(self, exc: BaseException | None, /) -> None: ...
    def _fatal_error(self, exc: BaseException, message: str = ...) -> None: ...
    def _call_connection_lost(self, exc: BaseException | None, /) -> None: ...
    def _make_empty_waiter(self) -> asyncio.Future[None]: ...
    def _reset_empty_waiter(self) -> None: ...

@final
class SSLTransport(_FlowControlMixin):
    """A TLS connection, as its application's protocol sees it. Made by the loop.

    Writes are encrypted and sent at once. What is written while ``data_received()`` runs leaves together after it.
    One that was not closed is a ResourceWarning when it dies.

    ``get_extra_info()`` knows ``sslcontext``, ``ssl_object``, ``peercert``, ``cipher``, ``compression``, and what
    the transport below knows. Source: ``asyncio.sslproto``.
    """

    @property
    def _loop(self) -> Any: ...
    @property
    def _ssl_protocol(self) -> Any: ...
    @property
    def _closed(self) -> bool: ...
    @property
    def _protocol_paused(self) -> bool: ...
    @property
    def _start_tls_compatible(self) -> bool: ...
    @property
    def _sendfile_compatible(self) -> Any: ...
    def __del__(self) -> None: ...
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the connection, by name; ``default`` if nothing is."""

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol."""

    def set_protocol(self, protocol: asyncio.BaseProtocol, /) -> None:
        """Let another protocol get what is read. A BufferedProtocol gives the buffer to read into."""

    def is_reading(self) -> bool:
        """Whether it reads: it is not paused."""

    def pause_reading(self) -> None:
        """Stop giving data to the protocol."""

    def resume_reading(self) -> None:
        """Give data to the protocol again, soon."""

    def write(self, data: _Data, /) -> None:
        """Write; never blocks. TypeError if it is not bytes-like."""

    def writelines(self, list_of_data: Iterable[_Data], /) -> None:
        """Write several pieces as if joined."""

    def write_eof(self) -> None:
        """NotImplementedError: TLS cannot be half-closed."""

    def can_write_eof(self) -> Literal[False]:
        """False."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the water marks for writing, in bytes: from ``high`` on the protocol is paused, at ``low`` resumed.

        512 KiB and a quarter of it by default. ValueError unless high >= low >= 0.
        """

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """The water marks (low, high) for writing, in bytes."""

    def get_write_buffer_size(self) -> int:
        """How many bytes wait for the transport below."""

    def set_read_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the water marks for reading, in bytes: from ``high`` on the transport below is paused.

        256 KiB and a quarter of it by default. ValueError unless high >= low >= 0.
        """

    def get_read_buffer_limits(self) -> tuple[int, int]:
        """The water marks (low, high) for reading, in bytes."""

    def get_read_buffer_size(self) -> int:
        """How many bytes were received and not decrypted yet."""

    def is_closing(self) -> bool:
        """Whether it is closing or closed."""

    def close(self) -> None:
        """Send what is buffered, say so to the peer, wait for it to say so; then ``connection_lost(None)``."""

    def abort(self) -> None:
        """Close now: what is buffered is lost, ``connection_lost(None)`` is called soon."""

    def _force_close(self, exc: BaseException | None, /) -> None: ...
    def _test__append_write_backlog(self, data: _Data, /) -> None: ...

@final
class SSLProtocol(asyncio.BufferedProtocol):
    """TLS between a transport and a protocol. Made by the loop.

    ``get_buffer()`` and ``buffer_updated()`` are for transports that are not ours; ours hand over what they have
    received as it lies in the loop's buffer. Source: ``asyncio.sslproto``.
    """

    _sslobj: Any
    @property
    def _loop(self) -> Any: ...
    @property
    def _app_protocol(self) -> Any: ...
    @property
    def _app_transport(self) -> Any: ...
    @property
    def _transport(self) -> Any: ...
    @property
    def _sslcontext(self) -> Any: ...
    @property
    def _extra(self) -> Any: ...
    @property
    def _waiter(self) -> Any: ...
    @property
    def _server_side(self) -> bool: ...
    @property
    def _server_hostname(self) -> str | None: ...
    @property
    def _app_reading_paused(self) -> bool: ...
    @property
    def _is_direct(self) -> bool:
        """Whether OpenSSL is used without ``ssl.MemoryBIO``. Not in asyncio."""

    def __init__(
        self,
        loop: _Loop,
        app_protocol: asyncio.BaseProtocol,
        sslcontext: SSLContext | None,
        waiter: asyncio.Future[None] | None,
        server_side: bool = False,
        server_hostname: str | None = None,
        call_connection_made: bool = True,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> None:
        """ValueError for a timeout that is not positive, and for a server without a context."""

    # Their arguments have names in asyncio, but only transports call them.
    def connection_made(self, transport: asyncio.BaseTransport, /) -> None:
        """Start the handshake over a transport."""

    def connection_lost(self, exc: Exception | None, /) -> None:
        """The transport below is closed."""

    def get_buffer(self, sizehint: int, /) -> bytearray:
        """A buffer for the transport to receive into."""

    def buffer_updated(self, nbytes: int, /) -> None:
        """So many bytes were received into the buffer."""

    def eof_received(self) -> bool:
        """The transport below gets no more; whether it is to stay open."""

    def pause_writing(self) -> None:
        """The transport below has enough to send."""

    def resume_writing(self) -> None:
        """The transport below takes more."""

    def _do_read(self) -> None: ...
    def _resume(self) -> None: ...
    def _start_shutdown(self) -> None: ...
    def _check_handshake_timeout(self) -> None: ...
    def _check_shutdown_timeout(self) -> None: ...
    def _abort(self, exc: BaseException | None, /) -> None: ...
    def _fatal_error(self, exc: BaseException | None, message: str = ...) -> None: ...
    def _set_app_protocol(self, app_protocol: asyncio.BaseProtocol, /) -> None: ...
    def _get_extra_info(self, name: str, default: Any = None) -> Any: ...

@disjoint_base
class DatagramTransport(_FlowControlMixin):
    """A datagram socket and its protocol. Made by the loop.

    A datagram is sent at once; what the socket does not take is copied and sent when it does. An OSError goes to the
    protocol's ``error_received()`` and ends nothing. Several datagrams are received when the socket is readable. One
    that was not closed is a ResourceWarning when it dies.

    ``get_extra_info()`` knows ``socket``, ``sockname`` and ``peername``. Source: ``asyncio.selector_events``.
    """

    @property
    def _loop(self) -> Any: ...
    @property
    def _protocol(self) -> Any: ...
    @property
    def _sock(self) -> socket | None: ...
    @property
    def _sock_fd(self) -> int: ...
    @property
    def _extra(self) -> Any: ...
    @property
    def _address(self) -> Any: ...
    @property
    def _closing(self) -> bool: ...
    @property
    def _paused(self) -> bool: ...
    @property
    def _conn_lost(self) -> int: ...
    @property
    def _protocol_paused(self) -> bool: ...
    @property
    def _buffer_size(self) -> int: ...
    @property
    def _high_water(self) -> int: ...
    @property
    def _low_water(self) -> int: ...
    def __init__(
        self,
        loop: LoopCore,
        sock: socket,
        protocol: asyncio.BaseProtocol,
        address: Any,
        extra: dict[str, Any],
        /,
    ) -> None: ...
    def __del__(self) -> None: ...
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the socket, by name; ``default`` if nothing is."""

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol."""

    def set_protocol(self, protocol: asyncio.BaseProtocol, /) -> None:
        """Let another protocol get what is received."""

    def is_reading(self) -> bool:
        """Whether it receives: it is open and not paused."""

    def pause_reading(self) -> None:
        """Stop receiving. No effect if it is paused or closing."""

    def resume_reading(self) -> None:
        """Receive again. No effect if it is not paused, or closing."""

    def sendto(self, data: _Data, addr: Any = None) -> None:
        """Send a datagram; never blocks.

        TypeError if it is not bytes-like; ValueError if the transport has another address. An empty one is sent from
        3.13 on.
        """

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the water marks for writing, in bytes. Default: 64 KiB and a quarter of it.

        ValueError unless ``high >= low >= 0``.
        """

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """The water marks (low, high), in bytes."""

    def get_write_buffer_size(self) -> int:
        """How many bytes wait to be sent; from 3.13 on with 8 more for each datagram."""

    def is_closing(self) -> bool:
        """Whether it is closing or closed."""

    def close(self) -> None:
        """Close after what is buffered was sent; nothing is received any more."""

    def abort(self) -> None:
        """Close now; what is buffered is lost."""

    def _begin_reading(self) -> None: ...
    def _read_ready(self) -> None: ...
    def _sendto_ready(self) -> None: ...
    def _force_close(self, exc: BaseException | None, /) -> None: ...
    def _fatal_error(self, exc: BaseException, message: str = "Fatal error on transport") -> None: ...
    def _call_connection_lost(self, exc: BaseException | None, /) -> None: ...

@disjoint_base
class ReadPipeTransport(asyncio.ReadTransport):
    """The end of a pipe that is read, and its protocol. Made by the loop.

    What comes is read into a buffer of the loop's and given to ``data_received()`` as ``bytes``. A protocol that fails
    there is reported and goes on. One that was not closed is a ResourceWarning when it dies.

    ``get_extra_info()`` knows ``pipe``. Source: ``asyncio.unix_events``.
    """

    _pipe: Any
    @property
    def _loop(self) -> Any: ...
    @property
    def _protocol(self) -> Any: ...
    @property
    def _fileno(self) -> int: ...
    @property
    def _extra(self) -> Any: ...
    @property
    def _closing(self) -> bool: ...
    @property
    def _paused(self) -> bool: ...
    def __init__(
        self, loop: LoopCore, pipe: Any, protocol: asyncio.BaseProtocol, extra: dict[str, Any], /
    ) -> None: ...
    def __del__(self) -> None: ...
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the pipe, by name; ``default`` if nothing is."""

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol."""

    def set_protocol(self, protocol: asyncio.BaseProtocol, /) -> None:
        """Let another protocol get what is read."""

    def is_reading(self) -> bool:
        """Whether it reads: it is open and not paused."""

    def pause_reading(self) -> None:
        """Stop reading. No effect if it is paused or closing."""

    def resume_reading(self) -> None:
        """Read again. No effect if it is not paused, or closing."""

    def is_closing(self) -> bool:
        """Whether it is closing or closed."""

    def close(self) -> None:
        """Stop reading, then call ``connection_lost(None)`` and close the pipe."""

    def _begin(self) -> None: ...
    def _call_connection_lost(self, exc: BaseException | None, /) -> None: ...

@disjoint_base
class WritePipeTransport(_FlowControlMixin):
    """The end of a pipe that is written, and its protocol. Made by the loop.

    Writes try the pipe at once; what it does not take is copied and sent when it does. That the reader goes away is
    noticed, and ends it. One that was not closed is a ResourceWarning when it dies.

    ``get_extra_info()`` knows ``pipe``. Source: ``asyncio.unix_events``.
    """

    _pipe: Any
    @property
    def _loop(self) -> Any: ...
    @property
    def _protocol(self) -> Any: ...
    @property
    def _fileno(self) -> int: ...
    @property
    def _extra(self) -> Any: ...
    @property
    def _closing(self) -> bool: ...
    @property
    def _conn_lost(self) -> int: ...
    @property
    def _protocol_paused(self) -> bool: ...
    @property
    def _high_water(self) -> int: ...
    @property
    def _low_water(self) -> int: ...
    def __init__(
        self, loop: LoopCore, pipe: Any, protocol: asyncio.BaseProtocol, extra: dict[str, Any], /
    ) -> None: ...
    def __del__(self) -> None: ...
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the pipe, by name; ``default`` if nothing is."""

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol."""

    def set_protocol(self, protocol: asyncio.BaseProtocol, /) -> None:
        """Let another protocol be told."""

    def write(self, data: _Data, /) -> None:
        """Write; never blocks. TypeError if it is not bytes-like."""

    def write_eof(self) -> None:
        """The same as ``close()``: a pipe has one direction."""

    def can_write_eof(self) -> Literal[True]:
        """True."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the water marks, in bytes: above ``high`` the protocol is paused, at ``low`` it is resumed.

        64 KiB and a quarter of it by default. ValueError unless high >= low >= 0.
        """

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """The water marks (low, high), in bytes."""

    def get_write_buffer_size(self) -> int:
        """How many bytes wait to be sent."""

    def is_closing(self) -> bool:
        """Whether it is closing or closed."""

    def close(self) -> None:
        """Send what is buffered, then call ``connection_lost(None)`` and close the pipe."""

    def abort(self) -> None:
        """Close now: what is buffered is lost, ``connection_lost(None)`` is called soon."""

    def _begin(self) -> None: ...
    def _call_connection_lost(self, exc: BaseException | None, /) -> None: ...

@final
class Listener:
    """A listening socket of a server: accepts connections and makes their transports. Made by the loop.

    Source: ``asyncio.selector_events``.
    """

    @property
    def _sock(self) -> Any: ...
    @property
    def _server(self) -> Any: ...
    def __init__(
        self,
        loop: LoopCore,
        protocol_factory: Callable[[], Any],
        sock: socket,
        kind: tuple[int, int, int],
        server: Any,
        backlog: int,
        sslcontext: Any,
        timeouts: dict[str, float | None],
        context: Context | None,
        plain: bool,
        /,
    ) -> None: ...
    def _watch(self) -> None: ...

@disjoint_base
class LoopCore:
    """The native base of ``aioxide.EventLoop``: what happens per event.

    Source: ``asyncio.base_events``, ``asyncio.selector_events``.
    """

    _closed: bool
    _debug: bool
    _stopping: bool
    _task_factory: Callable[..., Any] | None
    _idle: Callable[[float | None], float | None] | None
    _observer: Callable[[Task[Any], BaseException], object] | None
    _thread_id: int | None
    def __setattr__(self, name: str, value: Any, /) -> None:
        """A method that is replaced on the loop, or in a subclass, is called by native code, too."""

    def __delattr__(self, name: str, /) -> None: ...
    def call_soon(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> Handle:
        """Call ``callback(*args)`` in the loop's next round, in order. RuntimeError if the loop is closed."""

    def call_soon_threadsafe(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> Handle:
        """Like ``call_soon()``, from any thread; wakes the loop up if it sleeps."""

    def call_later(
        self,
        delay: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> TimerHandle:
        """Call ``callback(*args)`` after ``delay`` seconds; see ``call_at()``."""

    def call_at(
        self,
        when: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> TimerHandle:
        """Call ``callback(*args)`` when ``loop.time()`` is ``when``, in seconds; never earlier.

        RuntimeError if the loop is closed, TypeError for None. Differs from asyncio: NaN is a ValueError.
        """

    def time(self) -> float:
        """The loop's clock, in seconds: that of ``time.monotonic()``."""

    def create_future(self) -> Future[Any]:
        """A pending future of this loop."""

    # asyncio's type: a task factory may make any.
    def create_task(
        self,
        coro: _Coroutine[_T],
        *,
        name: object = None,
        context: Context | None = None,
        eager_start: bool | None = None,
    ) -> asyncio.Task[_T]:
        """Schedule a coroutine; return its task: a native one, or what the task factory makes.

        RuntimeError if the loop is closed.
        """

    # The calls on sockets complete at once where they can: nothing is watched then. In debug mode a socket that would
    # block is a ValueError. Cancelled, they stop watching.
    def sock_recv(self, sock: socket, n: int) -> Coroutine[Any, Any, bytes]:
        """Receive up to ``n`` bytes; none is the end of the stream."""

    def sock_recv_into(self, sock: socket, buf: Buffer) -> Coroutine[Any, Any, int]:
        """Receive into a buffer; return how many bytes."""

    def sock_recvfrom(self, sock: socket, bufsize: int) -> Coroutine[Any, Any, tuple[bytes, Any]]:
        """Receive a datagram of up to ``bufsize`` bytes; return it and its sender's address."""

    def sock_recvfrom_into(
        self, sock: socket, buf: Buffer, nbytes: int = 0
    ) -> Coroutine[Any, Any, tuple[int, Any]]:
        """Receive a datagram into a buffer, all of it for 0; return its size and its sender's address."""

    def sock_sendall(self, sock: socket, data: Buffer) -> Coroutine[Any, Any, None]:
        """Send until all is sent. After an error or a cancellation nobody knows how much was."""

    def sock_sendto(self, sock: socket, data: Buffer, address: Any) -> Coroutine[Any, Any, int]:
        """Send a datagram to an address; return how many bytes."""

    def sock_connect(self, sock: socket, address: Any) -> Coroutine[Any, Any, None]:
        """Connect to an address. A name is looked up as ``getaddrinfo()`` does."""

    def sock_accept(self, sock: socket) -> Coroutine[Any, Any, tuple[socket, Any]]:
        """Accept a connection; return its socket, which does not block, and the peer's address."""

    def stop(self) -> None:
        """Stop after the callbacks that are ready now."""

    def is_running(self) -> bool:
        """Whether it is running."""

    def is_closed(self) -> bool:
        """Whether it was closed."""

    def get_debug(self) -> bool:
        """Whether it is in debug mode."""

    def _send_file(self, sock: socket, fileno: int, offset: int, count: int) -> Coroutine[Any, Any, int]: ...
    def _open(self, *, strict_polling: bool = False) -> None: ...
    def _close_engine(self) -> None: ...
    def _run_once(self) -> None: ...
    #: Calls it; ``_run_once()`` then runs all iterations.
    def _run_whole(self, run_forever: Callable[[], None], wakeup_fd: int) -> None: ...
    #: (number of the callback, whether callbacks are running, thread id). RuntimeError if closed. From any thread.
    def _probe(self) -> tuple[int, bool, int | None]: ...
    def _write_to_self(self) -> None: ...
    def _add_callback(self, handle: asyncio.Handle, /) -> None: ...
    def _add_callback_signalsafe(self, handle: asyncio.Handle, /) -> None: ...
    def _ready_list(self) -> list[Any]: ...
    def _ready_pop(self) -> Any: ...
    def _ready_append(self, handle: Any, /) -> None: ...
    def _ready_clear(self) -> None: ...
    def _timer_list(self) -> list[Any]: ...
    def _timer_clear(self) -> None: ...
    def _add_reader(self, fd: Any, callback: Callable[..., object], /, *args: Any) -> asyncio.Handle: ...
    def _add_writer(self, fd: Any, callback: Callable[..., object], /, *args: Any) -> asyncio.Handle: ...
    def _remove_reader(self, fd: Any, /) -> bool: ...
    def _remove_writer(self, fd: Any, /) -> bool: ...
    def _has_native_transport(self, fd: Any, /) -> bool: ...
    def _is_occupied(self, fd: Any, /) -> bool: ...
    #: Who is told, or None: (reader, writer). KeyError if nobody is.
    def _watched(self, fd: Any, /) -> tuple[Any, Any]: ...
    def _watched_fds(self) -> dict[int, int]: ...
    def _epoll_fd(self) -> int: ...
    def _drive(self, capsule: Any, /) -> bool: ...

@disjoint_base
class LockCore:
    """The native base of ``Lock``. Source: ``asyncio.locks``."""

    _locked: bool
    _waiters: Any
    _loop: asyncio.AbstractEventLoop | None

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...
    def locked(self) -> bool:
        """Return whether it cannot be acquired at once."""

    def acquire(self) -> Coroutine[Any, Any, Literal[True]]:
        """Acquire it, waiting if need be."""

    def release(self) -> None:
        """Release it."""

    def __aenter__(self) -> Coroutine[Any, Any, None]: ...
    def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> Coroutine[Any, Any, None]: ...
    def _get_loop(self) -> asyncio.AbstractEventLoop: ...
    def _wake_up_first(self) -> None: ...

@disjoint_base
class ConditionCore:
    """The native base of ``Condition``. Source: ``asyncio.locks``."""

    _lock: Any
    _waiters: Any
    _loop: asyncio.AbstractEventLoop | None

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...
    def __aenter__(self) -> Coroutine[Any, Any, None]: ...
    def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> Coroutine[Any, Any, None]: ...
    def wait(self) -> Coroutine[Any, Any, Literal[True]]:
        """Release the lock, wait for a notification, acquire the lock again."""

    def wait_for(self, predicate: Callable[[], _T], /) -> Coroutine[Any, Any, _T]:
        """Wait until the predicate is true; return its value."""

    def notify(self, n: int = 1) -> None:
        """Wake up to n of those who wait."""

    def notify_all(self) -> None:
        """Wake all who wait."""

    def _notify(self, n: int, /) -> None: ...
    def _get_loop(self) -> asyncio.AbstractEventLoop: ...

@disjoint_base
class BarrierCore:
    """The native base of ``Barrier``. Source: ``asyncio.locks``."""

    _cond: Any
    _parties: int
    _state: Any
    _count: int

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...
    def wait(self) -> Coroutine[Any, Any, int]:
        """Wait until so many wait; return an index of its own to each."""

    # typeshed says Self; it is the index, as wait() returns it.
    def __aenter__(self) -> Coroutine[Any, Any, Any]: ...

@disjoint_base
class SemaphoreCore:
    """The native base of semaphores. Source: ``asyncio.locks``."""

    _value: Any
    _bound_value: Any
    _waiters: Any
    _loop: asyncio.AbstractEventLoop | None

    def __init__(self, value: int = 1) -> None: ...
    def locked(self) -> bool:
        """Return whether it cannot be acquired at once."""

    def acquire(self) -> Coroutine[Any, Any, Literal[True]]:
        """Acquire it, waiting if need be."""

    def release(self) -> None:
        """Release it."""

    def __aenter__(self) -> Coroutine[Any, Any, None]: ...
    def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> Coroutine[Any, Any, None]: ...
    def _get_loop(self) -> asyncio.AbstractEventLoop: ...
    def _wake_up_next(self) -> Any: ...

@disjoint_base
class EventCore:
    """The native base of ``Event``. Source: ``asyncio.locks``."""

    _value: bool
    _waiters: Any
    _loop: asyncio.AbstractEventLoop | None

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...
    def is_set(self) -> bool:
        """Return whether the flag is set."""

    def set(self) -> None:
        """Set the flag and wake all who wait."""

    def clear(self) -> None:
        """Take the flag back."""

    def wait(self) -> Coroutine[Any, Any, Literal[True]]:
        """Wait until the flag is set."""

    def _get_loop(self) -> asyncio.AbstractEventLoop: ...

@disjoint_base
class QueueCore:
    """The native base of queues. Source: ``asyncio.queues``."""

    _maxsize: Any
    _queue: Any
    _getters: Any
    _putters: Any
    _unfinished_tasks: int
    _finished: Any
    _is_shutdown: bool
    _loop: asyncio.AbstractEventLoop | None

    def __init__(self, maxsize: int = 0) -> None: ...
    @property
    def maxsize(self) -> int:
        """How many items fill it; 0 or less: it is never full."""

    def qsize(self) -> int:
        """Return the number of items."""

    def empty(self) -> bool:
        """Return whether there is no item."""

    def full(self) -> bool:
        """Return whether there are ``maxsize`` items."""

    def put(self, item: Any) -> Coroutine[Any, Any, None]:
        """Add an item, waiting until there is room. QueueShutDown after ``shutdown()``."""

    def put_nowait(self, item: Any) -> None:
        """Add an item. QueueFull if there is no room."""

    def get(self) -> Coroutine[Any, Any, Any]:
        """Take an item out, waiting until there is one. QueueShutDown if none will come."""

    def get_nowait(self) -> Any:
        """Take an item out. QueueEmpty if there is none."""

    def task_done(self) -> None:
        """Say that an item which was taken out is dealt with. ValueError if all were."""

    def join(self) -> Coroutine[Any, Any, None]:
        """Wait until all items are dealt with."""

    def shutdown(self, immediate: bool = False) -> None:
        """Let no more items in, and wake all who wait; ``immediate`` forgets the items that are there."""

    def _init(self, maxsize: int, /) -> None: ...
    def _put(self, item: Any, /) -> None: ...
    def _get(self) -> Any: ...
    def _format(self) -> str: ...
    def _wakeup_next(self, waiters: Any, /) -> None: ...
    def _get_loop(self) -> asyncio.AbstractEventLoop: ...

@disjoint_base
class StreamReaderCore:
    """The native base of ``StreamReader``: the bytes that a connection received, to be awaited.

    What is there already is read without a suspension and without a future. Source: ``asyncio.streams``.
    """

    _limit: int
    _eof: bool
    _paused: bool
    _waiter: asyncio.Future[None] | None
    _exception: BaseException | None
    _transport: Any
    _loop: Any
    @property
    def _source_traceback(self) -> StackSummary | None: ...
    def __init__(self, limit: int = 65536, loop: _Loop | None = None) -> None: ...
    def __setattr__(self, name: str, value: Any, /) -> None:
        """A method that is replaced on the reader, or in a subclass, is called by native code, too."""

    def __delattr__(self, name: str, /) -> None: ...
    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Coroutine[Any, Any, bytes]: ...
    def read(self, n: int = -1) -> Coroutine[Any, Any, bytes]:
        """Up to ``n`` bytes, as soon as there is one; empty at the end. All until the end if ``n`` is negative."""

    def readline(self) -> Coroutine[Any, Any, bytes]:
        """A line with its newline; without one only at the end. ValueError if it is longer than the limit."""

    def readexactly(self, n: int) -> Coroutine[Any, Any, bytes]:
        """Exactly ``n`` bytes; IncompleteReadError if the stream ends before."""

    def readuntil(self, separator: Buffer | tuple[Buffer, ...] = b"\n") -> Coroutine[Any, Any, bytes]:
        """Bytes up to a separator, or to the first of several in a tuple.

        IncompleteReadError if the stream ends before; LimitOverrunError if it is farther than the limit.
        """

    def feed_data(self, data: Iterable[SupportsIndex], /) -> None:
        """Append data and wake whoever waits for it. Above twice the limit the transport is paused."""

    def feed_eof(self) -> None:
        """Mark the end of the stream and wake whoever waits."""

    def at_eof(self) -> bool:
        """Whether the stream has ended and everything was read."""

    def exception(self) -> Exception | None:
        """The exception that was set."""

    def set_exception(self, exc: BaseException, /) -> None:
        """Set what every read raises from now on, one that waits included."""

    def set_transport(self, transport: Any, /) -> None:
        """Set the transport that is paused when too much waits. AssertionError if there is one."""

    def _wait_for_data(self, func_name: str, /) -> Coroutine[Any, Any, None]: ...
    def _wakeup_waiter(self) -> None: ...
    def _maybe_resume_transport(self) -> None: ...
    def _buffered(self) -> bytes: ...
    def _buffered_size(self) -> int: ...
    def _replace_buffered(self, data: Any, /) -> None: ...

@disjoint_base
class StreamWriterCore:
    """The native base of ``StreamWriter``: writes to a transport, and waits while it cannot take more.

    Source: ``asyncio.streams``.
    """

    _transport: Any
    _protocol: Any
    _reader: Any
    _loop: Any
    _complete_fut: Any
    @property
    def transport(self) -> Any:
        """The transport."""

    def __init__(self, transport: Any, protocol: Any, reader: Any, loop: Any) -> None: ...
    def write(self, data: _Data, /) -> None:
        """Write; never blocks."""

    def writelines(self, data: Iterable[_Data], /) -> None:
        """Write all of it."""

    def write_eof(self) -> None:
        """Close the writing side after what is buffered was sent."""

    def can_write_eof(self) -> bool:
        """Whether ``write_eof()`` is possible."""

    def close(self) -> None:
        """Close the transport."""

    def is_closing(self) -> bool:
        """Whether the transport is closing or closed."""

    def wait_closed(self) -> Coroutine[Any, Any, None]:
        """Wait until the connection is closed; raises what it was lost with."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the transport knows of the connection, by name."""

    def drain(self) -> Coroutine[Any, Any, None]:
        """Wait until it is right to write more; suspends nothing if it is.

        Raises the reader's exception, and ConnectionResetError once the connection is lost.
        """

@disjoint_base
class FlowControlCore:
    """The native base of ``FlowControlMixin``. Source: ``asyncio.streams``."""

    _loop: Any
    _paused: bool
    _connection_lost: bool
    _drain_waiters: Any
    def __init__(self, loop: _Loop | None = None) -> None: ...
    def __setattr__(self, name: str, value: Any, /) -> None: ...
    def __delattr__(self, name: str, /) -> None: ...
    def pause_writing(self) -> None:
        """Hold ``drain()`` back."""

    def resume_writing(self) -> None:
        """Let ``drain()`` go on."""

    def connection_lost(self, exc: BaseException | None, /) -> None:
        """Tell those who wait in ``drain()``."""

    def _drain_helper(self) -> Coroutine[Any, Any, None]: ...
    def _get_close_waiter(self, stream: Any, /) -> Any: ...

@disjoint_base
class StreamReaderProtocolCore:
    """The native base of ``StreamReaderProtocol``: hands what a transport receives to a reader.

    A native transport gives it the bytes without calling Python. Source: ``asyncio.streams``.
    """

    _loop: Any
    _paused: bool
    _connection_lost: bool
    _drain_waiters: Any
    _stream_reader_wr: Any
    _strong_reader: Any
    _stream_writer: Any
    _client_connected_cb: Any
    _task: Any
    _transport: Any
    _closed: Any
    _reject_connection: bool
    _over_ssl: bool
    _source_traceback: Any
    @property
    def _stream_reader(self) -> Any: ...
    def __init__(
        self, stream_reader: Any, client_connected_cb: Any = None, loop: _Loop | None = None
    ) -> None: ...
    def __setattr__(self, name: str, value: Any, /) -> None:
        """A method that is replaced on the protocol, or in a subclass, is called by native code, too."""

    def __delattr__(self, name: str, /) -> None: ...
    def __del__(self) -> None: ...
    def pause_writing(self) -> None:
        """Hold ``drain()`` back."""

    def resume_writing(self) -> None:
        """Let ``drain()`` go on."""

    def data_received(self, data: bytes, /) -> None:
        """Hand data to the reader."""

    def eof_received(self) -> bool:
        """Tell the reader that the stream has ended. True, to go on writing, except over TLS."""

    def connection_lost(self, exc: BaseException | None, /) -> None:
        """Tell the reader, and all who wait."""

    def _drain_helper(self) -> Coroutine[Any, Any, None]: ...
    def _get_close_waiter(self, stream: Any, /) -> Any: ...
