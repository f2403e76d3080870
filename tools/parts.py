"""Run parts of the tests, one or two at a time: show their output, count their results, time them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from project import ROOT

__all__ = ("Outcome", "Part", "play", "play_lanes", "second_chance", "total")

#: ``3 passed``, ``1 failed``, ``2 errors``, as pytest, cargo and our own suites write them.
COUNT = re.compile(r"\b(\d+) (passed|failed|errors?|skipped|ignored|xpassed)\b")
FIELDS = {
    "passed": "passed",
    "xpassed": "passed",
    "failed": "failed",
    "error": "failed",
    "errors": "failed",
    "skipped": "skipped",
    "ignored": "skipped",
}


@dataclass(frozen=True)
class Part:
    """A command whose exit status and closing lines are judged."""

    name: str
    label: str
    """The Python version it runs on, or ``rust``."""
    command: Sequence[str | Path]
    environment: dict[str, str] = field(default_factory=dict)
    counts: bool = True
    """Whether it says how many tests ran; a part that does not is one test."""
    minutes: float = 15
    """After this long it is hung, and ended."""
    again: Sequence[str | Path] = ()
    """Runs what failed once more. Tests that wait for a moment may miss it on a busy machine."""


@dataclass(frozen=True)
class Outcome:
    """What came of a part."""

    part: Part
    passed: int
    failed: int
    skipped: int
    seconds: float
    remark: str = ""
    died: bool = False
    """Whether it ended in another way than by saying which tests failed."""

    def __str__(self) -> str:
        mark = "FAILED" if self.failed else "ok"
        return (
            f"{self.part.label:<5} {self.part.name:<10} {mark:<7} {self.passed:>5} passed "
            f"{self.failed:>4} failed {self.skipped:>4} skipped {self.seconds:>6.0f} s"
            + (f"  {self.remark}" if self.remark else "")
        )


def play_lanes(lanes: Sequence[Sequence[Part]]) -> list[Outcome]:
    """Run the parts of each lane one after the other, and the lanes side by side.

    Most tests wait more than they compute, so two lanes take little longer than the longer one. The output of a
    part is shown when it has ended.
    """
    running: set[subprocess.Popen[str]] = set()
    showing = threading.Lock()

    def play_lane(lane: Sequence[Part]) -> list[Outcome]:
        outcomes = []
        for part in lane:
            lines = [f"\n== {part.label}: {part.name}\n"]
            outcomes.append(watch(part, lines.append, running))
            with showing:
                print("".join(lines), end="", flush=True)
        return outcomes

    with ThreadPoolExecutor(max(len(lanes), 1)) as pool:
        played = [pool.submit(play_lane, lane) for lane in lanes]
        try:
            return [outcome for lane in played for outcome in lane.result()]
        except BaseException:
            for lane in played:
                lane.cancel()
            for process in list(running):
                os.killpg(process.pid, signal.SIGKILL)
            raise


def play(part: Part) -> Outcome:
    """Run ``part`` to its end, or until its time is up; show its output as it comes."""
    print(f"\n== {part.label}: {part.name}", flush=True)
    return watch(part, lambda line: print(line, end="", flush=True), set())


def second_chance(outcome: Outcome) -> Outcome:
    """Run what failed once more, with nothing beside it; what fails again has failed.

    There is none for a part that crashed or hung. The summary names how many tests needed it.
    """
    part = outcome.part
    if not outcome.failed or outcome.died or not part.again:
        return outcome
    again = play(replace(part, name=f"{part.name} (again)", command=part.again, again=()))
    if again.died or not again.passed:
        return outcome
    return replace(
        outcome,
        passed=outcome.passed + outcome.failed - again.failed,
        failed=again.failed,
        seconds=outcome.seconds + again.seconds,
        remark=f"{again.passed} passed only alone",
    )


def watch(part: Part, show: Callable[[str], object], running: set[subprocess.Popen[str]]) -> Outcome:
    """Run ``part``, which is in ``running`` meanwhile; give each line of its output to ``show``."""
    started = time.monotonic()
    process = subprocess.Popen(
        [str(word) for word in part.command],
        cwd=ROOT,
        env={**os.environ, **part.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # Its own group, so that what it started ends with it.
        start_new_session=True,
    )
    running.add(process)
    overdue = threading.Event()

    def stop() -> None:
        overdue.set()
        os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(part.minutes * 60, stop)
    timer.start()
    counted: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            show(line)
            if COUNT.search(line):
                counted.append(line)
        status = process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    finally:
        timer.cancel()
        running.discard(process)
    remark = f"ended after {part.minutes:.0f} minutes" if overdue.is_set() else ""
    return judge(part, status, counted, time.monotonic() - started, remark)


def judge(part: Part, status: int, counted: Sequence[str], seconds: float, remark: str = "") -> Outcome:
    """Make an outcome of the exit status and the lines with counts."""
    sums = {"passed": 0, "failed": 0, "skipped": 0}
    if part.counts:
        for line in closing(counted):
            for number, word in COUNT.findall(line):
                sums[FIELDS[word]] += int(number)
        if status == 0 and not sums["passed"]:
            sums["failed"] += 1
            remark = remark or "ran no test"
    elif status == 0:
        sums["passed"] = 1
    died = status < 0 or bool(remark) or (status != 0 and not sums["failed"])
    if status != 0 and not sums["failed"]:
        # It died instead of failing a test.
        sums["failed"] = 1
        remark = remark or f"exit status {status}"
    return Outcome(part, sums["passed"], sums["failed"], sums["skipped"], seconds, remark, died)


def closing(counted: Sequence[str]) -> Iterable[str]:
    """Keep the lines that sum up: cargo has one for each test program, the others one at the end."""
    cargo = [line for line in counted if line.startswith("test result:")]
    return cargo or counted[-1:]


def total(outcomes: Sequence[Outcome]) -> str:
    """Return the line that ends the run."""
    passed, failed, skipped = (
        sum(getattr(outcome, name) for outcome in outcomes) for name in ("passed", "failed", "skipped")
    )
    return f"{passed} passed, {failed} failed, {skipped} skipped"
