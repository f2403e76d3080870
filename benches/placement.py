"""Which CPU a process is pinned to, and how much CPU time it has used."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ("Placement", "children_on", "cpu_seconds")


@dataclass(frozen=True)
class Placement:
    """One CPU for what is measured, another for what drives it; None where the system cannot pin."""

    measured: int | None
    driver: int | None

    @classmethod
    def choose(cls) -> Placement:
        if not hasattr(os, "sched_setaffinity"):
            return cls(None, None)
        cpus = sorted(os.sched_getaffinity(0))
        # The last CPU for what is measured: the first one usually takes most of the interrupts.
        return cls(cpus[-1], cpus[0])

    def describe(self) -> str:
        if self.measured is None:
            return "not pinned: this system cannot"
        if self.measured == self.driver:
            return f"everything on CPU {self.measured}: there is no other"
        return f"measured process on CPU {self.measured}, load generator on CPU {self.driver}"


@contextmanager
def children_on(cpu: int | None, *, patient: bool = False) -> Iterator[None]:
    """What is started inside the block runs on ``cpu`` from its first instruction: it inherits this.

    A ``patient`` child does not take the CPU from others the moment it has something to do; it waits until they
    sleep, or have had their share (``SCHED_BATCH``). Not a ``preexec_fn``, which runs Python between fork and exec.
    """
    if cpu is None:
        yield
        return
    allowed = os.sched_getaffinity(0)
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    os.sched_setaffinity(0, {cpu})
    if patient:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)
        os.sched_setaffinity(0, allowed)


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process, in the kernel's nanoseconds.

    ``/proc/PID/stat`` counts in ticks of 10 ms; a process's CPU clock is the same sum, unrounded. Its
    id is made from the pid as ``clock_getcpuclockid(3)`` makes it.
    """
    return time.clock_gettime((~pid << 3) | CPUCLOCK_SCHED)


#: The kernel's name for the clock that counts the time a process was scheduled for.
CPUCLOCK_SCHED = 2
