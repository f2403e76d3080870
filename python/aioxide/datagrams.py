"""The cold half of datagram transports: which sockets get a native one, and how it begins."""

from __future__ import annotations

import asyncio.futures
import asyncio.transports
import asyncio.trsock
import socket
from typing import Any

from . import _aioxide
from .transports import name_of

__all__ = ("is_native", "make_datagram_transport")

# Those whose addresses the native transport reads.
_FAMILIES = frozenset({socket.AF_INET, socket.AF_INET6, socket.AF_UNIX})


class DatagramTransport(_aioxide.DatagramTransport, asyncio.transports.DatagramTransport):
    """Sends and receives datagrams. A Python class, so that it is one of asyncio's and has attributes to set."""


def is_native(sock: Any) -> bool:
    """Whether a socket gets a native transport. One with methods of its own does not: they would be bypassed."""
    return type(sock) is socket.socket and sock.family in _FAMILIES


def make_datagram_transport(
    loop: Any, sock: Any, protocol: Any, address: Any, waiter: Any, extra: dict[str, Any] | None
) -> DatagramTransport:
    """Make the transport of a datagram socket; it tells the protocol, then receives."""
    extra = dict(extra or {})
    extra["socket"] = asyncio.trsock.TransportSocket(sock)
    extra["sockname"] = name_of(sock.getsockname)
    if "peername" not in extra:
        extra["peername"] = name_of(sock.getpeername)
    transport = DatagramTransport(loop, sock, protocol, address, extra)
    loop._transports[sock.fileno()] = transport
    loop.call_soon(protocol.connection_made, transport)
    # Only when connection_made() has been called.
    loop.call_soon(transport._begin_reading)
    if waiter is not None:
        loop.call_soon(asyncio.futures._set_result_unless_cancelled, waiter, None)  # type: ignore[attr-defined]
    return transport
