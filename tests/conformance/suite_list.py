"""The programs whose own tests we run, and which of their tests.

Versions are those of ``tools/requirements-suites.txt``. Left aside are modules in which little of the loop runs
(parsers, command builders), and slow ones that wait for timeouts: the whole must take about three minutes. What
must not run or must fail within a module stands in ``expected/suites/<name>.toml``.
"""

from __future__ import annotations

from dataclasses import dataclass

from suite_sources import Debian, PyPI, Source

__all__ = ("PROGRAMS", "Program")


@dataclass(frozen=True)
class Program:
    """A program, its source and how its tests are run."""

    name: str
    source: Source
    #: Arguments of pytest: files, and options where they must be.
    tests: tuple[str, ...]
    #: pytest's plugins, by module: none is loaded by itself, so that a run depends on nothing else.
    plugins: tuple[str, ...] = ()
    #: Settings that the program keeps where we do not look, ``name=value``.
    settings: tuple[str, ...] = ()
    #: Whether a redis server must run; its address is ``{redis}`` in `tests`.
    redis: bool = False


PROGRAMS = {
    program.name: program
    for program in (
        Program(
            "aiohttp",
            PyPI(
                "aiohttp",
                "3.14.5",
                "aiohttp-3.14.5.tar.gz",
                "5558a7f5a05af9ecf744af91e5baefc436f93c9333e656c27ec253f9a6bbe178",
                ("tests", "tests/*", "pytest.ini", "LICENSE.txt", "setup.py"),
            ),
            (
                "tests/test_web_functional.py",
                "tests/test_client_functional.py",
                "tests/test_web_server.py",
                "tests/test_web_websocket_functional.py",
                "tests/test_client_ws_functional.py",
                "tests/test_web_sendfile_functional.py",
                "tests/test_connector.py",
                "tests/test_run_app.py",
                "-m",
                "not dev_mode and not autobahn and not internal",
            ),
            ("pytest_mock", "pytest_cov.plugin"),
        ),
        Program(
            "anyio",
            PyPI(
                "anyio",
                "4.16.0",
                "anyio-4.16.0.tar.gz",
                "59bb03251907983d1603d27c3087ddb1e93299ea2163adcdba37899a4fb12ffb",
                ("tests", "tests/*", "pyproject.toml"),
            ),
            (
                "tests/streams",
                "tests/test_debugging.py",
                "tests/test_eventloop.py",
                "tests/test_from_thread.py",
                "tests/test_lowlevel.py",
                "tests/test_signals.py",
                "tests/test_sockets.py",
                "tests/test_subprocesses.py",
                "tests/test_synchronization.py",
                "tests/test_taskgroups.py",
                "tests/test_to_thread.py",
                "-k",
                # Eager tasks double what there is.
                "asyncio and not trio and not eager",
                "-m",
                "not network",
            ),
            ("anyio.pytest_plugin", "pytest_mock"),
        ),
        Program(
            "websockets",
            Debian(
                "python-websockets",
                "15.0.1-1",
                "python-websockets_15.0.1.orig.tar.gz",
                "8451495265af3e368f794c4dc15c99ce90c771d95560f542bff8c64b5455af3b",
                ("tests", "tests/*", "pyproject.toml"),
            ),
            ("tests/asyncio",),
        ),
        Program(
            "distributed",
            Debian(
                "dask.distributed",
                "2024.12.1+ds-3",
                "dask.distributed_2024.12.1+ds.orig.tar.xz",
                "e9c010426e74c79b4cbb01dc0b7eb0046dc152453447e0c2631750105dbcea24",
                # The tests lie inside of the package; all of it is Python.
                ("*",),
            ),
            (
                "distributed/tests/test_core.py",
                "distributed/tests/test_utils.py",
                "distributed/tests/test_locks.py",
                "distributed/tests/test_asyncio.py",
                "distributed/tests/test_async_task_group.py",
                "distributed/comm/tests/test_comms.py",
            ),
        ),
        Program(
            "uvicorn",
            PyPI(
                "uvicorn",
                "0.54.0",
                "uvicorn-0.54.0.tar.gz",
                "a2e33cbfaa0306f8e6b0c13e0cb89d7d7a2da3e62b90c66e18c33d9807b28620",
                ("tests", "tests/*", "pyproject.toml"),
            ),
            (
                "tests/protocols",
                "tests/supervisors/test_signal.py",
                "tests/test_lifespan.py",
                "tests/test_server.py",
                "tests/test_ssl.py",
                "-k",
                # Each HTTP protocol is run with each of the websocket ones.
                "not zttp and not wsproto",
            ),
            ("anyio.pytest_plugin", "pytest_mock"),
        ),
        Program(
            "redis",
            PyPI(
                "redis",
                "8.1.0",
                "redis-8.1.0.tar.gz",
                "6e1a19beef9225c83efd689c7e6b7da2d5215b1f42cd13b7fc3714d0a09c7b25",
                ("tests", "tests/*", "pyproject.toml"),
            ),
            (
                "tests/test_asyncio/test_connection_pool.py",
                "tests/test_asyncio/test_monitor.py",
                "tests/test_asyncio/test_pipeline.py",
                "tests/test_asyncio/test_pubsub.py",
                "--redis-url",
                "{redis}",
            ),
            ("pytest_asyncio.plugin",),
            redis=True,
        ),
        Program(
            "pytest-asyncio",
            PyPI(
                "pytest-asyncio",
                "1.5.0",
                "pytest_asyncio-1.5.0.tar.gz",
                "92c8fa83ca419fd0d4bd6a34df6520dae435841d3733c319343249492adf37f7",
                ("tests", "tests/*", "pyproject.toml"),
            ),
            (
                "tests/async_fixtures",
                "tests/markers/test_function_scope.py",
                "tests/markers/test_mixed_scope.py",
                "tests/test_asyncio_fixture.py",
                "tests/test_simple.py",
                "tests/test_subprocess.py",
                "tests/test_task_cleanup.py",
            ),
            ("pytest_asyncio.plugin", "_hypothesis_pytestplugin"),
        ),
        Program(
            "httpcore",
            PyPI(
                "httpcore",
                "1.0.9",
                "httpcore-1.0.9.tar.gz",
                "6e34463af53fd2ab5d807f399a9b45ea31c3dfa2276f15a2c3f00afff6e176e8",
                ("tests", "tests/*", "pyproject.toml"),
            ),
            ("tests/_async", "tests/test_cancellations.py", "-k", "not trio"),
            ("anyio.pytest_plugin", "pytest_httpbin.plugin", "pytest_trio.plugin"),
        ),
        Program(
            "aiojobs",
            PyPI(
                "aiojobs",
                "1.4.0",
                "aiojobs-1.4.0.tar.gz",
                "463665c75d1fcc46c78d44375c1034abf5e3f087894b0fc5ec4dd16ef90fdc98",
                ("tests", "tests/*"),
            ),
            ("tests",),
            ("pytest_asyncio.plugin", "pytest_aiohttp.plugin"),
            ("asyncio_mode=auto",),
        ),
        Program(
            "janus",
            PyPI(
                "janus",
                "2.0.0",
                "janus-2.0.0.tar.gz",
                "0970f38e0e725400496c834a368a67ee551dc3b5ad0a257e132f5b46f2e77770",
                ("tests", "tests/*", "setup.cfg"),
            ),
            ("tests",),
            ("pytest_asyncio.plugin",),
        ),
        Program(
            "async-timeout",
            PyPI(
                "async-timeout",
                "5.0.1",
                "async_timeout-5.0.1.tar.gz",
                "d9321a7a3d5a6a5e187e824d2fa0793ce379a202935782d555d6e9d2735677d3",
                ("tests", "tests/*", "setup.cfg"),
            ),
            ("tests",),
            ("pytest_asyncio.plugin",),
        ),
    )
}
