"""The network rows: a server on one CPU, a load generator on another, and the server's CPU clock."""

from __future__ import annotations

import json
import resource
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from placement import Placement, children_on, cpu_seconds
from results import Sample

__all__ = ("FLOOR", "Programs", "Server", "build", "sample", "weigh")

#: The peer that is no Python at all.
FLOOR = "epoll"
#: Seconds after which a server or a load generator that says nothing is given up.
PATIENCE = 60

#: Kinds of server that the compiled generator can drive; the others have one in Python.
COMPILED = ("tcp", "stream", "sock")

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
    command = ["cargo", "build", "--quiet", "--release", "--locked"]
    folders: list[str | Path] = ["--manifest-path", manifest, "--target-dir", TARGET]
    subprocess.run([*command, *folders], check=True, stdout=sys.stderr)
    return Programs(TARGET / "release" / "load", TARGET / "release" / "epoll_echo")


@dataclass(frozen=True)
class Server:
    """Which server is measured, and where."""

    peer: str
    python: Path
    programs: Programs
    placement: Placement

    def command(self, kind: str) -> list[str | Path]:
        if self.peer == FLOOR:
            return [self.programs.epoll_echo]
        return [self.python, HERE / "echo_server.py", self.peer, kind]

    def load(
        self, kind: str, address: str, connections: str, length: int, seconds: float
    ) -> list[str | Path]:
        numbers = [address, connections, str(length), str(seconds)]
        if kind in COMPILED:
            return [self.programs.load, *numbers]
        return [self.python, HERE / "load.py", kind, *numbers]


def sample(server: Server, workload: str, seconds: float) -> Sample:
    """One run of ``{kind}_{size}_{connections}`` against a fresh server; the size is in bytes, or ``1k``."""
    kind, size, connections = workload.split("_")
    length = int(size.removesuffix("k")) * (1024 if size.endswith("k") else 1)
    placement = server.placement
    # The generator in Python is slower than the server. On the server's own CPU it sends a whole batch before the
    # server runs, so that every server is measured under load, and none while it mostly sleeps. The server has to be
    # patient for that: else the kernel lets one that needs little time interrupt the generator at every request, and
    # charges it for going to sleep and waking up four times as often as one that needs much.
    shares = kind not in COMPILED
    driver = placement.measured if shares else placement.driver
    with running(server.command(kind), placement.measured, patient=shares) as serving:
        address = line_of(serving).strip()
        command = server.load(kind, address, connections, length, seconds)
        with running(command, driver) as load:
            if line_of(load) != "warm\n":
                raise RuntimeError(f"load generator: {errors_of(load)}")
            before = cpu_seconds(serving.pid)
            output, errors = load.communicate("go\n", timeout=seconds + PATIENCE)
            used = cpu_seconds(serving.pid) - before
            if load.returncode != 0:
                raise RuntimeError(f"load generator: {errors.strip()}")
    result = json.loads(output)
    return Sample(
        metrics={
            "server_cpu": used / result["requests"] * 1e6,
            "requests_per_second": result["requests"] / result["seconds"],
            "p50_us": result["p50_us"],
            "p99_us": result["p99_us"],
        },
        operations=result["requests"],
        busy=used / result["seconds"],
    )


def weigh(server: Server, workload: str) -> Sample:
    """The memory of one of ``idle_{kind}_{connections}``: each has sent a byte and had it back, and says no more."""
    _, kind, connections = workload.split("_")
    placement = server.placement
    with running(server.command(kind), placement.measured) as serving:
        address = line_of(serving).strip()
        command = [server.python, HERE / "load.py", "idle", f"{kind}:{address}", connections, "1", "0"]
        with running(command, placement.driver) as load:
            # One has come and gone: what is loaded and made once is not charged to the many.
            if line_of(load) != "warm\n":
                raise RuntimeError(f"load generator: {errors_of(load)}")
            before = resident_bytes(serving.pid)
            stdin = stream(load.stdin)
            stdin.write("go\n")
            stdin.flush()
            if line_of(load) != "open\n":
                raise RuntimeError(f"load generator: {errors_of(load)}")
            grown = resident_bytes(serving.pid) - before
    return Sample(metrics={"bytes": grown / int(connections)}, operations=int(connections), busy=1.0)


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


@contextmanager
def running(
    command: list[str | Path], cpu: int | None, *, patient: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """A child that is killed at the end of the block, however that is left."""
    pipe = subprocess.PIPE
    with children_on(cpu, patient=patient):
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    output = stream(process.stdout)
    ready, _, _ = select.select([output], [], [], PATIENCE)
    if not ready:
        raise RuntimeError(f"{process.args!r} said nothing for {PATIENCE} s")
    line = output.readline()
    if not line:
        said = errors_of(process)
        if said.rstrip().rpartition("\n")[2].startswith("NotImplementedError"):
            raise NotImplementedError
        raise RuntimeError(f"{process.args!r} said nothing: {said}")
    return line


def errors_of(process: subprocess.Popen[str]) -> str:
    process.kill()
    return stream(process.stderr).read().strip()[-2000:]


def stream(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None, "every child is started with pipes"
    return pipe
