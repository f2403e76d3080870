"""Child processes: starting, talking, signals, and learning that they have ended."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import warnings

import pytest

import aioxide
from aioxide import subprocesses

PIPE = asyncio.subprocess.PIPE


def run(main):
    return aioxide.run(main())


def zombies() -> list[int]:
    """The children of this process that have ended and were not waited for."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as stat:
                    state, parent = stat.read().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if state == "Z" and int(parent) == os.getpid():
                found.append(int(name))
    return found


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


async def python(code: str, **options):
    return await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", code, **options)


def test_a_child_is_talked_to_and_its_status_read():
    async def main():
        before = open_files()
        child = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        assert isinstance(child._transport, subprocesses.SubprocessTransport)
        data = os.urandom(1 << 20)
        assert await child.communicate(data) == (data, None)
        assert child.returncode == 0
        del child
        await asyncio.sleep(0)
        gc.collect()
        assert open_files() <= before

    run(main)


def test_no_thread_and_no_signal_handler_is_used():
    async def main():
        threads = threading.active_count()
        child = await asyncio.create_subprocess_shell("exit 3")
        assert threading.active_count() == threads
        assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL
        assert await child.wait() == 3

    run(main)


def test_loops_in_other_threads_have_children_too():
    statuses = []

    async def main():
        child = await asyncio.create_subprocess_shell("exit 4")
        statuses.append(await child.wait())

    threads = [threading.Thread(target=run, args=(main,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [4] * 4


def test_the_child_can_open_its_own_pipes_by_name():
    async def main():
        child = await asyncio.create_subprocess_shell(
            "cat /proc/self/fd/0 > /proc/self/fd/1; echo error > /dev/stderr",
            stdin=PIPE, stdout=PIPE, stderr=PIPE,
        )  # fmt: skip
        assert await child.communicate(b"text") == (b"text", b"error\n")

    run(main)


def test_two_hundred_children_at_once_lose_no_status():
    async def main():
        async def one(index):
            child = await asyncio.create_subprocess_shell(f"exit {index}", stdout=PIPE)
            await child.communicate()
            return child.returncode

        assert await asyncio.gather(*(one(index) for index in range(200))) == list(range(200))
        assert zombies() == []

    run(main)


def test_children_that_end_together_are_all_noticed():
    async def main():
        reader, writer = os.pipe()
        # Each waits until the writing end is closed, which happens in all at once.
        children = [
            await asyncio.create_subprocess_shell(f"read line; exit {index}", stdin=reader)
            for index in range(50)
        ]
        os.close(writer)
        os.close(reader)
        statuses = await asyncio.gather(*(child.wait() for child in children))
        assert statuses == list(range(50))
        assert zombies() == []

    run(main)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGUSR1])
def test_a_signal_ends_a_child(number):
    async def main():
        child = await asyncio.create_subprocess_exec("sleep", "100")
        child.send_signal(number)
        assert await child.wait() == -number
        with pytest.raises(ProcessLookupError):
            child.send_signal(number)

    run(main)


def test_a_child_that_has_ended_unnoticed_gets_no_signal(monkeypatch):
    async def main():
        child = await asyncio.create_subprocess_exec("cat", stdin=PIPE)
        child.stdin.close()
        await asyncio.sleep(0)
        # Somebody else waits for it: its number may be a stranger's from now on.
        child._transport.get_extra_info("subprocess").wait()
        monkeypatch.setattr(os, "kill", lambda *args: pytest.fail("a stranger was hit"))
        monkeypatch.setattr(signal, "pidfd_send_signal", os.kill)
        child.kill()
        child.terminate()
        assert await child.wait() == 0

    run(main)


def test_a_status_that_somebody_else_polled_is_not_lost():
    async def main():
        child = await asyncio.create_subprocess_shell("read line; exit 7", stdin=PIPE)
        child.stdin.write(b"\n")
        assert child._transport.get_extra_info("subprocess").wait() == 7
        assert await child.wait() == 7

    run(main)


def test_a_status_that_was_stolen_is_255_and_logged(caplog):
    async def main():
        child = await asyncio.create_subprocess_shell("read line; exit 7", stdin=PIPE)
        child.stdin.write(b"\n")
        os.waitpid(child.pid, 0)
        assert await child.wait() == 255

    with caplog.at_level(logging.WARNING, "asyncio"):
        run(main)
    assert "exit status already read" in caplog.text


def test_closing_the_transport_kills_the_child_and_keeps_its_status():
    async def main():
        child = await asyncio.create_subprocess_exec("sleep", "100")
        child._transport.close()
        assert await child.wait() == -signal.SIGKILL

        child = await asyncio.create_subprocess_shell("read line; exit 7", stdin=PIPE)
        child.stdin.write(b"\n")
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        child._transport.close()
        assert await child.wait() == 7
        assert zombies() == []

    run(main)


def test_a_child_that_outlives_its_loop_is_killed_and_waited_for():
    before = open_files()
    loop = aioxide.new_event_loop()
    child = loop.run_until_complete(loop.subprocess_exec(asyncio.SubprocessProtocol, "sleep", "100"))[0]
    pid = child.get_pid()
    loop.close()
    assert os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None
    with pytest.warns(ResourceWarning, match="unclosed transport"):
        del child
        gc.collect()
    assert zombies() == []
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    del loop
    gc.collect()
    assert open_files() <= before


def test_a_cancelled_start_kills_the_child():
    async def main():
        async def start():
            await asyncio.create_subprocess_exec("sleep", "100")

        task = asyncio.ensure_future(start())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert zombies() == []

    run(main)


def test_a_program_that_is_not_there_is_an_error():
    async def main():
        before = open_files()
        with pytest.raises(FileNotFoundError):
            await asyncio.create_subprocess_exec("/nowhere/program", stdin=PIPE, stdout=PIPE)
        gc.collect()
        assert open_files() <= before

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(main)


@pytest.mark.parametrize(
    "options",
    [
        {"universal_newlines": True},
        {"text": True},
        {"encoding": "utf-8"},
        {"errors": "strict"},
        {"bufsize": 1},
    ],
)
def test_text_modes_are_refused(options):
    async def main():
        with pytest.raises(ValueError, match="must be"):
            await asyncio.create_subprocess_exec("true", **options)

    run(main)


def test_options_reach_the_child(tmp_path):
    async def main():
        reader, writer = os.pipe()
        child = await python(
            f"import os; os.write({writer}, b'passed'); print(os.getsid(0) == os.getpid(), os.getcwd(),"
            " os.environ['NAME'])",
            pass_fds=[writer], start_new_session=True, cwd=tmp_path, env={"NAME": "value"}, stdout=PIPE,
        )  # fmt: skip
        out, _ = await child.communicate()
        os.close(writer)
        assert os.read(reader, 100) == b"passed"
        os.close(reader)
        assert out.decode().split() == ["True", str(tmp_path), "value"]

        child = await python("import os; print(os.getpriority(os.PRIO_PROCESS, 0))",
                             preexec_fn=lambda: os.nice(3) and None, stdout=PIPE)  # fmt: skip
        out, _ = await child.communicate()
        assert int(out) == os.getpriority(os.PRIO_PROCESS, 0) + 3

    run(main)


def test_stderr_can_join_stdout():
    async def main():
        child = await asyncio.create_subprocess_shell(
            "echo one; echo two >&2", stdout=PIPE, stderr=subprocess.STDOUT
        )
        assert await child.communicate() == (b"one\ntwo\n", None)

    run(main)


def test_a_protocol_hears_everything_in_order():
    async def main():
        loop = asyncio.get_running_loop()
        events = []
        ended = loop.create_future()

        class Protocol(asyncio.SubprocessProtocol):
            def connection_made(self, transport):
                events.append("made")

            def pipe_data_received(self, fd, data):
                events.append((fd, data))

            def pipe_connection_lost(self, fd, exc):
                events.append((fd, exc))

            def process_exited(self):
                events.append("exited")

            def connection_lost(self, exc):
                ended.set_result(exc)

        transport, _ = await loop.subprocess_shell(Protocol, "cat; echo error >&2", stdin=PIPE)
        stdin = transport.get_pipe_transport(0)
        stdin.write(b"text")
        stdin.close()
        assert await ended is None
        assert events[0] == "made"
        assert sorted(events[1:], key=repr) == [
            "exited", (0, None), (1, None), (1, b"text"), (2, None), (2, b"error\n")
        ]  # fmt: skip
        assert transport.get_returncode() == 0
        transport.close()

    run(main)


def test_a_system_without_pidfd_waits_by_a_thread(monkeypatch):
    def refuse(pid, flags=0):
        raise PermissionError("seccomp")

    monkeypatch.setattr(os, "pidfd_open", refuse)

    async def main():
        child = await asyncio.create_subprocess_shell("exit 9", stdout=PIPE)
        assert await child.communicate() == (b"", None)
        assert child.returncode == 9
        child = await asyncio.create_subprocess_exec("sleep", "100")
        child.terminate()
        assert await child.wait() == -signal.SIGTERM

    run(main)


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="child watchers end with 3.13")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_watcher_that_was_chosen_by_hand_is_used():
    watched = []

    class Watcher(asyncio.ThreadedChildWatcher):
        def add_child_handler(self, pid, callback, *args):
            watched.append(pid)
            super().add_child_handler(pid, callback, *args)

    async def main():
        child = await asyncio.create_subprocess_shell("exit 5")
        assert watched == [child.pid]
        assert await child.wait() == 5

    asyncio.set_child_watcher(Watcher())
    try:
        run(main)
    finally:
        asyncio.set_child_watcher(None)
    watched.clear()
    run(lambda: _unwatched(watched))


async def _unwatched(watched):
    child = await asyncio.create_subprocess_shell("exit 5")
    assert await child.wait() == 5
    assert watched == []
