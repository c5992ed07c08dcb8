"""Several images, or the frames of a video: every family that takes them, and every method with planted truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image
from tools.families import build, missing_package
from torch import Tensor

from contracted import CONTRACTED
from toy import PixelScore
from wherelook import Explainer
from wherelook.attribution import METHODS, make_settings
from wherelook.attribution.refinement import FLOOR, check_peaks
from wherelook.baselines import make_baseline
from wherelook.canvas import Canvas
from wherelook.check import test_picture as make_picture
from wherelook.metrics import peak, replay
from wherelook.models import VisionLanguageModel
from wherelook.models.huggingface.score import HuggingFaceScore

# Processors in Transformers, on NumPy 2: GLM-4V's, and MiniCPM's of videos.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept context:DeprecationWarning"),
]

ONE_IMAGE = {"blip-2", "instructblip", "git"}
"""Families that read their image beside the text."""
VIDEO = {
    *("exaone4_5", "gemma4", "glm46v", "glm4v", "glm4v_moe", "glm_ocr", "glmga", "internvl", "llava_next_video"),
    *("llava_onevision", "minicpmv4_6", "qwen2_5_vl", "qwen2_vl", "qwen3_5", "qwen3_5_moe", "qwen3_vl", "qwen3_vl_moe"),
    *("smolvlm", "video_llama_3", "video_llava"),
}
"""Families whose own video input is tested too."""
RATE = 2.0
QUESTION = "What color is the star?"
ANSWER = "The green star is left."
PICTURES = [make_picture((70, 130)), make_picture((64, 48)).transpose(Image.Transpose.ROTATE_180)]
FRAMES = [PICTURES[0], PICTURES[0].transpose(Image.Transpose.ROTATE_180)]


@dataclass(frozen=True)
class Case:
    """A family's model and one question about two pictures of different sizes, or a video of two frames."""

    name: str
    model: VisionLanguageModel
    pictures: list[Image.Image]
    baselines: list[Image.Image]
    score: HuggingFaceScore


IMAGES_AND_VIDEOS = [(name, None) for name in CONTRACTED if name not in ONE_IMAGE] + [
    (name, RATE) for name in CONTRACTED if name in VIDEO
]


@pytest.fixture(scope="module", params=IMAGES_AND_VIDEOS, ids=lambda pair: f"{pair[0]}{'-video' if pair[1] else ''}")
def case(request) -> Case:
    name, rate = request.param
    missing = missing_package(name)
    if missing:
        pytest.skip(f"{name} needs {missing}")
    model = VisionLanguageModel(*build(name), identifier=name, frames_per_second=rate)
    if rate and getattr(model.processor, "video_processor", None) is None:
        pytest.skip(f"the video input of {name} needs torchvision")
    pictures = FRAMES if rate else PICTURES
    baselines = [Image.fromarray(make_baseline("mean", np.asarray(picture))) for picture in pictures]
    prompt = model.encode(pictures, QUESTION)
    score = model.score(prompt, baselines, model.tokenize_answer(prompt, ANSWER))
    return Case(name, model, pictures, baselines, score)


def masks(count: int) -> Tensor:
    return torch.rand(count, 6, 11, generator=torch.Generator().manual_seed(count))


# ---- models ----


def test_the_blend_in_model_space_is_the_blend_of_pixels(case):
    assert case.model.check_blend(case.pictures, case.baselines, QUESTION).mean < 1


def test_every_pixel_tensor_shows_both_images(case):
    for place in case.score.geometry.tensors.values():
        assert place.image is not None
        shown = place.image.expand(place.pixel.shape)[place.pixel]
        assert set(shown.unique().tolist()) == {0, 1}


def test_showing_one_image_is_pasting_the_baseline_for_the_other(case):
    """A mask of two columns: the score is that of the prompt in which the other image is its baseline."""
    for shown in (0, 1):
        mixed = [case.pictures[index] if index == shown else case.baselines[index] for index in (0, 1)]
        direct = case.model.score(case.model.encode(mixed, QUESTION), case.baselines, case.score.conversation.answer)
        mask = torch.tensor([[1.0 - shown, float(shown)]])
        effect = (direct.original - case.score.original).abs().max()
        # A little of what a resampling kernel smears into the padding is not masked: the bound of one image's test.
        assert (case.score(mask[None])[0] - direct.original).abs().max() < 0.1 * effect + 1e-3
        assert effect > 0.02


def test_the_gradient_is_that_of_finite_differences(case):
    mask = 0.2 + 0.6 * masks(1)
    _, gradient = case.score.gradient(mask)
    step = 7e-4 / max(1.0, float(gradient.norm()))  # small enough for a steep model's curvature
    for seed in range(2):
        direction = torch.randn(1, 6, 11, generator=torch.Generator().manual_seed(seed))
        ends = case.score(torch.cat([mask + step * direction, mask - step * direction])).double().sum(dim=1)
        expected = float(ends[0] - ends[1]) / (2 * step)
        assert float((gradient * direction).sum()) == pytest.approx(expected, abs=0.02 * float(gradient.norm()))
    for part in case.score.canvas.split(gradient[0]):
        assert part.abs().max() > 1e-5


def test_batched_equals_single(case):
    together = case.score(masks(3))
    apart = torch.cat([case.score(mask[None]) for mask in masks(3)])
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=0)
    assert (together[0] - together[1]).abs().max() > 1e-4


@pytest.mark.parametrize("name", ["qwen2_vl", "idefics3", "llava_onevision", "internvl", "gemma3"])
def test_explained_from_end_to_end(name):
    pictures = [*PICTURES, make_picture((40, 40))]
    explanation = Explainer(*build(name), identifier=name).explain(
        pictures, QUESTION, answer=ANSWER, preset="fast", alpha=0.0, replay_steps=4
    )
    assert explanation.status == "ok", explanation.reason
    assert len(explanation.images) == 3
    assert sum(image.share for image in explanation.images) == pytest.approx(1, abs=1e-5)
    assert np.concatenate(explanation.heatmaps, axis=1).tobytes() == explanation.heatmap.tobytes()
    assert explanation.heatmap.max() == 1
    for image, picture in zip(explanation.images, pictures, strict=True):
        assert np.array_equal(image.pixels, np.asarray(picture))
        if image.focus is not None:
            x0, y0, x1, y1 = image.focus.box
            assert 0 <= x0 < x1 <= picture.width
            assert 0 <= y0 < y1 <= picture.height
    assert {"deletion", "insertion", "deletion_unseen", "insertion_unseen"} <= explanation.metrics.keys()


@pytest.mark.parametrize("name", ["qwen3_vl", "llava_onevision"])
def test_a_video_explained_from_end_to_end(name):
    explainer = Explainer(*build(name), identifier=name, frames_per_second=RATE)
    if getattr(explainer.model.processor, "video_processor", None) is None:
        pytest.skip(f"the video input of {name} needs torchvision")
    options = {"answer": ANSWER, "preset": "fast", "alpha": 0.0, "replay_steps": 4}
    frames = [*FRAMES, FRAMES[0].transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    explanation = explainer.explain(frames, QUESTION, **options)
    assert explanation.status == "ok", explanation.reason
    assert explanation.model["frames_per_second"] == RATE
    assert sum(image.share for image in explanation.images) == pytest.approx(1, abs=1e-5)
    assert explanation.heatmap.max() == 1
    as_images = Explainer(*build(name), identifier=name).explain(frames, QUESTION, **options)
    assert "frames_per_second" not in as_images.model
    assert np.abs(explanation.heatmap - as_images.heatmap).max() > 0.01
    alone = explainer.explain(frames[0], QUESTION, **options)  # one image is an image
    assert np.array_equal(
        alone.heatmap, Explainer(*build(name), identifier=name).explain(frames[0], QUESTION, **options).heatmap
    )


def test_one_image_in_a_list_is_the_image_itself():
    explainer = Explainer(*build("llava"), identifier="llava")
    options = {"answer": ANSWER, "preset": "fast", "alpha": 0.0, "replay_steps": 4}
    alone, listed = (explainer.explain(source, QUESTION, **options) for source in (PICTURES[0], PICTURES[:1]))
    assert np.array_equal(alone.heatmap, listed.heatmap)
    assert [image.share for image in (*alone.images, *listed.images)] == [1, 1]
    assert {**alone.to_dict(), "cost": 0, "method": 0} == {**listed.to_dict(), "cost": 0, "method": 0}


# ---- methods ----

CANVAS = Canvas(((60, 60), (60, 90), (60, 45)))
ANY_MODEL = [name for name, method in METHODS.items() if method.needs == "-" and not name.startswith(("random", "cen"))]
QUIET = {"edges", "gradient", "smoothgrad", "rise", "random", "center", "greedy", "greedy-window"}
"""Methods that may rank cells on which nothing rests: by noise, or because they rank everything."""


class CanvasScore(PixelScore):
    """Reads one place of one of three images: full log-probability where it is shown, down by 6 nats without it."""

    def __init__(self, image: int, rows: slice, across: slice) -> None:
        """`rows` and `across`: eighths of the image's height and width."""

        def function(masks: Tensor) -> Tensor:
            own = masks if masks.shape[2] == 1 else masks[..., CANVAS.columns(masks.shape[2])[image]]
            fine = torch.nn.functional.interpolate(own[:, None], size=(64, 64), mode="bilinear", align_corners=False)
            place = fine[:, 0, 8 * rows.start : 8 * rows.stop, 8 * across.start : 8 * across.stop]
            return (3 * torch.nn.functional.logsigmoid(6 * (place.mean(dim=(1, 2)) - 0.5)))[:, None]

        super().__init__(function, image_size=CANVAS.size)
        self.canvas = CANVAS


def guide() -> Tensor:
    return torch.rand(3, *CANVAS.size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("preset", ["best", "fast"])
@pytest.mark.parametrize("method", [name for name in ANY_MODEL if name != "edges" and "fast" in METHODS[name].presets])
@pytest.mark.parametrize(("image", "rows", "across"), [(0, (1, 4), (5, 8)), (1, (4, 7), (0, 3)), (2, (2, 6), (2, 6))])
def test_the_map_peaks_at_the_planted_place_of_the_right_image(method, preset, image, rows, across):
    """Two of the places touch a border: what lies beyond it is another image, and stays dark."""
    score = CanvasScore(image, slice(*rows), slice(*across))
    more = {"count": 24} if method == "greedy" else {}  # at 50 forwards it has two regions an image
    saliency = METHODS[method].run(score, guide(), make_settings(method, preset, more), seed=0).saliency
    parts = CANVAS.split(saliency)
    assert max(range(3), key=lambda index: float(parts[index].max())) == image
    x, y = peak(parts[image], (8, 8))
    assert across[0] - 0.7 <= x <= across[1] + 0.7
    assert rows[0] - 0.7 <= y <= rows[1] + 0.7
    if method not in QUIET:
        for index, part in enumerate(parts):
            assert index == image or part.max() <= 0.006  # the rank of places on which nothing rests


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("guided-igos", {"verify": 0, "rest": 0}),  # the peaks that are checked are a few, not the same in each image
        ("guided-igos", {"verify": 0, "rest": 0, "iterations": 3, "masks": 2}),
        ("igos", {}),
        ("occlusion", {}),
        ("strips", {"cells": 28}),
        ("integrated-gradients", {}),
        ("edges", {}),
        ("center", {"cells": 24}),
    ],
)
def test_a_map_of_images_with_equal_evidence_is_the_same_in_each(method, changes):
    """Three equal images, each read alike: nothing tells them apart, least of all which one has neighbors."""

    canvas = Canvas(((48, 48),) * 3)

    class Alike(PixelScore):
        def __init__(self) -> None:
            def function(masks: Tensor) -> Tensor:
                if masks.shape[2] == 1:
                    masks = masks.expand(-1, -1, 3)
                places = [
                    torch.nn.functional.interpolate(part[:, None], size=(8, 8), mode="bilinear", align_corners=False)
                    for part in canvas.split(masks)
                ]
                return sum(3 * (place[:, 0, 2:5, 4:8].mean(dim=(1, 2)) - 1) for place in places)[:, None]

            super().__init__(function, image_size=canvas.size)
            self.canvas = canvas

    one = torch.rand(3, 48, 48, generator=torch.Generator().manual_seed(1))
    settings = make_settings(method, "fast", changes)
    saliency = METHODS[method].run(Alike(), one.repeat(1, 1, 3), settings, seed=0).saliency
    first, second, third = canvas.split(saliency)
    assert first.max() > 0.99
    torch.testing.assert_close(first, second, atol=1e-4, rtol=0)
    torch.testing.assert_close(second, third, atol=1e-4, rtol=0)


def test_the_replay_keeps_a_map_within_its_images():
    """Only the last column of the first image matters: deleting in order of a map of it loses everything at once."""
    score = CanvasScore(0, slice(0, 8), slice(7, 8))
    first, second, _ = CANVAS.columns(52)
    saliency = torch.zeros(16, 52)
    saliency[:, first.stop - 1] = 1
    result = replay(score, saliency, steps=20)
    assert result.deletion_curve[2] < 0.1 * result.deletion_curve[0]
    beyond = torch.zeros(16, 52)
    beyond[:, second] = torch.linspace(1, 0.1, second.stop - second.start)  # highest next to the border
    curve = replay(score, beyond, steps=20).deletion_curve
    assert curve[:6].tolist() == pytest.approx([result.deletion_curve[0]] * 6)


def test_a_hill_ends_at_the_border():
    """A peak next to the border, and beyond it a slope down from it: verified apart, the slope does nothing alone."""
    score = CanvasScore(0, slice(0, 8), slice(4, 8))
    first, second, _ = CANVAS.columns(52)
    saliency = torch.zeros(16, 52)
    saliency[:, first.stop - 8 : first.stop] = torch.linspace(0.3, 1, 8)
    saliency[:, second.start : second.start + 8] = torch.linspace(0.9, 0.3, 8)
    verified = check_peaks(score, saliency, count=4)
    assert verified[:, first].max() > 5 * verified[:, second].max()
    assert verified[:, second].max() == pytest.approx(0.9 * FLOOR, abs=1e-3)
