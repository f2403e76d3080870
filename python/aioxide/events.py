"""The event loop: ``EventLoop`` and ``new_event_loop()``.

The loop is native where things happen per event (``_aioxide.LoopCore``) and inherits from the running
version's own selector event loop what is cold: connecting, serving, executors, signals, subprocesses, debug
checks. So it does what asyncio does in that version, with asyncio's words.
"""

from __future__ import annotations

import asyncio.constants
import asyncio.events
import asyncio.unix_events
import contextlib
import functools
import signal
import socket
import threading
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, cast

from . import datagrams, loops, pipes, resolver, servers, sslproto, subprocesses, transports
from ._aioxide import LoopCore
from .queues_view import ReadyView, ScheduledView
from .selector import EngineSelector

if TYPE_CHECKING:
    import contextvars
    import ssl
    from collections.abc import Callable

    # namespace.py adds it: what asyncio's module of this name has.
    def __getattr__(name: str) -> Any: ...


__all__ = ("EventLoop", "new_event_loop")

_F = TypeVar("_F", bound="Callable[..., Any]")
_Ts = TypeVarTuple("_Ts")

_StdlibLoop = asyncio.unix_events._UnixSelectorEventLoop


def _as_in(method: Any) -> Callable[[_F], _F]:
    """Give a method the signature that the running version's has."""
    return cast("Callable[[_F], _F]", functools.wraps(method))


class EventLoop(LoopCore, _StdlibLoop):
    """asyncio's event loop, in Rust.

    ``strict_polling=True`` asks the system for events after every batch of callbacks, as asyncio does. By
    default several small batches share one poll, within 64 callbacks or about 26 microseconds of work.

    Differs from asyncio: the socket pair for signals is made when it is first needed, threads wake the loop
    up through an eventfd, and a ``call_at(nan)`` is a ``ValueError``.
    """

    # Made by the first look-up.
    _resolver: resolver.Resolver | None = None

    if TYPE_CHECKING:
        # Of the base classes, and private there.
        _internal_fds: int
        _signal_handlers: dict[int, asyncio.Handle]

        def _check_closed(self) -> None: ...
        def _getaddrinfo_debug(self, *args: Any) -> Any: ...
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
        # A garbage collection may have closed the socket before it came to the loop.
        if (fd := self._ssock.fileno()) >= 0:
            self._remove_reader(fd)
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

    def _make_read_pipe_transport(
        self, pipe: Any, protocol: Any, waiter: Any = None, extra: Any = None
    ) -> Any:
        return pipes.make_read_pipe_transport(self, pipe, protocol, waiter, extra)

    def _make_write_pipe_transport(
        self, pipe: Any, protocol: Any, waiter: Any = None, extra: Any = None
    ) -> Any:
        return pipes.make_write_pipe_transport(self, pipe, protocol, waiter, extra)

    async def create_datagram_endpoint(
        self,
        protocol_factory: Any,
        local_addr: Any = None,
        remote_addr: Any = None,
        *,
        sock: Any = None,
        **options: Any,
    ) -> Any:
        transport, protocol = await super().create_datagram_endpoint(
            protocol_factory, local_addr, remote_addr, sock=sock, **options
        )
        if sock is not None:
            # The caller has it, and may change its options between two datagrams: each is sent at once.
            transport.get_extra_info("socket")
        return transport, protocol

    def _make_datagram_transport(
        self, sock: Any, protocol: Any, address: Any = None, waiter: Any = None, extra: Any = None
    ) -> Any:
        if not datagrams.is_native(sock):
            return super()._make_datagram_transport(sock, protocol, address, waiter, extra)  # type: ignore[misc]
        self._ensure_fd_no_transport(sock)
        return datagrams.make_datagram_transport(self, sock, protocol, address, waiter, extra)

    async def _sendfile_native(self, transp: Any, file: Any, offset: int, count: int | None) -> int:
        fd = transp._sock_fd
        if self._is_occupied(fd):
            # asyncio takes the transport out of its table meanwhile. That of an accepted connection was not there.
            transp._vacate()
            self._transports[fd] = transp  # type: ignore[attr-defined]
        return await super()._sendfile_native(transp, file, offset, count)  # type: ignore[misc,no-any-return]

    async def _sock_sendfile_native(self, sock: Any, file: Any, offset: int, count: int | None) -> int:
        if type(sock) is socket.socket and sock.gettimeout() == 0:
            fileno = transports.file_to_send(file)
            if fileno is not None:
                return await self._send_file(sock, fileno, offset, count or 0)
        # Its errors say what is wrong, and it knows sockets with methods of their own.
        return await super()._sock_sendfile_native(sock, file, offset, count)  # type: ignore[misc,no-any-return]

    async def _make_subprocess_transport(
        self,
        protocol: Any,
        args: Any,
        shell: bool,
        stdin: Any,
        stdout: Any,
        stderr: Any,
        bufsize: int,
        extra: Any = None,
        **kwargs: Any,
    ) -> Any:
        make = subprocesses.make_subprocess_transport
        if subprocesses.chosen_watcher() is not None:
            make = _StdlibLoop._make_subprocess_transport  # type: ignore[attr-defined]
        return await make(self, protocol, args, shell, stdin, stdout, stderr, bufsize, extra, **kwargs)

    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        """Look a name up, as ``socket.getaddrinfo()`` does. Numeric addresses are answered at once."""
        function = resolver.socket_module().getaddrinfo
        numeric = resolver.is_numeric(function, host, port)
        if self.get_debug():
            function = self._getaddrinfo_debug
        arguments = (host, port, family, type, proto, flags)
        if numeric:
            return function(*arguments)
        return await self._look_up(function, *arguments)

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> Any:
        """Look the name of an address up, as ``socket.getnameinfo()`` does."""
        function = resolver.socket_module().getnameinfo
        if resolver.names_nothing(function, sockaddr, flags):
            return function(sockaddr, flags)
        return await self._look_up(function, sockaddr, flags)

    async def _look_up(self, function: Callable[..., Any], *args: Any) -> Any:
        self._check_closed()
        if self._resolver is None:
            self._resolver = resolver.Resolver(self)
        return await self._resolver.call(function, *args)

    def close(self) -> None:
        """Close the loop. It must not be running."""
        super().close()
        if self._resolver is not None:
            self._resolver.close()
            self._resolver = None

    def _start_serving(
        self,
        protocol_factory: Any,
        sock: Any,
        sslcontext: Any = None,
        server: Any = None,
        backlog: int = 100,
        ssl_handshake_timeout: float | None = asyncio.constants.SSL_HANDSHAKE_TIMEOUT,
        ssl_shutdown_timeout: float | None = asyncio.constants.SSL_SHUTDOWN_TIMEOUT,
        context: contextvars.Context | None = None,
    ) -> None:
        timeouts = {
            "ssl_handshake_timeout": ssl_handshake_timeout,
            "ssl_shutdown_timeout": ssl_shutdown_timeout,
        }
        plain = not any(self._is_replaced(name) for name in ("_make_socket_transport", "_accept_connection2"))
        if isinstance(sock, socket.socket) and type(sock).accept is socket.socket.accept:
            servers.start_serving(
                self, protocol_factory, sock, sslcontext, server, backlog, timeouts, context, plain=plain
            )
        else:
            # It has an accept() of its own.
            options = timeouts if context is None else {**timeouts, "context": context}
            super()._start_serving(protocol_factory, sock, sslcontext, server, backlog, **options)  # type: ignore[misc]

    def _ensure_fd_no_transport(self, fd: Any) -> None:
        super()._ensure_fd_no_transport(fd)  # type: ignore[misc]
        # The transports of accepted connections are not in asyncio's table.
        if self._is_occupied(fd):
            with contextlib.suppress(KeyError):
                reader, writer = self._watched(fd)
                raise RuntimeError(f"File descriptor {fd!r} is used by transport {reader or writer!r}")
            raise RuntimeError(f"File descriptor {fd!r} is used by transport, which is paused")

    def _is_replaced(self, name: str) -> bool:
        return getattr(getattr(self, name), "__func__", None) is not getattr(EventLoop, name)

    @_as_in(_StdlibLoop.create_server)
    async def create_server(self, *args: Any, **kwargs: Any) -> Any:
        """Serve TCP, as asyncio does; ``close_clients()`` and ``abort_clients()`` exist in every version."""
        return servers.adopt(await super().create_server(*args, **kwargs))

    @_as_in(_StdlibLoop.create_unix_server)
    async def create_unix_server(self, *args: Any, **kwargs: Any) -> Any:
        """Serve a unix socket, as asyncio does; see ``create_server()``."""
        return servers.adopt(await super().create_unix_server(*args, **kwargs))

    def _make_ssl_transport(
        self,
        rawsock: socket.socket,
        protocol: Any,
        sslcontext: Any,
        waiter: Any = None,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        extra: Any = None,
        server: Any = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        context: contextvars.Context | None = None,
    ) -> Any:
        self._ensure_fd_no_transport(rawsock)
        return sslproto.make_ssl_transport(
            self,
            rawsock,
            protocol,
            sslcontext,
            waiter,
            extra,
            server=server,
            context=context,
            server_side=server_side,
            server_hostname=server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )

    async def start_tls(
        self,
        transport: Any,
        protocol: Any,
        sslcontext: ssl.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> Any:
        """Upgrade a transport to TLS. Return the transport that ``protocol`` is to use from now on."""
        return await sslproto.start_tls(
            self,
            transport,
            protocol,
            sslcontext,
            server_side=server_side,
            server_hostname=server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )


def new_event_loop(*, strict_polling: bool = False) -> EventLoop:
    """Make an event loop: what ``asyncio.Runner(loop_factory=...)`` and ``asyncio.run`` ask for."""
    return EventLoop(strict_polling=strict_polling)
