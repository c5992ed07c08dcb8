"""What is loaded is what was saved; what is no explanation, or is damaged, is refused in one line."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from hashlib import sha256

import numpy as np
import pytest
from PIL import Image

import wherelook
from wherelook.data.images import load_frames, load_image
from wherelook.errors import InputError
from wherelook.explanation import Explanation, Focus, ImagePart


def put(folder, pixels, name="photo.png"):
    """An image file; its path and SHA-256 as an explanation of it records them."""
    Image.fromarray(pixels).save(folder / name)
    return {"path": str(folder / name), "sha256": sha256((folder / name).read_bytes()).hexdigest(), "pixels": pixels}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def of_one(make_explanation, tmp_path, token_maps):
    pixels = np.random.default_rng(1).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    return make_explanation(
        **put(tmp_path, pixels), token_maps=token_maps, notes=("a note",), prompt="<image> Which?", reasoning="Hm.",
        execution={"device": "cpu", "memory_limit": None},
    )  # fmt: skip


def of_two(make_explanation, tmp_path, token_maps):
    """One image lies in a file, one was an object; the map of one is stored column by column."""
    drawn = np.full((80, 60, 3), 9, np.uint8)
    objects = {"path": None, "sha256": sha256(drawn.tobytes()).hexdigest(), "pixels": drawn}
    figures = {"frame": None, "share": 0.5, "lost": 0.1, "restored": -0.2}
    maps = np.zeros((4, 6), np.float32), np.asfortranarray(np.linspace(0, 1, 12, dtype=np.float32).reshape(4, 3))
    first = put(tmp_path, np.full((40, 60, 3), 200, np.uint8))
    return make_explanation(images=(
        ImagePart(**first, **figures, heatmap=maps[0], focus=None),
        ImagePart(**objects, **figures, heatmap=maps[1], focus=Focus((0, 0, 10, 10), (5.0, 5.0))),
    ))  # fmt: skip


@pytest.mark.parametrize("make", [of_one, of_two])
def test_what_is_loaded_is_what_was_saved(make, make_explanation, tmp_path, token_maps):
    saved = make(make_explanation, tmp_path, token_maps)
    loaded = Explanation.load(saved.save(tmp_path / "out"), [image.path or image.pixels for image in saved.images])
    arrays = {"images", "token_maps"}
    assert all(getattr(loaded, one.name) == getattr(saved, one.name) for one in fields(saved) if one.name not in arrays)
    for name in arrays:
        for first, second in zip(getattr(saved, name), getattr(loaded, name), strict=True):
            for one in fields(first):
                np.testing.assert_equal(getattr(second, one.name), getattr(first, one.name))
    assert loaded.to_dict() == saved.to_dict()
    assert contents(loaded.save(tmp_path / "again")) == contents(tmp_path / "out")
    assert loaded.overlay() == saved.overlay()
    assert loaded._repr_html_() == saved._repr_html_()


def test_numbers_that_are_not_finite_stay_so(make_explanation, tmp_path):
    saved = make_explanation(tokens=(replace(make_explanation().tokens[0], log_prob_baseline=-math.inf),))
    loaded = Explanation.load(saved.save(tmp_path))
    assert math.isnan(loaded.tokens[0].log_prob_baseline)
    assert loaded.to_dict() == saved.to_dict()


def test_an_image_is_found_where_it_was_or_beside_the_explanation(make_explanation, tmp_path, token_maps):
    folder = of_one(make_explanation, tmp_path, token_maps).save(tmp_path / "out")
    assert Explanation.load(folder).missing == ""
    for place in (folder, tmp_path / "elsewhere"):
        place.mkdir(exist_ok=True)
        (tmp_path / "photo.png").replace(place / "photo.png")
        loaded = Explanation.load(folder)
        assert bool(loaded.missing) == (place != folder)
        (place / "photo.png").replace(tmp_path / "photo.png")


def test_frames_of_an_animation_are_found(make_explanation, tmp_path):
    frames = [Image.new("RGB", (60, 40), color) for color in ("red", "green", "blue")]
    frames[0].save(tmp_path / "clip.gif", save_all=True, append_images=frames[1:])
    heatmap = np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 6)
    images = tuple(
        ImagePart(frame.path, frame.frame, frame.sha256, frame.pixels, heatmap, None, None, None, None)
        for frame in load_frames(tmp_path / "clip.gif", 2)
    )
    loaded = Explanation.load(make_explanation(images=images).save(tmp_path / "out"))
    assert [image.frame for image in loaded.images] == [1, 3]
    for first, second in zip(images, loaded.images, strict=True):
        assert np.array_equal(first.pixels, second.pixels)


@pytest.mark.parametrize("status", ["ok", "weak_gap"])
def test_without_its_image_an_explanation_is_gray_and_says_so(make_explanation, tmp_path, status):
    folder = make_explanation(status).save(tmp_path)
    before = contents(folder)
    loaded = Explanation.load(folder)
    said = "image a picture.png is not there and shown in gray: give it to Explanation.load(folder, images)"
    assert loaded.missing == said
    assert (loaded.pixels == 208).all()
    assert loaded.overlay().size == loaded.heatmap_image().size == (120, 90)
    assert loaded.heatmap_image() == make_explanation(status).heatmap_image()
    assert said in loaded.to_html()
    assert said in loaded._repr_html_()
    assert "image missing" in repr(loaded)
    with pytest.raises(InputError, match=r"no overlay can be drawn to save: image a picture\.png is not there"):
        loaded.save(folder)
    assert contents(folder) == before


def test_an_image_that_was_not_explained_is_refused(make_explanation, tmp_path, token_maps):
    saved = of_one(make_explanation, tmp_path, token_maps)
    folder = saved.save(tmp_path / "out")
    (tmp_path / "photo.png").rename(tmp_path / "moved.png")
    assert Explanation.load(folder).missing
    assert not Explanation.load(folder, tmp_path / "moved.png").missing
    assert not Explanation.load(folder, load_image(tmp_path / "moved.png")).missing
    with pytest.raises(InputError, match="image 1 is not the one that was explained: its size, frame or SHA-256"):
        Explanation.load(folder, 255 - saved.pixels)
    with pytest.raises(InputError, match="the explanation is of 1 images; got 2"):
        Explanation.load(folder, [tmp_path / "moved.png"] * 2)


def test_the_terminal_shows_one_short_line(make_explanation, tmp_path):
    saved = make_explanation(question="Which\none?", answer="word " * 500)
    line = repr(Explanation.load(saved.save(tmp_path)))
    assert line.startswith("<Explanation ok: 'Which one?' -> 'word word ")
    assert line.endswith("...', 2 of 5 tokens explained, image missing>")
    assert len(line) < 200


def test_a_folder_without_an_explanation(make_explanation, tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere", tmp_path / "null\0byte"):
        with pytest.raises(InputError, match=r"there is no file .*explanation\.json"):
            wherelook.Explanation.load(folder)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("explanation.json", b"{", "explanation.json is damaged, or was not written by an explanation"),
        ("explanation.json", b"[" * 100_000, "explanation.json is damaged"),
        ("explanation.json", b'{"schema_version": 2, "status": NaN, "answer": ""}', "explanation.json is damaged"),
        ("explanation.json", b'{"schema_version": 2, "status": 1e999, "answer": ""}', "explanation.json is damaged"),
        ("explanation.json", b'{"schema_version": 1%s, "status": "", "answer": ""}' % (b"0" * 400), "json is damaged"),
        ("mask.npy", None, "there is no file .*mask.npy"),
        ("mask.npy", b"\x93NUMPY", "mask.npy is damaged, or was changed since it was written: its SHA-256"),
        ("overlay.png", b"another", "overlay.png is damaged, or was changed since"),
    ],
)
def test_a_damaged_file_is_named(make_explanation, tmp_path, name, content, message):
    make_explanation().save(tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        Explanation.load(tmp_path)
    assert "\n" not in str(caught.value)


def npy(values):
    return values.astype(np.float32)


FORGED_RECORDS = {
    "version": ({"schema_version": 1}, "has schema_version 1, and this version of wherelook reads 2: explain the"),
    "outside": ({"files": {"../secret": "ab"}}, r"lists '../secret', which is no file of an explanation"),
    "no-masks": ({"files": {}}, "damaged explanation: mask.npy is missing"),
    "text": ({"answer": 7}, "damaged explanation: answer is 7"),
    "status": ({"status": "fine"}, "damaged explanation: status is 'fine'"),
    "token": ({"tokens": [{"text": "a"}]}, r"damaged explanation: tokens\[0\] has no 'id'"),
    "tokens": ({"tokens": {}}, "damaged explanation: tokens is a value of type dict"),
    "gap": ({"reliance": {"gap": "wide"}}, "damaged explanation: reliance.gap is 'wide'"),
    "parameters": ({"method": {"parameters": [1]}}, "damaged explanation: method.parameters is a value of type list"),
    "curve": ({"curves": [{"baseline": "blur", "seen": True, "fractions": [0.0], "deletion": [], "insertion": []}]},
              "a curve has less than two points"),
    "no-image": ({"images": []}, "damaged explanation: it has 0 images"),
    "image": ({"images": [{"path": None}]}, r"images\[0\] has no 'frame'"),
    "lines": ({"metrics": {"a\nb": "x"}}, "damaged explanation: metrics.a b is 'x'"),
    "huge-image": ({"images": [{"path": None, "frame": None, "sha256": "", "width": 10**6, "height": 10**6,
                                "share": None, "lost": None, "restored": None, "focus": None}]},
                   r"images\[0\] has 1000000 x 1000000 pixels"),
    "token-maps": ({"token_maps": [99]}, "token_maps is not a list of positions among 5 tokens"),
}  # fmt: skip


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("case", FORGED_RECORDS)
def test_a_record_of_another_kind_is_refused(make_explanation, tmp_path, case):
    changes, message = FORGED_RECORDS[case]
    path = make_explanation().save(tmp_path) / "explanation.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(InputError, match=message) as caught:
        Explanation.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_entry_that_is_missing_is_named(make_explanation, tmp_path):
    path = make_explanation().save(tmp_path) / "explanation.json"
    record = json.loads(path.read_text())
    del record["question"]
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"damaged explanation: explanation\.json has no 'question'"):
        Explanation.load(tmp_path)


FORGED_MASKS = {
    "dimensions": ("mask.npy", npy(np.zeros((1, 4, 4))), "mask.npy is no float32 array of 2 dimensions"),
    "type": ("mask.npy", np.zeros((4, 4)), "mask.npy is no float32 array of 2 dimensions: float64"),
    "object": ("mask.npy", np.array([[{}]], dtype=object), "mask.npy is no float32 array of 2 dimensions: object"),
    "range": ("mask.npy", npy(np.full((28, 28), 2)), r"mask.npy holds values outside \[0, 1\]"),
    "nan": ("mask.npy", npy(np.full((28, 28), np.nan)), r"mask.npy holds values outside \[0, 1\]"),
    "empty": ("mask.npy", npy(np.zeros((0, 4))), "mask.npy is no float32 array of 2 dimensions"),
    "another-grid": ("mask.npy", npy(np.zeros((14, 14))), r"token_masks.npy has shape \(2, 28, 28\); expected \(2, 14"),
    "fewer": ("token_masks.npy", npy(np.zeros((1, 28, 28))), r"token_masks.npy has shape \(1, 28, 28\); expected \(2"),
    "header": ("mask.npy", b"\x93NUMPY\x01\x00\x02\x00{}", "mask.npy is not an array as numpy.save writes it"),
    "claims": (
        "mask.npy",
        b"\x93NUMPY\x01\x00\x76\x00"
        + b"{'descr': '<f4', 'fortran_order': False, 'shape': (999999999, 999999999), }".ljust(117)
        + b"\n",
        "mask.npy is no float32 array of 2 dimensions: float32, shape",
    ),
}


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("case", FORGED_MASKS)
def test_a_mask_of_another_shape_or_type_is_refused(make_explanation, token_maps, tmp_path, case):
    """With its right SHA-256: as a stranger would send it."""
    name, values, message = FORGED_MASKS[case]
    path = make_explanation(token_maps=token_maps).save(tmp_path) / "explanation.json"
    if isinstance(values, bytes):
        (tmp_path / name).write_bytes(values)
    else:
        np.save(tmp_path / name, values, allow_pickle=True)
    record = json.loads(path.read_text())
    record["files"][name] = sha256((tmp_path / name).read_bytes()).hexdigest()
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match=message):
        Explanation.load(tmp_path)
