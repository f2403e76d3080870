"""``Queue``, ``PriorityQueue``, ``LifoQueue``: asyncio's, in Rust.

Each class has two bases: a native one, and asyncio's own of the same name, so that ``isinstance`` holds. How items are
kept is asyncio's ``_init``, ``_put`` and ``_get``; native code knows these three triples, and calls those of others.
Counterpart: ``Lib/asyncio/queues.py``.
"""

from __future__ import annotations

import asyncio.queues
from abc import ABCMeta
from asyncio.queues import QueueEmpty, QueueFull
from typing import TYPE_CHECKING, Any

from . import kinship
from ._aioxide import QueueCore
from .locks import Event

if TYPE_CHECKING:
    # namespace.py adds it: what asyncio's module of this name has.
    def __getattr__(name: str) -> Any: ...


__all__ = ("LifoQueue", "PriorityQueue", "Queue", "QueueEmpty", "QueueFull", "QueueShutDown")

if TYPE_CHECKING or not hasattr(asyncio.queues, "QueueShutDown"):

    class QueueShutDown(Exception):
        """Raised when putting on to or getting from a shut-down Queue. Source: CPython 3.13."""

else:
    QueueShutDown = asyncio.queues.QueueShutDown


def _of(original: Any) -> Any:
    """Return the class as one whose private methods may be named."""
    return original


class Queue(QueueCore, asyncio.queues.Queue, metaclass=ABCMeta):  # type: ignore[type-arg]
    """asyncio's Queue, in Rust. Putting and getting suspend nothing when they need not wait.

    # Cancellation

    A ``get()`` that is cancelled takes no item out; a ``put()`` that is cancelled adds none.
    """

    __subclasshook__ = kinship.counts(asyncio.queues.Queue)


class PriorityQueue(Queue, asyncio.queues.PriorityQueue):  # type: ignore[type-arg]
    """asyncio's PriorityQueue: the smallest item comes out first."""

    __subclasshook__ = kinship.counts(asyncio.queues.PriorityQueue)

    _init = _of(asyncio.queues.PriorityQueue)._init
    _put = _of(asyncio.queues.PriorityQueue)._put
    _get = _of(asyncio.queues.PriorityQueue)._get


class LifoQueue(Queue, asyncio.queues.LifoQueue):  # type: ignore[type-arg]
    """asyncio's LifoQueue: the newest item comes out first."""

    __subclasshook__ = kinship.counts(asyncio.queues.LifoQueue)

    _init = _of(asyncio.queues.LifoQueue)._init
    _put = _of(asyncio.queues.LifoQueue)._put
    _get = _of(asyncio.queues.LifoQueue)._get


#: Classes that replace no method.
PLAIN = frozenset((Queue, PriorityQueue, LifoQueue))

#: What ``join()`` waits for.
Finished = Event
