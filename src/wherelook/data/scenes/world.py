"""What a scene can contain, and how the objects of one scene are drawn from a seed.

A scene is a list of objects. Each has a shape, a color and a size, so that a question can name an object by some of
its attributes and ask for another. Lengths are in units of the *scale* of the image, ``sqrt(height * width)``, so that
a scene looks alike at every resolution and equally crowded at every aspect ratio.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

SHAPES = ("circle", "square", "triangle", "star", "cross", "heart")
COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "white", "black")
SIZES = ("large", "small")

MINIMUM_OBJECTS, MAXIMUM_OBJECTS = 3, 6
# The two ranges are far apart: "large" and "small" can be told without comparing objects.
RADIUS_RANGES = {"large": (0.122, 0.145), "small": (0.068, 0.080)}
GAP = 0.012  # least distance between two objects, and between an object and the border
DISTRACTOR_SHARE = 0.6  # of the objects beyond the first two, how many differ from another one in a single attribute


@dataclass(frozen=True)
class SceneObject:
    """One object of a scene.

    Attributes:
        shape: One of `SHAPES`, or a thing's name.
        color: One of `COLORS`; empty for a thing.
        size: One of `SIZES`.
        center: (x, y) of the center, as fractions of the image's width and height.
        radius: Half the object's extent, as a fraction of ``sqrt(height * width)``.
        angle: Rotation in radians, small enough that nothing changes its name.
    """

    shape: str
    color: str
    size: str
    center: tuple[float, float]
    radius: float
    angle: float

    def attributes(self) -> tuple[str, str, str]:
        """(size, color, shape), which no two shapes of a scene share entirely; things may."""
        return self.size, self.color, self.shape


def sample_objects(rng: np.random.Generator, aspect: float) -> tuple[SceneObject, ...]:
    """Draw the objects of a scene: distinct, not touching, at least two of them one attribute apart.

    Args:
        rng: Source of randomness.
        aspect: Width of the image over its height.

    Returns:
        3 to 6 objects in no particular order.
    """
    number = int(rng.integers(MINIMUM_OBJECTS, MAXIMUM_OBJECTS + 1))
    return place_all(rng, _sample_kinds(rng, number), aspect)


def place_all(rng: np.random.Generator, kinds: list[SceneObject], aspect: float) -> tuple[SceneObject, ...]:
    """The objects with center, radius and angle, in random order, where none touches another."""
    while True:  # a crowded draw is thrown away whole; 6 large objects take a few tries
        placed = _place(rng, kinds, aspect)
        if placed is not None:
            return tuple(placed[index] for index in rng.permutation(len(kinds)))


def _sample_kinds(rng: np.random.Generator, number: int) -> list[SceneObject]:
    kinds: list[SceneObject] = []
    while len(kinds) < number:
        if kinds and (len(kinds) == 1 or rng.random() < DISTRACTOR_SHARE):
            candidate = _change_one_attribute(rng, kinds[int(rng.integers(len(kinds)))])
        else:
            candidate = SceneObject(
                shape=SHAPES[int(rng.integers(len(SHAPES)))],
                color=COLORS[int(rng.integers(len(COLORS)))],
                size=SIZES[int(rng.integers(len(SIZES)))],
                center=(0.0, 0.0),
                radius=0.0,
                angle=0.0,
            )
        if all(candidate.attributes() != other.attributes() for other in kinds):
            kinds.append(candidate)
    return kinds


def _change_one_attribute(rng: np.random.Generator, original: SceneObject) -> SceneObject:
    name, values = (("shape", SHAPES), ("color", COLORS), ("size", SIZES))[int(rng.integers(3))]
    others = [value for value in values if value != getattr(original, name)]
    change: dict[str, Any] = {name: others[int(rng.integers(len(others)))]}
    return replace(original, **change)


def _place(rng: np.random.Generator, kinds: list[SceneObject], aspect: float) -> list[SceneObject] | None:
    """Give every object a place, largest first; None when one finds no room."""
    width, height = aspect**0.5, aspect**-0.5  # of the image, in units of its scale
    placed: list[SceneObject] = []
    spots: list[tuple[float, float, float]] = []
    for kind in sorted(kinds, key=lambda kind: SIZES.index(kind.size)):
        radius = float(rng.uniform(*RADIUS_RANGES[kind.size]))
        margin = radius + GAP
        for _ in range(30):
            x = float(rng.uniform(margin, width - margin))
            y = float(rng.uniform(margin, height - margin))
            if all((x - a) ** 2 + (y - b) ** 2 > (radius + r + GAP) ** 2 for a, b, r in spots):
                break
        else:
            return None
        spots.append((x, y, radius))
        angle = float(rng.uniform(-0.16, 0.16))
        placed.append(replace(kind, center=(x / width, y / height), radius=radius, angle=angle))
    return placed
