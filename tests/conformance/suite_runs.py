"""Runs the tests of one program on one loop, under pytest, and reads what they gave.

The tests run in a worker of xdist: one that crashes, or hangs and is ended by pytest-timeout, costs one test.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import records
import redis_server
import subject
import supervision
from records import Outcome, Record
from suite_list import Program
from suite_orders import Orders
from supervision import ModuleRun

__all__ = ("Run",)

_HERE = Path(__file__).resolve().parent

#: Seconds for one program on one loop. The longest takes less than one minute.
_LIMIT = 400

#: pytest's exit statuses that mean "it came to its end": all passed, some failed, none chosen.
_ENDED = (0, 1, 5)


@dataclass(frozen=True)
class Run:
    """What is run: the program's tests, or ``only`` some, on the loop called ``loops``."""

    program: Program
    loops: str
    leave_out: Collection[str]
    #: Seconds for one test.
    test_limit: float
    pattern: str = ""
    only: tuple[str, ...] = ()

    def play(self) -> ModuleRun:
        """Run it in a folder of its own; OSError or CalledProcessError when something it needs cannot be had."""
        began = time.monotonic()
        run = ModuleRun(self.program.name)
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="suites-")))
            (folder / "tree").mkdir()
            tree = self.program.source.unpack(folder / "tree")
            address = stack.enter_context(redis_server.running(folder)) if self.program.redis else ""
            died = self._pytest(folder, tree, address)
            log = records.read(folder / "records")
        run.found, run.results = log.found, log.ended
        run.left_out = len(set(run.found) - set(run.results))
        if died:
            run.results[f"{run.module} (process)"] = Record(Outcome.FAILED, died)
        run.seconds = time.monotonic() - began
        return run

    def _pytest(self, folder: Path, tree: Path, redis: str) -> str:
        """Run pytest; return what it said if it did not come to its end."""
        records_file = str(folder / "records")
        orders = Orders(records_file, list(self.leave_out), self.only, self.pattern)
        command: list[str | Path] = [sys.executable, "-m", "pytest", *self._options(folder)]
        command += [word.format(redis=redis) for word in self.program.tests]
        path = [str(_HERE), os.environ.get("PYTHONPATH", "")]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            # In the environment, because tests of plugins run pytest themselves.
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_PLUGINS": ",".join(self.program.plugins),
            subject.VARIABLE: self.loops,
            **orders.write(folder / "orders"),
        }
        status, output = supervision.watched(command, tree, environment, folder / "output", _LIMIT)
        if status in _ENDED:
            return ""
        return f"{supervision.death(status)}:\n{output}"

    def _options(self, folder: Path) -> Iterator[str]:
        yield from ("-q", "--tb=short", "-n1", "--max-worker-restart=20")
        yield from ("--timeout", str(self.test_limit), "--timeout-method=thread")
        for plugin in ("suites_plugin", "xdist.plugin", "pytest_timeout"):
            yield from ("-p", plugin)
        yield from ("-p", "no:cacheprovider", "--basetemp", str(folder / "temporary"))
        # The programs' own settings ask for coverage and the like.
        for setting in ("addopts=", *self.program.settings):
            yield from ("-o", setting)
