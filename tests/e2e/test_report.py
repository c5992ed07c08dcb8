"""`wherelook report`: a run becomes a page; and the page in a browser."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulated_runs import Simulated, four_models, simulate_run

EVIL = "<img src=x onerror=\"document.title='run'\">"
TOKEN = {"text": EVIL, "id": 1, "log_prob": -1.0, "log_prob_baseline": -4.0, "llr": 3.0, "selected": True, "word": 0}
BROWSER = os.environ.get("WHERELOOK_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture
def runs(tmp_path) -> list[Path]:
    """Four simulated models, the answer to one sample with markup."""
    changes = {3: {"answer": EVIL, "question": EVIL, "tokens": [TOKEN]}}
    return [
        simulate_run(
            tmp_path / f"run{place}",
            Simulated(**model, on_evidence=0.6, elsewhere=0.4, looks=0.8),
            samples=range(30),
            kinds=2,
            changes=changes,
        )
        for place, model in enumerate(four_models())
    ]


def test_a_page_with_tables(command, runs, tmp_path):
    code, output, error = command(
        "report", *runs, "--out", "pages/page.html", "--figures", "figures", "--gallery", 4, "--title", "My <study>"
    )
    assert (code, error) == (0, "")
    assert output.splitlines()[-2:] == ["report     pages/page.html", "figures    figures"]
    page = (tmp_path / "pages" / "page.html").read_text(encoding="utf-8")
    assert "<title>My &lt;study&gt; · wherelook</title>" in page
    assert page.count('<article class="sample"') == 4
    assert "wherelook report" in page
    assert {"compare.json", "evidence.csv", "evidence.parquet", "tables.md", "cells.svg", "cells.pdf"} <= {
        path.name for path in (tmp_path / "figures").iterdir()
    }


def test_results_as_json(command, runs):
    code, output, _ = command("report", runs[0], "--out", "page.html", "--gallery", 2, "--json")
    found = json.loads(output)
    assert code == 0
    assert (found["page"], found["samples"], found["shown"], found["figures"]) == ("page.html", 30, 2, None)


def test_the_same_runs_give_the_same_page(command, runs, tmp_path):
    pages = []
    for _ in range(2):
        command("report", *runs[:2], "--out", "page.html", "--gallery", 3)
        pages.append((tmp_path / "page.html").read_bytes())
    assert pages[0] == pages[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere holds no run: expected run.json and records/, as `wherelook run` writes them"),
        (["run0", "--out", "."], "--out '.' is a folder; expected the name of a file, such as report.html"),
        (["run0", "--method", "rise:best"], "not all runs have method 'rise:best'; common: guided-igos:fast"),
    ],
)
def test_what_cannot_be_reported(command, runs, arguments, message):
    code, output, error = command("report", *arguments)
    assert (code, output, error.strip()) == (2, "", f"wherelook: {message}")


@pytest.fixture
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    if BROWSER is None:
        pytest.skip("needs a Chromium: on the path, or named by WHERELOOK_BROWSER")
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu", "--single-process", "--no-zygote"]
        )
        yield opened
        opened.close()


def test_the_page_works_in_a_browser_without_a_network(command, runs, tmp_path, browser):
    command("report", *runs, "--out", "page.html", "--gallery", 30, "--title", "Study")
    page = browser.new_context(offline=True, viewport={"width": 420, "height": 900}).new_page()
    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.goto((tmp_path / "page.html").as_uri())
    assert page.title() == "Study · wherelook"  # the markup in the answer did not run
    assert page.locator("img").count() == 0
    assert page.locator(".answer", has_text=EVIL).count() == 4
    assert page.evaluate("document.documentElement.scrollWidth") == 420

    table = page.locator("#reliance table.sortable").first
    head = table.locator("th", has_text="Grounded answers")
    column = head.evaluate("head => head.cellIndex")
    values = f"table => [...table.tBodies[0].rows].map(row => Number(row.cells[{column}].dataset.key))"
    before = table.evaluate(values)
    head.locator("button").click()
    rising = table.evaluate(values)
    head.locator("button").click()
    assert rising == sorted(before) != before
    assert table.evaluate(values) == sorted(before, reverse=True)
    assert head.get_attribute("aria-sort") == "descending"

    figures = page.locator("#samples .shown")
    assert figures.count() == 4 * 30
    page.select_option("[data-filter=place]", "=evidence")
    page.select_option("[data-filter=answer]", "=wrong")
    wanted = page.locator('#samples .shown[data-place="evidence"][data-answer="wrong"]').count()
    assert 0 < wanted == page.locator("#samples .shown:visible").count()
    samples = page.locator("article.sample:visible").count()
    assert page.locator("#matching").inner_text() == f"{samples} of 30 samples"
    page.select_option("[data-filter=model]", "=One 7B")
    assert set(page.locator("#samples .shown:visible").evaluate_all("all => all.map(one => one.dataset.model)")) == {
        "One 7B"
    }
    assert messages == []
