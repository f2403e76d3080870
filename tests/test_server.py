"""Servers: accepting, their life, and what happens when descriptors run out."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import gc
import os
import resource
import socket
import ssl
import sys

import pytest

import aioxide

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="descriptors are counted in /proc")

IDLE_CONNECTIONS = 10_000


def run(main):
    return aioxide.run(main())


def rss() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Recorder(asyncio.Protocol):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[object] = []
        self.transport: asyncio.Transport | None = None
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.events.append("made")

    def data_received(self, data):
        self.events.append(data)

    def connection_lost(self, exc):
        self.lost.set_result(exc)


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def serve(factory, **options):
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0, **options)
    return server, server.sockets[0].getsockname()


async def connect(address) -> socket.socket:
    loop = asyncio.get_running_loop()
    client = socket.socket()
    client.setblocking(False)
    await loop.sock_connect(client, address)
    return client


def test_a_connection_has_a_native_transport_that_knows_both_addresses():
    async def main():
        served = []
        server, address = await serve(lambda: served.append(Recorder()) or served[-1])
        async with server:
            with await connect(address) as client:
                await until(lambda: served and served[0].transport)
                transport = served[0].transport
                assert type(transport) is aioxide._aioxide.SocketTransport
                assert transport.get_extra_info("peername") == client.getsockname()
                assert transport.get_extra_info("sockname") == address
                sock = transport.get_extra_info("socket")
                assert isinstance(sock, asyncio.trsock.TransportSocket)
                assert sock.gettimeout() == 0
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                assert not os.get_inheritable(sock.fileno())
                transport.close()
                assert await served[0].lost is None

    run(main)


def test_the_descriptor_of_a_connection_is_not_for_others_until_it_closes():
    async def main():
        loop = asyncio.get_running_loop()
        served = []
        server, address = await serve(lambda: served.append(Recorder()) or served[-1])
        async with server:
            client = await connect(address)
            await until(lambda: served and served[0].transport)
            transport = served[0].transport
            transport.pause_reading()
            for file in (transport.get_extra_info("socket").fileno(), transport.get_extra_info("socket")):
                with pytest.raises(RuntimeError, match="is used by"):
                    loop.add_reader(file, print)
                with pytest.raises(RuntimeError, match="is used by"):
                    loop.remove_writer(file)
            fd = transport.get_extra_info("socket").fileno()
            transport.close()
            assert loop.remove_writer(fd) is False
            # A reader may be removed by its closed socket.
            near, far = socket.socketpair()
            far.close()
            loop.add_reader(near, print)
            near.close()
            assert loop.remove_reader(near) is True
            await served[0].lost
            client.close()

    run(main)


def test_ipv6_addresses_are_those_of_the_socket():
    async def main():
        served = []
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(lambda: served.append(Recorder()) or served[-1], "::1", 0)
        except OSError:
            pytest.skip("no IPv6 here")
        async with server:
            client = socket.socket(socket.AF_INET6)
            client.setblocking(False)
            await loop.sock_connect(client, server.sockets[0].getsockname())
            await until(lambda: served and served[0].transport)
            assert served[0].transport.get_extra_info("peername") == client.getsockname()
            client.close()
            await served[0].lost

    run(main)


def test_data_that_came_with_the_connection_is_received_after_connection_made():
    async def main():
        served = []
        server, address = await serve(lambda: served.append(Recorder()) or served[-1], start_serving=False)
        server.sockets[0]._sock.listen()
        client = await connect(address)
        client.send(b"early")
        await server.start_serving()
        await until(lambda: served and len(served[0].events) == 2)
        assert served[0].events == ["made", b"early"]
        client.close()
        server.close()
        await served[0].lost

    run(main)


def test_each_connection_gets_a_copy_of_the_context_in_which_serving_began():
    variable = contextvars.ContextVar("variable", default="unset")

    async def main():
        seen = []

        class Protocol(asyncio.Protocol):
            def connection_made(self, transport):
                seen.append(variable.get())
                variable.set("changed")
                transport.close()

        variable.set("serving")
        server, address = await serve(Protocol)
        variable.set("later")
        async with server:
            for count in (1, 2):
                with await connect(address):
                    await until(lambda count=count: len(seen) == count)
        assert seen == ["serving", "serving"]
        assert variable.get() == "later"

    run(main)


def test_a_failing_connection_made_is_reported_and_the_connection_stays():
    async def main():
        contexts = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: contexts.append(context))
        served = []

        class Failing(Recorder):
            def connection_made(self, transport):
                super().connection_made(transport)
                raise ZeroDivisionError("made")

        server, address = await serve(lambda: served.append(Failing()) or served[-1])
        async with server:
            client = await connect(address)
            client.send(b"data")
            await until(lambda: served and b"data" in served[0].events)
            client.close()
            await served[0].lost
        (context,) = contexts
        assert isinstance(context["exception"], ZeroDivisionError)
        assert context["message"].startswith("Exception in callback")
        assert "handle" in context

    run(main)


@pytest.mark.parametrize("debug", [False, True])
def test_a_failing_factory_costs_its_connection_only(debug):
    async def main():
        loop = asyncio.get_running_loop()
        loop.set_debug(debug)
        # Only the messages: the exception keeps the frames, and with them asyncio's socket.
        messages = []
        loop.set_exception_handler(lambda loop, context: messages.append(context["message"]))
        served = []

        def factory():
            if not served:
                served.append(None)
                raise ZeroDivisionError("factory")
            served.append(Recorder())
            return served[-1]

        server, address = await serve(factory)
        async with server:
            refused = await connect(address)
            await until(lambda: served)
            await asyncio.sleep(0)
            gc.collect()
            async with asyncio.timeout(10):
                assert await loop.sock_recv(refused, 1) == b""
            refused.close()
            client = await connect(address)
            await until(lambda: len(served) == 2 and served[1].transport)
            client.close()
            await served[1].lost
        assert messages == ["Error on transport creation for incoming connection"] * debug

    if debug:
        # asyncio's coroutine leaves the socket to the collector.
        with pytest.warns(ResourceWarning):
            run(main)
    else:
        run(main)


@pytest.mark.parametrize("exception", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_connection_made_ends_the_run(exception):
    loop = aioxide.new_event_loop()

    class Interrupting(asyncio.Protocol):
        def connection_made(self, transport):
            transport.abort()
            raise exception

    async def main():
        _server, address = await serve(Interrupting)
        with await connect(address):
            await asyncio.sleep(10)

    with pytest.raises(exception):
        loop.run_until_complete(main())
    for task in asyncio.all_tasks(loop):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
    loop.close()
    gc.collect()


def test_a_loop_subclass_that_makes_its_own_transports_is_asked():
    made = []

    class Loop(aioxide.EventLoop):
        def _make_socket_transport(self, sock, protocol, waiter=None, *, extra=None, **options):
            made.append(extra)
            return super()._make_socket_transport(sock, protocol, waiter, extra=extra, **options)

    async def main():
        served = []
        server, address = await serve(lambda: served.append(Recorder()) or served[-1])
        async with server:
            with await connect(address) as client:
                await until(lambda: served and served[0].transport)
                assert made == [{"peername": client.getsockname()}]
            await served[0].lost

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(main())


def test_accepting_goes_on_when_descriptors_are_there_again(monkeypatch):
    monkeypatch.setattr("asyncio.constants.ACCEPT_RETRY_DELAY", 0.01)

    async def main():
        loop = asyncio.get_running_loop()
        contexts = []
        loop.set_exception_handler(lambda loop, context: contexts.append(context))
        served = []
        server, address = await serve(lambda: served.append(Recorder()) or served[-1])
        clients = [socket.socket() for _ in range(5)]
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        taken = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(clients[-1].fileno() + 3, 64), limits[1]))
        try:
            while True:
                try:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
                except OSError:
                    break
            for client in clients:
                client.setblocking(False)
                await loop.sock_connect(client, address)
            await until(lambda: len(contexts) >= 2)
            assert not served
        finally:
            for fd in taken:
                os.close(fd)
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        await until(lambda: len(served) == 5)
        for context in contexts:
            assert context["message"] == "socket.accept() out of system resource"
            assert context["exception"].errno == errno.EMFILE
            assert context["socket"].getsockname() == address
        for client in clients:
            client.close()
        for protocol in served:
            await protocol.lost
        server.close()

    run(main)


def test_a_server_closed_while_it_rests_stays_closed(monkeypatch):
    monkeypatch.setattr("asyncio.constants.ACCEPT_RETRY_DELAY", 0.01)

    async def main():
        loop = asyncio.get_running_loop()
        contexts = []

        def close_server(loop, context):
            contexts.append(context)
            server.close()

        loop.set_exception_handler(close_server)
        served = []
        server, address = await serve(lambda: served.append(Recorder()) or served[-1])
        with socket.socket() as client:
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            lowest = os.open(os.devnull, os.O_RDONLY)
            os.close(lowest)
            client.setblocking(False)
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
            try:
                client.connect_ex(address)
                await until(lambda: contexts)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            # The number may be another file by now: it must not be watched.
            reader, writer = socket.socketpair()
            await asyncio.sleep(0.05)
            assert len(contexts) == 1
            assert not served
            watched = set(loop._watched_fds())
            assert not watched & {reader.fileno(), writer.fileno()}
            reader.close()
            writer.close()

    run(main)


def test_closing_the_server_in_connection_made_stops_accepting():
    async def main():
        served = []

        class Closing(Recorder):
            def connection_made(self, transport):
                super().connection_made(transport)
                server.close()

        def factory():
            served.append(Closing())
            return served[-1]

        server, address = await serve(factory, start_serving=False)
        server.sockets[0]._sock.listen()
        clients = [await connect(address) for _ in range(3)]
        await server.start_serving()
        await asyncio.sleep(0.01)
        assert len(served) == 1
        assert not server.is_serving()
        for client in clients:
            client.close()
        await served[0].lost

    run(main)


def test_servers_are_asyncios_and_close_or_abort_their_clients_in_every_version():
    async def main():
        served = []
        server, address = await serve(lambda: served.append(Recorder()) or served[-1])
        assert isinstance(server, asyncio.Server)
        assert repr(server).startswith("<Server sockets=(")
        for end in (server.close_clients, server.abort_clients):
            clients = [await connect(address) for _ in range(3)]
            await until(lambda: len(served) == 3)
            end()
            for protocol in served:
                assert await protocol.lost is None
            served.clear()
            for client in clients:
                client.close()
        server.close()
        await server.wait_closed()
        with pytest.raises(RuntimeError, match="is closed"):
            await server.serve_forever()

    run(main)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 does not wait for connections")
def test_wait_closed_waits_for_the_last_connection():
    async def main():
        served = []
        server, address = await serve(lambda: served.append(Recorder()) or served[-1])
        client = await connect(address)
        await until(lambda: served)
        server.close()
        waiting = asyncio.ensure_future(server.wait_closed())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        client.close()
        await waiting
        assert served[0].lost.done()

    run(main)


def test_serve_forever_ends_when_it_is_cancelled():
    async def main():
        server, _ = await serve(Recorder)
        forever = asyncio.ensure_future(server.serve_forever())
        await asyncio.sleep(0)
        assert server.is_serving()
        with pytest.raises(RuntimeError, match="already being awaited"):
            await server.serve_forever()
        forever.cancel()
        with pytest.raises(asyncio.CancelledError):
            await forever
        assert not server.is_serving()
        assert server.sockets == ()

    run(main)


def test_a_tls_server_goes_through_make_ssl_transport():
    asked = []

    class Loop(aioxide.EventLoop):
        def _make_ssl_transport(self, rawsock, protocol, sslcontext, waiter=None, **options):
            asked.append((options["server_side"], options["ssl_handshake_timeout"], dict(options["extra"])))
            return super()._make_ssl_transport(rawsock, protocol, sslcontext, waiter, **options)

    async def main():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server, address = await serve(Recorder, ssl=context, ssl_handshake_timeout=7.0)
        async with server:
            client = await connect(address)
            await until(lambda: asked)
            assert asked == [(True, 7.0, {"peername": client.getsockname()})]
            client.close()
            await asyncio.sleep(0.01)

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(main())


#: Opens connections, says so, and holds them until it is told a number; then again.
CLIENTS = """
import resource, socket, sys
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
count, path = int(sys.argv[1]), sys.argv[2]
for line in sys.stdin:
    clients = []
    for index in range(count):
        client = socket.socket(socket.AF_UNIX)
        client.connect(path)
        clients.append(client)
    print("open", flush=True)
    sys.stdin.readline()
    for client in clients:
        client.close()
    print("closed", flush=True)
"""


def test_ten_thousand_idle_connections_cost_little_and_give_it_back(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = IDLE_CONNECTIONS + 200
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"needs {needed} descriptors, the hard limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))

    alive = 0

    class Idle(asyncio.Protocol):
        def connection_made(self, transport):
            nonlocal alive
            alive += 1

        def connection_lost(self, exc):
            nonlocal alive
            alive -= 1

    async def main():
        # A unix socket: TCP's ports would not last for many runs.
        path = str(tmp_path / "socket")
        server = await asyncio.get_running_loop().create_unix_server(Idle, path, backlog=1000)
        clients = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CLIENTS, str(IDLE_CONNECTIONS), path,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip

        async def tell(expected):
            clients.stdin.write(b"\n")
            assert await clients.stdout.readline() == expected

        async def fill():
            await tell(b"open\n")
            await until(lambda: alive == IDLE_CONNECTIONS)

        async def empty():
            await tell(b"closed\n")
            await until(lambda: alive == 0)
            gc.collect()

        await fill()
        await empty()
        before = rss()
        await fill()
        each = (rss() - before) / IDLE_CONNECTIONS
        await empty()
        flat = rss() - before
        clients.stdin.close()
        assert await clients.wait() == 0
        server.close()
        return each, flat

    try:
        each, flat = run(main)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    # The allocator may have kept some of the first round.
    assert each < 4000
    assert flat < 4 * 1024 * 1024


@pytest.mark.parametrize("fallback", [False, True])
def test_sendfile_on_an_accepted_connection_sends_the_file_twice(tmp_path, fallback):
    data = bytes(range(256)) * 1000
    (tmp_path / "file").write_bytes(data)

    async def main():
        loop = asyncio.get_running_loop()
        failed = []
        loop.set_exception_handler(lambda _, context: failed.append(context))

        async def answer(reader, writer):
            await reader.readline()
            writer.write(b"head")
            with (tmp_path / "file").open("rb") as file:
                for _ in range(2):
                    sent = await loop.sendfile(writer.transport, file, 0, len(data), fallback=fallback)
                    assert sent == len(data)
            # The descriptor is the transport's again.
            with pytest.raises(RuntimeError, match="is used by transport"):
                loop.add_reader(writer.transport.get_extra_info("socket").fileno(), print)
            writer.write(b"tail")
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        for _ in range(3):
            # Each connection closes before the next: the descriptor's number is used again.
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"please\n")
            assert await reader.read() == b"head" + data * 2 + b"tail"
            writer.close()
            await writer.wait_closed()
        server.close()
        await server.wait_closed()
        assert failed == []

    run(main)
