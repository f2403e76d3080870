"""The loop's calls on sockets: results, errors, waiting and cancellation."""

from __future__ import annotations

import array
import asyncio
import errno
import gc
import os
import socket
import sys
import weakref

import pytest

from sock_ends import run, until_waiting

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs unix sockets")


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    for each in (ours, theirs):
        each.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


def datagram_sockets(family=socket.AF_INET, host="127.0.0.1"):
    made = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(2)]
    for each in made:
        each.bind((host, 0))
        each.setblocking(False)
    return made


def fill(sock):
    sent = 0
    while True:
        try:
            sent += sock.send(b"x" * 65536)
        except BlockingIOError:
            return sent


def test_they_are_coroutines(pair):
    async def main(loop):
        ours, theirs = pair
        coroutine = loop.sock_recv(ours, 10)
        assert asyncio.iscoroutine(coroutine)
        coroutine.close()
        task = asyncio.create_task(loop.sock_recv(ours, 10))
        await loop.sock_sendall(theirs, b"hello")
        assert await task == b"hello"

    run(main)


def test_a_call_that_completes_at_once_does_not_suspend(pair):
    async def main(loop):
        ours, theirs = pair
        for call, result in [
            (loop.sock_sendall(theirs, b"hello"), None),
            (loop.sock_recv(ours, 3), b"hel"),
            (loop.sock_recv_into(ours, bytearray(10)), 2),
        ]:
            with pytest.raises(StopIteration) as stopped:
                call.send(None)
            assert stopped.value.value == result
        assert ours.fileno() not in loop._watched_fds()

    run(main)


def test_never_awaited_warns(pair):
    async def main(loop):
        with pytest.warns(RuntimeWarning, match=r"coroutine 'sock_recv' was never awaited"):
            loop.sock_recv(pair[0], 10)
            gc.collect()

    run(main)


@pytest.mark.parametrize("size", [0, 1, 5, 100, 1 << 20, True])
def test_recv_sizes(pair, size):
    async def main(loop):
        ours, theirs = pair
        theirs.send(b"hello")
        assert await loop.sock_recv(ours, size) == b"hello"[: int(size)]

    run(main)


def test_recv_waits_and_sees_the_end(pair):
    async def main(loop):
        ours, theirs = pair
        task = asyncio.create_task(loop.sock_recv(ours, 100))
        await until_waiting(loop, ours.fileno())
        theirs.send(b"late")
        assert await task == b"late"
        await asyncio.sleep(0)
        assert ours.fileno() not in loop._watched_fds()
        assert not loop.remove_reader(ours)
        task = asyncio.create_task(loop.sock_recv(ours, 100))
        await until_waiting(loop, ours.fileno())
        theirs.close()
        assert await task == b""

    run(main)


@pytest.mark.parametrize(
    "make", [bytearray, lambda n: memoryview(bytearray(n)), lambda n: array.array("i", bytes(n))]
)
def test_recv_into_buffers(pair, make):
    async def main(loop):
        ours, theirs = pair
        buffer = make(16)
        for data in (b"one", b"three"):
            task = asyncio.create_task(loop.sock_recv_into(ours, buffer))
            await until_waiting(loop, ours.fileno())
            theirs.send(data)
            assert await task == len(data)
            assert bytes(buffer)[: len(data)] == data

    run(main)


def test_a_bytearray_may_change_its_length_while_recv_into_waits(pair):
    async def main(loop):
        ours, theirs = pair
        buffer = bytearray(16)
        task = asyncio.create_task(loop.sock_recv_into(ours, buffer))
        await until_waiting(loop, ours.fileno())
        del buffer[2:]
        theirs.send(b"long")
        assert await task == 2
        assert buffer == b"lo"

    run(main)


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("sock_recv", ("text",), TypeError),
        ("sock_recv", (-1,), ValueError),
        ("sock_recv", (1.5,), TypeError),
        ("sock_recv_into", (b"read-only",), TypeError),
        ("sock_recv_into", (7,), TypeError),
        ("sock_recvfrom", ("text",), TypeError),
        ("sock_recvfrom_into", (b"x",), TypeError),
        ("sock_sendall", ("text",), TypeError),
        ("sock_sendall", (None,), TypeError),
        ("sock_sendto", ("text", ("127.0.0.1", 1)), TypeError),
    ],
)
def test_wrong_arguments_raise_what_the_socket_raises(pair, name, arguments, error):
    async def main(loop):
        ours, theirs = pair
        theirs.send(b"x")
        with pytest.raises(error) as ours_raised:
            await getattr(loop, name)(ours, *arguments)
        stdlib = asyncio.SelectorEventLoop()
        try:
            with pytest.raises(error) as theirs_raised:
                getattr(stdlib, name)(ours, *arguments).send(None)
        finally:
            stdlib.close()
        assert str(ours_raised.value) == str(theirs_raised.value)

    run(main)


def test_a_closed_socket_is_a_bad_descriptor(pair):
    async def main(loop):
        ours, _theirs = pair
        ours.close()
        for call in (
            loop.sock_recv(ours, 1),
            loop.sock_recv_into(ours, bytearray(1)),
            loop.sock_recvfrom(ours, 1),
            loop.sock_recvfrom_into(ours, bytearray(1)),
            loop.sock_sendall(ours, b"x"),
            loop.sock_sendto(ours, b"x", "/nowhere"),
            loop.sock_accept(ours),
            loop.sock_connect(ours, "/nowhere"),
        ):
            with pytest.raises(OSError) as raised:
                await call
            assert raised.value.errno == errno.EBADF

    run(main)


def test_errors_of_the_network(pair):
    async def main(loop):
        ours, theirs = pair
        theirs.close()
        with pytest.raises(BrokenPipeError) as raised:
            await loop.sock_sendall(ours, b"x")
        assert (raised.value.errno, raised.value.strerror) == (errno.EPIPE, "Broken pipe")

    run(main)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_sendall_sends_everything(pair, kind):
    async def main(loop):
        ours, theirs = pair
        data = os.urandom(3 << 20)
        task = asyncio.create_task(loop.sock_sendall(ours, kind(data)))
        got = bytearray()
        while len(got) < len(data):
            got += await loop.sock_recv(theirs, 1 << 16)
        assert await task is None
        assert got == data
        await asyncio.sleep(0)
        assert not loop._watched_fds().keys() & {ours.fileno(), theirs.fileno()}

    run(main)


def test_sendall_keeps_a_bytearray_from_being_resized(pair):
    async def main(loop):
        ours, _theirs = pair
        data = bytearray(4 << 20)
        task = asyncio.create_task(loop.sock_sendall(ours, data))
        await until_waiting(loop, ours.fileno())
        with pytest.raises(BufferError):
            data.clear()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        data.clear()

    run(main)


def test_sendall_fails_in_the_middle(pair):
    async def main(loop):
        ours, theirs = pair
        task = asyncio.create_task(loop.sock_sendall(ours, bytes(4 << 20)))
        await until_waiting(loop, ours.fileno())
        theirs.close()
        with pytest.raises(OSError) as raised:
            await task
        assert raised.value.errno in (errno.EPIPE, errno.ECONNRESET)
        await asyncio.sleep(0)
        assert ours.fileno() not in loop._watched_fds()

    run(main)


@pytest.mark.parametrize(
    "what", ["recv", "recv_into", "recvfrom", "recvfrom_into", "sendall", "sendto", "accept"]
)
def test_cancellation_stops_watching(what, tmp_path):
    async def main(loop):
        ours, theirs = socket.socketpair()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmp_path / "listener"))
        listener.listen()
        for each in (ours, theirs, listener):
            each.setblocking(False)
        fill(ours)
        arguments = {
            "recv": (ours, 10),
            "recv_into": (ours, bytearray(10)),
            "recvfrom": (ours, 10),
            "recvfrom_into": (ours, bytearray(10)),
            "sendall": (ours, b"x"),
            "sendto": (ours, b"x", "/nowhere"),
            "accept": (listener,),
        }[what]
        fd = arguments[0].fileno()
        if what == "sendto":
            ours, theirs2 = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            theirs2.bind(str(tmp_path / "datagrams"))
            ours.setblocking(False)
            with pytest.raises(BlockingIOError):
                while True:
                    ours.sendto(b"x" * 1000, str(tmp_path / "datagrams"))
            arguments = (ours, b"x", str(tmp_path / "datagrams"))
            fd = ours.fileno()
        task = asyncio.create_task(getattr(loop, f"sock_{what}")(*arguments))
        await until_waiting(loop, fd)
        task.cancel("why")
        with pytest.raises(asyncio.CancelledError, match="why"):
            await task
        assert fd not in loop._watched_fds()
        for each in (ours, theirs, listener):
            each.close()

    run(main)


def test_a_cancellation_before_the_call_goes_on_loses_no_data(pair):
    async def main(loop):
        ours, theirs = pair
        coroutine = loop.sock_recv(ours, 10)
        waiter = coroutine.send(None)
        theirs.send(b"kept")
        while not waiter.done():
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            coroutine.throw(asyncio.CancelledError())
        assert await loop.sock_recv(ours, 10) == b"kept"

    run(main)


def test_two_loops_of_calls_on_one_socket(pair):
    async def main(loop):
        ours, theirs = pair

        async def echo():
            while data := await loop.sock_recv(theirs, 100):
                await loop.sock_sendall(theirs, data)

        task = asyncio.create_task(echo())
        for number in range(300):
            await loop.sock_sendall(ours, b"%d" % number)
            assert await loop.sock_recv(ours, 100) == b"%d" % number
        ours.shutdown(socket.SHUT_WR)
        await task

    run(main)


def test_a_descriptor_that_comes_back_as_another_socket_is_watched(pair):
    async def main(loop):
        ours, theirs = pair
        for _ in range(5):
            task = asyncio.create_task(loop.sock_recv(ours, 100))
            await until_waiting(loop, ours.fileno())
            theirs.send(b"x")
            assert await task == b"x"
            # In the same turn: the number is given to another socket.
            fd = ours.fileno()
            ours.close()
            theirs.close()
            ours, theirs = socket.socketpair()
            for each in (ours, theirs):
                each.setblocking(False)
            assert fd in (ours.fileno(), theirs.fileno())
        ours.close()
        theirs.close()

    run(main)


def test_a_socket_is_not_kept_alive(pair):
    async def main(loop):
        ours, theirs = socket.socketpair()
        for each in (ours, theirs):
            each.setblocking(False)
        task = asyncio.create_task(loop.sock_recv(ours, 100))
        await until_waiting(loop, ours.fileno())
        theirs.send(b"x")
        await task
        ours.close()
        gone = weakref.ref(ours)
        del ours, task
        await asyncio.sleep(0.001)
        gc.collect()
        assert gone() is None
        theirs.close()

    run(main)


def test_add_reader_after_a_call(pair):
    async def main(loop):
        ours, theirs = pair
        task = asyncio.create_task(loop.sock_recv(ours, 100))
        await until_waiting(loop, ours.fileno())
        theirs.send(b"x")
        assert await task == b"x"
        readable = asyncio.Event()
        loop.add_reader(ours, readable.set)
        theirs.send(b"y")
        await readable.wait()
        assert loop.remove_reader(ours)
        assert not loop.remove_reader(ours)
        assert await loop.sock_recv(ours, 100) == b"y"

    run(main)


def test_the_second_call_takes_the_place_of_the_first(pair):
    async def main(loop):
        ours, theirs = pair
        first = asyncio.create_task(loop.sock_recv(ours, 100))
        await until_waiting(loop, ours.fileno())
        second = asyncio.create_task(loop.sock_recv(ours, 100))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        theirs.send(b"x")
        assert await second == b"x"

    run(main)


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_datagrams(family, host):
    async def main(loop):
        one, two = datagram_sockets(family, host)
        assert await loop.sock_sendto(one, b"hello", two.getsockname()) == 5
        assert await loop.sock_recvfrom(two, 100) == (b"hello", one.getsockname())
        task = asyncio.create_task(loop.sock_recvfrom_into(one, buffer := bytearray(10)))
        await until_waiting(loop, one.fileno())
        assert await loop.sock_sendto(two, bytearray(b"back"), one.getsockname()) == 4
        assert await task == (4, two.getsockname())
        assert buffer[:4] == b"back"
        await loop.sock_sendto(two, b"abcdef", one.getsockname())
        assert await loop.sock_recvfrom_into(one, buffer, 3) == (3, two.getsockname())
        with pytest.raises(OverflowError):
            await loop.sock_sendto(one, b"x", (host, 70_000))
        with pytest.raises(OSError) as raised:
            await loop.sock_sendto(one, b"x" * 70_000, two.getsockname())
        assert raised.value.errno == errno.EMSGSIZE
        for each in (one, two):
            each.close()

    try:
        socket.socket(family, socket.SOCK_DGRAM).bind((host, 0))
    except OSError:
        pytest.skip("no such addresses here")
    run(main)


def test_a_stream_has_no_sender(pair):
    async def main(loop):
        ours, theirs = pair
        theirs.send(b"x")
        expected = (b"x", None)
        assert await loop.sock_recvfrom(ours, 10) == expected

    run(main)


def test_debug_mode_wants_nonblocking_sockets(pair):
    async def main(loop):
        for timeout in (None, 1):
            pair[0].settimeout(timeout)
            for call in (
                loop.sock_recv(pair[0], 1),
                loop.sock_recv_into(pair[0], bytearray(1)),
                loop.sock_recvfrom(pair[0], 1),
                loop.sock_recvfrom_into(pair[0], bytearray(1)),
                loop.sock_sendall(pair[0], b""),
                loop.sock_sendto(pair[0], b"", ""),
                loop.sock_accept(pair[0]),
                loop.sock_connect(pair[0], ""),
            ):
                with pytest.raises(ValueError, match=r"^the socket must be non-blocking$"):
                    await call

    run(main, debug=True)


def test_an_ssl_socket_is_refused():
    import ssl

    async def main(loop):
        wrapped = ssl.create_default_context().wrap_socket(
            socket.socket(), server_hostname="x", do_handshake_on_connect=False
        )
        with pytest.raises(TypeError, match="Socket cannot be of type SSLSocket"):
            await loop.sock_recv(wrapped, 1)
        wrapped.close()

    run(main)


def test_a_transports_socket_is_refused():
    async def main(loop):
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        transport, _ = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
        with pytest.raises(RuntimeError, match="is used by transport"):
            await loop.sock_recv(transport._sock, 1)
        transport.close()
        server.close()

    run(main)


def test_a_socket_with_its_own_methods_is_asked():
    class Own(socket.socket):
        asked = 0

        def recv(self, size):
            self.asked += 1
            return b"own"

    async def main(loop):
        sock = Own()
        assert await loop.sock_recv(sock, 10) == b"own"
        assert sock.asked == 1
        sock.close()

    run(main)


def test_a_coroutine_that_is_given_up_stops_watching(pair):
    async def main(loop):
        ours, _theirs = pair
        coroutine = loop.sock_recv(ours, 10)
        coroutine.send(None)
        assert ours.fileno() in loop._watched_fds()
        coroutine.close()
        assert ours.fileno() not in loop._watched_fds()
        coroutine = loop.sock_recv(ours, 10)
        coroutine.send(None)
        del coroutine
        gc.collect()
        assert ours.fileno() not in loop._watched_fds()

    run(main)


def test_who_is_told_and_does_not_come_does_not_keep_the_loop_busy(pair):
    async def main(loop):
        ours, theirs = pair
        coroutine = loop.sock_recv(ours, 10)
        waiter = coroutine.send(None)
        theirs.send(b"x")
        while not waiter.done():
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        assert ours.fileno() not in loop._watched_fds()
        with pytest.raises(StopIteration) as stopped:
            coroutine.send(None)
        assert stopped.value.value == b"x"

    run(main)


def test_keywords_and_missing_arguments(pair):
    async def main(loop):
        ours, theirs = pair
        await loop.sock_sendall(sock=theirs, data=b"x")
        assert await loop.sock_recv(sock=ours, n=10) == b"x"
        with pytest.raises(TypeError):
            loop.sock_recv(ours)

    run(main)


def test_references_are_not_leaked(pair):
    async def main(loop):
        ours, theirs = pair
        data = b"payload of a reference test"

        async def once():
            task = asyncio.create_task(loop.sock_recv(ours, 100))
            await asyncio.sleep(0)
            await loop.sock_sendall(theirs, data)
            await task

        await once()
        before = [sys.getrefcount(each) for each in (ours, theirs, data, loop)]
        for _ in range(50):
            await once()
        await asyncio.sleep(0.001)
        after = [sys.getrefcount(each) for each in (ours, theirs, data, loop)]
        assert all(b <= a + 3 for a, b in zip(before, after, strict=True))

    run(main)


@pytest.mark.parametrize(
    ("family", "host"),
    [
        (socket.AF_INET, "127.0.0.1"),
        (socket.AF_INET6, "::1"),
        (socket.AF_INET, "localhost"),
        (socket.AF_UNIX, None),
    ],
)
def test_connect_and_accept(family, host, tmp_path):
    async def main(loop):
        listener = socket.socket(family)
        listener.bind(str(tmp_path / "listener") if host is None else (host, 0))
        listener.listen()
        listener.setblocking(False)
        address = listener.getsockname() if host is None else (host, listener.getsockname()[1])
        for accept_first in (True, False):
            client = socket.socket(family)
            client.setblocking(False)
            if accept_first:
                accepting = asyncio.create_task(loop.sock_accept(listener))
                await until_waiting(loop, listener.fileno())
                assert await loop.sock_connect(client, address) is None
            else:
                assert await loop.sock_connect(client, address) is None
                accepting = asyncio.create_task(loop.sock_accept(listener))
            connection, peer = await accepting
            assert type(connection) is socket.socket
            assert connection.gettimeout() == 0
            assert not connection.get_inheritable()
            assert (connection.family, connection.type, connection.proto) == (
                listener.family,
                listener.type,
                listener.proto,
            )
            assert peer == client.getsockname() == connection.getpeername()
            await loop.sock_sendall(client, b"hello")
            assert await loop.sock_recv(connection, 10) == b"hello"
            connection.close()
            client.close()
        listener.close()

    try:
        if host is not None:
            socket.socket(family).bind((host, 0))
    except OSError:
        pytest.skip("no such addresses here")
    run(main)


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_refused_connection_names_the_address(family, host):
    async def main(loop):
        unused = socket.socket(family)
        unused.bind((host, 0))
        port = unused.getsockname()[1]
        client = socket.socket(family)
        client.setblocking(False)
        with pytest.raises(ConnectionRefusedError) as raised:
            await loop.sock_connect(client, (host, port))
        resolved = (host, port) if family == socket.AF_INET else (host, port, 0, 0)
        assert str(raised.value) == f"[Errno {errno.ECONNREFUSED}] Connect call failed {resolved}"
        assert client.fileno() not in loop._watched_fds()
        client.close()
        unused.close()

    try:
        socket.socket(family).bind((host, 0))
    except OSError:
        pytest.skip("no such addresses here")
    run(main)


def test_a_connection_that_fails_at_once(tmp_path):
    async def main(loop):
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        with pytest.raises(FileNotFoundError) as raised:
            await loop.sock_connect(client, str(tmp_path / "nobody"))
        assert str(raised.value) == "[Errno 2] No such file or directory"
        client.close()

    run(main)


def test_datagram_sockets_connect():
    async def main(loop):
        one, two = datagram_sockets()
        await loop.sock_connect(one, two.getsockname())
        await loop.sock_sendall(one, b"x")
        assert await loop.sock_recvfrom(two, 10) == (b"x", one.getsockname())
        one.close()
        two.close()

    run(main)


def test_accepting_with_a_default_timeout():
    async def main(loop):
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        client = socket.create_connection(listener.getsockname())
        socket.setdefaulttimeout(5)
        try:
            connection, _ = await loop.sock_accept(listener)
        finally:
            socket.setdefaulttimeout(None)
        assert connection.gettimeout() == 0
        for each in (connection, client, listener):
            each.close()

    run(main)
