"""The cold half of pipes' transports: how they begin, and what they tell."""

from __future__ import annotations

import asyncio.futures
import errno
import os
import stat
from asyncio.log import logger
from typing import Any

from . import _aioxide

__all__ = ("make_read_pipe_transport", "make_write_pipe_transport")


class ReadPipeTransport(_aioxide.ReadPipeTransport):
    """Reads a pipe. A Python class, so that attributes can be set on an instance, as on asyncio's."""


class WritePipeTransport(_aioxide.WritePipeTransport):
    """Writes to a pipe. A Python class, so that attributes can be set on an instance, as on asyncio's."""


def make_read_pipe_transport(
    loop: Any, pipe: Any, protocol: Any, waiter: Any, extra: dict[str, Any] | None
) -> ReadPipeTransport:
    """Make the transport of a pipe, a socket or a character device that is read."""
    fd = pipe.fileno()
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode)):
        raise ValueError("Pipe transport is for pipes/sockets only.")
    os.set_blocking(fd, False)
    transport = ReadPipeTransport(loop, pipe, protocol, {**(extra or {}), "pipe": pipe})
    loop.call_soon(protocol.connection_made, transport)
    # Only when connection_made() has been called.
    loop.call_soon(transport._begin)
    if waiter is not None:
        loop.call_soon(asyncio.futures._set_result_unless_cancelled, waiter, None)  # type: ignore[attr-defined]
    return transport


def make_write_pipe_transport(
    loop: Any, pipe: Any, protocol: Any, waiter: Any, extra: dict[str, Any] | None
) -> WritePipeTransport:
    """Make the transport of a pipe, a socket or a character device that is written."""
    fd = pipe.fileno()
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode)):
        raise ValueError("Pipe transport is only for pipes, sockets and character devices")
    os.set_blocking(fd, False)
    transport = WritePipeTransport(loop, pipe, protocol, {**(extra or {}), "pipe": pipe})
    loop.call_soon(protocol.connection_made, transport)
    if not stat.S_ISCHR(mode):
        # Only when connection_made() has been called. A device has no reader that could go away.
        loop.call_soon(transport._begin)
    if waiter is not None:
        loop.call_soon(asyncio.futures._set_result_unless_cancelled, waiter, None)  # type: ignore[attr-defined]
    return transport


def report_read_error(transport: Any, exception: BaseException) -> None:
    """Report what ends a reader. A terminal whose other side is gone says EIO: that is everyday business."""
    message = "Fatal read error on pipe transport"
    loop = transport._loop
    if isinstance(exception, OSError) and exception.errno == errno.EIO:
        if loop.get_debug():
            logger.debug("%r: %s", transport, message, exc_info=exception)
        return
    loop.call_exception_handler(
        {
            "message": message,
            "exception": exception,
            "transport": transport,
            "protocol": transport.get_protocol(),
        }
    )


def warn_lost_write() -> None:
    """Somebody keeps writing to a pipe that is closed."""
    logger.warning("pipe closed by peer or os.write(pipe, data) raised exception.")
