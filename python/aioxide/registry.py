"""Lets ``asyncio.all_tasks()`` see native tasks.

asyncio keeps its tasks in a WeakSet; adding a task costs more than everything else that starting it needs. The
extension links its live tasks through themselves instead, and the WeakSet that asyncio reads reports them
along with its own. It stays the same object, because the C accelerator and other modules hold it too.

From 3.14 on the extension tells CPython itself, and nothing of this is needed.
"""

from __future__ import annotations

import asyncio.tasks
import sys
from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

from ._aioxide import Task, live_tasks

__all__ = ("TaskRegistry",)


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


def _attach() -> None:
    # 3.12 renamed it when eager tasks got a set of their own.
    tasks = getattr(asyncio.tasks, "_scheduled_tasks", None)
    if tasks is None:
        tasks = asyncio.tasks._all_tasks  # type: ignore[attr-defined]
    if type(tasks) is WeakSet:
        tasks.__class__ = TaskRegistry


if sys.version_info < (3, 14):
    _attach()
