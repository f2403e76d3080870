"""``TaskGroup``: tasks that end together.

The running version's own class, whose children are native; and ``cancel()``, which CPython has from 3.15 on.
Counterpart: ``Lib/asyncio/taskgroups.py``.
"""

from __future__ import annotations

import asyncio.taskgroups
from asyncio.exceptions import CancelledError
from typing import TYPE_CHECKING, Any

from ._aioxide import Children

if TYPE_CHECKING:
    from types import TracebackType

    # namespace.py adds it: what asyncio's module of this name has.
    def __getattr__(name: str) -> Any: ...


__all__ = ("TaskGroup",)


class TaskGroup(asyncio.taskgroups.TaskGroup):
    """asyncio's TaskGroup, whose children are made and end natively.

    # Cancellation

    When a child fails, or the block raises, the others are cancelled and waited for. Cancelling the task that
    entered the group does the same.
    """

    if TYPE_CHECKING:
        # Of the base class, and private there.
        _parent_task: asyncio.Task[Any] | None
        _parent_cancel_requested: bool
        _aborting: bool
        _entered: bool

        def _abort(self) -> None: ...

    _cancel_called = False
    _left = False

    async def __aenter__(self) -> TaskGroup:
        await super().__aenter__()
        if type(self).create_task is asyncio.taskgroups.TaskGroup.create_task:
            # On the instance: it is found before the class's, and called without a frame.
            attributes: Any = self
            attributes.create_task = Children(self).create_task
        if self._cancel_called:
            self._cancel_parent()
        return self

    async def __aexit__(  # type: ignore[override]  # The base class says None.
        self, et: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool | None:
        try:
            await super().__aexit__(et, exc, tb)
            # A block that only cancel() has cancelled ends as if it had come to its end.
            return self._cancel_called and et is not None and issubclass(et, CancelledError)
        finally:
            # It refers to us; and the exception must not, through this frame.
            self.__dict__.pop("create_task", None)
            exc = tb = None
            self._left = True

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
