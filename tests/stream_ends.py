"""What the tests of streams share: pairs of ours and asyncio's, connections, a transport that records."""

from __future__ import annotations

import asyncio
import asyncio.streams
import sys
from contextlib import asynccontextmanager

import pytest

import aioxide

StdlibReader = asyncio.streams.StreamReader
StdlibWriter = asyncio.streams.StreamWriter
StdlibProtocol = asyncio.streams.StreamReaderProtocol
HAS_TUPLES = sys.version_info >= (3, 13)

#: On whose loop a test runs.
LOOPS = {"aioxide": aioxide.new_event_loop, "asyncio": asyncio.SelectorEventLoop}
try:
    import uvloop
except ImportError:
    pass
else:
    LOOPS["uvloop"] = uvloop.new_event_loop


@pytest.fixture(params=LOOPS)
def run(request):
    def run(main):
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(main)

    return run


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


@asynccontextmanager
async def connected(serve, **options):
    """A server, and a reader and a writer that are connected to it."""
    server = await aioxide.start_server(serve, "127.0.0.1", 0, **options)
    reader, writer = await aioxide.open_connection(*server.sockets[0].getsockname())
    try:
        yield reader, writer
    finally:
        writer.close()
        server.close()


async def echo(reader, writer):
    while data := await reader.read(1000):
        writer.write(data)
        await writer.drain()
    writer.close()


class Transport:
    """Counts what it is told."""

    def __init__(self, pausable=True):
        self.told = []
        self.pausable = pausable

    def pause_reading(self):
        if not self.pausable:
            raise NotImplementedError
        self.told.append("pause")

    def resume_reading(self):
        self.told.append("resume")


# --- The property: whatever is done to both, both do the same.


def described(outcome):
    """An outcome, to be compared."""
    if isinstance(outcome, BaseException):
        kept = [getattr(outcome, name, None) for name in ("partial", "expected", "consumed")]
        return type(outcome), str(outcome), kept
    return outcome


async def outcome_of(awaitable):
    try:
        return described(await awaitable)
    except BaseException as error:
        return described(error)


class Pair:
    """Our reader and asyncio's, to which the same is done."""

    def __init__(self, limit, transport):
        self.readers = [kind(limit=limit) for kind in (aioxide.StreamReader, StdlibReader)]
        self.transports = [Transport(transport == "pausable") for _ in self.readers]
        if transport:
            for reader, one in zip(self.readers, self.transports, strict=True):
                reader.set_transport(one)
        self.tasks = []

    def call(self, method, *args):
        outcomes = []
        for reader in self.readers:
            try:
                outcomes.append(described(getattr(reader, method)(*args)))
            except Exception as error:
                outcomes.append(described(error))
        return outcomes

    def read(self, method, *args):
        self.tasks.append(
            [asyncio.create_task(outcome_of(getattr(reader, method)(*args))) for reader in self.readers]
        )

    def state(self):
        ours, theirs = (
            (
                bytes(reader._buffer),
                len(reader._buffer),
                reader._eof,
                reader._paused,
                reader._waiter is None,
                reader.at_eof(),
                reader.exception(),
                transport.told,
            )
            for reader, transport in zip(self.readers, self.transports, strict=True)
        )
        return ours, theirs
