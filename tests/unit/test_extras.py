"""What messages tell to install exists, wherever wherelook came from."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from wherelook.errors import EXTRAS, how_to_install

ROOT = Path(__file__).parents[2]


def test_extras_are_those_of_the_project():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert {name: [text] for name, text in EXTRAS.items()} == {name: extras[name] for name in EXTRAS}
    assert extras.keys() - EXTRAS.keys() == {"dev"}


@pytest.mark.parametrize("extra", EXTRAS)
def test_no_package_is_named_that_an_index_does_not_have(extra):
    assert (
        how_to_install(extra)
        == f"pip install '{EXTRAS[extra]}', or in a checkout of wherelook: pip install -e '.[{extra}]'"
    )


def test_nothing_names_an_extra_of_a_package_on_an_index():
    texts = [*ROOT.glob("src/**/*.py"), *ROOT.glob("docs/*.md"), ROOT / "README.md"]
    assert [path.name for path in texts if "wherelook[" in path.read_text(encoding="utf-8")] == []
