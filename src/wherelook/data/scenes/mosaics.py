"""Mosaics: photographs beside or above each other, with questions whose evidence is one of them.

A mosaic puts several photographs into one image, so that an attribution for one of them has a known place to point at
(Arias-Duart et al. 2022, "Focus! Rating XAI Methods and Finding Biases", arXiv 2109.15035).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageEnhance

from wherelook.data.boxes import PIXEL_CORNERS, lies_on
from wherelook.data.scenes.panels import ASKERS, BUDGET, Panel, Shown, ask
from wherelook.data.scenes.photographs import Noun, Photograph, main_color
from wherelook.data.scenes.scene import Question, check_scene_size
from wherelook.errors import InputError, unknown_name

LAYOUTS: Mapping[str, tuple[tuple[str, tuple[float, float, float, float]], ...]] = MappingProxyType(
    {
        "alone": (("", (0.0, 0.0, 1.0, 1.0)),),
        "beside": (("on the left", (0.0, 0.0, 0.5, 1.0)), ("on the right", (0.5, 0.0, 1.0, 1.0))),
        "above": (("at the top", (0.0, 0.0, 1.0, 0.5)), ("at the bottom", (0.0, 0.5, 1.0, 1.0))),
        "square": (
            ("at the top left", (0.0, 0.0, 0.5, 0.5)),
            ("at the top right", (0.5, 0.0, 1.0, 0.5)),
            ("at the bottom left", (0.0, 0.5, 0.5, 1.0)),
            ("at the bottom right", (0.5, 0.5, 1.0, 1.0)),
        ),
    }
)
"""Places of the photographs, in words and as (x0, y0, x1, y1) in shares of the image."""

SHARES: Mapping[str, float] = MappingProxyType({"alone": 0.34, "beside": 0.18, "above": 0.18, "square": 0.30})
"""Of the mosaics, how many have which layout."""

REPEAT_SHARE = 0.25
"""How often a further photograph shows the same thing as one that is there."""

CROP_AREA = (0.5, 1.0)
"""Share of a photograph that is shown, of what its place could show at most."""

STRETCH = 0.2
"""Largest logarithm of how much wider or higher a photograph is shown than it is."""

BORDER_SHARE, BORDER = 0.35, (0.01, 0.05)
"""How often there are borders, and their width as a share of the image's shorter side."""

COLORED_SHARE, TINTED_SHARE = 0.4, 0.12
"""Of the photographs, how many are changed in brightness, contrast and color, and how many are tinted."""

MIDDLE = 0.1
"""How far from the middle, as a share of the image, something is on no side."""

STREAM = 6
"""Number of the stream of random numbers, which no other world uses; part of every seed."""


@dataclass(frozen=True)
class Mosaic:
    """Photographs in one image, and questions about them.

    Attributes:
        seed: what it was made from.
        image: RGB.
        panels: the photographs, in reading order.
        questions: questions with answers and evidence.
    """

    seed: int
    image: Image.Image
    panels: tuple[Panel, ...]
    questions: tuple[Question, ...]


def make_mosaic(
    photographs: Sequence[Photograph],
    seed: int,
    *,
    size: tuple[int, int] = (384, 384),
    layout: str | None = None,
    budget: Mapping[str, int] = BUDGET,
    absent: Sequence[Noun] | None = None,
) -> Mosaic:
    """A mosaic of some of the photographs: the same photographs, seed, size and budget give the same pixels.

    A photograph with boxes of its own is shown alone, in its own shape and no larger than `size`.

    Args:
        photographs: what to choose from, at least one. Those with boxes of their own are shown alone.
        seed: any integer from 0.
        size: (height, width) in pixels, as of `make_scene`.
        layout: one of `LAYOUTS`; drawn by `SHARES` where None.
        budget: most questions of each kind.
        absent: things that questions may ask for in vain; those of `photographs` where None.

    Raises:
        InputError: the seed or the size is out of range, there are no photographs or no such layout or kind of
            question, a photograph cannot be read, or a box does not lie on it.
    """
    if seed < 0:
        raise InputError(f"a mosaic's seed must be at least 0, not {seed}")
    if not photographs:
        raise InputError("a mosaic needs photographs, at least one")
    check_scene_size(size)
    if layout is not None and layout not in LAYOUTS:
        raise unknown_name("layout", layout, list(LAYOUTS))
    for kind in budget:
        if kind not in ASKERS:
            raise unknown_name("kind of question", kind, list(ASKERS))
    rng = np.random.default_rng((STREAM, seed))
    names = list(SHARES)
    layout = layout or names[int(rng.choice(len(names), p=list(SHARES.values())))]
    whole = [photograph for photograph in photographs if not photograph.things]
    boxed = [photograph for photograph in photographs if photograph.things]
    composed = not (boxed and (not whole or layout == "alone"))
    if not composed:
        image, panels = _with_boxes(boxed[int(rng.integers(len(boxed)))], size)
    else:
        image, panels = _compose(rng, _choose(rng, whole, len(LAYOUTS[layout])), layout, size)
    if absent is None:
        absent = [photograph.noun for photograph in whole] + [noun for one in boxed for noun, _ in one.things]
    drafts = ask(rng, Shown(panels, absent, composed), budget)
    questions = tuple(
        Question(
            kind=draft.kind,
            text=draft.text,
            answer=draft.answer,
            evidence=_mask((image.height, image.width), [panels[index] for index in draft.evidence]),
            evidence_objects=draft.evidence,
            exclusive=draft.exclusive,
            needs_image=draft.kind != "fact",
            right=draft.right,
        )
        for draft in drafts
    )
    return Mosaic(int(seed), image, panels, questions)


def _mask(size: tuple[int, int], panels: Sequence[Panel]) -> np.ndarray:
    mask = np.zeros(size, dtype=bool)
    for panel in panels:
        x0, y0, x1, y1 = panel.box
        mask[y0:y1, x0:x1] = True
    return mask


def _choose(rng: np.random.Generator, photographs: Sequence[Photograph], number: int) -> list[Photograph]:
    """Half of the time a name is drawn first: of a thousand classes more than a hundred are dogs."""
    by_name: dict[str, list[Photograph]] = {}
    for photograph in photographs:
        by_name.setdefault(photograph.noun.name, []).append(photograph)
    names = list(by_name)
    chosen: list[Photograph] = []
    while len(chosen) < number:
        pool = list(photographs)
        if chosen and rng.random() < REPEAT_SHARE:
            pool = by_name[chosen[int(rng.integers(len(chosen)))].noun.name]
        elif rng.random() < 0.5:
            pool = by_name[names[int(rng.integers(len(names)))]]
        chosen.append(pool[int(rng.integers(len(pool)))])
    return chosen


def _compose(
    rng: np.random.Generator, chosen: Sequence[Photograph], layout: str, size: tuple[int, int]
) -> tuple[Image.Image, tuple[Panel, ...]]:
    height, width = size
    border = round(min(size) * rng.uniform(*BORDER)) // 2 if rng.random() < BORDER_SHARE else 0
    image = Image.new("RGB", (width, height), _any_color(rng))
    panels = []
    for photograph, (place, (x0, y0, x1, y1)) in zip(chosen, LAYOUTS[layout], strict=True):
        left, top = round(x0 * width) + border, round(y0 * height) + border
        right, bottom = round(x1 * width) - border, round(y1 * height) - border
        seen = _crop(rng, photograph.load(), (bottom - top, right - left))
        image.paste(seen, (left, top))
        panels.append(Panel(photograph.noun, place, (left, top, right, bottom), main_color(seen)))
    return image, tuple(panels)


def _with_boxes(photograph: Photograph, size: tuple[int, int]) -> tuple[Image.Image, tuple[Panel, ...]]:
    """A photograph with what is known to be in it, no larger than `size`."""
    image = photograph.load()
    scale = min(1.0, size[0] / image.height, size[1] / image.width)
    shown = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    found = []
    for noun, box in photograph.things:
        if not lies_on(box, PIXEL_CORNERS, (image.height, image.width)):
            raise InputError(
                f"photograph {photograph.path}: the box {box} of {noun.name!r} does not lie on its "
                f"{image.height} x {image.width} pixels (height x width)"
            )
        x0, y0, x1, y1 = (value * scale for value in box)
        left, top = (min(max(round(first), 0), side - 1) for first, side in zip((x0, y0), shown.size, strict=True))
        found.append((noun, (left, top, *_ends((x1, y1), (left, top), shown.size))))
    sides = [_side(box, shown.size) for _, box in found]
    places = [side if sides.count(side) == 1 else "" for side in sides]
    return shown, tuple(Panel(noun, place, box) for (noun, box), place in zip(found, places, strict=True))


def _ends(ends: tuple[float, float], starts: tuple[int, int], sides: tuple[int, int]) -> tuple[int, int]:
    """Where a box ends: in the image, and a pixel or more after its start."""
    right, down = (min(max(round(end), start + 1), side) for end, start, side in zip(ends, starts, sides, strict=True))
    return right, down


def _side(box: tuple[int, int, int, int], size: tuple[int, int]) -> str:
    """On which side of an image of (width, height) a box lies; "" in the middle."""
    across, down = (box[0] + box[2]) / 2 / size[0] - 0.5, (box[1] + box[3]) / 2 / size[1] - 0.5
    if max(abs(across), abs(down)) < MIDDLE:
        return ""
    if abs(across) >= abs(down):
        return "on the left" if across < 0 else "on the right"
    return "at the top" if down < 0 else "at the bottom"


def _any_color(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rng.integers(0, 256, 3))
    return red, green, blue


def _crop(rng: np.random.Generator, photograph: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A part of a photograph as (height, width) pixels, at times mirrored, or changed in color."""
    height, width = size
    aspect = width / height * float(np.exp(rng.uniform(-STRETCH, STRETCH)))
    wide = min(photograph.width, photograph.height * aspect) * float(rng.uniform(*CROP_AREA)) ** 0.5
    high = wide / aspect
    left, top = float(rng.uniform(0, photograph.width - wide)), float(rng.uniform(0, photograph.height - high))
    seen = photograph.resize((width, height), Image.Resampling.BICUBIC, (left, top, left + wide, top + high))
    if rng.random() < 0.5:
        seen = seen.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < COLORED_SHARE:
        for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            seen = enhance(seen).enhance(float(rng.uniform(0.7, 1.3)))
    if rng.random() < TINTED_SHARE:
        seen = Image.blend(seen, Image.new("RGB", seen.size, _any_color(rng)), float(rng.uniform(0.15, 0.4)))
    return seen
