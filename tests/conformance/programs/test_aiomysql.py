"""aiomysql talks to a real MariaDB; skipped where no server can be had."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from subject import Subject

aiomysql = pytest.importorskip("aiomysql")

#: The tour's own way to a server.
EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "mariadb.py"


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """A server for the tests of this file."""
    spec = importlib.util.spec_from_file_location("aioxide_mariadb", EXAMPLE)
    assert spec is not None and spec.loader is not None
    mariadb = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = mariadb  # Its dataclasses look their module up there.
    spec.loader.exec_module(mariadb)
    context = mariadb.server()
    try:
        running = context.__enter__()
    except mariadb.Unavailable as error:
        pytest.skip(f"no MariaDB: {error}")
    yield running
    context.__exit__(None, None, None)


def arguments(server: Any) -> dict[str, Any]:
    """Return how aiomysql connects to ``server``."""
    return {
        "host": server.host,
        "port": server.port,
        "user": server.user,
        "password": server.password,
        "db": server.database,
    }


def test_rows_come_back_as_they_were_written(loops: Subject, server: Any) -> None:
    async def main() -> None:
        connection = await aiomysql.connect(**arguments(server))
        async with connection.cursor() as cursor:
            await cursor.execute("CREATE TEMPORARY TABLE things (id INT, name VARCHAR(50))")
            rows = [(number, f"thing {number} ü") for number in range(500)]
            await cursor.executemany("INSERT INTO things VALUES (%s, %s)", rows)
            await connection.commit()
            await cursor.execute("SELECT id, name FROM things ORDER BY id")
            assert list(await cursor.fetchall()) == rows
        await connection.ensure_closed()

    loops.run(main())


def test_a_pool_serves_more_tasks_than_it_has_connections(loops: Subject, server: Any) -> None:
    async def ask(pool: Any, number: int) -> int:
        async with pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute("SELECT %s * 2", (number,))
            (answer,) = await cursor.fetchone()
            return int(answer)

    async def main() -> None:
        async with aiomysql.create_pool(minsize=1, maxsize=5, **arguments(server)) as pool:
            answers = await asyncio.gather(*(ask(pool, number) for number in range(200)))
            assert answers == [number * 2 for number in range(200)]
            assert pool.size <= 5

    loops.run(main())


def test_a_large_row_comes_back_whole(loops: Subject, server: Any) -> None:
    async def main() -> None:
        connection = await aiomysql.connect(**arguments(server))
        async with connection.cursor() as cursor:
            await cursor.execute("SELECT REPEAT('x', 3000000)")
            (text,) = await cursor.fetchone()
            assert text == "x" * 3_000_000
        await connection.ensure_closed()

    loops.run(main())


def test_a_wrong_statement_raises_and_the_connection_lives_on(loops: Subject, server: Any) -> None:
    async def main() -> None:
        connection = await aiomysql.connect(**arguments(server))
        async with connection.cursor() as cursor:
            with pytest.raises(aiomysql.ProgrammingError):
                await cursor.execute("SELEC 1")
            await cursor.execute("SELECT 1")
            assert await cursor.fetchone() == (1,)
        await connection.ensure_closed()

    loops.run(main())
