"""aioxide (temporary)."""
from ._aioxide import Task, Future, Handle, TimerHandle, sleep
from .events import EventLoop, new_event_loop
