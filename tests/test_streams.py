"""Streams do what asyncio's do, whoever's loop and transport they run on."""

# The fixtures of stream_ends are arguments here.
# ruff: noqa: F811

from __future__ import annotations

import asyncio
import gc
import random
import sys
from unittest import mock

import pytest

import aioxide
import aioxide.streams
from stream_ends import HAS_TUPLES, Pair, connected, echo, run, settle  # noqa: F401


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
