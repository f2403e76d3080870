"""Runs a suite's modules in child processes that may crash or hang without harm.

A child that dies is started again for the tests that are left; the test that killed it counts as
failed. So one crash costs one test, not a module.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import records
from records import Outcome, Record

__all__ = ("Job", "ModuleRun", "death", "end_with_this_process", "run_module", "watched")

_HERE = Path(__file__).resolve().parent

#: A child that dies this often has a problem that another start does not solve.
_STARTS = 12

#: Children that are running now.
_running: set[subprocess.Popen[bytes]] = set()

#: How much of a dead child's output is worth showing.
_TAIL = 6000


@dataclass(frozen=True)
class Job:
    """How to run any module of one suite."""

    #: The module that redirects the suite to the loop under test.
    shim: str
    subject: str
    #: Seconds for one test; then the stacks of all threads are dumped and the process ends.
    test_limit: float = 60
    #: Seconds for a whole module, restarts included.
    module_limit: float = 900
    #: Only tests whose id this regular expression finds.
    pattern: str = ""
    left_out: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass
class ModuleRun:
    """What became of one module."""

    module: str
    found: list[str] = field(default_factory=list)
    results: dict[str, Record] = field(default_factory=dict)
    left_out: int = 0
    seconds: float = 0.0


def run_module(job: Job, module: str) -> ModuleRun:
    """Run ``module`` to the end, with as many children as it takes."""
    run = ModuleRun(module)
    began = time.monotonic()
    deadline = began + job.module_limit
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        for _ in range(_STARTS):
            left = deadline - time.monotonic()
            if left <= 0 or _start(job, run, Path(folder), left):
                break
    _account_for_all(job, run)
    run.seconds = time.monotonic() - began
    return run


def end_with_this_process() -> None:
    """Make a SIGTERM of this process end the children too: they lead groups of their own."""

    def end(number: int, frame: FrameType | None) -> None:
        for process in _running:
            _end_group(process)
        os._exit(128 + number)

    signal.signal(signal.SIGTERM, end)


def _start(job: Job, run: ModuleRun, folder: Path, seconds: float) -> bool:
    """Run one child; return whether it came to its end."""
    results, orders, output = folder / "results", folder / "orders", folder / "output"
    work = Path(tempfile.mkdtemp(dir=folder))
    results.unlink(missing_ok=True)
    orders.write_text(
        json.dumps(
            {
                "subject": job.subject,
                "results": str(results),
                "limit": job.test_limit,
                "pattern": job.pattern,
                "skip": list(run.results),
                "leave_out": list(job.left_out),
            }
        )
    )
    command: list[str | Path] = [sys.executable, _HERE / "child.py", job.shim, run.module, orders]
    status, tail = watched(command, work, {**os.environ, **job.environment}, output, seconds)
    log = records.read(results)
    run.found = log.found or run.found
    run.results |= log.ended
    if status == 0:
        return True
    if log.running is not None:
        run.results[log.running] = Record(Outcome.FAILED, f"{death(status)} in it:\n{tail}")
        return False
    # Nothing to blame but the module: it does not import, or it crashes after its last test.
    run.results[f"{run.module} (process)"] = Record(
        Outcome.FAILED, f"{death(status)} outside of any test:\n{tail}"
    )
    return True


def watched(
    command: Sequence[str | Path],
    folder: Path,
    environment: Mapping[str, str],
    output: Path,
    seconds: float,
) -> tuple[int | None, str]:
    """Run a child in ``folder``; return its exit status, None when its time was up, and the end of its output."""
    with output.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            # A group of its own, so that what a killed test has started ends with it.
            start_new_session=True,
        )
        _running.add(process)
        try:
            status: int | None = process.wait(seconds)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _end_group(process)
            _running.discard(process)
    return status, output.read_text(errors="replace")[-_TAIL:]


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill the child's process group: what a test has left behind must not outlive the module."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # The usual case: the group ended with its leader.
    process.wait()


def death(status: int | None) -> str:
    """Say how a child ended, by what `watched` returned."""
    if status is None:
        return "the module ran out of time"
    if status < 0:
        return f"the process was ended by {signal.Signals(-status).name}"
    return f"the process ended with status {status}"


def _account_for_all(job: Job, run: ModuleRun) -> None:
    """Give every test that was found a result, or count it as left out."""
    for test in run.found:
        if any(fnmatch.fnmatchcase(test, pattern) for pattern in job.left_out):
            run.left_out += 1
        elif test not in run.results and re.search(job.pattern, test):
            run.results[test] = _fixture(run, test) or Record(Outcome.FAILED, "it never ran")
    for holder in [name for name in run.results if name not in run.found]:
        # A skipped fixture has just handed its result on to its tests.
        if run.results[holder].outcome is Outcome.SKIPPED:
            del run.results[holder]


def _fixture(run: ModuleRun, test: str) -> Record | None:
    """Return the result of the class or module fixture that kept ``test`` from running."""
    owner = test.rpartition(".")[0]
    for name in (f"setUpClass ({owner})", f"setUpModule ({owner.partition('.')[0]})"):
        if name in run.results:
            return run.results[name]
    return None
