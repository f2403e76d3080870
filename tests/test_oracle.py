"""Thousands of random programs do on aioxide what they do on asyncio, in the same order.

``AIOXIDE_SEEDS=50000`` plays so many programs; ``AIOXIDE_SEED=17`` only that one.
"""

from __future__ import annotations

import collections
import gc
import logging
import os
from itertools import zip_longest

import pytest

from oracle import Face, Player, Program, play

SEEDS = int(os.environ.get("AIOXIDE_SEEDS", "5000"))
CHUNK = 500
ONE = os.environ.get("AIOXIDE_SEED")


@pytest.fixture(autouse=True, scope="module")
def frozen():
    """Each program ends in a collection, which need not look at all that the tests have loaded."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def quiet(caplog):
    """What asyncio logs of errors that nobody reads."""
    caplog.set_level(logging.CRITICAL, logger="asyncio")


@pytest.mark.parametrize("first", [int(ONE)] if ONE else range(0, SEEDS, CHUNK))
def test_a_random_program_has_the_same_trace(first):
    for seed in [first] if ONE else range(first, first + CHUNK):
        program = Program(seed)
        expected, seen = play(program, Face("asyncio")), play(program, Face("aioxide"))
        if seen == expected:
            continue
        at = next(n for n, both in enumerate(zip_longest(expected, seen)) if both[0] != both[1])
        before = "\n".join(map(str, expected[max(at - 15, 0) : at]))
        pytest.fail(f"seed {seed}:\n{before}\nasyncio: {expected[at : at + 2]}\naioxide: {seen[at : at + 2]}")


def test_the_programs_do_much():
    ended: collections.Counter[str] = collections.Counter()
    for seed in range(500):
        for entry in play(Program(seed), Face("aioxide")):
            if isinstance(entry, tuple) and entry[3:4] in (("ends",), ("raises",)):
                ended[entry[2], entry[3]] += 1
    operations = [name.removeprefix("op_") for name in vars(Player) if name.startswith("op_")]
    rare = [name for name in operations if ended[name, "ends"] < 1 and name != "raise"]
    assert rare == []
