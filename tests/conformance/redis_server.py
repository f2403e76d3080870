"""A redis server (or valkey, which is one by another name) for the run: private, in memory, on a port of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ("find", "running")


def find() -> str | None:
    """Return the path of the server."""
    return shutil.which("redis-server") or shutil.which("valkey-server")


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Run a server in ``folder`` and yield its address; OSError when it does not start."""
    server = find()
    if server is None:
        raise FileNotFoundError("no redis-server and no valkey-server")
    port = _free_port()
    options = {"port": port, "bind": "127.0.0.1", "dir": folder, "save": "", "logfile": folder / "redis.log"}
    command = [server, *(word for name, value in options.items() for word in (f"--{name}", str(value)))]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        _wait_until_it_answers(process, port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
    raise OSError(f"the redis server does not answer; status {process.poll()}")
