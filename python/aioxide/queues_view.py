"""``loop._ready`` and ``loop._scheduled``: the engine's queues, seen from Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._aioxide import LoopCore

__all__ = ("ReadyView", "ScheduledView")


class ReadyView(Sequence[Any]):
    """The ready queue, like the deque that asyncio keeps there: native tasks and handles."""

    def __init__(self, loop: LoopCore) -> None:
        self._loop = loop

    def __len__(self) -> int:
        return len(self._loop._ready_list())

    def __getitem__(self, index: Any) -> Any:
        return self._loop._ready_list()[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._loop._ready_list())

    def append(self, handle: Any) -> None:
        """Append a handle."""
        self._loop._ready_append(handle)

    def popleft(self) -> Any:
        """Take the first out. IndexError if there is none."""
        handle = self._loop._ready_pop()
        if handle is None:
            raise IndexError("pop from an empty deque")
        return handle

    def clear(self) -> None:
        """Forget everything in it."""
        self._loop._ready_clear()


class ScheduledView(Sequence[Any]):
    """The timers, the earliest first."""

    def __init__(self, loop: LoopCore) -> None:
        self._loop = loop

    def _sorted(self) -> list[Any]:
        return sorted(self._loop._timer_list(), key=lambda handle: getattr(handle, "_when", 0.0))

    def __len__(self) -> int:
        return len(self._loop._timer_list())

    def __getitem__(self, index: Any) -> Any:
        return self._sorted()[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._sorted())

    def clear(self) -> None:
        """Forget every timer."""
        self._loop._timer_clear()
