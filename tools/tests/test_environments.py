"""Interpreters and environments: found once, installed once."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

import distribution
import interpreters

SOME = interpreters.Interpreter("3.11", "3.11.9", Path("/usr/bin/python3.11"), True, True)


def test_the_running_interpreter_is_recognised():
    found = interpreters.probe(Path(sys.executable))
    assert found is not None
    assert found.full_version == sys.version.split()[0]


@pytest.mark.parametrize("text", ["exit 1", "echo no json; exit 3"])
def test_what_does_not_run_is_not_an_interpreter(tmp_path: Path, text: str):
    shim = tmp_path / "python3.13"
    shim.write_text(f"#!/bin/sh\n{text}\n")
    shim.chmod(0o755)
    assert interpreters.probe(shim) is None


def test_the_override_alone_is_looked_at(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AIOXIDE_PYTHONS", sys.executable)
    assert list(interpreters.candidates()) == [Path(sys.executable)]


def test_versions_are_ordered_as_numbers():
    versions = [replace(SOME, version=version) for version in ("3.11", "3.9", "3.13")]
    ordered = sorted(versions, key=lambda interpreter: interpreter.sort_key)
    assert [interpreter.version for interpreter in ordered] == ["3.9", "3.11", "3.13"]


def test_only_the_distribution_is_completed_by_its_packages():
    bare = replace(SOME, has_suite=False, has_venv=False)
    assert distribution.packages(bare) == ["python3.11-venv", "libpython3.11-testsuite"]
    assert distribution.packages(replace(bare, path=Path("/opt/python/bin/python"))) == []
    assert distribution.packages(SOME) == []
