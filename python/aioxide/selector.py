"""``loop._selector``: the engine's poller with the interface of ``selectors``.

asyncio's own parts register through ``_add_reader``; this is for those who look at the selector itself.
"""

from __future__ import annotations

import selectors
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._aioxide import LoopCore

__all__ = ("EngineSelector",)


class EngineSelector(selectors.BaseSelector):
    """A view: what is registered with the loop can be read here, and is changed through the loop."""

    def __init__(self, loop: LoopCore) -> None:
        self._loop = weakref.ref(loop)

    def _engine(self) -> LoopCore:
        loop = self._loop()
        if loop is None:
            raise RuntimeError("the event loop of this selector is gone")
        return loop

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Not supported: raises NotImplementedError."""
        raise NotImplementedError("selector.register(): use loop.add_reader() and loop.add_writer()")

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Stop watching a descriptor. KeyError if it is not watched."""
        key = self.get_key(fileobj)
        self._engine()._remove_reader(key.fd)
        self._engine()._remove_writer(key.fd)
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Not supported: raises NotImplementedError."""
        raise NotImplementedError("selector.modify(): use loop.add_reader() and loop.add_writer()")

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Not supported: raises NotImplementedError. The loop polls by itself."""
        raise NotImplementedError("selector.select(): the loop polls by itself")

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        """The key of a descriptor: its data are (reader handle, writer handle)."""
        reader, writer = self._engine()._watched(fileobj)
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        events = (selectors.EVENT_READ if reader is not None else 0) | (
            selectors.EVENT_WRITE if writer is not None else 0
        )
        return selectors.SelectorKey(fileobj, fd, events, (reader, writer))

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """Every key, by descriptor."""
        return {fd: self.get_key(fd) for fd in self._engine()._watched_fds()}

    def fileno(self) -> int:
        """The poller's own descriptor."""
        return self._engine()._epoll_fd()

    def close(self) -> None:
        """Close the engine. Called when the loop is closed."""
        loop = self._loop()
        if loop is not None:
            loop._close_engine()
