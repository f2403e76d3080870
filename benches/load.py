"""The load generator of the rows that the compiled one cannot drive: TLS, unix sockets, datagrams, lines.

``load.py KIND ADDRESS CONNECTIONS BYTES SECONDS``, with the compiled one's protocol: warms up, prints ``warm``,
waits for a line, measures, prints one line of JSON. A batch is one request on every connection, then all the
answers. It may be slower than the server: what is measured is the server's CPU time.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Callable

import certificate

#: Lines of a batch.
LINES = 500


def main() -> None:
    kind, address, connections, length, seconds = sys.argv[1:]
    if kind == "idle":
        return idle(address, int(connections))
    batch = BATCHES[kind](address, int(connections), int(length))
    until = time.monotonic() + 0.1
    while time.monotonic() < until:
        batch()
    print("warm", flush=True)
    sys.stdin.readline()
    started, requests = time.monotonic(), 0
    while time.monotonic() - started < float(seconds):
        requests += batch()
    took = time.monotonic() - started
    print(json.dumps({"requests": requests, "seconds": took, "p50_us": 0, "p99_us": 0}), flush=True)


def idle(target: str, connections: int) -> None:
    """Opens a connection and closes it, says ``warm``, waits for a line, opens all, says ``open``, and waits."""
    kind, _, address = target.partition(":")
    context = certificate.client_context() if kind == "tls" else None

    def open_one() -> socket.socket:
        stream = connect(address)
        if context is not None:
            stream = context.wrap_socket(stream)
        stream.sendall(b"x")
        if stream.recv(1) != b"x":
            raise RuntimeError("the echo differs from the request")
        return stream

    open_one().close()
    print("warm", flush=True)
    sys.stdin.readline()
    streams = [open_one() for _ in range(connections)]
    print("open", flush=True)
    sys.stdin.readline()
    del streams


def connect(address: str) -> socket.socket:
    """Connects to a port, or to a path."""
    if not address.isdigit():
        stream = socket.socket(socket.AF_UNIX)
        stream.connect(address)
        return stream
    stream = socket.create_connection(("127.0.0.1", int(address)))
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


def echoes(streams: list[socket.socket], length: int) -> Callable[[], int]:
    """One request on every connection, then every answer; each is compared."""
    request = bytes(index % 251 for index in range(length))
    buffer = bytearray(length)

    def batch() -> int:
        for stream in streams:
            stream.sendall(request)
        for stream in streams:
            received = 0
            while received < length:
                count = stream.recv_into(memoryview(buffer)[received:])
                if not count:
                    raise RuntimeError("the server closed the connection")
                received += count
            if buffer != request:
                raise RuntimeError("the echo differs from the request")
        return len(streams)

    return batch


def unix(address: str, connections: int, length: int) -> Callable[[], int]:
    return echoes([connect(address) for _ in range(connections)], length)


def tls(address: str, connections: int, length: int) -> Callable[[], int]:
    context = certificate.client_context()
    return echoes([context.wrap_socket(connect(address)) for _ in range(connections)], length)


def handshakes(address: str, connections: int, length: int) -> Callable[[], int]:
    context = certificate.client_context()

    def batch() -> int:
        for _ in range(connections):
            with context.wrap_socket(connect(address)) as stream:
                stream.sendall(b"x" * length)
                if stream.recv(length) != b"x" * length:
                    raise RuntimeError("the echo differs from the request")
        return connections

    return batch


def datagrams(address: str, connections: int, length: int) -> Callable[[], int]:
    sockets = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(connections)]
    for each in sockets:
        each.connect(("127.0.0.1", int(address)))
        each.settimeout(5)
    request = b"x" * length

    def batch() -> int:
        for each in sockets:
            each.send(request)
        for each in sockets:
            if each.recv(length + 1) != request:
                raise RuntimeError("the echo differs from the request")
        return len(sockets)

    return batch


def lines(address: str, connections: int, length: int) -> Callable[[], int]:
    streams = [connect(address) for _ in range(connections)]
    text = (b"x" * (length - 1) + b"\n") * (LINES - 1) + b"end\n"

    def batch() -> int:
        for stream in streams:
            stream.sendall(text)
        for stream in streams:
            if stream.recv(4) != b"end\n":
                raise RuntimeError("lines were lost")
        return LINES * len(streams)

    return batch


BATCHES: dict[str, Callable[[str, int, int], Callable[[], int]]] = {
    "unix": unix,
    "tls": tls,
    "handshake": handshakes,
    "udp": datagrams,
    "line": lines,
}


if __name__ == "__main__":
    main()
