"""What a type checker makes of programs that use aioxide, also under the name of asyncio."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = Path(__file__).parents[1] / "python"

pytestmark = pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")

TOUR = """
import asyncio as original
from typing import assert_type

import aioxide
import aioxide as asyncio
from aioxide import Queue, TaskGroup, gather


async def number() -> int:
    return 1


async def main() -> str:
    assert_type(await asyncio.gather(number(), asyncio.sleep(1, "slept")), tuple[int, str])
    assert_type(await asyncio.sleep(1), None)
    assert_type(await aioxide.sleep(1, "x"), str)
    task: asyncio.Task[int] = asyncio.create_task(number())
    same: original.Task[int] = task
    future: aioxide.Future[int] = same
    async with TaskGroup() as group, asyncio.timeout(1):
        assert_type(await group.create_task(number()), int)
    queue: Queue[str] = asyncio.Queue()
    reader: asyncio.streams.StreamReader | None = None
    loop: asyncio.events.AbstractEventLoop = asyncio.get_running_loop()
    handle: asyncio.Handle = loop.call_soon(print, queue, reader, future)
    handle.cancel()
    return (await queue.get()) + str(await gather(number()))


assert_type(aioxide.run(main()), str)
assert_type(aioxide.run(main(), loop_factory=aioxide.new_event_loop), str)
loop = asyncio.new_event_loop(strict_polling=True)
assert_type(loop, aioxide.EventLoop)
assert_type(loop.run_until_complete(number()), int)
plain: original.AbstractEventLoop = loop
with asyncio.Runner() as runner:
    assert_type(runner.run(number()), int)
with original.Runner(loop_factory=aioxide.new_event_loop) as runner_of_asyncio:
    assert_type(runner_of_asyncio.run(number()), int)
with aioxide.watch(0.1, callback=lambda report: print(report.duration)) as watch:
    assert_type(watch, aioxide.Watch)
assert_type(aioxide.__version__, str)
aioxide.install()
aioxide.uninstall()
"""

NATIVE = """
import asyncio
from typing import Any, assert_type

from aioxide._aioxide import Future, Task, create_task, live_tasks, sleep
from aioxide import new_event_loop


async def main() -> None:
    assert_type(await sleep(1, b"x"), bytes)
    assert_type(create_task(sleep(0.5, 2)), asyncio.Task[int])
    assert_type(await Task(sleep(0)), None)
    future: Future[int] = Future()
    future.set_result(1)
    assert_type(await future, int)
    assert_type(live_tasks(), list[Task[Any]])


loop = new_event_loop()
loop.call_later(0.5, print, "x", context=None).cancel()
assert_type(loop.call_at(1.0, print).when(), float)
assert_type(loop.time(), float)
"""

#: What is wrong, and the kind of error that mypy finds.
WRONG = [
    ("aioxide.no_such_name", "attr-defined"),
    ("aioxide.run(1)", "arg-type"),
    ("aioxide.sleep('x')", "call-overload|arg-type"),
    ("aioxide.new_event_loop(strict=True)", "call-arg"),
    ("aioxide.watch(callback=1)", "arg-type"),
    ("aioxide.new_event_loop().call_soon(ord, 1)", "arg-type"),
    ("aioxide.Task[int].no_such_name", "attr-defined"),
    ("aioxide._aioxide.Future[int]().set_result('x')", "arg-type"),
]


@pytest.mark.parametrize("program", [TOUR, NATIVE], ids=["tour", "native"])
@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_right_programs_have_no_type_errors(tmp_path, program, version):
    assert check(tmp_path, program, version) == []


def test_wrong_programs_have(tmp_path):
    lines = ["import aioxide", "import aioxide._aioxide", *(line for line, _ in WRONG)]
    found = check(tmp_path, "\n".join(lines) + "\n", "3.13")
    kinds = {int(line.split(":")[1]): line.rpartition("[")[2].rstrip("]") for line in found}
    missed = [
        (line, kinds.get(number))
        for number, (line, kind) in enumerate(WRONG, start=3)
        if kinds.get(number) not in kind.split("|")
    ]
    assert missed == []


def test_the_package_says_that_it_is_typed():
    assert (PACKAGES / "aioxide" / "py.typed").is_file()


def check(folder, program, version):
    """Return mypy's errors in a program, one a line."""
    (folder / "program.py").write_text(program)
    options = ["--strict", "--config-file=", "--no-color-output", "--hide-error-context", "--no-pretty"]
    options += ["--python-version", version, f"--cache-dir={folder / 'cache'}"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "program.py"],
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(PACKAGES)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if ": error: " in line]
