"""The runners tell the truth: a crash, a hang and a wrong list entry each fail the run."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from expectations import Expectations
from records import Outcome, Record
from supervision import Job, ModuleRun, run_module

PASSED, FAILED = Record(Outcome.PASSED), Record(Outcome.FAILED, "because")
SKIPPED = Record(Outcome.SKIPPED)


def listing(folder: Path, text: str) -> Expectations:
    """Return the list that ``text`` describes."""
    path = folder / "list.toml"
    path.write_text(textwrap.dedent(text))
    return Expectations(path)


def fails(folder: Path, *tests: str, more: str = "") -> Expectations:
    """Return a list with one entry."""
    names = ", ".join(f'"{test}"' for test in tests)
    return listing(folder, f'[[fails]]\nreason = "it is for testing"\ntests = [{names}]\n{more}\n')


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A suite whose shim redirects nothing; its modules are made by the tests."""
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "plain_shim.py").write_text(
        "def prepare(loops, module): return module\ndef adjust(loops, tests): pass\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


def run(suite: Path, body: str, **options: object) -> ModuleRun:
    """Run a module of one test class with this body."""
    text = f"import ctypes, os, threading, time, unittest\nclass T(unittest.TestCase):\n{body}"
    (suite / "test_it.py").write_text(textwrap.dedent(text))
    job = Job(shim="plain_shim", subject="asyncio", **options)  # type: ignore[arg-type]
    return run_module(job, "test_it")


def outcomes(done: ModuleRun) -> dict[str, str]:
    """Return how each test ended."""
    return {name: record.outcome.value for name, record in done.results.items()}


def test_an_unlisted_failure_is_a_surprise(tmp_path: Path) -> None:
    (surprise,) = fails(tmp_path, "test_a.T.x").surprises({"test_a.T.y": FAILED})
    assert (surprise.test, surprise.what) == ("test_a.T.y", "failed")


@pytest.mark.parametrize("record", [PASSED, SKIPPED])
def test_a_listed_test_that_does_not_fail_is_a_surprise(tmp_path: Path, record: Record) -> None:
    found = fails(tmp_path, "test_a.T.x")
    assert [s.test for s in found.surprises({"test_a.T.x": record})] == ["test_a.T.x"]
    assert found.surprises({"test_a.T.x": FAILED}) == []


def test_an_entry_without_its_test_is_a_surprise(tmp_path: Path) -> None:
    found = fails(tmp_path, "test_a.T.x", "test_b.T.x")
    assert [s.test for s in found.missing(["test_a.T.y"], ["test_a"])] == ["test_a.T.x"]
    assert found.missing(["test_a.T.x"], ["test_a"]) == []


def test_a_pattern_without_match_is_a_surprise(tmp_path: Path) -> None:
    text = '[[leave_out]]\nreason = "it is for testing"\ntests = ["test_a.T.*"]\n'
    found = listing(tmp_path, text)
    assert found.is_left_out("test_a.T.x") and not found.is_left_out("test_a.U.x")
    assert [s.test for s in found.missing(["test_a.U.x"], ["test_a"])] == ["test_a.T.*"]
    assert found.missing(["test_a.T.x"], ["test_a"]) == []


@pytest.mark.parametrize(
    "text",
    [
        '[[fails]]\nreason = ""\ntests = ["test_a.T.x"]',
        '[[fails]]\nreason = "fails"\ntests = ["test_a.T.x"]',
        '[[fails]]\nreason = "it is for testing"\ntests = []',
        '[[fails]]\nreason = "it is for testing"\ntests = ["test_a.T.*"]',
        '[[fails]]\nreason = "it is for testing"\ntests = ["test_a.T.x"]\nflaky = true',
        '[[fails]]\nreason = "it is for testing"\ntests = ["test_a.T.x"]\npython = "3.12"',
        '[[fails]]\nreason = "it is for testing"\ntests = ["test_a.T.x", "test_a.T.x"]',
        '[[flaky]]\nreason = "it is for testing"\ntests = ["test_a.T.x"]',
    ],
)
def test_a_careless_list_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"list\.toml|version"):
        listing(tmp_path, text)


def test_an_entry_counts_on_its_versions_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("expectations.sys.version_info", (3, 12, 1))
    for conditions, counts in {
        ">=3.12": True,
        ">=3.13": False,
        "<3.12": False,
        ">=3.11, <3.13": True,
        "==3.12": True,
    }.items():
        found = fails(tmp_path, "test_a.T.x", more=f'python = "{conditions}"')
        assert bool(found.fails) is counts, conditions


def test_an_entry_counts_only_where_something_is_lacking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for there in (True, False):
        monkeypatch.setattr("capabilities.has", lambda name, there=there: there)
        found = fails(tmp_path, "test_a.T.x", more='lacking = "ipv6"')
        assert bool(found.fails) is not there


def test_every_test_has_its_outcome(suite: Path) -> None:
    done = run(
        suite,
        """
    def test_pass(self): pass
    def test_fail(self): self.fail()
    def test_skip(self): self.skipTest("no")
    def test_sub(self):
        for number in range(3):
            with self.subTest(number=number): self.assertNotEqual(number, 1)
    @unittest.expectedFailure
    def test_unexpected_success(self): pass
    """,
    )
    assert outcomes(done) == {
        "test_it.T.test_pass": "passed",
        "test_it.T.test_fail": "failed",
        "test_it.T.test_skip": "skipped",
        "test_it.T.test_sub": "failed",
        "test_it.T.test_unexpected_success": "failed",
    }


def test_a_crash_costs_one_test(suite: Path) -> None:
    done = run(
        suite,
        """
    def test_1(self): pass
    def test_2(self): ctypes.string_at(0)
    def test_3(self): pass
    """,
    )
    assert list(outcomes(done).values()) == ["passed", "failed", "passed"]
    assert "SIGSEGV" in done.results["test_it.T.test_2"].detail


def test_a_hang_costs_one_test(suite: Path) -> None:
    done = run(
        suite,
        """
    def test_1(self): threading.Event().wait()
    def test_2(self): pass
    """,
        test_limit=1,
    )
    assert list(outcomes(done).values()) == ["failed", "passed"]
    assert "in test_1" in done.results["test_it.T.test_1"].detail


def test_a_module_out_of_time_fails(suite: Path) -> None:
    done = run(
        suite,
        """
    def test_1(self): time.sleep(60)
    def test_2(self): pass
    """,
        module_limit=1,
    )
    assert list(outcomes(done).values()) == ["failed", "failed"]


def test_a_crash_after_the_last_test_fails(suite: Path) -> None:
    done = run(
        suite,
        """
    def test_1(self):
        import atexit
        atexit.register(os._exit, 7)
    """,
    )
    assert outcomes(done)["test_it (process)"] == "failed"


def test_a_module_that_does_not_import_fails(suite: Path) -> None:
    done = run(suite, "    x = 1 / 0")
    assert outcomes(done) == {"test_it (process)": "failed"}
    assert "ZeroDivisionError" in done.results["test_it (process)"].detail


def test_class_fixtures_count_for_their_tests(suite: Path) -> None:
    body = "    @classmethod\n    def setUpClass(cls): {}\n    def test_1(self): pass"
    done = run(suite, body.format("raise unittest.SkipTest('no')"))
    assert outcomes(done) == {"test_it.T.test_1": "skipped"}
    done = run(suite, body.format("1 / 0"))
    assert outcomes(done)["test_it.T.test_1"] == "failed"


def test_left_out_tests_do_not_run(suite: Path) -> None:
    done = run(suite, "    def test_1(self): os._exit(1)", left_out=("test_it.T.*",))
    assert (outcomes(done), done.left_out) == ({}, 1)
