"""What files can hold and nobody expects: it is the error of a row, or one clear line, soon and in little memory."""

from __future__ import annotations

import base64
import io
import json
import os
import struct
import time
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from published import Builder
from wherelook.data import files as files_module
from wherelook.data import parquet as parquet_module
from wherelook.data.datasets import read_samples
from wherelook.data.files import Archive
from wherelook.errors import InputError, WherelookError

GOOD = {"image": "a.png", "question": "What?", "answer": "x"}


def outcomes(dataset: str) -> list[str]:
    """What comes of every sample: "ok", or the line of its error; of the whole dataset the last one, if it ends so."""
    found = []
    try:
        for sample in read_samples(dataset):
            try:
                assert sample.fingerprint
                _ = sample.image, sample.truth, sample.human
                found.append("ok")
            except WherelookError as error:
                found.append(str(error))
    except WherelookError as error:
        found.append(str(error))
    for line in found:
        assert "\n" not in line
        assert len(line) < 700
    return found


def table(build: Builder, *rows: object) -> str:
    build.image("a.png")
    build.text("t.jsonl", "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return str(build.root / "t.jsonl")


DEEP = "[" * 900 + "]" * 900
WICKED_ROWS = {
    "integer of 400 digits as box": {**GOOD, "box": [10**400, 0, 1, 1]},
    "integer of 400 digits as id": '{"image": "a.png", "question": "?", "id": ' + "9" * 400 + "}",
    "integer of 5000 digits": '{"image": "a.png", "question": "?", "id": ' + "9" * 5000 + "}",
    "float that is infinite": '{"image": "a.png", "question": "?", "box": [0, 0, 1e999, 1]}',
    "surrogate in a question": '{"image": "a.png", "question": "\\ud800"}',
    "surrogate in an id": '{"image": "a.png", "question": "?", "id": "\\udfff"}',
    "surrogate in an answer": '{"image": "a.png", "question": "?", "answer": ["\\ud83d"]}',
    "surrogate in a name": '{"image": "\\ud800.png", "question": "?"}',
    "surrogate in an option": '{"image": "a.png", "question": "?", "choices": ["\\ud800", "b"]}',
    "null byte in a name": {**GOOD, "image": "a\0.png"},
    "name of 300 characters": {**GOOD, "image": "x" * 300 + ".png"},
    "name of 5000 characters": {**GOOD, "image": "x/" * 2500 + ".png"},
    "mask of 300 characters": {**GOOD, "mask": "x" * 300 + ".png"},
    "human map with a null byte": {**GOOD, "human": ["a\0.png"]},
    "deep nesting": f'{{"image": "a.png", "question": "?", "answer": {DEEP}}}',
    "deeper nesting": '{"image": "a.png", "question": ' + "[" * 100_000,
    "a list as text, nested": {**GOOD, "choices": DEEP},
    "a list as text, endless": {**GOOD, "choices": "[" * 5000},
    "options that are a dict": {**GOOD, "choices": {"text": [{}]}},
    "an image that is a dict of dicts": {**GOOD, "image": {"bytes": {"a": 1}}},
    "an image that is a number": {**GOOD, "image": 3},
    "base64 of no image": {**GOOD, "image": "QUJD" * 100},
    "base64 that is cut": {**GOOD, "image": "iVBORw0KGgo" + "A" * 100},
    "a data address of nothing": {**GOOD, "image": "data:image/png;base64,"},
    "not an object": "3",
    "not JSON": "{'a': 1}",
    "a box of text": {**GOOD, "box": "[1, 2"},
    "a box of no area": {**GOOD, "box": [3, 3, 0, 0]},
    "answers that are dicts": {**GOOD, "answer": [{"a": 1}]},
}


@pytest.mark.parametrize("row", WICKED_ROWS.values(), ids=WICKED_ROWS)
def test_a_wicked_row_is_an_error_of_its_own(build, row):
    found = outcomes(f"table:{table(build, GOOD, row, GOOD)}")
    assert len(found) == 3
    assert (found[0], found[2]) == ("ok", "ok")
    if row == WICKED_ROWS["integer of 400 digits as id"]:
        assert found[1] == "ok"
    else:
        assert "t.jsonl, line 2" in found[1] or "a.png" in found[1] or str(build.root) in found[1]


def test_an_image_is_never_printed(build):
    text = "A" * 3000 + "!" * 3000
    (line, _) = outcomes(f"table:{table(build, GOOD | {'image': text}, GOOD)}")
    assert "AAAAAAAAAA" not in line


# ---- JSON ----


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[{}]garbage", "line 1: broken JSON, expected the end, not 'g'"),
        ("[{}]\n[{}]", "line 2: broken JSON, expected the end, not '['"),
        ("[{}] ]", "expected the end, not ']'"),
        ("[{},]", "broken JSON"),
    ],
)
def test_what_stands_behind_a_list(build, text, message):
    build.image("a.png")
    row = json.dumps(GOOD)
    build.text("t.json", text.replace("{}", row))
    *good, last = outcomes(f"table:{build.root / 't.json'}")
    assert good == ["ok"]
    assert message in last


@pytest.mark.parametrize("ending", ["", "]", '], "data": []}', "]}x", "],}"])
def test_what_stands_behind_the_list_of_an_object(build, ending):
    entry = json.dumps({"question": "?", "image_id": "a", "question_id": 1})
    build.text("TextVQA_0.5.1_val.json", f'{{"data": [{entry}{ending}')
    with pytest.raises(WherelookError, match=r"broken JSON|is there twice"):
        list(read_samples(f"textvqa:{build.root}"))


# ---- CSV and TSV ----


def test_a_mark_of_inches_is_a_character(build):
    """At the beginning, in the middle and at the end of a cell."""
    build.image("a.png")
    cells = [
        '5" screen',
        '"',
        '" is the inch',
        'say "hi" now',
        '"hi" he said',
        'ends with 5"',
        "plain",
        '6"',
        '"quoted"',
    ]
    build.text("t.tsv", "image\tquestion\tkind\n" + "".join(f"a.png\t{cell}\tk{n}\n" for n, cell in enumerate(cells)))
    samples = list(read_samples(f"table:{build.root / 't.tsv'}"))
    assert [sample.question for sample in samples] == [*cells[:-1], "quoted"]
    assert [sample.kind for sample in samples] == [f"k{n}" for n in range(len(cells))]
    # In the last column, where a quoted cell could go on in the next row.
    build.text("u.tsv", "image\tkind\tquestion\n" + "".join(f"a.png\tk{n}\t{cell}\n" for n, cell in enumerate(cells)))
    samples = list(read_samples(f"table:{build.root / 'u.tsv'}"))
    assert [sample.question for sample in samples] == [*cells[:-1], "quoted"]


def test_cells_of_pandas_in_a_tsv(build):
    """Written with quotes where they are needed: tabs, ends of lines and quotes are kept."""
    pandas = pytest.importorskip("pandas")
    build.image("a.png")
    questions = ["a\tb", "a\nb", 'say "x"', '"', "\n", 'x"\ny\tz', "plain", "a\r\nb"]
    frame = pandas.DataFrame(
        {"image": ["a.png"] * len(questions), "question": [f"q{q}" for q in questions], "kind": "k"}
    )
    for quoting in (0, 1):  # csv.QUOTE_MINIMAL, csv.QUOTE_ALL
        frame.to_csv(build.root / "t.tsv", sep="\t", index=False, quoting=quoting)
        samples = list(read_samples(f"table:{build.root / 't.tsv'}"))
        assert [sample.question for sample in samples] == [f"q{question}" for question in questions]
        assert {sample.kind for sample in samples} == {"k"}


def test_a_row_of_another_length_or_encoding_is_an_error_of_its_own(build):
    build.image("a.png")
    build.bytes("t.csv", b"image,question\na.png,What?\na.png\na.png,a,b\na.png,caf\xe9\n\na.png,Who?\n")
    found = outcomes(f"table:{build.root / 't.csv'}")
    assert [line == "ok" for line in found] == [True, False, False, False, True]
    assert "row 2: Expected 2 columns, got 1" in found[1]
    assert "row 4: not UTF-8; save the table as UTF-8" in found[3]


def test_a_header_is_never_cut(build):
    names = ",".join(f"column{number}" for number in range(20_000))
    build.text("t.csv", f"image,question,{names}\n" + "x," * 20_001 + "x\n")
    with pytest.raises(WherelookError, match=r"the first row, with the names of the columns, has more than 100 kB"):
        read_samples(f"table:{build.root / 't.csv'}")


@pytest.mark.parametrize("header", ["question,,,image", ",question,,image", "question,image,,"])
def test_columns_without_a_name_may_be_several(build, header):
    """As spreadsheets export them; the second row's image is that of the first."""
    columns = ["index", *header.split(",")]
    image = base64.b64encode(build.picture((1, 2, 3))).decode()
    known = {"": "x", "question": "?"}
    rows = [[number, *(known.get(name, shown) for name in columns[1:])] for number, shown in (("1", image), ("2", "1"))]
    build.text("t.csv", "\n".join(map(",".join, [columns, *rows])))
    found = list(read_samples(f"table:{build.root / 't.csv'}"))
    assert [sample.image.pixels[0, 0].tolist() for sample in found] == [[1, 2, 3]] * 2


@pytest.mark.parametrize("header", ["question,image,image", ",,"])
def test_a_header_that_does_not_tell_columns_apart(build, header):
    build.text("t.csv", f"{header}\n1,2,3\n")
    with pytest.raises(WherelookError, match="the first row must name the columns, each another"):
        read_samples(f"table:{build.root / 't.csv'}")


def test_quotes_that_are_never_closed_take_no_time(build):
    """Ten megabytes of line ends behind an open quote: every one of them was tried as an end of the row."""
    build.image("a.png")
    build.text("t.csv", 'image,question\na.png,What?\na.png,"' + "\n" * 9_000_000 + "a.png,Who?\n")
    started = time.perf_counter()
    found = outcomes(f"table:{build.zip()}")
    assert time.perf_counter() - started < 20  # it took minutes
    assert found[0] == "ok"
    assert any("Expected 2 columns" in line or line == "ok" for line in found[1:])


# ---- Parquet ----


def test_columns_that_nobody_reads_may_be_broken(build):
    import pyarrow
    from pyarrow import parquet

    broken = pyarrow.Array.from_buffers(
        pyarrow.string(), 2, [None, pyarrow.py_buffer(struct.pack("<3i", 0, 2, 4)), pyarrow.py_buffer(b"\xff\xfeok")]
    )
    columns = {
        "image": ["a.png", "a.png"],
        "question": ["What?", "Who?"],
        "comment": broken,
        "when": pyarrow.array([2**62, 0], pyarrow.timestamp("us")),
    }
    build.image("a.png")
    parquet.write_table(pyarrow.table(columns), build.root / "t.parquet")
    assert outcomes(f"table:{build.root / 't.parquet'}") == ["ok", "ok"]
    found = outcomes(f"table:{build.root / 't.parquet'},question=comment")
    assert "row 1: comment cannot be read: UnicodeDecodeError" in found[0]
    assert found[1] == "ok"
    (line,) = outcomes(f"table:{build.root / 't.parquet'},kind=when")
    assert "row 1: when cannot be read" in line


def unfolding(build: Builder, column: str) -> None:
    """A file of a few kB: a long text again and again."""
    import pyarrow
    from pyarrow import parquet

    count, text = 1000, "x" * 50_000
    same = pyarrow.array(np.zeros(count, np.int8))
    columns = {"image": "a.png", column: text, "extra": text * 4}
    rows = pyarrow.table(
        {name: pyarrow.DictionaryArray.from_arrays(same, pyarrow.array([value])) for name, value in columns.items()}
    )
    parquet.write_table(rows, build.root / "t.parquet", compression="zstd")


def test_a_small_parquet_file_that_unfolds_is_read_in_small_parts(build):
    import pyarrow

    build.image("a.png")
    unfolding(build, "question")
    assert (build.root / "t.parquet").stat().st_size < 100_000
    before = pyarrow.total_allocated_bytes()
    samples = read_samples(f"table:{build.root / 't.parquet'}")
    held = [pyarrow.total_allocated_bytes() - before for _ in zip(range(300), samples, strict=False)]
    assert len(held) == 300
    assert max(held) < 20_000_000  # 50 MB, were it all there, and 200 MB more of a column that nobody reads


def test_lists_that_unfold_are_refused(build, monkeypatch):
    monkeypatch.setattr(parquet_module, "MOST_LIST_ITEMS", 1000)
    import pyarrow
    from pyarrow import parquet

    rows = pyarrow.table({"image": ["a.png"], "question": ["?"], "answer": [["a"] * 2000]})
    parquet.write_table(rows, build.root / "t.parquet")
    with pytest.raises(WherelookError, match=r"column answer grows from \d+ to 2000 bytes or more: refused as a bomb"):
        read_samples(f"table:{build.root / 't.parquet'}")


def test_a_column_that_unpacks_to_gigabytes_is_refused(build, monkeypatch):
    monkeypatch.setattr(parquet_module, "SMALL_CHUNK", 100_000)
    import pyarrow
    from pyarrow import parquet

    rows = pyarrow.table({"image": ["a.png"], "question": ["?" * 10_000_000]})
    parquet.write_table(rows, build.root / "t.parquet", compression="zstd")
    with pytest.raises(WherelookError, match=r"column question grows from \d+ to \d+ bytes or more: refused as a bomb"):
        read_samples(f"table:{build.root / 't.parquet'}")


# ---- files that are none ----


@pytest.mark.parametrize("name", ["t.jsonl", "t.parquet", "t.zip", "Questions.csv", "t"])
def test_a_pipe_is_no_table(build, name):
    os.mkfifo(build.root / name)
    for dataset in (f"table:{build.root / name}", f"mmvp:{build.root / name}", str(build.root / name)):
        with pytest.raises(InputError, match=r"neither a folder nor a regular file|no data set"):
            read_samples(dataset)


def test_a_pipe_is_no_image(build):
    path = table(build, GOOD | {"image": "pipe.png"}, GOOD | {"mask": "pipe.png"})
    os.mkfifo(build.root / "pipe.png")
    found = outcomes(f"table:{path}")
    assert all("'pipe.png' is not a file inside the folder" in line for line in found)
    found = outcomes(f"table:{path},images=/dev")
    assert all("is not a file inside the folder" in line for line in found)


def test_a_folder_that_leads_to_itself(build):
    path = table(build, GOOD | {"image": "loop/loop/a.png"}, GOOD | {"image": "self.png"})
    (build.root / "loop").symlink_to(build.root)
    (build.root / "self.png").symlink_to(build.root / "self.png")
    first, second = outcomes(f"table:{path}")
    assert first == "ok"
    assert "'self.png' is not a file inside the folder" in second
    assert outcomes(f"table:{build.root}") == outcomes(f"table:{path}")


# ---- archives ----

FLAG_BITS, VERSION, METHOD = 8, 6, 10
"""Where they are in an entry of the directory of an archive."""


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (FLAG_BITS, 1),
        (FLAG_BITS, 1 << 5),
        (FLAG_BITS, 1 << 6),
        (VERSION, 99),
        (METHOD, 12),
        (METHOD, 99),
        (FLAG_BITS, 0xFFFF),
    ],
)
def test_what_an_archive_can_say_of_a_member(build, tmp_path, offset, value):
    build.image("a.png")
    build.text("t.jsonl", json.dumps(GOOD))
    data = bytearray(build.zip().read_bytes())
    for entry in [place for place in range(len(data)) if data[place : place + 4] == b"PK\x01\x02"]:
        struct.pack_into("<H", data, entry + offset, value)
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    (line,) = outcomes(f"table:{path}")
    assert "x.zip" in line


@pytest.mark.parametrize("seed", range(30))
def test_a_damaged_archive(build, tmp_path, seed):
    import random

    build.image("a.png")
    build.text("t.jsonl", json.dumps(GOOD) + "\n")
    build.csv("Questions.csv", [("lndex", "Question", "Options", "Correct Answer"), (1, "?", "(a) x (b) y", "(a)")])
    data = bytearray(build.zip().read_bytes())
    chance = random.Random(seed)
    for _ in range(chance.choice([1, 3, 20])):
        data[chance.randrange(len(data))] = chance.randrange(256)
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    for name in ("table", "mmvp"):
        assert outcomes(f"{name}:{path}"), "a row or one line, never nothing"


def test_an_archive_of_large_members_is_read_within_bounds(build, tmp_path, monkeypatch):
    monkeypatch.setattr(files_module, "SMALL_MEMBER", 1000)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t.jsonl", b" " * 1_000_000)
    with pytest.raises(WherelookError, match="refused as a zip bomb"):
        Archive(tmp_path / "x.zip").open("t.jsonl")


# ---- every reader on damaged files ----

Damage = Callable[[bytes], bytes]
DAMAGES: dict[str, Damage] = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "zeros": lambda data: b"\0" * len(data),
    "twice": lambda data: data + data,
    "random": lambda data: bytes((byte * 167 + 13) % 256 for byte in data),
    "utf-16": lambda data: data.decode("latin-1").encode("utf-16"),
    "nothing but brackets": lambda data: b"[" * 200_000,
    "nothing but quotes": lambda data: b'"' * 200_001,
    "numbers": lambda data: b"9" * 20_000,
    "null": lambda data: b"null",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "tsv", "parquet"])
def test_damaged_tables(build, suffix, damage):
    build.image("a.png")
    rows = [GOOD | {"id": str(number)} for number in range(30)]
    if suffix == "jsonl":
        build.lines("t.jsonl", *rows)
    elif suffix == "json":
        build.json("t.json", rows)
    elif suffix == "parquet":
        build.parquet("t.parquet", rows)
    else:
        text = io.StringIO()
        separator = "\t" if suffix == "tsv" else ","
        text.writelines(separator.join(line) + "\n" for line in (GOOD, *(row.values() for row in rows)))
        build.text(f"t.{suffix}", text.getvalue().replace("\tx\t", "\tx").replace(",x,", ",x"))
    path = build.root / f"t.{suffix}"
    path.write_bytes(damage(path.read_bytes()))
    assert outcomes(f"table:{path}")  # lines or samples: any exception that is not ours ends the test


def test_a_picture_of_a_few_pixels_is_still_read(build):
    """That nothing above is refused because everything is."""
    stream = io.BytesIO()
    Image.new("RGB", (3, 2)).save(stream, "PNG")
    build.bytes("a.png", stream.getvalue())
    build.lines("t.jsonl", GOOD)
    assert outcomes(f"table:{build.root / 't.jsonl'}") == ["ok"]
