"""Runs one module of a foreign suite in this process and records what happens.

Started by ``supervision.py``, never by hand. The order matters: the suite's shim goes in before the
test module is imported, because the modules bind the classes under test at import.
"""

from __future__ import annotations

import argparse
import faulthandler
import fnmatch
import importlib
import json
import os
import re
import sys
import threading
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import subject
from records import RecordingResult

__all__ = ("Suite",)


class Suite(Protocol):
    """What a suite's shim module (``cpython_shim``, ``uvloop_shim``) offers."""

    def prepare(self, loops: subject.Subject, module: str) -> str:
        """Redirect the suite to ``loops``; return the import name of the test module."""

    def adjust(self, loops: subject.Subject, tests: Any) -> None:
        """Redirect what only exists once the test module is imported."""


def main() -> None:
    """Read the orders of the parent and carry them out."""
    parser = argparse.ArgumentParser()
    parser.add_argument("shim")
    parser.add_argument("module")
    parser.add_argument("orders", type=Path)
    options = parser.parse_args()
    orders = json.loads(options.orders.read_text())

    faulthandler.enable()
    suite: Suite = importlib.import_module(options.shim)
    loops = subject.load(orders["subject"])
    name = suite.prepare(loops, options.module)
    module = importlib.import_module(name)
    suite.adjust(loops, module)

    prefix = name.removesuffix(options.module)
    with open(orders["results"], "a") as file:
        result = RecordingResult(
            file,
            prefix,
            # A hung loop may never come back to Python: only faulthandler's own thread is sure to.
            on_start=lambda: faulthandler.dump_traceback_later(orders["limit"], exit=True),
            on_stop=faulthandler.cancel_dump_traceback_later,
        )
        tests = {
            result.name(test): test for test in _flat(unittest.defaultTestLoader.loadTestsFromModule(module))
        }
        result.found(list(tests))
        chosen = unittest.TestSuite(test for name, test in tests.items() if _is_wanted(name, orders))
        chosen.run(result)
    _end(orders["limit"])


def _end(limit: float) -> None:
    """Let the interpreter shut down, which is a test too, unless a test left a thread behind."""
    sys.stdout.flush()
    left = [thread for thread in threading.enumerate() if not thread.daemon]
    if left != [threading.main_thread()]:
        # The interpreter would wait for it, perhaps forever; the test that left it has its result.
        print("threads left behind:", left, file=sys.stderr, flush=True)
        os._exit(0)
    faulthandler.dump_traceback_later(limit, exit=True)


def _is_wanted(test: str, orders: dict[str, Any]) -> bool:
    if test in orders["skip"] or not re.search(orders["pattern"], test):
        return False
    return not any(fnmatch.fnmatchcase(test, pattern) for pattern in orders["leave_out"])


def _flat(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _flat(test)
        else:
            yield test


if __name__ == "__main__":
    main()
