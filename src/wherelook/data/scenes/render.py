"""Draw a scene: muted, textured background, shaded objects, sensor noise; and the exact mask of every object.

Every outline is a signed distance in pixels, so edges are anti-aliased exactly as far as one pixel reaches, at any
resolution, and an object's mask is where the distance is negative: no supersampling is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from wherelook.data.scenes.world import SceneObject

# RGB in [0, 1]. Backgrounds stay between black and white objects in lightness and well below the others in saturation.
PALETTE = {
    "red": (0.83, 0.15, 0.16),
    "orange": (0.96, 0.54, 0.10),
    "yellow": (0.96, 0.86, 0.18),
    "green": (0.16, 0.62, 0.26),
    "blue": (0.15, 0.36, 0.84),
    "purple": (0.54, 0.22, 0.68),
    "white": (0.96, 0.96, 0.96),
    "black": (0.08, 0.08, 0.09),
}
COLOR_JITTER = 0.035
OUTLINE_WIDTH = 0.07  # of the radius
NOISE_RANGE = (0.004, 0.028)  # standard deviation of the sensor noise, of full scale 1


def render(
    rng: np.random.Generator, objects: Sequence[SceneObject], size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the objects on a random background.

    Args:
        rng: Source of the background, the shading and the noise.
        objects: What to draw, in drawing order.
        size: (height, width) in pixels.

    Returns:
        The image, uint8 of shape (height, width, 3), and the objects' masks, bool of shape (objects, height, width).
    """
    height, width = size
    scale = (height * width) ** 0.5
    image = _background(rng, height, width)
    masks = np.zeros((len(objects), height, width), dtype=bool)
    for item, mask in zip(objects, masks, strict=True):
        _draw(rng, image, mask, item, scale)
    return expose(rng, image), masks


def expose(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """uint8 (height, width, 3) of a float32 image in [0, 1], with sensor noise. Writes over its input."""
    image += np.float32(rng.uniform(*NOISE_RANGE)) * rng.standard_normal(image.shape, dtype=np.float32)
    np.clip(image, 0.0, 1.0, out=image)
    return (image * 255.0 + 0.5).astype(np.uint8)


def _draw(rng: np.random.Generator, image: np.ndarray, mask: np.ndarray, item: SceneObject, scale: float) -> None:
    """Draw one object into `image` and `mask`, touching only the box it lies in."""
    height, width = mask.shape
    radius = item.radius * scale
    x, y = item.center[0] * width, item.center[1] * height
    top, bottom = max(0, int(y - radius - 2)), min(height, int(y + radius + 3))
    left, right = max(0, int(x - radius - 2)), min(width, int(x + radius + 3))
    # Pixel centers, relative to the object, turned, in units of its radius.
    down = (np.arange(top, bottom, dtype=np.float32)[:, None] + 0.5 - np.float32(y)) / np.float32(radius)
    across = (np.arange(left, right, dtype=np.float32)[None, :] + 0.5 - np.float32(x)) / np.float32(radius)
    cosine, sine = np.float32(np.cos(item.angle)), np.float32(np.sin(item.angle))
    distance = OUTLINES[item.shape](cosine * across + sine * down, cosine * down - sine * across)
    pixels = distance * np.float32(radius)

    fill = np.asarray(PALETTE[item.color], dtype=np.float32)
    fill = fill + rng.uniform(-COLOR_JITTER, COLOR_JITTER, 3).astype(np.float32)
    light = 1.0 + np.float32(rng.uniform(0.0, 0.10)) * (-0.6 * down - 0.4 * across)  # from the upper left
    border = np.clip(1.0 + (distance + OUTLINE_WIDTH) * np.float32(radius), 0.0, 1.0)  # 1 in the outline
    shade = light * (1.0 - 0.35 * border)
    cover = np.clip(0.5 - pixels, 0.0, 1.0)[..., None]
    region = image[top:bottom, left:right]
    region += cover * (shade[..., None] * fill - region)
    mask[top:bottom, left:right] = pixels < 0.0


# --- Outlines: signed distances (negative inside) to shapes that fill the disc of radius 1 about equally. -------------
# x runs to the right, y down. Away from corners they are true distances; near corners close enough for one pixel.


def _circle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    result: np.ndarray = np.sqrt(x * x + y * y) - np.float32(0.86)
    return result


def _square(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    result: np.ndarray = np.maximum(np.abs(x), np.abs(y)) - np.float32(0.72)
    return result


def _triangle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    inner = np.float32(0.49)  # radius of the inscribed circle; the corners lie at twice that
    lowered = y - np.float32(0.18)
    result: np.ndarray = np.maximum(lowered, np.float32(0.8660254) * np.abs(x) - 0.5 * lowered) - inner
    return result


def _star(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Five points, by folding the plane onto half of one point."""
    sector = np.float32(2 * np.pi / 5)
    angle = np.arctan2(x, -y)
    angle = np.abs(angle - sector * np.round(angle / sector))
    radius = np.sqrt(x * x + y * y)
    across, up = radius * np.sin(angle), radius * np.cos(angle)
    tip, notch = np.float32(1.0), np.float32(0.46)  # distances of the tips and of the notches from the center
    notch_x, notch_y = notch * np.sin(sector / 2), notch * np.cos(sector / 2)
    normal_x, normal_y = tip - notch_y, notch_x
    length = np.sqrt(normal_x**2 + normal_y**2)
    result: np.ndarray = (across * normal_x + (up - tip) * normal_y) / length
    return result


def _cross(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    long, short = np.float32(0.88), np.float32(0.30)
    x, y = np.abs(x), np.abs(y)
    return np.minimum(np.maximum(x - long, y - short), np.maximum(x - short, y - long))


def _heart(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Two discs on the upper sides of a square that stands on its corner (after Inigo Quilez, sdHeart)."""
    unit = np.float32(1.55)  # height of the formula's heart is about 1.1, its width about 1.2
    x, up = np.abs(x) / unit, (np.float32(0.82) - y) / unit
    corner = np.sqrt((x - 0.25) ** 2 + (up - 0.75) ** 2) - np.float32(0.35355339)
    along = 0.5 * np.maximum(x + up, 0.0)
    sides = np.sqrt(np.minimum(x * x + (up - 1.0) ** 2, (x - along) ** 2 + (up - along) ** 2))
    return unit * np.where(x + up > 1.0, corner, sides * np.sign(x - up)).astype(np.float32)


OUTLINES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "heart": _heart,
}


# --- Backgrounds ------------------------------------------------------------------------------------------------------


def _background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A muted two-color texture, float32 of shape (height, width, 3) in [0, 1]."""
    first = _muted_color(rng)
    second = np.clip(first + np.float32(rng.choice((-1.0, 1.0)) * rng.uniform(0.04, 0.13)), 0.30, 0.74)
    second = second + rng.uniform(-0.03, 0.03, 3).astype(np.float32)
    pattern = PATTERNS[int(rng.integers(len(PATTERNS)))]
    blend = pattern(rng, *_coordinates(height, width))
    image = first + blend[..., None] * (second - first)
    slope = rng.uniform(-0.06, 0.06, 2).astype(np.float32)  # uneven light, on every pattern
    down, across = _coordinates(height, width)
    result: np.ndarray = image + (slope[0] * down + slope[1] * across)[..., None]
    return result


def _coordinates(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows, 1) and (1, columns) coordinates about the center, in units of the image's scale."""
    scale = (height * width) ** 0.5
    down = (np.arange(height, dtype=np.float32)[:, None] + 0.5 - height / 2) / np.float32(scale)
    across = (np.arange(width, dtype=np.float32)[None, :] + 0.5 - width / 2) / np.float32(scale)
    return down, across


def _muted_color(rng: np.random.Generator) -> np.ndarray:
    tint = rng.uniform(-1.0, 1.0, 3)
    tint = tint - tint.mean()
    return np.asarray(rng.uniform(0.40, 0.66) + rng.uniform(0.0, 0.07) * tint, dtype=np.float32)


def _gradient(rng: np.random.Generator, down: np.ndarray, across: np.ndarray) -> np.ndarray:
    turn = rng.uniform(0.0, 2 * np.pi)
    return np.clip(0.5 + np.float32(np.cos(turn)) * across + np.float32(np.sin(turn)) * down, 0.0, 1.0)


def _stripes(rng: np.random.Generator, down: np.ndarray, across: np.ndarray) -> np.ndarray:
    turn, waves, start = rng.uniform(0.0, np.pi), rng.uniform(3.0, 9.0), rng.uniform(0.0, 2 * np.pi)
    phase = np.float32(np.cos(turn)) * across + np.float32(np.sin(turn)) * down
    wave = np.sin(np.float32(2 * np.pi * waves) * phase + np.float32(start))
    return 0.5 + 0.5 * np.clip(np.float32(rng.uniform(1.0, 4.0)) * wave, -1.0, 1.0)


def _checks(rng: np.random.Generator, down: np.ndarray, across: np.ndarray) -> np.ndarray:
    waves = np.float32(np.pi * rng.uniform(3.0, 8.0))
    start = rng.uniform(0.0, 2 * np.pi, 2).astype(np.float32)
    product = np.sin(waves * down + start[0]) * np.sin(waves * across + start[1])
    result: np.ndarray = 0.5 + 0.5 * np.clip(np.float32(rng.uniform(1.5, 6.0)) * product, -1.0, 1.0)
    return result


def _clouds(rng: np.random.Generator, down: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Smooth noise: a few plane waves of random direction and falling amplitude."""
    total = np.zeros((down.shape[0], across.shape[1]), dtype=np.float32)
    for waves in (1.0, 1.7, 2.9, 4.9):
        turn, start = rng.uniform(0.0, 2 * np.pi), rng.uniform(0.0, 2 * np.pi)
        a, b = np.float32(2 * np.pi * waves * np.cos(turn)), np.float32(2 * np.pi * waves * np.sin(turn))
        # sin(a x + b y + c) from one-dimensional sines: costs one outer product instead of a sine per pixel.
        rows, columns = b * down + np.float32(start), a * across
        total += np.float32(waves**-0.7) * (np.sin(rows) * np.cos(columns) + np.cos(rows) * np.sin(columns))
    result: np.ndarray = np.clip(0.5 + 0.25 * total, 0.0, 1.0)
    return result


PATTERNS = (_gradient, _stripes, _checks, _clouds)
