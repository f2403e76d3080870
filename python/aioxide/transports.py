"""The cold half of transports: how they begin, and what they tell."""

from __future__ import annotations

import asyncio.base_events
import asyncio.constants
import asyncio.futures
import asyncio.trsock
import asyncio.unix_events
import math
import os
import sys
import warnings
from asyncio.log import logger
from typing import TYPE_CHECKING, Any

from . import _aioxide, servers

if TYPE_CHECKING:
    import socket

    # namespace.py adds it: what asyncio's module of this name has.
    def __getattr__(name: str) -> Any: ...


__all__ = ("file_to_send", "make_socket_transport", "name_of")

SENDFILE_MODE = asyncio.constants._SendfileMode.TRY_NATIVE
# 3.13's servers know their transports.
_ATTACHES_TRANSPORT = sys.version_info >= (3, 13)


def make_socket_transport(
    loop: Any,
    sock: socket.socket,
    protocol: Any,
    waiter: Any,
    extra: dict[str, Any] | None,
    server: Any,
    context: Any = None,
) -> _aioxide.SocketTransport:
    """Make the transport of a connected stream socket; it tells the protocol, then reads.

    The protocol is called in ``context``, if one is given: from 3.15 on, servers have one for each connection.
    """
    extra = dict(extra or {})
    extra["socket"] = asyncio.trsock.TransportSocket(sock)
    extra["sockname"] = name_of(sock.getsockname)
    if "peername" not in extra:
        extra["peername"] = name_of(sock.getpeername)
    transport = _aioxide.SocketTransport(loop, sock, protocol, extra, server, context)
    if server is not None:
        attach(server, transport)
    loop._transports[sock.fileno()] = transport
    # Small writes go out at once, as in asyncio.
    asyncio.base_events._set_nodelay(sock)  # type: ignore[attr-defined]
    loop.call_soon(protocol.connection_made, transport, context=context)
    # Only when connection_made() has been called.
    loop.call_soon(transport._begin_reading, context=context)
    if waiter is not None:
        # Only when connection_made() has been called and reading has begun.
        set_result: Any = asyncio.futures._set_result_unless_cancelled  # type: ignore[attr-defined]
        loop.call_soon(set_result, waiter, None, context=context)
    return transport


def name_of(ask: Any) -> Any:
    """Ask a socket for one of its names: None if it has none."""
    try:
        return ask()
    except OSError:
        return None


def attach(server: Any, transport: Any) -> None:
    """Tell a server of one of its connections."""
    if _ATTACHES_TRANSPORT or isinstance(server, servers.Server):
        server._attach(transport)
    else:
        server._attach()


def detach(server: Any, transport: Any) -> None:
    """Tell a server that one of its connections has ended."""
    if _ATTACHES_TRANSPORT or isinstance(server, servers.Server):
        server._detach(transport)
    else:
        server._detach()


def file_to_send(file: Any) -> int | None:
    """Return the descriptor of a file that sendfile(2) may send; None if there is nothing in it, or it is no file."""
    if not hasattr(asyncio.unix_events.os, "sendfile"):  # type: ignore[attr-defined]
        return None
    try:
        fileno = file.fileno()
        return fileno if os.fstat(fileno).st_size else None
    except (AttributeError, OSError):
        return None


def report_fatal(transport: Any, exception: BaseException, message: str) -> None:
    """Report what ends a transport: OSErrors are everyday business and only logged in debug mode."""
    loop = transport._loop
    if loop is None:
        return
    if isinstance(exception, OSError):
        if loop.get_debug():
            logger.debug("%r: %s", transport, message, exc_info=True)
        return
    loop.call_exception_handler(
        {
            "message": message,
            "exception": exception,
            "transport": transport,
            "protocol": transport.get_protocol(),
        }
    )


def tell_protocol(transport: Any, method: str) -> None:
    """Call ``pause_writing`` or ``resume_writing``; a protocol that fails there goes on."""
    protocol = transport.get_protocol()
    try:
        getattr(protocol, method)()
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as exc:
        transport._loop.call_exception_handler(
            {
                "message": f"protocol.{method}() failed",
                "exception": exc,
                "transport": transport,
                "protocol": protocol,
            }
        )


def water_marks(high: int | None, low: int | None) -> tuple[int, int]:
    """The (high, low) water marks, with asyncio's defaults for those not given."""
    if high is None:
        high = 64 * 1024 if low is None else 4 * low
    if low is None:
        low = high // 4
    if not high >= low >= 0:
        raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
    return whole(high), whole(low)


def whole(limit: float) -> int:
    """A limit as a whole number of bytes: more than 1.5 of them are more than one."""
    return math.floor(min(limit, sys.maxsize))


def warn_lost_write() -> None:
    """Somebody keeps writing to a connection that was lost."""
    logger.warning("socket.send() raised exception.")


def warn_unclosed(transport: Any) -> None:
    """A transport died without having been closed."""
    warnings.warn(f"unclosed transport {transport!r}", ResourceWarning, source=transport, stacklevel=1)
