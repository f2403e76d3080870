"""A real MariaDB over aiomysql, on aioxide; and the private server that the lessons start for it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import aioxide

aiomysql = pytest.importorskip("aiomysql")

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
VARIABLES = [f"AIOXIDE_MYSQL_{name}" for name in ("HOST", "PORT", "USER", "PASSWORD", "DB")]


def load() -> ModuleType:
    """Import the lessons' module by its path: a package of this name may be installed."""
    spec = importlib.util.spec_from_file_location("lessons_mariadb", EXAMPLES / "mariadb.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # A dataclass looks its module up.
    spec.loader.exec_module(module)
    return module


mariadb = load()


@contextlib.contextmanager
def private_server() -> Iterator[Any]:
    """Give a private server, whatever the environment names, or skip."""
    with contextlib.ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        for name in VARIABLES:
            patch.delenv(name, raising=False)
        try:
            server = stack.enter_context(mariadb.server())
        except mariadb.Unavailable as reason:
            pytest.skip(str(reason))
        yield server


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with contextlib.ExitStack() as stack:
        try:
            yield stack.enter_context(mariadb.server())
        except mariadb.Unavailable as reason:
            pytest.skip(str(reason))


@contextlib.asynccontextmanager
async def pool_of(server: Any, size: int = 4) -> AsyncIterator[Any]:
    pool = await aiomysql.create_pool(
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        db=server.database,
        charset="utf8mb4",
        minsize=1,
        maxsize=size,
    )
    try:
        yield pool
    finally:
        pool.close()
        await pool.wait_closed()


async def fetch(pool: Any, query: str, *arguments: object) -> Any:
    async with pool.acquire() as connection, connection.cursor() as cursor:
        await cursor.execute(query, arguments)
        return await cursor.fetchall()


def test_the_connection_runs_on_aioxide(server: Any) -> None:
    async def main() -> None:
        assert isinstance(asyncio.get_running_loop(), aioxide.EventLoop)
        async with pool_of(server) as pool:
            ((version,),) = await fetch(pool, "SELECT VERSION()")
            assert "MariaDB" in version

    aioxide.run(main())


@pytest.mark.parametrize("size", [0, 1, 16_000, 70_000, 3_000_000])
def test_values_of_any_size_survive_the_way_there_and_back(server: Any, size: int) -> None:
    async def main() -> None:
        text = ("a'ß\\富\0" * (size // 6 + 1))[:size]
        async with pool_of(server) as pool:
            assert await fetch(pool, "SELECT %s, CHAR_LENGTH(%s)", text, text) == ((text, size),)

    aioxide.run(main())


def test_a_result_of_many_rows_is_read_row_by_row(server: Any) -> None:
    async def main() -> None:
        async with pool_of(server) as pool, pool.acquire() as connection:
            async with connection.cursor(aiomysql.SSCursor) as cursor:
                await cursor.execute("SELECT seq, REPEAT('x', 100) FROM seq_1_to_20000")
                seen = 0
                while row := await cursor.fetchone():
                    seen += 1
                    assert row == (seen, "x" * 100)
                assert seen == 20_000

    aioxide.run(main())


def test_connections_wait_at_the_same_time(server: Any) -> None:
    async def main() -> None:
        async with pool_of(server, size=5) as pool:
            started = time.perf_counter()
            rows = await asyncio.gather(
                *(fetch(pool, "SELECT SLEEP(0.4), %s", number) for number in range(5))
            )
            assert [row[0][1] for row in rows] == list(range(5))
            assert time.perf_counter() - started < 5 * 0.4 * 0.75

    aioxide.run(main())


def test_an_error_of_the_database_leaves_the_connection_usable(server: Any) -> None:
    async def main() -> None:
        async with pool_of(server, size=1) as pool:
            with pytest.raises(aiomysql.ProgrammingError) as caught:
                await fetch(pool, "SELECT * FROM there_is_no_such_table")
            assert caught.value.args[0] == 1146
            assert await fetch(pool, "SELECT 1") == ((1,),)

    aioxide.run(main())


def test_a_cancelled_query_gives_up_its_connection_and_the_pool_goes_on(server: Any) -> None:
    async def main() -> None:
        async with pool_of(server, size=1) as pool:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(fetch(pool, "SELECT SLEEP(30)"), 0.2)
            assert await asyncio.wait_for(fetch(pool, "SELECT 2"), 10) == ((2,),)

    aioxide.run(main())


def test_a_private_server_leaves_nothing_behind() -> None:
    with private_server() as server:
        folders = set(Path("/proc").glob("[0-9]*/cmdline")) if sys.platform == "linux" else set()
        running = [path for path in folders if f"--port={server.port}" in read(path)]
        datadirs = [
            Path(argument.partition("=")[2])
            for path in running
            for argument in read(path).split("\0")
            if argument.startswith("--datadir=")
        ]
        assert all(datadir.is_dir() for datadir in datadirs)
        if sys.platform == "linux":
            assert len(datadirs) == 1
        socket.create_connection((server.host, server.port), 5).close()
    assert not any(datadir.parent.exists() for datadir in datadirs)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port), 5)


def test_a_private_server_refuses_a_wrong_password(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(server: Any) -> None:
        for user in (server.user, "root"):
            with pytest.raises(aiomysql.OperationalError):
                await aiomysql.connect(host=server.host, port=server.port, user=user, password="")

    with private_server() as server:
        aioxide.run(main(server))


def read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # It has ended meanwhile.
        return ""


def test_the_environment_names_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(VARIABLES, ("db.invalid", "3307", "me", "secret", "mine"), strict=True):
        monkeypatch.setenv(name, value)
    with mariadb.server() as server:
        assert server == mariadb.Server("db.invalid", 3307, "me", "secret", "mine")
        assert "secret" not in repr(server)


def test_without_a_server_the_lesson_says_so_and_is_skipped(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    program = (
        "import runpy, sys; sys.path.insert(0, sys.argv[1]); import mariadb; mariadb.FOLDERS = ();"
        "runpy.run_path(sys.argv[1] + '/20_mysql_aiomysql.py', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(EXAMPLES)],
        env={**environment, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 77, done.stderr
    assert "mariadb-install-db is not installed" in done.stdout
