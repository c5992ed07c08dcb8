"""Entries of large JSON documents, whatever the size of what is read at a time."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherelook.data import json_stream
from wherelook.data.json_stream import entries
from wherelook.errors import WherelookError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def stream(text: str) -> io.BufferedIOBase:
    return io.BytesIO(text.encode())


@given(st.lists(VALUES), st.dictionaries(st.text(), VALUES), st.integers(1, 40), st.booleans())
def test_entries_are_those_of_the_json_module(items, table, chunk, indented):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "CHUNK", chunk)
        text = json.dumps(items, indent=2 if indented else None, ensure_ascii=False)
        assert [value for _, value, _ in entries(stream(text), "x")] == items
        text = json.dumps({"a": table, "b": [1, {}], "c": items}, ensure_ascii=False)
        assert [value for _, value, _ in entries(stream(text), "x", "c")] == items
        assert {key: value for key, value, _ in entries(stream(text), "x", "a")} == table


def test_places_are_lines():
    text = '{\n"skipped": [\n1,\n2],\n"data": [\n{"a": 1},\n{"a":\n2}\n]}'
    assert [place for _, _, place in entries(stream(text), "x", "data")] == ["x, line 6", "x, line 7"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x, line 1: broken JSON, expected '{', not 'the end'"),
        ("[1]", "x, line 1: broken JSON, expected '{', not '['"),
        ('{"b": []}', "x: there is no 'data' in it"),
        ("{}", "x: there is no 'data' in it"),
        ('{"data": 3}', "x, line 1: expected a list or an object"),
        ('{"data": [1 2]}', "x, line 1: broken JSON, expected ',', not '2'"),
        ('{"data": [1,\n]}', "x, line 2: broken JSON"),
        ('{"data": [1', "x, line 1: broken JSON, expected ',', not 'the end'"),
        ('{"data": ["abc', "x, line 1: broken JSON"),
        ("{data: [1]}", "x, line 1: broken JSON, expected a name in quotes"),
        ('{"data": [' + "[" * 100_000 + "]", "x, line 1: too deeply nested"),
    ],
)
def test_broken_documents(text, message):
    with pytest.raises(WherelookError) as caught:
        list(entries(stream(text), "x", "data"))
    assert str(caught.value) == message


def test_an_entry_that_never_ends(monkeypatch):
    monkeypatch.setattr(json_stream, "CHUNK", 200_000)
    monkeypatch.setattr(json_stream, "LONGEST_ENTRY", 1_000_000)
    with pytest.raises(WherelookError, match="x, line 1: an entry is longer than 1 million characters"):
        list(entries(io.BytesIO(b'["' + b"x" * 1_000_100), "x"))


def test_bytes_that_are_not_utf_8():
    with pytest.raises(WherelookError, match="x, line 1: not UTF-8"):
        list(entries(io.BytesIO(b'["\xff"]'), "x"))
