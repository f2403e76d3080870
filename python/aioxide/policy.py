"""``EventLoopPolicy``, for hosts that take nothing but a policy.

Python 3.14 deprecates policies and 3.16 removes them; ``loop_factory`` is the main road.
"""

from __future__ import annotations

import asyncio.unix_events
from typing import Any

from .events import EventLoop

__all__ = ("EventLoopPolicy",)

# Where policies are deprecated, the public name warns when it is looked up: the user who sets a policy shall be
# warned, not the one who imports aioxide. The private name is the same class.
_unix_events: Any = asyncio.unix_events
_StdlibPolicy: Any = (
    getattr(_unix_events, "_DefaultEventLoopPolicy", None) or _unix_events.DefaultEventLoopPolicy
)


class EventLoopPolicy(_StdlibPolicy):  # type: ignore[misc]
    """The running version's default policy, with our loop."""

    _loop_factory = EventLoop
