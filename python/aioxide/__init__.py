"""asyncio, re-implemented in Rust: the same programs, faster.

- ``run(main())``, ``Runner()``: run a coroutine on an aioxide loop;
- ``new_event_loop``: the factory for ``asyncio.Runner(loop_factory=...)``, uvicorn's ``--loop`` and their like;
- ``install()``, ``uninstall()``: let asyncio itself use aioxide, for programs that do not know of it;
- ``import aioxide as asyncio``: every name of asyncio, native where there is a native one;
- ``run(main(), strict=True)``: bad practice is an error;
- ``watch()``: reports a coroutine that blocks the loop, while it blocks.

``python -m aioxide app.py`` runs a program that way, unchanged.
"""

# asyncio comes first: the extension's classes extend asyncio's, and `_asyncio` must not be imported on its own.
import asyncio as _asyncio
import sys
import typing as _typing

if _typing.TYPE_CHECKING:
    # Of a name that is imported twice, mypy keeps the first; Python and pyright keep the last, as below.
    from .events import EventLoop, new_event_loop
    from .runners import Runner, run
    from .taskgroups import TaskGroup

from asyncio import *  # type: ignore[assignment] # noqa: F403

from . import registry as _registry  # noqa: F401 - shows native tasks to all_tasks()
from ._aioxide import __version__
from ._aioxide import _prepare as _prepare_extension
from .events import EventLoop, new_event_loop
from .installation import install, uninstall
from .namespace import complete as _complete
from .namespace import continue_with as _continue_with
from .policy import EventLoopPolicy
from .runners import Runner, run
from .strict import Strict, StrictModeError
from .taskgroups import TaskGroup
from .watchdog import BlockedReport, Watch, watch

if _typing.TYPE_CHECKING:
    # asyncio's submodules, which `__getattr__` finds.
    from asyncio import (  # isort: skip
        base_events as base_events,
        coroutines as coroutines,
        exceptions as exceptions,
        futures as futures,
        log as log,
        protocols as protocols,
        sslproto as sslproto,
        streams as streams,
        subprocess as subprocess,
        tasks as tasks,
        threads as threads,
        timeouts as timeouts,
    )
else:
    # Every task and future counts as one of ours and as one of asyncio's: to a type checker they are the same.
    from ._aioxide import (
        Future,
        Handle,
        Task,
        Timeout,
        TimerHandle,
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
    from .locks import Barrier, BoundedSemaphore, Condition, Event, Lock, Semaphore
    from .namespace import create_eager_task_factory, eager_task_factory
    from .queues import LifoQueue, PriorityQueue, Queue, QueueShutDown
    from .streams import (
        StreamReader,
        StreamReaderProtocol,
        StreamWriter,
        open_connection,
        open_unix_connection,
        start_server,
        start_unix_server,
    )

    if sys.version_info < (3, 14):
        from .registry import all_tasks as all_tasks

# Before install() can replace what the extension looks up in asyncio.
_prepare_extension()

__all__ = [
    "Barrier",
    "BlockedReport",
    "BoundedSemaphore",
    "Condition",
    "Event",
    "EventLoop",
    "EventLoopPolicy",
    "Future",
    "Handle",
    "LifoQueue",
    "Lock",
    "PriorityQueue",
    "Queue",
    "QueueShutDown",
    "Runner",
    "Semaphore",
    "Strict",
    "StrictModeError",
    "StreamReader",
    "StreamReaderProtocol",
    "StreamWriter",
    "Task",
    "TaskGroup",
    "Timeout",
    "TimerHandle",
    "Watch",
    "__version__",
    "install",
    "new_event_loop",
    "open_connection",
    "open_unix_connection",
    "run",
    "as_completed",
    "create_eager_task_factory",
    "create_task",
    "eager_task_factory",
    "ensure_future",
    "gather",
    "shield",
    "sleep",
    "timeout",
    "timeout_at",
    "start_server",
    "start_unix_server",
    "uninstall",
    "wait",
    "wait_for",
    "watch",
]
__all__ = _complete(__all__)

if not _typing.TYPE_CHECKING:  # A wrong name shall be found.
    __getattr__, __dir__ = _continue_with(__name__, _asyncio)
