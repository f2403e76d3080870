"""Runs uvloop's own tests on aioxide.

    python tests/conformance/uvloop_suite.py [module ...] [-k regex] [--baseline]

The tests are those of uvloop's source distribution, fetched when first needed. What may fail, and
why, stands in ``expected/uvloop.toml``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import subject
import suite
import uvloop_source
from supervision import Job

__all__ = ("MODULES",)

#: Left aside: test_cython, test_fs_event and test_libuv_api (names of uvloop's own that asyncio does
#: not have), test_sourcecode and test_testbase (about uvloop's files).
MODULES = (
    "test_aiohttp",
    "test_base",
    "test_context",
    "test_dealloc",
    "test_dns",
    "test_executors",
    "test_pipes",
    "test_process",
    "test_process_spawning",
    "test_regr1",
    "test_runner",
    "test_signals",
    "test_sockets",
    "test_tcp",
    "test_udp",
    "test_unix",
)

_HERE = Path(__file__).resolve().parent


def main() -> int:
    """Run what the command line names; return the exit status."""
    options = suite.arguments((__doc__ or "").splitlines()[0], MODULES)
    path = [str(_HERE / "uvloop_stand_in"), str(_HERE), os.environ.get("PYTHONPATH", "")]
    name = subject.NAMES[1] if options.baseline else subject.NAMES[0]
    job = Job(
        shim="uvloop_shim",
        subject=name,
        environment={
            "AIOXIDE_UVLOOP_SOURCE": str(uvloop_source.unpacked()),
            # Child processes of the tests, too, must find the stand-in and the loop behind it.
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            subject.VARIABLE: name,
        },
    )
    return suite.run(options, job, _HERE / "expected" / "uvloop.toml")


if __name__ == "__main__":
    sys.exit(main())
