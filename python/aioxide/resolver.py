"""Name look-ups: ``getaddrinfo()`` and ``getnameinfo()`` of the loop.

Addresses that are numbers are answered at once. Names go to a few threads of the loop's own, so that slow
look-ups do not hold up ``run_in_executor()``, nor the executor them.
"""

from __future__ import annotations

import asyncio.base_events
import queue
import socket
import threading
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("RESOLVER_THREADS", "Resolver", "is_numeric")

#: How many look-ups of one loop go on at the same time; more wait their turn.
RESOLVER_THREADS = 8

_getaddrinfo = socket.getaddrinfo
_getnameinfo = socket.getnameinfo
_NUMERIC = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
#: What a look-up is: a function, its arguments, its future.
_Job = tuple["Callable[..., Any]", tuple[Any, ...], "asyncio.Future[Any]"]


def is_numeric(getaddrinfo: Any, host: Any, port: Any) -> bool:
    """Whether ``getaddrinfo(host, port)`` needs no look-up, so that it can be called in the loop's thread.

    Not if somebody replaced the function: what it does is unknown.
    """
    if getaddrinfo is not _getaddrinfo or not _is_number(port):
        return False
    if isinstance(host, (bytes, bytearray)):
        try:
            host = host.decode("ascii")
        except UnicodeDecodeError:
            return False
    if not isinstance(host, str) or "\0" in host:
        return False
    try:
        if ":" in host:
            address, _, scope = host.partition("%")
            socket.inet_pton(socket.AF_INET6, address)
            if scope and not scope.isdigit():
                socket.if_nametoindex(scope)
        else:
            socket.inet_pton(socket.AF_INET, host)
    except (OSError, UnicodeEncodeError):
        return False
    return True


def names_nothing(getnameinfo: Any, sockaddr: Any, flags: Any) -> bool:
    """Whether ``getnameinfo(sockaddr, flags)`` only turns numbers into text.

    Not if somebody replaced the function: what it does is unknown.
    """
    if getnameinfo is not _getnameinfo or not isinstance(flags, int) or flags & _NUMERIC != _NUMERIC:
        return False
    return isinstance(sockaddr, tuple) and len(sockaddr) >= 2 and is_numeric(_getaddrinfo, *sockaddr[:2])


def _is_number(port: Any) -> bool:
    if port is None or isinstance(port, int):
        return True
    return isinstance(port, (str, bytes)) and (not port or port.isdigit())


class Resolver:
    """The threads of one loop that look names up. They start when they are needed, and end with the loop.

    They are daemons: a name server that does not answer does not keep the program from ending.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        # Look-ups that are going on or wait; changed in the loop's thread only.
        self._busy = 0

    async def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function in one of the threads. Cancelling it forgets the answer."""
        loop = self._loop()
        assert loop is not None
        future: asyncio.Future[Any] = loop.create_future()
        # One that was cancelled counts until its thread is free again.
        if self._busy >= len(self._threads) and len(self._threads) < RESOLVER_THREADS:
            try:
                self._start_thread()
            except RuntimeError:
                # The system has no thread left. Those that run will do it.
                if not self._threads:
                    raise
        self._busy += 1
        self._jobs.put((function, args, future))
        return await future

    def close(self) -> None:
        """End the threads, each after the look-up it is in. Called when the loop is closed."""
        for _ in self._threads:
            self._jobs.put(None)
        self._threads.clear()

    def _start_thread(self) -> None:
        name = f"aioxide-resolver-{len(self._threads)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            function, args, future = job
            answer: Any = None
            failure: BaseException | None = None
            if not future.cancelled():
                try:
                    answer = function(*args)
                except BaseException as exc:
                    failure = exc
            self._deliver(future, answer, failure)
            # What was looked up shall not live until the next look-up.
            del job, function, args, future, answer, failure

    def _deliver(self, future: asyncio.Future[Any], answer: Any, failure: BaseException | None) -> None:
        loop = self._loop()
        if loop is None or loop.is_closed():
            return
        try:
            loop.call_soon_threadsafe(self._finish, future, answer, failure)
        except RuntimeError:
            # Closed since: nobody waits any more.
            if not loop.is_closed():
                raise

    def _finish(self, future: asyncio.Future[Any], answer: Any, failure: BaseException | None) -> None:
        self._busy -= 1
        if future.cancelled():
            return
        if failure is None:
            future.set_result(answer)
        else:
            future.set_exception(failure)


def socket_module() -> Any:
    """The ``socket`` that asyncio's loop uses: tests put another in its place."""
    return asyncio.base_events.socket  # type: ignore[attr-defined]
