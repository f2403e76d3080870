"""Says what came out of a suite: a line per module, the surprises, and the closing line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import TextIO

from expectations import Surprise
from records import Outcome
from supervision import ModuleRun

__all__ = ("candidates", "closing", "module_line", "surprises")

#: Lines of a traceback that are shown without being asked for more.
_SHOWN = 30


def module_line(run: ModuleRun, listed: Iterable[str], surprising: int) -> str:
    """Return one line about ``run``."""
    listed = set(listed)
    passed = _count(run, Outcome.PASSED)
    expected = sum(
        record.outcome is Outcome.FAILED and test in listed for test, record in run.results.items()
    )
    parts = [f"{run.module:<26} {passed:>4} passed"]
    if surprising:
        parts.append(f"{surprising} UNEXPECTED")
    if expected:
        parts.append(f"{expected} failed as listed")
    if skipped := _count(run, Outcome.SKIPPED):
        parts.append(f"{skipped} skipped")
    if run.left_out:
        parts.append(f"{run.left_out} left out")
    return ", ".join(parts) + f"  ({run.seconds:.1f} s)"


def surprises(found: Iterable[Surprise], *, whole: bool, to: TextIO = sys.stdout) -> None:
    """Print each surprise, with the end of its traceback or (``whole``) all of it."""
    for surprise in found:
        print(f"\n{surprise.test} {surprise.what}", file=to)
        lines = surprise.detail.rstrip().splitlines()
        if not whole and len(lines) > _SHOWN:
            lines = ["..."] + lines[-_SHOWN:]
        for line in lines:
            print(f"    {line}", file=to)


def candidates(found: Iterable[Surprise]) -> str:
    """Return entries for the list, grouped by their last line; the reasons are left to write."""
    groups: dict[str, list[str]] = {}
    for surprise in found:
        if surprise.what == "failed":
            lines = surprise.detail.strip().splitlines() or [""]
            groups.setdefault(lines[-1][:100], []).append(surprise.test)
    text = ""
    for line, tests in groups.items():
        names = "".join(f"    {json.dumps(test)},\n" for test in tests)
        text += f'[[fails]]  # {line}\nreason = ""\ntests = [\n{names}]\n\n'
    return text


def closing(runs: Iterable[ModuleRun], found: list[Surprise]) -> str:
    """Return the line that ends the run; what fails as listed counts as neither."""
    runs = list(runs)
    passed = sum(_count(run, Outcome.PASSED) for run in runs)
    skipped = sum(_count(run, Outcome.SKIPPED) for run in runs)
    return f"{passed} passed, {len(found)} failed, {skipped} skipped"


def _count(run: ModuleRun, outcome: Outcome) -> int:
    return sum(record.outcome is outcome for record in run.results.values())
