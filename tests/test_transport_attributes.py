"""Attributes on transports: programs, and their tests more than they, put methods of their own in place of ours."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from contextlib import asynccontextmanager
from unittest import mock

import pytest

import aioxide
import tls_ends


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return tls_ends.Certificates(tmp_path_factory.mktemp("certificates"))


def run(function, *args):
    with aioxide.Runner() as runner:
        return runner.run(asyncio.wait_for(function(*args), 20))


class Receiver(asyncio.Protocol):
    def __init__(self):
        self.data = bytearray()
        self.made = asyncio.get_running_loop().create_future()
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.made.set_result(transport)

    def data_received(self, data):
        self.data += data

    def connection_lost(self, exc):
        self.lost.set_result(exc)


@asynccontextmanager
async def connected(kind, certificates):
    """A connection's first transport, its protocol, and the protocol of the other end."""
    loop = asyncio.get_running_loop()
    server_tls = certificates.server() if kind == "tls" else None
    client_tls = certificates.client() if kind == "tls" else None
    receiver = Receiver()
    server = await loop.create_server(lambda: receiver, "127.0.0.1", 0, ssl=server_tls)
    address = server.sockets[0].getsockname()
    transport, protocol = await loop.create_connection(
        Receiver, *address, ssl=client_tls, server_hostname="localhost" if client_tls else None
    )
    try:
        await receiver.made
        yield transport, protocol, receiver
    finally:
        transport.abort()
        receiver.transport.abort()
        server.close()
        await protocol.lost
        await receiver.lost


@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_a_transport_takes_attributes_and_gives_them_back(kind, certificates):
    async def main():
        async with connected(kind, certificates) as (transport, _, receiver):
            for each in (transport, receiver.transport):
                assert vars(each) == {}
                each.note = 5
                assert (each.note, vars(each)) == (5, {"note": 5})
                del each.note
                with pytest.raises(AttributeError):
                    _ = each.note

    run(main)


@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_a_method_is_replaced_and_restored(kind, certificates):
    async def main():
        async with connected(kind, certificates) as (transport, _, receiver):
            # It is kept: one that dies closes its transport.
            writer = asyncio.StreamWriter(transport, mock.Mock(), None, asyncio.get_running_loop())
            with mock.patch.object(transport, "write") as write:
                transport.write(b"1")
                writer.write(b"2")
            assert write.call_args_list == [mock.call(b"1"), mock.call(b"2")]
            transport.write(b"3")
            while not receiver.data:
                await asyncio.sleep(0)
            assert receiver.data == b"3"

    run(main)


def test_our_streams_call_what_stands_in_for_a_method():
    async def main():
        async def serve(reader, writer):
            writer.write(await reader.read(10))
            writer.close()

        server = await aioxide.start_server(serve, "127.0.0.1", 0)
        reader, writer = await aioxide.open_connection(*server.sockets[0].getsockname())
        original = writer.transport.write
        written = []

        def write(data):
            written.append(data)
            original(data.upper())

        writer.transport.write = write
        writer.write(b"abc")
        assert await reader.read() == b"ABC"
        assert written == [b"abc"]
        writer.transport.is_closing = lambda: True
        assert writer.is_closing()
        writer.close()
        server.close()

    run(main)


def test_tls_calls_what_stands_in_for_a_method_of_the_transport_below(certificates):
    async def main():
        async with connected("tls", certificates) as (transport, _, receiver):
            below = transport._ssl_protocol._transport
            original, written = below.write, []

            def write(data):
                written.append(len(data))
                original(data)

            below.write = write
            transport.write(b"x" * 100)
            while len(receiver.data) < 100:
                await asyncio.sleep(0)
            assert len(written) == 1
            assert written[0] > 100

    run(main)


def test_the_method_of_the_base_that_tells_of_the_connection_may_be_replaced(certificates):
    async def main():
        async with connected("tcp", certificates) as (transport, _, _receiver):
            assert transport.get_extra_info("nothing", 5) == 5
            with mock.patch("asyncio.BaseTransport.get_extra_info", return_value="anywhere"):
                assert transport.get_extra_info("peername") == "anywhere"
            assert transport.get_extra_info("peername")[0] == "127.0.0.1"

    run(main)


@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_a_cycle_through_an_attribute_is_collected(kind, certificates):
    class Anything:
        pass

    async def main():
        async with connected(kind, certificates) as (transport, _, receiver):
            anything = Anything()
            anything.transports = transport, receiver.transport
            transport.anything = receiver.transport.anything = anything
            return weakref.ref(anything)

    found = run(main)
    gc.collect()
    assert found() is None


@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_an_attribute_dies_with_its_transport(kind, certificates):
    async def main():
        thing = object()
        before = sys.getrefcount(thing)
        async with connected(kind, certificates) as (transport, protocol, receiver):
            transport.thing = thing
            receiver.transport.thing = thing
        del transport, protocol, receiver
        # The loop lets go of the last one a turn later.
        await asyncio.sleep(0.01)
        gc.collect()
        assert sys.getrefcount(thing) == before

    run(main)


def test_a_subclass_has_one_dictionary():
    class Transport(aioxide._aioxide.SocketTransport):
        pass

    transport = Transport.__new__(Transport)
    transport.note = 1
    transport._protocol_note = 2
    assert vars(transport) == {"note": 1, "_protocol_note": 2}
