"""Where the image of a sample is, and which part of it holds the evidence: small records that load nothing until asked.

All of them can be pickled, so that samples can be sent to other processes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from wherelook.canvas import Size
from wherelook.data.boxes import PIXEL_CORNERS, BoxFormat, Numbers, box_mask
from wherelook.data.images import (
    LoadedImage,
    decode_image,
    load_image,
    load_images,
    read_image_file,
    side_by_side,
)
from wherelook.data.masks import gray_levels, region_of
from wherelook.errors import WherelookError

Box = Numbers
"""(x0, y0, x1, y1) in pixels of the image, x1 and y1 exclusive."""

DATA_ADDRESS = re.compile(r"data:image/[\w.+-]+;base64,")


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

    def encoded(self) -> tuple[bytes, str] | None:
        """The bytes of its file, and what errors call it; None where it is there without a file. Raises as `load`."""
        ...


@dataclass(frozen=True)
class NoImage:
    """In the place of an image: why there is none.

    Attributes:
        reason: what loading it says, with the place in the table.
        cause: the same without any place: its fingerprint, which is the same wherever the dataset lies.
    """

    reason: str
    cause: str = "no image"

    @property
    def fingerprint(self) -> str:
        return self.cause

    def load(self) -> LoadedImage:
        raise WherelookError(self.reason)

    def encoded(self) -> tuple[bytes, str] | None:
        raise WherelookError(self.reason)


@dataclass(frozen=True)
class ImageFile:
    """An image file in a folder; a link in it leads where its owner wants.

    Its fingerprint is its own name, without folders, and its size: it is the same where images=DIR names a folder.
    """

    folder: Path
    name: str

    @property
    def fingerprint(self) -> str:
        own = PurePosixPath(self.name).name
        try:
            return f"{own} {(self.folder / self.name).stat().st_size}"
        except (OSError, ValueError):
            return f"{own} missing"

    def load(self) -> LoadedImage:
        self._check()
        return load_image(self.folder / self.name)

    def encoded(self) -> tuple[bytes, str]:
        self._check()
        path = self.folder / self.name
        return read_image_file(path), f"'{path}'"

    def _check(self) -> None:
        check_inside(
            self.folder,
            self.name,
            f"{self.folder}",
            "; if the images lie elsewhere, add ,images=DIR to the dataset's name",
        )


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

    def encoded(self) -> tuple[bytes, str]:
        return self.data, self.name


@dataclass(frozen=True)
class ImageText:
    """The bytes of an image file in base64, as tables of text hold them; also as a data: address."""

    text: str
    name: str

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.text.encode(errors="surrogatepass")).hexdigest()

    def load(self) -> LoadedImage:
        return decode_image(*self.encoded())

    def encoded(self) -> tuple[bytes, str]:
        text = DATA_ADDRESS.sub("", self.text, count=1)
        try:
            return base64.b64decode("".join(text.split()), validate=True), self.name
        except ValueError as error:
            raise WherelookError(f"{self.name} is not an image in base64") from error


@dataclass(frozen=True)
class ImageInMemory:
    """An image that is there already."""

    image: LoadedImage

    @property
    def fingerprint(self) -> str:
        return self.image.sha256

    def load(self) -> LoadedImage:
        return self.image

    def encoded(self) -> None:
        return None


@dataclass(frozen=True)
class SeveralImages:
    """Several images of one question; as one image they lie side by side (see `wherelook.canvas`)."""

    sources: tuple[ImageSource, ...]

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps([source.fingerprint for source in self.sources]).encode()).hexdigest()

    def images(self) -> tuple[LoadedImage, ...]:
        """Each of them. Raises as `load`."""
        return load_images([source.load() for source in self.sources])

    def load(self) -> LoadedImage:
        return side_by_side(self.images())

    def encoded(self) -> None:
        return None


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

    boxes: tuple[Numbers, ...]
    format: BoxFormat = PIXEL_CORNERS

    @property
    def fingerprint(self) -> str:
        return repr(self.boxes) if self.format == PIXEL_CORNERS else f"{self.format} {self.boxes}"

    def mask(self, size: Size) -> Bool[np.ndarray, "height width"]:
        return box_mask(self.boxes, self.format, size)


@dataclass(frozen=True)
class MaskImage:
    """The pixels of an image of the same size that are marked; see `wherelook.data.masks.region_of`."""

    source: ImageSource

    @property
    def fingerprint(self) -> str:
        return self.source.fingerprint

    def mask(self, size: Size) -> Bool[np.ndarray, "height width"]:
        encoded = self.source.encoded()
        mask = self.source.load().pixels.any(axis=2) if encoded is None else region_of(*encoded)
        if mask.shape != size or not mask.any():
            raise WherelookError(
                f"the mask must have the image's size, {size} (height, width), and be somewhere not black; it has "
                f"{mask.shape}" + ("" if mask.any() else " and is black")
            )
        return np.asarray(mask)


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
    """Where each person looked: gray images of any size, brought to `size`; float32 in the files' own units.

    Raises:
        WherelookError: a map cannot be read.
    """
    height, width = size
    maps = []
    for source in sources:
        encoded = source.encoded()
        if encoded is None:
            levels = np.asarray(source.load().picture.convert("L"), np.float32)
        else:
            levels = gray_levels(*encoded)
        gray = Image.fromarray(levels).resize((width, height), Image.Resampling.BILINEAR)
        maps.append(np.asarray(gray, np.float32))
    return np.stack(maps)


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


def check_name(name: str, place: str, hint: str = "") -> None:
    """Refuses a name that leads out of its folder; it need not exist.

    The folder's own tree decides, as its owner made it: a link in it may lead anywhere.

    Raises:
        WherelookError: it is absolute, or climbs.
    """
    parts = PurePosixPath(name).parts
    drive = len(name) > 1 and name[1] == ":"
    if not name or "\0" in name or "\\" in name or drive or name.startswith("/") or ".." in parts:
        raise WherelookError(f"{place}: {_shown(name)} is not a file inside the folder{hint}")


def check_inside(root: Path, path: object, place: str, hint: str = "") -> None:
    """Folders come from strangers: a name may lead nowhere but to a file in the folder's own tree.

    Raises:
        WherelookError: it leads out of it, or there is no file.
    """
    if isinstance(path, str):
        check_name(path, place, hint)
    try:
        known = isinstance(path, str) and (root / path).is_file()
    except (OSError, ValueError):  # too long, or half of a surrogate pair
        known = False
    if not known:
        raise WherelookError(f"{place}: {_shown(path)} is not a file inside the folder{hint}")


def _shown(name: object) -> str:
    text = repr(name[:201] if isinstance(name, str) else name)
    return text if len(text) <= 200 else f"{text[:200]}..."
