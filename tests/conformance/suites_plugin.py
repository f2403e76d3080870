"""The pytest plugin that a program's own tests are run with: the loop under test, and a record of each test.

Loaded with ``-p`` before any conftest, so that what the program imports is installed already. Under xdist the
controller writes the records, and a worker that dies or hangs costs one test; the workers leave out what the
suite's list leaves out.
"""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import pytest

import subject
from suite_orders import Orders

__all__ = ("Recorder",)

_orders = Orders.given()

subject.chosen().install()


def pytest_configure(config: pytest.Config) -> None:
    """Write records in the process that sees all reports."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(Path(_orders.records)))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Drop what is left out; the controller is told what there was."""
    found = [item.nodeid for item in items]
    if hasattr(config, "workeroutput"):
        config.workeroutput["aioxide_found"] = found
    dropped = [item for item in items if not _orders.choose(item.nodeid)]
    if dropped:
        items[:] = [item for item in items if item not in dropped]
        config.hook.pytest_deselected(items=dropped)


def pytest_collection_finish() -> None:
    """Let a garbage collection pass over what pytest holds: many suites collect after each test."""
    gc.collect()
    gc.freeze()


class Recorder:
    """Writes the lines that ``records.read`` reads, in the order of the tests' ends."""

    def __init__(self, path: Path) -> None:
        """Write to ``path``."""
        self._file = path.open("w")
        self._found: list[str] = []
        #: Tests that began: worst outcome, details, seconds.
        self._tests: dict[str, tuple[str, str, float]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take one phase of a test: its setup, the test itself, its teardown."""
        outcome, detail, seconds = self._tests.pop(report.nodeid, ("passed", "", 0.0))
        if report.failed:
            outcome, detail = "failed", f"{detail}{report.longreprtext}\n"
        elif report.skipped and outcome == "passed":
            # An expected failure, too: what must fail on every loop says nothing about ours.
            outcome, detail = "skipped", str(report.longrepr)
        seconds += report.duration
        if report.when in ("setup", "call"):
            self._tests[report.nodeid] = outcome, detail, seconds
        if report.when == "teardown" or (report.when not in ("setup", "call")):
            self._write(kind="end", test=report.nodeid, outcome=outcome, detail=detail, seconds=seconds)

    def pytest_testnodedown(self, node: Any) -> None:
        """Take what a worker had collected."""
        self._found = getattr(node, "workeroutput", {}).get("aioxide_found", self._found)

    def pytest_sessionfinish(self) -> None:
        """Write what there was, and what never came to its end."""
        for test, (_, detail, seconds) in self._tests.items():
            self._write(
                kind="end", test=test, outcome="failed", detail=f"it did not end\n{detail}", seconds=seconds
            )
        self._write(kind="found", tests=self._found)
        self._file.close()

    def _write(self, **entry: Any) -> None:
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()
