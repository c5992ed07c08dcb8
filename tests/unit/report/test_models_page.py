"""The page of a study: what it shows, that nothing from data becomes markup, and what fits on it."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import re
from pathlib import Path

import numpy as np
import pytest

from simulated_runs import METHOD, Simulated, four_models, simulate_run
from wherelook.analysis.compare import compare_runs
from wherelook.analysis.results import Comparison
from wherelook.data.datasets import read_samples
from wherelook.data.scenes.files import write_scenes
from wherelook.report.examples import Exhibit, Exhibition, choose_exhibits
from wherelook.report.gallery import items
from wherelook.report.models_page import read_runs, render

EVIL = '<img src=x onerror="document.title=1">'


class Elements(html.parser.HTMLParser):
    """All tags of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        return [own for name, own in self.tags if name == tag and wanted.items() <= own.items()]


def evil_row(number: int) -> dict:
    token = {
        "text": EVIL, "id": 1, "log_prob": -1.0, "log_prob_baseline": -4.0, "llr": 3.0, "selected": True, "word": 0,
    }  # fmt: skip
    return {
        "question": EVIL, "answer": EVIL, "references": [EVIL], "choices": [EVIL, "no"], "flags": [EVIL],
        "blind_answer": EVIL, "tokens": [token], "kind": EVIL, "sample": f"{EVIL}{number}", "judge": EVIL,
    }  # fmt: skip


@pytest.fixture(scope="module")
def compared(tmp_path_factory) -> Comparison:
    """Four models, of which one looks away from the image; with text of an attacker in every column of text."""
    root = tmp_path_factory.mktemp("runs")
    changes = {5: evil_row(5) | {"status": "error", "error": EVIL, "mask": None, "pointing": None}, 6: evil_row(6)}
    folders = []
    for place, about in enumerate(four_models()):
        model = Simulated(**about, looks=0.95 - 0.1 * place, on_evidence=0.6, elsewhere=0.4, focus=place // 2, own=1.0)
        folders.append(simulate_run(root / f"run{place}", model, samples=range(60), kinds=2, changes=changes))
        path = folders[-1] / "run.json"
        record = json.loads(path.read_text())
        record["configuration"] |= {"judge": EVIL, "prompt": EVIL, "settings": {METHOD: {EVIL: EVIL}}}
        record["versions"] = {EVIL: EVIL}
        path.write_text(json.dumps(record))
    return compare_runs(folders)


@pytest.fixture(scope="module")
def page(compared) -> str:
    return render(compared, choose_exhibits(compared, 60), read_runs(compared), title=EVIL, command=EVIL)


def test_what_comes_from_files_and_models_is_text(page):
    assert EVIL not in page
    assert page.count("&lt;img src=x") > 50
    elements = Elements(page)
    assert not elements.all("img")
    assert not [name for _, attributes in elements.tags for name in attributes if name.startswith("on")]


def test_the_page_needs_no_network(page):
    assert "default-src 'none'" in page
    assert not re.search(r"https?://(?!www\.w3\.org)", page)
    addresses = [own.get("href") or own.get("src") for _, own in Elements(page).tags if "href" in own or "src" in own]
    assert addresses
    assert all(address.startswith(("#", "data:image/jpeg;base64,")) for address in addresses)
    assert any(own["href"].startswith("#figure-") for own in Elements(page).all("use"))


@pytest.mark.parametrize("tag", ["style", "script"])
def test_the_policy_allows_exactly_the_inlined_style_and_script(page, tag):
    (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    assert f"{tag}-src 'sha256-{digest}'" in page
    assert not any("style" in attributes for _, attributes in Elements(page).tags)  # the policy refuses these too


def test_names_within_the_page_are_there_once(page):
    elements = Elements(page)
    names = [own["id"] for _, own in elements.tags if own.get("id")]
    assert len(names) == len(set(names))
    links = [own["href"][1:] for own in elements.all("a")]
    assert links
    assert set(links) <= set(names)


def test_every_table_figure_and_line_is_there(compared, page):
    elements = Elements(page)
    assert len(elements.all("table", **{"class": "sortable"})) == 13
    for number in range(1, 14):
        assert f"<b>Table {number}.</b>" in page
    for number in range(1, 7):
        assert f"<b>Figure {number}.</b>" in page
    rows = sum(
        body.count("<tr>") for body in re.findall('<table class="sortable">.*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    )
    reasons = len({(line.model, line.status, line.reason) for line in compared.skipped})
    lines = (compared.models, compared.coverage, compared.reliance, compared.focus, compared.metrics,
             compared.relations, compared.pairs,
             compared.evidence, compared.calibrations, compared.findings)  # fmt: skip
    assert rows == reasons + sum(map(len, lines))


def test_cells_sort_by_their_values_not_by_their_text(compared, page):
    keys = [own["data-key"] for own in Elements(page).all("td") if (own.get("class") or "").startswith("number")]
    assert all(key == "" or float(key) is not None for key in keys)
    assert repr(compared.reliance[0].resting.value) in keys


def test_samples_carry_what_they_are_filtered_by(compared, page):
    elements = Elements(page)
    shown = elements.all("figure", **{"class": "shown"})
    assert len(shown) == 4 * 60
    for line in (line for line in compared.evidence if line.task is None):
        for cell in line.cells:
            wanted = {"data-model": line.model, "data-place": "evidence" if cell.right_place else "elsewhere"}
            wanted["data-answer"] = "right" if cell.right_answer else "wrong"
            assert sum(wanted.items() <= figure.items() for figure in shown) == cell.count
    assert {own["data-filter"] for own in elements.all("select")} == {"place", "answer", "model", "task"}


def test_the_gallery_shows_every_kind_before_it_repeats_many(compared):
    def kinds(exhibition: Exhibition) -> set[tuple]:
        return {
            (model, row["correct"], row["pointing"]) for one in exhibition.exhibits for model, row in one.rows.items()
        }

    few, everything = choose_exhibits(compared, 20), choose_exhibits(compared, 60)
    assert len(few.exhibits) == 20
    assert len(everything.exhibits) == few.samples == 60
    assert kinds(few) == kinds(everything)
    assert choose_exhibits(compared, 0).exhibits == ()


def test_without_the_images_there_are_maps_alone_and_a_reason(compared, page):
    found = choose_exhibits(compared, 3)
    assert [exhibit.pixels for exhibit in found.exhibits] == [None] * 3
    assert found.notes == (
        "scenes: 3 of 3 samples are shown without their image: they are not in the dataset any more, or have changed.",
    )
    assert "samples are shown without their image" in page
    assert Elements(page).all("image")  # the maps


def test_pictures_keep_to_their_budget():
    row = {
        "image_height": 40, "image_width": 60, "kind": "", "question": "", "choices": None, "references": None,
        "flags": None, "status": "ok", "mask": [0.0, 1.0], "mask_height": 1, "mask_width": 2, "tokens": None,
        "correct": None, "pointing": None, "answer": None, "error": None, "reason": None, "judge": None,
        "reliance": None, "blind_answer": None, "blind_correct": None,
    }  # fmt: skip
    evidence = np.zeros((40, 60), bool)
    evidence[10:20, 10:30] = True
    exhibits = [Exhibit("b", str(n), {"m": row}, np.full((40, 60, 3), 90, np.uint8), evidence) for n in range(5)]
    everything = items(exhibits)
    assert len(everything) == 5
    size = len(everything[0]["image"]) + len(everything[0]["shown"][0]["picture"])
    assert len(items(exhibits, budget=3 * size)) == 3
    assert items(exhibits, budget=size - 1) == ()
    points = np.array(re.findall(r"[ML]([\d.]+) ([\d.]+)", everything[0]["outline"]), float)
    scale = everything[0]["width"] / 60
    np.testing.assert_allclose(points.min(axis=0) / scale, [10, 10], atol=1)
    np.testing.assert_allclose(points.max(axis=0) / scale, [30, 20], atol=1)


def test_images_come_from_the_data_set_where_it_is_and_has_not_changed(tmp_path):
    write_scenes(tmp_path / "data", n=3, seed=1)
    samples = list(read_samples(f"scenes:{tmp_path / 'data'}"))[:3]
    changes = {
        place: {"sample": sample.id, "fingerprint": sample.fingerprint if place else "another"}
        for place, sample in enumerate(samples)
    }
    run = simulate_run(
        tmp_path / "run", Simulated("m"), samples=range(3), dataset=f"scenes:{tmp_path / 'data'}", changes=changes
    )
    found = choose_exhibits(compare_runs([run]), 3)
    changed, *same = found.exhibits
    assert changed.pixels is None
    for exhibit, sample in zip(same, samples[1:], strict=True):
        np.testing.assert_array_equal(exhibit.pixels, sample.image.pixels)
        np.testing.assert_array_equal(exhibit.evidence, sample.truth)
    assert len(found.notes) == 1
    assert found.notes[0].startswith("scenes: 1 of 3 samples are shown without their image: they are not")


def test_a_single_model_without_evidence_has_a_page_too(tmp_path):
    nothing = {place: {"pointing": None, "energy": None, "correct": None, "blind_correct": None} for place in range(12)}
    run = simulate_run(tmp_path / "run", Simulated("alone"), samples=range(12), changes=nothing)
    comparison = compare_runs([run])
    page = render(comparison, Exhibition((), 12, ()), read_runs(comparison), title="t", command="c")
    assert "The records hold nothing on this." in page
    assert "<h2>Samples</h2>" not in page
    assert "wherelook run scenes --dtype float32 --method guided-igos:fast --limit 12 --out" in page
    assert Path(comparison.models[0].runs[0]).name in page
