"""anyio's asyncio backend: it reaches deep into tasks, cancellation and the loop."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from subject import Subject

anyio = pytest.importorskip("anyio")
from_thread = pytest.importorskip("anyio.from_thread")
to_thread = pytest.importorskip("anyio.to_thread")


def run(loops: Subject, main: Callable[[], Awaitable[Any]], **options: Any) -> Any:
    """Run ``main`` with anyio on the loop under test."""

    async def checked() -> Any:
        assert isinstance(asyncio.get_running_loop(), loops.loop_class)
        return await main()

    options["loop_factory"] = loops.new_event_loop
    return anyio.run(checked, backend="asyncio", backend_options=options)


def test_a_failing_task_cancels_its_group(loops: Subject) -> None:
    cancelled = []

    async def wait(name: str) -> None:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            cancelled.append(name)
            raise

    async def fail() -> None:
        await anyio.lowlevel.checkpoint()
        raise ValueError("on purpose")

    async def main() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with anyio.create_task_group() as group:
                group.start_soon(wait, "one")
                group.start_soon(wait, "two")
                group.start_soon(fail)
        assert [type(error) for error in caught.value.exceptions] == [ValueError]

    run(loops, main)
    assert sorted(cancelled) == ["one", "two"]


def test_start_waits_for_started(loops: Subject) -> None:
    async def service(*, task_status: Any) -> None:
        await anyio.sleep(0.01)
        task_status.started("ready")
        await anyio.sleep_forever()

    async def main() -> None:
        async with anyio.create_task_group() as group:
            assert await group.start(service) == "ready"
            group.cancel_scope.cancel()

    run(loops, main)


def test_scopes_nest_and_shield(loops: Subject) -> None:
    async def main() -> None:
        reached = []
        with anyio.move_on_after(0.02) as outer:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.05)
                reached.append("shielded")
            await anyio.sleep(10)
            reached.append("never")
        assert outer.cancelled_caught
        assert reached == ["shielded"]
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0.01):
                await anyio.sleep(10)
        # The task's own count of cancellations must be as it was: asyncio's timeouts read it.
        task = asyncio.current_task()
        assert task is not None and task.cancelling() == 0

    run(loops, main)


def test_a_cancelled_scope_cancels_every_checkpoint(loops: Subject) -> None:
    async def main() -> None:
        count = 0
        with anyio.CancelScope() as scope:
            scope.cancel()
            for _ in range(3):
                try:
                    await anyio.sleep(0)
                except anyio.get_cancelled_exc_class():
                    count += 1
            await anyio.sleep(0)
        assert count == 3 and scope.cancelled_caught

    run(loops, main)


def test_memory_streams_carry_everything_once(loops: Subject) -> None:
    async def main() -> None:
        sender, receiver = anyio.create_memory_object_stream[int](5)
        received: list[int] = []

        async def produce(own: Any, numbers: range) -> None:
            async with own:
                for number in numbers:
                    await own.send(number)

        async def consume(own: Any) -> None:
            async with own:
                async for number in own:
                    received.append(number)

        # The originals are closed before the tasks run: the streams end with their last clones.
        async with anyio.create_task_group() as group, sender, receiver:
            for start in range(0, 1000, 100):
                group.start_soon(produce, sender.clone(), range(start, start + 100))
            for _ in range(4):
                group.start_soon(consume, receiver.clone())
        assert sorted(received) == list(range(1000))

    run(loops, main)


def test_threads_call_and_are_called(loops: Subject) -> None:
    def blocking(number: int) -> int:
        assert threading.current_thread() is not threading.main_thread()
        from_thread.run(anyio.sleep, 0)
        return from_thread.run_sync(lambda: number * 2)

    async def main() -> None:
        results: dict[int, int] = {}

        async def one(number: int) -> None:
            results[number] = await to_thread.run_sync(blocking, number)

        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(one, number)
        assert results == {number: number * 2 for number in range(100)}

    run(loops, main)


def test_a_portal_runs_coroutines_for_other_threads(loops: Subject) -> None:
    options = {"loop_factory": loops.new_event_loop}
    with from_thread.start_blocking_portal("asyncio", options) as portal:

        async def where() -> type[Any]:
            await anyio.sleep(0)
            return type(asyncio.get_running_loop())

        assert issubclass(portal.call(where), loops.loop_class)
        future, value = portal.start_task(_started)
        assert value == "started"
        assert future.cancel()


async def _started(*, task_status: Any) -> None:
    task_status.started("started")
    await anyio.sleep_forever()


def test_a_process_is_fed_and_read(loops: Subject) -> None:
    async def main() -> None:
        program = "import sys; sys.stdout.write(sys.stdin.read().upper())"
        result = await anyio.run_process([sys.executable, "-c", program], input=b"text" * 10_000)
        assert result.stdout == b"TEXT" * 10_000
        assert result.returncode == 0

    run(loops, main)


def test_sockets_carry_data_both_ways(loops: Subject) -> None:
    async def serve(stream: Any) -> None:
        async with stream:
            async for data in stream:
                await stream.send(data.upper())

    async def visit(port: int, number: int) -> None:
        text = b"message %d " % number * 2000
        received = b""
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            async with anyio.create_task_group() as group:
                group.start_soon(stream.send, text)
                while len(received) < len(text):
                    received += await stream.receive()
            await stream.send_eof()
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()
        assert received == text.upper()

    async def main() -> None:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with anyio.create_task_group() as servers:
            servers.start_soon(listener.serve, serve)
            async with anyio.create_task_group() as clients:
                for number in range(20):
                    clients.start_soon(visit, port, number)
            servers.cancel_scope.cancel()

    run(loops, main)


def test_a_unix_stream_closed_while_it_receives(loops: Subject, tmp_path: Path) -> None:
    # anyio closes the socket first and removes the reader, by the closed socket object, afterwards.
    async def main() -> None:
        errors: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(context))
        async with await anyio.create_unix_listener(tmp_path / "socket") as listener:
            client = await anyio.connect_unix(tmp_path / "socket")
            async with anyio.create_task_group() as group, await listener.accept():
                group.start_soon(close_later, client)
                with pytest.raises(anyio.ClosedResourceError):
                    await client.receive()
        await anyio.sleep(0)
        assert errors == []

    async def close_later(client: Any) -> None:
        await anyio.wait_all_tasks_blocked()
        await client.aclose()

    run(loops, main)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_groups_and_scopes_with_eager_tasks(loops: Subject) -> None:
    def eager_loop() -> asyncio.AbstractEventLoop:
        loop = loops.new_event_loop()
        loop.set_task_factory(asyncio.create_eager_task_factory(loops.task_class))
        return loop

    async def main() -> None:
        assert isinstance(asyncio.current_task(), loops.task_class)
        done = []

        async def count(number: int) -> None:
            await anyio.sleep(0)
            done.append(number)

        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(count, number)
        assert sorted(done) == list(range(10))
        task = asyncio.create_task(anyio.sleep_forever())
        await anyio.wait_all_tasks_blocked()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    anyio.run(main, backend="asyncio", backend_options={"loop_factory": eager_loop})


def test_it_runs_in_asyncios_debug_mode(loops: Subject) -> None:
    async def main() -> bool:
        await anyio.sleep(0.001)
        return asyncio.get_running_loop().get_debug()

    assert run(loops, main, debug=True) is True
