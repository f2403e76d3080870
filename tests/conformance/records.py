"""What a child process tells about its tests: JSON lines in a file.

A line is written before a test starts and after it ended, and flushed each time: when the process
dies, the file names the test that killed it.
"""

from __future__ import annotations

import enum
import json
import time
import traceback
import unittest
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

__all__ = ("Log", "Outcome", "Record", "RecordingResult", "read")

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


class Outcome(enum.Enum):
    """How a test ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Record:
    """One finished test."""

    outcome: Outcome
    #: The traceback, or why it was skipped.
    detail: str = ""
    seconds: float = 0.0


@dataclass
class Log:
    """What was read back from a results file."""

    found: list[str] = field(default_factory=list)
    ended: dict[str, Record] = field(default_factory=dict)
    #: The test that was running when the file ends.
    running: str | None = None


def read(path: Path) -> Log:
    """Read a results file; a line cut short by a crash is ignored."""
    log = Log()
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry["kind"] == "found":
            log.found = entry["tests"]
        elif entry["kind"] == "start":
            log.running = entry["test"]
        else:
            log.ended[entry["test"]] = Record(Outcome(entry["outcome"]), entry["detail"], entry["seconds"])
            log.running = None
    return log


class RecordingResult(unittest.TestResult):
    """Writes every start and end to a file; a failed subtest fails its test."""

    def __init__(self, file: TextIO, prefix: str, on_start: Any, on_stop: Any) -> None:
        """Write to ``file``; test ids lose ``prefix``; the hooks arm and disarm the alarm."""
        super().__init__()
        self._file = file
        self._prefix = prefix
        self._on_start = on_start
        self._on_stop = on_stop
        self._outcome = Outcome.PASSED
        self._details: list[str] = []
        self._began = 0.0
        self._current: Any = None

    def name(self, test: Any) -> str:
        """Return the id that the lists use."""
        # Not only at the start: a failed fixture is called "setUpClass (package.module.Class)".
        return str(test.id()).replace(self._prefix, "")

    def found(self, tests: list[str]) -> None:
        """Record which tests there are."""
        self._write(kind="found", tests=tests)

    def startTest(self, test: Any) -> None:
        super().startTest(test)
        self._current = test
        self._outcome, self._details = Outcome.PASSED, []
        self._began = time.perf_counter()
        self._write(kind="start", test=self.name(test))
        self._on_start()

    def stopTest(self, test: Any) -> None:
        self._on_stop()
        super().stopTest(test)
        self._end(test)
        self._current = None

    def addError(self, test: Any, err: _ExcInfo) -> None:
        super().addError(test, err)
        self._fail(test, err)

    def addFailure(self, test: Any, err: _ExcInfo) -> None:
        super().addFailure(test, err)
        self._fail(test, err)

    def addSubTest(self, test: Any, subtest: Any, err: _ExcInfo | None) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._fail(test, err, str(subtest))

    def addUnexpectedSuccess(self, test: Any) -> None:
        super().addUnexpectedSuccess(test)
        self._outcome = Outcome.FAILED
        self._details.append("the suite marks it as an expected failure, but it passed")

    def addSkip(self, test: Any, reason: str) -> None:
        super().addSkip(test, reason)
        if self._outcome is Outcome.PASSED:
            self._outcome = Outcome.SKIPPED
        self._details.append(reason)
        if self._current is None:
            # A skipped class or module starts no test; its tests are told apart by their ids.
            self._end(test)

    def _fail(self, test: Any, err: _ExcInfo, head: str = "") -> None:
        self._outcome = Outcome.FAILED
        text = "".join(traceback.format_exception(*err))
        self._details.append(f"{head}\n{text}" if head else text)
        if self._current is None:
            # setUpClass, tearDownClass, setUpModule or tearDownModule.
            self._end(test)

    def _end(self, test: Any) -> None:
        self._write(
            kind="end",
            test=self.name(test),
            outcome=self._outcome.value,
            detail="\n".join(self._details),
            seconds=time.perf_counter() - self._began,
        )
        self._outcome, self._details = Outcome.PASSED, []

    def _write(self, **entry: Any) -> None:
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()
