"""What a workload hands back, and how long it is run to be worth reading."""

from __future__ import annotations

import asyncio
import gc
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from peers import Loaded

__all__ = ("Measurement", "Timed", "Workload", "expect", "repeat", "run_on")


@dataclass(frozen=True)
class Measurement:
    """``operations`` that really ran, in ``seconds`` of wall time and ``cpu`` seconds of this process."""

    operations: int
    seconds: float
    cpu: float
    metrics: dict[str, float] = field(default_factory=dict)


Workload = Callable[[Loaded, int], Measurement]
Timed = Callable[[int], Awaitable[int]]


def run_on(peer: Loaded, workload: Timed, size: int) -> Measurement:
    """Runs ``workload(size)`` on a new loop of the peer; it returns the operations it counted."""

    async def main() -> Measurement:
        peer.check(asyncio.get_running_loop())
        gc.collect()
        cpu, start = time.process_time(), time.perf_counter()
        operations = await workload(size)
        seconds = time.perf_counter() - start
        return Measurement(operations, seconds, time.process_time() - cpu)

    with peer.around(), asyncio.Runner(loop_factory=peer.new_event_loop, debug=peer.debug or None) as runner:
        return runner.run(main())


def repeat(run: Callable[[int], Measurement], start: int, minimum: float) -> Measurement:
    """Grows the size until one run takes ``minimum`` seconds; the runs before it are the warm-up."""
    size = start
    while True:
        measured = run(size)
        if measured.seconds >= minimum:
            return measured
        # The aim is a fifth above the minimum, so that a slightly faster second run does not need a third.
        growth = 1.2 * minimum / max(measured.seconds, 1e-6)
        size = math.ceil(size * min(max(growth, 1.2), 50.0))


def expect(actual: object, wanted: object, what: str) -> None:
    """A number from a run that did not do its work is worth nothing: raises, so the row shows an error."""
    if actual != wanted:
        raise RuntimeError(f"{what}: expected {wanted!r}, got {actual!r}")
