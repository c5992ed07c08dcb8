"""Files, page and command of an explanation of several images."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from wherelook.explanation import Explanation, Focus, ImagePart, command_line

HOSTILE = '</td><script>alert(1)</script>"><img src=x>.png'
FIRST, SECOND = (40, 60), (80, 60)  # (height, width); on the canvas, 57 high, 85 and 42 columns wide


def part(size: tuple[int, int], heatmap: np.ndarray, **changes: object) -> ImagePart:
    pixels = np.full((*size, 3), 200, np.uint8)
    return ImagePart(**{
        "path": "a.png", "frame": None, "sha256": "cd" * 32, "pixels": pixels, "heatmap": heatmap,
        "focus": Focus((0, 0, 10, 10), (5.0, 5.0)), "share": 0.75, "lost": 0.5, "restored": -0.25, **changes,
    })  # fmt: skip


@pytest.fixture
def several(make_explanation) -> Explanation:
    """The first image dark to its last column, the second light from its first."""
    heatmap = np.zeros((4, 9), np.float32)
    heatmap[:, 6:] = 1
    return make_explanation(
        images=(
            part(FIRST, heatmap[:, :6], focus=None, share=0.25),
            part(SECOND, heatmap[:, 6:], path=HOSTILE),
        ),
    )


def test_each_image_has_its_files_beside_those_of_the_canvas(several, tmp_path):
    several.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "explanation.json", "report.html", "mask.npy", "heatmap.png", "overlay.png",
        *(f"{name}-{index}.{kind}" for index in (1, 2)
          for name, kind in (("mask", "npy"), ("heatmap", "png"), ("overlay", "png"))),
    }  # fmt: skip
    assert np.array_equal(np.load(tmp_path / "mask-2.npy"), np.ones((4, 3)))
    for name, size in (("overlay-1.png", (60, 40)), ("heatmap-2.png", (60, 80)), ("overlay.png", (127, 57))):
        with Image.open(tmp_path / name) as picture:
            assert picture.size == size
    record = json.loads((tmp_path / "explanation.json").read_text())
    assert record["images"] == [
        {"path": "a.png", "frame": None, "width": 60, "height": 40, "sha256": "cd" * 32, "share": 0.25, "lost": 0.5,
         "restored": -0.25, "largest_saliency": 0.0, "focus": None},
        {"path": HOSTILE, "frame": None, "width": 60, "height": 80, "sha256": "cd" * 32, "share": 0.75, "lost": 0.5,
         "restored": -0.25, "largest_saliency": 1.0, "focus": {"box": [0, 0, 10, 10], "peak": [5.0, 5.0]}},
    ]  # fmt: skip


def test_files_of_an_earlier_explanation_of_more_images_are_gone(several, make_explanation, tmp_path):
    several.save(tmp_path)
    make_explanation(token_maps=()).save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "explanation.json", "report.html", "mask.npy", "heatmap.png", "overlay.png",
    }  # fmt: skip


def test_one_image_is_a_canvas_of_one(make_explanation):
    explanation = make_explanation()
    (image,) = explanation.images
    assert explanation.to_dict()["images"] == [
        {"path": "a picture.png", "frame": None, "width": 120, "height": 90, "sha256": "ab" * 32, "share": 1.0,
         "lost": 1.0, "restored": 1.0, "largest_saliency": 1.0, "focus": explanation.to_dict()["focus"]},
    ]  # fmt: skip
    assert explanation.focus == image.focus == Focus((80, 15, 105, 35), (92.1, 24.1))
    assert explanation.pixels is image.pixels
    assert np.array_equal(explanation.heatmap, image.heatmap)
    assert explanation.drawn(explanation.heatmap) is explanation.heatmap
    assert "Which image" not in explanation.to_html()


def test_colors_do_not_run_over_the_border(several):
    """Interpolated over the border, the first image would be colored for half a cell, seven pixels."""
    shown = np.asarray(several.overlay())
    assert (shown[:, :82] == 200).all()
    assert (shown[:, 88:] != 200).any(axis=2).all()
    assert [heatmap.max() for heatmap in several.heatmaps] == [0, 1]


def test_the_focus_is_that_of_the_image_with_the_largest_value_in_pixels_of_the_canvas(several):
    """10 of 60 columns of the second image are 7 of 42 on the canvas, 10 of 80 rows 7.1 of 57: 8 in whole pixels."""
    assert several.focus == Focus((85, 0, 92, 8), (88.5, 3.5625))


def test_the_page_shows_the_images_with_their_shares(several):
    html = several.to_html()
    assert "Which image does the answer depend on?" in html
    titles = re.findall(r"<strong>(Image \d of 2)</strong>", html)
    assert titles == ["Image 1 of 2", "Image 2 of 2"]
    for figure in (f"{share}\N{NO-BREAK SPACE}%" for share in ("25", "75", "50", "\N{MINUS SIGN}25")):
        assert f"<td>{figure}</td>" in html
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html


@pytest.mark.parametrize("status", ["not_visual", "weak_gap"])
def test_without_a_focus_no_image_has_a_map_or_a_share(several, status):
    images = tuple(replace(image, share=None, lost=None, restored=None, focus=None) for image in several.images)
    html = replace(several, status=status, images=images).to_html()
    assert html.count("grayed and hatched: no focus region") == 2
    assert "Share of the loss" not in html


def test_the_command_names_every_image(several):
    words = shlex.split(" ".join(command_line.words(several)))
    assert words[words.index("--image") + 1] == HOSTILE
    assert words[-2:] == ["a.png", several.question]
    frames = tuple(replace(image, path="clip.gif", frame=index) for index, image in enumerate(several.images, start=1))
    words = shlex.split(" ".join(command_line.words(replace(several, images=frames))))
    assert words[words.index("--frames") + 1] == "2"
    assert "--image" not in words
    assert "--video" not in words
    assert words[-2] == "clip.gif"
    video = replace(several, images=frames, model=several.model | {"frames_per_second": 4.0})
    assert "--video" in command_line.words(video)
