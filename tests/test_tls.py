"""TLS: both ways of moving records, every kind of ending, and nothing that stays behind.

The tests run twice: OpenSSL used directly, and through ``ssl.MemoryBIO``. Certificates are made when the tests
start.
"""

# The fixtures of tls_ends are arguments here.
# ruff: noqa: F811

from __future__ import annotations

import asyncio
import os
import socket
import ssl

import pytest

import aioxide
from tls_ends import HOST, Echo, Recorder, certificates, is_direct, pair, run, way  # noqa: F401


def test_each_way_is_the_one_that_was_asked_for(certificates, way):
    async def main():
        async with pair(certificates) as ends:
            assert is_direct(ends.client.transport) == (way == "direct")
            assert isinstance(ends.client.transport, asyncio.Transport)

    run(main())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_every_size_comes_back_unchanged(certificates, version):
    async def main():
        client = certificates.client()
        client.minimum_version = client.maximum_version = version
        async with pair(certificates, Echo, client=client) as ends:
            total = 0
            for size in (1, 2, 100, 16_383, 16_384, 16_385, 40_000, 1_000_000):
                data = os.urandom(size)
                ends.client.transport.write(data)
                await ends.client.until(total + size)
                assert ends.client.data[total:] == data
                total += size

    run(main())


def test_what_is_known_of_a_connection(certificates):
    async def main():
        context = certificates.client()
        async with pair(certificates, client=context) as ends:
            info = ends.client.transport.get_extra_info
            assert info("sslcontext") is context
            assert isinstance(info("ssl_object"), ssl.SSLObject)
            assert info("peercert")["subject"] == ((("commonName", "localhost"),),)
            assert info("cipher") == info("ssl_object").cipher()
            assert info("compression") is None
            assert info("peername")[0] == HOST
            assert info("socket").fileno() >= 0
            assert info("nothing", 7) == 7
            assert not ends.client.transport.can_write_eof()
            with pytest.raises(NotImplementedError):
                ends.client.transport.write_eof()

    run(main())


def test_a_buffer_may_change_after_it_was_written(certificates):
    async def main():
        async with pair(certificates, Echo) as ends:
            data = bytearray(b"a" * 3_000_000)
            ends.client.transport.write(data)
            data[:] = b"b" * len(data)
            await ends.client.until(len(data))
            assert set(ends.client.data) == {ord("a")}
            ends.client.transport.writelines([b"x", bytearray(b"y"), memoryview(b"z")])
            await ends.client.until(len(data) + 3)
            assert ends.client.data[-3:] == b"xyz"
            with pytest.raises(TypeError, match="data: expecting a bytes-like instance, got str"):
                ends.client.transport.write("text")

    run(main())


def test_what_was_written_before_close_arrives(certificates):
    async def main():
        async with pair(certificates) as ends:
            data = os.urandom(4_000_000)
            ends.client.transport.write(data)
            ends.client.transport.close()
            assert await ends.server.lost is None
            assert await ends.client.lost is None
            assert ends.server.data == data
            assert ends.server.events == ["made", "eof", "lost"]

    run(main())


def test_what_is_written_before_the_handshake_goes_out_after_it(certificates):
    async def main():
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        client, server = Recorder(), Recorder()
        plain, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        accepting = asyncio.ensure_future(
            loop.connect_accepted_socket(lambda: server, theirs, ssl=certificates.server())
        )
        waiter = loop.create_future()
        protocol = aioxide._aioxide.SSLProtocol(
            loop, client, certificates.client(), waiter, server_hostname="localhost"
        )
        data = bytearray(b"early")
        plain.pause_reading()
        plain.set_protocol(protocol)
        protocol.connection_made(plain)
        protocol._app_transport.write(data)
        data[:] = b"wrong"
        plain.resume_reading()
        await waiter
        await accepting
        await server.until(5)
        assert server.data == b"early"
        client.transport.close()
        await client.lost
        await server.lost

    run(main())


def test_a_slow_reader_bounds_what_its_peer_keeps(certificates):
    async def main():
        async with pair(certificates) as ends:
            ends.server.transport.pause_reading()
            assert not ends.server.transport.is_reading()
            client = ends.client.transport
            written = 0
            while "pause" not in ends.client.events:
                client.write(bytes(100_000))
                written += 100_000
                await asyncio.sleep(0)
            assert client.get_write_buffer_size() < 512 * 1024 + 200_000
            # The receiver holds no more than its own mark and a read.
            while ends.server.transport._ssl_protocol._transport.is_reading():
                client.write(bytes(100_000))
                written += 100_000
                await asyncio.sleep(0.001)
            assert ends.server.transport.get_read_buffer_size() <= 2 * 256 * 1024 + 300_000
            assert not ends.server.data
            ends.server.transport.resume_reading()
            await ends.server.until(written)
            assert ends.client.events[:3] == ["made", "pause", "resume"]

    run(main())


def test_water_marks(certificates):
    async def main():
        async with pair(certificates) as ends:
            transport = ends.client.transport
            assert transport.get_write_buffer_limits() == (128 * 1024, 512 * 1024)
            assert transport.get_read_buffer_limits() == (64 * 1024, 256 * 1024)
            transport.set_write_buffer_limits(high=100)
            assert transport.get_write_buffer_limits() == (25, 100)
            transport.set_write_buffer_limits(low=100)
            assert transport.get_write_buffer_limits() == (100, 400)
            transport.set_read_buffer_limits(high=4096, low=1)
            assert transport.get_read_buffer_limits() == (1, 4096)
            with pytest.raises(ValueError, match="must be >= low"):
                transport.set_write_buffer_limits(high=1, low=2)

    run(main())


def test_pausing_in_data_received_holds_the_rest_back(certificates):
    class Pausing(Recorder):
        def data_received(self, data) -> None:
            super().data_received(data)
            self.transport.pause_reading()

    async def main():
        async with pair(certificates, Pausing) as ends:
            ends.client.transport.write(b"one")
            await ends.server.until(3)
            ends.client.transport.write(b"two")
            for _ in range(20):
                await asyncio.sleep(0)
            assert ends.server.data == b"one"
            ends.server.transport.resume_reading()
            await ends.server.until(6)
            assert ends.server.data == b"onetwo"
            ends.server.transport.resume_reading()

    run(main())


@pytest.mark.parametrize("size", [1, 10, 5000, 100_000])
@pytest.mark.parametrize("kind", [bytearray, lambda size: memoryview(bytearray(size))])
def test_buffered_protocols_get_everything(certificates, size, kind):
    class Buffered(Recorder, asyncio.BufferedProtocol):
        def get_buffer(self, sizehint):
            self.buffer = kind(size)
            return self.buffer

        def buffer_updated(self, nbytes):
            self.data_received(self.buffer[:nbytes])

    async def main():
        async with pair(certificates, Buffered) as ends:
            data = os.urandom(60 * size)
            ends.client.transport.write(data)
            await ends.server.until(len(data))
            assert ends.server.data == data

    run(main())


@pytest.mark.parametrize("bad", [bytearray(), memoryview(b"read-only"), 7])
def test_an_unusable_buffer_ends_the_connection(certificates, bad):
    class Buffered(Recorder, asyncio.BufferedProtocol):
        def get_buffer(self, sizehint):
            return bad

    async def main():
        reported = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
        async with pair(certificates, Buffered) as ends:
            ends.client.transport.write(b"x")
            assert isinstance(await ends.server.lost, (RuntimeError, TypeError, ValueError))
        assert reported[0]["message"] == "Fatal error on SSL protocol"

    run(main())


def test_answers_to_one_read_leave_with_one_send(certificates, way):
    class Many(Recorder):
        def data_received(self, data) -> None:
            for _ in range(10):
                self.transport.write(b"x" * 100)

    async def main():
        async with pair(certificates, Many) as ends:
            reads = []
            original = ends.client.data_received
            ends.client.data_received = lambda data: (reads.append(len(data)), original(data))
            ends.client.transport.write(b"go")
            await ends.client.until(1000)
            assert reads == [1000]

    run(main())


def test_an_exception_in_data_received_is_reported_and_ends_the_connection(certificates):
    class Failing(Recorder):
        def data_received(self, data) -> None:
            self.transport.write(b"last words")
            raise ZeroDivisionError

    async def main():
        reported = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
        async with pair(certificates, Failing) as ends:
            ends.client.transport.write(b"x")
            assert isinstance(await ends.server.lost, ZeroDivisionError)
            await ends.client.lost
            assert ends.client.data == b"last words"
        [context] = reported
        assert context["message"] == "Fatal error on SSL protocol"
        assert isinstance(context["exception"], ZeroDivisionError)
        assert isinstance(context["protocol"], aioxide._aioxide.SSLProtocol)

    run(main())


@pytest.mark.parametrize("end", ["close", "abort"])
def test_ending_in_data_received_sends_what_was_written_there(certificates, end):
    class Ending(Recorder):
        def data_received(self, data) -> None:
            self.transport.write(b"answer")
            getattr(self.transport, end)()

    async def main():
        async with pair(certificates, Ending) as ends:
            ends.client.transport.write(b"x")
            assert await ends.server.lost is None
            await ends.client.lost
            assert ends.client.data == b"answer"

    run(main())


def test_a_true_eof_received_is_warned_of(certificates, caplog):
    class Keeping(Recorder):
        def eof_received(self):
            super().eof_received()
            return True

    async def main():
        async with pair(certificates, Keeping) as ends:
            ends.client.transport.close()
            await ends.server.lost

    run(main())
    assert "returning true from eof_received() has no effect when using ssl" in caplog.text


def test_writes_after_close_are_counted(certificates, caplog):
    async def main():
        async with pair(certificates) as ends:
            ends.client.transport.close()
            for _ in range(7):
                ends.client.transport.write(b"x")

    run(main())
    assert [record.message for record in caplog.records].count("SSL connection is closed") == 2


def test_alpn_sni_and_client_certificates(certificates):
    async def main():
        server, other, client = (
            certificates.server(),
            certificates.server(certificates.other),
            certificates.client(),
        )
        for context in (server, other):
            context.set_alpn_protocols(["two", "one"])
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(certificates.authority)
        client.set_alpn_protocols(["one"])
        client.load_cert_chain(certificates.localhost)
        asked = []

        def choose(ssl_object, name, context):
            asked.append(name)
            if name == "other":
                ssl_object.context = other

        server.sni_callback = choose
        loop = asyncio.get_running_loop()
        made = []
        listener = await loop.create_server(lambda: made.append(Echo()) or made[-1], HOST, 0, ssl=server)
        port = listener.sockets[0].getsockname()[1]
        for name in ("localhost", "other"):
            _, protocol = await loop.create_connection(Recorder, HOST, port, ssl=client, server_hostname=name)
            info = protocol.transport.get_extra_info
            assert info("ssl_object").selected_alpn_protocol() == "one"
            assert info("peercert")["subjectAltName"] == (("DNS", name),)
            protocol.transport.write(b"x")
            await protocol.until(1)
            assert made[-1].transport.get_extra_info("peercert")["subjectAltName"] == (("DNS", "localhost"),)
            protocol.transport.close()
            await protocol.lost
            await made[-1].lost
        assert asked == ["localhost", "other"]
        listener.close()
        await listener.wait_closed()

    run(main())


def test_an_sni_callback_may_end_the_connection(certificates):
    async def main():
        server = certificates.server()
        loop = asyncio.get_running_loop()
        made = []

        def refuse(ssl_object, name, context):
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

        server.sni_callback = refuse
        listener = await loop.create_server(lambda: made.append(Recorder()) or made[-1], HOST, 0, ssl=server)
        port = listener.sockets[0].getsockname()[1]
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await loop.create_connection(
                Recorder, HOST, port, ssl=certificates.client(), server_hostname="localhost"
            )
        listener.close()
        await listener.wait_closed()

    run(main())


def test_sessions_are_used_again(certificates):
    async def main():
        server, client = certificates.server(), certificates.client()
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        async with pair(certificates, Echo, server=server, client=client) as ends:
            ends.client.transport.write(b"x")
            await ends.client.until(1)
            session = ends.client.transport.get_extra_info("ssl_object").session
        original = client.wrap_bio

        def wrap_bio(*args, **kwargs):
            return original(*args, **kwargs, session=session)

        client.wrap_bio = wrap_bio
        async with pair(certificates, Echo, server=server, client=client) as ends:
            assert ends.client.transport.get_extra_info("ssl_object").session_reused
            ends.client.transport.write(b"x")
            await ends.client.until(1)

    run(main())


def test_key_logs_are_written(certificates, tmp_path):
    async def main():
        client = certificates.client()
        client.keylog_filename = tmp_path / "keys"
        async with pair(certificates, Echo, client=client) as ends:
            ends.client.transport.write(b"x")
            await ends.client.until(1)
        assert "TRAFFIC_SECRET" in (tmp_path / "keys").read_text()

    run(main())


def test_an_object_of_another_class_sees_what_is_read_and_written(certificates):
    class Watched(ssl.SSLObject):
        def read(self, *args):
            calls.append("read")
            return super().read(*args)

        def write(self, data):
            calls.append("write")
            return super().write(data)

    calls: list[str] = []

    async def main():
        client = certificates.client()
        client.sslobject_class = Watched
        async with pair(certificates, Echo, client=client) as ends:
            assert not is_direct(ends.client.transport)
            ends.client.transport.write(b"x")
            await ends.client.until(1)

    run(main())
    assert {"read", "write"} <= set(calls)


def test_a_message_callback_may_write(certificates):
    """OpenSSL calls it in the middle of reading and writing."""

    async def main():
        client = certificates.client()
        writers = []

        def note(connection, direction, version, content_type, message_type, data):
            if writers:
                writers.pop().write(b"from within")

        client._msg_callback = note
        async with pair(certificates, Echo, client=client) as ends:
            ends.client.transport.write(b"first")
            await ends.client.until(5)
            writers.append(ends.client.transport)
            ends.client.transport.write(b"second")
            await ends.client.until(5 + 6 + 11)

    run(main())


@pytest.mark.parametrize("layers", [2, 3])
def test_tls_in_tls(certificates, layers):
    async def main():
        loop = asyncio.get_running_loop()

        async def serve(reader, writer):
            for _ in range(layers - 1):
                writer.write(b"+")
                await writer.start_tls(certificates.server())
            while data := await reader.read(100_000):
                writer.write(data)
                await writer.drain()
            writer.close()

        listener = await asyncio.start_server(serve, HOST, 0, ssl=certificates.server())
        reader, writer = await asyncio.open_connection(
            HOST, listener.sockets[0].getsockname()[1], ssl=certificates.client(), server_hostname="localhost"
        )
        transport, protocol = writer.transport, writer.transport.get_protocol()
        for _ in range(layers - 1):
            assert await reader.readexactly(1) == b"+"
            transport = await loop.start_tls(
                transport, protocol, certificates.client(), server_hostname="localhost"
            )
        assert transport.get_extra_info("peername")[0] == HOST
        for size in (1, 20_000, 1_000_000):
            data = os.urandom(size)
            transport.write(data)
            assert await reader.readexactly(size) == data
        transport.close()
        listener.close()
        await listener.wait_closed()

    if hasattr(asyncio.StreamWriter, "start_tls"):
        run(main())


def test_start_tls_over_a_foreign_transport(certificates):
    """One that is no SocketTransport: the protocol is called as any BufferedProtocol is."""

    class Wire(asyncio.Transport):
        _start_tls_compatible = True

        def __init__(self, loop) -> None:
            super().__init__()
            self.loop, self.closed, self.paused, self.waiting = loop, False, False, []

        def set_protocol(self, protocol) -> None:
            self.protocol = protocol

        def write(self, data) -> None:
            self.loop.call_soon(self.peer.receive, bytes(data))

        def receive(self, data) -> None:
            if self.closed:
                return
            if self.paused:
                self.waiting.append(data)
                return
            while data:
                buffer = self.protocol.get_buffer(-1)
                count = min(7, len(data), len(buffer))
                buffer[:count] = data[:count]
                self.protocol.buffer_updated(count)
                data = data[count:]

        def pause_reading(self) -> None:
            self.paused = True

        def resume_reading(self) -> None:
            self.paused = False
            waiting, self.waiting = self.waiting, []
            for data in waiting:
                self.receive(data)

        def _force_close(self, exc) -> None:
            if not self.closed:
                self.closed = True
                self.loop.call_soon(self.protocol.connection_lost, exc)

        def close(self) -> None:
            self._force_close(None)

        abort = close

    async def main():
        loop = asyncio.get_running_loop()
        left, right = Wire(loop), Wire(loop)
        left.peer, right.peer = right, left
        client, server = Recorder(), Echo()
        ours, theirs = await asyncio.gather(
            loop.start_tls(left, client, certificates.client(), server_hostname="localhost"),
            loop.start_tls(right, server, certificates.server(), server_side=True),
        )
        server.transport = theirs
        data = os.urandom(40_000)
        ours.write(data)
        await client.until(len(data))
        assert client.data == data
        ours.close()
        assert await client.lost is None
        assert await server.lost is None

    run(main())
