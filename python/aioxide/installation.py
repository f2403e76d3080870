"""``install()`` and ``uninstall()``: puts native names where asyncio's own modules look them up.

Each row of the table is a place and what stands there while installed. Names that a module imported before,
as in ``from asyncio import Task``, stay what they were. That is harmless: what our loop makes is native
whatever the name says, and ``isinstance`` is true both ways round.

Invariant: while nobody holds the lock, all rows are installed, or none.
"""

from __future__ import annotations

import asyncio
import asyncio.events
import asyncio.futures
import asyncio.locks
import asyncio.queues
import asyncio.streams
import asyncio.taskgroups
import asyncio.tasks
import asyncio.timeouts
import asyncio.unix_events
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from . import locks, namespace, queues, registry, streams
from ._aioxide import (
    Future,
    Task,
    Timeout,
    as_completed,
    create_task,
    ensure_future,
    gather,
    shield,
    sleep,
    timeout,
    timeout_at,
    wait,
    wait_for,
)
from .events import EventLoop, new_event_loop
from .policy import EventLoopPolicy
from .taskgroups import TaskGroup

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ("install", "uninstall")


def install() -> None:
    """Replace asyncio's names by the native ones and let asyncio make our loops, until ``uninstall()``.

    Call it before the loop is made. Calling it again changes nothing. Any thread may call it; when it returns,
    everything is replaced, whoever began.
    """
    with _lock:
        if _replaced:
            return
        rows = _ROWS
        if _HAS_POLICIES:
            rows = [*rows, (asyncio.events, "_event_loop_policy", EventLoopPolicy())]
        for module, name, value in rows:
            _replaced.append((module, name, getattr(module, name), value))
            setattr(module, name, value)


def uninstall() -> None:
    """Undo ``install()``. Does nothing if it was not called.

    A name that somebody has replaced since is theirs, and stays.
    """
    with _lock:
        while _replaced:
            module, name, original, ours = _replaced.pop()
            if getattr(module, name, None) is ours:
                setattr(module, name, original)


#: Where asyncio asks its policy for a loop: 3.14 deprecates policies, but goes on asking.
_HAS_POLICIES = sys.version_info < (3, 16)

#: Place, name, and what stands there while installed.
_ROWS: list[tuple[ModuleType, str, Any]] = [
    (asyncio, "Task", Task),
    (asyncio.tasks, "Task", Task),
    (asyncio.tasks, "_CTask", Task),
    (asyncio, "Future", Future),
    (asyncio.futures, "Future", Future),
    (asyncio.futures, "_CFuture", Future),
    (asyncio, "create_task", create_task),
    (asyncio.tasks, "create_task", create_task),
    (asyncio, "TaskGroup", TaskGroup),
    (asyncio.taskgroups, "TaskGroup", TaskGroup),
    (asyncio, "gather", gather),
    (asyncio.tasks, "gather", gather),
    *(
        (module, name, value)
        for name, value in (
            ("wait", wait),
            ("wait_for", wait_for),
            ("as_completed", as_completed),
            ("shield", shield),
            ("ensure_future", ensure_future),
        )
        for module in (asyncio, asyncio.tasks)
    ),
    (asyncio, "Timeout", Timeout),
    (asyncio.timeouts, "Timeout", Timeout),
    (asyncio, "timeout", timeout),
    (asyncio.timeouts, "timeout", timeout),
    (asyncio, "timeout_at", timeout_at),
    (asyncio.timeouts, "timeout_at", timeout_at),
    (asyncio, "sleep", sleep),
    (asyncio.tasks, "sleep", sleep),
    (asyncio.streams, "sleep", sleep),
    (asyncio.streams, "FlowControlMixin", streams.FlowControlMixin),
    *(
        (module, name, getattr(streams, name))
        for name in asyncio.streams.__all__
        for module in (asyncio, asyncio.streams)
    ),
    *((module, name, getattr(locks, name)) for name in locks.__all__ for module in (asyncio, asyncio.locks)),
    *(
        (module, name, getattr(queues, name))
        for name in ("Queue", "PriorityQueue", "LifoQueue")
        for module in (asyncio, asyncio.queues)
    ),
]
if sys.version_info >= (3, 12):
    _ROWS += [
        (asyncio, "eager_task_factory", namespace.eager_task_factory),
        (asyncio.tasks, "eager_task_factory", namespace.eager_task_factory),
    ]
if sys.version_info >= (3, 13):
    _ROWS += [
        (asyncio, "EventLoop", EventLoop),
        (asyncio.unix_events, "EventLoop", EventLoop),
    ]
if sys.version_info < (3, 14):
    # Later it is in C, and asks the extension.
    _ROWS += [(module, "all_tasks", registry.all_tasks) for module in (asyncio, asyncio.tasks)]
if not _HAS_POLICIES:
    _ROWS += [
        (asyncio, "new_event_loop", new_event_loop),
        (asyncio.events, "new_event_loop", new_event_loop),
    ]

#: What is installed: place, name, what was there, what is there.
_replaced: list[tuple[ModuleType, str, Any, Any]] = []

#: Held while rows are being replaced. Reentrant, because a signal handler may call in the middle.
_lock = threading.RLock()
# Nobody is in the middle when a fork happens: a child has not the thread that would release the lock.
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)
