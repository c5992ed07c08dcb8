"""`check_model` must fail where an explanation would be wrong: each property broken in turn."""

from __future__ import annotations

import functools
import re

import pytest
import torch
from PIL import Image
from tools.families import build

from wherelook import check
from wherelook.check import PICTURE_SIZE, QUESTION, check_model
from wherelook.check import test_picture as make_picture
from wherelook.models import VisionLanguageModel

NAMES = [
    "prompt",
    "geometry",
    "thinking",
    "answer",
    "teacher forcing",
    "score",
    "views",
    "batching",
    "gradient",
    "memory",
]


@pytest.fixture
def model() -> VisionLanguageModel:
    return VisionLanguageModel(*build("llava"))


def failed(model: VisionLanguageModel) -> dict[str, str]:
    return {finding.name: finding.measured for finding in check_model(model) if not finding.passed}


def wrap_forward(model: VisionLanguageModel, change) -> None:
    """Replaces the model's forward by `change(forward, inputs)`."""
    forward = model.model.forward

    @functools.wraps(forward)
    def changed(*arguments, **inputs):
        return change(functools.partial(forward, *arguments), inputs)

    model.model.forward = changed


def is_scoring(inputs: dict) -> bool:
    """Whether a forward is ours, not generation's."""
    return isinstance(inputs.get("logits_to_keep"), torch.Tensor)


def wrap_processor(model: VisionLanguageModel, change) -> None:
    process = model.prompting.process
    model.prompting.process = lambda image, text, **options: change(functools.partial(process, **options), image, text)


def test_a_model_that_works_passes_everything(model):
    model.model.train()
    findings = check_model(model)
    assert [finding.name for finding in findings] == NAMES
    assert all(finding.passed for finding in findings)
    assert all(finding.measured for finding in findings)
    assert model.model.training


def test_a_processor_that_fails_ends_the_check_with_its_reason(model):
    def refuse(process, image, text):
        raise ValueError("no tokens\nfor images")

    wrap_processor(model, refuse)
    findings = check_model(model)
    assert [(finding.name, finding.passed) for finding in findings] == [("prompt", False)]
    assert findings[0].measured == "ValueError: no tokens for images"


def test_normalising_each_image_by_itself_fails_geometry(model):
    def normalize(process, image, text):
        inputs = process(image, text)
        pixels = inputs["pixel_values"]
        return inputs | {"pixel_values": (pixels - pixels.mean()) / (pixels.std() + 0.1)}

    wrap_processor(model, normalize)
    findings = check_model(model)
    assert [(finding.name, finding.passed) for finding in findings] == [("prompt", True), ("geometry", False)]
    assert findings[-1].measured.startswith("wrong")


def test_a_model_that_does_not_see_the_image_fails_score(model):
    def blind(forward, inputs):
        if inputs.get("pixel_values") is not None:
            inputs = inputs | {"pixel_values": torch.zeros_like(inputs["pixel_values"])}
        return forward(**inputs)

    wrap_forward(model, blind)
    assert failed(model)["score"].endswith("by up to 0 nats")


def test_a_detached_image_fails_gradient(model):
    def detach(forward, inputs):
        if inputs.get("pixel_values") is not None:
            pixels = inputs["pixel_values"]
            inputs = inputs | {"pixel_values": pixels.detach() + 0 * pixels}
        return forward(**inputs)

    wrap_forward(model, detach)
    assert failed(model) == {
        "views": "the answer does not depend on pixel_values[0]",
        "gradient": "the gradient with respect to the mask is zero",
    }


def test_a_tile_that_the_model_does_not_read_fails_views():
    model = VisionLanguageModel(*build("llava_next"))

    def drop(forward, inputs):
        pixels = inputs.get("pixel_values")
        if pixels is not None:
            kept = torch.ones_like(pixels)
            kept[:, 2] = 0
            inputs = inputs | {"pixel_values": pixels * kept}
        return forward(**inputs)

    wrap_forward(model, drop)
    assert failed(model)["views"] == "the answer does not depend on pixel_values[0, 2]"


def test_a_tile_that_lies_elsewhere_than_measured_fails_views():
    model = VisionLanguageModel(*build("llava_next"))
    model.geometry(PICTURE_SIZE)

    def mirror(process, image, text):
        inputs = process(image, text)
        pixels = inputs["pixel_values"].clone()
        pixels[:, 0] = pixels[:, 0].flip(-1)
        return inputs | {"pixel_values": pixels}

    wrap_processor(model, mirror)
    assert re.fullmatch(r"a patch at \(.*\) is mapped to cell \(\d+, \d+\) of .* by pixel_values\[0, 0\]", views(model))


def views(model: VisionLanguageModel) -> str:
    """What the check of views alone measures."""
    prompt = model.encode(make_picture(PICTURE_SIZE), QUESTION)
    passed, measured = check._views(model, model.score(prompt, Image.new("RGB", PICTURE_SIZE[::-1]), (5, 6)))
    assert not passed
    return measured


def test_half_a_gradient_fails_gradient(model):
    def halve(forward, inputs):
        if inputs.get("pixel_values") is not None:
            pixels = inputs["pixel_values"]
            inputs = inputs | {"pixel_values": (pixels + pixels.detach()) / 2}
        return forward(**inputs)

    wrap_forward(model, halve)
    assert set(failed(model)) == {"gradient"}


def test_the_gradient_of_a_part_of_the_image_alone_fails_gradient(model):
    """As of a tile that is processed without a graph."""

    def left_only(forward, inputs):
        if inputs.get("pixel_values") is not None:
            pixels = inputs["pixel_values"]
            half = pixels.shape[-1] // 2
            pixels = torch.cat([pixels[..., :half], pixels[..., half:].detach()], dim=-1)
            inputs = inputs | {"pixel_values": pixels}
        return forward(**inputs)

    wrap_forward(model, left_only)
    assert set(failed(model)) == {"gradient"}


def test_rows_that_influence_each_other_fail_batching(model):
    def mix(forward, inputs):
        pixels = inputs.get("pixel_values")
        if pixels is not None and len(pixels) > 1:
            inputs = inputs | {"pixel_values": pixels - pixels.mean(dim=0, keepdim=True)}
        return forward(**inputs)

    wrap_forward(model, mix)
    assert "batching" in failed(model)


def test_another_forward_than_generations_fails_teacher_forcing(model):
    def warm(forward, inputs):
        output = forward(**inputs)
        if is_scoring(inputs):
            output.logits = output.logits * 1.5
        return output

    wrap_forward(model, warm)
    assert "teacher forcing" in failed(model)


def test_numbers_that_are_not_finite_are_findings_not_crashes(model):
    def spoil(forward, inputs):
        output = forward(**inputs)
        if is_scoring(inputs):
            output.logits = output.logits * float("nan")
        return output

    wrap_forward(model, spoil)
    found = failed(model)
    assert {"teacher forcing", "score"} <= set(found)
    assert "logits are not finite" in found["score"]


# ---- slopes near the rounding ----

WEIGHTS = torch.rand(6, 8, generator=torch.Generator().manual_seed(3)) - 0.5


def curved(scale: float, offset: float):
    """log-probabilities in float32, as a model gives them: far from zero, with a small slope and some curvature."""

    def function(masks):
        sums = (masks * WEIGHTS).sum(dim=(1, 2))
        return (offset + scale * (sums + 0.3 * sums.square())).float().double()

    return function


@pytest.mark.parametrize(("scale", "offset"), [(1.0, -3.0), (0.006, -20.0), (0.002, -60.0), (0.0005, -90.0)])
@pytest.mark.parametrize(("factor", "right"), [(1.0, True), (1.5, False), (0.5, False), (-1.0, False)])
def test_a_right_gradient_passes_however_small_and_a_wrong_one_does_not(scale, offset, factor, right):
    start = 0.25 + 0.5 * torch.rand(1, 6, 8, generator=torch.Generator().manual_seed(0))
    sums = float((start * WEIGHTS).sum())
    gradient = scale * (1 + 0.6 * sums) * WEIGHTS[None]
    slope = float(gradient.norm())
    found = check.slope_along(curved(scale, offset), start, gradient / slope, check.GRADIENT_STEPS)
    planted = factor * slope
    assert (abs(planted - found.slope) <= check.GRADIENT_TOLERANCE[True] * abs(planted) + found.doubt) is right
    assert found.doubt < 0.25 * slope


def test_one_short_step_would_have_called_the_right_gradient_wrong():
    """Where the slope is .001 and the value 90, a step of a thousandth is lost in the rounding of float32."""
    start = torch.full((1, 6, 8), 0.5)
    gradient = 0.0005 * (1 + 0.6 * float((start * WEIGHTS).sum())) * WEIGHTS[None]
    slope = float(gradient.norm())
    short = check.slope_along(curved(0.0005, -90.0), start, gradient / slope, (1e-3,))
    assert abs(short.slope - slope) > check.GRADIENT_TOLERANCE[True] * slope
    assert short.doubt > abs(short.slope - slope) / 2
