"""A task and futures of asyncio's own, from which the extension learns how this CPython keeps them.

From 3.14 on CPython reads fields of its tasks directly, also from another process (``python -m asyncio ps``).
Ours have to fill the same fields, and where those lie differs between builds.
"""

from __future__ import annotations

import _asyncio
from typing import Any

__all__ = ("Specimens", "make")


class Loop:
    """What a task asks of its loop when it is made."""

    def get_debug(self) -> bool:
        return False

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> None:
        """Forget the callback: the task is never run."""


class Specimens:
    """One task, made but not run, and two futures."""

    def __init__(self) -> None:
        async def nothing() -> None: ...

        loop: Any = Loop()
        self.loop = loop
        self.coroutine = nothing()
        self.task: Any = _asyncio.Task(self.coroutine, loop=loop, name="specimen")
        self.first: Any = _asyncio.Future(loop=loop)
        self.second: Any = _asyncio.Future(loop=loop)

    def discard(self) -> None:
        """End them without a warning that they were never run."""
        self.task._log_destroy_pending = False
        self.coroutine.close()


def make() -> Specimens:
    """Called once, by the extension."""
    return Specimens()
