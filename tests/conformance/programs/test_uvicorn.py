"""``uvicorn --loop aioxide:new_event_loop`` serves a Starlette application under load."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from subject import Subject

pytest.importorskip("uvicorn")
pytest.importorskip("starlette")

HERE = Path(__file__).resolve().parent

#: Connections at a time, and requests on each.
CONNECTIONS, REQUESTS = 40, 100


@contextmanager
def uvicorn(loops: Subject) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run uvicorn on a free port; give its process and its port."""
    command = [sys.executable, "-m", "uvicorn", "starlette_app:app", "--app-dir", str(HERE)]
    command += ["--loop", loops.factory_path, "--port", "0", "--no-access-log"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=HERE)
    try:
        yield process, port_of(process)
    finally:
        process.kill()
        process.communicate()


def port_of(process: subprocess.Popen[str]) -> int:
    """Wait until uvicorn says where it listens."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if match := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
            return int(match[1])
    raise AssertionError("uvicorn did not start:\n" + "".join(lines))


def ended(process: subprocess.Popen[str]) -> str:
    """Ask uvicorn to end as a service manager does; return the rest of its output."""
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=20)
    # It shuts down, then lets the signal end the process as the sender expects.
    assert process.returncode in (0, -signal.SIGTERM), output
    return output


class Client:
    """One kept-alive HTTP connection."""

    def __init__(self, port: int) -> None:
        """Take the port of the server; ``connect()`` follows."""
        self.port = port

    async def connect(self) -> None:
        """Open the connection."""
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)

    async def close(self) -> None:
        """Close it and wait until that is done."""
        self.writer.close()
        await self.writer.wait_closed()

    async def request(self, path: str, body: bytes | None = None) -> bytes:
        """Return the body of a 200 answer."""
        method = "GET" if body is None else "POST"
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body or b'')}"
        self.writer.write(head.encode() + b"\r\n\r\n" + (body or b""))
        await self.writer.drain()
        answer = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        assert answer.startswith(b"http/1.1 200 "), answer
        if b"transfer-encoding: chunked" in answer:
            return await self.chunks()
        match = re.search(rb"content-length: (\d+)", answer)
        assert match is not None, answer
        return await self.reader.readexactly(int(match[1]))

    async def chunks(self) -> bytes:
        """Return a body that comes in chunks."""
        whole = b""
        while size := int(await self.reader.readline(), 16):
            whole += await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)
        return whole


async def visit(port: int, number: int) -> None:
    """Make many requests of all kinds on one connection."""
    client = Client(port)
    await client.connect()
    for turn in range(REQUESTS):
        name = f"{number}-{turn}"
        match turn % 10:
            case 0:
                body = name.encode() * 2000
                assert await client.request("/echo", body) == body
            case 1:
                pieces = b"".join(b"%d" % piece * 1000 for piece in range(4))
                assert await client.request("/stream") == pieces
            case 2:
                assert await client.request("/blocking") == b"from a thread"
            case _:
                assert await client.request(f"/hello/{name}") == f'{{"hello":"{name}"}}'.encode()
    await client.close()


def test_the_application_runs_on_the_loop_that_was_named(loops: Subject) -> None:
    async def main(port: int) -> bytes:
        client = Client(port)
        await client.connect()
        answer = await client.request("/loop")
        await client.close()
        return answer

    with uvicorn(loops) as (process, port):
        named = loops.run(main(port)).decode()
        assert named.startswith(f"{loops.name}."), named
        output = ended(process)
    assert "application ends" in output


@pytest.mark.timeout(180)
def test_every_answer_is_right_under_load(loops: Subject) -> None:
    async def main(port: int) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(CONNECTIONS):
                group.create_task(visit(port, number))

    with uvicorn(loops) as (process, port):
        loops.run(main(port))
        output = ended(process)
    assert "Traceback" not in output, output
    assert "ERROR" not in output, output
