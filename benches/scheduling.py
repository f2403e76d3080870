"""Workloads of tasks, futures, queues and callbacks.

Each takes a size, returns how many operations ran, and raises where the count is not what it must be.
Functions of asyncio are looked up once, inside the workload: after ``install()``, and out of the loop.
Rounds are counted by ``repeat`` and results are compared by identity: a counter above 256 allocates an
integer, which took an eighth of a task switch.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from itertools import repeat

from measure import Measurement, Timed, Workload, expect, run_on
from peers import Loaded

__all__ = ("SCHEDULING",)

SPINNING_TASKS = 100
GATHERED = 1000
#: Tasks that want the same lock.
CONTENDERS = 20
#: Rounds of `task_switch` whose order is checked.
RECORDED = 3
#: What tasks and futures hand on.
TOKEN = object()


async def task_switch(rounds: int) -> int:
    sleep = asyncio.sleep
    order: list[int] = []

    async def spin(number: int) -> None:
        # The first rounds are written down: a `sleep(0)` that does not switch would be fast, too.
        for _ in range(RECORDED):
            order.append(number)
            await sleep(0)
        for _ in repeat(None, rounds):
            await sleep(0)

    tasks = [asyncio.create_task(spin(number)) for number in range(SPINNING_TASKS)]
    for task in tasks:
        await task
    expect(order, [*range(SPINNING_TASKS)] * RECORDED, "order of the tasks")
    return SPINNING_TASKS * (rounds + RECORDED)


async def spawn_await(size: int) -> int:
    create_task = asyncio.create_task

    async def child() -> object:
        return TOKEN

    for _ in repeat(None, size):
        if await create_task(child()) is not TOKEN:
            raise RuntimeError("a task has lost its result")
    return size


async def future_ping_pong(size: int) -> int:
    """Two tasks, each waiting for a future that the other one sets; a hand-over is one operation."""
    create_future = asyncio.get_running_loop().create_future
    waiting = [create_future(), create_future()]

    async def player(own: int, other: int) -> None:
        for _ in repeat(None, size):
            if await waiting[own] is not TOKEN:
                raise RuntimeError("a future has lost its result")
            waiting[own] = create_future()
            waiting[other].set_result(TOKEN)

    players = [asyncio.create_task(player(0, 1)), asyncio.create_task(player(1, 0))]
    waiting[0].set_result(TOKEN)
    for task in players:
        await task
    return 2 * size


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


async def gather_sleep(rounds: int) -> int:
    gather, sleep = asyncio.gather, asyncio.sleep
    finished = 0
    for _ in range(rounds):
        finished += len(await gather(*[sleep(0) for _ in range(GATHERED)]))
    expect(finished, GATHERED * rounds, "children finished")
    return finished


async def trivial() -> int:
    return 1


async def wait(rounds: int) -> int:
    wait, create_task = asyncio.wait, asyncio.create_task
    finished = 0
    for _ in range(rounds):
        done, pending = await wait([create_task(trivial()) for _ in range(GATHERED)])
        finished += len(done) - len(pending)
    expect(finished, GATHERED * rounds, "tasks finished")
    return finished


async def as_completed(rounds: int) -> int:
    as_completed = asyncio.as_completed
    finished = 0
    for _ in range(rounds):
        for coroutine in as_completed([trivial() for _ in range(GATHERED)]):
            finished += await coroutine
    expect(finished, GATHERED * rounds, "results")
    return finished


async def taskgroup(rounds: int) -> int:
    group_of = asyncio.TaskGroup
    finished = 0

    async def child() -> None:
        nonlocal finished
        finished += 1

    for _ in range(rounds):
        async with group_of() as group:
            create_task = group.create_task
            for _ in repeat(None, GATHERED):
                create_task(child())
    expect(finished, GATHERED * rounds, "children finished")
    return finished


async def wait_for(size: int) -> int:
    wait_for = asyncio.wait_for
    finished = 0
    for _ in repeat(None, size):
        finished += await wait_for(trivial(), 10)
    expect(finished, size, "results")
    return finished


async def to_thread(size: int) -> int:
    to_thread = asyncio.to_thread
    finished = 0
    for _ in repeat(None, size):
        finished += await to_thread(int, 1)
    expect(finished, size, "results")
    return finished


async def queue_ping_pong(size: int) -> int:
    there: asyncio.Queue[object] = asyncio.Queue()
    back: asyncio.Queue[object] = asyncio.Queue()

    async def answer() -> None:
        for _ in repeat(None, size):
            await back.put(await there.get())

    answering = asyncio.create_task(answer())
    for _ in repeat(None, size):
        await there.put(TOKEN)
        if await back.get() is not TOKEN:
            raise RuntimeError("a message was lost")
    await answering
    expect((there.qsize(), back.qsize()), (0, 0), "messages left over")
    return 2 * size


async def contend(lock: asyncio.Lock | asyncio.Semaphore, size: int) -> int:
    sleep = asyncio.sleep
    inside = 0

    async def enter() -> None:
        nonlocal inside
        for _ in repeat(None, size // CONTENDERS):
            async with lock:
                inside += 1
                await sleep(0)

    await asyncio.gather(*[enter() for _ in range(CONTENDERS)])
    expect(inside, size // CONTENDERS * CONTENDERS, "blocks entered")
    return inside


async def lock_contention(size: int) -> int:
    return await contend(asyncio.Lock(), size)


async def semaphore_contention(size: int) -> int:
    return await contend(asyncio.Semaphore(3), size)


async def event_wait(size: int) -> int:
    event = asyncio.Event()
    woken = 0

    async def wait() -> None:
        nonlocal woken
        await event.wait()
        woken += 1

    rounds = size // CONTENDERS
    for _ in repeat(None, rounds):
        event.clear()
        waiting = asyncio.gather(*[wait() for _ in range(CONTENDERS)])
        await asyncio.sleep(0)
        event.set()
        await waiting
    expect(woken, rounds * CONTENDERS, "waiters woken")
    return woken


async def condition_notify(size: int) -> int:
    condition = asyncio.Condition()
    woken = 0

    async def wait() -> None:
        nonlocal woken
        async with condition:
            await condition.wait()
            woken += 1

    rounds = max(size // CONTENDERS, 1)
    for _ in repeat(None, rounds):
        waiting = asyncio.gather(*[wait() for _ in range(CONTENDERS)])
        await asyncio.sleep(0)
        async with condition:
            condition.notify_all()
        await waiting
    expect(woken, rounds * CONTENDERS, "waiters woken")
    return woken


async def barrier_wait(size: int) -> int:
    barrier = asyncio.Barrier(CONTENDERS)
    passed = 0
    rounds = max(size // CONTENDERS, 1)

    async def pass_through() -> None:
        nonlocal passed
        for _ in repeat(None, rounds):
            await barrier.wait()
            passed += 1

    await asyncio.gather(*[pass_through() for _ in range(CONTENDERS)])
    expect(passed, rounds * CONTENDERS, "tasks let through")
    return passed


async def timeout(size: int) -> int:
    timeout, sleep = asyncio.timeout, asyncio.sleep
    for _ in repeat(None, size):
        async with timeout(10) as block:
            await sleep(0)
    expect(block.expired(), False, "last block expired")
    return size


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
    "gather_sleep": (on_a_loop(gather_sleep), 5),
    "wait": (on_a_loop(wait), 5),
    "as_completed": (on_a_loop(as_completed), 5),
    "taskgroup": (on_a_loop(taskgroup), 5),
    "wait_for": (on_a_loop(wait_for), 5_000),
    "to_thread": (on_a_loop(to_thread), 1_000),
    "queue_ping_pong": (on_a_loop(queue_ping_pong), 5_000),
    "lock_contention": (on_a_loop(lock_contention), 5_000),
    "semaphore_contention": (on_a_loop(semaphore_contention), 5_000),
    "event_wait": (on_a_loop(event_wait), 5_000),
    "condition_notify": (on_a_loop(condition_notify), 5_000),
    "barrier_wait": (on_a_loop(barrier_wait), 5_000),
    "timeout": (on_a_loop(timeout), 5_000),
    "loop_create_close": (loop_create_close, 100),
}
