"""Coroutines, threads, processes: what one costs

All three let many things wait at once. This measures here and now how long making one takes, how much memory it
keeps while it waits, and what a switch to another and back costs. The kernel's own share (a stack for each thread,
page tables for each process) comes on top.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import re
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

# A million coroutines at once, where there is memory for them. Each thread and process gets a pipe, and a
# program may usually open no more than 1024 files.
ROOMY = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") > 4 * 2**30
COUNTS = {"coroutines": 1_000_000 if ROOMY else 100_000, "threads": 400, "processes": 10}
SWITCHES, PRIVATE = 5_000, re.compile(r"\nPrivate_\w+: +(\d+) kB")
FRESH = multiprocessing.get_context("spawn")  # A new interpreter each; a forked one shares memory at first.


def private_memory(pid: int | str = "self") -> int:
    """Return the KiB that are a process's alone; what it shares costs nothing more."""
    return sum(map(int, PRIVATE.findall(Path(f"/proc/{pid}/smaps_rollup").read_text())))


async def yield_often() -> None:
    for _ in range(SWITCHES):
        await asyncio.sleep(0)


async def cost_of_coroutines(count: int) -> list[float]:
    gate, before, started = asyncio.Event(), private_memory(), time.perf_counter()
    tasks = [asyncio.create_task(gate.wait()) for _ in range(count)]
    await asyncio.sleep(0)  # All of them start, and wait.
    make, memory = time.perf_counter() - started, private_memory() - before
    gate.set()
    await asyncio.gather(*tasks)
    started = time.perf_counter()
    await asyncio.gather(yield_often(), yield_often())
    return [make / count, memory / count, (time.perf_counter() - started) / SWITCHES]


def echo(pipe: Connection) -> None:
    while message := pipe.recv_bytes():
        pipe.send_bytes(message)


def cost_of(kind: type[Any], count: int) -> list[float]:
    before, started = private_memory(), time.perf_counter()
    pipes = [FRESH.Pipe() for _ in range(count)]
    workers = [kind(target=echo, args=(theirs,), daemon=True) for _, theirs in pipes]
    for worker, (ours, _) in zip(workers, pipes, strict=True):
        worker.start()
        ours.send_bytes(b"?")
    assert all(ours.recv_bytes() == b"?" for ours, _ in pipes)  # They answer, so they have started.
    make, memory = time.perf_counter() - started, private_memory() - before
    if kind is FRESH.Process:
        memory = sum(private_memory(worker.pid) for worker in workers)
    started, first = time.perf_counter(), pipes[0][0]
    for _ in range(SWITCHES):
        first.send_bytes(b"?")
        first.recv_bytes()
    switch = (time.perf_counter() - started) / SWITCHES
    for worker, (ours, _) in zip(workers, pipes, strict=True):
        ours.send_bytes(b"")  # Nothing more to say: it ends.
        worker.join()
    return [make / count, memory / count, switch]


def main() -> None:
    processes, threads = (
        cost_of(FRESH.Process, COUNTS["processes"]),
        cost_of(threading.Thread, COUNTS["threads"]),
    )
    costs = [asyncio.run(cost_of_coroutines(COUNTS["coroutines"])), threads, processes]
    print(f"{'':12}{'how many':>9}{'make one':>15}{'memory each':>16}{'there and back':>17}")
    for (kind, count), (make, memory, switch) in zip(COUNTS.items(), costs, strict=True):
        print(f"{kind:12}{count:9,}{make * 1e6:12,.1f} µs{memory:12,.1f} KiB{switch * 1e6:14,.2f} µs")
    makes, memories, switches = zip(*costs, strict=True)
    assert makes == tuple(sorted(makes)) and memories == tuple(sorted(memories))
    assert switches[0] == min(switches)


if __name__ == "__main__":
    main()
