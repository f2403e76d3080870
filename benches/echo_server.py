"""The server of the TCP rows: a protocol that writes back what it is given. ``echo_server.py PEER``.

Prints its port on one line and serves until it is killed.
"""

from __future__ import annotations

import asyncio
import sys

import peers


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert hasattr(transport, "write")
        self.write = transport.write

    def data_received(self, data: bytes) -> None:
        self.write(data)


async def serve(peer: peers.Loaded) -> None:
    loop = asyncio.get_running_loop()
    peer.check(loop)
    server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.create_future()


def main() -> None:
    peer = peers.load(sys.argv[1])
    with asyncio.Runner(loop_factory=peer.new_event_loop) as runner:
        runner.run(serve(peer))


if __name__ == "__main__":
    main()
