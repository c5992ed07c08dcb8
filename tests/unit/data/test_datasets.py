"""`read_samples`: which data set is meant, scenes, tables of one's own, and data sets larger than memory."""

from __future__ import annotations

import csv
import itertools
import json
import pickle
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from wherelook.data import images
from wherelook.data.datasets import DATASETS, read_samples
from wherelook.data.readers.scenes import LOCAL_KINDS
from wherelook.data.scenes import REPORTING_SEEDS, make_scene, write_scenes
from wherelook.errors import InputError, WherelookError

# ---- scenes ----


def test_scenes_give_one_question_each_with_its_evidence():
    samples = list(itertools.islice(read_samples("scenes"), 10))
    assert len({sample.id for sample in samples}) == 10
    assert all(int(sample.id) in REPORTING_SEEDS for sample in samples)
    assert len({sample.kind for sample in samples}) > 2
    for sample in samples:
        scene = make_scene(int(sample.id))
        question = next(question for question in scene.questions if question.text == sample.question)
        assert question.exclusive
        assert question.kind in LOCAL_KINDS["shapes"]
        assert sample.references == (question.answer,)
        assert sample.paraphrase == question.paraphrase
        assert np.array_equal(sample.truth, question.evidence)
        assert np.array_equal(sample.image.pixels, np.asarray(scene.image))


def test_things_are_drawn_with_their_exact_masks():
    for sample in itertools.islice(read_samples("things"), 6):
        scene = make_scene(int(sample.id), world="things")
        question = next(question for question in scene.questions if question.text == sample.question)
        assert question.exclusive
        assert question.kind in LOCAL_KINDS["things"]
        assert np.array_equal(sample.truth, question.evidence)
        assert np.array_equal(sample.image.pixels, np.asarray(scene.image))


@pytest.mark.parametrize("name", ["scenes-tuning", "things-tuning"])
def test_tuning_scenes_are_other_scenes(name):
    first = next(read_samples(name))
    assert int(first.id) not in REPORTING_SEEDS


@pytest.mark.parametrize("name", ["", "scenes:"])
def test_a_folder_of_scenes(tmp_path, name):
    records = write_scenes(tmp_path / "scenes", n=3, seed=5, size=(64, 64))
    samples = list(read_samples(f"{name}{tmp_path / 'scenes'}"))
    assert [sample.id for sample in samples] == [r.id for r in records if r.exclusive and r.evidence]
    assert all(sample.truth.shape == (64, 64) and sample.truth.any() for sample in samples)
    assert [sample.paraphrase for sample in samples] == [r.paraphrase for r in records if r.exclusive and r.evidence]


# ---- tables ----


@pytest.fixture
def lines(build):
    build.bytes("a.png", build.picture((255, 0, 0)))
    mask = np.zeros((6, 8), dtype=np.uint8)
    mask[2:4, 3:5] = 255
    build.gray("mask.png", mask)

    def write(*rows) -> str:
        build.text("data.jsonl", "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
        return str(build.root / "data.jsonl")

    return write


def test_lines_of_a_file(lines):
    first, second = read_samples(
        lines({"image": "a.png", "question": "What?", "answer": "Red.", "mask": "mask.png", "id": "x"}, "",
              {"image": "a.png", "question": "Why?", "paraphrase": "What for?"})
    )  # fmt: skip
    assert (first.id, first.question, first.reference) == ("x", "What?", "Red.")
    assert first.truth.sum() == 4
    assert first.truth[2, 3]
    assert (second.id, second.reference, second.truth, second.human) == ("3", None, None, None)
    assert (first.paraphrase, second.paraphrase) == (None, "What for?")


FULL = {
    "image": "a.png", "question": "What?", "answer": "B", "choices": ["red", "blue"], "kind": "color", "group": 4,
    "box": [[0, 2, 3.5, 4]], "human": ["mask.png"],
}  # fmt: skip


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "tsv", "parquet"])
def test_every_format_gives_the_same(build, lines, form):
    lines()
    if form == "jsonl":
        build.lines("table.jsonl", FULL)
    elif form == "json":
        build.json("table.json", [FULL])
    elif form == "parquet":
        build.parquet("table.parquet", [FULL])
    else:
        with (build.root / f"table.{form}").open("w", encoding="utf-8", newline="") as stream:
            row = {name: json.dumps(value) if isinstance(value, list) else value for name, value in FULL.items()}
            row["human"] = "mask.png"
            writer = csv.DictWriter(stream, list(row), delimiter="\t" if form == "tsv" else ",")
            writer.writeheader()
            writer.writerow(row)
    (sample,) = read_samples(f"table:{build.root / f'table.{form}'},box_format=xyxy")
    assert (sample.id, sample.kind, sample.group) == ("1", "color", "4")
    assert (sample.choices, sample.reference) == (("red", "blue"), "blue")
    assert sample.truth.sum() == 4 * 2
    assert (sample.human == (np.asarray(Image.open(build.root / "mask.png")) > 0)).all()


def test_columns_can_be_named(build, lines):
    lines()
    build.text("my, own.csv", "picture,text\na.png,What?\n")
    (sample,) = read_samples(f"table:{build.root}/my, own.csv,image=picture,question=text")
    assert (sample.question, sample.image.size) == ("What?", (6, 8))
    with pytest.raises(InputError, match="unknown field 'photo'; valid: id, image"):
        read_samples(f"table:{build.root}/my, own.csv,photo=picture")
    with pytest.raises(InputError, match="only columns of table and hub can be named"):
        read_samples(f"mmvp:{build.root},image=picture")


def test_tables_of_a_folder_have_ids_of_their_own(build, lines):
    lines()
    for name in ("one.csv", "two.csv"):
        build.text(name, "image,question\na.png,What?\n")
    (build.root / "data.jsonl").unlink()
    assert [sample.id for sample in read_samples(f"table:{build.root}")] == ["one.csv-1", "two.csv-1"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "line 1: not a line of JSON"),
        ("[]", r"line 1: expected an object, not \[\]"),
        ("[" * 100_000, "line 1: not a line of JSON"),
        ({"image": "a.png"}, "line 1: image or question is missing"),
        ({"image": "a.png", "question": 3}, "line 1: question must be text, not 3"),
        ({"image": "a.png", "question": "?", "paraphrase": 3}, "line 1: paraphrase must be text, not 3"),
        ({"image": "a.png", "question": " "}, "line 1: the question is empty"),
        ({"image": "a.png", "question": "?", "paraphrase": ""}, "line 1: the paraphrase is empty"),
        ({"image": "../a.png", "question": "?"}, r"line 1: '\.\./a\.png' is not a file inside the folder"),
        ({"image": "/etc/hostname", "question": "?"}, "line 1: '/etc/hostname' is not a file inside"),
        ({"image": "x/../../a.png", "question": "?"}, r"line 1: 'x/\.\./\.\./a\.png' is not a file inside"),
        ({"image": 3, "question": "?"}, "line 1: image must be an image or its path, not 3"),
        ({"image": "a.png", "question": "?", "mask": "../b.png"}, r"line 1: '\.\./b\.png' is not a file inside"),
        (
            {"image": "a.png", "question": "?", "mask": "a.png", "box": [0, 0, 1, 1]},
            "line 1: expected mask or box, not",
        ),
        ({"image": "a.png", "question": "?", "box": "[1, 2"}, "line 1: box is not a list in JSON"),
        ({"image": "a.png", "question": "?", "answer": {}}, "line 1: answer must be text or a list of texts"),
        ({"image": "a.png", "question": "?", "id": 1.5}, "line 1: id must be text or a whole number, not 1.5"),
    ],
)
def test_broken_lines(lines, row, message):
    with pytest.raises(WherelookError, match=message):
        list(read_samples(lines(row)))


def test_a_broken_line_after_good_ones(lines):
    row = {"image": "a.png", "question": "?"}
    first, broken, last = read_samples(lines(row, "{", row))
    assert (first.id, broken.id, last.id) == ("1", "2", "3")
    assert broken.flags == ("broken row",)
    with pytest.raises(WherelookError, match="line 2: not a line of JSON"):
        _ = broken.image
    assert last.image.size == (6, 8)


def test_an_image_that_cannot_be_read_is_an_error_of_its_sample(build, lines):
    build.bytes("broken.png", b"not an image")
    rows = [{"image": name, "question": "?"} for name in ("missing.png", "broken.png", "a.png")]
    missing, broken, good = read_samples(lines(*rows))
    with pytest.raises(WherelookError, match=r"'missing\.png' is not a file inside the folder"):
        _ = missing.image
    with pytest.raises(WherelookError, match="is not an image in a supported format"):
        _ = broken.image
    assert good.image.size == (6, 8)
    assert len({sample.fingerprint for sample in (missing, broken, good)}) == 3


def test_a_link_leads_where_the_owner_of_the_folder_wants(build, lines, tmp_path):
    """As COCO is shared: the folder of images, or an image, is a link."""
    (tmp_path / "coco").mkdir()
    (tmp_path / "coco" / "b.png").write_bytes(build.picture((1, 2, 3)))
    text = lines({"image": "val2014/b.png", "question": "?"}, {"image": "b.png", "question": "?"})
    (build.root / "val2014").symlink_to(tmp_path / "coco")
    (build.root / "b.png").symlink_to(tmp_path / "coco" / "b.png")
    for sample in read_samples(text):
        assert sample.image.pixels[0, 0].tolist() == [1, 2, 3]


def test_the_images_may_lie_elsewhere(build, lines, tmp_path):
    other = type(build)(tmp_path / "coco")
    other.image("b.png", (1, 2, 3))
    rows = [{"image": name, "question": "?"} for name in ("b.png", "val2014/b.png", f"{other.root}/b.png", "c.png")]
    for place in (other.root, other.zip()):
        *there, absolute, missing = read_samples(f"table:{lines(*rows)},images={place}")
        if place == other.root:
            there.append(absolute)
        assert [sample.image.pixels[0, 0].tolist() for sample in there] == [[1, 2, 3]] * len(there)
        with pytest.raises(WherelookError, match=r"c\.png"):
            _ = missing.image
    (climbing,) = list(
        read_samples(f"table:{lines(rows[0], {'image': '../b.png', 'question': '?'})},images={other.root}")
    )[1:]
    with pytest.raises(WherelookError, match=r"'\.\./b\.png' is not a file inside the folder"):
        _ = climbing.image
    with pytest.raises(InputError, match=r"images=/nowhere: there is no such folder or zip archive"):
        read_samples(f"table:{build.root / 'data.jsonl'},images=/nowhere")
    with pytest.raises(WherelookError, match=r"add ,images=DIR to the dataset's name"):
        _ = next(read_samples(lines({"image": "b.png", "question": "?"}))).image


def test_masks_are_not_the_photographs_of_the_same_name(build, lines, tmp_path):
    """With images=DIR: the table's own mask, else that of the whole name."""
    other = type(build)(tmp_path / "coco")
    for name in ("1.png", "2.png", "3.png"):
        other.image(name, (9, 9, 9))
    left, right = np.zeros((2, 6, 8), dtype=np.uint8)
    left[:, :2], right[:, 5:] = 255, 255
    build.gray("masks/1.png", left)
    other.gray("masks/2.png", right)
    names = [f"masks/{number}.png" for number in (1, 2, 3)]
    rows = [{"image": name[6:], "question": "?", "mask": name, "human": name} for name in names]
    for place in (other.root, other.zip()):
        own, there, missing = read_samples(f"table:{lines(*rows)},images={place}")
        for sample, expected in ((own, left), (there, right)):
            np.testing.assert_array_equal(sample.truth, expected > 0)
            np.testing.assert_array_equal(sample.human, expected / 255)
        with pytest.raises(WherelookError, match=r"masks/3\.png"):
            _ = missing.truth


def test_fingerprints_do_not_hold_the_place(build, lines, tmp_path):
    """A run is gone on with when the folder has moved, or its images are named."""
    build.image("val2014/b.png")
    there = [{"image": name, "question": "?"} for name in ("val2014/b.png", None)]
    path = lines(*there, "{", {"image": "../x.png", "question": "?"}, {"image": "a.png", "question": ""})
    (tmp_path / "moved").symlink_to(build.root)
    places = [path, str(tmp_path / "moved" / "data.jsonl"), f"table:{path},images={build.root / 'val2014'}"]
    found = [[sample.fingerprint for sample in read_samples(place)] for place in places]
    assert found[0] == found[1]
    assert found[0][:3] == found[2][:3]
    assert len(set(found[0])) == 5


def test_a_mask_of_another_size(build, lines):
    build.gray("small.png", np.full((5, 5), 255))
    (sample,) = read_samples(lines({"image": "a.png", "question": "?", "mask": "small.png"}))
    with pytest.raises(WherelookError, match=r"the mask must have the image's size, \(6, 8\)"):
        _ = sample.truth


def test_ids_are_made_to_differ(lines):
    row = {"image": "a.png", "question": "?", "id": "x"}
    taken = row | {"id": "x#2"}
    samples = list(read_samples(lines(row, taken, row, row | {"id": "y"}, row)))
    assert [sample.id for sample in samples] == ["x", "x#2", "x#3", "y", "x#4"]
    assert [sample.flags for sample in samples] == [(), (), ("repeated id",), (), ("repeated id",)]


def test_an_empty_table(lines):
    with pytest.raises(InputError, match="is empty"):
        read_samples(lines())


@pytest.mark.parametrize("text", ["", "a,a\n1,2\n", "\xff\xfe,b\n"])
def test_a_csv_without_a_proper_header(build, text):
    build.bytes("t.csv", text.encode("latin-1"))
    with pytest.raises(WherelookError, match=r"t\.csv: the first row"):
        read_samples(str(build.root / "t.csv"))


def test_a_parquet_file_that_is_none(build):
    build.text("t.parquet", "PAR1 but no table")
    with pytest.raises(WherelookError, match=r"t\.parquet is broken"):
        read_samples(str(build.root / "t.parquet"))


# ---- which one is meant ----


def test_a_table_that_is_not_there():
    with pytest.raises(
        InputError, match=r"there is no file 'nothing\.jsonl'; expected a table with image and question"
    ):
        read_samples("nothing.jsonl")


@pytest.mark.parametrize("name", ["", "nothing", "C:/data", "\0"])
def test_no_such_data_set(name):
    with pytest.raises(
        InputError, match=r"no data set .*; valid: scenes, scenes-tuning, things, things-tuning, a folder"
    ):
        read_samples(name)


@pytest.mark.parametrize("name", ["scenes-tuning:x", "scenes:", "mmvp", "table"])
def test_a_path_too_few_or_too_many(name):
    with pytest.raises(InputError, match=f"data set '{name}': expected "):
        read_samples(name)


def test_every_data_set_says_what_it_is():
    for dataset in DATASETS.values():
        assert dataset.summary
        assert dataset.files
        assert dataset.source
        assert dataset.license


# ---- larger than memory ----

ROWS = 20_000


def no_image_may_be_read(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("an image was read before it was asked for")

    monkeypatch.setattr(images.Image, "open", refuse)


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet", "json"])
def test_the_beginning_of_a_large_table(build, monkeypatch, form):
    """Its first rows cost no more memory than those of a small one, and no image is opened."""
    path = build.root / f"large.{form}"
    filler = "x" * 1_000
    if form == "parquet":
        import pyarrow
        from pyarrow import parquet

        # One picture of 20 kB in every row: 400 MB, were they all there.
        columns = {"image": [b"p" * 20_000] * 1000, "question": [f"{n} {filler}" for n in range(1000)]}
        with parquet.ParquetWriter(
            path, pyarrow.schema({"image": pyarrow.binary(), "question": pyarrow.string()})
        ) as out:
            for _ in range(ROWS // 1000):
                out.write_table(pyarrow.table(columns), row_group_size=1000)
    else:
        pairs = ((f"{n}.png", f"{n} {filler}") for n in range(ROWS))
        with path.open("w", encoding="utf-8") as stream:
            if form == "csv":
                stream.write("image,question\n")
                stream.writelines(f"{image},{question}\n" for image, question in pairs)
            else:
                objects = (json.dumps({"image": image, "question": question}) for image, question in pairs)
                stream.write("[\n" if form == "json" else "")
                stream.writelines(",\n".join(objects) if form == "json" else (f"{text}\n" for text in objects))
                stream.write("\n]\n" if form == "json" else "")
    no_image_may_be_read(monkeypatch)
    tracemalloc.start()
    try:
        samples = read_samples(str(path))
        first = list(itertools.islice(samples, 10))
        samples.close()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [sample.id for sample in first] == [str(number) for number in range(1, 11)]
    assert len({sample.fingerprint for sample in first}) == 10
    assert peak < 8_000_000  # the file has 20 MB or more


def test_a_whole_large_table_is_never_in_memory(build):
    count = 400
    build.text("t.jsonl", "".join(f'{{"image": "{n}.png", "question": "{"x" * 25_000}"}}\n' for n in range(count)))
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_samples(str(build.root / "t.jsonl"))) == count
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000  # the file has 10 MB; what stays is a number for every id


# ---- other processes ----


def test_samples_can_be_sent_to_other_processes(build, lines):
    drawn = next(read_samples("scenes-tuning"))
    lines({"image": "a.png", "question": "What?", "mask": "mask.png", "human": "mask.png"})
    from_folder = next(read_samples(f"table:{build.root / 'data.jsonl'}"))
    from_archive = next(read_samples(f"table:{build.zip()}"))
    for sample in (drawn, from_folder, from_archive):
        copy = pickle.loads(pickle.dumps(sample))
        assert copy.fingerprint == sample.fingerprint
        np.testing.assert_array_equal(copy.truth, sample.truth)
        np.testing.assert_array_equal(copy.image.pixels, sample.image.pixels)
