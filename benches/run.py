"""``make bench``: compares event loops on one Python, taking turns, and prints medians and ratios.

Each sample runs in a fresh process that is pinned to a CPU; within a row the peers alternate
(A B C A B C ...), so that a machine that grows slower or faster meets all of them alike. A row also
counts what it did: a sample whose count is wrong is an error, not a number.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import bridge
import machine
import tcp
from placement import Placement, children_on
from report import markdown
from results import Results, Sample
from rows import Row, select

HERE = Path(__file__).resolve().parent
WORKER = HERE / "worker.py"
PEERS = ("asyncio", "uvloop", "rloop", "aiofastnet", tcp.FLOOR, "aioxide", "aioxide-factory")
#: Only when asked for: modes that look at what a program does.
MODES = ("aioxide-strict", "aioxide-debug", "asyncio-debug")
#: Seconds one sample may take before it counts as hung; the longest takes about five.
PATIENCE = 120
NOT_INSTALLED = 3


class Bench:
    """One run of the harness: what to measure with, and the results so far."""

    def __init__(self, options: argparse.Namespace, rows: list[Row]) -> None:
        self.options = options
        self.placement = Placement.choose()
        self.programs: tcp.Programs | None = None
        self.environment = dict(os.environ)
        described = machine.describe() | {"pinning": self.placement.describe()}
        settings = {name: getattr(options, name) for name in ("alternations", "seconds", "clock")}
        self.results = Results(rows, {}, described, settings)

    def find_peers(self) -> None:
        """Keeps the peers that can run; one that is not installed is told and left out."""
        for peer in self.options.peers:
            if peer == tcp.FLOOR:
                continue
            completed = self.worker("describe", peer)
            if completed.returncode == NOT_INSTALLED:
                say(f"{peer} is left out, it cannot be imported: {last_line(completed.stderr)}")
                continue
            if completed.returncode != 0:
                # Installed but broken: the others are still worth measuring, and the exit code tells.
                self.results.broken[peer] = last_line(completed.stderr)
                say(f"{peer} is left out, it does not start:\n{completed.stderr.rstrip()}")
                continue
            described = json.loads(completed.stdout)
            self.results.peers[peer] = described["version"]
            self.results.machine["python"] = described["python"]

        self.prepare_tcp()

    def prepare_tcp(self) -> None:
        if not any(row.is_tcp for row in self.results.rows):
            return
        try:
            self.programs = tcp.build()
        except (OSError, subprocess.CalledProcessError) as error:
            say(f"the TCP rows are left out, their load generator cannot be built: {error}")
            self.results.rows = [row for row in self.results.rows if not row.is_tcp]
        else:
            if tcp.FLOOR in self.options.peers:
                self.results.peers[tcp.FLOOR] = "a bare epoll server in Rust, the floor"

    def prepare_bridge(self) -> None:
        if not any(row.is_bridge for row in self.results.rows):
            return
        try:
            self.environment[bridge.FOLDER] = str(bridge.build(self.options.python))
        except (OSError, subprocess.CalledProcessError) as error:
            say(f"the bridge rows are left out, their extensions cannot be built: {error}")
            self.results.rows = [row for row in self.results.rows if not row.is_bridge]

    def measure(self) -> None:
        workloads = dict.fromkeys(row.workload for row in self.results.rows)
        for workload in workloads:
            rows = [row for row in self.results.rows if row.workload == workload]
            peers = [peer for peer in self.results.peers if takes_part(peer, rows[0])]
            say(workload, end=" ")
            for _ in range(self.options.alternations):
                for peer in peers:
                    self.measure_once(rows, peer)
                say(".", end="")
            say("")

    def measure_once(self, rows: list[Row], peer: str) -> None:
        cells = [self.results.cell(row, peer) for row in rows]
        if any(cell.error or cell.missing for cell in cells):
            return
        try:
            sample = self.sample(rows[0], peer)
            # The values are taken out before any is kept, so that no cell is left one sample short.
            values = [sample["metrics"][self.metric(row)] for row in rows]
        except NotImplementedError:
            for cell in cells:
                cell.missing = True
            say(f"[{peer} does not offer it]", end="")
            return
        except (RuntimeError, OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
            for cell in cells:
                cell.error = f"{type(error).__name__}: {error}"
            say(f"[{peer}: {error}]", end="")
            return
        for cell, value in zip(cells, values, strict=True):
            cell.values.append(value)
            cell.busy.append(sample["busy"])

    def metric(self, row: Row) -> str:
        return "cpu" if row.metric == "time" and self.options.clock == "cpu" else row.metric

    def sample(self, row: Row, peer: str) -> Sample:
        if row.is_tcp:
            assert self.programs is not None, "TCP rows are dropped where the programs cannot be built"
            server = tcp.Server(peer, self.options.python, self.programs, self.placement)
            if row.metric == "bytes":
                return tcp.weigh(server, row.workload)
            return tcp.sample(server, row.workload, self.options.seconds)
        minimum = str(self.options.seconds)
        completed = self.worker("sample", peer, row.workload, "--minimum", minimum)
        if completed.returncode != 0:
            raise RuntimeError(last_line(completed.stderr) or f"exit code {completed.returncode}")
        sample: Sample = json.loads(completed.stdout)
        return sample

    def worker(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [self.options.python, WORKER, *arguments]
        with children_on(self.placement.measured):
            return subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
                env=self.environment,
            )


def main() -> int:
    options = parse_arguments()
    try:
        rows = select([pattern for text in options.rows for pattern in text.split(",")])
    except ValueError as error:
        raise SystemExit(str(error)) from None
    bench = Bench(options, rows)
    bench.find_peers()
    bench.prepare_bridge()
    bench.measure()
    page = markdown(bench.results)
    print(page)
    if options.markdown:
        options.markdown.write_text(page, encoding="utf-8")
    if options.json:
        text = json.dumps(bench.results.as_json(), indent=2)
        options.json.write_text(text + "\n", encoding="utf-8")
    return 1 if bench.results.errors() else 0


def takes_part(peer: str, row: Row) -> bool:
    """Whether a peer has what the row measures."""
    if peer == tcp.FLOOR:
        return row.has_floor
    return row.has_aiofastnet or peer != "aiofastnet"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--python", type=Path, default=default_python(), help="interpreter with the peers")
    add("--rows", action="append", default=[], help="names or patterns, comma-separated")
    add("--peers", type=lambda text: text.split(","), default=list(PEERS))
    add("--alternations", type=int, help="samples of each peer in each row (7)")
    add("--seconds", type=float, help="least length of one sample (0.3)")
    add("--quick", action="store_true", help="3 samples of 0.1 s, for a first look")
    add("--clock", choices=("wall", "cpu"), default="wall", help="cpu: for a shared machine")
    add("--json", type=Path, help="writes every sample there")
    add("--markdown", type=Path, help="writes the page there, too")
    options = parser.parse_args()
    options.alternations = options.alternations or (3 if options.quick else 7)
    options.seconds = options.seconds or (0.1 if options.quick else 0.3)
    if unknown := set(options.peers) - {*PEERS, *MODES}:
        parser.error(f"no such peer: {', '.join(sorted(unknown))}; peers are: {', '.join((*PEERS, *MODES))}")
    if options.alternations < 1:
        parser.error("--alternations: at least one")
    return options


def default_python() -> Path:
    """The project's own environment where it was made, this interpreter elsewhere."""
    environment = HERE.parent / ".venv" / "3.13" / "bin" / "python"
    return environment if environment.exists() else Path(sys.executable)


def last_line(text: str) -> str:
    """Where a traceback names its exception."""
    return "".join(text.strip().splitlines()[-1:])


def say(text: str, end: str = "\n") -> None:
    """Progress goes to standard error: standard output is the page."""
    print(text, end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
