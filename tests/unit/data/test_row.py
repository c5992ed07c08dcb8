"""Tables as rows: CSV as the csv module reads it, whatever the size of a block."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherelook.data import separated, tables
from wherelook.data.files import Folder
from wherelook.data.row import Row
from wherelook.data.tables import read_rows
from wherelook.errors import InputError, WherelookError

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=12)


@given(st.lists(st.tuples(CELLS.filter(bool), CELLS), max_size=12), st.integers(1, 60), st.sampled_from([",", "\t"]))
def test_separated_rows_are_those_of_the_csv_module(tmp_path_factory, table, block, delimiter):
    folder = tmp_path_factory.mktemp("rows")
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([("a", "b"), *table])
    name = "t.tsv" if delimiter == "\t" else "t.csv"
    (folder / name).write_text(text.getvalue(), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(separated, "TEXT_BLOCK", block)
        found = list(read_rows(Folder(folder), name))
    assert [(row.values["a"], row.values["b"] or "") for row in found] == table
    assert [row.number for row in found] == list(range(1, len(table) + 1))


def test_the_row_of_an_error_in_a_later_block(build, monkeypatch):
    monkeypatch.setattr(separated, "TEXT_BLOCK", 16)
    build.text("t.csv", "a,b\n" + "1,2\n" * 20 + "1,2,3\n" + "4,5\n")
    rows = list(read_rows(Folder(build.root), "t.csv"))
    with pytest.raises(WherelookError, match=r"t\.csv, row 21: Expected 2 columns, got 3"):
        rows[20].text("a")
    assert rows[21].values == {"a": "4", "b": "5"}  # the next one is read


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_rows_are_bounded(build, monkeypatch, name):
    monkeypatch.setattr(separated, "LONGEST_ROW", 2_000_000)
    monkeypatch.setattr(tables, "LONGEST_LINE", 2_000_000)
    build.text(name, ("a,b\n" if name == "t.csv" else "") + '"' + "x" * 5_000_000)
    with pytest.raises(WherelookError, match=r"longer than 2 MB"):
        list(read_rows(Folder(build.root), name))


def test_other_files_are_no_tables(build):
    build.text("t.pkl", "x")
    with pytest.raises(InputError, match=r"t\.pkl is not a table; expected \.csv, \.tsv, \.jsonl, \.json, \.parquet"):
        list(read_rows(Folder(build.root), "t.pkl"))


def test_a_byte_order_mark_is_no_part_of_a_name(build):
    build.text("t.csv", "\ufeffa,b\n1,2\n")
    build.text("t.jsonl", '\ufeff{"a": "1", "b": "2"}\n')
    build.text("t.json", '\ufeff[{"a": "1", "b": "2"}]')
    for name in ("t.csv", "t.jsonl", "t.json"):
        (row,) = read_rows(Folder(build.root), name)
        assert row.values == {"a": "1", "b": "2"}


def test_a_json_file_may_have_an_object_on_every_line(build):
    build.lines("t.json", {"a": 1}, {"a": 2})
    assert [row.values["a"] for row in read_rows(Folder(build.root), "t.json")] == [1, 2]


def test_values(build):
    row = Row(
        "here", {"text": "x", "number": 3, "nothing": None, "list": ["a", 1], "true": True, "json": "[1, 2, 3, 4]"}
    )
    assert (row.text("text"), row.text("nothing"), row.text("missing")) == ("x", None, None)
    assert (row.name("number"), row.name("text"), row.name("nothing")) == ("3", "x", None)
    assert (row.texts("list"), row.texts("text"), row.texts("nothing")) == (("a", "1"), ("x",), ())
    assert row.boxes("json") == ((1.0, 2.0, 3.0, 4.0),)
    assert row.boxes("nothing") == ()
    for call, name, message in (
        (row.text, "number", "here: number must be text, not 3"),
        (row.name, "true", "here: true must be text or a whole number, not True"),
        (row.texts, "true", "here: true must be text or a list of texts, not True"),
        (row.boxes, "list", "here: list must be four numbers, or a list of such; not ['a', 1]"),
        (row.required, "nothing", "here: nothing is missing"),
        (row.required_name, "missing", "here: missing is missing"),
    ):
        with pytest.raises(WherelookError) as caught:
            call(name)
        assert str(caught.value) == message


def test_long_values_are_cut_in_errors():
    with pytest.raises(WherelookError) as caught:
        Row("here", {"a": list(range(1000))}).text("a")
    assert len(str(caught.value)) < 200
    assert json.dumps([0, 1])[:5] in str(caught.value)
