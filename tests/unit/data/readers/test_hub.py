"""Data sets through the package `datasets`: folders, for tests have no network."""

from __future__ import annotations

import gc
import sys

import pytest

from wherelook.data.datasets import read_samples
from wherelook.errors import InputError, WherelookError


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"need the package datasets: pip install 'datasets"):
        read_samples("hub:owner/name")


@pytest.fixture
def datasets():
    yield pytest.importorskip("datasets")
    gc.collect()  # files that the package leaves open, while its warnings are ignored


pytestmark = pytest.mark.filterwarnings("ignore")  # of the package and what it imports


def test_a_folder_of_parquet_files(build, datasets):
    image = {"bytes": build.picture((200, 0, 0)), "path": "x.png"}
    rows = [{"picture": image, "text": f"Question {number}?", "answer": "red", "id": number} for number in (5, 6)]
    build.parquet("data/train-00000-of-00001.parquet", rows)
    first, second = read_samples(f"hub:{build.root},image=picture,question=text")
    assert (first.id, first.question, second.question, first.reference) == ("5", "Question 5?", "Question 6?", "red")
    assert first.image.pixels[0, 0].tolist() == [200, 0, 0]
    with pytest.raises(WherelookError, match="image or text is missing"):
        read_samples(f"hub:{build.root},question=text")
    with pytest.raises(InputError, match=r"cannot open data set|unknown split"):
        read_samples(f"hub:{build.root},split=nothing,image=picture,question=text")
    with pytest.raises(InputError, match="unknown field 'photo'; valid: id, image"):
        read_samples(f"hub:{build.root},photo=picture")


def test_splits_must_be_named_where_there_are_several(build, datasets):
    for split in ("train", "test"):
        row = {"image": {"bytes": build.picture(), "path": None}, "question": f"Is this {split}?"}
        build.parquet(f"data/{split}-00000-of-00001.parquet", [row])
    with pytest.raises(InputError, match=r"has several splits: name one, hub:.*,split=NAME; there are train, test"):
        read_samples(f"hub:{build.root}")
    (sample,) = read_samples(f"hub:{build.root},split=test")
    assert sample.question == "Is this test?"


def test_a_folder_of_images(build, datasets):
    build.image("train/a.png", (0, 0, 200))
    build.text("train/metadata.csv", "file_name,question\na.png,What?\n")
    (sample,) = read_samples(f"hub:{build.root}")
    assert (sample.question, sample.image.pixels[0, 0].tolist()) == ("What?", [0, 0, 200])


def test_a_data_set_saved_to_disk(build, datasets, tmp_path):
    features = datasets.Features({"image": datasets.Image(), "question": datasets.Value("string")})
    rows = {"image": [{"bytes": build.picture((0, 200, 0)), "path": None}], "question": ["What?"]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "saved")
    (sample,) = read_samples(f"hub:{tmp_path / 'saved'}")
    assert (sample.question, sample.image.pixels[0, 0].tolist()) == ("What?", [0, 200, 0])


def test_a_name_that_cannot_be_reached(datasets):
    with pytest.raises(InputError, match="cannot open data set 'nobody/nothing'"):
        read_samples("hub:nobody/nothing")
