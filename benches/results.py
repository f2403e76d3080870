"""What was measured: the samples of every row and peer, their medians, and the targets they meet."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import TypedDict

from rows import Limit, Row, Target

__all__ = ("OURS", "Cell", "Results", "Sample", "Verdict")

#: The column whose ratios are printed and held against the targets.
OURS = "aioxide"


class Sample(TypedDict):
    """What one process under test reports."""

    metrics: dict[str, float]
    operations: int
    #: CPU time by wall time: below 1, the process waited, or others used its CPU.
    busy: float


@dataclass
class Cell:
    """One row of one peer: a value for each alternation, or the error that stopped it."""

    values: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    error: str | None = None
    #: Whether the peer says that it does not offer this.
    missing: bool = False

    @property
    def median(self) -> float | None:
        return statistics.median(self.values) if self.values and self.error is None else None

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a part of the median."""
        if len(self.values) < 2 or not self.median:
            return 0.0
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return (high - low) / 2 / self.median


@dataclass(frozen=True)
class Verdict:
    """A target held against the medians; None where one of the two sides was not measured."""

    text: str
    met: bool | None


@dataclass
class Results:
    rows: list[Row]
    peers: dict[str, str]
    machine: dict[str, str]
    options: dict[str, object]
    #: Peers that are installed but do not start, and why.
    broken: dict[str, str] = field(default_factory=dict)
    cells: dict[tuple[str, str], Cell] = field(default_factory=dict)

    def cell(self, row: Row, peer: str) -> Cell:
        return self.cells.setdefault((row.name, peer), Cell())

    def ratio(self, row: Row, baseline: str, ours: str = OURS) -> float | None:
        """How many times cheaper ``ours`` is than ``baseline``: the median over the alternations.

        Each pair was measured a moment apart, so a machine that changes its speed during a row changes
        both sides; the ratio of two medians would compare a fast minute with a slow one.
        """
        theirs, own = self.cell(row, baseline), self.cell(row, ours)
        if theirs.median is None or own.median is None:
            return None
        return statistics.median(other / mine for other, mine in zip(theirs.values, own.values, strict=True))

    def verdicts(self, row: Row) -> list[Verdict]:
        return [Verdict(target.text, self.met(row, target)) for target in row.targets]

    def met(self, row: Row, target: Target | Limit) -> bool | None:
        if isinstance(target, Limit):
            own = self.cell(row, OURS).median
            return None if own is None else own <= target.value
        ratio = self.ratio(row, target.baseline)
        return None if ratio is None else ratio >= target.ratio

    def errors(self) -> list[str]:
        stopped = [f"{row}, {peer}: {cell.error}" for (row, peer), cell in self.cells.items() if cell.error]
        return [f"{peer} does not start: {error}" for peer, error in self.broken.items()] + stopped

    def as_json(self) -> dict[str, object]:
        return {
            "machine": self.machine,
            "peers": self.peers,
            "errors": self.errors(),
            "options": self.options,
            "rows": [self.row_as_json(row) for row in self.rows],
        }

    def row_as_json(self, row: Row) -> dict[str, object]:
        return {
            "name": row.name,
            "title": row.title,
            "unit": row.unit,
            "peers": {
                peer: {"median": cell.median, "spread": cell.spread, **asdict(cell)}
                for peer in self.peers
                for cell in [self.cell(row, peer)]
            },
            "ratios": {peer: self.ratio(row, peer) for peer in self.peers if peer != OURS},
            "targets": [asdict(verdict) for verdict in self.verdicts(row)],
        }
