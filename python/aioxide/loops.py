"""Every event loop that is alive, for those who look at all of them.

Loops are made in any thread and die in any thread, also inside a garbage collection. So there is no lock that a
fork could leave taken: adding to, copying and discarding from a set are each one step of the interpreter.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .events import EventLoop

__all__ = ("listeners", "references", "register")

#: Called with each loop that is made.
listeners: list[Callable[[EventLoop], object]] = []

_references: set[weakref.ref[EventLoop]] = set()


def register(loop: EventLoop) -> None:
    """Remember a loop until it dies. ``EventLoop.__init__`` calls this."""
    _references.add(weakref.ref(loop, _references.discard))
    for tell in listeners.copy():
        tell(loop)


def references() -> set[weakref.ref[EventLoop]]:
    """Return weak references to all loops, open and closed."""
    return _references.copy()
