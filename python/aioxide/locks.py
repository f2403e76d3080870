"""``Lock``, ``Event``, ``Condition``, ``Semaphore``, ``BoundedSemaphore``, ``Barrier``: asyncio's, in Rust.

Each class has two bases: a native one, and asyncio's own of the same name, so that ``isinstance`` holds.
Counterpart: ``Lib/asyncio/locks.py``.
"""

from __future__ import annotations

import asyncio.locks
from abc import ABCMeta
from typing import TYPE_CHECKING, Any

from . import kinship
from ._aioxide import BarrierCore, ConditionCore, EventCore, LockCore, SemaphoreCore

if TYPE_CHECKING:
    # namespace.py adds it: what asyncio's module of this name has.
    def __getattr__(name: str) -> Any: ...


__all__ = ("Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "Semaphore")


class Lock(LockCore, asyncio.locks.Lock, metaclass=ABCMeta):
    """asyncio's Lock, in Rust: one holder at a time. Acquiring one that is free suspends nothing."""

    __subclasshook__ = kinship.counts(asyncio.locks.Lock)


class Event(EventCore, asyncio.locks.Event, metaclass=ABCMeta):
    """asyncio's Event, in Rust: a flag that can be waited for."""

    __subclasshook__ = kinship.counts(asyncio.locks.Event)


class Barrier(BarrierCore, asyncio.locks.Barrier, metaclass=ABCMeta):
    """asyncio's Barrier, in Rust: so many tasks wait for each other."""

    __subclasshook__ = kinship.counts(asyncio.locks.Barrier)


class Condition(ConditionCore, asyncio.locks.Condition, metaclass=ABCMeta):
    """asyncio's Condition, in Rust: waits, with a lock released meanwhile, until somebody notifies."""

    __subclasshook__ = kinship.counts(asyncio.locks.Condition)


class Semaphore(SemaphoreCore, asyncio.locks.Semaphore, metaclass=ABCMeta):
    """asyncio's Semaphore, in Rust: so many holders at a time."""

    __subclasshook__ = kinship.counts(asyncio.locks.Semaphore)


class BoundedSemaphore(Semaphore, asyncio.locks.BoundedSemaphore):
    """asyncio's BoundedSemaphore: releasing more often than acquiring is an error."""

    __subclasshook__ = kinship.counts(asyncio.locks.BoundedSemaphore)

    release = SemaphoreCore.release

    def __init__(self, value: int = 1) -> None:
        SemaphoreCore.__init__(self, value)
        self._bound_value = value
