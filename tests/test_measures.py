"""The measures of the house, on small pieces whose answer is known."""

from __future__ import annotations

import ast

import pytest
from measures import Function, depth_of, lines_of, parameters_of

DEPTHS = [
    ("def f():\n    pass\n", 0),
    ("def f():\n    if a:\n        pass\n    elif b:\n        pass\n    else:\n        pass\n", 1),
    ("def f():\n    for a in b:\n        if a:\n            pass\n", 2),
    ("def f():\n    if a:\n        pass\n    else:\n        if b:\n            pass\n        c()\n", 2),
    (
        "def f():\n    try:\n        pass\n    except E:\n        while a:\n            with b:\n                pass\n",
        3,
    ),
    ("def f():\n    if a:\n        def g():\n            if b:\n                pass\n", 1),
]


@pytest.mark.parametrize(("source", "depth"), DEPTHS)
def test_the_measure_of_depth_counts_blocks(source: str, depth: int) -> None:
    assert depth_of(ast.parse(source).body[0]) == depth


@pytest.mark.parametrize(
    ("source", "count"),
    [("def f(): pass", 0), ("def f(self, a, b=1, *c, d, e=2, **g): pass", 4), ("async def f(cls, a, /, b): pass", 2)],
)
def test_the_measure_of_parameters_counts_keyword_only_ones(source: str, count: int) -> None:
    node = ast.parse(source).body[0]
    assert isinstance(node, Function)
    assert parameters_of(node) == count


@pytest.mark.parametrize(
    ("source", "lines"),
    [("def f(): pass", 1), ('def f():\n    """Say."""\n\n    pass\n\n\n', 4), ("@a\n@b\ndef f():\n    pass", 4)],
)
def test_the_measure_of_lines_counts_decorators_and_docstrings(source: str, lines: int) -> None:
    node = ast.parse(source).body[0]
    assert isinstance(node, Function)
    assert lines_of(node) == lines
