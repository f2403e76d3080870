"""The results as a Markdown page: the machine, the peers, one table of loops and one of TCP."""

from __future__ import annotations

import statistics

from results import OURS, Results, Verdict
from rows import Row

__all__ = ("markdown",)

#: Columns are narrow, so ratios are printed for the loops a reader chooses between.
RATIOS = ("asyncio", "uvloop", "aiofastnet", "epoll")
#: Below this part of CPU by wall time a sample of a busy loop waited for a CPU that others used.
BUSY_ENOUGH = 0.95
#: Below this part a server of a TCP row idled, and its batches were smaller than under full load.
SATURATED = 0.8


def markdown(results: Results) -> str:
    parts = [header(results)]
    scheduling = [row for row in results.rows if not row.is_tcp]
    network = [row for row in results.rows if row.is_tcp]
    if scheduling:
        parts.append("## Scheduling, timers, memory\n")
        network_only = {"epoll", "aiofastnet"}
        parts.append(table(results, scheduling, [peer for peer in results.peers if peer not in network_only]))
    if network:
        floor = [row for row in network if row.has_floor]
        others = [row for row in network if not row.has_floor]
        parts.append("## Network: CPU time of the server per request\n")
        if floor:
            parts.append(table(results, floor, list(results.peers)))
        for with_aiofastnet in (True, False):
            rows = [row for row in others if row.has_aiofastnet == with_aiofastnet]
            left_out = {"epoll"} if with_aiofastnet else {"epoll", "aiofastnet"}
            if rows:
                parts.append(table(results, rows, [peer for peer in results.peers if peer not in left_out]))
    parts.extend(footnotes(results))
    return "\n".join(parts)


def header(results: Results) -> str:
    options = results.options
    machine = "\n".join(f"- {key}: {value}" for key, value in results.machine.items())
    peers = "\n".join(f"- `{name}`: {version}" for name, version in results.peers.items())
    return f"""\
Every value is a cost: lower is better. A cell is the median of {options["alternations"]} samples, each at
least {options["seconds"]:g} s in a process of its own, the peers taking turns within a row; behind `±` stands
half the distance between the quartiles. Rows of 100k tasks and of the ready fd have a fixed size instead.
"vs" columns say how many times cheaper `{OURS}` is, the median over the alternations and therefore not
always the ratio of the two cells. Times are {options["clock"]} time. `{OURS}` is `aioxide.install()`;
`{OURS}-factory` is `loop_factory=aioxide.new_event_loop`, where asyncio's own `sleep`, `gather`, `Queue`
and `timeout` stay in use.

Machine:

{machine}

Peers:

{peers}
"""


def table(results: Results, rows: list[Row], peers: list[str]) -> str:
    ratios = [peer for peer in RATIOS if peer in peers and OURS in peers]
    targets = OURS in peers and any(row.targets for row in rows)
    head = ["", *(f"`{peer}`" for peer in peers), *(f"vs {peer}" for peer in ratios)]
    if targets:
        head.append("target")
    lines = [line(head), line(["---", *["--:"] * (len(head) - 1)])]
    for row in rows:
        cells = [f"{row.title} ({row.unit})"]
        cells += [value(results, row, peer) for peer in peers]
        cells += [ratio(results.ratio(row, peer)) for peer in ratios]
        if targets:
            cells.append("; ".join(verdict(each) for each in results.verdicts(row)))
        lines.append(line(cells))
    return "\n".join(lines) + "\n"


def line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def value(results: Results, row: Row, peer: str) -> str:
    cell = results.cell(row, peer)
    if cell.error is not None:
        return "error"
    if cell.missing:
        return "not offered"
    if cell.median is None:
        return "-"
    return f"{number(cell.median)} ±{cell.spread:.0%}"


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}x"


def verdict(verdict: Verdict) -> str:
    words = {True: "met", False: "**missed**", None: "not measured"}
    return f"{verdict.text}: {words[verdict.met]}"


def footnotes(results: Results) -> list[str]:
    loops = [row for row in results.rows if not row.is_tcp]
    network = [row for row in results.rows if row.is_tcp]
    notes = []
    if waited := less_busy(results, loops, BUSY_ENOUGH):
        notes.append(f"Spent more than {1 - BUSY_ENOUGH:.0%} of their time off the CPU: {waited}.\n")
    if idle := less_busy(results, network, SATURATED):
        notes.append(
            f"The server was busy for less than {SATURATED:.0%} of the time, because the load generator "
            "was the slower side or lost its CPU to others; a server that waits handles fewer requests "
            f"per wake-up: {idle}.\n"
        )
    if errors := results.errors():
        notes.append("Errors:\n\n" + "\n".join(f"- {error}" for error in errors) + "\n")
    return notes


def less_busy(results: Results, rows: list[Row], enough: float) -> str:
    """The rows and peers whose median sample was on the CPU for less than ``enough`` of its time."""
    notes = []
    for row in rows:
        busy = {peer: results.cell(row, peer).busy for peer in results.peers}
        sampled = {peer: statistics.median(values) for peer, values in busy.items() if values}
        waiting = [peer for peer, share in sampled.items() if share < enough]
        if waiting:
            names = "all" if len(waiting) == len(sampled) else ", ".join(waiting)
            notes.append(f"{row.title} ({names})")
    return "; ".join(notes)
