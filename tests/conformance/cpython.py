"""Runs CPython's own asyncio tests, those of the running interpreter, on aioxide.

    python tests/conformance/cpython.py [module ...] [-k regex] [--baseline]

What may fail, and why, stands in ``expected/cpython.toml``.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import suite
from supervision import Job

__all__ = ("MODULES",)

#: The modules that concern the behaviour of loops, tasks, futures and what is built on them.
#: Left aside: test_selector_events, test_transports and test_protocols (the insides of classes that
#: are not ours), and what is for Windows.
MODULES = (
    "test_base_events",
    "test_buffered_proto",
    "test_context",
    "test_eager_task_factory",
    "test_events",
    "test_free_threading",
    "test_futures",
    "test_futures2",
    "test_graph",
    "test_locks",
    "test_pep492",
    "test_queues",
    "test_runners",
    "test_sendfile",
    "test_server",
    "test_server_context",
    "test_sock_lowlevel",
    "test_ssl",
    "test_sslproto",
    "test_staggered",
    "test_streams",
    "test_subprocess",
    "test_taskgroups",
    "test_tasks",
    "test_threads",
    "test_timeouts",
    "test_tools",
    "test_unix_events",
    "test_waitfor",
)


def main() -> int:
    """Run what the command line names; return the exit status."""
    options = suite.arguments((__doc__ or "").splitlines()[0], _available())
    job = Job(shim="cpython_shim", subject="aioxide")
    listing = Path(__file__).resolve().parent / "expected" / "cpython.toml"
    return suite.run(options, job, listing)


def _available() -> list[str]:
    """Return those of MODULES that this version has."""
    if importlib.util.find_spec("test.test_asyncio") is None:
        sys.exit("this Python has no test.test_asyncio: install the one with the standard tests")
    return [name for name in MODULES if importlib.util.find_spec(f"test.test_asyncio.{name}")]


if __name__ == "__main__":
    sys.exit(main())
