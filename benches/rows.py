"""The catalogue: every row of the benchmark, its unit, and the ratio it must reach.

A *workload* is one program; a *row* is one number it yields (parked tasks yield two). Every value is
a cost, so lower is better, and a ratio is always ``peer's cost / our cost``: above 1 we are cheaper.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch

__all__ = ("ROWS", "TCP_CONNECTIONS", "TCP_KIBIBYTES", "Limit", "Row", "Target", "select")

TCP_KIBIBYTES = (1, 10, 100)
TCP_CONNECTIONS = (10, 100)
#: The first words of the workloads that are servers.
SERVED = ("tcp", "stream", "line", "sock", "tls", "handshake", "unix", "udp", "idle")
#: The first words of those in which aiofastnet has a part: transports, without and with TLS.
TRANSPORTS = ("tcp", "tls", "handshake", "unix", "idle")


@dataclass(frozen=True)
class Target:
    """``baseline``'s cost divided by ours must be at least ``ratio``."""

    baseline: str
    ratio: float
    text: str


@dataclass(frozen=True)
class Limit:
    """Our cost itself must be at most ``value``, whatever the peers need."""

    value: float
    text: str


@dataclass(frozen=True)
class Row:
    """One line of the result table."""

    name: str
    title: str
    workload: str
    metric: str
    unit: str
    targets: tuple[Target | Limit, ...] = ()

    @property
    def is_tcp(self) -> bool:
        """Whether a server is measured, from outside."""
        return self.workload.partition("_")[0] in SERVED

    @property
    def has_floor(self) -> bool:
        """Whether the bare epoll server does the same."""
        return self.workload.startswith("tcp_")

    @property
    def has_aiofastnet(self) -> bool:
        """Whether aiofastnet, which has transports and nothing else, does the same."""
        return self.workload.partition("_")[0] in TRANSPORTS

    @property
    def is_bridge(self) -> bool:
        """Whether it needs the extensions of the bridge."""
        return self.workload.startswith("bridge_")


def faster(factor: float) -> Target:
    return Target("uvloop", factor, f"{factor:g}x uvloop")


def select(patterns: list[str]) -> list[Row]:
    """Rows whose name or workload matches one of the shell patterns; all of them for an empty list."""
    if not patterns:
        return list(ROWS)
    for pattern in patterns:
        if not any(matches(row, pattern) for row in ROWS):
            names = ", ".join(row.name for row in ROWS)
            raise ValueError(f"no row matches {pattern!r}; rows are: {names}")
    return [row for row in ROWS if any(matches(row, pattern) for pattern in patterns)]


def matches(row: Row, pattern: str) -> bool:
    return fnmatch(row.name, pattern) or fnmatch(row.workload, pattern)


def time_row(name: str, title: str, *targets: Target | Limit) -> Row:
    return Row(name, title, name, "time", "ns", targets)


def tcp_row(kibibytes: int, connections: int) -> Row:
    targets = [Target("uvloop", 1.0, "at most uvloop's")]
    if kibibytes == 1:
        targets.append(Target("epoll", 1 / 1.35, "at most 1.35x bare epoll"))
    name = f"tcp_{kibibytes}k_{connections}"
    title = f"TCP echo, {kibibytes} KiB, {connections} connections"
    return Row(name, title, name, "server_cpu", "us CPU", tuple(targets))


def served_row(name: str, title: str, *targets: Target) -> Row:
    return Row(name, title, name, "server_cpu", "us CPU", targets)


def idle_row(kind: str, title: str, connections: int, *targets: Target | Limit) -> Row:
    return Row(
        f"idle_{kind}_bytes",
        f"{title}: memory of one",
        f"idle_{kind}_{connections}",
        "bytes",
        "bytes",
        targets,
    )


def no_dearer_than(peer: str) -> Target:
    return Target(peer, 1.0, f"no dearer than {peer}")


def parked_rows(workload: str, title: str, most: int, factor: float) -> tuple[Row, Row]:
    limit = Limit(most, f"at most {most} bytes")
    return (
        Row(f"{workload}_bytes", f"{title}: memory of one", workload, "bytes", "bytes", (limit,)),
        Row(
            f"{workload}_creation",
            f"{title}: creation of one",
            workload,
            "time",
            "ns",
            (faster(factor),),
        ),
    )


ROWS: tuple[Row, ...] = (
    time_row("task_switch", "task switch: `sleep(0)`, 100 tasks", faster(5)),
    time_row("spawn_await", "spawn a task and await it", faster(5)),
    time_row("future_ping_pong", "future ping-pong between two tasks", faster(4)),
    time_row("call_soon", "`call_soon` chain", faster(2.5)),
    time_row("timer_fire", "`call_later` set and fire", faster(4)),
    time_row("timer_cancel", "`call_later` set and cancel", faster(5)),
    time_row("gather", "`gather` of 1000, per child", faster(8)),
    time_row("gather_sleep", "`gather` of 1000 `sleep(0)`, per child", faster(8)),
    time_row("wait", "`wait` for 1000 tasks, per task", faster(4)),
    time_row("as_completed", "`as_completed` of 1000, per result", faster(4)),
    time_row("taskgroup", "`TaskGroup` of 1000, per child", faster(6)),
    time_row("wait_for", "`wait_for(trivial(), 10)`", faster(5)),
    time_row("to_thread", "`to_thread(int, 1)`", no_dearer_than("asyncio")),
    time_row("queue_ping_pong", "queue ping-pong, per message", faster(6)),
    time_row("lock_contention", "`async with lock` around `sleep(0)`, 20 tasks", faster(5)),
    time_row("semaphore_contention", "`async with semaphore` of 3 around `sleep(0)`, 20 tasks", faster(5)),
    time_row("event_wait", "20 tasks wait for an event, per task", faster(5)),
    time_row("condition_notify", "20 tasks wait for a condition, per task"),
    time_row("barrier_wait", "20 tasks meet at a barrier, per task"),
    time_row("timeout", "`timeout(10)` around `sleep(0)`", faster(6)),
    time_row(
        "loop_create_close",
        "loop create and close",
        Target("asyncio", 1.0, "no dearer than asyncio"),
    ),
    *parked_rows("parked", "100k parked tasks", 850, 3),
    *parked_rows("sleeping", "100k tasks in `sleep(3600)`", 800, 5),
    Row(
        "poll_delay",
        "longest wait of a ready fd under 100 spinning tasks",
        "poll_delay",
        "steps",
        "steps",
    ),
    time_row(
        "bridge_noop",
        "await a Rust future that is ready (others: pyo3-async-runtimes)",
        faster(10),
        Limit(1000, "at most 1 us"),
    ),
    time_row("bridge_turn", "a turn of a Rust future that gives way ten times"),
    *(tcp_row(size, count) for size in TCP_KIBIBYTES for count in TCP_CONNECTIONS),
    served_row("stream_1k_10", "streams echo, 1 KiB, 10 connections", faster(1.8)),
    served_row("line_16_1", "`readline()` of lines of 16 bytes, per line", faster(3)),
    served_row("sock_1k_10", "`sock_recv`, `sock_sendall` echo, 1 KiB, 10 connections", faster(2)),
    served_row("unix_1k_10", "unix socket echo, 1 KiB, 10 connections", no_dearer_than("uvloop")),
    served_row("udp_1k_10", "datagram echo, 1 KiB, 10 peers", faster(1.3)),
    *(
        served_row(
            f"tls_{size}k_10",
            f"TLS echo, {size} KiB, 10 connections",
            faster(1.5),
            Target("asyncio", 1.5, "1.5x asyncio"),
        )
        for size in TCP_KIBIBYTES
    ),
    idle_row("tcp", "2,000 idle connections", 2000),
    idle_row("stream", "2,000 idle connections of streams", 2000),
    idle_row("tls", "1,000 idle TLS connections", 1000, Limit(35 * 1024, "at most 35 KiB")),
    served_row("handshake_1_10", "TLS connection: handshake, one byte, close", no_dearer_than("asyncio")),
    time_row("spawn_wait", "start a process and wait for it", no_dearer_than("asyncio")),
)
