"""A table of typed columns in all its forms."""

from __future__ import annotations

import io

import pandas
import pytest

from wherelook.report.table import Column, Marked, Table, from_rows, wrap
from wherelook.stats import Estimate

TABLE = Table(
    "runs",
    "What it holds.",
    (
        Column("name", "Name"),
        Column("share", "Share, %", "percent"),
        Column("n", "n", "count", "how many"),
        Column("samples", "Samples", "list"),
        Column("hidden"),
    ),
    (
        {"name": "a|b <i>", "share": Marked(Estimate("x", 0.471234567890123, 0.4, 0.55, "Wilson"), strong=True),
         "n": 1200, "samples": ("s1", "s2", "s3", "s4"), "hidden": 1.5},
        {"name": "line\nbreak \x1b[31m", "share": Marked(Estimate("x", 0.5, 0.25, 0.75, "Wilson"), sign="≈"), "n": None,
         "samples": (), "hidden": None},
    ),
)  # fmt: skip


def test_text_is_aligned_with_numbers_to_the_right():
    assert TABLE.to_text().splitlines() == [
        "Name                     Share, %      n  Samples",
        "a|b <i>              * 47 (40\N{EN DASH}55)  1,200  s1, s2, s3 and 1 more",
        "line break \\x1b[31m  ≈ 50 (25\N{EN DASH}75)      \N{EN DASH}",
    ]
    assert "\x1b" not in TABLE.to_text()


@pytest.mark.parametrize("width", [10, 30, 60])
def test_numbers_are_never_wrapped(width):
    assert "* 47 (40\N{EN DASH}55)" in TABLE.to_text(width)
    assert "1,200" in TABLE.to_text(width)


def test_markdown_escapes_what_would_end_a_cell_or_begin_a_tag():
    lines = TABLE.to_markdown().splitlines()
    assert lines[0] == "| Name | Share, % | n | Samples |"
    assert lines[1] == "| --- | --: | --: | --- |"
    assert lines[2] == "| a\\|b &lt;i> | **47 (40\N{EN DASH}55)** | 1,200 | s1, s2, s3 and 1 more |"
    assert lines[3] == "| line break \\x1b[31m | ≈ 50 (25\N{EN DASH}75) | \N{EN DASH} |  |"
    assert lines[-1] == "What it holds."


def test_files_have_all_digits_and_the_ends_of_an_interval():
    files = dict(TABLE.files())
    assert set(files) == {"runs.csv", "runs.parquet"}
    parquet = pandas.read_parquet(io.BytesIO(files["runs.parquet"]))
    assert list(parquet.columns) == [
        "name",
        "share",
        "share_low",
        "share_high",
        "share_method",
        "n",
        "samples",
        "hidden",
    ]
    assert parquet["share"].tolist() == [0.471234567890123, 0.5]
    assert parquet["share_high"].tolist() == [0.55, 0.75]
    assert parquet["samples"][0].tolist() == ["s1", "s2", "s3", "s4"]
    csv = pandas.read_csv(io.BytesIO(files["runs.csv"]))
    assert csv["share"].tolist() == [0.471234567890123, 0.5]
    assert csv["samples"][0] == "s1; s2; s3; s4"


def test_cells_are_sorted_by_their_values():
    (first, second) = TABLE.cells()
    assert [cell.key for cell in first] == ["a|b <i>", "0.471234567890123", "1200.0", "s1, s2, s3 and 1 more"]
    assert second[2].key == ""
    column = Column("x", "x", "ratio")
    infinite = Table("t", "", (column,), ({"x": float("inf")}, {"x": float("-inf")}))
    assert [row[0].key for row in infinite.cells()] == ["Infinity", "-Infinity"]


def test_a_column_of_benchmarks_that_says_the_same_everywhere_is_not_shown():
    table = from_rows("t", [{"benchmark": "pope", "model": "a", "n": 1}, {"benchmark": "pope", "model": "b", "n": 2}])
    assert [column.key for column in table.shown] == ["model", "n"]
    assert table.to_arrow().column_names == ["benchmark", "model", "n"]
    assert table.where(model="b").rows == ({"benchmark": "pope", "model": "b", "n": 2},)


def test_a_heading_and_a_cell_are_no_markup():
    table = from_rows("t", [{"[bold]x": "[red]y"}])
    assert table.to_text() == "[bold]x\n[red]y"


def test_prose_keeps_to_a_width():
    assert wrap("a b\nc", 3, "- ", "  ") == "- a\n  b\n  c"
