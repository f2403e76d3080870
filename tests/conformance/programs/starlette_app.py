"""A Starlette application for uvicorn: it says which loop it runs on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

__all__ = ("app",)


async def loop(request: Request) -> Response:
    """Name the class of the running loop."""
    kind = type(asyncio.get_running_loop())
    return PlainTextResponse(f"{kind.__module__}.{kind.__qualname__}")


async def hello(request: Request) -> Response:
    """Answer after a switch to other tasks."""
    await asyncio.sleep(0)
    return JSONResponse({"hello": request.path_params["name"]})


async def echo(request: Request) -> Response:
    """Answer with the body."""
    return Response(await request.body(), media_type="application/octet-stream")


async def stream(request: Request) -> Response:
    """Answer piece by piece."""

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(4):
            yield b"%d" % number * 1000
            await asyncio.sleep(0)

    return StreamingResponse(pieces())


def blocking(request: Request) -> Response:
    """Answer from a thread: not a coroutine function, so Starlette runs it in one."""
    return PlainTextResponse("from a thread")


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Say when the application starts and ends."""
    print("application starts", flush=True)
    yield
    print("application ends", flush=True)


app = Starlette(
    routes=[
        Route("/loop", loop),
        Route("/hello/{name}", hello),
        Route("/echo", echo, methods=["POST"]),
        Route("/stream", stream),
        Route("/blocking", blocking),
    ],
    lifespan=lifespan,
)
