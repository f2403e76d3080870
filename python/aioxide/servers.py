"""``Server``, and the cold half of serving: how it begins, and what goes wrong.

Connections are accepted by ``_aioxide.Listener``.
"""

from __future__ import annotations

import asyncio.base_events
import asyncio.constants
import asyncio.trsock
import socket
import sys
import weakref
from asyncio.log import logger
from typing import TYPE_CHECKING, Any

from . import _aioxide

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable

__all__ = ("Server", "adopt", "start_serving")

_HAS_CLIENTS = sys.version_info >= (3, 13)
# From 3.15 on, all of a connection runs in a context of its own.
_HAS_CONTEXTS = sys.version_info >= (3, 15)


class Server(asyncio.base_events.Server):
    """asyncio's server of the running version; its connections can be closed in every version.

    Differs from asyncio: ``close_clients()`` and ``abort_clients()`` exist before 3.13.
    """

    if not _HAS_CLIENTS:
        # Weak: a transport that nobody keeps shall be noticed.
        _clients: weakref.WeakSet[Any]

        def _attach(self, transport: Any = None) -> None:
            super()._attach()  # type: ignore[misc]
            if transport is not None:
                self._clients.add(transport)

        def _detach(self, transport: Any = None) -> None:
            if transport is not None:
                self._clients.discard(transport)
            super()._detach()  # type: ignore[misc]

        def close_clients(self) -> None:
            """Close every connection, after what is buffered was sent."""
            for transport in self._clients.copy():
                transport.close()

        def abort_clients(self) -> None:
            """Close every connection now; what is buffered is lost."""
            for transport in self._clients.copy():
                transport.abort()


def adopt(server: Any) -> Any:
    """Make a server that asyncio's code has made one of ours; return it."""
    if type(server) is not asyncio.base_events.Server:
        return server
    adopted: Any = server
    adopted.__class__ = Server
    if not _HAS_CLIENTS:
        adopted._clients = weakref.WeakSet()
    return adopted


def start_serving(
    loop: Any,
    protocol_factory: Callable[[], Any],
    sock: socket.socket,
    sslcontext: Any,
    server: Any,
    backlog: int,
    timeouts: dict[str, float | None],
    context: contextvars.Context | None,
    *,
    plain: bool,
) -> None:
    """Watch a listening socket. Each connection is served in a copy of ``context``, by default the current one.

    ``plain``: none of the loop's methods for connections was replaced.
    """
    kind = (sock.family, sock.type | socket.SOCK_NONBLOCK, sock.proto)
    listener = _aioxide.Listener(
        loop,
        protocol_factory,
        sock,
        kind,
        adopt(server),
        max(backlog, 1),
        sslcontext,
        timeouts,
        context,
        plain,
    )
    listener._watch()


def accept(
    loop: Any,
    sock: socket.socket,
    peername: Any,
    rest: tuple[Any, Any, Any, dict[str, Any]],
    context: contextvars.Context,
) -> None:
    """Serve a connection by asyncio's coroutine: with TLS, in debug mode, or when a method was replaced.

    Called in ``context``.
    """
    protocol_factory, sslcontext, server, timeouts = rest
    if loop.get_debug():
        logger.debug("%r got a new connection from %r: %r", server, peername, sock)
    in_context = {"context": context} if _HAS_CONTEXTS else {}
    accepting = loop._accept_connection2(
        protocol_factory, sock, {"peername": peername}, sslcontext, server, **timeouts, **in_context
    )
    loop.create_task(accepting, **in_context)


def rest(loop: Any, listener: _aioxide.Listener, exception: OSError) -> None:
    """No descriptor or memory is left: report it, and accept again after a while."""
    try:
        report_error(loop, listener, exception, "socket.accept() out of system resource")
    finally:
        loop.call_later(asyncio.constants.ACCEPT_RETRY_DELAY, listener._watch)


def report_error(
    loop: Any, listener: _aioxide.Listener, exception: OSError, message: str = "socket.accept() failed"
) -> None:
    """Tell the loop's exception handler what ``accept()`` said."""
    sock = asyncio.trsock.TransportSocket(listener._sock)
    loop.call_exception_handler({"message": message, "exception": exception, "socket": sock})


def report_connection_error(loop: Any, exception: BaseException) -> None:
    """A connection got no protocol or no transport: in debug mode, tell the loop's exception handler."""
    if loop.get_debug():
        loop.call_exception_handler(
            {"message": "Error on transport creation for incoming connection", "exception": exception}
        )
