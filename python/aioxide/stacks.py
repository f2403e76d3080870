"""Where a suspended task is: the frames of its coroutine and of those that it awaits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from types import FrameType

__all__ = ("await_stack",)


def await_stack(task: asyncio.Task[Any]) -> list[FrameType]:
    """Return the frames of a suspended task, the outermost first: its coroutine and those that it awaits."""
    frames = []
    awaited: Any = task.get_coro()
    while awaited is not None:
        for frame_name, next_name in _SUSPENDED:
            if (frame := getattr(awaited, frame_name, None)) is not None:
                frames.append(frame)
                awaited = getattr(awaited, next_name)
                break
        else:
            awaited = None
    return frames


#: Where coroutines, generators and asynchronous generators keep their frame, and what they wait for.
_SUSPENDED = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))
