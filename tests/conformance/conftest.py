"""Fixtures of the programs: the loop under test, and a look at what a program leaves behind.

``AIOXIDE_CONFORMANCE_SUBJECT=asyncio`` runs them on plain asyncio, for comparison; ``AIOXIDE_QUICK=1``
runs the long ones in a short form.
"""

from __future__ import annotations

import gc
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

import subject

__all__ = ("Remains", "loops", "quick")


@pytest.fixture(scope="session")
def loops() -> subject.Subject:
    """The loop under test."""
    return subject.chosen()


@pytest.fixture(scope="session")
def quick() -> bool:
    """Whether to run the short form of a program."""
    return os.environ.get("AIOXIDE_QUICK", "") not in ("", "0")


@dataclass(frozen=True)
class Remains:
    """What a process holds at one moment."""

    descriptors: int
    #: Resident memory in bytes.
    memory: int
    #: Objects that the garbage collector knows.
    objects: int

    @classmethod
    def now(cls) -> Remains:
        """Count, after everything that is garbage is gone."""
        for _ in range(3):
            gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(
            descriptors=len(os.listdir("/proc/self/fd")),
            memory=pages * os.sysconf("SC_PAGE_SIZE"),
            objects=len(gc.get_objects()),
        )
