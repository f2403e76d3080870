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
        return self.workload.startswith("tcp_")


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


def parked_rows(workload: str, title: str) -> tuple[Row, Row]:
    limit = Limit(850, "at most 850 bytes")
    return (
        Row(f"{workload}_bytes", f"{title}: memory of one", workload, "bytes", "bytes", (limit,)),
        Row(
            f"{workload}_creation",
            f"{title}: creation of one",
            workload,
            "time",
            "ns",
            (faster(3),),
        ),
    )


ROWS: tuple[Row, ...] = (
    time_row("task_switch", "task switch: `sleep(0)`, 100 tasks", faster(5)),
    time_row("spawn_await", "spawn a task and await it", faster(5)),
    time_row("future_ping_pong", "future ping-pong between two tasks", faster(4)),
    time_row("call_soon", "`call_soon` chain", faster(2.5)),
    time_row("timer_fire", "`call_later` set and fire", faster(4)),
    time_row("timer_cancel", "`call_later` set and cancel", faster(5)),
    time_row("gather", "`gather` of 1000, per child"),
    time_row("queue_ping_pong", "queue ping-pong, per message"),
    time_row("lock_contention", "`async with lock` around `sleep(0)`, 20 tasks"),
    time_row("semaphore_contention", "`async with semaphore` of 3 around `sleep(0)`, 20 tasks"),
    time_row("event_wait", "20 tasks wait for an event, per task"),
    time_row("timeout", "`timeout(10)` around `sleep(0)`"),
    time_row(
        "loop_create_close",
        "loop create and close",
        Target("asyncio", 1.0, "no dearer than asyncio"),
    ),
    *parked_rows("parked", "100k parked tasks"),
    *parked_rows("sleeping", "100k tasks in `sleep(3600)`"),
    Row(
        "poll_delay",
        "longest wait of a ready fd under 100 spinning tasks",
        "poll_delay",
        "steps",
        "steps",
    ),
    *(tcp_row(size, count) for size in TCP_KIBIBYTES for count in TCP_CONNECTIONS),
)
