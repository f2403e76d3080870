"""Datagrams that arrive together are received together, and what is sent meanwhile leaves together."""

from __future__ import annotations

import asyncio
import errno
import socket
import time

import pytest

import aioxide

#: Linux's number, which the socket module does not name.
IP_RECVTTL = 12


class Answers(asyncio.DatagramProtocol):
    """Calls ``answer(protocol, data, address)`` for each datagram, and notes what it is told."""

    def __init__(self, answer):
        self.answer = answer
        self.received = []
        self.events = []
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.received.append(data)
        self.answer(self, data, addr)

    def error_received(self, exc):
        self.events.append(exc.errno)

    def pause_writing(self):
        self.events.append("pause")

    def resume_writing(self):
        self.events.append("resume")

    def connection_lost(self, exc):
        self.lost.set_result(exc)


class Clients:
    """Sockets that send to a server. All that they send in one turn of the loop arrives together."""

    def __init__(self, address, count=1):
        self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
        for each in self.sockets:
            each.connect(address)
            each.settimeout(5)

    def __enter__(self):
        return self.sockets

    def __exit__(self, *_):
        for each in self.sockets:
            each.close()


def run(function):
    with aioxide.Runner() as runner:
        return runner.run(asyncio.wait_for(function(), 20))


async def serve(answer):
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Answers(answer), local_addr=("127.0.0.1", 0)
    )
    return transport, protocol, transport.get_extra_info("sockname")


async def until(condition):
    while not condition():
        await asyncio.sleep(0.001)


def receive(sock, count):
    return [sock.recv(70_000) for _ in range(count)]


def nothing_to_receive(sock):
    sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        sock.recv(100)
    return True


def echo(protocol, data, addr):
    protocol.transport.sendto(data, addr)


def unreachable():
    """An address that nobody listens at."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()


def test_every_peer_gets_its_answers_in_order():
    async def main():
        transport, _, address = await serve(echo)
        with Clients(address, 7) as clients:
            sent = [[b"%d %d" % (peer, number) for number in range(9)] for peer in range(7)]
            for number in range(9):
                for peer, each in enumerate(clients):
                    each.send(sent[peer][number])
            await asyncio.sleep(0.01)
            for peer, each in enumerate(clients):
                assert receive(each, 9) == sent[peer]
        transport.abort()

    run(main)


def test_a_buffer_that_is_changed_after_sendto_does_not_change_what_is_sent():
    async def main():
        buffer = bytearray(8)

        def answer(protocol, data, addr):
            for view in (buffer, memoryview(buffer)):
                buffer[:] = data.ljust(8)
                protocol.transport.sendto(view, addr)
                buffer[:] = b"changed!"

        transport, _, address = await serve(answer)
        with Clients(address) as (client,):
            for number in range(5):
                client.send(b"%d" % number)
            await asyncio.sleep(0.01)
            assert receive(client, 10) == [b"%d       " % (number // 2) for number in range(10)]
        transport.abort()

    run(main)


def test_more_than_is_gathered_leaves_too():
    async def main():
        large = b"x" * 30_000

        def answer(protocol, data, addr):
            for number in range(20):
                protocol.transport.sendto(b"%d" % number, addr)
            for _ in range(4):
                protocol.transport.sendto(large, addr)

        transport, _, address = await serve(answer)
        with Clients(address) as (client,):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            client.send(b"1")
            client.send(b"2")
            await asyncio.sleep(0.01)
            one = [b"%d" % number for number in range(20)] + [large] * 4
            assert receive(client, 24) == one
        transport.abort()

    run(main)


@pytest.mark.parametrize("end", ["close", "abort"])
def test_what_was_sent_before_the_end_has_left(end):
    async def main():
        def answer(protocol, data, addr):
            protocol.transport.sendto(data, addr)
            if data == b"1":
                getattr(protocol.transport, end)()

        transport, protocol, address = await serve(answer)
        with Clients(address) as (client,):
            for number in range(4):
                client.send(b"%d" % number)
            await protocol.lost
            assert protocol.received == [b"0", b"1"]
            assert receive(client, 2) == [b"0", b"1"]
            assert nothing_to_receive(client)
        assert transport.is_closing()

    run(main)


def test_what_arrived_together_with_the_one_that_paused_is_delivered_after_the_pause():
    async def main():
        def answer(protocol, data, addr):
            if data in b"26":
                protocol.transport.pause_reading()

        transport, protocol, address = await serve(answer)
        with Clients(address) as (client,):
            for number in range(8):
                client.send(b"%d" % number)
            await until(lambda: len(protocol.received) == 3)
            await asyncio.sleep(0.01)
            client.send(b"8")
            await asyncio.sleep(0.01)
            assert len(protocol.received) == 3
            transport.resume_reading()
            await until(lambda: len(protocol.received) == 7)
            await asyncio.sleep(0.01)
            assert len(protocol.received) == 7
            transport.resume_reading()
            await until(lambda: len(protocol.received) == 9)
            assert protocol.received == [b"%d" % number for number in range(9)]
        transport.abort()

    run(main)


def test_a_pause_that_ends_in_the_same_call_loses_nothing():
    async def main():
        def answer(protocol, data, addr):
            protocol.transport.pause_reading()
            protocol.transport.resume_reading()

        transport, protocol, address = await serve(answer)
        with Clients(address) as (client,):
            for number in range(5):
                client.send(b"%d" % number)
            await until(lambda: len(protocol.received) == 5)
            assert protocol.received == [b"%d" % number for number in range(5)]
        transport.abort()

    run(main)


def test_what_ends_the_loop_loses_nothing():
    async def main():
        def answer(protocol, data, addr):
            protocol.transport.sendto(data, addr)
            if data == b"1":
                raise KeyboardInterrupt

        return await serve(answer)

    loop = aioxide.new_event_loop()
    transport, protocol, address = loop.run_until_complete(main())
    with Clients(address) as (client,):
        for number in range(4):
            client.send(b"%d" % number)
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(asyncio.sleep(5))
        assert receive(client, 2) == [b"0", b"1"]
        loop.run_until_complete(until(lambda: len(protocol.received) == 4))
        assert receive(client, 2) == [b"2", b"3"]
    transport.abort()
    loop.run_until_complete(protocol.lost)
    loop.close()


def test_one_that_cannot_be_sent_does_not_stop_the_others():
    async def main():
        def answer(protocol, data, addr):
            protocol.transport.sendto(data, addr)
            protocol.transport.sendto(b"x" * 65_530, addr)

        transport, protocol, address = await serve(answer)
        with Clients(address) as (client,):
            for number in range(3):
                client.send(b"%d" % number)
            await until(lambda: len(protocol.events) == 3)
            assert protocol.events == [errno.EMSGSIZE] * 3
            assert receive(client, 3) == [b"0", b"1", b"2"]
        transport.abort()

    run(main)


def test_an_error_of_the_network_comes_between_what_was_received():
    async def main():
        nobody = unreachable()

        def answer(protocol, data, addr):
            protocol.transport.sendto(data, addr)

        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(lambda: Answers(answer), remote_addr=nobody)
        transport.sendto(b"x")
        await until(lambda: protocol.events)
        assert protocol.events == [errno.ECONNREFUSED]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind(nobody)
            peer.settimeout(5)
            peer.connect(transport.get_extra_info("sockname"))
            for number in range(5):
                peer.send(b"%d" % number)
            await until(lambda: len(protocol.received) == 5)
            # Connected: everything goes to the peer, without an address.
            assert receive(peer, 5) == [b"%d" % number for number in range(5)]
        transport.abort()

    run(main)


def test_what_a_failing_error_received_raises_goes_to_the_handler():
    async def main():
        told = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))

        def answer(protocol, data, addr):
            protocol.error_received = fail
            protocol.transport.sendto(b"x" * 65_530, addr)
            protocol.transport.sendto(data, addr)

        def fail(exc):
            raise ZeroDivisionError

        transport, _, address = await serve(answer)
        with Clients(address) as (client,):
            client.send(b"1")
            client.send(b"2")
            await until(lambda: len(told) == 2)
            assert {type(each) for each in told} == {ZeroDivisionError}
            assert receive(client, 2) == [b"1", b"2"]
        transport.abort()

    run(main)


def test_an_option_of_the_socket_is_for_what_is_sent_after_it():
    async def main():
        def answer(protocol, data, addr):
            sock = protocol.transport.get_extra_info("socket")
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 7)
            protocol.transport.sendto(data, addr)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 9)

        transport, _, address = await serve(answer)
        with Clients(address) as (client,):
            client.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
            for number in range(3):
                client.send(b"%d" % number)
            await asyncio.sleep(0.01)
            for _ in range(3):
                _, ((_, _, ttl),), _, _ = client.recvmsg(100, 100)
                assert int.from_bytes(ttl, "little") == 7
        transport.abort()

    run(main)


def test_an_answer_does_not_wait_for_long_calls():
    """Each of the protocol's calls takes longer than answers may be held back."""

    async def main():
        seen = []

        def answer(protocol, data, addr):
            before = time.monotonic()
            while time.monotonic() - before < 0.0005:
                pass
            client.setblocking(False)
            try:
                seen.append(client.recv(100))
            except BlockingIOError:
                seen.append(None)
            protocol.transport.sendto(data, addr)

        transport, protocol, address = await serve(answer)
        with Clients(address) as (client,):
            for number in range(6):
                client.send(b"%d" % number)
            await until(lambda: len(protocol.received) == 6)
            # The first starts the clock; it has left when the third is delivered.
            assert seen[2] == b"0"
        transport.abort()

    run(main)


def test_a_full_socket_lets_the_rest_wait_in_order():
    async def main():
        count, size = 16, 60_000

        def answer(protocol, data, addr):
            for _ in range(4):
                protocol.transport.sendto(data + b"x" * size, addr)

        transport, protocol, address = await serve(answer)
        with Clients(address) as (client,):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
            for number in range(count):
                client.send(b"%02d" % number)
            await until(lambda: len(protocol.received) == count)
            received = []
            client.setblocking(False)

            def more():
                try:
                    received.append(client.recv(70_000)[:2])
                except BlockingIOError:
                    return transport.get_write_buffer_size() == 0
                return False

            await until(more)
            # The receiver may drop some, when its buffer is full: the order tells.
            assert received == sorted(received)
            assert received
        transport.abort()

    run(main)
