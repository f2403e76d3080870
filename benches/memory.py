"""Workloads of memory: a hundred thousand tasks that wait, weighed by the growth of the resident set."""

from __future__ import annotations

import asyncio
import gc
import inspect
import resource
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from measure import Measurement, expect
from peers import Loaded

__all__ = ("MEMORY",)

PARKED = 100_000


def parked(peer: Loaded) -> Measurement:
    """Each task awaits a future of its own."""

    async def wait(loop: asyncio.AbstractEventLoop) -> None:
        await loop.create_future()

    return park(peer, wait)


def sleeping(peer: Loaded) -> Measurement:
    """Each task sleeps for an hour: a future and a timer."""
    sleep = asyncio.sleep

    async def wait(_loop: asyncio.AbstractEventLoop) -> None:
        await sleep(3600)

    return park(peer, wait)


def park(peer: Loaded, wait: Callable[[asyncio.AbstractEventLoop], Coroutine[Any, Any, None]]) -> Measurement:
    async def main() -> Measurement:
        loop = asyncio.get_running_loop()
        peer.check(loop)
        create_task, sleep = asyncio.create_task, asyncio.sleep
        # One task first, so that no import and no first-time allocation is charged to the many.
        first = create_task(wait(loop))
        await sleep(0)
        first.cancel()
        await asyncio.wait([first])
        tasks: list[asyncio.Task[None]] = [first] * PARKED
        gc.collect()
        before = resident_bytes()
        cpu, start = time.process_time(), time.perf_counter()
        for number in range(PARKED):
            tasks[number] = create_task(wait(loop))
        await sleep(0)
        seconds = time.perf_counter() - start
        cpu = time.process_time() - cpu
        grown = resident_bytes() - before
        waiting = sum(suspended(task) for task in tasks)
        expect(waiting, PARKED, "tasks suspended")
        for task in tasks:
            task.cancel()
        await sleep(0)
        expect(sum(task.cancelled() for task in tasks), PARKED, "tasks cancelled")
        return Measurement(PARKED, seconds, cpu, {"bytes": grown / PARKED})

    with asyncio.Runner(loop_factory=peer.new_event_loop) as runner:
        return runner.run(main())


def suspended(task: asyncio.Task[None]) -> bool:
    coroutine = task.get_coro()
    return inspect.iscoroutine(coroutine) and coroutine.cr_suspended


def resident_bytes() -> int:
    """The resident set in pages, from the kernel: no tracer slows the creation that is timed."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


MEMORY: dict[str, Callable[[Loaded], Measurement]] = {"parked": parked, "sleeping": sleeping}
