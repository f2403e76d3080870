"""aiomysql: a pool of connections to a real MariaDB

A connection serves one query at a time; a pool lends each coroutine its own, so that queries wait for the database
together instead of for each other. Leaving ``acquire()`` gives the connection back. The server is a private one
that ends with the program, or the one that AIOXIDE_MYSQL_HOST names (see ``mariadb.py``).
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

import mariadb

try:
    import aiomysql
except ModuleNotFoundError as error:
    print(f"skipped: {error.name} is not installed (pip install aiomysql)")
    sys.exit(77)

# A name of our own: the server may be one that others use too.
TABLE = f"aioxide_lesson_{os.getpid()}"


async def nap(pool: aiomysql.Pool) -> None:
    async with pool.acquire() as connection, connection.cursor() as cursor:
        await cursor.execute("SELECT SLEEP(0.3)")


async def fill(connection: aiomysql.Connection, cursor: aiomysql.Cursor) -> None:
    await cursor.execute(f"CREATE TABLE {TABLE} (name VARCHAR(40) PRIMARY KEY, height INT) ENGINE=InnoDB")
    mountains = [("Großglockner", 3798), ("富士山", 3776), ("Etna", 3357)]
    await cursor.executemany(f"INSERT INTO {TABLE} VALUES (%s, %s)", mountains)
    await connection.commit()


async def lesson(pool: aiomysql.Pool) -> None:
    async with pool.acquire() as connection, connection.cursor(aiomysql.DictCursor) as cursor:
        await fill(connection, cursor)
        await cursor.execute(f"SELECT * FROM {TABLE} WHERE height > %s ORDER BY height DESC", (3500,))
        rows = await cursor.fetchall()
        print("higher than 3500 m:", rows)
        assert rows == [{"name": "Großglockner", "height": 3798}, {"name": "富士山", "height": 3776}]

        try:
            await cursor.execute(f"DELETE FROM {TABLE}")
            await cursor.execute(f"INSERT INTO {TABLE} VALUES ('too', 'many', 'values')")
        except aiomysql.Error as error:
            print("the database complained:", error.args[1])
            await connection.rollback()
        await cursor.execute(f"SELECT COUNT(*) AS count FROM {TABLE}")
        (row,) = await cursor.fetchall()
        print("after the rollback:", row)
        assert row == {"count": 3}  # The DELETE belonged to the same transaction.
        await (
            connection.commit()
        )  # A SELECT opens a transaction, too, and keeps the table from being dropped.

    started = time.perf_counter()
    await asyncio.gather(*(nap(pool) for _ in range(10)))
    seconds = time.perf_counter() - started
    print(f"10 queries of 0.3 s each, over {pool.size} connections: {seconds:.2f} s")
    assert seconds < 10 * 0.3 / 2
    assert pool.size == pool.freesize == 5


async def main(server: mariadb.Server) -> None:
    address = {"host": server.host, "port": server.port, "user": server.user, "password": server.password}
    pool = await aiomysql.create_pool(**address, db=server.database, charset="utf8mb4", minsize=1, maxsize=5)
    try:
        await lesson(pool)
    finally:
        async with pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute(f"DROP TABLE IF EXISTS {TABLE}")
        pool.close()
        await pool.wait_closed()


if __name__ == "__main__":
    try:
        with mariadb.server() as server:
            asyncio.run(main(server))
    except mariadb.Unavailable as reason:
        print(f"skipped: {reason}")
        sys.exit(77)
