"""Redirects uvloop's tests to the loop under test.

``uvloop_stand_in`` is on the path in uvloop's place. Each test exists twice there, for uvloop and
for asyncio; the uvloop half runs on the loop under test, the other half would only repeat it.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from subject import Subject

__all__ = ("adjust", "prepare")


def prepare(loops: Subject, module: str) -> str:
    """Put the tests on the path; return the import name of ``module``."""
    stand_in = importlib.import_module("uvloop")
    sys.path.insert(0, os.environ[stand_in.SOURCE])
    testbase = importlib.import_module("uvloop._testbase")
    # Where the tests ask, they want asyncio's exact behaviour of everybody but uvloop.
    testbase.UVTestCase.implementation = loops.name
    testbase.UVTestCase.is_asyncio_loop = lambda test: True
    return f"tests.{module}"


def adjust(loops: Subject, tests: Any) -> None:
    """Do nothing: the tests look their loop up when they run."""
