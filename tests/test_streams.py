"""Streams do what asyncio's do, whoever's loop and transport they run on."""

from __future__ import annotations

import asyncio
import asyncio.streams
import gc
import random
import socket
import ssl
import sys
import warnings
import weakref
from contextlib import asynccontextmanager
from unittest import mock

import pytest

import aioxide
import aioxide.streams

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


def some_bytes(rng):
    return bytes(rng.choices(b"abc\r\n#", k=rng.choice([0, 1, 1, 2, 3, 5, 8, 13, 30])))


def some_read(rng):
    separators = [b"\n", b"\r\n", b"#", b"ab", b"aab", b"", b"\r\n\r\n"]
    kind = rng.choice(["read", "read", "readline", "readline", "readexactly", "readuntil", "__anext__"])
    if kind in ("readline", "__anext__"):
        return (kind,)
    if kind == "readuntil":
        if HAS_TUPLES and rng.random() < 0.5:
            return kind, tuple(rng.sample(separators, rng.randrange(4)))
        return kind, rng.choice(separators)
    return kind, rng.choice([-1, 0, 1, 2, 3, 7, 20, 50])


async def compare(seed):
    rng = random.Random(seed)
    pair = Pair(rng.choice([1, 2, 5, 10, 1000]), rng.choice(["", "pausable", "stubborn"]))
    trace = []
    for _ in range(rng.randrange(5, 60)):
        [action] = rng.choices(["feed", "read", "eof", "exception", "cancel"], [12, 12, 1, 0.3, 1])
        if action == "feed":
            # Sometimes more than once before anybody has woken up.
            for _ in range(rng.choice([1, 1, 1, 2])):
                trace.append((action, data := some_bytes(rng)))
                ours, theirs = pair.call("feed_data", data)
                assert ours == theirs, trace
        elif action == "read":
            if pair.readers[0]._waiter and pair.readers[0]._buffer:
                # Two at a time: what the second takes away, asyncio's first believes to have seen.
                continue
            trace.append(what := some_read(rng))
            pair.read(*what)
        elif action == "eof":
            trace.append(action)
            pair.call("feed_eof")
        elif action == "exception":
            trace.append(action)
            pair.call("set_exception", ValueError("broken"))
        else:
            trace.append(action)
            for tasks in pair.tasks:
                for task in tasks:
                    task.cancel()
        await settle()
        ours, theirs = pair.state()
        assert ours == theirs, trace
    pair.call("feed_eof")
    await settle()
    for ours, theirs in pair.tasks:
        assert await ours == await theirs, trace
    ours, theirs = pair.state()
    assert ours == theirs, trace


@pytest.mark.parametrize("part", range(10))
def test_a_reader_does_what_asyncios_does(part):
    async def main():
        for seed in range(part * 150, (part + 1) * 150):
            await compare(seed)

    aioxide.run(main())


def test_a_reader_does_what_asyncios_does_on_any_loop(run):
    async def main():
        for seed in range(5000, 5060):
            await compare(seed)

    run(main())


def test_reprs_are_asyncios():
    async def main():
        pair = Pair(7, "")
        for act in [
            lambda reader: None,
            lambda reader: reader.feed_data(b"abc"),
            lambda reader: reader.feed_eof(),
            lambda reader: reader.set_exception(ValueError("broken")),
        ]:
            for reader in pair.readers:
                act(reader)
            ours, theirs = map(repr, pair.readers)
            assert ours == theirs
        assert repr(aioxide.StreamReader()) == "<StreamReader>"

    aioxide.run(main())


# --- Reading.


def test_what_is_there_is_read_without_suspending():
    async def main():
        reader = aioxide.StreamReader()
        reader.feed_data(b"one\ntwo\nthree#four")
        for read, expected in [
            (reader.readline(), b"one\n"),
            (reader.__anext__(), b"two\n"),
            (reader.readuntil(b"#"), b"three#"),
            (reader.readexactly(2), b"fo"),
            (reader.read(10), b"ur"),
        ]:
            with pytest.raises(StopIteration) as stopped:
                read.send(None)
            assert stopped.value.value == expected

    aioxide.run(main())


def test_tuples_of_separators_are_offered_on_every_version():
    async def main():
        reader = aioxide.StreamReader()
        reader.feed_data(b"one\r\ntwo#three")
        assert await reader.readuntil((b"#", b"\r\n")) == b"one\r\n"
        assert await reader.readuntil((b"#", b"\r\n")) == b"two#"
        with pytest.raises(ValueError, match="at least one element"):
            await reader.readuntil(())
        with pytest.raises(ValueError, match="at least one-byte"):
            await reader.readuntil((b"", b"a"))

    aioxide.run(main())


def test_a_reader_that_gave_up_does_not_disturb_the_next():
    async def main():
        reader = aioxide.StreamReader()
        first = asyncio.create_task(reader.readline())
        await settle()
        reader.feed_data(b"x")
        # The first is awake but has not run; the second waits before it does.
        second = reader.readexactly(10)
        second.send(None)
        waiter = reader._waiter
        first.cancel()
        await settle()
        assert first.cancelled()
        assert reader._waiter is waiter
        second.close()
        assert reader._waiter is None

    aioxide.run(main())


def test_a_cancelled_read_loses_nothing():
    async def main():
        reader = aioxide.StreamReader()
        task = asyncio.create_task(reader.readexactly(10))
        await settle()
        reader.feed_data(b"12345")
        await settle()
        task.cancel()
        await settle()
        reader.feed_data(b"67890")
        assert await reader.readexactly(10) == b"1234567890"

    aioxide.run(main())


@pytest.mark.parametrize("limit", [2.5, float("inf"), 2**70, True])
def test_a_limit_is_whatever_compares_with_a_length(limit):
    async def main():
        pair = Pair(limit, "pausable")
        pair.call("feed_data", b"abcde\nf")
        pair.read("readline")
        await settle()
        ours, theirs = [await task for task in pair.tasks[0]][:2]
        assert ours == theirs
        ours, theirs = pair.state()
        assert ours == theirs
        assert pair.readers[0]._limit == limit

    aioxide.run(main())


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_is_positive(limit):
    async def main():
        with pytest.raises(ValueError, match="Limit cannot be <= 0"):
            aioxide.StreamReader(limit=limit)

    aioxide.run(main())


@pytest.mark.parametrize("data", [bytearray(b"abc"), memoryview(b"abc"), [97, 98, 99]])
def test_data_of_any_kind_can_be_fed(data):
    async def main():
        reader = aioxide.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        assert await reader.read() == b"abc"

    aioxide.run(main())


@pytest.mark.parametrize("method", ["read", "readexactly", "readuntil", "feed_data"])
def test_wrong_arguments_are_type_errors(method):
    async def main():
        reader = aioxide.StreamReader()
        with pytest.raises(TypeError):
            await getattr(reader, method)(1.5)
        with pytest.raises(TypeError):
            await getattr(reader, method)(b"a", b"b", b"c")

    aioxide.run(main())


def test_a_reader_that_was_not_initialised_does_no_harm():
    for kind in (aioxide.StreamReader, aioxide.StreamReaderProtocol, aioxide.streams.FlowControlMixin):
        bare = kind.__new__(kind)
        repr(bare)
        for name in dir(bare):
            if not name.startswith("__"):
                getattr(bare, name)
    reader = aioxide.StreamReader.__new__(aioxide.StreamReader)
    reader.feed_data(b"abc")
    read = reader.readexactly(4)
    with pytest.raises((AttributeError, RuntimeError)):
        read.send(None)


def test_the_buffer_looks_like_a_bytearray():
    async def main():
        reader = aioxide.StreamReader()
        reader.feed_data(b"hello world")
        buffer = reader._buffer
        assert buffer == b"hello world" == bytes(buffer)
        assert len(buffer) == 11
        assert buffer[:5] == b"hello"
        assert buffer[-1] == ord("d")
        assert buffer.find(b"wor") == 6
        assert buffer.startswith(b"hell")
        assert list(buffer) == list(b"hello world")
        del buffer[:6]
        buffer.extend(b"!")
        buffer[0:1] = b"W"
        assert await reader.readexactly(6) == b"World!"
        reader._buffer = bytearray(b"other")
        assert repr(reader._buffer) == "bytearray(b'other')"
        buffer += b"\n"
        assert await reader.readline() == b"other\n"
        reader._buffer.extend(b"x")
        reader._buffer.clear()
        assert not reader._buffer
        if sys.version_info >= (3, 12):
            assert bytes(memoryview(reader._buffer)) == b""

    aioxide.run(main())


# --- Coroutines.


def test_methods_give_coroutines():
    async def main():
        reader = aioxide.StreamReader()
        writer = aioxide.StreamWriter(mock.Mock(), mock.Mock(), reader, asyncio.get_running_loop())
        for made in (
            reader.read(),
            reader.readline(),
            reader.__anext__(),
            writer.drain(),
            writer.wait_closed(),
        ):
            assert asyncio.iscoroutine(made)
            made.close()
        reader.feed_data(b"x\n")
        assert await asyncio.wait_for(reader.readline(), 1) == b"x\n"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readline(), 0.001)
        assert reader._waiter is None

    aioxide.run(main())


def test_a_coroutine_that_is_never_awaited_is_a_warning():
    async def main():
        reader = aioxide.StreamReader()
        with pytest.warns(RuntimeWarning, match=r"'StreamReader.readline' was never awaited"):
            reader.readline()
            gc.collect()

    aioxide.run(main())


# --- What is replaced is called.


def test_a_subclass_that_replaces_feeding_is_asked():
    class Upper(aioxide.StreamReader):
        def feed_data(self, data):
            super().feed_data(data.upper())

    async def main():
        loop = asyncio.get_running_loop()
        async with connected(echo) as (_, writer):
            reader = Upper()
            protocol = aioxide.StreamReaderProtocol(reader)
            address = writer.get_extra_info("peername")
            transport, _ = await loop.create_connection(lambda: protocol, *address)
            transport.write(b"abc\n")
            assert await reader.readline() == b"ABC\n"
            transport.close()

    aioxide.run(main())


def test_a_protocol_that_replaces_data_received_is_asked(run):
    seen = []

    class Noting(aioxide.StreamReaderProtocol):
        def data_received(self, data):
            seen.append(data)
            super().data_received(data)

        def eof_received(self):
            seen.append("eof")
            return super().eof_received()

        def connection_lost(self, exc):
            seen.append(exc)
            super().connection_lost(exc)

    async def main():
        loop = asyncio.get_running_loop()
        async with connected(echo) as (_, writer):
            reader = aioxide.StreamReader()
            protocol = Noting(reader)
            address = writer.get_extra_info("peername")
            transport, _ = await loop.create_connection(lambda: protocol, *address)
            ours = aioxide.StreamWriter(transport, protocol, reader, loop)
            ours.write(b"abc\n")
            assert await reader.readline() == b"abc\n"
            ours.write_eof()
            assert await reader.read() == b""
            ours.close()
            await ours.wait_closed()

    run(main())
    assert seen == [b"abc\n", "eof", None]


def test_a_method_that_is_replaced_on_an_instance_is_called():
    async def main():
        async with connected(echo) as (reader, writer):
            writer.write(b"one\n")
            assert await reader.readline() == b"one\n"
            protocol = writer.transport.get_protocol()
            protocol.data_received = lambda data: reader.feed_data(data.upper())
            writer.write(b"two\n")
            assert await reader.readline() == b"TWO\n"
            del protocol.data_received
            reader.feed_data = lambda data: aioxide.StreamReader.feed_data(reader, data + b"!")
            writer.write(b"three\n")
            assert await reader.readuntil(b"!") == b"three\n!"

    aioxide.run(main())


def test_a_subclass_that_replaces_reading_is_asked():
    class Counting(aioxide.StreamReader):
        calls = ()

        async def readuntil(self, separator=b"\n"):
            self.calls += ("readuntil",)
            return await super().readuntil(separator)

        async def _wait_for_data(self, func_name):
            self.calls += (func_name,)
            return await super()._wait_for_data(func_name)

    async def main():
        reader = Counting()
        asyncio.get_running_loop().call_soon(reader.feed_data, b"one\ntwo\nrest")
        assert await reader.readline() == b"one\n"
        assert reader.calls == ("readuntil", "readuntil")
        assert await reader.__anext__() == b"two\n"
        assert reader.calls == ("readuntil",) * 3
        assert await reader.readexactly(2) == b"re"
        reader.feed_eof()
        assert await reader.read() == b"st"

    aioxide.run(main())


def test_a_protocol_that_replaces_draining_is_asked():
    class Slow(aioxide.StreamReaderProtocol):
        drained = 0

        async def _drain_helper(self):
            self.drained += 1
            await super()._drain_helper()

    async def main():
        reader = aioxide.StreamReader()
        protocol = Slow(reader)
        transport = mock.Mock(**{"is_closing.return_value": False})
        writer = aioxide.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())
        await writer.drain()
        assert protocol.drained == 1
        protocol.pause_writing()
        asyncio.get_running_loop().call_soon(protocol.resume_writing)
        await writer.drain()
        assert protocol.drained == 2

    aioxide.run(main())


# --- Writing.


def paused_writer():
    reader = aioxide.StreamReader()
    protocol = aioxide.StreamReaderProtocol(reader)
    transport = mock.Mock(**{"is_closing.return_value": False})
    writer = aioxide.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())
    protocol.pause_writing()
    # The protocol knows the reader weakly only, and so does nobody else here.
    return protocol, writer


def test_draining_waits_while_writing_is_paused():
    async def main():
        protocol, writer = paused_writer()
        drains = [asyncio.create_task(writer.drain()) for _ in range(3)]
        await settle()
        assert len(protocol._drain_waiters) == 3
        drains[1].cancel()
        await settle()
        assert len(protocol._drain_waiters) == 2
        assert not drains[0].done()
        protocol.resume_writing()
        await settle()
        assert [task.done() for task in drains] == [True] * 3
        assert not protocol._drain_waiters
        with pytest.raises(AssertionError):
            protocol.resume_writing()

    aioxide.run(main())


@pytest.mark.parametrize("error", [None, ConnectionAbortedError("gone")])
def test_draining_ends_with_the_connection(error):
    async def main():
        protocol, writer = paused_writer()
        drain = asyncio.create_task(writer.drain())
        await settle()
        protocol.connection_lost(error)
        await settle()
        assert drain.exception() is error
        if error is None:
            with pytest.raises(ConnectionResetError, match="Connection lost"):
                await writer.drain()
            await writer.wait_closed()
        else:
            for wait in (writer.drain(), writer.wait_closed()):
                with pytest.raises(ConnectionAbortedError):
                    await wait

    aioxide.run(main())


def test_draining_a_closing_transport_gives_the_loop_a_turn():
    async def main():
        protocol, writer = paused_writer()
        protocol.resume_writing()
        writer.transport.is_closing.return_value = True
        asyncio.get_running_loop().call_soon(protocol.connection_lost, None)
        with pytest.raises(ConnectionResetError, match="Connection lost"):
            await writer.drain()

    aioxide.run(main())


def test_a_program_that_writes_and_drains_sees_the_loss(run):
    async def hang_up(reader, writer):
        writer.transport.abort()

    async def main():
        async with connected(hang_up) as (_, writer):
            with pytest.raises(ConnectionError):
                while True:
                    writer.write(b"x" * 1000)
                    await writer.drain()

    run(main())


def test_a_slow_reader_holds_the_sender_back(run):
    release = None

    async def slow(reader, writer):
        assert await reader.readexactly(1) == b"x"
        await release
        most = len(reader._buffer)
        total = 1
        while data := await reader.read(10_000):
            most = max(most, len(reader._buffer))
            total += len(data)
        writer.write(f"{most} {total}\n".encode())
        writer.close()

    async def main():
        nonlocal release
        release = asyncio.get_running_loop().create_future()
        async with connected(slow, limit=10_000) as (reader, writer):
            sent = 0
            with pytest.raises(TimeoutError):
                while sent < 100_000_000:
                    writer.write(b"x" * 100_000)
                    sent += 100_000
                    await asyncio.wait_for(writer.drain(), 0.3)
            release.set_result(None)
            writer.write_eof()
            most, total = map(int, (await reader.readline()).split())
            assert total == sent
            # What one recv can bring on top of twice the limit.
            assert most <= 20_000 + 256 * 1024

    run(main())


def test_an_exact_read_beyond_the_limit_does_not_deadlock(run):
    async def serve(reader, writer):
        writer.write(await reader.readexactly(1_000_000))
        await writer.drain()
        writer.close()

    async def main():
        async with connected(serve, limit=1000) as (reader, writer):
            data = random.Random(1).randbytes(1_000_000)
            writer.write(data)
            assert await reader.readexactly(len(data)) == data

    run(main())


def test_what_was_written_arrives_whatever_the_pieces(run):
    async def main():
        rng = random.Random(3)
        data = rng.randbytes(300_000)
        async with connected(echo) as (reader, writer):

            async def send():
                start = 0
                while start < len(data):
                    size = rng.choice([2, 10, 1000, 70_000])
                    half = start + size // 2
                    # asyncio's own transport spins for ever on an empty piece.
                    writer.writelines(filter(None, [data[start:half], data[half : start + size]]))
                    start += size
                    await writer.drain()
                writer.write_eof()

            sending = asyncio.create_task(send())
            received = bytearray()
            while piece := await reader.read(rng.choice([1, 100, 50_000])):
                received += piece
            assert received == data
            await sending

    run(main())


# --- Connections.


def test_streams_work_over_unix_sockets(run, tmp_path):
    async def main():
        path = tmp_path / "socket"
        server = await aioxide.start_unix_server(echo, path)
        reader, writer = await aioxide.open_unix_connection(path)
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        writer.close()
        await writer.wait_closed()
        server.close()

    run(main())


@pytest.mark.parametrize("kind", ["function", "coroutine function"])
def test_a_server_calls_back(run, kind):
    async def main():
        made = asyncio.get_running_loop().create_future()

        def function(reader, writer):
            made.set_result((reader, writer))

        async def coroutine_function(reader, writer):
            made.set_result((reader, writer))

        callback = function if kind == "function" else coroutine_function
        async with connected(callback) as (reader, writer):
            served_reader, served_writer = await made
            assert type(served_reader) is aioxide.StreamReader
            assert type(served_writer) is aioxide.StreamWriter
            served_writer.write(b"x\n")
            assert await reader.readline() == b"x\n"
            assert served_writer.get_extra_info("peername") == writer.get_extra_info("sockname")
            assert served_writer.get_extra_info("nothing", 5) == 5
            served_writer.close()
            await served_writer.wait_closed()

    run(main())


@pytest.mark.parametrize("how", ["raises", "cancelled"])
def test_a_server_whose_callback_fails_closes_the_connection(how):
    reports = []

    async def fail(reader, writer):
        if how == "raises":
            raise ZeroDivisionError
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: reports.append(context))
        async with connected(fail) as (reader, _):
            assert await reader.read() == b""

    aioxide.run(main())
    if how == "raises":
        (report,) = reports
        assert report["message"] == "Unhandled exception in client_connected_cb"
        assert isinstance(report["exception"], ZeroDivisionError)
        assert isinstance(report["transport"], asyncio.Transport)
    else:
        assert reports == []


def test_a_connection_that_was_given_up_before_it_was_made_is_reported():
    reports = []

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: reports.append(context["message"]))
        protocol = aioxide.StreamReaderProtocol(aioxide.StreamReader())
        protocol._reject_connection = True
        transport = mock.Mock()
        protocol.connection_made(transport)
        transport.abort.assert_called_once_with()

    aioxide.run(main())
    assert reports[0].startswith(
        "An open stream was garbage collected prior to establishing network connection"
    )


def test_a_protocol_holds_its_reader_weakly():
    async def main():
        reader = aioxide.StreamReader()
        protocol = aioxide.StreamReaderProtocol(reader)
        assert protocol._stream_reader is reader
        assert protocol._stream_reader_wr() is reader
        del reader
        gc.collect()
        assert protocol._stream_reader is None
        protocol.data_received(b"x")
        assert protocol.eof_received() is True
        protocol.connection_lost(None)

    aioxide.run(main())


@pytest.mark.parametrize("error", [None, OSError("lost")])
def test_the_reader_learns_how_the_connection_ended(error):
    async def main():
        reader = aioxide.StreamReader()
        protocol = aioxide.StreamReaderProtocol(reader)
        protocol.data_received(b"rest")
        protocol.connection_lost(error)
        assert reader.exception() is error
        if error is None:
            assert await reader.read() == b"rest"
        else:
            with pytest.raises(OSError, match="lost"):
                await reader.read()

    aioxide.run(main())


def test_an_unclosed_writer_is_a_warning():
    async def main():
        reader, writer = await aioxide.open_connection(*server.getsockname())
        with pytest.warns(ResourceWarning, match="unclosed <StreamWriter transport=<"):
            # The protocol's transport keeps no writer.
            del reader, writer
            gc.collect()
        await settle()

    with socket.create_server(("127.0.0.1", 0)) as server:
        aioxide.run(main())


def test_a_stream_can_be_upgraded_to_tls(run, tmp_path):
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)

    async def serve(reader, writer):
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"OK\n")
        await writer.start_tls(server_context)
        writer.write(b"<" + await reader.readline())
        await writer.drain()
        writer.close()

    async def main():
        async with connected(serve) as (reader, writer):
            writer.write(b"STARTTLS\n")
            assert await reader.readline() == b"OK\n"
            await writer.start_tls(client_context, server_hostname="localhost")
            writer.write(b"secret\n")
            assert await reader.readline() == b"<secret\n"
            assert await reader.read() == b""

    run(main())


# --- Kinship.


def test_ours_are_asyncios_and_asyncios_are_ours():
    pairs = [
        (aioxide.StreamReader, StdlibReader),
        (aioxide.StreamWriter, StdlibWriter),
        (aioxide.StreamReaderProtocol, StdlibProtocol),
        (aioxide.streams.FlowControlMixin, asyncio.streams.FlowControlMixin),
    ]
    for ours, theirs in pairs:
        assert theirs in ours.__mro__
        assert issubclass(theirs, ours)
        assert not issubclass(int, ours)

        class Sub(ours):
            pass

        assert issubclass(Sub, ours)
        assert not issubclass(theirs, Sub)
    assert issubclass(aioxide.StreamReaderProtocol, aioxide.streams.FlowControlMixin)
    assert issubclass(aioxide.StreamReaderProtocol, asyncio.Protocol)


def test_a_writer_takes_readers_of_both_kinds():
    async def main():
        loop = asyncio.get_running_loop()
        for reader in (None, StdlibReader(), aioxide.StreamReader()):
            transport = mock.Mock(**{"is_closing.return_value": False})
            protocol = StdlibProtocol(reader)
            writer = aioxide.StreamWriter(transport, protocol, reader, loop)
            await writer.drain()
            if reader is not None:
                reader.set_exception(ZeroDivisionError())
                with pytest.raises(ZeroDivisionError):
                    await writer.drain()
        with pytest.raises(AssertionError):
            aioxide.StreamWriter(mock.Mock(), mock.Mock(), "reader", loop)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        aioxide.run(main())


def test_install_replaces_streams_where_asyncio_looks_them_up():
    aioxide.install()
    try:
        for name in asyncio.streams.__all__:
            ours = getattr(aioxide, name)
            assert getattr(asyncio, name) is getattr(asyncio.streams, name) is ours
    finally:
        aioxide.uninstall()
    assert asyncio.StreamReader is asyncio.streams.StreamReader is StdlibReader


def test_a_loop_alone_leaves_asyncios_streams():
    async def main():
        async with connected(echo) as (_, writer):
            reader, other = await asyncio.open_connection(*writer.get_extra_info("peername"))
            assert type(reader) is StdlibReader
            other.write(b"x\n")
            assert await reader.readline() == b"x\n"
            other.close()

    aioxide.run(main())


def test_subprocesses_have_native_streams_when_installed():
    async def main():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "print(input())", stdin=-1, stdout=-1
        )
        assert type(process.stdout) is aioxide.StreamReader
        assert (await process.communicate(b"hello\n"))[0] == b"hello\n"

    aioxide.install()
    try:
        asyncio.run(main())
    finally:
        aioxide.uninstall()


# --- Memory.


def test_streams_leave_nothing_behind():
    class Noted:
        pass

    async def main():
        seen = []

        async def serve(reader, writer):
            seen.extend(map(weakref.ref, (reader, writer)))
            await echo(reader, writer)
            await writer.wait_closed()

        async with connected(serve) as (reader, writer):
            writer.write(b"hello\n")
            await reader.readline()
            seen.extend(map(weakref.ref, (reader, writer, writer._protocol)))
            writer.close()
            await writer.wait_closed()
            del reader, writer
        await settle()
        await asyncio.sleep(0.01)
        gc.collect()
        return [type(one()) for one in seen if one() is not None]

    assert aioxide.run(main()) == []


def test_a_cycle_through_a_waiting_read_is_collected():
    class Reader(aioxide.StreamReader):
        pass

    async def main():
        reader = Reader()
        read = reader.readline()
        read.send(None)
        reader.mine = read
        reader._exception = ValueError(reader)
        gone = weakref.ref(reader)
        del reader, read
        gc.collect()
        return gone()

    assert aioxide.run(main()) is None


def test_reading_a_lot_costs_no_memory():
    async def main():
        import tracemalloc

        reader = aioxide.StreamReader()
        reader.feed_data(b"line\n" * 1000)
        await reader.readexactly(5000)
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(200):
            reader.feed_data(b"line\n" * 100)
            for _ in range(50):
                await reader.readline()
            await reader.readuntil(b"\n")
            await reader.read(49 * 5)
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return after - before

    assert aioxide.run(main()) < 10_000
