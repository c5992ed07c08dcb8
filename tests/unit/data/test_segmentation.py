"""Masks as runs and polygons: closed forms, an encoder after COCO's, and what is refused."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw

from wherelook.data.datasets import read_samples
from wherelook.data.masks import gray_levels, region_of
from wherelook.data.segmentation import MOST_PARTS, MOST_POINTS, Polygons, read_segmentation, uncompressed
from wherelook.data.sources import ImageBytes, MaskImage, mean_attention
from wherelook.errors import InputError, WherelookError

SIZE = (6, 8)
REGION = np.zeros(SIZE, dtype=bool)
REGION[2:4, 3:5] = True
COUNTS = [3 * 6 + 2, 2, 4, 2, 3 * 6 + 2]
"""Column by column: three empty ones, two with rows 2 and 3, three empty ones."""


def runs_of(mask: np.ndarray) -> list[int]:
    """Lengths of runs in column-major order, the first one of False."""
    flat = mask.T.reshape(-1)
    places = [0, *(np.flatnonzero(flat[1:] != flat[:-1]) + 1).tolist(), flat.size]
    lengths = np.diff(places).tolist()
    return [0, *lengths] if flat[0] else lengths


def compressed(counts: list[int]) -> str:
    """As `rleToString` of COCO's mask API writes it."""
    text = ""
    for index, count in enumerate(counts):
        left, more = count - counts[index - 2] if index > 2 else count, True
        while more:
            group, left = left & 31, left >> 5
            more = left != -1 if group & 16 else left != 0
            text += chr((group | 32 if more else group) + 48)
    return text


def marked(value: Any, size: tuple[int, int] = SIZE) -> np.ndarray:
    return read_segmentation(value, "row 1: mask").mask(size)


SQUARE = [3, 2, 5, 2, 5, 4, 3, 4]
FORMS: dict[str, Any] = {
    "runs": {"size": [6, 8], "counts": COUNTS},
    "runs, fractions": {"size": [6.0, 8.0], "counts": [float(count) for count in COUNTS]},
    "compressed": {"size": [6, 8], "counts": compressed(COUNTS)},
    "compressed bytes": {"size": [6, 8], "counts": compressed(COUNTS).encode()},
    "several runs": [
        {"size": [6, 8], "counts": [20, 2, 26]},
        {"size": [6, 8], "counts": [26, 2, 20]},
    ],
    "polygon": [SQUARE],
    "polygon alone": SQUARE,
    "polygon, other way round": [[3, 4, 5, 4, 5, 2, 3, 2]],
    "polygon, closed": [[*SQUARE, 3, 2]],
    "pairs": [[[3, 2], [5, 2], [5, 4], [3, 4]]],
    "pairs alone": [[3, 2], [5, 2], [5, 4], [3, 4]],
    "two polygons": [[3, 2, 4, 2, 4, 4, 3, 4], [4, 2, 5, 2, 5, 4, 4, 4]],
    "overlapping polygons": [SQUARE, SQUARE],
    "fractions of pixels": [[2.6, 1.6, 5.4, 1.6, 5.4, 4.4, 2.6, 4.4]],
}


@pytest.mark.parametrize("form", FORMS)
def test_a_region_in_every_form(form):
    np.testing.assert_array_equal(marked(FORMS[form]), REGION)


def test_a_text_of_coco():
    """By hand. 20 is 10100 in binary, which is negative as 5 bits: another group of 0 follows, (20 + 32 + 48) is "d".
    The fourth count is 2 - 2, the fifth 20 - 4, again with a group of 0 behind."""
    assert compressed(COUNTS) == "d0240`0"
    assert uncompressed("d0240`0", 48) == tuple(COUNTS)
    assert compressed([20, 2, 26]) == "d02j0"  # docs/datasets.md


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_every_mask_comes_back_from_its_runs(mask):
    counts = runs_of(mask)
    text = compressed(counts)
    assert uncompressed(text, mask.size) == tuple(counts)
    if mask.any():
        for written in (counts, text):
            found = marked({"size": list(mask.shape), "counts": written}, mask.shape)
            np.testing.assert_array_equal(found, mask)


def test_large_counts_are_compressed_too():
    counts = [0, 40_000_000, 1, 59_999_999]
    assert uncompressed(compressed(counts), 10**8) == tuple(counts)


def test_a_star_is_hollow_and_what_sticks_out_is_cut_off():
    star = [(10.0, 0.0), (16.0, 19.0), (0.5, 7.0), (19.5, 7.0), (4.0, 19.0)]
    mask = Polygons((tuple(star),)).mask((20, 20))
    assert not mask[10, 10]
    assert mask[3, 10]
    np.testing.assert_array_equal(
        marked([[-4, -3, 3, -3, 3, 2, -4, 2]]), np.pad(np.ones((2, 3), bool), ((0, 4), (0, 5)))
    )
    np.testing.assert_array_equal(marked([[5, 4, 11, 4, 11, 9, 5, 9]]), np.pad(np.ones((2, 3), bool), ((4, 0), (5, 0))))


@given(st.lists(st.tuples(st.floats(0, 60), st.floats(0, 40)), min_size=3, max_size=7))
def test_a_polygon_is_what_a_finer_drawing_of_it_shows(corners):
    """Pillow draws outlines, too: away from them the two agree."""
    mask = Polygons((tuple(corners),)).mask((40, 60))
    fine = Image.new("L", (60 * 16, 40 * 16))
    scaled = [(16 * x, 16 * y) for x, y in corners]
    ImageDraw.Draw(fine).polygon(scaled, fill=1)
    lines = Image.new("L", fine.size)
    ImageDraw.Draw(lines).line([*scaled, scaled[0]], fill=1, width=8)
    middle = (slice(8, None, 16), slice(8, None, 16))
    clear = np.asarray(lines)[middle] == 0
    np.testing.assert_array_equal(mask[clear], (np.asarray(fine)[middle] > 0)[clear])


NAN = float("nan")
BAD: list[tuple[Any, str]] = [
    ({"counts": COUNTS}, r"row 1: mask: the size of a mask \(RLE\) must be \[height, width\]"),
    ({"size": [6], "counts": COUNTS}, "must be .height, width., two whole numbers"),
    ({"size": [0, 8], "counts": COUNTS}, "must be .height, width., two whole numbers"),
    ({"size": [6, -8], "counts": COUNTS}, "must be .height, width., two whole numbers"),
    ({"size": [6, 8.5], "counts": COUNTS}, "must be .height, width., two whole numbers"),
    ({"size": [6, True], "counts": COUNTS}, "must be .height, width., two whole numbers"),
    ({"size": ["6", "8"], "counts": COUNTS}, "must be .height, width., two whole numbers"),
    ({"size": [10**400, 8], "counts": COUNTS}, "must be .height, width., two whole numbers"),
    ({"size": [8, 6], "counts": COUNTS}, r"is of an image of 8 x 6 pixels \(height x width\); this one has 6 x 8"),
    (
        {"size": [10**9, 10**9], "counts": [0, 10**18]},
        "is of an image of 1000000000 x 1000000000|whole numbers of 0 or more",
    ),
    ({"size": [6, 8], "counts": [20, -2, 30]}, "must be whole numbers of 0 or more"),
    ({"size": [6, 8], "counts": [20, 2.5, 25.5]}, "must be whole numbers of 0 or more"),
    ({"size": [6, 8], "counts": [20, NAN, 26]}, "must be whole numbers of 0 or more"),
    ({"size": [6, 8], "counts": [20, "2", 26]}, "must be whole numbers of 0 or more"),
    ({"size": [6, 8], "counts": None}, "must be whole numbers of 0 or more"),
    ({"size": [6, 8], "counts": [20, 2]}, r"has 2 runs that do not make up its 48 pixels: expected counts of 0"),
    ({"size": [6, 8], "counts": [20, 2, 27]}, "has 3 runs that do not make up its 48 pixels"),
    ({"size": [6, 8], "counts": []}, "has 0 runs that do not make up its 48 pixels"),
    ({"size": [6, 8], "counts": [0] * 1000 + [48]}, "has 1001 runs that do not make up its 48 pixels"),
    ({"size": [6, 8], "counts": [48]}, "the mask marks no pixel of the image"),
    ({"size": [6, 8], "counts": compressed([50, -4, 2])}, "has 3 runs that do not make up its 48 pixels"),
    ({"size": [6, 8], "counts": ""}, "has 0 runs that do not make up its 48 pixels"),
    ({"size": [6, 8], "counts": "d0240b"}, r"\(RLE\) are no text that COCO's compression writes, or cut off"),
    ({"size": [6, 8], "counts": "d0 240"}, r"\(RLE\) are no text that COCO's compression writes"),
    ({"size": [6, 8], "counts": "é"}, r"\(RLE\) are no text that COCO's compression writes"),
    ({"size": [6, 8], "counts": b"\xff"}, r"\(RLE\) are no text that COCO's compression writes"),
    ({"size": [6, 8], "counts": "o" * 10_000_000}, r"\(RLE\) are no text that COCO's compression writes"),
    ({"size": [6, 8], "counts": "0" * 10_000_000}, r"\(RLE\) are no text that COCO's compression writes"),
    ([{"size": [6, 8], "counts": [48]}] * (MOST_PARTS + 1), "mask has more than .* or 1,000 parts"),
    ([[1, 1, 2, 2]], "must hold polygons of at least three corners"),
    ([[1, 1, 2, 2, 3, 3, 4]], "must hold polygons of at least three corners"),
    ([[1, 1, 2, 2, NAN, 3]], "must hold polygons of at least three corners, x and y in turn, finite"),
    ([[1, 1, 2, 2, float("inf"), 3]], "must hold polygons of at least three corners, x and y in turn, finite"),
    ([[1, 1, 2, 2, 10**400, 3]], "must hold polygons of at least three corners, x and y in turn, finite"),
    ([[1, 1, 2, 2, "3", 3]], "must hold polygons of at least three corners, x and y in turn, finite"),
    ([[1, 1, 2, 2, None, 3]], "must hold polygons of at least three corners, x and y in turn, finite"),
    ([[1, 1, 2, 2, True, 3]], "must hold polygons of at least three corners, x and y in turn, finite"),
    ([[[1, 1], [2]]], "must hold polygons of at least three corners"),
    ([["a"]], "must hold polygons of at least three corners"),
    ([[]], "must hold polygons of at least three corners"),
    ([SQUARE, {"size": [6, 8], "counts": [48]}], "must hold polygons of at least three corners"),
    ([[1, 1, 2, 2, 1e9, 3]], r"a corner of the mask's polygons, \(1e\+09, 3\), lies far outside the image of 6 x 8"),
    ([[1, 1, 2, 2, 3, -1e308]], "lies far outside the image of 6 x 8 pixels"),
    ([[0.1, 0.1, 0.4, 0.1, 0.4, 0.4]], "the mask marks no pixel of the image: .* x before y, in pixels of the image"),
    ([[1, 1] * (MOST_POINTS + 1)], "the mask has more than 100,000 corners"),
    ([[1, 1, 2, 2, 3, 1]] * (MOST_PARTS + 1), "or 1,000 parts"),
]


@pytest.mark.parametrize(("value", "message"), BAD, ids=[str(number) for number in range(len(BAD))])
def test_what_no_mask_can_be_is_one_clear_line(value, message):
    with pytest.raises(WherelookError, match=message) as caught:
        marked(value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


# ---- arrays ----


def saved(values: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    "values",
    [
        REGION,
        REGION.astype(np.uint8) * 255,
        REGION.astype(np.int64) - 0,
        np.where(REGION, 1e-9, 0.0),
        np.where(REGION, 0.5, -1.0).astype(np.float16),
        np.asfortranarray(REGION),
        np.where(REGION, 1, 0).astype(np.longdouble),
        REGION.astype(">u2"),
    ],
    ids=["bool", "uint8", "int64", "float64", "negative", "by column", "long double", "big endian"],
)
def test_an_array_marks_what_is_above_zero(values):
    np.testing.assert_array_equal(region_of(saved(values), "x"), REGION)
    second = io.BytesIO()
    np.lib.format.write_array(second, values, version=(2, 0), allow_pickle=False)
    np.testing.assert_array_equal(region_of(second.getvalue(), "x"), REGION)
    np.testing.assert_array_equal(MaskImage(ImageBytes(saved(values), "x")).mask(SIZE), REGION)
    np.testing.assert_allclose(mean_attention([ImageBytes(saved(values), "x")], SIZE), REGION.astype(np.float32))


def header(shape: str, kind: str = "'|b1'", version: bytes = b"\x01\x00") -> bytes:
    text = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    length = len(text).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    return b"\x93NUMPY" + version + length + text.encode()


NONE, CUT = r"x is no array of numbers, \(height, width\), as numpy.save writes it", "x is cut off, empty or too large"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (saved(np.array([[object()]]), allow_pickle=True), NONE),
        (saved(np.zeros(SIZE, dtype=[("a", "u1")])), NONE),
        (saved(np.zeros(SIZE, dtype=complex)), NONE + ".*'descr': '<c16'"),
        (saved(np.array([["a"]])), NONE),
        (saved(np.zeros((6, 8), dtype="M8[s]")), NONE),
        (saved(np.zeros((1, 6, 8))), NONE + r".*'shape': \(1, 6, 8\)"),
        (saved(np.zeros(48)), NONE),
        (saved(np.where(REGION, np.nan, 0)), "x holds values that are not finite"),
        (saved(np.where(REGION, np.inf, 0)), "x holds values that are not finite"),
        (saved(REGION)[:-1], CUT),
        (saved(REGION) + b"more", CUT),
        (header("(1000000, 1000000000)"), NONE),
        (header("(100000, 100000000)"), CUT),
        (header("(0, 8)"), CUT),
        (header("(-6, -8)") + bytes(48), NONE),
        (header("(6, 8)", "'<f7'") + bytes(48 * 7), "x holds numbers of a type that numpy does not have: '<f7'"),
        (header("(6, 8)", "'|O'") + bytes(48 * 8), NONE),
        (header("__import__('os').system('true')"), NONE),
        (header("(6, 8)", version=b"\x03\x00") + bytes(48), NONE),
        (header("(6, 8)", version=b"\x09\x00") + bytes(48), NONE),
        (b"\x93NUMPY", NONE),
        (b"\x93NUMPY\x01\x00\xff\xff{\n", NONE),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", NONE),
    ],
)  # fmt: skip
def test_an_array_that_is_none(data, message):
    for read in (region_of, gray_levels):
        with pytest.raises(InputError, match=message) as caught:
            read(data, "x")
        assert "\n" not in str(caught.value)


def test_a_map_beyond_the_largest_float_is_no_map():
    assert region_of(saved(np.where(REGION, 1e300, 0)), "x").sum() == 4
    with pytest.raises(InputError, match="x holds values that are not finite"):
        gray_levels(saved(np.where(REGION, 1e300, 0)), "x")


# ---- tables ----


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["jsonl", "csv", "csv, python", "parquet"])
def test_a_mask_of_a_table(tmp_path, form, kind):
    value = FORMS[form]
    if form == "compressed bytes" and kind in ("jsonl", "csv"):
        pytest.skip("JSON has no bytes")
    write_table(tmp_path, kind, [{"image": "a.png", "question": "What?", "segmentation": value}])
    name = "table.jsonl" if kind == "jsonl" else "table.parquet" if kind == "parquet" else "table.csv"
    (sample,) = read_samples(f"table:{tmp_path / name},mask=segmentation")
    np.testing.assert_array_equal(sample.truth, REGION)
    assert sample.fingerprint == sample.fingerprint


def write_table(folder, kind: str, rows: list[dict[str, Any]]) -> None:
    import csv

    import pyarrow
    from pyarrow import parquet

    Image.new("RGB", SIZE[::-1], (200, 0, 0)).save(folder / "a.png")
    if kind == "jsonl":
        (folder / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif kind == "parquet":
        parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "table.parquet")
    else:
        with (folder / "table.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            write = str if kind == "csv, python" else json.dumps
            writer.writerows([row | {"segmentation": write(row["segmentation"])} for row in rows])


def test_a_broken_mask_is_the_error_of_its_row_and_a_file_may_have_any_name(tmp_path):
    Image.fromarray(REGION).save(tmp_path / "[1].png")
    np.save(tmp_path / "mask.npy", REGION)
    rows = [
        {"image": "a.png", "question": "What?", "segmentation": value}
        for value in (SQUARE, [[1, 2]], {"size": [3, 3], "counts": [9]}, "[1].png", "mask.npy", [], None)
    ]
    write_table(tmp_path, "jsonl", rows)
    found = list(read_samples(f"table:{tmp_path / 'table.jsonl'},mask=segmentation"))
    for index in (0, 3, 4):
        np.testing.assert_array_equal(found[index].truth, REGION)
    with pytest.raises(WherelookError, match=r"table.jsonl, line 2: segmentation: a mask that is a list must hold"):
        _ = found[1].image
    with pytest.raises(WherelookError, match="is of an image of 3 x 3 pixels"):
        _ = found[2].truth
    assert [found[index].truth for index in (5, 6)] == [None, None]
    assert len({sample.fingerprint for sample in found}) == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"size": [6, 8], "counts": [20, 2, 26', "segmentation is no whole list or object in JSON or Python"),
        ('{"size": [6, 8], "counts": [20, 2, 26' + " " * 5000, "segmentation is no whole list or object"),
        ("[[1, 1, 2, 2, 3", "segmentation is no whole list or object"),
        ('{"size": [6, 8]}', "the counts of a mask .RLE. must be whole numbers"),
        ('{"a": 1}', "the size of a mask .RLE. must be"),
        ("[1].png", "'.1..png' is not a file inside the folder"),
    ],
)
def test_a_text_that_begins_like_a_mask_and_is_none(tmp_path, text, message):
    write_table(tmp_path, "csv, python", [{"image": "a.png", "question": "What?", "segmentation": text}])
    with pytest.raises(WherelookError, match=message):
        _ = next(iter(read_samples(f"table:{tmp_path / 'table.csv'},mask=segmentation"))).truth


def test_tuples_are_corners_too(tmp_path):
    text = str([(3, 2), (5, 2), (5, 4), (3, 4)])
    write_table(tmp_path, "csv, python", [{"image": "a.png", "question": "What?", "segmentation": text}])
    (sample,) = read_samples(f"table:{tmp_path / 'table.csv'},mask=segmentation")
    np.testing.assert_array_equal(sample.truth, REGION)


def test_polygons_that_would_take_minutes_are_refused():
    zigzag = [[x / 20, 9000 * (x % 2)] for x in range(MOST_POINTS)]
    with pytest.raises(WherelookError, match=r"cross rows of pixels more than 10,000,000 times: .* as an image"):
        marked(zigzag, (9000, 9000))
