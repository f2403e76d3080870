"""A part is judged by its exit status and by the counts it prints."""

from __future__ import annotations

import sys
from dataclasses import replace

import parts
from parts import Part


def part(code: str, *, counts: bool = True, minutes: float = 1) -> Part:
    """Make a part that runs ``code``."""
    return Part("x", "3.X", [sys.executable, "-c", code], counts=counts, minutes=minutes)


def results(outcome: parts.Outcome) -> tuple[int, int, int]:
    """Return passed, failed, skipped."""
    return outcome.passed, outcome.failed, outcome.skipped


def test_the_last_line_with_counts_is_the_result():
    outcome = parts.play(part("print('a: 9 passed'); print('2 passed, 1 skipped in 0.1s')"))
    assert results(outcome) == (2, 0, 1)


def test_a_part_that_ran_no_test_has_failed():
    outcome = parts.play(part("print('nothing to do')"))
    assert results(outcome) == (0, 1, 0)
    assert outcome.remark == "ran no test"


def test_a_part_that_dies_has_failed_whatever_it_counted():
    outcome = parts.play(part("print('5 passed'); raise SystemExit(3)"))
    assert results(outcome) == (5, 1, 0)


def test_failures_are_counted_once():
    outcome = parts.play(part("print('1 failed, 5 passed'); raise SystemExit(1)"))
    assert results(outcome) == (5, 1, 0)


def test_a_part_without_counts_is_one_test():
    assert results(parts.play(part("pass", counts=False))) == (1, 0, 0)
    assert results(parts.play(part("exit(1)", counts=False))) == (0, 1, 0)


def test_every_program_of_cargo_counts():
    lines = [
        "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured",
        "test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured",
    ]
    outcome = parts.judge(part("pass"), 0, lines, 0.0)
    assert results(outcome) == (7, 0, 1)


def test_a_hung_part_is_ended():
    outcome = parts.play(part("import time; time.sleep(60)", minutes=0.005))
    assert outcome.failed == 1
    assert outcome.remark.startswith("ended after")


def test_the_total_is_the_sum():
    outcomes = [parts.judge(part(""), 0, [line], 0.0) for line in ("1 passed", "2 passed")]
    assert parts.total(outcomes) == "3 passed, 0 failed, 0 skipped"


def test_lanes_run_side_by_side_and_each_in_order(capsys):
    lanes = [[part("print('1 passed')"), part("print('2 failed'); exit(1)")], [part("print('3 passed')")]]
    assert [results(outcome) for outcome in parts.play_lanes(lanes)] == [(1, 0, 0), (0, 2, 0), (3, 0, 0)]
    shown = capsys.readouterr().out
    assert shown.index("1 passed") < shown.index("2 failed")
    assert "3 passed" in shown


def test_what_failed_has_a_second_chance():
    first = part("print('2 failed, 5 passed'); exit(1)")
    first = replace(first, again=[sys.executable, "-c", "print('1 failed, 1 passed'); exit(1)"])
    outcome = parts.second_chance(parts.play(first))
    assert results(outcome) == (6, 1, 0)
    assert outcome.remark == "1 passed only alone"


def test_what_crashed_has_none():
    for code in ("import os; print('1 failed'); os.abort()", "raise SystemExit(3)"):
        first = replace(part(code), again=[sys.executable, "-c", "print('1 passed')"])
        assert parts.second_chance(parts.play(first)).failed == 1
