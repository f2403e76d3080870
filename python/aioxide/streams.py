"""Streams: ``StreamReader``, ``StreamWriter``, ``open_connection()``, ``start_server()`` and their like.

Each class has two bases: a native one, which does what happens per message, and asyncio's own of the same name,
from which it takes what is cold. So ``isinstance`` holds, with asyncio's words and private attributes. What stands
here happens once for each connection.
"""

from __future__ import annotations

import asyncio
import asyncio.streams
from abc import ABCMeta
from collections.abc import MutableSequence
from functools import partial
from typing import TYPE_CHECKING, Any

from . import kinship
from ._aioxide import FlowControlCore, StreamReaderCore, StreamReaderProtocolCore, StreamWriterCore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from os import PathLike

    # namespace.py adds it: what asyncio's module of this name has.
    def __getattr__(name: str) -> Any: ...


__all__ = (
    "FlowControlMixin",
    "StreamReader",
    "StreamReaderProtocol",
    "StreamWriter",
    "open_connection",
    "open_unix_connection",
    "start_server",
    "start_unix_server",
)

# Until 3.12 a protocol keeps the writer of a server's connection alive.
_KEEPS_WRITER = hasattr(asyncio.streams.StreamReaderProtocol, "_replace_writer")


class StreamReader(StreamReaderCore, asyncio.streams.StreamReader, metaclass=ABCMeta):
    """asyncio's StreamReader, in Rust: the bytes that a connection received, to be awaited.

    Reading what is there already suspends nothing and makes no future.
    """

    __subclasshook__ = kinship.counts(asyncio.streams.StreamReader)

    @property
    def _buffer(self) -> BufferView:
        return BufferView(self)

    @_buffer.setter
    def _buffer(self, data: Any) -> None:
        self._replace_buffered(bytes(data))


class StreamWriter(StreamWriterCore, asyncio.streams.StreamWriter, metaclass=ABCMeta):
    """asyncio's StreamWriter, in Rust: writes to a transport, and waits while it cannot take more."""

    __subclasshook__ = kinship.counts(asyncio.streams.StreamWriter)


class FlowControlMixin(FlowControlCore, asyncio.streams.FlowControlMixin, metaclass=ABCMeta):
    """asyncio's FlowControlMixin, in Rust: holds ``drain()`` back while the transport's buffer is full."""

    __subclasshook__ = kinship.counts(asyncio.streams.FlowControlMixin)


class StreamReaderProtocol(StreamReaderProtocolCore, asyncio.streams.StreamReaderProtocol, metaclass=ABCMeta):
    """asyncio's StreamReaderProtocol, in Rust: hands what a transport receives to a StreamReader."""

    __subclasshook__ = kinship.counts(asyncio.streams.StreamReaderProtocol)

    def connection_made(self, transport: Any) -> None:
        """Give the transport to the reader; on a server, call ``client_connected_cb(reader, writer)``."""
        loop = self._loop
        if self._reject_connection:
            context = {"message": _COLLECTED}
            if self._source_traceback:
                context["source_traceback"] = self._source_traceback
            loop.call_exception_handler(context)
            transport.abort()
            return
        self._transport = transport
        reader = self._stream_reader
        if reader is not None:
            reader.set_transport(transport)
        self._over_ssl = transport.get_extra_info("sslcontext") is not None
        callback = self._client_connected_cb
        if callback is None:
            return
        writer = StreamWriter(transport, self, reader, loop)
        if _KEEPS_WRITER:
            self._stream_writer = writer
        try:
            serving = callback(reader, writer)
        except Exception as exception:
            # As with a coroutine that fails, and in asyncio since 3.14: there is nobody to close it.
            _report_failure(loop, transport, exception)
            self._strong_reader = None
            return
        if asyncio.iscoroutine(serving):
            self._task = loop.create_task(serving)
            self._task.add_done_callback(partial(_served, loop, transport))
        self._strong_reader = None


_COLLECTED = (
    "An open stream was garbage collected prior to establishing network connection; "
    'call "stream.close()" explicitly.'
)


def _served(loop: Any, transport: Any, task: asyncio.Future[Any]) -> None:
    """A server's coroutine has ended; one that was cancelled or failed leaves nobody to close."""
    if not task.cancelled():
        exception = task.exception()
        if exception is not None:
            _report_failure(loop, transport, exception)
        return
    transport.close()


def _report_failure(loop: Any, transport: Any, exception: BaseException) -> None:
    loop.call_exception_handler(
        {
            "message": "Unhandled exception in client_connected_cb",
            "exception": exception,
            "transport": transport,
        }
    )
    transport.close()


async def open_connection(
    host: Any = None, port: Any = None, *, limit: int = 2**16, **kwds: Any
) -> tuple[StreamReader, StreamWriter]:
    """Connect to a host; return a reader and a writer. ``kwds`` are those of ``loop.create_connection()``."""
    loop = asyncio.get_running_loop()
    reader = StreamReader(limit=limit, loop=loop)
    protocol = StreamReaderProtocol(reader, loop=loop)
    transport, _ = await loop.create_connection(lambda: protocol, host, port, **kwds)
    return reader, StreamWriter(transport, protocol, reader, loop)


async def open_unix_connection(
    path: str | PathLike[str] | None = None, *, limit: int = 2**16, **kwds: Any
) -> tuple[StreamReader, StreamWriter]:
    """Connect to a Unix socket, as ``open_connection()`` does to a host."""
    loop = asyncio.get_running_loop()
    reader = StreamReader(limit=limit, loop=loop)
    protocol = StreamReaderProtocol(reader, loop=loop)
    transport, _ = await loop.create_unix_connection(lambda: protocol, path, **kwds)  # type: ignore[arg-type]
    return reader, StreamWriter(transport, protocol, reader, loop)


async def start_server(
    client_connected_cb: Callable[[StreamReader, StreamWriter], Any],
    host: Any = None,
    port: Any = None,
    *,
    limit: int = 2**16,
    **kwds: Any,
) -> asyncio.Server:
    """Serve: each client's reader and writer go to a function or coroutine function.

    ``kwds`` are those of ``loop.create_server()``.
    """
    loop = asyncio.get_running_loop()
    factory = partial(_make_protocol, client_connected_cb, limit, loop)
    return await loop.create_server(factory, host, port, **kwds)


async def start_unix_server(
    client_connected_cb: Callable[[StreamReader, StreamWriter], Any],
    path: str | PathLike[str] | None = None,
    *,
    limit: int = 2**16,
    **kwds: Any,
) -> asyncio.Server:
    """Serve on a Unix socket, as ``start_server()`` does on a host."""
    loop = asyncio.get_running_loop()
    factory = partial(_make_protocol, client_connected_cb, limit, loop)
    return await loop.create_unix_server(factory, path, **kwds)


def _make_protocol(callback: Any, limit: int, loop: Any) -> StreamReaderProtocol:
    return StreamReaderProtocol(StreamReader(limit=limit, loop=loop), callback, loop=loop)


class BufferView(MutableSequence[int]):
    """What ``StreamReader._buffer`` shows: acts like the ``bytearray`` that asyncio has there.

    It reads and changes the native buffer, by copies: for those who look, not for those who are in a hurry.
    """

    def __init__(self, reader: StreamReaderCore) -> None:
        self._reader = reader

    def __len__(self) -> int:
        return self._reader._buffered_size()

    def __getitem__(self, index: Any) -> Any:
        return bytearray(self._reader._buffered())[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        data = bytearray(self._reader._buffered())
        data[index] = value
        self._reader._replace_buffered(data)

    def __delitem__(self, index: Any) -> None:
        data = bytearray(self._reader._buffered())
        del data[index]
        self._reader._replace_buffered(data)

    def insert(self, index: int, value: int) -> None:
        """Insert a byte."""
        data = bytearray(self._reader._buffered())
        data.insert(index, value)
        self._reader._replace_buffered(data)

    def extend(self, values: Any) -> None:
        """Append bytes; wakes nobody."""
        data = bytearray(self._reader._buffered())
        data.extend(values)
        self._reader._replace_buffered(data)

    def clear(self) -> None:
        """Forget everything."""
        self._reader._replace_buffered(b"")

    def __iter__(self) -> Iterator[int]:
        return iter(self._reader._buffered())

    def __bytes__(self) -> bytes:
        return self._reader._buffered()

    def __buffer__(self, flags: int, /) -> memoryview:
        return memoryview(self._reader._buffered())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, BufferView):
            other = bytes(other)
        return self._reader._buffered() == other

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: Any) -> bytearray:
        return bytearray(self._reader._buffered()) + bytes(other)

    def __repr__(self) -> str:
        return repr(bytearray(self._reader._buffered()))

    def __getattr__(self, name: str) -> Any:
        # Whatever else can be asked of a bytearray: find, startswith, decode, hex; and 3.15's take_bytes.
        if name.startswith("__"):
            raise AttributeError(name)
        data = bytearray(self._reader._buffered())
        method = getattr(data, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            before = bytes(data)
            result = method(*args, **kwargs)
            if data != before:
                self._reader._replace_buffered(data)
            return result

        return call
