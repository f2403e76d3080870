"""``watch()``: a coroutine that blocks its loop is reported while it does, once, and nothing else is."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
import time
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from aioxide.events import EventLoop, new_event_loop
from aioxide.watchdog import BlockedReport, watch

THRESHOLD = 0.04
BLOCKING = 0.15


def block(seconds: float = BLOCKING) -> None:
    time.sleep(seconds)


async def blocking_call(seconds: float = BLOCKING) -> None:
    block(seconds)


def keep_gil(seconds: float) -> None:
    """Spend about so many seconds in one call of C code."""
    number, took = 100_000, 0.0
    while took < 0.01:
        number *= 2
        start = time.thread_time()
        sum(range(number))
        took = time.thread_time() - start
    sum(range(int(number * seconds / took)))


async def wait_until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    loop = new_event_loop()
    yield loop
    loop.close()


def test_a_blocking_coroutine_is_reported_while_it_blocks(loop: EventLoop) -> None:
    blocking = False
    seen: list[tuple[bool, BlockedReport]] = []

    async def culprit() -> None:
        nonlocal blocking
        blocking = True
        await blocking_call()
        blocking = False

    async def main() -> asyncio.Task[None]:
        task = loop.create_task(culprit(), name="culprit")
        await task
        await wait_until(lambda: seen)
        return task

    with watch(THRESHOLD, callback=lambda report: seen.append((blocking, report))):
        task = loop.run_until_complete(main())
    [(while_blocking, report)] = seen
    assert while_blocking
    assert report.task is task
    assert report.task_name == "culprit"
    assert report.loop is loop
    assert report.thread_id == threading.get_ident()
    assert THRESHOLD <= report.duration < BLOCKING


def test_the_stack_begins_with_the_coroutine_and_ends_with_the_call(loop: EventLoop) -> None:
    seen: list[BlockedReport] = []

    async def culprit() -> None:
        await blocking_call()

    with watch(THRESHOLD, callback=seen.append), asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(culprit())
    [report] = seen
    assert isinstance(report.frames, traceback.StackSummary)
    assert [frame.name for frame in report.frames] == ["culprit", "blocking_call", "block"]
    assert report.frames[-1].line == "time.sleep(seconds)"
    assert report.stack == "".join(report.frames.format())
    assert report.stack in str(report)


def test_one_incident_is_reported_once_and_its_end_is_told(loop: EventLoop) -> None:
    told: list[tuple[str, BlockedReport]] = []

    async def main() -> None:
        for _ in range(2):
            block(0.12)
            await asyncio.sleep(0.02)

    with watch(
        0.03,
        callback=lambda report: told.append(("begin", report)),
        on_end=lambda report: told.append(("end", report)),
    ):
        loop.run_until_complete(main())
    assert [kind for kind, _ in told] == ["begin", "end", "begin", "end"]
    for _, report in told[1::2]:
        assert 0.09 < report.duration < 0.3
        assert report.frames[-1].name == "block"


def test_a_blocking_callback_has_no_task(loop: EventLoop) -> None:
    seen: list[BlockedReport] = []

    async def main() -> None:
        loop.call_soon(block)
        await wait_until(lambda: seen)

    with watch(THRESHOLD, callback=seen.append):
        loop.run_until_complete(main())
    [report] = seen
    assert (report.task, report.task_name) == (None, None)
    assert [frame.name for frame in report.frames] == ["block"]
    assert str(report).startswith("A callback has blocked")


def test_a_callback_without_python_code(loop: EventLoop) -> None:
    seen: list[BlockedReport] = []

    async def main() -> None:
        loop.call_soon(time.sleep, BLOCKING)
        await wait_until(lambda: seen)

    with watch(THRESHOLD, callback=seen.append):
        loop.run_until_complete(main())
    [report] = seen
    assert list(report.frames) == []
    assert "built-in function" in str(report)


def test_python_code_that_never_sleeps(loop: EventLoop) -> None:
    seen: list[BlockedReport] = []

    async def spin() -> None:
        end = time.monotonic() + BLOCKING
        while time.monotonic() < end:
            pass

    with watch(THRESHOLD, callback=seen.append):
        loop.run_until_complete(spin())
    [report] = seen
    assert [frame.name for frame in report.frames] == ["spin"]


def test_a_call_that_keeps_the_gil(loop: EventLoop) -> None:
    seen: list[BlockedReport] = []

    async def culprit() -> None:
        await asyncio.sleep(0.05)
        keep_gil(0.25)
        block(0.02)  # On a busy machine the watching thread may be slow to take its chance.

    with watch(0.08, callback=seen.append):
        loop.run_until_complete(culprit())
    [report] = seen
    assert report.duration > 0.08
    assert report.frames[0].name == "culprit"


def test_another_thread_that_keeps_the_gil_is_no_task_of_ours(loop: EventLoop) -> None:
    seen: list[BlockedReport] = []

    async def main() -> None:
        thread = threading.Thread(target=keep_gil, args=(0.2,))
        thread.start()
        while thread.is_alive():
            await asyncio.sleep(0.001)
        thread.join()

    with watch(0.08, callback=seen.append):
        loop.run_until_complete(main())
    assert seen == []


def test_a_loop_that_waits_or_works_in_small_steps_is_not_reported(loop: EventLoop) -> None:
    seen: list[BlockedReport] = []

    async def main() -> None:
        await asyncio.sleep(0.15)
        await loop.run_in_executor(None, time.sleep, 0.15)
        end = time.monotonic() + 0.15
        while time.monotonic() < end:
            await asyncio.sleep(0)

    with watch(0.1, callback=seen.append):
        loop.run_until_complete(main())
        time.sleep(0.15)  # Open, but not running.
    assert seen == []


def test_a_block_shorter_than_the_threshold_is_not_reported(loop: EventLoop) -> None:
    seen: list[BlockedReport] = []
    with watch(0.4, callback=seen.append, interval=0.005):
        loop.run_until_complete(blocking_call(0.1))
    assert seen == []


def test_the_warning(loop: EventLoop, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.set_name("slow one")
        block()

    with watch(THRESHOLD):
        loop.run_until_complete(main())
    [record] = caplog.records
    assert (record.name, record.levelno) == ("aioxide.watch", logging.WARNING)
    assert record.getMessage().startswith("Task 'slow one' has blocked the event loop for 0.")
    assert "time.sleep(seconds)" in record.getMessage()


def test_another_logger(loop: EventLoop, caplog: pytest.LogCaptureFixture) -> None:
    with watch(THRESHOLD, logger=logging.getLogger("mine")):
        loop.run_until_complete(blocking_call())
    assert [record.name for record in caplog.records] == ["mine"]


def test_an_error_in_the_callback_is_logged_and_watching_goes_on(
    loop: EventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    calls = []

    def fails(report: BlockedReport) -> None:
        calls.append(report)
        raise LookupError("in the callback")

    async def main() -> None:
        for _ in range(2):
            block(0.08)
            await asyncio.sleep(0.02)

    with watch(0.03, callback=fails):
        loop.run_until_complete(main())
    assert len(calls) == 2
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 2
    assert errors[0].exc_info is not None
    assert errors[0].exc_info[0] is LookupError


def test_loops_in_several_threads_made_while_watching() -> None:
    seen: list[BlockedReport] = []
    identities = {}

    def work(name: str) -> None:
        async def main() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.set_name(name)
            await asyncio.sleep(0.01)
            block()

        identities[name] = threading.get_ident()
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(main())

    with watch(THRESHOLD, callback=seen.append):
        threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {report.task_name: report.thread_id for report in seen} == identities
    assert len(seen) == 2
    assert seen[0].loop is not seen[1].loop


def test_two_watches_have_their_own_thresholds(loop: EventLoop) -> None:
    short: list[BlockedReport] = []
    long: list[BlockedReport] = []
    with watch(0.03, callback=short.append), watch(1, callback=long.append):
        loop.run_until_complete(blocking_call(0.1))
    assert (len(short), len(long)) == (1, 0)


def test_nothing_is_reported_after_stop(loop: EventLoop) -> None:
    seen: list[BlockedReport] = []
    watching = watch(0.02, callback=seen.append)
    assert watching.watching
    assert "watching" in repr(watching)
    watching.stop()
    watching.stop()
    assert not watching.watching
    assert "stopped" in repr(watching)
    assert "aioxide-watch" not in [thread.name for thread in threading.enumerate()]
    loop.run_until_complete(blocking_call(0.08))
    assert seen == []


def test_stop_in_the_callback(loop: EventLoop) -> None:
    seen: list[BlockedReport] = []

    def once(report: BlockedReport) -> None:
        seen.append(report)
        watching.stop()

    async def main() -> None:
        for _ in range(2):
            block(0.08)
            await asyncio.sleep(0.02)

    watching = watch(0.03, callback=once)
    loop.run_until_complete(main())
    assert len(seen) == 1
    assert not watching.watching


def test_the_thread_does_not_keep_the_process() -> None:
    with watch() as watching:
        [thread] = [thread for thread in threading.enumerate() if thread.name == "aioxide-watch"]
        assert thread.daemon
        assert watching.interval == 0.025


def test_loops_are_not_kept_alive() -> None:
    with watch(0.02, interval=0.001):
        loop = new_event_loop()
        loop.run_until_complete(asyncio.sleep(0.02))
        loop.run_until_complete(blocking_call(0.06))
        loop.run_until_complete(asyncio.sleep(0.02))
        loop.close()
        reference = weakref.ref(loop)
        del loop
        deadline = time.monotonic() + 5
        while reference() is not None and time.monotonic() < deadline:
            gc.collect()
            time.sleep(0.005)
    assert reference() is None


def test_loops_come_and_go_in_threads_while_watched() -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(100):
                loop = new_event_loop()
                loop.run_until_complete(asyncio.sleep(0))
                loop.close()
        except BaseException as error:
            failures.append(error)

    with watch(1, interval=0.0005) as watching:
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert watching.watching
    assert failures == []


def test_a_child_after_fork(loop: EventLoop) -> None:
    with watch(THRESHOLD) as watching, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Threads and fork: meant.
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                seen: list[BlockedReport] = []
                stale = watching.watching
                watching.stop()
                with watch(0.02, callback=seen.append):
                    ours = new_event_loop()
                    ours.run_until_complete(blocking_call(0.1))
                code = 0 if not stale and len(seen) == 1 else 2
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert watching.watching


@pytest.mark.parametrize("name", ["threshold", "interval"])
@pytest.mark.parametrize("value", ["1", b"1", True, [], 1j, Decimal(1), object()])
def test_what_is_not_a_number_of_seconds(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"{name} must be a number of seconds"):
        watch(**{name: value})


@pytest.mark.parametrize("name", ["threshold", "interval"])
@pytest.mark.parametrize("value", [0, 0.0, -1, -0.1, float("nan"), float("inf"), -float("inf")])
def test_seconds_that_make_no_sense(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be positive and finite"):
        watch(**{name: value})


def test_a_threshold_is_not_none() -> None:
    with pytest.raises(TypeError):
        watch(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["callback", "on_end"])
def test_what_cannot_be_called(name: str) -> None:
    with pytest.raises(TypeError, match=f"{name} must be callable or None, not int"):
        watch(**{name: 1})  # type: ignore[arg-type]


def test_what_is_not_a_logger() -> None:
    with pytest.raises(TypeError, match=r"logger must be a logging\.Logger or None, not str"):
        watch(logger="aioxide")  # type: ignore[arg-type]


def test_wrong_arguments_start_no_thread() -> None:
    before = threading.active_count()
    with pytest.raises(ValueError):
        watch(-1)
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("threshold", "interval"),
    [(0.1, 0.025), (0.0001, 0.001), (10, 0.05), (Fraction(1, 10), 0.025)],
)
def test_the_interval_follows_the_threshold(threshold: Any, interval: float) -> None:
    with watch(threshold) as watching:
        assert (watching.threshold, watching.interval) == (float(threshold), pytest.approx(interval))


def test_the_interval_can_be_chosen() -> None:
    with watch(interval=0.2) as watching:
        assert (watching.threshold, watching.interval) == (0.1, 0.2)
