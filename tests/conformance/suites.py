"""Runs programs' own test suites on aioxide, and on asyncio for comparison.

    python tests/conformance/suites.py [program ...] [-k regex] [--baseline]

A test that fails on aioxide and passes on asyncio fails the run, unless ``expected/suites/<program>.toml`` lists
it with a reason; what fails on asyncio as well, on this machine, says nothing about us. The programs and the
tests that are run stand in ``suite_list.py``, their versions and requirements in
``tools/requirements-suites.txt``.

Some of these tests measure time. So one that fails is run again on both loops, alone, and counts as failed only
if the difference is still there.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import redis_server
import reporting
import subject
import suite
from expectations import Expectations, Surprise
from records import Outcome, Record
from suite_list import PROGRAMS, Program
from suite_runs import Run
from supervision import ModuleRun, end_with_this_process

__all__ = ("Comparison", "compare")

_LISTS = Path(__file__).resolve().parent / "expected" / "suites"


def main() -> int:
    """Run what the command line names; return the exit status."""
    options = suite.arguments((__doc__ or "").splitlines()[0], tuple(PROGRAMS))
    end_with_this_process()
    print(f"{' and '.join(subject.NAMES)} on {platform.python_implementation()} {platform.python_version()}")
    chosen = []
    for program in map(PROGRAMS.__getitem__, options.modules):
        lacking = _lacking(program)
        if lacking:
            print(f"{program.name:<28} left aside: {lacking}", flush=True)
        else:
            chosen.append(program)
    compared: list[Comparison] = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for comparison in pool.map(lambda program: compare(program, options), chosen):
            compared.append(comparison)
            print(comparison, flush=True)
    return suite.conclude(
        options,
        [comparison.ours for comparison in compared],
        [surprise for comparison in compared for surprise in comparison.surprises],
    )


def _lacking(program: Program) -> str:
    """Return why this machine cannot run the program's tests; nothing if it can."""
    if program.redis and redis_server.find() is None:
        return "there is no redis-server"
    try:
        program.source.fetch()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"its source cannot be had: {error}"
    return ""


@dataclass
class Comparison:
    """What a program gave on our loop, and where that differs from asyncio's."""

    ours: ModuleRun
    listed: dict[str, str] = field(default_factory=dict)
    surprises: list[Surprise] = field(default_factory=list)
    #: Tests that failed once on our loop only, and did not do so again.
    unsteady: list[str] = field(default_factory=list)
    #: How many fail on asyncio.
    failing: int = 0

    def __str__(self) -> str:
        """Return its line, and a line for each unsteady test."""
        line = reporting.module_line(self.ours, self.listed, len(self.surprises))
        if self.failing:
            line += f", {self.failing} fail on asyncio"
        return "\n".join(
            [line, *(f"    failed once, but not when repeated: {test}" for test in self.unsteady)]
        )


def compare(program: Program, options: argparse.Namespace) -> Comparison:
    """Run a program's tests on both loops and judge the difference."""
    listing = Expectations(_LISTS / f"{program.name}.toml")
    run = Run(program, subject.NAMES[1], tuple(listing.left_out), options.limit, options.pattern)
    asyncios = _play(run)
    if options.baseline:
        listing.fails.clear()
        return Comparison(asyncios, {}, listing.surprises(asyncios.results))
    ours = _play(replace(run, loops=subject.NAMES[0]))
    _account_for_all(asyncios, ours)
    comparison = Comparison(ours, listing.fails)
    comparison.failing = _remove_what_fails_on_both(asyncios, ours)

    failed = {test for test, record in ours.results.items() if record.outcome is Outcome.FAILED}
    unlisted = failed - set(listing.fails)
    again = _repeat(run, sorted(unlisted & set(ours.found)))
    for test in unlisted & set(again):
        if again[test].outcome is not Outcome.FAILED:
            comparison.unsteady.append(test)
            ours.results[test] = again[test]
    comparison.surprises = listing.surprises(ours.results)
    if not options.pattern:
        comparison.surprises += listing.missing(ours.found, {test.partition(".")[0] for test in ours.found})
    return comparison


def _play(run: Run) -> ModuleRun:
    """Run it; what cannot be had is a failure, not the end of all."""
    try:
        return run.play()
    except (OSError, subprocess.CalledProcessError) as error:
        name = run.program.name
        return ModuleRun(
            name, results={f"{name} (process)": Record(Outcome.FAILED, f"it did not run: {error}")}
        )


def _account_for_all(asyncios: ModuleRun, ours: ModuleRun) -> None:
    """Let every test that ran on asyncio have a result on our loop."""
    for test in asyncios.results:
        ours.results.setdefault(test, Record(Outcome.FAILED, "it ran on asyncio, but not on our loop"))


def _remove_what_fails_on_both(asyncios: ModuleRun, ours: ModuleRun) -> int:
    """Forget our results of tests that fail on asyncio; return how many tests do. A run that died stays."""
    failing = [test for test, record in asyncios.results.items() if record.outcome is Outcome.FAILED]
    for test in failing:
        if test in asyncios.found:
            del ours.results[test]
        else:
            ours.results[test] = asyncios.results[test]
    return len(failing)


def _repeat(run: Run, tests: list[str]) -> dict[str, Record]:
    """Run ``tests`` alone, on both loops; return our results, without what fails on asyncio now."""
    if not tests:
        return {}
    alone = replace(run, only=tuple(tests))
    ours = _play(replace(alone, loops=subject.NAMES[0])).results
    asyncios = _play(alone).results if any(r.outcome is Outcome.FAILED for r in ours.values()) else {}
    fine = Record(Outcome.SKIPPED, "it fails on asyncio as well, when run alone")
    return {
        test: fine if test in asyncios and asyncios[test].outcome is Outcome.FAILED else record
        for test, record in ours.items()
    }


if __name__ == "__main__":
    sys.exit(main())
