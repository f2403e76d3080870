"""Redirects uvloop's tests to the loop under test.

``uvloop_stand_in`` is on the path in uvloop's place. Each test exists twice there, for uvloop and
for asyncio; the uvloop half runs on the loop under test, the other half would only repeat it.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import re
import sys
from typing import Any

from subject import Subject

__all__ = ("adjust", "prepare")


def prepare(loops: Subject, module: str) -> str:
    """Put the tests on the path; return the import name of ``module``."""
    stand_in = importlib.import_module("uvloop")
    sys.path.insert(0, os.environ[stand_in.SOURCE])
    testbase = importlib.import_module("uvloop._testbase")

    def implementation(test: Any) -> str:
        # The tests ask for it where uvloop and asyncio differ: we promise what asyncio does. What
        # they do not even try on asyncio is tried on us.
        method = getattr(type(test), test._testMethodName)
        return loops.name if _is_skipped_on_asyncio(method) else "asyncio"

    testbase.UVTestCase.implementation = property(implementation)
    testbase.UVTestCase.is_asyncio_loop = lambda test: True
    return f"tests.{module}"


def adjust(loops: Subject, tests: Any) -> None:
    """Do nothing: the tests look their loop up when they run."""


@functools.cache
def _is_skipped_on_asyncio(method: Any) -> bool:
    return re.search(_SKIP, inspect.getsource(method)) is not None


#: "if self.implementation == 'asyncio' ...: raise unittest.SkipTest", with comments in between.
_SKIP = r"if self\.implementation == 'asyncio'[^:]*:\s*(#.*\s*)*raise unittest\.SkipTest"
