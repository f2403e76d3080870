"""Writers, connections and servers: what a program sees of streams, and what is left when they are over."""

# The fixtures of stream_ends are arguments here.
# ruff: noqa: F811

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
from unittest import mock

import pytest

import aioxide
import aioxide.streams
from stream_ends import StdlibProtocol, StdlibReader, StdlibWriter, Transport, connected, echo, run, settle  # noqa: F401


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


@pytest.mark.parametrize("how", ["function", "raises", "cancelled"])
def test_a_server_whose_callback_fails_closes_the_connection(how):
    reports = []

    async def fail(reader, writer):
        if how == "raises":
            raise ZeroDivisionError
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    def fail_at_once(reader, writer):
        raise ZeroDivisionError

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: reports.append(context))
        async with connected(fail_at_once if how == "function" else fail) as (reader, _):
            assert await reader.read() == b""

    aioxide.run(main())
    if how != "cancelled":
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
