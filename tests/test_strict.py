"""Strict mode: each finding, when it is found and when it is not."""

from __future__ import annotations

import asyncio
import logging
import math
import subprocess
import sys
import time

import pytest

import aioxide
from aioxide import strict
from aioxide.strict import (
    BlockingCall,
    IgnoredCancellation,
    NeverAwaited,
    SpinningTask,
    Strict,
    StrictModeError,
    UnreadException,
)


async def nothing():
    pass


async def failing():
    raise KeyError("seen")


def findings(main, limits=True):
    with pytest.raises(StrictModeError) as caught:
        aioxide.run(main(), strict=limits)
    return caught.value.exceptions


def only(main, limits=True):
    (finding,) = findings(main, limits)
    return finding


def test_a_program_in_order_returns_its_result():
    async def main():
        task = asyncio.create_task(asyncio.sleep(0, 5))
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            group.create_task(nothing())
        return await task

    assert aioxide.run(main(), strict=True) == 5


def test_a_coroutine_that_is_never_awaited_is_an_error_that_says_where_it_was_made():
    async def main():
        nothing()

    finding = only(main)
    assert isinstance(finding, NeverAwaited)
    assert "coroutine 'nothing' was never awaited" in str(finding)
    assert "test_strict.py" in str(finding)
    assert "nothing()" in str(finding)
    assert "run_forever" not in str(finding)


def test_a_coroutine_in_a_cycle_is_found_at_the_end():
    async def main():
        cycle = [nothing()]
        cycle.append(cycle)

    assert isinstance(only(main), NeverAwaited)


def test_an_exception_that_nobody_reads_is_reported_at_once(caplog):
    reported = []

    async def main():
        task = asyncio.create_task(failing(), name="the task")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        reported.extend(record.getMessage() for record in caplog.records)
        del task

    finding = only(main)
    assert isinstance(finding, UnreadException)
    assert isinstance(finding.__cause__, KeyError)
    assert "'the task' failed" in reported[0]


def test_an_exception_that_is_read_later_is_no_finding():
    async def main():
        task = asyncio.create_task(failing())
        await asyncio.sleep(0.01)
        with pytest.raises(KeyError):
            await task

    aioxide.run(main(), strict=True)


def test_an_exception_that_somebody_waits_for_is_not_reported(caplog):
    async def main():
        with pytest.raises(KeyError):
            await asyncio.gather(failing(), nothing())
        with pytest.raises(KeyError):
            await asyncio.create_task(failing())
        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(failing())

    aioxide.run(main(), strict=True)
    assert not caplog.records


def test_an_unread_exception_is_reported_once(caplog):
    async def main():
        asyncio.create_task(failing())
        await asyncio.sleep(0.01)

    only(main)
    assert len(caplog.records) == 1


def test_a_blocking_call_is_reported_with_its_stack_while_it_blocks(caplog):
    async def main():
        time.sleep(0.3)

    with caplog.at_level(logging.ERROR):
        finding = only(main, Strict(blocking=0.05))
    assert isinstance(finding, BlockingCall)
    assert "time.sleep(0.3)" in str(finding)
    assert len(caplog.records) == 1


def test_a_task_that_spins_without_waiting_is_named():
    async def main():
        async def spin():
            while True:
                await asyncio.sleep(0)

        spinner = asyncio.create_task(spin(), name="the spinner")
        await asyncio.sleep(0.5)
        spinner.cancel()

    finding = only(main, Strict(spinning=100))
    assert isinstance(finding, SpinningTask)
    assert "'the spinner'" in str(finding)
    assert "in spin" in str(finding)


def test_a_busy_task_that_waits_is_not_spinning():
    async def main():
        loop = asyncio.get_running_loop()
        until = loop.time() + 0.5
        while loop.time() < until:
            future = loop.create_future()
            loop.call_soon(future.set_result, None)
            await future

    aioxide.run(main(), strict=Strict(spinning=100))


def test_a_task_that_ignores_its_cancellation_is_named_at_the_end():
    async def main():
        async def stubborn():
            while True:
                try:
                    await asyncio.sleep(0.3)
                except asyncio.CancelledError:
                    pass
                else:
                    return

        asyncio.create_task(stubborn(), name="the stubborn one")
        await asyncio.sleep(0)

    finding = only(main, Strict(cancellation=0.05))
    assert isinstance(finding, IgnoredCancellation)
    assert "'the stubborn one'" in str(finding)
    assert "stubborn" in str(finding)


def test_a_task_that_cleans_up_in_time_is_not_named():
    async def main():
        async def cleans_up():
            try:
                await asyncio.sleep(10)
            finally:
                await asyncio.sleep(0.01)

        asyncio.create_task(cleans_up())
        await asyncio.sleep(0)

    aioxide.run(main(), strict=True)


def test_an_error_of_the_program_comes_through():
    async def main():
        nothing()
        raise LookupError

    with pytest.raises(LookupError):
        aioxide.run(main(), strict=True)


def test_several_findings_come_in_one_group():
    async def main():
        nothing()
        asyncio.create_task(failing())
        await asyncio.sleep(0.01)

    assert {type(finding) for finding in findings(main)} == {NeverAwaited, UnreadException}


def test_everything_is_put_back():
    import warnings

    before = warnings._warn_unawaited_coroutine, asyncio.runners._cancel_all_tasks
    depth = sys.get_coroutine_origin_tracking_depth()

    async def main():
        assert sys.get_coroutine_origin_tracking_depth() > depth
        nothing()

    only(main)
    assert (warnings._warn_unawaited_coroutine, asyncio.runners._cancel_all_tasks) == before
    assert sys.get_coroutine_origin_tracking_depth() == depth
    with pytest.warns(RuntimeWarning, match="never awaited"):
        nothing()


def test_it_is_on_once_at_a_time():
    with strict.enforced(), pytest.raises(RuntimeError, match="on already"), strict.enforced():
        pass


def test_limits_can_be_switched_off():
    async def main():
        time.sleep(0.2)
        for _ in range(1000):
            await asyncio.sleep(0)

    aioxide.run(main(), strict=Strict(blocking=math.inf, spinning=math.inf))


def test_the_command_line_is_strict_in_development_mode():
    program = (
        "import asyncio\nasync def f(): pass\nasync def main(): f()\nasyncio.run(main())\nprint('ended')"
    )
    relaxed, enforced = (
        subprocess.run(
            [sys.executable, *options, "-m", "aioxide", "-c", program],
            capture_output=True,
            text=True,
            timeout=60,
        )
        for options in ([], ["-X", "dev"])
    )
    assert relaxed.returncode == 0
    assert enforced.stdout == "ended\n"
    assert enforced.returncode == 1
    assert "StrictModeError" in enforced.stderr
    assert "coroutine 'f' was never awaited" in enforced.stderr


def test_the_command_line_reports_every_kind_of_finding(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        """
import asyncio, time

async def never(): pass

async def fails(): raise KeyError("seen")

async def spins():
    for _ in range(60_000):
        await asyncio.sleep(0)

async def stubborn():
    while not cancelled or time.monotonic() < cancelled[0] + 1.5:
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            cancelled.append(time.monotonic())

cancelled = []

async def main():
    never()
    tasks = [asyncio.create_task(f(), name=f.__name__) for f in (fails, spins, stubborn)]
    time.sleep(0.3)
    await tasks[1]

asyncio.run(main())
"""
    )
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-m", "aioxide", program],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    for finding, said in [
        ("NeverAwaited", "coroutine 'never' was never awaited"),
        ("UnreadException", "task 'fails' failed"),
        ("BlockingCall", "time.sleep(0.3)"),
        ("SpinningTask", "task 'spins' was stepped"),
        ("IgnoredCancellation", "task 'stubborn' was cancelled"),
    ]:
        assert f"strict.{finding}: " in ended.stderr, ended.stderr
        assert said in ended.stderr, ended.stderr
