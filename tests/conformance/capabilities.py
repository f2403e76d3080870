"""What this machine can do, asked of the machine itself.

Some tests fail on every loop where, say, IPv6 is missing. Their entries in ``expected/*.toml`` name
the capability, so that they must pass again wherever it is there.
"""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Callable

__all__ = ("has",)


@functools.cache
def has(name: str) -> bool:
    """Say whether the capability called ``name`` is there; KeyError for an unknown name."""
    return _CHECKS[name]()


def _ipv6() -> bool:
    """Whether ``::1`` can be bound."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def _localhost_ipv6() -> bool:
    """Whether the name ``localhost`` resolves to an IPv6 address."""
    try:
        return bool(socket.getaddrinfo("localhost", 0, socket.AF_INET6, socket.SOCK_STREAM))
    except OSError:
        return False


def _dns() -> bool:
    """Whether public names resolve; `example.org` is reserved for such questions."""
    try:
        return bool(socket.getaddrinfo("example.org", 80))
    except OSError:
        return False


def _unprivileged() -> bool:
    """Whether file permissions bind this process: root may do everything."""
    return os.geteuid() != 0


_CHECKS: dict[str, Callable[[], bool]] = {
    "dns": _dns,
    "ipv6": _ipv6,
    "localhost_ipv6": _localhost_ipv6,
    "unprivileged": _unprivileged,
}
