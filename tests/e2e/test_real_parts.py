"""Real tokenizers, processors' settings and chat templates: a look at some folders of `make real-parts`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tools.real_parts.checks import run_checks
from tools.real_parts.folders import FOLDERS, QUICK, build_folder
from tools.real_parts.tokenizers import is_fetched

CACHE = Path(os.environ.get("WHERELOOK_REAL_PARTS", Path(__file__).parents[2] / ".real-parts"))


def test_every_folder_of_the_quick_look_exists():
    assert set(QUICK) <= set(FOLDERS)
    assert len(FOLDERS) >= 14


@pytest.mark.parametrize("name", QUICK)
def test_prompt_answers_and_words_with_real_parts(name):
    if not is_fetched(CACHE / "tokenizers"):
        pytest.skip(f"no tokenizers in {CACHE}: `make real-parts` downloads them")
    folder = build_folder(name, CACHE / "tokenizers", CACHE / "folders" / name)
    wrong = run_checks(folder, quick=True)
    assert {"prompt", "given", "generated", "words"} == set(wrong)
    assert not any(wrong.values()), wrong
