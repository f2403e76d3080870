"""aiohttp: a thousand requests at once

A server and its client in one program, on one loop. Every answer takes the server 0.1 s of waiting; one after the
other that would be 100 s. The client's connector opens at most 100 connections, and gather() keeps the order.
"""

from __future__ import annotations

import asyncio
import sys
import time

try:
    import aiohttp
    from aiohttp import web
except ModuleNotFoundError as error:
    print(f"skipped: {error.name} is not installed (pip install aiohttp)")
    sys.exit(77)

REQUESTS = 1000
CONNECTIONS = 100


class Shop:
    """A server that needs a moment for each answer and counts how many are under way."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def price(self, request: web.Request) -> web.Response:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(0.1)
            article = int(request.match_info["article"])
            return web.json_response({"article": article, "price": article * 3})
        finally:
            self.now -= 1


async def price_of(session: aiohttp.ClientSession, article: int) -> int:
    async with session.get(f"/price/{article}") as response:
        response.raise_for_status()
        return (await response.json())["price"]


async def main() -> None:
    shop = Shop()
    app = web.Application()
    app.router.add_get("/price/{article}", shop.price)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()  # Port 0: any free one.
        host, port = runner.addresses[0]

        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        async with aiohttp.ClientSession(f"http://{host}:{port}", connector=connector) as session:
            started = time.perf_counter()
            prices = await asyncio.gather(*(price_of(session, article) for article in range(REQUESTS)))
            seconds = time.perf_counter() - started

            async with session.get("/nothing-here") as response:
                print(f"a page that is not there: {response.status} {response.reason}")
                assert response.status == 404
    finally:
        await runner.cleanup()

    print(f"{REQUESTS} requests in {seconds:.2f} s, at most {shop.most} of them at once")
    assert prices == [article * 3 for article in range(REQUESTS)]
    assert 1 < shop.most <= CONNECTIONS
    assert seconds < REQUESTS * 0.1 / 2


if __name__ == "__main__":
    asyncio.run(main())
