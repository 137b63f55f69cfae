"""How the house is measured: its files, their imports, the sizes of their functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "proxy"
FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in FILES}

Function = ast.FunctionDef | ast.AsyncFunctionDef
BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)


def place(path: Path, node: ast.AST | None = None) -> str:
    relative = path.relative_to(PACKAGE).as_posix()
    return relative if node is None else f"{relative}:{getattr(node, 'lineno', '?')}"


def layer_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "__version__" if first == "__init__" else first


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def lines_of(node: Function) -> int:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return (node.end_lineno or node.lineno) - first + 1


def modules_named(path: Path, tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Every module that a file imports, wherever in it, with relative imports resolved."""
    package = ("proxy", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (start, node.module) if part)
            if module == "proxy":
                for alias in node.names:
                    yield node, f"proxy.{alias.name}"
            else:
                yield node, module


def depth_of(node: ast.AST, blocks: int = 0) -> int:
    """How deep blocks stand in blocks; an `elif` is no deeper than its `if`, a function of its own starts anew."""
    deepest = blocks
    for name, value in ast.iter_fields(node):
        children = value if isinstance(value, list) else [value]
        for child in children:
            if not isinstance(child, ast.AST) or isinstance(child, (*Function.__args__, ast.ClassDef, ast.Lambda)):
                continue
            is_elif = name == "orelse" and isinstance(node, ast.If) and len(children) == 1 and isinstance(child, ast.If)
            inner = isinstance(child, BLOCKS) and not is_elif
            deepest = max(deepest, depth_of(child, blocks + inner))
    return deepest


def parameters_of(node: Function) -> int:
    named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    if named and named[0].arg in ("self", "cls"):
        named = named[1:]
    return len(named)
