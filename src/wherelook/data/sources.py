"""Where the image of a sample is, and which part of it holds the evidence: small records that load nothing until asked.

All of them can be pickled, so that samples can be sent to other processes.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from wherelook.data.images import LoadedImage, decode_image, load_image
from wherelook.errors import WherelookError
from wherelook.types import Size

Box = tuple[float, float, float, float]
"""(x0, y0, x1, y1) in pixels of the image, x1 and y1 exclusive."""


@runtime_checkable
class ImageSource(Protocol):
    """An image that is read when it is needed."""

    @property
    def fingerprint(self) -> str:
        """Changes when the image does; cheap. A file that is missing has one too."""
        ...

    def load(self) -> LoadedImage:
        """Reads the image.

        Raises:
            WherelookError: there is none, or it cannot be read; see `wherelook.data.images.load_image`.
        """
        ...


@dataclass(frozen=True)
class ImageFile:
    """An image file that may lie nowhere but in a folder, links followed. Its fingerprint is its name and size."""

    folder: Path
    name: str

    @property
    def fingerprint(self) -> str:
        try:
            return f"{self.name} {(self.folder / self.name).stat().st_size}"
        except (OSError, ValueError):
            return f"{self.name} missing"

    def load(self) -> LoadedImage:
        check_inside(self.folder, self.name, f"{self.folder}")
        return load_image(self.folder / self.name)


@dataclass(frozen=True)
class ImageBytes:
    """The bytes of an image file, as Parquet tables hold them."""

    data: bytes
    name: str

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    def load(self) -> LoadedImage:
        return decode_image(self.data, self.name)


@dataclass(frozen=True)
class ImageText:
    """The bytes of an image file in base64, as tables of text hold them."""

    text: str
    name: str

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def load(self) -> LoadedImage:
        try:
            data = base64.b64decode("".join(self.text.split()), validate=True)
        except ValueError as error:
            raise WherelookError(f"{self.name} is not an image in base64") from error
        return decode_image(data, self.name)


@dataclass(frozen=True)
class ImageInMemory:
    """An image that is there already."""

    image: LoadedImage

    @property
    def fingerprint(self) -> str:
        return self.image.sha256

    def load(self) -> LoadedImage:
        return self.image


@runtime_checkable
class Evidence(Protocol):
    """The region of an image that an answer should come from."""

    @property
    def fingerprint(self) -> str:
        """Changes when the region does; cheap."""
        ...

    def mask(self, size: Size) -> Bool[np.ndarray, "height width"]:
        """True where the evidence is, in an image of (height, width).

        Raises:
            WherelookError: the region does not lie on such an image, or cannot be read.
        """
        ...


@dataclass(frozen=True)
class Boxes:
    """All pixels that one of the boxes touches. What sticks out of the image is cut off."""

    boxes: tuple[Box, ...]

    @property
    def fingerprint(self) -> str:
        return repr(self.boxes)

    def mask(self, size: Size) -> Bool[np.ndarray, "height width"]:
        height, width = size
        mask = np.zeros(size, dtype=bool)
        for x0, y0, x1, y1 in self.boxes:
            left, top = max(math.floor(x0), 0), max(math.floor(y0), 0)
            right, bottom = min(math.ceil(x1), width), min(math.ceil(y1), height)
            if not (x0 < x1 and y0 < y1 and left < right and top < bottom):
                raise WherelookError(
                    f"box {(x0, y0, x1, y1)} does not lie on the image of {height} x {width} pixels (height x width); "
                    "expected x0 < x1 and y0 < y1"
                )
            mask[top:bottom, left:right] = True
        return mask


@dataclass(frozen=True)
class MaskImage:
    """The pixels of an image of the same size that are not black."""

    source: ImageSource

    @property
    def fingerprint(self) -> str:
        return self.source.fingerprint

    def mask(self, size: Size) -> Bool[np.ndarray, "height width"]:
        mask = np.asarray(self.source.load().pixels.any(axis=2))
        if mask.shape != size or not mask.any():
            raise WherelookError(f"the mask must have the image's size, {size}, and be somewhere not black")
        return mask


@dataclass(frozen=True)
class MaskInMemory:
    """A mask that is there already."""

    region: Bool[np.ndarray, "height width"]

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(np.packbits(self.region).tobytes()).hexdigest()

    def mask(self, size: Size) -> Bool[np.ndarray, "height width"]:
        if self.region.shape != size:
            raise WherelookError(f"the mask has the size {self.region.shape}, the image {size}")
        return self.region


def attention_maps(sources: Sequence[ImageSource], size: Size) -> Float[np.ndarray, "people height width"]:
    """Where each person looked: gray images of any size, brought to `size`; float32 in [0, 255].

    Raises:
        WherelookError: a map cannot be read.
    """
    height, width = size
    return np.stack(
        [
            np.asarray(
                source.load().picture.convert("L").resize((width, height), Image.Resampling.BILINEAR), np.float32
            )
            for source in sources
        ]
    )


def mean_attention(sources: Sequence[ImageSource], size: Size) -> Float[np.ndarray, "height width"]:
    """Where people looked: the mean of their maps, float32, the largest value 1.

    Raises:
        WherelookError: a map cannot be read, or all are black.
    """
    total = attention_maps(sources, size).sum(axis=0)
    top = total.max()
    if top == 0:
        raise WherelookError("the maps of human attention are black: nobody looked anywhere")
    return np.asarray(total / top, dtype=np.float32)


def check_inside(root: Path, path: object, place: str) -> None:
    """Folders come from strangers: a path may lead nowhere but to a file inside, links followed."""
    target = (root / path).resolve() if isinstance(path, str) else root
    if not target.is_relative_to(root.resolve()) or not target.is_file():
        raise WherelookError(f"{place}: {path!r} is not a file inside the folder")
