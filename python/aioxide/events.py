"""The event loop: ``EventLoop`` and ``new_event_loop()``.

The loop is native where things happen per event (``_aioxide.LoopCore``) and inherits from the running
version's own selector event loop what is cold: connecting, serving, executors, signals, subprocesses, debug
checks. So it does what asyncio does in that version, with asyncio's words.
"""

from __future__ import annotations

import asyncio.events
import asyncio.unix_events
import contextlib
import signal
import socket
import threading
from typing import TYPE_CHECKING, Any, TypeVarTuple

from . import loops, transports
from ._aioxide import LoopCore
from .queues_view import ReadyView, ScheduledView
from .selector import EngineSelector

if TYPE_CHECKING:
    from collections.abc import Callable

    # namespace.py adds it: what asyncio's module of this name has.
    def __getattr__(name: str) -> Any: ...


__all__ = ("EventLoop", "new_event_loop")

_Ts = TypeVarTuple("_Ts")

_StdlibLoop = asyncio.unix_events._UnixSelectorEventLoop


class EventLoop(LoopCore, _StdlibLoop):
    """asyncio's event loop, in Rust.

    ``strict_polling=True`` asks the system for events after every batch of callbacks, as asyncio does. By
    default several small batches share one poll, within 64 callbacks or about 26 microseconds of work.

    Differs from asyncio: the socket pair for signals is made when it is first needed, threads wake the loop
    up through an eventfd, and a ``call_at(nan)`` is a ``ValueError``.
    """

    if TYPE_CHECKING:
        # Of the base classes, and private there.
        _internal_fds: int
        _signal_handlers: dict[int, asyncio.Handle]

        def _check_closed(self) -> None: ...
        def _read_from_self(self) -> None: ...

    def __init__(self, selector: Any = None, *, strict_polling: bool = False) -> None:
        if selector is not None:
            raise ValueError("aioxide's event loop polls by itself and takes no selector")
        self._open(strict_polling=strict_polling)
        self._ssock: socket.socket | None = None
        self._csock: socket.socket | None = None
        super().__init__(EngineSelector(self))
        loops.register(self)

    @property
    def _ready(self) -> ReadyView:
        return ReadyView(self)

    @_ready.setter
    def _ready(self, handles: Any) -> None:
        # The base class's __init__ assigns an empty deque.
        for handle in handles:
            self._ready_append(handle)

    @property
    def _scheduled(self) -> ScheduledView:
        return ScheduledView(self)

    @_scheduled.setter
    def _scheduled(self, handles: Any) -> None:
        if handles:
            raise ValueError("timers are added by call_at()")

    def run_forever(self) -> None:
        """Run until stop() is called.

        In the main thread, signals wake the poller up through a file descriptor: one that arrives right
        before the poller sleeps is not noticed late.
        """
        wakeup_fd = -1
        if threading.current_thread() is threading.main_thread() and not (
            self.is_closed() or self.is_running()
        ):
            self._open_signal_pipe()
            assert self._csock is not None
            wakeup_fd = self._csock.fileno()
        self._run_whole(super().run_forever, wakeup_fd)

    def _open_signal_pipe(self) -> None:
        if self._ssock is not None:
            return
        self._ssock, self._csock = socket.socketpair()
        self._ssock.setblocking(False)
        self._csock.setblocking(False)
        self._add_reader(self._ssock.fileno(), self._read_from_self)

    def _make_self_pipe(self) -> None:
        # The engine has its own way to be woken up; signals get a pipe in _open_signal_pipe().
        self._internal_fds += 1

    def _close_self_pipe(self) -> None:
        self._internal_fds -= 1
        if self._ssock is None or self._csock is None:
            return
        # When a forgotten loop dies, its sockets may have died before it.
        if self._ssock.fileno() >= 0:
            self._remove_reader(self._ssock.fileno())
        self._ssock.close()
        self._csock.close()
        self._ssock = self._csock = None

    def add_signal_handler(self, sig: int, callback: Callable[[*_Ts], object], *args: *_Ts) -> None:
        """Add a handler for a signal: ``callback(*args)`` is called by the loop. Main thread only."""
        self._check_closed()
        self._open_signal_pipe()
        super().add_signal_handler(sig, callback, *args)

    def remove_signal_handler(self, sig: int) -> bool:
        """Remove a handler for a signal. Return True if there was one."""
        removed: bool = super().remove_signal_handler(sig)
        if removed and not self._signal_handlers and self.is_running() and self._csock is not None:
            # The base class has switched the wake-up descriptor off; this run still needs it.
            with contextlib.suppress(ValueError):
                signal.set_wakeup_fd(self._csock.fileno(), warn_on_full_buffer=False)
        return removed

    def _make_socket_transport(
        self,
        sock: socket.socket,
        protocol: Any,
        waiter: Any = None,
        *,
        extra: Any = None,
        server: Any = None,
        context: Any = None,
    ) -> Any:
        return transports.make_socket_transport(self, sock, protocol, waiter, extra, server, context)


def new_event_loop(*, strict_polling: bool = False) -> EventLoop:
    """Make an event loop: what ``asyncio.Runner(loop_factory=...)`` and ``asyncio.run`` ask for."""
    return EventLoop(strict_polling=strict_polling)
