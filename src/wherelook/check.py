"""Does a model work here? Each property that an explanation relies on, measured on a small test picture."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from wherelook.baselines import make_baseline
from wherelook.canvas import Size
from wherelook.errors import WherelookError
from wherelook.geometry import pool, views
from wherelook.models import VisionLanguageModel
from wherelook.models.huggingface.score import HuggingFaceScore
from wherelook.models.reply import Prompt

PICTURE_SIZE: Size = (150, 210)
QUESTION = "What is in the image?"
MASK: Size = (6, 8)
GRADIENT_STEPS = (1e-3, 4e-3, 1.6e-2, 6.4e-2, 0.256)
"""Of finite differences: where the slope is small a short one is lost in the rounding."""

JITTER, REPEATS, SPREAD = 1e-6, 8, 3.0
"""A change of the mask that changes nothing but the rounding, how often, and standard deviations that count."""

PLACES: Size = (3, 4)
"""Rows and columns of places where a patch is planted, one at a time."""
RESPONSE: Size = (15, 20)
"""Cells in which a planted patch is looked for: five to a place in each direction. It may peak one beside the place."""
SEEN = 0.25  # of the tensor's range: a view in which a white patch changes less is cropped there

# By whether the arithmetic is float32 throughout: half precision keeps about three digits of a logit, and a model in 8
# bits rounds between its layers too, which a difference sees and the gradient does not.
BATCH_TOLERANCE = {True: 1e-3, False: 0.2}
TEACHER_TOLERANCE = {True: 1e-3, False: 0.2}
GRADIENT_TOLERANCE = {True: 0.05, False: 0.7}


@dataclass(frozen=True)
class Finding:
    """One property: what was measured, and whether it is good enough."""

    name: str
    passed: bool
    measured: str


def check_model(model: VisionLanguageModel) -> list[Finding]:
    """Measures every property; one that cannot be measured is a finding that failed, with the reason."""
    picture = test_picture(PICTURE_SIZE)
    baseline = Image.fromarray(make_baseline("mean", np.asarray(picture)))
    findings: list[Finding] = []

    def add(name: str, measure: Callable[[], tuple[bool, str]]) -> bool:
        try:
            passed, measured = measure()
        except (WherelookError, RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
            passed, measured = False, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        findings.append(Finding(name, passed, measured))
        return passed

    with model.evaluation():
        if not add("prompt", lambda: _prompt(model, picture)):
            return findings
        if not add("geometry", lambda: _geometry(model, picture, baseline)):
            return findings
        prompt = model.encode(picture, QUESTION)
        add("thinking", lambda: _thinking(model))
        if not add("answer", lambda: _answer(model, prompt)):
            return findings
        answer = model.generate_ids(prompt, max_new_tokens=4)
        add("teacher forcing", lambda: _teacher_forcing(model, prompt, baseline, answer))
        if add("score", lambda: _score(model, prompt, baseline, answer)):
            score = model.score(prompt, baseline, answer)
            add("views", lambda: _views(model, score))
            add("batching", lambda: _batching(model, score))
            add("gradient", lambda: _gradient(model, score))
            add("memory", lambda: _memory(model))
    return findings


def _precise(model: VisionLanguageModel) -> bool:
    return model.model.dtype == torch.float32 and model.description["quantization"] is None


def test_picture(size: Size) -> Image.Image:
    """A smooth colorful picture of (height, width): resampling it loses little."""
    rows, columns = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]), indexing="ij")
    waves = [np.sin(5 * columns + 2 * rows), np.cos(4 * rows * columns + 1), np.sin(6 * rows - 3 * columns)]
    return Image.fromarray(np.rint(127.5 + 110 * np.stack(waves, axis=-1)).astype(np.uint8))


def _prompt(model: VisionLanguageModel, picture: Image.Image) -> tuple[bool, str]:
    prompt = model.encode(picture, QUESTION)
    tensors = ", ".join(f"{name} {tuple(value.shape)}" for name, value in prompt.inputs.items())
    ids = prompt.inputs["input_ids"].flatten().tolist()
    pictured = sum(token in model.prompting.picture_ids for token in ids)
    return True, f"{len(ids)} tokens, {pictured} of them for the image ({tensors}), from {prompt.text!r}"


def _geometry(model: VisionLanguageModel, picture: Image.Image, baseline: Image.Image) -> tuple[bool, str]:
    error = model.check_blend(picture, baseline, QUESTION)
    names = ", ".join(model.geometry((picture.height, picture.width)).tensors)
    return error.verdict != "wrong", (
        f"{error.verdict}; blends differ by {error.mean:.2f} of 255 on average, {error.maximum:.1f} at most ({names})"
    )


def _thinking(model: VisionLanguageModel) -> tuple[bool, str]:
    """What the end of the prompt, the chat template and the vocabulary tell of a thought before the answer."""
    asked = model.prompting.ask(QUESTION)
    if asked.opened is not None:
        found = f"the prompt ends inside a thought ({asked.opened.opening!r}), which is generated before the answer"
    elif asked.closed:
        found = "the prompt ends after an empty thought: the answer comes next"
    elif asked.known is not None:
        found = f"the prompt opens no thought; one that the model begins with {asked.known.opening!r} is kept apart"
    else:
        found = "nothing tells that this model thinks; a thought that it begins with known marks is kept apart"
    return True, "; ".join((found, *asked.notes))


def _answer(model: VisionLanguageModel, prompt: Prompt) -> tuple[bool, str]:
    return True, repr(model.decode(model.generate_ids(prompt, max_new_tokens=4)))


def _teacher_forcing(
    model: VisionLanguageModel, prompt: Prompt, baseline: Image.Image, answer: Sequence[int]
) -> tuple[bool, str]:
    """One forward over prompt and answer must give the probabilities that generation saw, token by token."""
    generated = model.generation_log_probabilities(prompt, answer)
    forced = model.score(prompt, baseline, answer).original
    difference = float((generated - forced).abs().max())
    tolerance = TEACHER_TOLERANCE[_precise(model)]
    return difference <= tolerance, f"log-probabilities differ from generation's by {difference:.1e} at most"


def _score(
    model: VisionLanguageModel, prompt: Prompt, baseline: Image.Image, answer: Sequence[int]
) -> tuple[bool, str]:
    score = model.score(prompt, baseline, answer)
    difference = float((score.original - score.baseline).abs().max())
    return difference > 0, f"replacing the image changes a token's log-probability by up to {difference:.2g} nats"


def _views(model: VisionLanguageModel, score: HuggingFaceScore) -> tuple[bool, str]:
    """Every tile, thumbnail and encoder input by itself: a planted patch peaks there, and the answer reads the view."""
    gradients = score.pixel_gradients()
    plain = Image.new("RGB", PICTURE_SIZE[::-1], (0, 0, 0))
    prompt = model.encode(plain, QUESTION)
    dark = prompt.inputs
    found: dict[tuple[str, tuple[int, ...]], int] = {}
    for row, column in np.ndindex(PLACES):
        box = planted_box(row, column)
        picture = plain.copy()
        picture.paste((255, 255, 255), box)
        light = model.pixels(prompt, picture)
        for name, place in model.geometry(PICTURE_SIZE).tensors.items():
            change = (light[name] - dark[name]).float().abs() * place.pixel / place.value_range
            for view in views(change):
                if not place.pixel.expand_as(change)[view].any():
                    continue  # a tile of padding alone
                found.setdefault((name, view), 0)
                alone = torch.zeros_like(change)
                alone[view] = change[view]
                if alone.max() < SEEN:
                    continue
                response = pool(alone, place, RESPONSE)
                peak = divmod(int(response.argmax()), RESPONSE[1])
                if not all(-1 <= cell - 5 * first <= 5 for first, cell in zip((row, column), peak, strict=True)):
                    return False, f"a patch at {box} is mapped to cell {peak} of {RESPONSE} by {name}{list(view)}"
                found[name, view] += 1
    blind = [f"{name}{list(view)}" for (name, view), seen in found.items() if not seen]
    if blind:
        return False, f"no planted patch shows in {', '.join(blind)}"
    unread = [f"{name}{list(view)}" for name, view in found if not gradients[name][view].any()]
    if unread:
        return False, f"the answer does not depend on {', '.join(unread)}"
    return True, f"{len(found)} ({', '.join(gradients)}); a planted patch shows where it is in each, and each is read"


def planted_box(row: int, column: int) -> tuple[int, int, int, int]:
    """(x0, y0, x1, y1) of a place. Places leave no gap, so that a view of the picture's edge alone sees one too."""
    (height, width), (rows, columns) = PICTURE_SIZE, PLACES
    x0, x1 = (round(index * width / columns) for index in (column, column + 1))
    y0, y1 = (round(index * height / rows) for index in (row, row + 1))
    return x0, y0, x1, y1


def _gradient(model: VisionLanguageModel, score: HuggingFaceScore) -> tuple[bool, str]:
    """The gradient's length against a central difference along it, where the difference is best conditioned."""
    mask = 0.25 + 0.5 * torch.rand(1, *MASK, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    _, gradient = score.gradient(mask)
    slope = float(gradient.norm())
    if slope == 0:
        return False, "the gradient with respect to the mask is zero"
    direction = gradient.cpu() / slope
    precise = _precise(model)
    # In half precision only a change of about half a nat stands out from the rounding of the logits.
    steps = GRADIENT_STEPS if precise else (min(1.0, 0.25 / slope),)
    found = slope_along(lambda masks: score(masks).cpu().double().sum(dim=1), mask, direction, steps)
    relative = abs(slope - found.slope) / slope
    doubt = found.doubt / slope if precise else 0.0  # its tolerance has room for the rounding
    return relative <= GRADIENT_TOLERANCE[precise] + doubt, (
        f"differs from finite differences by {relative:.1%} (slope {slope:.2g}; rounding explains {doubt:.1%})"
    )


@dataclass(frozen=True)
class Slope:
    """A slope by finite differences, and how far it may be off by rounding and curvature."""

    slope: float
    doubt: float


def slope_along(
    function: Callable[[Tensor], Tensor], start: Tensor, direction: Tensor, steps: Sequence[float]
) -> Slope:
    """The central difference of a function of masks, at the step that rounding and curvature disturb least.

    Rounding is measured: by how much the function's values scatter where hardly anything changes.

    Args:
        function: masks (n, rows, columns) to n values.
        start: the mask (1, rows, columns).
        direction: of the same shape and length 1.
        steps: to try, ascending.
    """
    generator = torch.Generator().manual_seed(0)
    jitter = JITTER * torch.rand(REPEATS, *start.shape[1:], generator=generator)
    around = function(start + jitter)
    # At least that of a number of float32 of this size, which is even between two neighbors.
    rounding = max(float(around.std()), float(around.abs().mean()) * torch.finfo(torch.float32).eps / 12**0.5)
    offsets = torch.tensor([sign * step for step in steps for sign in (1, -1)])
    values = function(start + offsets[:, None, None] * direction).reshape(-1, 2)
    differences = [float(ends[0] - ends[1]) / (2 * step) for step, ends in zip(steps, values, strict=True)]
    unsure = SPREAD * rounding / 2**0.5  # of half the difference of two such numbers
    best = Slope(differences[0], unsure / steps[0])
    for (step, one), (_, larger) in itertools.pairwise(zip(steps, differences, strict=True)):
        # A central difference is off by a term that grows with the square of the step.
        curvature = abs(larger - one)
        doubt = unsure / step + curvature
        if doubt < best.doubt:
            best = Slope(one, doubt)
    return best


def _batching(model: VisionLanguageModel, score: HuggingFaceScore) -> tuple[bool, str]:
    masks = torch.rand(3, *MASK, generator=torch.Generator().manual_seed(1), dtype=torch.float32)
    together = score(masks)
    apart = torch.cat([score(mask[None]) for mask in masks])
    difference = float((together - apart).abs().max())
    tolerance = BATCH_TOLERANCE[_precise(model)]
    return difference <= tolerance, f"three masks at once and one by one differ by {difference:.1e} nats at most"


def _memory(model: VisionLanguageModel) -> tuple[bool, str]:
    per_image = model.plan.bytes_per_image or 0
    size = model.plan.size(with_graph=True)
    weights = sum(parameter.nbytes for parameter in model.model.parameters())
    return True, (
        f"{weights / 1e6:,.1f} MB of weights, {per_image / 1e6:,.1f} MB per image with gradient; batches of {size} here"
    )
