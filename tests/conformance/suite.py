"""The command line that the suites share: run modules, compare with the list, report."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import reporting
from expectations import Expectations, Surprise
from records import Outcome
from supervision import Job, ModuleRun, end_with_this_process, run_module

__all__ = ("arguments", "conclude", "run")


def arguments(description: str, modules: Sequence[str]) -> argparse.Namespace:
    """Read the command line of a suite with these ``modules``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("modules", nargs="*", metavar="module", help=", ".join(modules))
    parser.add_argument("-k", dest="pattern", default="", help="only tests that match")
    parser.add_argument(
        "--baseline",
        action="store_true",
        help="run on plain asyncio instead, and only say what fails there",
    )
    parser.add_argument("--list-unexpected", action="store_true", help="only names, no tracebacks")
    parser.add_argument("--whole", action="store_true", help="whole tracebacks")
    parser.add_argument("--write-candidates", action="store_true", help="print list entries for what fails")
    parser.add_argument(
        "--limit", type=float, default=60, help="seconds for one test before it counts as hung"
    )
    parser.add_argument("--slowest", type=int, default=0, help="print the N slowest tests")
    parser.add_argument("-j", "--jobs", type=int, default=1, help="modules at a time")
    options = parser.parse_args()
    for module in options.modules:
        if module not in modules:
            parser.error(f"unknown module {module!r}: one of {', '.join(modules)}")
    options.modules = options.modules or list(modules)
    return options


def run(options: argparse.Namespace, job: Job, listing: Path) -> int:
    """Run the chosen modules and return the exit status."""
    expectations = Expectations(listing)
    job = replace(
        job,
        pattern=options.pattern,
        test_limit=options.limit,
        left_out=tuple(expectations.left_out),
    )
    if options.baseline:
        job = replace(job, subject="asyncio")
        expectations.fails.clear()
    end_with_this_process()

    def judge(done: ModuleRun) -> list[Surprise]:
        surprises = expectations.surprises(done.results)
        if not options.pattern and not options.baseline:
            surprises += expectations.missing(done.found, [done.module])
        return surprises

    print(f"{job.subject} on {platform.python_implementation()} {platform.python_version()}")

    runs: dict[str, ModuleRun] = {}
    found: dict[str, list[Surprise]] = {}

    def note(done: ModuleRun) -> None:
        runs[done.module] = done
        found[done.module] = judge(done)
        print(reporting.module_line(done, expectations.fails, len(found[done.module])), flush=True)

    with ThreadPoolExecutor(options.jobs) as pool:
        for done in pool.map(lambda module: run_module(job, module), options.modules):
            note(done)
    if not options.baseline:
        # Many of the tests measure time: on a busy machine some fail that pass alone.
        for module in [module for module, surprises in found.items() if surprises]:
            for surprise in found[module]:
                print(f"{surprise.test} {surprise.what}: once more, alone")
            note(run_module(job, module))

    surprises = [surprise for several in found.values() for surprise in several]
    return conclude(options, list(runs.values()), surprises)


def conclude(options: argparse.Namespace, runs: Sequence[ModuleRun], found: list[Surprise]) -> int:
    """Report what was found and sum up; return the exit status."""
    _report(options, runs, found)
    print(reporting.closing(runs, found))
    ran = any(r.outcome is not Outcome.SKIPPED for run in runs for r in run.results.values())
    return 1 if found or not ran else 0


def _report(options: argparse.Namespace, runs: Sequence[ModuleRun], found: Sequence[Surprise]) -> None:
    if options.slowest:
        timed = [(r.seconds, name) for run in runs for name, r in run.results.items()]
        for seconds, name in sorted(timed, reverse=True)[: options.slowest]:
            print(f"{seconds:8.2f} s  {name}")
    if options.write_candidates:
        sys.stdout.write(reporting.candidates(found))
    elif options.list_unexpected:
        for surprise in found:
            print(f"{surprise.test} {surprise.what}")
    else:
        reporting.surprises(found, whole=options.whole)
    print()
