"""Child processes: their transport, and how the loop learns that one has ended.

A child is watched through a pidfd in the loop's own poller: no thread, no signal handler, and loops in any
thread. Where the system has none, a thread of asyncio's waits for the child.

The child's status is read in one place, under the lock of ``subprocess.Popen``, so that it is not lost when
somebody else polls the same process; and signals go to the pidfd, so they cannot hit a stranger who got the
number.
"""

from __future__ import annotations

import asyncio.unix_events
import contextlib
import os
import select
import signal
import sys
import warnings
from asyncio.log import logger
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

__all__ = ("SubprocessTransport", "chosen_watcher", "make_subprocess_transport")

_StdlibTransport: Any = asyncio.unix_events._UnixSubprocessTransport  # type: ignore[attr-defined]

# Watchers, and the policy that keeps one, end with 3.13.
_HAS_WATCHERS = sys.version_info < (3, 14)

#: How long the transport of a closed loop waits for a child that it has killed, in milliseconds.
_KILL_WAIT = 1000
#: What asyncio reports when somebody else has read the status.
_UNKNOWN_STATUS = 255


class SubprocessTransport(_StdlibTransport):  # type: ignore[misc]
    """asyncio's transport of a child process, which watches the child itself.

    Differs from asyncio: a signal is never sent to a process that has been waited for; closing the transport
    keeps the exit status; a child that is killed after the loop was closed is waited for.
    """

    # For a transport whose start failed.
    _pidfd: int | None = None
    # Of the base class.
    _closed: bool
    _proc: subprocess.Popen[bytes] | None
    _loop: Any

    def _start(self, *args: Any, **kwargs: Any) -> None:
        super()._start(*args, **kwargs)
        assert self._proc is not None
        # Without one (an old kernel, no descriptor left) the caller finds another way to watch.
        with contextlib.suppress(OSError, AttributeError):
            self._pidfd = os.pidfd_open(self._proc.pid)

    def watch(self) -> bool:
        """Watch for the end of the child; return False if there is no pidfd to watch."""
        if self._pidfd is None:
            return False
        try:
            self._loop._add_reader(self._pidfd, self._exited)
        except OSError:
            self._close_pidfd()
            return False
        return True

    def send_signal(self, signal: int) -> None:
        """Send a signal, if the child has not ended."""
        self._check_proc()
        self._unless_ended(lambda: self._send(signal))

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Close the pipes, and kill the child if it still runs."""
        if self._closed:
            return
        if self._pidfd is None:
            super().close()
            return
        self._closed = True
        closed = self._loop is not None and self._loop.is_closed()
        for protocol in self._pipes.values():
            if protocol is not None:
                if closed:
                    _drop(protocol.pipe)
                else:
                    protocol.pipe.close()
        if self._returncode is None:
            if self._loop.get_debug():
                logger.warning("Close running child process: kill %r", self)
            # It may run with another user's rights.
            with contextlib.suppress(PermissionError):
                assert self._proc is not None
                self._unless_ended(self._proc.kill)
            if closed:
                self._wait_without_loop()

    def _unless_ended(self, send: Callable[[], None]) -> None:
        """Send a signal while nobody can read the child's status, and so free its number."""
        proc: Any = self._proc
        with contextlib.suppress(ProcessLookupError), proc._waitpid_lock:
            if proc.returncode is None:
                send()

    def _send(self, number: int) -> None:
        if self._pidfd is not None:
            signal.pidfd_send_signal(self._pidfd, number)
        else:
            assert self._proc is not None
            os.kill(self._proc.pid, number)

    def _exited(self) -> None:
        """The pidfd is readable: the child has ended."""
        self._loop._remove_reader(self._pidfd)
        try:
            status = self._reap()
        finally:
            self._close_pidfd()
        assert status is not None
        self._loop.call_soon(self._process_exited, status)

    def _reap(self) -> int | None:
        """Read the child's status; None if it still runs. It stays in the Popen object."""
        proc: Any = self._proc
        with proc._waitpid_lock:
            if proc.returncode is None:
                try:
                    pid, status = os.waitpid(proc.pid, os.WNOHANG)
                except ChildProcessError:
                    logger.warning(
                        "child process pid %d exit status already read:  will report returncode 255",
                        proc.pid,
                    )
                    proc.returncode = _UNKNOWN_STATUS
                else:
                    if pid == 0:
                        return None
                    proc.returncode = os.waitstatus_to_exitcode(status)
            returncode: int = proc.returncode
            return returncode

    def _wait_without_loop(self) -> None:
        """No loop will hear of the child's end: take it here, so that no zombie stays."""
        assert self._pidfd is not None
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        if poll.poll(_KILL_WAIT):
            self._returncode = self._reap()
        self._close_pidfd()

    def _close_pidfd(self) -> None:
        pidfd, self._pidfd = self._pidfd, None
        if pidfd is not None:
            os.close(pidfd)

    def __del__(self, _warn: Any = warnings.warn) -> None:
        super().__del__(_warn)
        self._close_pidfd()


def _drop(transport: Any) -> None:
    """Close a pipe whose loop was closed: nobody can be told any more."""
    pipe, transport._pipe = transport._pipe, None
    if pipe is not None:
        pipe.close()


def chosen_watcher() -> Any:
    """The child watcher that somebody chose for asyncio, by hand or with a policy of his own; else None."""
    if not _HAS_WATCHERS:
        return None
    policy: Any = asyncio.get_event_loop_policy()
    default: Any = asyncio.unix_events._UnixDefaultEventLoopPolicy
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        if type(policy).get_child_watcher is not default.get_child_watcher:
            return policy.get_child_watcher()
    return getattr(policy, "_watcher", None)


async def make_subprocess_transport(
    loop: Any, protocol: Any, args: Any, shell: bool, stdin: Any, stdout: Any, stderr: Any, bufsize: int,
    extra: Any, **kwargs: Any,
) -> SubprocessTransport:  # fmt: skip
    """Start a child process and watch it by its pidfd, or by a thread where there is none."""
    waiter = loop.create_future()
    transport = SubprocessTransport(
        loop, protocol, args, shell, stdin, stdout, stderr, bufsize, waiter=waiter, extra=extra, **kwargs
    )
    if not transport.watch():
        _threaded_watcher().add_child_handler(transport.get_pid(), loop._child_watcher_callback, transport)
    try:
        await waiter
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException:
        transport.close()
        await transport._wait()
        raise
    return transport


def _threaded_watcher() -> Any:
    module: Any = asyncio.unix_events
    name = "ThreadedChildWatcher" if _HAS_WATCHERS else "_ThreadedChildWatcher"
    return getattr(module, name)()
