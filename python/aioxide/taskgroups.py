"""``TaskGroup``: tasks that end together.

The running version's own class over a native one, which does what happens when all goes well; and ``cancel()``, which
CPython has from 3.15 on.
Counterpart: ``Lib/asyncio/taskgroups.py``.
"""

from __future__ import annotations

import asyncio.taskgroups
from asyncio.exceptions import CancelledError
from typing import TYPE_CHECKING, Any

from . import _aioxide
from ._aioxide import TaskGroupCore

if TYPE_CHECKING:
    from types import TracebackType

    # namespace.py adds it: what asyncio's module of this name has.
    def __getattr__(name: str) -> Any: ...


__all__ = ("TaskGroup",)

# Of the class that comes after the native one in the method resolution order.
_original: Any = asyncio.taskgroups.TaskGroup


class TaskGroup(TaskGroupCore, asyncio.taskgroups.TaskGroup):
    """asyncio's TaskGroup, in Rust.

    # Cancellation

    When a child fails, or the block raises, the others are cancelled and waited for. Cancelling the task that
    entered the group does the same.
    """

    if TYPE_CHECKING:
        # Of asyncio's class, and private there.
        def _abort(self) -> None: ...

    #: What 3.15's own ``__aenter__()`` asks: its ``cancel()`` sets it, ours does not.
    _cancel_on_enter = False

    async def _enter(self) -> TaskGroup:
        """Enter where that is not simple: on a loop that is not ours, or where it is an error."""
        await _original.__aenter__(self)
        if self._cancel_called:
            self._cancel_parent()
        return self

    async def _leave(
        self, et: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool | None:
        """Leave where something went wrong."""
        try:
            swallowed: bool | None = await _original.__aexit__(self, et, exc, tb)
            # A block that only cancel() has cancelled ends as if it had come to its end.
            cancelled = self._cancel_called and et is not None and issubclass(et, CancelledError)
            return swallowed or cancelled
        finally:
            # It refers to us; and the exception must not, through this frame.
            exc = tb = None
            self._left = True

    async def _leave_interrupted(self, error: BaseException) -> bool | None:
        """Go on leaving, after ``error`` was raised while the children were waited for."""
        try:
            self._on_completed_fut = _Interrupted(self, error)
            return await self._leave(None, None, None)
        finally:
            del error

    def _create_eagerly(self, coro: Any, *, eager_start: bool | None, **options: Any) -> Any:
        """``create_task()`` with ``eager_start``, where asyncio does not know that: before 3.14."""
        refuses = not self._entered or self._aborting or (self._exiting and not self._tasks)
        if refuses or not eager_start:
            return _original.create_task(self, coro, **options)
        task = _aioxide.create_task(coro, eager_start=True, **options)
        self._tasks.add(task)
        # Also of one that is done: what it has raised is heard of in a later turn, as in asyncio.
        task.add_done_callback(self._on_task_done)
        return task

    def cancel(self) -> None:
        """Cancel the group: its children and the block that has entered it, which is left without an error.

        A group that was not entered yet is cancelled when it is; on one that was left it has no effect.
        Source: CPython 3.15; offered on every version.
        """
        if self._left:
            return
        self._cancel_called = True
        if self._entered:
            self._cancel_parent()

    def _cancel_parent(self) -> None:
        if not self._aborting:
            self._abort()
        if (
            self._parent_task is not None
            and not self._parent_cancel_requested
            and not self._parent_task.done()
        ):
            self._parent_cancel_requested = True
            self._parent_task.cancel()


class _Interrupted:
    """What a group was waiting for when it was interrupted, to be waited for once more: the same error is raised.

    So asyncio's code goes on from there, which begins at the beginning. Until it awaits us we are a child of the group,
    or it would not wait; and before 3.13 it looks at the beginning whether the parent was cancelled, no more later.
    """

    def __init__(self, group: TaskGroup, error: BaseException) -> None:
        self.group = group
        self.error = error
        self.requested = group._parent_cancel_requested
        group._parent_cancel_requested = False
        group._tasks.add(self)

    def done(self) -> bool:
        return True

    def __await__(self) -> Any:
        self.group._tasks.discard(self)
        self.group._parent_cancel_requested = self.requested
        try:
            raise self.error
        finally:
            # A traceback would lead back to us.
            del self.error, self.group
