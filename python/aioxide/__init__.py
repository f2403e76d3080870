"""asyncio, re-implemented in Rust: the same programs, faster.

- ``run(main())``, ``Runner()``: run a coroutine on an aioxide loop;
- ``new_event_loop``: the factory for ``asyncio.Runner(loop_factory=...)``, uvicorn's ``--loop`` and their like;
- ``install()``, ``uninstall()``: let asyncio itself use aioxide, for programs that do not know of it;
- ``import aioxide as asyncio``: every name of asyncio, native where there is a native one;
- ``watch()``: reports a coroutine that blocks the loop, while it blocks.

``python -m aioxide app.py`` runs a program that way, unchanged.
"""

# asyncio comes first: the extension's classes extend asyncio's, and `_asyncio` must not be imported on its own.
import asyncio as _asyncio
import sys
import typing as _typing

if not _typing.TYPE_CHECKING:  # To a type checker, ours would be redefinitions.
    from asyncio import *  # noqa: F403

from . import registry as _registry  # noqa: F401 - shows native tasks to all_tasks()
from ._aioxide import Future, Handle, Task, TimerHandle, __version__, create_task, sleep
from .events import EventLoop, new_event_loop
from .installation import install, uninstall
from .namespace import complete as _complete
from .namespace import continue_with as _continue_with
from .policy import EventLoopPolicy
from .runners import Runner, run
from .watchdog import BlockedReport, Watch, watch

if sys.version_info >= (3, 12):
    from .namespace import eager_task_factory as eager_task_factory

__all__ = [
    "BlockedReport",
    "EventLoop",
    "EventLoopPolicy",
    "Future",
    "Handle",
    "Runner",
    "Task",
    "TimerHandle",
    "Watch",
    "__version__",
    "install",
    "new_event_loop",
    "run",
    "create_task",
    "sleep",
    "uninstall",
    "watch",
]
__all__ = _complete(__all__)

__getattr__, __dir__ = _continue_with(__name__, _asyncio)
