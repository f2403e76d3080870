"""What the tests of the loop's calls on sockets share."""

from __future__ import annotations

import asyncio

import aioxide


def run(function, **options):
    with aioxide.Runner(**options) as runner:
        return runner.run(asyncio.wait_for(function(runner.get_loop()), 20))


async def until_waiting(loop, fd):
    """Lets others run until somebody waits for a descriptor."""
    while fd not in loop._watched_fds():
        await asyncio.sleep(0)
