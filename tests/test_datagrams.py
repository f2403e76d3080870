"""Datagram transports: addresses, errors, flow control and the end."""

from __future__ import annotations

import asyncio
import errno
import gc
import socket
import sys
import tempfile
import weakref

import pytest

import aioxide

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs unix sockets")
HEADER = 8 if sys.version_info >= (3, 13) else 0


class Recorder(asyncio.DatagramProtocol):
    """Notes what it is told."""

    def __init__(self):
        self.received: asyncio.Queue = asyncio.Queue()
        self.errors: asyncio.Queue = asyncio.Queue()
        self.lost = asyncio.get_running_loop().create_future()
        self.paused = []

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.received.put_nowait((data, addr))

    def error_received(self, exc):
        self.errors.put_nowait(exc)

    def pause_writing(self):
        self.paused.append(True)

    def resume_writing(self):
        self.paused.append(False)

    def connection_lost(self, exc):
        self.lost.set_result(exc)


def run(function):
    with aioxide.Runner() as runner:
        return runner.run(asyncio.wait_for(function(), 20))


async def endpoint(**options):
    return await asyncio.get_running_loop().create_datagram_endpoint(Recorder, **options)


def unix_pair():
    """Two connected datagram sockets; the first is full after a few datagrams."""
    ours, theirs = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
    with tempfile.TemporaryDirectory() as folder:
        # The names stay known to the sockets. Those of a socketpair have none, and asyncio then misses an address.
        for sock, name in ((ours, "ours"), (theirs, "theirs")):
            sock.setblocking(False)
            sock.bind(f"{folder}/{name}")
        ours.connect(theirs.getsockname())
        theirs.connect(ours.getsockname())
    return ours, theirs


def fill(transport, data=b"x" * 1000):
    """Sends until something is buffered; returns how many datagrams the socket took."""
    sent = 0
    while transport.get_write_buffer_size() == 0:
        transport.sendto(data)
        sent += 1
    return sent - 1


def drain(sock):
    pieces = []
    while True:
        try:
            pieces.append(sock.recv(70_000))
        except BlockingIOError:
            return pieces


def test_transport_is_asyncios_and_native():
    async def main():
        transport, _ = await endpoint(local_addr=("127.0.0.1", 0))
        assert isinstance(transport, asyncio.DatagramTransport)
        assert isinstance(transport, asyncio.Transport)
        assert isinstance(transport, aioxide._aioxide.DatagramTransport)
        assert repr(transport).startswith("<DatagramTransport fd=")
        assert "read=polling write=<idle, bufsize=0>" in repr(transport)
        assert transport.get_extra_info("peername") is None
        assert transport.get_extra_info("sockname")[0] == "127.0.0.1"
        assert transport.get_extra_info("socket").type == socket.SOCK_DGRAM
        assert transport.get_extra_info("nothing", 5) == 5
        transport.close()

    run(main)


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_addresses_are_those_of_the_socket_module(family, host):
    async def main():
        transport, protocol = await endpoint(local_addr=(host, 0), family=family)
        name = transport.get_extra_info("sockname")
        with socket.socket(family, socket.SOCK_DGRAM) as peer:
            peer.bind((host, 0))
            peer.settimeout(5)
            for size in (1, 65_000):
                peer.sendto(b"x" * size, name)
                assert await protocol.received.get() == (b"x" * size, peer.getsockname())
            transport.sendto(b"back", peer.getsockname())
            assert peer.recvfrom(100) == (b"back", name)
            # A short address of IPv6, and one that only Python can read.
            transport.sendto(b"short", peer.getsockname()[:2])
            assert peer.recv(100) == b"short"
            if family == socket.AF_INET:
                transport.sendto(b"name", ("localhost", peer.getsockname()[1]))
                assert peer.recv(100) == b"name"
        transport.close()

    try:
        socket.socket(family, socket.SOCK_DGRAM).bind((host, 0))
    except OSError:
        pytest.skip("no such addresses here")
    run(main)


def test_many_peers_keep_their_addresses():
    async def main():
        transport, protocol = await endpoint(local_addr=("127.0.0.1", 0))
        name = transport.get_extra_info("sockname")
        peers = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(150)]
        for _ in range(2):
            for peer in peers:
                peer.sendto(str(peer.getsockname()[1]).encode() if peer.getsockname()[1] else b"", name)
            for _ in peers:
                data, (host, port) = await protocol.received.get()
                assert host == "127.0.0.1"
                assert data in (b"", str(port).encode())
        for peer in peers:
            peer.close()
        transport.close()

    run(main)


def test_unix_addresses(tmp_path):
    async def main():
        transport, protocol = await endpoint(local_addr=str(tmp_path / "one"), family=socket.AF_UNIX)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
            peer.sendto(b"unnamed", str(tmp_path / "one"))
            assert await protocol.received.get() == (b"unnamed", None)
            peer.bind(str(tmp_path / "zwei-ü"))
            peer.sendto(b"named", str(tmp_path / "one"))
            assert await protocol.received.get() == (b"named", str(tmp_path / "zwei-ü"))
            peer.setblocking(False)
            transport.sendto(b"back", str(tmp_path / "zwei-ü"))
            assert peer.recvfrom(10) == (b"back", str(tmp_path / "one"))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
            if sys.platform == "linux":
                peer.bind(b"\0aioxide-test")
                peer.setblocking(False)
                peer.sendto(b"abstract", str(tmp_path / "one"))
                assert await protocol.received.get() == (b"abstract", b"\0aioxide-test")
                transport.sendto(b"back", b"\0aioxide-test")
                assert peer.recv(10) == b"back"
        transport.close()

    run(main)


def test_a_connected_transport_sends_to_its_peer_only():
    async def main():
        server, received = await endpoint(local_addr=("127.0.0.1", 0))
        address = server.get_extra_info("sockname")
        transport, protocol = await endpoint(remote_addr=address)
        assert transport.get_extra_info("peername") == address
        for send in (lambda: transport.sendto(b"a"), lambda: transport.sendto(b"a", address)):
            send()
            data, sender = await received.received.get()
            assert (data, sender) == (b"a", transport.get_extra_info("sockname"))
        with pytest.raises(ValueError, match=r"Invalid address: must be None or \('127.0.0.1', "):
            transport.sendto(b"a", ("127.0.0.1", 1))
        server.sendto(b"back", sender)
        assert await protocol.received.get() == (b"back", address)
        transport.close()
        server.close()

    run(main)


def test_an_error_of_the_network_goes_to_error_received_and_the_transport_goes_on():
    async def main():
        server, received = await endpoint(local_addr=("127.0.0.1", 0))
        address = server.get_extra_info("sockname")
        transport, protocol = await endpoint(remote_addr=address)
        server.abort()
        await received.lost
        transport.sendto(b"into the void")
        exc = await protocol.errors.get()
        assert type(exc) is ConnectionRefusedError
        assert exc.errno == errno.ECONNREFUSED
        assert exc.strerror == "Connection refused"
        assert not transport.is_closing()
        transport.sendto(b"x" * 70_000)
        exc = protocol.errors.get_nowait()
        assert exc.errno == errno.EMSGSIZE
        transport.close()
        assert await protocol.lost is None

    run(main)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("text", "data argument must be a bytes-like object, not 'str'"),
        (None, "data argument must be a bytes-like object, not 'NoneType'"),
    ],
)
def test_only_bytes_are_sent(data, message):
    async def main():
        transport, _ = await endpoint(local_addr=("127.0.0.1", 0))
        with pytest.raises(TypeError, match=message):
            transport.sendto(data, ("127.0.0.1", 1))
        assert not transport.is_closing()
        transport.close()

    run(main)


def test_a_wrong_address_ends_the_transport():
    async def main():
        contexts = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: contexts.append(context))
        for address, kind in [
            ((1, 2, 3), TypeError),
            (("127.0.0.1", 70_000), OverflowError),
            (None, TypeError),
        ]:
            transport, protocol = await endpoint(local_addr=("127.0.0.1", 0))
            transport.sendto(b"x", address)
            assert transport.is_closing()
            exc = await protocol.lost
            assert type(exc) is kind
            context = contexts.pop()
            assert context["message"] == "Fatal write error on datagram transport"
            assert context["exception"] is exc
            assert context["transport"] is transport
            assert context["protocol"] is protocol

    run(main)


def test_empty_datagrams():
    async def main():
        ours, theirs = unix_pair()
        transport, protocol = await endpoint(sock=ours)
        transport.sendto(b"")
        transport.sendto(b"x")
        assert drain(theirs) == ([b"", b"x"] if sys.version_info >= (3, 13) else [b"x"])
        theirs.send(b"")
        assert (await protocol.received.get())[0] == b""
        transport.close()
        theirs.close()

    run(main)


def test_flow_control_counts_headers_and_resumes():
    async def main():
        ours, theirs = unix_pair()
        transport, protocol = await endpoint(sock=ours)
        transport.set_write_buffer_limits(high=2500, low=1200)
        assert transport.get_write_buffer_limits() == (1200, 2500)
        sent = fill(transport)
        assert transport.get_write_buffer_size() == 1000 + HEADER
        assert not protocol.paused
        data = bytearray(b"y" * 1000)
        transport.sendto(data)
        transport.sendto(memoryview(data))
        data[:] = b"z" * 1000
        assert protocol.paused == [True]
        assert transport.get_write_buffer_size() == 3 * (1000 + HEADER)
        assert "write=<polling, bufsize=" in repr(transport)
        got = []
        while len(got) < sent + 3:
            got += drain(theirs)
            await asyncio.sleep(0.001)
        assert got == [b"x" * 1000] * (sent + 1) + [b"y" * 1000] * 2
        assert protocol.paused == [True, False]
        assert transport.get_write_buffer_size() == 0
        transport.close()
        theirs.close()

    run(main)


def test_close_sends_what_is_buffered_and_abort_does_not():
    async def main():
        for end in ("close", "abort"):
            ours, theirs = unix_pair()
            transport, protocol = await endpoint(sock=ours)
            sent = fill(transport)
            getattr(transport, end)()
            assert transport.is_closing()
            if end == "close":
                await asyncio.sleep(0)
                assert not protocol.lost.done()
                got = drain(theirs)
                assert await protocol.lost is None
                got += drain(theirs)
                assert len(got) == sent + 1
            else:
                assert transport.get_write_buffer_size() == 0
                assert await protocol.lost is None
                assert len(drain(theirs)) == sent
            assert repr(transport).startswith("<DatagramTransport closed fd=")
            theirs.close()

    run(main)


def test_an_error_while_the_buffer_is_sent_does_not_stop_the_rest():
    async def main():
        ours, theirs = unix_pair()
        transport, protocol = await endpoint(sock=ours)
        fill(transport)
        transport.close()
        theirs.close()
        assert isinstance(await protocol.errors.get(), OSError)
        assert await protocol.lost is None

    run(main)


def test_pause_and_resume_reading():
    async def main():
        ours, theirs = unix_pair()
        transport, protocol = await endpoint(sock=ours)
        assert transport.is_reading()
        transport.pause_reading()
        transport.pause_reading()
        assert not transport.is_reading()
        theirs.send(b"x")
        await asyncio.sleep(0.01)
        assert protocol.received.empty()
        transport.resume_reading()
        assert (await protocol.received.get())[0] == b"x"
        transport.close()
        assert not transport.is_reading()
        transport.resume_reading()
        theirs.close()

    run(main)


def test_a_protocol_that_closes_or_pauses_gets_no_more_of_a_burst():
    async def main():
        for end in ("pause_reading", "close", "abort"):
            ours, theirs = unix_pair()
            transport, protocol = await endpoint(sock=ours)
            got = []

            def received(data, addr, end=end, transport=transport, got=got):
                got.append(data)
                getattr(transport, end)()

            protocol.datagram_received = received
            for number in range(5):
                theirs.send(b"%d" % number)
            await asyncio.sleep(0.01)
            assert got == [b"0"]
            transport.abort()
            await protocol.lost
            theirs.close()

    run(main)


def test_a_flood_does_not_starve_callbacks():
    async def main():
        ours, theirs = unix_pair()
        transport, protocol = await endpoint(sock=ours)
        turns = 0
        at = []

        def received(data, addr):
            at.append(turns)
            if len(at) < 500:
                theirs.send(b"again")

        protocol.datagram_received = received
        theirs.send(b"first")
        while len(at) < 500:
            turns += 1
            await asyncio.sleep(0)
        assert turns > 3
        transport.close()
        theirs.close()

    run(main)


def test_exceptions_of_the_protocol_go_to_the_handler_and_the_transport_lives():
    async def main():
        contexts = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: contexts.append(context))
        ours, theirs = unix_pair()
        transport, protocol = await endpoint(sock=ours)
        received = protocol.datagram_received

        def fail(data, addr):
            raise ZeroDivisionError

        protocol.datagram_received = fail
        theirs.send(b"x")
        while not contexts:
            await asyncio.sleep(0)
        assert contexts[0]["message"].startswith("Exception in callback ")
        assert isinstance(contexts[0]["exception"], ZeroDivisionError)
        protocol.datagram_received = received
        theirs.send(b"y")
        assert (await protocol.received.get())[0] == b"y"
        transport.close()
        theirs.close()

    run(main)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_ends_programs_leaves_the_loop(kind):
    loop = aioxide.new_event_loop()

    async def main():
        transport, protocol = await endpoint(sock=ours)

        def fail(data, addr):
            transport.abort()
            raise kind

        protocol.datagram_received = fail
        theirs.send(b"x")
        await protocol.lost

    ours, theirs = unix_pair()
    task = loop.create_task(main())
    with pytest.raises(kind):
        loop.run_until_complete(task)
    loop.run_until_complete(task)
    loop.close()
    theirs.close()


def test_a_lost_transport_with_an_address_counts_and_one_without_fails(caplog):
    async def main():
        server, _ = await endpoint(local_addr=("127.0.0.1", 0))
        transport, protocol = await endpoint(remote_addr=server.get_extra_info("sockname"))
        for each in (transport, server):
            each.abort()
        for _ in range(6):
            transport.sendto(b"x")
        assert [record.message for record in caplog.records] == ["socket.send() raised exception."] * 2
        await protocol.lost
        with pytest.raises(AttributeError, match="'NoneType' object has no attribute"):
            server.sendto(b"x", ("127.0.0.1", 1))

    run(main)


def test_the_protocol_runs_in_the_context_of_its_endpoint():
    import contextvars

    variable = contextvars.ContextVar("variable", default="none")

    async def main():
        ours, theirs = unix_pair()
        seen = []
        variable.set("made")
        transport, protocol = await endpoint(sock=ours)
        variable.set("later")

        def received(data, addr):
            seen.append(variable.get())
            variable.set("changed")

        protocol.datagram_received = received
        theirs.send(b"x")
        theirs.send(b"x")
        while len(seen) < 2:
            await asyncio.sleep(0)
        assert seen == ["made", "changed"]
        assert variable.get() == "later"
        transport.close()
        theirs.close()

    run(main)


def test_set_protocol():
    async def main():
        ours, theirs = unix_pair()
        transport, first = await endpoint(sock=ours)
        second = Recorder()
        assert transport.get_protocol() is first
        transport.set_protocol(second)
        assert transport.get_protocol() is second
        theirs.send(b"x")
        assert (await second.received.get())[0] == b"x"
        transport.close()
        await second.lost
        assert transport.get_protocol() is None
        theirs.close()

    run(main)


def test_a_socket_with_its_own_methods_is_not_bypassed():
    sent = []

    class Own(socket.socket):
        def sendto(self, data, address):
            sent.append(data)
            return super().sendto(data, address)

    async def main():
        sock = Own(type=socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        transport, _ = await endpoint(sock=sock)
        transport.sendto(b"x", sock.getsockname())
        assert sent == [b"x"]
        transport.close()

    run(main)


def test_reader_on_a_transports_socket_is_refused():
    async def main():
        transport, _ = await endpoint(local_addr=("127.0.0.1", 0))
        loop = asyncio.get_running_loop()
        with pytest.raises(RuntimeError, match="is used by transport"):
            loop.add_reader(transport.get_extra_info("socket").fileno(), print)
        transport.close()

    run(main)


def test_an_unclosed_transport_warns_and_is_collected():
    async def main():
        ours, theirs = unix_pair()
        transport, protocol = await endpoint(sock=ours)
        gone = weakref.ref(transport)
        transport.pause_reading()
        protocol.transport = protocol.lost = None
        with pytest.warns(ResourceWarning, match="unclosed transport <DatagramTransport fd="):
            del transport, protocol
            gc.collect()
        assert gone() is None
        assert ours.fileno() == -1
        theirs.close()

    run(main)


def test_auditing_hooks_see_the_address():
    seen = []
    active = True

    def hook(event, arguments):
        if active and event == "socket.sendto":
            seen.append(arguments)

    sys.addaudithook(hook)

    async def main():
        transport, _ = await endpoint(local_addr=("127.0.0.1", 0))
        sock = transport._sock
        transport.sendto(b"x", ("127.0.0.1", 9))
        assert seen == [(sock, ("127.0.0.1", 9))]
        transport.close()

    run(main)
    active = False


def test_who_was_ready_before_a_datagram_has_its_turn_before_it():
    async def main():
        ours, theirs = unix_pair()
        transport, protocol = await endpoint(sock=ours)
        order = []
        protocol.datagram_received = lambda data, addr: order.append("datagram")
        theirs.send(b"x")
        loop = asyncio.get_running_loop()
        for number in range(3):
            loop.call_soon(order.append, number)
        while "datagram" not in order:
            await asyncio.sleep(0)
        assert order == [0, 1, 2, "datagram"]
        transport.close()
        theirs.close()

    run(main)


def test_a_cycle_through_a_buffered_address_is_collected(tmp_path):
    class Address:
        pass

    async def main():
        theirs = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        theirs.bind(str(tmp_path / "theirs"))
        transport, protocol = await endpoint(local_addr=str(tmp_path / "ours"), family=socket.AF_UNIX)
        while transport.get_write_buffer_size() == 0:
            transport.sendto(b"x" * 1000, str(tmp_path / "theirs"))
        address = Address()
        address.transport = transport
        transport.sendto(b"x", address)
        gone = weakref.ref(address)
        transport._loop._remove_writer(transport._sock_fd)
        transport.pause_reading()
        protocol.transport = None
        with pytest.warns(ResourceWarning, match="unclosed transport"):
            del transport, protocol, address
            gc.collect()
        # The warning had kept it, and 3.15 clears weak references late.
        gc.collect()
        assert gone() is None
        theirs.close()

    run(main)
