"""The documentation says what the program does."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest
from tools.families import FAMILIES, REFUSED

from wherelook.cli.app import run
from wherelook.evaluation.records import SCHEMA
from wherelook.evaluation.rows import MEASURES

ROOT = Path(__file__).parents[2]


def script(name):
    specification = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_command_reference_is_the_commands_own_help():
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == script("generate_cli").reference(), (
        "run: python docs/generate_cli.py"
    )


def test_the_table_of_the_zoo_is_what_the_command_prints(capsys):
    assert run(["zoo", "--json"]) == 0
    table = script("generate_zoo").table(json.loads(capsys.readouterr().out))
    assert (ROOT / "docs" / "zoo.md").read_text(encoding="utf-8").endswith(f"\n\n{table}"), (
        "run: wherelook zoo --json | python docs/generate_zoo.py"
    )


@pytest.mark.parametrize(
    "page", ["README.md", "ARCHITECTURE.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_links_and_files_named_in_the_documentation_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)", text)
    missing = [t for t in targets if "://" not in t and not ((ROOT / page).parent / t).exists()]
    assert not missing


def test_versions_in_the_constraints_satisfy_the_project_file():
    pinned = dict(re.findall(r"^([\w\-]+)==([\w.]+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    required = re.findall(r'^    "([\w\-]+)>=([\d.]+)', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert required
    for name, least in required:
        assert tuple(map(int, pinned[name].split("."))) >= tuple(map(int, least.split("."))), name


def test_the_coverage_table_lists_the_families_that_the_code_knows():
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    works = dict(re.findall(r"^\| `([\w.\-]+)` \| (yes|no) \|", text, re.MULTILINE))
    assert {name for name, answer in works.items() if answer == "yes"} == set(FAMILIES) - set(REFUSED)
    assert set(REFUSED) <= set(works)
    yes = sum(answer == "yes" for answer in works.values())
    assert f"{yes} of {len(works)} families work" in text


def test_the_columns_of_records_are_those_of_the_schema():
    text = (ROOT / "docs" / "runs.md").read_text(encoding="utf-8")
    columns = re.findall(r"^\| `(\w+)` \| ([\w<>:, ]+) \|", text[text.index("## Records") :], re.MULTILINE)
    told = [(field.name, re.sub(r"(element|item): ", "", str(field.type))) for field in SCHEMA]
    assert columns == [column for column in told if column[0] not in MEASURES]
