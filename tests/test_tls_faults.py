"""TLS when something goes wrong: cut connections, garbage, timeouts, cancellations; and what is left then."""

# The fixtures of tls_ends are arguments here.
# ruff: noqa: F811

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import ssl
import weakref

import pytest

import aioxide
from tls_ends import HOST, Echo, Recorder, certificates, pair, run, way  # noqa: F401


def records_of_an_echo(certificates) -> bytes:
    """Everything that a client sends: handshake, five bytes, close_notify."""
    client_in, client_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_in, server_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = certificates.client().wrap_bio(client_in, client_out, server_hostname="localhost")
    server = certificates.server().wrap_bio(server_in, server_out, server_side=True)
    sent = b""
    for _ in range(4):
        for end, out, into in ((client, client_out, server_in), (server, server_out, client_in)):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
            data = out.read()
            sent += data if end is client else b""
            into.write(data)
    client.write(b"hello")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.unwrap()
    return sent + client_out.read()


class Cut(asyncio.Protocol):
    """Sits between client and server, and passes on so many bytes of the client's."""

    def __init__(self, port: int, limit: int) -> None:
        self.port, self.limit = port, limit
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport) -> None:
        self.client = transport
        self.server = socket.create_connection((HOST, self.port))
        self.server.setblocking(False)
        loop = asyncio.get_running_loop()
        loop.add_reader(self.server, self.answer)

    def answer(self) -> None:
        try:
            data = self.server.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.client.write(data)
        else:
            self.end()

    def data_received(self, data) -> None:
        data, rest = data[: self.limit], data[self.limit :]
        self.limit -= len(data)
        with contextlib.suppress(OSError):
            for index in range(0, len(data), 9):
                self.server.send(data[index : index + 9])
        if rest or not self.limit:
            self.end()

    def connection_lost(self, exc) -> None:
        self.end()

    def end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
            asyncio.get_running_loop().remove_reader(self.server)
            self.server.close()
            self.client.abort()


def test_a_connection_may_be_cut_after_any_byte(certificates):
    """Nobody waits for ever, nothing is reported that is not the network's business, nothing leaks."""
    length = len(records_of_an_echo(certificates))
    assert 400 < length < 2000

    async def main():
        loop = asyncio.get_running_loop()
        reported = []
        loop.set_exception_handler(lambda loop, context: reported.append(context))
        server_context, client_context = certificates.server(), certificates.client()
        ends = []
        listener = await loop.create_server(
            lambda: ends.append(Echo()) or ends[-1], HOST, 0, ssl=server_context
        )
        port = listener.sockets[0].getsockname()[1]
        cut_at = 0
        cutter = await loop.create_server(lambda: Cut(port, cut_at), HOST, 0)
        complete = 0
        for cut_at in range(1, length + 200, 5):  # noqa: B007 - read by the cutter
            try:
                _, client = await loop.create_connection(
                    Recorder,
                    HOST,
                    cutter.sockets[0].getsockname()[1],
                    ssl=client_context,
                    server_hostname="localhost",
                    ssl_handshake_timeout=5,
                )
            except (OSError, ssl.SSLError):
                continue
            client.transport.write(b"hello")
            answered = asyncio.ensure_future(client.until(5))
            done, _ = await asyncio.wait([client.lost, answered], return_when="FIRST_COMPLETED", timeout=5)
            assert done
            answered.cancel()
            complete += client.data == b"hello"
            client.transport.close()
            await asyncio.wait_for(client.lost, 5)
        for end in ends:
            if end.made.done():
                await asyncio.wait_for(end.lost, 5)
        cutter.close()
        listener.close()
        await cutter.wait_closed()
        await listener.wait_closed()
        assert complete
        assert not reported

    run(main())


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"x" * 70_000, bytes(100), b"\x80"]
)
def test_garbage_instead_of_tls_ends_the_connection(certificates, garbage):
    async def main():
        loop = asyncio.get_running_loop()
        reported = []
        loop.set_exception_handler(lambda loop, context: reported.append(context))
        listener = await loop.create_server(
            Recorder, HOST, 0, ssl=certificates.server(), ssl_handshake_timeout=0.2
        )
        reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname()[:2])
        writer.write(garbage)
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), 5)
        writer.close()
        listener.close()
        await listener.wait_closed()
        assert not reported

    run(main())


def test_a_broken_record_is_an_ssl_error_after_the_data_before_it(certificates):
    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: None)
        async with pair(certificates) as ends:
            below = ends.client.transport._ssl_protocol._transport
            ends.client.transport.write(b"good")
            below.write(b"\x17\x03\x03\x00\x20" + b"f" * 32)
            error = await ends.server.lost
            assert isinstance(error, ssl.SSLError)
            # Newer releases of OpenSSL call it by the second name.
            assert error.reason in ("DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "RECORD_LAYER_FAILURE")
            assert error.library == "SSL"
            assert error.errno == ssl.SSL_ERROR_SSL
            assert f"[SSL: {error.reason}] " in str(error)
            assert ends.server.data == b"good"

    run(main())


def test_a_certificate_of_another_name_is_refused(certificates):
    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: None)
        listener = await loop.create_server(Recorder, HOST, 0, ssl=certificates.server(certificates.other))
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            await loop.create_connection(
                Recorder,
                HOST,
                listener.sockets[0].getsockname()[1],
                ssl=certificates.client(),
                server_hostname="localhost",
            )
        listener.close()
        await listener.wait_closed()

    run(main())


def test_a_handshake_that_takes_too_long_is_aborted(certificates):
    async def main():
        with socket.create_server((HOST, 0)) as listener:
            with pytest.raises(ConnectionAbortedError) as raised:
                await asyncio.get_running_loop().create_connection(
                    Recorder,
                    *listener.getsockname(),
                    ssl=certificates.client(),
                    server_hostname="localhost",
                    ssl_handshake_timeout=0.05,
                )
        text = "SSL handshake is taking longer than 0.05 seconds: aborting the connection"
        assert str(raised.value) == text

    run(main())


@pytest.mark.parametrize("name", ["ssl_handshake_timeout", "ssl_shutdown_timeout"])
@pytest.mark.parametrize("value", [0, -1])
def test_timeouts_must_be_positive(certificates, name, value):
    async def main():
        with (
            socket.create_server((HOST, 0)) as listener,
            pytest.raises(ValueError, match=f"{name} should be"),
        ):
            await asyncio.get_running_loop().create_connection(
                Recorder,
                *listener.getsockname(),
                ssl=certificates.client(),
                server_hostname="localhost",
                **{name: value},
            )

    run(main())


def test_a_shutdown_that_takes_too_long_is_a_timeout(certificates):
    async def main():
        async with pair(certificates, ssl_shutdown_timeout=0.05) as ends:
            # The server's socket is not read any more: no close_notify will come.
            ends.server.transport._ssl_protocol._transport.pause_reading()
            ends.client.transport.close()
            error = await ends.client.lost
            assert isinstance(error, TimeoutError)
            assert str(error) == "SSL shutdown timed out"
            ends.server.transport.abort()

    run(main())


def test_a_handshake_may_be_cancelled(certificates):
    async def main():
        reported = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
        with socket.create_server((HOST, 0)) as listener:
            connecting = asyncio.ensure_future(
                asyncio.get_running_loop().create_connection(
                    Recorder, *listener.getsockname(), ssl=certificates.client(), server_hostname="localhost"
                )
            )
            accepted, _ = await asyncio.to_thread(listener.accept)
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting
            accepted.close()
        assert not reported

    run(main())


def test_streams_over_tls(certificates):
    async def main():
        async def serve(reader, writer):
            writer.write(await reader.readline())
            writer.close()
            await writer.wait_closed()

        listener = await asyncio.start_server(serve, HOST, 0, ssl=certificates.server())
        reader, writer = await asyncio.open_connection(
            HOST, listener.sockets[0].getsockname()[1], ssl=certificates.client(), server_hostname="localhost"
        )
        writer.write(b"line\n")
        assert await reader.read() == b"line\n"
        writer.close()
        await writer.wait_closed()
        writer.close()
        assert writer.get_extra_info("nothing", 1) == 1
        listener.close()
        await listener.wait_closed()

    run(main())


def test_debug_mode_tells_of_the_handshake(certificates, caplog):
    caplog.set_level("DEBUG", "asyncio")

    async def main():
        async with pair(certificates):
            pass

    aioxide.run(main(), debug=True)
    assert "starts SSL handshake" in caplog.text
    assert "SSL handshake took" in caplog.text


@pytest.mark.parametrize("end", ["close", "abort", "eof"])
def test_nothing_stays_behind(certificates, end):
    """Neither in the loop nor in a cycle: with the collector off, everything dies with its last user."""

    async def main():
        context = certificates.client()
        async with pair(certificates, client=context) as ends:
            client = ends.client
            ends.server.transport.write(b"x" * 100_000)
            await client.until(100_000)
            gc.collect()
            gc.disable()
            if end == "eof":
                ends.server.transport.close()
            else:
                getattr(client.transport, end)()
            await client.lost
            await ends.server.lost
            # Its protocol is called back after the loop has let go of it.
            await asyncio.sleep(0)
            watched = [
                weakref.ref(thing)
                for thing in (
                    client.transport,
                    client.transport._ssl_protocol,
                    client.transport.get_extra_info("ssl_object"),
                    context,
                )
            ]
            client.transport = ends.server.transport
            client.made = None
            del context
            return watched, ends

    try:
        watched, _ = run(main())
        assert [reference() for reference in watched] == [None] * len(watched)
    finally:
        gc.enable()


def test_a_forgotten_transport_is_a_warning(certificates):
    async def main():
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        protocol = aioxide._aioxide.SSLProtocol(
            loop, Recorder(), certificates.client(), None, False, "localhost"
        )
        with pytest.warns(ResourceWarning, match="unclosed transport"):
            del protocol
            gc.collect()
        ours.close()
        theirs.close()

    run(main())


def test_an_idle_connection_holds_little_memory(certificates, way):
    if way != "direct":
        pytest.skip("memory BIOs keep what they once held")

    async def main():
        loop = asyncio.get_running_loop()
        server, client = certificates.server(), certificates.client()
        ends = []
        listener = await loop.create_server(lambda: ends.append(Recorder()) or ends[-1], HOST, 0, ssl=server)
        port = listener.sockets[0].getsockname()[1]

        async def connect(count):
            for _ in range(count):
                transport, protocol = await loop.create_connection(
                    Recorder, HOST, port, ssl=client, server_hostname="localhost"
                )
                transport.write(b"x" * 1000)
                ends.append(protocol)
            await asyncio.sleep(0.1)
            gc.collect()

        def resident() -> int:
            with open("/proc/self/statm") as statm:
                return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        await connect(20)
        before = resident()
        await connect(100)
        assert (resident() - before) / 200 < 40 * 1024
        for end in ends:
            end.transport.abort()
        for end in ends:
            await end.lost
        listener.close()
        await listener.wait_closed()

    run(main())
