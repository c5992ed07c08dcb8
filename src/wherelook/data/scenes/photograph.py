"""Draw a scene of things: pictures with soft shadows before a background like an out-of-focus photograph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageFilter

from wherelook.data.scenes.render import expose
from wherelook.data.scenes.things import picture
from wherelook.data.scenes.world import SceneObject

SHADOW = 0.35  # of the light that a thing keeps from what is behind it
OCTAVES = (3, 6, 12, 24)  # blobs of color per side of the image


def photograph(
    rng: np.random.Generator, objects: Sequence[SceneObject], size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Draw things on a random background; see `render.render`, of which this is the counterpart.

    Returns:
        The image, uint8 of shape (height, width, 3), and the things' masks, bool of shape (objects, height, width):
        where a picture covers at least half of a pixel.
    """
    height, width = size
    image = _background(rng, height, width)
    masks = np.zeros((len(objects), height, width), dtype=bool)
    for item, mask in zip(objects, masks, strict=True):
        _draw(rng, image, mask, item, (height * width) ** 0.5)
    return expose(rng, image), masks


def _draw(rng: np.random.Generator, image: np.ndarray, mask: np.ndarray, item: SceneObject, scale: float) -> None:
    """Draw one thing into `image` and `mask`, touching only the box it lies in."""
    height, width = mask.shape
    side = max(2, round(2 * item.radius * scale))
    seen = picture(item.shape)
    if rng.random() < 0.5:
        seen = seen.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    finer = min(seen.width, 3 * side // 2)  # turning is what takes the time
    seen = seen.resize((finer, finer), Image.Resampling.BOX).rotate(np.degrees(item.angle), Image.Resampling.BILINEAR)
    seen = seen.resize((side, side), Image.Resampling.BILINEAR)
    room = max(1, side // 8)  # for the shadow, on every side
    padded = Image.new("RGBA", (side + 2 * room,) * 2)
    padded.paste(seen, (room, room))
    shadow = padded.getchannel("A").filter(ImageFilter.GaussianBlur(room / 2))
    left = round(item.center[0] * width - side / 2) - room
    top = round(item.center[1] * height - side / 2) - room
    pixels = np.asarray(padded, dtype=np.float32) / 255.0
    shade = SHADOW * np.roll(np.asarray(shadow, dtype=np.float32) / 255.0, (room // 2 + 1, room // 3), axis=(0, 1))

    # The part of it inside the image.
    first_row, first_column = max(0, -top), max(0, -left)
    rows, columns = min(len(pixels), height - top), min(len(pixels), width - left)
    inside = np.s_[first_row:rows, first_column:columns]
    region = image[top + first_row : top + rows, left + first_column : left + columns]
    region *= 1.0 - shade[inside][..., None]
    cover = pixels[inside][..., 3:]
    region += cover * (np.float32(rng.uniform(0.88, 1.06)) * pixels[inside][..., :3] - region)
    mask[top + first_row : top + rows, left + first_column : left + columns] = cover[..., 0] >= 0.5


def _background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Blurred patches of a few colors, often lighter above a horizon; float32 (height, width, 3) in [0, 1]."""
    colors = [_color(rng) for _ in range(3)]
    blend = [_blobs(rng, height, width)[..., None] for _ in range(2)]
    image = colors[0] + blend[0] * (colors[1] - colors[0])
    if rng.random() < 0.6:
        down = (np.arange(height, dtype=np.float32)[:, None, None] + 0.5) / height
        ground = 1.0 / (1.0 + np.exp(-(down - rng.uniform(0.3, 0.7)) * np.float32(rng.uniform(8.0, 60.0))))
        image = image + ground.astype(np.float32) * (colors[2] - image) * np.float32(rng.uniform(0.5, 1.0))
    else:
        image = image + 0.6 * blend[1] * (colors[2] - image)
    result: np.ndarray = (image + np.float32(rng.uniform(0.0, 0.12)) * (blend[1] - 0.5)).astype(np.float32)
    return result


def _color(rng: np.random.Generator) -> np.ndarray:
    tint = rng.uniform(-1.0, 1.0, 3)
    return np.asarray(rng.uniform(0.3, 0.8) + rng.uniform(0.03, 0.2) * (tint - tint.mean()), dtype=np.float32)


def _blobs(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Smooth noise in 0 to 1: coarse blobs strong, fine ones weak."""
    side = 2 * OCTAVES[-1]
    total = np.zeros((side, side), dtype=np.float32)
    for cells in OCTAVES:
        coarse = Image.fromarray(rng.standard_normal((cells, cells), dtype=np.float32))
        total += np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)) / np.float32(cells / OCTAVES[0])
    fine = Image.fromarray(total).resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(0.5 + 0.3 * np.asarray(fine), 0.0, 1.0)
