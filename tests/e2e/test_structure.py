"""Sizes that keep the code readable: of functions, of their parameters, and of calls by position."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "wherelook"
LINES, PARAMETERS, POSITIONAL = 60, 12, 4
FILES = {str(path.relative_to(SOURCE)): ast.parse(path.read_text()) for path in sorted(SOURCE.rglob("*.py"))}
CLASSES = {node.name for tree in FILES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its signature and its docstring."""
    first = function.body[bool(ast.get_docstring(function)) : 1 + bool(ast.get_docstring(function))]
    return (function.end_lineno or 0) - first[0].lineno + 1 if first else 0


@pytest.mark.parametrize("file", FILES)
def test_functions_and_calls_stay_small(file):
    tree = FILES[file]
    found = []
    for function in functions(tree):
        taken = function.args
        count = sum(one.arg not in ("self", "cls") for one in (*taken.posonlyargs, *taken.args, *taken.kwonlyargs))
        if count > PARAMETERS:
            found.append(f"{function.name} takes {count} parameters")
        if (lines := body_lines(function)) > LINES:
            found.append(f"{function.name} has {lines} lines")
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = getattr(call.func, "id", getattr(call.func, "attr", ""))
        if name in CLASSES and len(call.args) > POSITIONAL:
            found.append(f"line {call.lineno}: {name} is made of {len(call.args)} positional arguments")
    assert not found


OUTSIDE = [path for folder in ("benchmarks", "tools", "training", "examples") for path in (ROOT / folder).rglob("*.py")]


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: str(path.relative_to(ROOT)))
def test_scripts_that_no_test_runs_import_what_exists(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "wherelook":
            module = importlib.import_module(node.module)
            for name in (alias.name for alias in node.names):
                assert hasattr(module, name) or importlib.import_module(f"{node.module}.{name}")
