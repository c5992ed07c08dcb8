"""A comparison as text, tables and JSON."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from xml.etree import ElementTree

import pandas
import pytest

from simulated_runs import Simulated, simulate_run
from wherelook.analysis.compare import compare_runs
from wherelook.errors import InputError
from wherelook.report import formatting
from wherelook.report.comparison_text import to_text
from wherelook.report.files import to_record, write_comparison
from wherelook.report.tables import COLUMNS, make_tables

LONG = "llava-onevision-qwen2-72b-ov-chat-hf"
BROKEN = {
    "status": "error",
    "error": "=boom\x1b[31m",
    "words": None,
    "relevant_words": None,
    "correct": None,
    "mask": None,
}


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    models = Simulated(LONG, "LlavaOnevision", on_evidence=0.0), Simulated("b", "Two", looks=0.8)
    models = *models, Simulated("c", "Two", 13_000_000_000)
    (folder / "people.csv").write_text("sample,verdict\ns0,no\ns1,yes\n")
    changes = {3: BROKEN} | {place: {"answer": "a dog", "judge": "exact"} for place in (0, 1, 2)}
    runs = [simulate_run(folder / model.name, model, samples=range(20), kinds=2, changes=changes) for model in models]
    return compare_runs(runs, measure="top-overlap", verdicts={str(runs[1]): folder / "people.csv"})


@pytest.fixture(autouse=True)
def quick_pdf(monkeypatch):
    """Fonts of a PDF take a second each; `test_plots` makes real ones."""
    monkeypatch.setattr("wherelook.report.files.to_pdf", lambda figure: b"%PDF-")


def test_the_text_fits_its_width_and_holds_nothing_that_steers_a_terminal(comparison):
    text = to_text(comparison, 120)
    assert max(map(len, text.splitlines())) <= 120
    assert "\x1b" not in text
    assert LONG not in text.split("Coverage")[0].split("Parameters")[1]  # words are wrapped


@pytest.mark.parametrize("width", [None, 40, 100])
def test_no_number_is_wrapped_or_cut(comparison, width):
    lines = [line.split() for line in to_text(comparison, width).splitlines()]
    for line in comparison.reliance:
        figures = [one for one in (line.resting, line.tokens_resting, line.accuracy) if one is not None]
        shown = [word for one in figures for word in formatting.text(one, "percent").replace("\xa0%", "").split()]
        assert any("".join(shown) in "".join(words) for words in lines)


def test_where_there_is_no_terminal_a_row_is_a_line(comparison):
    text = to_text(comparison)
    assert f"{LONG}  LlavaOnevision" in text
    for line in comparison.pairs:
        start = f"{line.first}  {line.second}".split()
        assert any(words[: len(start)] == start for words in map(str.split, text.splitlines()))


def test_every_test_is_printed_with_its_name_n_and_assumptions(comparison):
    text = " ".join(to_text(comparison).split())
    for finding in comparison.findings:
        assert f"{finding.subject}, scenes: {finding.asked} {finding.test.name}, n = {finding.test.n}" in text
        assert f"{finding.test.name}: {finding.test.assumptions}" in text
    assert f"Holm's correction over all {len(comparison.findings)} tests" in text


def test_what_is_not_compared_is_printed(comparison):
    text = " ".join(to_text(comparison).split())
    assert f"{LONG} error 1 =boom\\x1b[31m s3" in text
    for note in comparison.notes:
        assert note in text


def test_who_judged_is_printed(comparison):
    text = " ".join(to_text(comparison).split())
    (line,) = comparison.judges
    assert "judged by a file of verdicts instead of the run's rule" in text
    assert f"b human 3 2 {line.both} " in text
    assert f"exact {line.file}" in text


@pytest.mark.usefixtures("undrawn")
def test_tables_read_back_as_they_were(comparison, tmp_path):
    write_comparison(comparison, tmp_path)
    for name, table in make_tables(comparison).items():
        if name in ("own", "human"):  # nothing of the kind is known of simulated rows
            assert not table.rows
            continue
        parquet, csv = pandas.read_parquet(tmp_path / f"{name}.parquet"), pandas.read_csv(tmp_path / f"{name}.csv")
        assert list(parquet.columns) == list(csv.columns) == table.to_arrow().column_names
        assert len(parquet) == len(csv) == len(table.rows)
    findings = pandas.read_parquet(tmp_path / "findings.parquet")
    assert findings["p"].tolist() == [finding.p for finding in comparison.findings]
    assert findings["effect"].tolist() == [finding.test.effect.value for finding in comparison.findings]
    cells = pandas.read_parquet(tmp_path / "cells.parquet")
    assert len(cells) == 4 * len(comparison.evidence)
    assert cells["samples"][2].tolist() == list(comparison.evidence[0].cells[2].samples)


@pytest.mark.usefixtures("undrawn")
def test_tables_of_an_earlier_comparison_do_not_stay(comparison, tmp_path):
    write_comparison(comparison, tmp_path)
    single = simulate_run(tmp_path / "run", Simulated("a"), samples=range(12))
    write_comparison(compare_runs([single]), tmp_path)
    assert not (tmp_path / "pairs.csv").exists()
    assert not (tmp_path / "pairs.parquet").exists()


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("name", ["models.csv", "human.csv", "pairs.parquet", "compare.json"])
def test_tables_take_the_place_of_no_file_of_the_user(comparison, tmp_path, name):
    """`human.csv` would not be written, since that table is empty; of the next comparison it would."""
    (tmp_path / name).write_text('{"my": "own"}')
    with pytest.raises(InputError, match=f"{name} was not written by a comparison.*: move it away"):
        write_comparison(comparison, tmp_path)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, '{"my": "own"}')]


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("own", [True, False])
def test_a_list_of_files_makes_no_others_ours(comparison, tmp_path, own):
    """Another program's `compare.json` may list files too, and so may one of ours that somebody edited."""
    if own:
        write_comparison(comparison, tmp_path)
    path, thesis = tmp_path / "compare.json", tmp_path / "thesis.tex"
    record = json.loads(path.read_text(encoding="utf-8")) if own else {"coverage": 1, "files": {}}
    thesis.write_text("mine")
    record["files"] |= {"thesis.tex": hashlib.sha256(b"mine").hexdigest(), "compare.json": "0" * 64}
    path.write_text(json.dumps(record))
    if own:
        write_comparison(comparison, tmp_path)
    else:
        with pytest.raises(InputError, match=r"compare.json was not written by a comparison: move it away"):
            write_comparison(comparison, tmp_path)
        assert json.loads(path.read_text()) == record
    assert thesis.read_text() == "mine"


@pytest.mark.usefixtures("undrawn")
def test_tables_of_an_earlier_version_are_said_to_be(comparison, tmp_path):
    write_comparison(comparison, tmp_path)
    record = json.loads((tmp_path / "compare.json").read_text(encoding="utf-8"))
    del record["files"]
    (tmp_path / "compare.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="or by one of an earlier version"):
        write_comparison(comparison, tmp_path)


@pytest.mark.usefixtures("undrawn")
def test_a_table_that_was_changed_since_is_the_users(comparison, tmp_path):
    written = write_comparison(comparison, tmp_path)
    assert sorted(written) == sorted(tmp_path.iterdir())
    assert write_comparison(comparison, tmp_path) == written
    with (tmp_path / "models.csv").open("a") as file:
        file.write("a line of mine\n")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match=r"models.csv was not written by a comparison, .* or was changed since"):
        write_comparison(comparison, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_columns_are_fields_of_the_lines_and_none_is_left_out(comparison):
    """A figure that a line has is in the files."""
    assert tuple(make_tables(comparison)) == tuple(COLUMNS)
    for name in ("models", "coverage", "judges", "skipped", "reliance", "focus", "relations", "pairs"):
        known = {column.key for column in COLUMNS[name]}
        assert known == {field.name for field in dataclasses.fields(getattr(comparison, name)[0])}


def test_tables_stand_in_markdown_and_plots_in_svg_and_pdf(comparison, tmp_path):
    written = {path.name for path in write_comparison(comparison, tmp_path)}
    assert {"tables.md", "reliance.svg", "reliance.pdf", "cells.svg", "places.pdf", "calibration.svg"} <= written
    text = (tmp_path / "tables.md").read_text(encoding="utf-8")
    assert "| Model | Samples | Common |" in text
    assert text.count(f"| {LONG} |") > 3
    ElementTree.parse(tmp_path / "cells.svg")


@pytest.mark.usefixtures("undrawn")
def test_json_holds_everything_and_no_infinity(comparison, tmp_path):
    write_comparison(comparison, tmp_path)
    record = json.loads((tmp_path / "compare.json").read_text(encoding="utf-8"))
    files = record.pop("files")
    assert files == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in tmp_path.iterdir()
        if path.name != "compare.json"
    }
    assert record == json.loads(json.dumps(to_record(comparison), allow_nan=False))
    assert set(record) >= {"schema_version", "models", "coverage", "skipped", "findings", "trees", "notes"}
    assert record["evidence"][0]["cells"][0]["samples"] == list(comparison.evidence[0].cells[0].samples)
    bounds = [finding.test.effect.high for finding in comparison.findings]
    written = [finding["test"]["effect"]["high"] for finding in record["findings"]]
    assert written == [bound if math.isfinite(bound) else None for bound in bounds]
