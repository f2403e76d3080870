"""The workload of child processes."""

from __future__ import annotations

import asyncio
import shutil
from itertools import repeat

from measure import Measurement, expect, run_on
from peers import Loaded

__all__ = ("PROCESSES",)

#: Says nothing and does nothing.
PROGRAM = shutil.which("true") or "/bin/true"


def spawn_wait(peer: Loaded, size: int) -> Measurement:
    """Starts a child, waits for its end, and again. The CPU time is the parent's."""

    async def workload(size: int) -> int:
        for _ in repeat(None, size):
            process = await asyncio.create_subprocess_exec(PROGRAM)
            expect(await process.wait(), 0, "exit status")
        return size

    return run_on(peer, workload, size)


PROCESSES = {"spawn_wait": (spawn_wait, 20)}
