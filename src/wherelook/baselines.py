"""Images that show what the model sees when a region is taken away: functions from an image to one of the same size.

Every baseline takes an RGB uint8 array of shape (height, width, 3) and a seed, and returns a new array of that shape.
A function of the user's, or of another package, is a baseline too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter1d

from wherelook.canvas import Size
from wherelook.errors import InputError
from wherelook.registry import Registry, called, check_call

Pixels = NDArray[np.uint8]

BLUR_WORKING_SIZE = 512  # a blur this wide leaves nothing that a larger working image could hold


def blur_kernel(height: int, width: int) -> int:
    """Width in pixels of the blur for an image of this size; its standard deviation is the width minus one.

    The paper's table (>= 2000 px: 501, >= 800: 301, >= 500: 201, else 101) is by image width alone, so a tall image is
    blurred less than the same image lying on its side. Here the size is the geometric mean of both sides, which for a
    square image is the paper's.
    """
    size = (height * width) ** 0.5
    for limit, kernel in ((2000, 501), (800, 301), (500, 201)):
        if size >= limit:
            return kernel
    return 101


def blur(image: Pixels, seed: int = 0, size: Size | None = None) -> Pixels:
    """Gaussian blur of width `blur_kernel` (reflected at the borders). The paper's default baseline.

    With `size` the blur is that of an image of this (height, width), of which `image` is a smaller copy.
    """
    return _blur(image, 1, size or _size(image))


def strong_blur(image: Pixels, seed: int = 0, size: Size | None = None) -> Pixels:
    """A blur three times as wide: what is left are the colors of the image's large parts."""
    return _blur(image, 3, size or _size(image))


def _size(image: Pixels) -> Size:
    return image.shape[0], image.shape[1]


def _blur(image: Pixels, times: int, size: Size) -> Pixels:
    kernel = times * blur_kernel(*size)
    height, width = image.shape[:2]
    scale = min(1.0, BLUR_WORKING_SIZE / max(height, width))
    working = image
    if scale < 1:
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        working = np.asarray(Image.fromarray(image).resize(small, Image.Resampling.BOX))
    shrunk = scale * max(height, width) / max(size)
    radius = max(1, round((kernel - 1) / 2 * shrunk))
    blurred = working.astype(np.float32)
    for axis in (0, 1):
        blurred = gaussian_filter1d(blurred, sigma=(kernel - 1) * shrunk, axis=axis, radius=radius, mode="reflect")
    result = np.rint(blurred).clip(0, 255).astype(np.uint8)
    if scale < 1:
        result = np.asarray(Image.fromarray(result).resize((width, height), Image.Resampling.BILINEAR))
    return result


def mean_color(image: Pixels, seed: int = 0) -> Pixels:
    """The image's mean color everywhere."""
    mean = np.rint(image.reshape(-1, 3).mean(axis=0)).astype(np.uint8)
    return np.broadcast_to(mean, image.shape).copy()


def zeros(image: Pixels, seed: int = 0) -> Pixels:
    """Black."""
    return np.zeros_like(image)


def noise(image: Pixels, seed: int = 0) -> Pixels:
    """Uniform noise over all 256 levels, independent in each pixel and channel, from `seed`."""
    return np.random.default_rng(seed).integers(0, 256, size=image.shape, dtype=np.uint8)


Baseline = Callable[[Pixels, int], Pixels]
"""(image, seed) to an image of the same size."""


def _baseline(name: str, found: Any) -> Baseline:
    check_call("baseline", found, "(image, seed)", None, 0)
    return found  # type: ignore[no-any-return]


BASELINES: Registry[Baseline] = Registry(
    "baseline",
    "wherelook.baselines",
    {"blur": blur, "mean": mean_color, "strong-blur": strong_blur, "zeros": zeros, "noise": noise},
    _baseline,
)
"""By name. Other packages add theirs by an entry point of the group wherelook.baselines."""

BLURS: Mapping[str, Callable[[Pixels, int, Size], Pixels]] = {"blur": blur, "strong-blur": strong_blur}
"""Baselines whose look depends on how large the image is."""

OTHER_IMAGE = "image"
"""Name of the baseline that no function makes: another image, which is given."""

UNSEEN: Mapping[str, str] = {
    "mean": "blur",
    # Another image is taken where neither blur nor the mean color changes a grounded word: a replay with them shows
    # nothing, whatever the map. Noise leaves nothing of the image.
    OTHER_IMAGE: "noise",
}
"""See `unseen`."""


def unseen(name: str) -> str:
    """The baseline that replays a map made with this one, so that a map cannot win by fitting its own baseline."""
    return UNSEEN.get(name, "mean")


def make_baseline(baseline: str | Baseline, image: Pixels, *, seed: int = 0, size: Size | None = None) -> Pixels:
    """A baseline for an RGB uint8 image (height, width, 3).

    Args:
        baseline: one of `BASELINES`, or a function.
        image: the pixels.
        seed: of noise.
        size: (height, width) of the image of which `image` is a smaller copy, if it is one.

    Raises:
        InputError: there is no baseline of that name, or the function returned no image of this size.
    """
    if isinstance(baseline, str) and size is not None and baseline in BLURS:
        return BLURS[baseline](image, seed, size)
    function = BASELINES.find(baseline) if isinstance(baseline, str) else baseline
    made = function(image.copy(), seed)
    if not isinstance(made, np.ndarray) or made.shape != image.shape or made.dtype != np.uint8:
        got = f"{made.dtype} of shape {made.shape}" if isinstance(made, np.ndarray) else type(made).__name__
        name = baseline if isinstance(baseline, str) else called(baseline)
        raise InputError(f"baseline {name!r} returned {got}; expected uint8 of the image's shape {image.shape}")
    return made
