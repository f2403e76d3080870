"""The cold half of TLS: how connections begin, and what they tell.

``SSLProtocol`` is native (``_aioxide.SSLProtocol``). ``AIOXIDE_TLS=memorybio`` in the environment makes it move
records through ``ssl.MemoryBIO``, as asyncio does, where it would use OpenSSL directly.
"""

from __future__ import annotations

import asyncio.constants
import asyncio.exceptions
import asyncio.streams
import os
import warnings
from asyncio.log import logger
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _aioxide, transports
from ._aioxide import SSLProtocol

try:
    import ssl
except ImportError:  # pragma: no cover
    ssl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    import socket

    # namespace.py adds it: what asyncio's module of this name has.
    def __getattr__(name: str) -> Any: ...


__all__ = ("SSLProtocol", "make_ssl_transport", "start_tls")

SENDFILE_MODE = asyncio.constants._SendfileMode.FALLBACK


class Settings(NamedTuple):
    """What a connection begins with."""

    loop: Any
    app_protocol: Any
    waiter: Any
    ssl_object: Any
    incoming: Any
    outgoing: Any
    server_side: bool
    server_hostname: str | None
    call_connection_made: bool
    handshake_timeout: float
    shutdown_timeout: float
    extra: dict[str, Any]


def settings(
    loop: Any,
    app_protocol: Any,
    sslcontext: Any,
    waiter: Any,
    server_side: bool = False,
    server_hostname: str | None = None,
    call_connection_made: bool = True,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
) -> Settings:
    """Check the arguments of ``SSLProtocol`` and make what it works with. Called by its ``__init__``."""
    if ssl is None:
        raise RuntimeError("stdlib ssl module not available")
    handshake_timeout = _seconds(
        "ssl_handshake_timeout", ssl_handshake_timeout, asyncio.constants.SSL_HANDSHAKE_TIMEOUT
    )
    shutdown_timeout = _seconds(
        "ssl_shutdown_timeout", ssl_shutdown_timeout, asyncio.constants.SSL_SHUTDOWN_TIMEOUT
    )
    if not sslcontext:
        sslcontext = _default_context(server_side, server_hostname)
    if server_side or not server_hostname:
        server_hostname = None
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    return Settings(
        loop=loop,
        app_protocol=app_protocol,
        waiter=waiter,
        ssl_object=sslcontext.wrap_bio(
            incoming, outgoing, server_side=server_side, server_hostname=server_hostname
        ),
        incoming=incoming,
        outgoing=outgoing,
        server_side=server_side,
        server_hostname=server_hostname,
        call_connection_made=call_connection_made,
        handshake_timeout=handshake_timeout,
        shutdown_timeout=shutdown_timeout,
        extra={"sslcontext": sslcontext},
    )


def _seconds(name: str, given: float | None, default: float) -> float:
    if given is None:
        return default
    if given <= 0:
        raise ValueError(f"{name} should be a positive number, got {given}")
    return given


def _default_context(server_side: bool, server_hostname: str | None) -> ssl.SSLContext:
    if server_side:
        raise ValueError("Server side SSL needs a valid SSLContext")
    # What `ssl=True` means for a client.
    context = ssl.create_default_context()
    if not server_hostname:
        context.check_hostname = False
    return context


def may_be_direct() -> bool:
    """Tell whether OpenSSL may be used directly, if it turns out to be usable at all."""
    return os.environ.get("AIOXIDE_TLS") != "memorybio"


def trial_pair() -> list[tuple[Any, Any]]:
    """Make a client and a server that can talk without certificates: (object, its first BIO) of each."""
    return [_trial_end(ssl.PROTOCOL_TLS_CLIENT), _trial_end(ssl.PROTOCOL_TLS_SERVER)]


def _trial_end(kind: Any) -> tuple[Any, Any]:
    context = ssl.SSLContext(kind)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # TLS 1.3 has no anonymous ciphers. Only these two ends, in memory, ever use them.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AECDH-AES256-SHA:ADH-AES256-GCM-SHA384:@SECLEVEL=0")
    incoming = ssl.MemoryBIO()
    server_side = kind is ssl.PROTOCOL_TLS_SERVER
    return context.wrap_bio(incoming, ssl.MemoryBIO(), server_side=server_side), incoming


def make_ssl_transport(
    loop: Any, sock: socket.socket, protocol: Any, sslcontext: Any, waiter: Any, extra: Any, **options: Any
) -> _aioxide.SSLTransport:
    """Make the TLS transport of a connected socket."""
    server, context = options.pop("server"), options.pop("context")
    ssl_protocol = SSLProtocol(loop, protocol, sslcontext, waiter, **options)
    transport: _aioxide.SSLTransport = ssl_protocol._app_transport
    transports.make_socket_transport(loop, sock, ssl_protocol, None, extra, server, context)
    return transport


async def start_tls(loop: Any, transport: Any, protocol: Any, sslcontext: Any, **options: Any) -> Any:
    """Upgrade a transport to TLS; return the transport that ``protocol`` has from now on."""
    if ssl is None:
        raise RuntimeError("Python ssl module is not available")
    if not isinstance(sslcontext, ssl.SSLContext):
        raise TypeError(f"sslcontext is expected to be an instance of ssl.SSLContext, got {sslcontext!r}")
    if not getattr(transport, "_start_tls_compatible", False):
        raise TypeError(f"transport {transport!r} is not supported by start_tls()")
    waiter = loop.create_future()
    ssl_protocol = SSLProtocol(loop, protocol, sslcontext, waiter, call_connection_made=False, **options)
    # Nothing may be received before connection_made().
    transport.pause_reading()
    early = _take_early(protocol) if options.get("server_side") else b""
    transport.set_protocol(ssl_protocol)
    callbacks = (
        loop.call_soon(ssl_protocol.connection_made, transport),
        *([loop.call_soon(_feed, ssl_protocol, early)] if early else []),
        loop.call_soon(transport.resume_reading),
    )
    try:
        await waiter
    except BaseException:
        transport.close()
        for callback in callbacks:
            callback.cancel()
        # Its exception would keep the protocol alive.
        del waiter
        raise
    return ssl_protocol._app_transport


def _take_early(protocol: Any) -> bytes:
    """Take what a stream has received already: the client's hello may have come before ``start_tls()``."""
    reader = getattr(protocol, "_stream_reader", None)
    if not isinstance(protocol, asyncio.streams.StreamReaderProtocol) or not reader or not reader._buffer:
        return b""
    early = bytes(reader._buffer)
    reader._buffer.clear()
    return early


def _feed(protocol: SSLProtocol, data: bytes) -> None:
    """Let a protocol receive data."""
    left = memoryview(data)
    while left:
        buffer = memoryview(protocol.get_buffer(len(left)))
        count = min(len(buffer), len(left))
        buffer[:count] = left[:count]
        protocol.buffer_updated(count)
        left = left[count:]


def water_marks(high: int | None, low: int | None, kibibytes: int) -> tuple[int, int]:
    """The (high, low) water marks, with asyncio's defaults for those not given."""
    if high is None:
        high = kibibytes * 1024 if low is None else 4 * low
    if low is None:
        low = high // 4
    if not high >= low >= 0:
        raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
    return transports.whole(high), transports.whole(low)


def handshake_starts(protocol: Any) -> float:
    """Log it, and return when it was. Debug mode only."""
    logger.debug("%r starts SSL handshake", protocol)
    now: float = protocol._loop.time()
    return now


def handshake_ended(protocol: Any, began: float) -> None:
    """Log how long it took. Debug mode only."""
    logger.debug("%r: SSL handshake took %.1f ms", protocol, (protocol._loop.time() - began) * 1e3)


def failed_handshake(exception: BaseException) -> str:
    """Say what a failed handshake is reported as."""
    if isinstance(exception, ssl.CertificateError):
        return "SSL handshake failed on verifying the certificate"
    return "SSL handshake failed"


def log_eof(protocol: Any) -> None:
    """Log that the transport below gets no more. Debug mode only."""
    logger.debug("%r received EOF", protocol)


def warn_keep_open() -> None:
    """A protocol wants to stay open: TLS cannot be half-closed."""
    logger.warning("returning true from eof_received() has no effect when using ssl")


def warn_closed() -> None:
    """Somebody keeps writing to a connection that was closed."""
    logger.warning("SSL connection is closed")


def warn_unclosed(transport: Any) -> None:
    """A transport died without having been closed."""
    warnings.warn(f"unclosed transport {transport!r}", ResourceWarning, source=transport, stacklevel=1)


def report_fatal(protocol: Any, transport: Any, exception: BaseException | None, message: str) -> None:
    """Report what ended a connection: OSErrors are everyday business and only logged in debug mode."""
    loop = protocol._loop
    if isinstance(exception, OSError):
        if loop.get_debug():
            logger.debug("%r: %s", protocol, message, exc_info=exception)
    elif not isinstance(exception, asyncio.exceptions.CancelledError):
        loop.call_exception_handler(
            {"message": message, "exception": exception, "transport": transport, "protocol": protocol}
        )


def tell_protocol(protocol: Any, method: str) -> None:
    """Call ``pause_writing`` or ``resume_writing``; a protocol that fails there goes on."""
    app_protocol = protocol._app_protocol
    if app_protocol is None:
        return
    try:
        getattr(app_protocol, method)()
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as exc:
        protocol._loop.call_exception_handler(
            {
                "message": f"protocol.{method}() failed",
                "exception": exc,
                "transport": protocol._app_transport,
                "protocol": protocol,
            }
        )
