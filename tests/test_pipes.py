"""Pipes: reading, writing, flow control, and the other end going away."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket

import pytest

import aioxide


def run(main):
    return aioxide.run(main())


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


class Recorder(asyncio.Protocol):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[object] = []
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.events.append("made")

    def data_received(self, data):
        self.events.append(data)

    def eof_received(self):
        self.events.append("eof")

    def pause_writing(self):
        self.events.append("pause")

    def resume_writing(self):
        self.events.append("resume")

    def connection_lost(self, exc):
        self.lost.set_result(exc)


def files() -> tuple[object, object]:
    reader, writer = os.pipe()
    return open(reader, "rb", 0), open(writer, "wb", 0)


async def read_pipe(pipe):
    return await asyncio.get_running_loop().connect_read_pipe(Recorder, pipe)


async def write_pipe(pipe):
    return await asyncio.get_running_loop().connect_write_pipe(Recorder, pipe)


def test_a_reader_gets_what_comes_then_the_end():
    async def main():
        reader, writer = files()
        transport, protocol = await read_pipe(reader)
        assert isinstance(transport, aioxide._aioxide.ReadPipeTransport)
        assert isinstance(transport, asyncio.ReadTransport)
        assert transport.get_extra_info("pipe") is reader
        assert transport.get_extra_info("other", 5) == 5
        assert transport.get_protocol() is protocol
        assert transport.is_reading()
        writer.write(b"one")
        await until(lambda: b"one" in protocol.events)
        writer.close()
        assert await protocol.lost is None
        assert protocol.events == ["made", b"one", "eof"]
        assert transport.is_closing()
        await until(lambda: reader.closed)
        assert "closed" in repr(transport)

    run(main)


def test_a_reader_that_is_paused_gets_nothing_until_it_is_resumed():
    async def main():
        reader, writer = files()
        transport, protocol = await read_pipe(reader)
        transport.pause_reading()
        transport.pause_reading()
        assert not transport.is_reading()
        writer.write(b"data")
        await asyncio.sleep(0.01)
        assert protocol.events == ["made"]
        transport.resume_reading()
        transport.resume_reading()
        await until(lambda: b"data" in protocol.events)
        writer.close()
        await protocol.lost

    run(main)


def test_a_reader_that_is_closed_reads_no_more():
    async def main():
        reader, writer = files()
        transport, protocol = await read_pipe(reader)
        writer.write(b"data")
        transport.close()
        transport.close()
        assert await protocol.lost is None
        assert protocol.events == ["made"]
        with pytest.raises(BrokenPipeError):
            writer.write(b"x")
        writer.close()

    run(main)


def test_a_reader_that_is_closed_in_connection_made_never_reads():
    class Closing(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.close()

    async def main():
        reader, writer = files()
        writer.write(b"data")
        _, protocol = await asyncio.get_running_loop().connect_read_pipe(Closing, reader)
        assert await protocol.lost is None
        assert protocol.events == ["made"]
        writer.close()

    run(main)


def test_a_protocol_that_fails_is_reported_and_goes_on():
    class Failing(Recorder):
        def data_received(self, data):
            super().data_received(data)
            raise ZeroDivisionError(data)

    async def main():
        contexts = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: contexts.append(context))
        reader, writer = files()
        _, protocol = await loop.connect_read_pipe(Failing, reader)
        for data in (b"one", b"two"):
            writer.write(data)
            await until(lambda data=data: data in protocol.events)
        writer.close()
        await protocol.lost
        assert [type(context["exception"]) for context in contexts] == [ZeroDivisionError] * 2
        assert all(context["message"].startswith("Exception in callback") for context in contexts)

    run(main)


def test_an_interrupt_in_a_protocol_ends_the_run():
    class Interrupting(Recorder):
        def data_received(self, data):
            raise KeyboardInterrupt

    loop = aioxide.new_event_loop()
    reader, writer = files()

    async def connect():
        return await loop.connect_read_pipe(Interrupting, reader)

    transport, protocol = loop.run_until_complete(connect())
    writer.write(b"data")
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(asyncio.sleep(10))
    transport.close()
    loop.run_until_complete(protocol.lost)
    loop.run_until_complete(asyncio.sleep(0))
    for task in asyncio.all_tasks(loop):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
    writer.close()
    loop.close()


@pytest.mark.parametrize("data", [b"data", bytearray(b"data"), memoryview(b"data")])
def test_a_writer_writes_at_once(data):
    async def main():
        reader, writer = files()
        transport, protocol = await write_pipe(writer)
        assert isinstance(transport, aioxide._aioxide.WritePipeTransport)
        assert isinstance(transport, asyncio.WriteTransport)
        assert transport.can_write_eof()
        transport.write(data)
        transport.write(b"")
        assert reader.read(10) == b"data"
        transport.writelines([b"a", b"b"])
        assert reader.read(10) == b"ab"
        with pytest.raises(TypeError):
            transport.write("text")
        transport.close()
        assert await protocol.lost is None
        assert reader.read() == b""
        reader.close()

    run(main)


def test_a_writer_buffers_and_pauses_its_protocol():
    async def main():
        reader, writer = files()
        transport, protocol = await write_pipe(writer)
        transport.set_write_buffer_limits(high=10, low=5)
        assert transport.get_write_buffer_limits() == (5, 10)
        data = bytes(range(256)) * 4096
        piece = bytearray(data)
        transport.write(piece)
        # What was not taken was copied.
        piece[:] = b"x" * len(piece)
        assert transport.get_write_buffer_size() > 0
        assert f"bufsize={transport.get_write_buffer_size()}" in repr(transport)
        assert protocol.events == ["made", "pause"]
        transport.write_eof()
        os.set_blocking(reader.fileno(), False)
        got = bytearray()
        while len(got) < len(data):
            got += reader.read(1 << 20) or b""
            await asyncio.sleep(0)
        assert got == data
        assert await protocol.lost is None
        assert protocol.events == ["made", "pause", "resume"]
        await until(lambda: writer.closed)
        reader.close()

    run(main)


def test_a_writer_notices_that_the_reader_has_gone():
    async def main():
        reader, writer = files()
        transport, protocol = await write_pipe(writer)
        reader.close()
        assert await protocol.lost is None
        assert transport.is_closing()

    run(main)


def test_a_writer_with_something_to_send_loses_a_broken_pipe():
    async def main():
        reader, writer = files()
        transport, protocol = await write_pipe(writer)
        transport.write(bytes(1 << 20))
        reader.close()
        assert isinstance(await protocol.lost, BrokenPipeError)
        assert transport.get_write_buffer_size() == 0

    run(main)


def test_abort_forgets_what_is_buffered():
    async def main():
        reader, writer = files()
        transport, protocol = await write_pipe(writer)
        transport.write(bytes(1 << 20))
        transport.abort()
        transport.abort()
        assert await protocol.lost is None
        assert transport.get_write_buffer_size() == 0
        assert 0 < len(reader.read()) < 1 << 20
        reader.close()

    run(main)


def test_writes_after_the_end_are_logged_from_the_sixth_on(caplog):
    async def main():
        reader, writer = files()
        transport, protocol = await write_pipe(writer)
        transport.close()
        for _ in range(7):
            transport.write(b"lost")
        await protocol.lost
        reader.close()

    with caplog.at_level(logging.WARNING, "asyncio"):
        run(main)
    assert [record.getMessage() for record in caplog.records] == [
        "pipe closed by peer or os.write(pipe, data) raised exception."
    ] * 2


def test_sockets_and_terminals_are_pipes_too():
    async def main():
        near, far = socket.socketpair()
        _, reading = await read_pipe(near)
        far.sendall(b"data")
        await until(lambda: b"data" in reading.events)
        far.close()
        assert await reading.lost is None

        controller, terminal = os.openpty()
        _, reading = await read_pipe(open(controller, "rb", 0))
        writer, writing = await write_pipe(open(terminal, "wb", 0))
        writer.write(b"text\n")
        await until(lambda: b"text\r\n" in reading.events)
        writer.close()
        assert await writing.lost is None
        # A terminal whose other side is gone says EIO, which is not reported.
        assert isinstance(await reading.lost, OSError)

    run(main)


def test_regular_files_are_refused(tmp_path):
    async def main():
        with open(tmp_path / "file", "w+b") as file:
            with pytest.raises(ValueError, match=r"Pipe transport is for pipes/sockets only\."):
                await read_pipe(file)
            with pytest.raises(ValueError, match="Pipe transport is only for pipes, sockets and character"):
                await write_pipe(file)

    run(main)


def test_another_protocol_gets_what_comes_next():
    async def main():
        reader, writer = files()
        sending, _ = await write_pipe(writer)
        receiving, protocol = await read_pipe(reader)
        other = Recorder()
        receiving.set_protocol(other)
        sending.write(b"data")
        await until(lambda: b"data" in other.events)
        assert protocol.events == ["made"]
        sending.close()
        assert await other.lost is None
        assert not protocol.lost.done()

    run(main)


@pytest.mark.parametrize("connect", [read_pipe, write_pipe])
def test_a_transport_that_nobody_closed_warns_and_closes_its_pipe(connect):
    loop = aioxide.new_event_loop()
    reader, writer = files()
    pipe = reader if connect is read_pipe else writer

    transport, protocol = loop.run_until_complete(connect(pipe))
    loop.close()
    assert "open" in repr(transport)
    with pytest.warns(ResourceWarning, match="unclosed transport"):
        del transport, protocol
        gc.collect()
    assert pipe.closed
    reader.close()
    writer.close()


def test_a_thousand_pipes_leave_no_descriptor_behind():
    async def main():
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(1000):
            reader, writer = files()
            receiving, protocol = await read_pipe(reader)
            sending, _ = await write_pipe(writer)
            sending.write(b"x")
            sending.close()
            await protocol.lost
            assert protocol.events[1] == b"x"
        await asyncio.sleep(0)
        del receiving, sending, protocol, reader, writer
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) <= before

    run(main)
