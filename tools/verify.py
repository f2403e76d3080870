"""``make test``: everything that is tested, on every interpreter that was found.

All parts run even when one has failed; the last lines say what each gave and how long it took.
``--only`` (``make test ONLY=python,docs``) names parts, ``--py`` one version.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import debug
import env
import environments
import extension
import interpreters
from interpreters import Interpreter
from parts import Outcome, Part, play, play_lanes, second_chance, total
from project import BUILD_ROOT, ROOT

__all__ = ("PARTS",)

PARTS = {
    "rust": "cargo's tests of the crate, loom's models, the bridge's examples, the repository checks, the tour in Rust",
    "miri": "the crate's tests under Miri, where it can be had",
    "tools": "the tests of these tools",
    "debug": "reference counts, where there is a debug build of Python",
    "python": "pytest tests/",
    "cpython": "CPython's own test_asyncio, of the running version",
    "uvloop": "uvloop's tests, from its source distribution",
    "programs": "real programs: aiohttp, uvicorn, aiofiles, aiomysql, anyio",
    "suites": "the programs' own test suites, on one version: websockets, anyio, aiohttp, redis, ...",
    "stubs": "the stubs against the extension",
    "docs": "the snippets in README and docs/",
}

#: The version that the programs' suites run on: they take minutes, and wheels of all they need exist for it.
SUITES_VERSION = "3.13"

#: What runs beside the other parts of the same interpreter: it takes as long as they do.
SECOND_LANE = ("uvloop", "cpython")


def main() -> int:
    """Run what the command line names; return the exit status."""
    options = arguments()
    # A shell starts background jobs with SIGINT ignored, nohup with SIGHUP; the tests of signals would inherit
    # that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    started = time.monotonic()
    found = env.found(options.py)
    outcomes: list[Outcome] = []
    if "rust" in options.only:
        outcomes.append(play(rust()))
        outcomes.append(play(extension_units(found[-1])))
        outcomes.append(play(bridge(found[-1])))
        outcomes.append(play(Part("tour", "rust", [sys.executable, "tools/rust_examples.py"])))
    if "miri" in options.only:
        outcomes.append(play(Part("miri", "rust", [sys.executable, "tools/miri.py"])))
    if "tools" in options.only:
        outcomes.append(play(tools(found[-1])))
    if "debug" in options.only and debug.debug_interpreters():
        outcomes.append(play(Part("debug", "debug", [sys.executable, "tools/debug.py"])))
    for interpreter in found:
        outcomes += test_on(interpreter, options)

    print("\n== summary")
    for outcome in outcomes:
        print(outcome)
    tested = ", ".join(interpreter.full_version for interpreter in found)
    print(f"tested on Python {tested} in {(time.monotonic() - started) / 60:.1f} minutes")
    absent = set(interpreters.SUPPORTED) - {interpreter.version for interpreter in found}
    if absent and options.py is None:
        print(f"not tested, no interpreter found: {', '.join(sorted(absent))}")
    print(total(outcomes), flush=True)
    return 1 if any(outcome.failed for outcome in outcomes) else 0


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        epilog="; ".join(f"{name}: {what}" for name, what in PARTS.items()),
    )
    parser.add_argument("--py", help="only this version, for example 3.13")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, comma separated")
    parser.add_argument("--profile", default="release", choices=extension.PROFILES)
    options = parser.parse_args()
    options.py = options.py or None
    options.only = options.only.split(",") if options.only else list(PARTS)
    if unknown := set(options.only) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    return options


def test_on(interpreter: Interpreter, options: argparse.Namespace) -> Iterator[Outcome]:
    """Build for one interpreter and run the parts that need Python."""
    chosen = [name for name in options.only if name not in ("rust", "miri", "tools", "debug")]
    if not chosen:
        return
    version = interpreter.version
    started = time.monotonic()
    try:
        python = env.ready(interpreter, "test", profile=options.profile).python
    except SystemExit as stop:
        # What went wrong was printed; the other interpreters are still worth testing.
        part = Part("build", version, ())
        yield Outcome(part, 0, 1, 0, time.monotonic() - started, str(stop))
        return
    lanes: tuple[list[Part], list[Part]] = ([], [])
    for part in parts(python, version):
        if part.name not in chosen:
            continue
        if part.name == "cpython" and not interpreter.has_suite:
            yield Outcome(part, 0, 1, 0, 0.0, missing_suite(interpreter))
        else:
            lanes[part.name in SECOND_LANE].append(part)
    for outcome in play_lanes([lane for lane in lanes if lane]):
        yield second_chance(outcome)
    if "suites" in chosen and version == SUITES_VERSION:
        yield suites(interpreter)


def rust() -> Part:
    """The tests that need no Python."""
    command = ["cargo", "test", "--quiet", "-p", "aioxide", "-p", "models", "-p", "xtask"]
    return Part("tests", "rust", command)


def extension_units(interpreter: Interpreter) -> Part:
    """The unit tests inside the extension's crate: of what touches no Python.

    An extension leaves Python's functions to the interpreter that loads it. A program of tests has none, so the
    linker is told to leave them open; what is never called is never looked for.
    """
    command = ["cargo", "test", "--quiet", "-p", "aioxide-py", "--lib"]
    flags = "-C relro-level=partial -C link-arg=-Wl,--unresolved-symbols=ignore-all -C link-arg=-Wl,-z,lazy"
    environment = {
        "PYO3_PYTHON": str(interpreter.path),
        "RUSTFLAGS": flags,
        # Other flags build everything anew: not in the folder of the other tests.
        "CARGO_TARGET_DIR": str(BUILD_ROOT / "units"),
    }
    return Part("units", "rust", command, environment)


def bridge(interpreter: Interpreter) -> Part:
    """The examples in the documentation of the bridge; tests/test_extension.py has its tests."""
    command = ["cargo", "test", "--quiet", "--doc", "-p", "aioxide-pyo3", "-p", "aioxide-pyo3-macros"]
    return Part("bridge", "rust", command, {"PYO3_PYTHON": str(interpreter.path)})


def tools(interpreter: Interpreter) -> Part:
    """The tests of ``tools/``, which need no extension."""
    python = environments.ensure(interpreter, "test").python
    return Part("tools", interpreter.version, [python, "-m", "pytest", "-q", "tools"])


def parts(python: Path, version: str) -> Iterator[Part]:
    """Yield what runs on one interpreter, quickest first."""
    stubs = ROOT / "python" / "aioxide"
    modules = [
        ".".join(path.relative_to(ROOT / "python").with_suffix("").parts)
        for path in sorted(stubs.rglob("*.pyi"))
    ]
    stubtest: list[str | Path] = [python, "-m", "mypy.stubtest", *modules]
    stubtest += ["--allowlist", ROOT / "tools" / "stubtest-allowed.txt"]
    yield Part("stubs", version, stubtest, counts=False)
    yield Part("docs", version, [python, "tools/snippets.py"])
    yield pytest("python", python, version, ["tests", "--ignore=tests/conformance"])
    yield pytest("programs", python, version, ["tests/conformance"])
    yield Part("uvloop", version, [python, "tests/conformance/uvloop_suite.py", "-j", "2"])
    yield Part("cpython", version, [python, "tests/conformance/cpython.py", "-j", "2"])


def suites(interpreter: Interpreter) -> Outcome:
    """The programs' own suites, in their own environment; nothing runs beside them, for they keep both cores busy."""
    started = time.monotonic()
    part = Part("suites", interpreter.version, ())
    try:
        python = environments.ensure_suites(interpreter).python
    except (subprocess.CalledProcessError, SystemExit) as error:
        return Outcome(part, 0, 1, 0, time.monotonic() - started, f"no environment: {error}")
    return play(replace(part, command=[python, "tests/conformance/suites.py", "-j", "2"]))


def pytest(name: str, python: Path, version: str, chosen: list[str]) -> Part:
    """A part that pytest runs; it remembers by itself what failed."""
    cache = f"cache_dir={ROOT / '.pytest_cache' / f'{name}-{version}'}"
    command: list[str | Path] = [python, "-m", "pytest", "-q", "-o", cache, *chosen]
    return Part(name, version, command, again=[*command, "--last-failed", "--last-failed-no-failures=none"])


def missing_suite(interpreter: Interpreter) -> str:
    """Say where the standard tests of an interpreter can be had."""
    advice = "use an interpreter that was built with its tests"
    if interpreter.is_distribution:
        advice = f"install libpython{interpreter.version}-testsuite"
    return f"no test.test_asyncio in {interpreter.path}: {advice}"


if __name__ == "__main__":
    sys.exit(main())
