"""aioxide (temporary)."""
import asyncio as _a
from ._aioxide import Task, Future, Handle, TimerHandle, sleep, live_tasks
from .events import EventLoop, new_event_loop
class EventLoopPolicy(_a.DefaultEventLoopPolicy):
    _loop_factory = EventLoop
def install():
    _a.Task = _a.tasks.Task = _a.tasks._CTask = Task
    _a.Future = _a.futures.Future = _a.futures._CFuture = Future
    _a.sleep = _a.tasks.sleep = sleep
    if hasattr(_a, 'eager_task_factory'):
        _a.eager_task_factory = _a.tasks.eager_task_factory = _a.create_eager_task_factory(Task)
    class S(_a.tasks._all_tasks.__class__ if hasattr(_a.tasks,'_all_tasks') else _a.tasks._scheduled_tasks.__class__):
        def __iter__(self):
            yield from super().__iter__()
            yield from live_tasks()
    (_a.tasks._all_tasks if hasattr(_a.tasks,'_all_tasks') else _a.tasks._scheduled_tasks).__class__ = S
    _a.set_event_loop_policy(EventLoopPolicy())
def uninstall(): pass
from asyncio import run, Runner
