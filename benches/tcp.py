"""The TCP rows: a server on one CPU, a compiled load generator on another, and the server's CPU clock."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from placement import Placement, cpu_seconds, pinned_to

__all__ = ("FLOOR", "Programs", "build", "sample")

#: The peer that is no Python at all.
FLOOR = "epoll"
#: Seconds after which a server or a load generator that says nothing is given up.
PATIENCE = 60

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "target" / "benches"


@dataclass(frozen=True)
class Programs:
    """The compiled half of the harness."""

    load: Path
    epoll_echo: Path


def build() -> Programs:
    """Compiles the load generator and the bare server; raises OSError or CalledProcessError."""
    if shutil.which("cargo") is None:
        raise FileNotFoundError("cargo is not installed")
    manifest = HERE / "load" / "Cargo.toml"
    subprocess.run(
        ["cargo", "build", "--quiet", "--release", "--locked", "--manifest-path", manifest, "--target-dir", TARGET],
        check=True,
        stdout=sys.stderr,
    )
    return Programs(TARGET / "release" / "load", TARGET / "release" / "epoll_echo")


def sample(
    peer: str, workload: str, seconds: float, python: Path, programs: Programs, placement: Placement
) -> dict[str, object]:
    """One run of ``tcp_{size}k_{connections}`` against a fresh server of the peer."""
    _, size, connections = workload.split("_")
    length = int(size.removesuffix("k")) * 1024
    command: list[str | Path] = [python, HERE / "echo_server.py", peer]
    if peer == FLOOR:
        command = [programs.epoll_echo]
    with running(command, placement.measured) as server:
        port = line_of(server).strip()
        load_command = [programs.load, port, connections, str(length), str(seconds)]
        with running(load_command, placement.driver) as load:
            if line_of(load) != "warm\n":
                raise RuntimeError(f"load generator: {errors_of(load)}")
            before = cpu_seconds(server.pid)
            output, errors = load.communicate("go\n", timeout=seconds + PATIENCE)
            used = cpu_seconds(server.pid) - before
            if load.returncode != 0:
                raise RuntimeError(f"load generator: {errors.strip()}")
    result = json.loads(output)
    requests = result["requests"]
    metrics = {
        "server_cpu": used / requests * 1e6,
        "requests_per_second": requests / result["seconds"],
        "p50_us": result["p50_us"],
        "p99_us": result["p99_us"],
    }
    return {"metrics": metrics, "operations": requests, "busy": used / result["seconds"]}


@contextmanager
def running(command: list[str | Path], cpu: int | None) -> Iterator[subprocess.Popen[str]]:
    """A child that is killed at the end of the block, however that is left."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=pinned_to(cpu),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    line = stream(process.stdout).readline()
    if not line:
        raise RuntimeError(f"{process.args!r} said nothing: {errors_of(process)}")
    return line


def errors_of(process: subprocess.Popen[str]) -> str:
    process.kill()
    return stream(process.stderr).read().strip()[-2000:]


def stream(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None, "every child is started with pipes"
    return pipe
