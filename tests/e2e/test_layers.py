"""The rules about imports hold for every package of the project, and for modules that nobody has written yet."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FENCES = {"transformers": {"models"}, "ray": {"evaluation"}}
PACKAGES = sorted(path.parent.name for path in (ROOT / "src" / "wherelook").glob("*/__init__.py"))


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> str:
    """What import-linter says of a copy of the project with a module in every package that imports what it must not."""
    copy = tmp_path_factory.mktemp("copy")
    source = copy / "src" / "wherelook"
    shutil.copytree(ROOT / "src" / "wherelook", source, ignore=shutil.ignore_patterns("*.safetensors", "__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    for package in PACKAGES:
        upward = "from wherelook.cli import app\n" if package != "cli" else ""
        fenced = "".join(f"import {name}\n" for name in FENCES)
        (source / package / "planted.py").write_text(f'"""Planted."""\n\n{upward}{fenced}')
    (source / "stranger.py").write_text('"""A module that no rule knows."""\n')
    found = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1
    return found.stdout


def test_a_module_that_no_rule_knows_is_an_error(report):
    assert "wherelook.stranger" in report


def test_packages_are_found():
    assert {"attribution", "cli", "data", "models", "report"} <= set(PACKAGES)


@pytest.mark.parametrize("package", [name for name in PACKAGES if name != "cli"])
def test_no_package_may_import_what_lies_above_it(package, report):
    assert f"wherelook.{package}.planted -> wherelook.cli.app" in report


@pytest.mark.parametrize("library", FENCES)
@pytest.mark.parametrize("package", PACKAGES)
def test_a_library_behind_a_fence_is_imported_there_alone(package, library, report):
    assert (f"wherelook.{package}.planted -> {library} " in report) == (package not in FENCES[library])
