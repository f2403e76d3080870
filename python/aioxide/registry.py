"""Lets ``asyncio.all_tasks()`` see native tasks.

asyncio keeps its tasks in a WeakSet; adding a task costs more than everything else that starting it needs. The
extension links its live tasks through themselves instead, and the WeakSet that asyncio reads reports them
along with its own. It stays the same object, because the C accelerator and other modules hold it too.

``all_tasks()`` does the same, and asks the extension for the tasks of one loop: a tenth of the time.

From 3.14 on the extension tells CPython itself, and nothing of this is needed.
"""

from __future__ import annotations

import asyncio.futures
import asyncio.tasks
import sys
from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

from . import _aioxide
from ._aioxide import Task, live_tasks

__all__ = ("TaskRegistry", "all_tasks")


class TaskRegistry(WeakSet[Any]):
    """asyncio's set of tasks, and every native task that is alive."""

    def __new__(cls, data: Any = ()) -> Any:
        # Reached by copy(), union() and their like: what is made of the registry is an ordinary set, which
        # does not grow when a task starts.
        return WeakSet(data)

    def __iter__(self) -> Iterator[Any]:
        natives = live_tasks()
        yield from natives
        # A native task is in the WeakSet as well if somebody called asyncio._register_task().
        seen = {id(task) for task in natives}
        for task in super().__iter__():
            if id(task) not in seen:
                yield task

    def __len__(self) -> int:
        contains = super().__contains__
        return super().__len__() + sum(not contains(task) for task in live_tasks())

    def __contains__(self, item: object) -> bool:
        if super().__contains__(item):
            return True
        return isinstance(item, Task) and any(task is item for task in live_tasks())


def all_tasks(loop: asyncio.AbstractEventLoop | None = None) -> set[asyncio.Task[Any]]:
    """Return a set of all tasks for the loop, by default the running one, that have not finished."""
    if loop is None:
        loop = asyncio.get_running_loop()
    found: set[Any] = _aioxide.unfinished_tasks(loop)
    found.update(task for task in _others() if _loop_of(task) is loop and not task.done())
    return found


def _others() -> list[Any]:
    """The tasks that asyncio keeps; some of ours may be among them."""
    others = list(getattr(asyncio.tasks, "_eager_tasks", ()))
    # Another thread may change the set meanwhile. asyncio tries as often.
    for _ in range(999):
        try:
            return others + list(WeakSet.__iter__(_kept()))
        except RuntimeError:
            pass
    return others + list(WeakSet.__iter__(_kept()))


def _kept() -> WeakSet[Any]:
    # 3.12 renamed it when eager tasks got a set of their own.
    name = "_scheduled_tasks" if sys.version_info >= (3, 12) else "_all_tasks"
    kept: WeakSet[Any] = getattr(asyncio.tasks, name)
    return kept


#: Asks tasks that somebody has written, too.
_loop_of: Any = asyncio.futures._get_loop  # type: ignore[attr-defined]


def _attach() -> None:
    tasks = _kept()
    if type(tasks) is WeakSet:
        tasks.__class__ = TaskRegistry


if sys.version_info < (3, 14):
    _attach()
