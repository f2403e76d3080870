"""Snippets are found, run and compared with what the page says they print."""

from __future__ import annotations

from pathlib import Path

import pytest

import snippets
from snippets import Snippet

PAGE = """\
Text.

```python plain
print("a")
```

```output
a
```

```sh
ls
```

```python
print("b")
```
"""


def found(text: str) -> list[Snippet]:
    """Return the snippets of a page with this text."""
    return list(snippets.snippets(Path("page.md"), text))


def snippet(code: str, *words: str, output: str | None = None) -> Snippet:
    """Make a snippet."""
    return Snippet(Path("page.md"), 1, words, code, output)


def test_blocks_of_python_are_found_with_their_output():
    first, second = found(PAGE)
    assert (first.line, first.words, first.code, first.output) == (
        3, ("plain",), 'print("a")\n', "a\n",
    )  # fmt: skip
    assert (second.line, second.output) == (15, None)


def test_a_snippet_that_fails_is_told_with_its_traceback():
    assert "ZeroDivisionError" in snippets.run(snippet("1 / 0", "plain"))


def test_a_snippet_that_prints_something_else_is_told():
    good = snippet("print(1)", "plain", output="1\n")
    bad = snippet("print(1)", "plain", output="2\n")
    assert snippets.run(good) == ""
    assert "instead of" in snippets.run(bad)


def test_a_fragment_is_compiled_only():
    assert snippets.run(snippet("undefined(", "fragment")) != ""
    assert snippets.run(snippet("undefined()", "fragment")) == ""


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("took ... s\n", "took 1.25 s\n", True),
        ("took ... s\n", "took 1.25 ms\n", False),
        ("a\n", "a\nb\n", False),
        ("(a)\n", "(a)\n", True),
    ],
)
def test_dots_stand_for_anything_on_a_line(expected: str, printed: str, same: bool):
    assert snippets.matches(expected, printed) is same
