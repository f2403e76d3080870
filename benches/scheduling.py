"""Workloads of tasks, futures, queues and callbacks.

Each takes a size, returns how many operations ran, and raises where the count is not what it must be.
Functions of asyncio are looked up once, inside the workload: after ``install()``, and out of the loop.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial

from measure import Measurement, Timed, Workload, expect, run_on
from peers import Loaded

__all__ = ("SCHEDULING",)

SPINNING_TASKS = 100
GATHERED = 1000


async def task_switch(rounds: int) -> int:
    sleep = asyncio.sleep

    async def spin() -> int:
        steps = 0
        for _ in range(rounds):
            await sleep(0)
            steps += 1
        return steps

    tasks = [asyncio.create_task(spin()) for _ in range(SPINNING_TASKS)]
    switches = sum([await task for task in tasks])
    expect(switches, SPINNING_TASKS * rounds, "switches")
    return switches


async def spawn_await(size: int) -> int:
    create_task = asyncio.create_task

    async def child() -> int:
        return 1

    finished = 0
    for _ in range(size):
        finished += await create_task(child())
    expect(finished, size, "tasks finished")
    return finished


async def future_ping_pong(size: int) -> int:
    """Two tasks, each waiting for a future that the other one sets; a hand-over is one operation."""
    create_future = asyncio.get_running_loop().create_future
    waiting = [create_future(), create_future()]

    async def player(own: int, other: int) -> int:
        received = 0
        for _ in range(size):
            received += await waiting[own]
            waiting[own] = create_future()
            waiting[other].set_result(1)
        return received

    players = [asyncio.create_task(player(0, 1)), asyncio.create_task(player(1, 0))]
    waiting[0].set_result(1)
    received = sum([await task for task in players])
    expect(received, 2 * size, "hand-overs")
    return received


async def call_soon(size: int) -> int:
    loop = asyncio.get_running_loop()
    schedule = loop.call_soon
    finished = loop.create_future()
    ran = 0

    def link() -> None:
        nonlocal ran
        ran += 1
        if ran < size:
            schedule(link)
        else:
            finished.set_result(None)

    schedule(link)
    await finished
    expect(ran, size, "callbacks")
    return ran


async def gather(rounds: int) -> int:
    gather = asyncio.gather

    async def child() -> int:
        return 1

    finished = 0
    for _ in range(rounds):
        finished += sum(await gather(*[child() for _ in range(GATHERED)]))
    expect(finished, GATHERED * rounds, "children finished")
    return finished


async def queue_ping_pong(size: int) -> int:
    there: asyncio.Queue[int] = asyncio.Queue()
    back: asyncio.Queue[int] = asyncio.Queue()

    async def answer() -> None:
        for _ in range(size):
            await back.put(await there.get())

    answering = asyncio.create_task(answer())
    messages = 0
    for number in range(size):
        await there.put(number)
        expect(await back.get(), number, "message")
        messages += 2
    await answering
    return messages


async def timeout(size: int) -> int:
    timeout, sleep = asyncio.timeout, asyncio.sleep
    left = 0
    for _ in range(size):
        async with timeout(10):
            await sleep(0)
            left += 1
    expect(left, size, "blocks left")
    return left


def loop_create_close(peer: Loaded, size: int) -> Measurement:
    closed = 0
    cpu, start = time.process_time(), time.perf_counter()
    for _ in range(size):
        loop = peer.new_event_loop()
        loop.close()
        closed += loop.is_closed()
    seconds = time.perf_counter() - start
    cpu = time.process_time() - cpu
    peer.check(loop)
    expect(closed, size, "loops closed")
    return Measurement(closed, seconds, cpu)


def on_a_loop(workload: Timed) -> Workload:
    return partial(run_timed, workload)


def run_timed(workload: Timed, peer: Loaded, size: int) -> Measurement:
    return run_on(peer, workload, size)


#: Workload by name, and the size its first, short run has.
SCHEDULING: dict[str, tuple[Workload, int]] = {
    "task_switch": (on_a_loop(task_switch), 100),
    "spawn_await": (on_a_loop(spawn_await), 5_000),
    "future_ping_pong": (on_a_loop(future_ping_pong), 5_000),
    "call_soon": (on_a_loop(call_soon), 10_000),
    "gather": (on_a_loop(gather), 5),
    "queue_ping_pong": (on_a_loop(queue_ping_pong), 5_000),
    "timeout": (on_a_loop(timeout), 5_000),
    "loop_create_close": (loop_create_close, 100),
}
