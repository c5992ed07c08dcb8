"""The page of an evaluation."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re

import numpy as np
import pytest

from wherelook.analysis import method_table
from wherelook.report import methods_page

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def rows() -> list[dict]:
    found = []
    for sample in ("1", "2"):
        for run, height in (("guided-igos:best", 0.9), ("random:best", 0.5)):
            mask = np.zeros((7, 7))
            mask[2, 3] = 1
            found.append(
                {
                    "sample": sample, "run": run, "status": "ok", "question": EVIL, "answer": EVIL, "error": None,
                    "insertion": height, "deletion": 1 - height, "pointing": 1.0, "forward": 5, "backward": 5,
                    "seconds": 0.1, "peak_bytes": 1e8, "mask": mask.flatten().tolist(),
                    "mask_height": 7, "mask_width": 7,
                }
            )  # fmt: skip
    wrong = {"sample": "3", "status": "wrong_answer", "error": None, "answer": "blue"}
    found += [wrong | {"run": run} for run in ("guided-igos:best", "random:best")]
    found[-3] |= {"status": "error", "error": EVIL, "mask": None}
    return found


@pytest.fixture
def page(rows) -> str:
    gallery = [
        ("1", EVIL, EVIL, np.full((30, 40, 3), 99, dtype=np.uint8)),
        ("2", "Why?", "So.", np.zeros((8, 8, 3), np.uint8)),
    ]
    return methods_page.render(rows, ["guided-igos:best", "random:best"], title=EVIL, command=EVIL, gallery=gallery)


def test_what_comes_from_files_and_models_is_text(page):
    assert EVIL not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_page_needs_no_network_and_runs_nothing(page):
    assert "default-src 'none'" in page
    assert not re.search(r"<script|https?://(?!www\.w3\.org)", page)


def test_the_policy_allows_exactly_the_inlined_style(page):
    (style,) = re.findall("<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in page
    assert "script-src" not in page
    assert " style=" not in page  # the policy refuses style attributes too


def test_every_map_of_the_gallery_is_shown_and_a_missing_one_says_why(page):
    assert page.count("data:image/jpeg;base64,") == 2 + 3  # two images, three maps; the fourth failed
    assert page.count("no map: error") == 1
    reasons = page[page.index("What has no map") :]
    assert "wrong_answer" in reasons
    assert "no run was tried" in reasons


def test_the_gallery_ends_after_twelve_samples(rows):
    pixels = np.zeros((8, 8, 3), np.uint8)
    endless = ((str(index), "Why?", "So.", pixels) for index in itertools.count())
    page = methods_page.render(rows, ["guided-igos:best"], title="t", command="c", gallery=endless)
    assert page.count("<article") == methods_page.GALLERY == 12


def test_the_best_is_marked_and_the_same_summaries_give_the_same_page(rows):
    runs = ["guided-igos:best", "random:best"]
    made = methods_page.render(rows, runs, title="t", command="c", gallery=[])
    given = methods_page.render(
        rows, runs, title="t", command="c", gallery=[], summaries=method_table.summarize(rows, runs)
    )
    assert made == given
    (insertion,) = re.findall(r'<td class="number best"[^>]*data-key="0.9"><bdi>([^<]*)</bdi>', made)
    assert insertion == "0.900"  # of guided-igos
    assert not re.search(r'<td class="number best"[^>]*><bdi>0.500', made)
    assert made.index("guided-igos:best") < made.index("random:best")


def test_a_run_that_fails_its_sanity_check_is_marked(rows):
    runs = ["guided-igos:best", "random:best"]
    summaries = method_table.summarize(rows, runs, {"guided-igos:best": "fails"})
    page = methods_page.render(rows, runs, title="t", command="c", gallery=[], summaries=summaries)
    tables = re.findall("<tbody>(.*?)</tbody>", page, re.DOTALL)[:3]
    for table in tables:
        first, second = table.split("<tr>")[1:]
        assert '<bdi>guided-igos:best</bdi><span class="detail">fails sanity</span>' in first
        assert "fails" not in second
    first, second = tables[-1].split("<tr>")[1:]
    assert "<bdi>fails</bdi>" in first
    assert "<bdi>not checked</bdi>" in second


def test_metrics_stand_in_tables_by_what_they_have_in_common(page):
    captions = re.findall(r"<b>Table \d+.</b> ([^<]*)</figcaption>", page)
    assert captions == [
        "Localization.",
        "Deletion and insertion.",
        "Cost of a map, and what became of every answer.",
        "Answers without a map, most frequent reason first.",
    ]
    assert page.count("<svg") == 2  # cost against insertion and against deletion


def test_characters_that_reorder_or_cannot_be_encoded_are_spelled_out(rows):
    page = methods_page.render(rows, ["guided-igos:best"], title="a\u202eb\ud800", command="c", gallery=[])
    page.encode("utf-8")
    assert "⟨U+202E⟩b⟨U+D800⟩" in page


def test_a_page_without_rows_says_that_nothing_can_be_compared():
    page = methods_page.render([], ["guided-igos:best"], title="t", command="c", gallery=[])
    assert "nothing can be compared" in page
