"""aiohttp's client and server talk to each other on one loop, many times, without error or leak."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from conftest import Remains
from subject import Subject

web = pytest.importorskip("aiohttp.web")
aiohttp = pytest.importorskip("aiohttp")

#: Requests in the short and the long form; the long one takes about 25 seconds.
SHORT, LONG = 5_000, 100_000

#: Requests under way at any time.
CLIENTS = 50

#: Garbage that grows with the requests would show: 50 bytes a request are 5 MB in the long form.
#: What is left is the allocator's: it grows once, whatever the number.
SLACK = 4 << 20


async def echo(request: web.Request) -> web.Response:
    """Answer with what came."""
    return web.json_response({"method": request.method, "body": await request.text()})


async def chunks(request: web.Request) -> web.StreamResponse:
    """Answer piece by piece."""
    response = web.StreamResponse()
    await response.prepare(request)
    for number in range(3):
        await response.write(b"%d;" % number * 500)
    await response.write_eof()
    return response


async def hello(request: web.Request) -> web.Response:
    """Answer at once."""
    return web.Response(text=f"hello {request.match_info['name']}")


async def websocket(request: web.Request) -> web.WebSocketResponse:
    """Answer each message in upper case."""
    response = web.WebSocketResponse()
    await response.prepare(request)
    async for message in response:
        await response.send_str(message.data.upper())
    return response


def application() -> web.Application:
    """The server's routes."""
    app = web.Application()
    app.router.add_route("*", "/echo", echo)
    app.router.add_get("/chunks", chunks)
    app.router.add_get("/hello/{name}", hello)
    app.router.add_get("/websocket", websocket)
    return app


async def serving(use: Callable[[aiohttp.ClientSession], Awaitable[None]]) -> None:
    """Run ``use`` with a client whose base address is a server of this loop."""
    runner = web.AppRunner(application())
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
            await use(session)
    finally:
        await runner.cleanup()


async def one(session: aiohttp.ClientSession, number: int) -> None:
    """Make one request and check all of the answer."""
    kind = number % 10
    if kind == 0:
        async with session.get("/chunks") as response:
            assert await response.read() == b"0;" * 500 + b"1;" * 500 + b"2;" * 500
    elif kind < 3:
        body = f"{number} " * 200
        async with session.post("/echo", data=body) as response:
            assert await response.json() == {"method": "POST", "body": body}
    else:
        async with session.get(f"/hello/{number}") as response:
            assert response.status == 200
            assert await response.text() == f"hello {number}"


async def many(session: aiohttp.ClientSession, count: int) -> None:
    """Make ``count`` requests, some at a time."""
    numbers = iter(range(count))

    async def client() -> None:
        for number in numbers:
            await one(session, number)

    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(client())


@pytest.mark.timeout(600)
def test_many_requests_leave_nothing_behind(loops: Subject, quick: bool) -> None:
    count = SHORT if quick else LONG

    async def use(session: aiohttp.ClientSession) -> None:
        errors: list[dict[str, object]] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: errors.append(context))
        assert isinstance(loop, loops.loop_class)
        # Enough for connections, caches and the allocator to have grown to their size.
        await many(session, SHORT)
        before, tasks = Remains.now(), len(asyncio.all_tasks())
        await many(session, count)
        after = Remains.now()
        assert errors == []
        assert len(asyncio.all_tasks()) == tasks
        assert after.descriptors == before.descriptors
        assert after.objects - before.objects < count / 10, "objects stay for requests"
        assert after.memory - before.memory < SLACK

    outside = Remains.now().descriptors
    loops.run(serving(use))
    assert Remains.now().descriptors == outside


def test_websocket_messages_come_back_in_order(loops: Subject) -> None:
    async def use(session: aiohttp.ClientSession) -> None:
        async with session.ws_connect("/websocket") as connection:
            for number in range(500):
                await connection.send_str(f"message {number}")
            for number in range(500):
                assert await connection.receive_str() == f"MESSAGE {number}"

    loops.run(serving(use))


def test_a_request_that_times_out_is_the_callers_error_only(loops: Subject) -> None:
    async def never(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def main() -> None:
        app = web.Application()
        app.router.add_get("/never", never)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        async with aiohttp.ClientSession() as session:
            with pytest.raises(TimeoutError):
                await session.get(
                    f"http://127.0.0.1:{port}/never",
                    timeout=aiohttp.ClientTimeout(total=0.05),
                )
        await runner.cleanup()

    loops.run(main())


def test_a_large_upload_arrives_whole(loops: Subject) -> None:
    async def use(session: aiohttp.ClientSession) -> None:
        # Below aiohttp's own limit of 1 MiB for a body.
        body = "0123456789abcdef" * 60_000
        async with session.post("/echo", data=body) as response:
            assert (await response.json())["body"] == body

    loops.run(serving(use))
