"""Everything native, in a storm: collections at any moment, and KeyboardInterrupt at any instant.

``AIOXIDE_STORM=10`` makes them so many times longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.util
import logging
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import aioxide
from oracle import Face, Program, play

LENGTH = float(os.environ.get("AIOXIDE_STORM", "1"))
OPERATIONS = Path(__file__).parent / "debug" / "operations.py"


@contextlib.contextmanager
def collections(threshold: int):
    """A collection after so many allocations."""
    before = gc.get_threshold()
    gc.collect()
    # What the tests have loaded need not be looked at each time.
    gc.freeze()
    gc.set_threshold(threshold)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@pytest.fixture(autouse=True)
def quiet(caplog):
    """What asyncio logs of errors that nobody reads."""
    caplog.set_level(logging.CRITICAL, logger="asyncio")


@pytest.mark.parametrize("threshold", [1, 7])
def test_collections_at_any_moment_change_no_trace(threshold):
    # Each version plays others: together they play a hundred.
    count = int(25 * LENGTH)
    first = sys.version_info.minor * count
    for seed in range(first, first + count):
        program = Program(seed)
        expected = play(program, Face("asyncio"))
        with collections(threshold):
            assert play(program, Face("aioxide")) == expected, seed


@pytest.fixture(scope="module")
def operations():
    """What the debug builds of Python count the references of: transports, streams, TLS, children and all else."""
    spec = importlib.util.spec_from_file_location("operations", OPERATIONS)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIOXIDE_TLS", "direct")
        spec.loader.exec_module(module)
        yield module.OPERATIONS
        module.loop.close()


@pytest.mark.filterwarnings("ignore")
def test_every_operation_ends_well_in_a_storm_of_collections(operations):
    for operation, _ in operations.values():
        with collections(1):
            operation()
        gc.collect()


class Storm:
    """Raises KeyboardInterrupt at random instants, while it is let."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.raised = 0
        self.armed = False

    def __enter__(self):
        self.previous = signal.signal(signal.SIGALRM, self.strike)
        self.aim()
        return self

    def __exit__(self, *_):
        self.armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self.previous)

    def aim(self):
        signal.setitimer(signal.ITIMER_REAL, self.chance.uniform(1e-5, 2e-3))

    def strike(self, signum, frame):
        self.aim()
        # Between two steps: inside of one it would be that task's end, and where asyncio's own code begins and ends
        # a run, it is asyncio's affair.
        if self.armed and frame is not None and frame.f_code.co_name == "run_forever":
            self.raised += 1
            self.armed = False
            raise KeyboardInterrupt

    def run(self, loop):
        """Let the loop run for a moment, or until it is struck."""
        loop.call_later(0.005, loop.stop)
        with contextlib.suppress(KeyboardInterrupt):
            loop.call_soon(setattr, self, "armed", True)
            loop.run_forever()
        self.armed = False


class Work:
    """Programs that share locks, queues and events, and end with their own numbers."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.lock, self.semaphore, self.condition = aioxide.Lock(), aioxide.Semaphore(2), aioxide.Condition()
        self.queue, self.event = aioxide.Queue(3), aioxide.Event()
        self.steps = 0

    async def whole(self, number):
        parts = [self.locking, self.queueing, self.grouping, self.gathering, self.waiting, self.timing]
        for part in self.chance.sample(parts, 4):
            await part(number)
        return number

    async def pause(self, result=None):
        self.steps += 1
        return await aioxide.sleep(self.chance.choice((0, 0, 0.0001)), result)

    async def locking(self, number):
        for lock in (self.lock, self.semaphore, self.condition):
            async with lock:
                await self.pause()

    async def queueing(self, number):
        await aioxide.gather(self.queue.put(number), self.queue.get())
        self.queue.task_done()

    async def grouping(self, number):
        async with aioxide.TaskGroup() as group:
            children = [group.create_task(self.pause(child)) for child in range(3)]
        assert [child.result() for child in children] == [0, 1, 2]
        with contextlib.suppress(ExceptionGroup):
            async with aioxide.TaskGroup() as group:
                group.create_task(aioxide.sleep(100))
                group.create_task(self.failing())

    async def failing(self):
        await self.pause()
        raise KeyError

    async def gathering(self, number):
        assert await aioxide.gather(self.pause(1), aioxide.shield(self.pause(2))) == [1, 2]
        results = [await each for each in aioxide.as_completed([self.pause(1), self.pause(2)])]
        assert sorted(results) == [1, 2]

    async def waiting(self, number):
        slow = aioxide.create_task(aioxide.sleep(100))
        _, pending = await aioxide.wait(
            [slow, aioxide.create_task(self.pause())], return_when="FIRST_COMPLETED"
        )
        assert pending == {slow}
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        asyncio.get_running_loop().call_later(0.0001, self.event.set)
        assert await self.event.wait()

    async def timing(self, number):
        with pytest.raises(TimeoutError):
            async with aioxide.timeout(0.0001):
                await aioxide.sleep(100)
        assert await aioxide.wait_for(self.pause(number), 100) == number


def test_interrupts_at_any_instant_lose_no_task():
    loop = aioxide.new_event_loop()
    total = int(1500 * LENGTH)
    work, seen = Work(1), []
    tasks = [loop.create_task(work.whole(number)) for number in range(total)]
    for number in range(total):
        loop.call_soon(seen.append, number)
        loop.call_later(0.0001 * (number % 50), seen.append, number)
        # Long enough, in C, for the storm to strike.
        loop.call_soon(sum, range(5000))
    deadline = time.monotonic() + 60
    with Storm(1) as storm:
        while time.monotonic() < deadline and not all(task.done() for task in tasks):
            storm.run(loop)
    assert storm.raised >= 3
    assert [task.result() for task in tasks if task.done()] == [*range(total)]
    assert sorted(seen) == sorted([*range(total)] * 2)
    assert len(asyncio.all_tasks(loop)) == 0
    loop.close()


def test_ctrl_c_at_any_instant_ends_a_program_and_its_clean_up_runs():
    """As asyncio.run() promises: the main task is cancelled, however busy the program is."""
    script = """
import asyncio, os, signal, sys, threading, time, aioxide

async def worker(queue, lock):
    while True:
        async with lock, asyncio.timeout(10):
            await queue.put(1)
            await queue.get()
            await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))

async def main():
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(worker(asyncio.Queue(1), asyncio.Lock()))
            threading.Timer(DELAY, os.kill, (os.getpid(), signal.SIGINT)).start()
    finally:
        await asyncio.sleep(0)
        print("cleaned up")

aioxide.install()
try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted", len(threading.enumerate()))
"""
    chance = random.Random(5)
    running = []
    for _ in range(int(8 * LENGTH)):
        code = script.replace("DELAY", repr(chance.uniform(0, 0.05)))
        command = [sys.executable, "-W", "error", "-c", code]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    for process in running:
        output, errors = process.communicate(timeout=60)
        assert errors == ""
        assert output.startswith("cleaned up\ninterrupted")
