"""Workloads of ``call_later`` and of the poller: timers set, fired and cancelled; a ready fd under load."""

from __future__ import annotations

import asyncio
import random
import socket
from itertools import repeat

from measure import Measurement, Workload, expect, run_on
from peers import Loaded
from scheduling import SPINNING_TASKS, on_a_loop

__all__ = ("TIMERS", "poll_delay")

#: Timers of one round. Setting them takes every loop longer than the shortest delay, so that the round
#: is spent on timers and not on waiting for the first of them.
FIRED = 20_000
#: Seconds. uvloop turns what rounds to 0 ms into ``call_soon``; delays of a whole millisecond do not.
DELAYS = (0.001, 0.002)
#: Timers set and cancelled between two turns of the loop, where asyncio sweeps its cancelled timers.
CANCELLED = 1000
#: Bytes written to the watched socket in one run of `poll_delay`.
PROBES = 200
#: Shares no factor with the number of tasks, so that every task becomes the writer.
PROBE_STRIDE = 37


async def timer_fire(rounds: int) -> int:
    loop = asyncio.get_running_loop()
    call_later = loop.call_later
    # The same delays for every peer, in an order that no heap or wheel can profit from.
    choice = random.Random(2)
    delays = [choice.uniform(*DELAYS) for _ in range(FIRED)]
    fired = goal = 0
    finished = loop.create_future()

    def fire() -> None:
        nonlocal fired
        fired += 1
        if fired == goal:
            finished.set_result(None)

    for _ in range(rounds):
        finished = loop.create_future()
        goal += FIRED
        for delay in delays:
            call_later(delay, fire)
        await finished
    expect(fired, FIRED * rounds, "timers fired")
    return fired


async def timer_cancel(rounds: int) -> int:
    loop = asyncio.get_running_loop()
    call_later, sleep = loop.call_later, asyncio.sleep
    fired = cancelled = 0

    def fire() -> None:
        nonlocal fired
        fired += 1

    for _ in range(rounds):
        for _ in repeat(None, CANCELLED):
            handle = call_later(30, fire)
            handle.cancel()
        cancelled += handle.cancelled() * CANCELLED
        await sleep(0)
    expect((fired, cancelled), (0, CANCELLED * rounds), "timers fired and cancelled")
    return cancelled


def poll_delay(peer: Loaded, probes: int) -> Measurement:
    """How many task steps pass, at most, before a readable socket is served: the polling bound, seen."""
    longest = 0

    async def spin_and_probe(probes: int) -> int:
        nonlocal longest
        loop = asyncio.get_running_loop()
        sleep = asyncio.sleep
        steps = written_at = sent = served = 0

        def readable() -> None:
            nonlocal longest, served
            reader.recv(16)
            served += 1
            longest = max(longest, steps - written_at)

        async def spin(turn: int) -> None:
            nonlocal steps, written_at, sent
            while served < probes:
                steps += 1
                # Another task writes each time: the wait depends on the writer's place in an iteration.
                if sent == served and sent * PROBE_STRIDE % SPINNING_TASKS == turn:
                    sent += 1
                    written_at = steps
                    writer.send(b".")
                await sleep(0)

        reader, writer = socket.socketpair()
        with reader, writer:
            reader.setblocking(False)
            loop.add_reader(reader.fileno(), readable)
            for task in [asyncio.create_task(spin(turn)) for turn in range(SPINNING_TASKS)]:
                await task
            loop.remove_reader(reader.fileno())
        expect((sent, served), (probes, probes), "bytes sent and served")
        return served

    measured = run_on(peer, spin_and_probe, probes)
    return Measurement(measured.operations, measured.seconds, measured.cpu, {"steps": float(longest)})


TIMERS: dict[str, tuple[Workload, int]] = {
    "timer_fire": (on_a_loop(timer_fire), 1),
    "timer_cancel": (on_a_loop(timer_cancel), 5),
}
