"""Makes ``isinstance`` and ``issubclass`` see in our classes what they see in asyncio's.

``asyncio.Task`` is a subclass of ``asyncio.Future``. Ours each extend asyncio's C type of the same name, and
the two structs cannot be stacked, so ``Task`` is a virtual subclass of ``Future`` (PEP 3119). In the same way
every asyncio future and task counts as one of ours, whoever made it.
"""

from __future__ import annotations

import _abc  # type: ignore[import-not-found]
import _asyncio
from typing import Any

__all__ = ("counts", "unite")


def unite(future_class: Any, task_class: Any) -> None:
    """Called once, by the extension, with its two classes."""

    def is_future(cls: type, other: type) -> Any:
        # Subclasses of ours inherit this hook, but not its meaning.
        return True if cls is future_class and issubclass(other, _asyncio.Future) else NotImplemented

    def is_task(cls: type, other: type) -> Any:
        return True if cls is task_class and issubclass(other, _asyncio.Task) else NotImplemented

    future_class.__subclasshook__ = classmethod(is_future)
    task_class.__subclasshook__ = classmethod(is_task)
    _abc._abc_init(future_class)
    _abc._abc_init(task_class)


def counts(original: type) -> Any:
    """Return the ``__subclasshook__`` of a class of ours to which ``original`` and its subclasses shall belong."""

    def is_kin(cls: type, other: type) -> Any:
        # Subclasses of ours inherit this hook, but not its meaning.
        return True if "__subclasshook__" in vars(cls) and issubclass(other, original) else NotImplemented

    return classmethod(is_kin)
