"""Reads an image as a person sees it: upright, in RGB, on white, first frame; or says in one line why it cannot.

Images are untrusted input: the size is read from the header and refused before any pixel is decoded.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
import struct
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from wherelook.canvas import Canvas
from wherelook.errors import InputError

MAXIMUM_PIXELS = 100_000_000
MAXIMUM_BYTES = 500_000_000
MAXIMUM_IMAGES = 32
"""Images in one prompt."""
MAXIMUM_DECODED = 1_000_000_000
"""Pixels of all frames of an animation."""
MAXIMUM_SCANNED = 5_000_000_000
"""Pixels of all scans of a progressive JPEG."""
QUICKLY_COUNTED = 1_000_000
"""Bytes of a GIF or TIFF whose frames are counted for a note alone."""
PILLOW_LIMITS = ("MAX_TEXT_CHUNK", "MAX_TEXT_MEMORY")
"""What Pillow's errors say where it is a limit of its own that a sound file meets."""
JPEG_SCAN = b"\xff\xda"
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")

# EXIF orientation -> what makes the image upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class LoadedImage:
    """An RGB image and where it came from.

    Attributes:
        pixels: (height, width, 3) uint8.
        path: as given; None for an image that came as an object.
        sha256: of the file's bytes, or of the pixels when there is no file.
        notes: what was done to it that a user may want to know, such as "first of 12 frames".
        frame: which frame of the file, from 1, where it was asked for as one of several.
        seconds: when this frame is first shown, from the beginning; None where the file does not tell.
    """

    pixels: NDArray[np.uint8]
    path: str | None
    sha256: str
    notes: tuple[str, ...] = ()
    frame: int | None = None
    seconds: float | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def picture(self) -> Image.Image:
        return Image.fromarray(self.pixels)


ImageSource = str | Path | Image.Image | NDArray[Any] | LoadedImage
"""A file, a PIL image, an array (height, width[, 1|3|4]), or what `load_image` or `load_frames` returned."""

Read = TypeVar("Read")

_WARNINGS = threading.Lock()


def load_images(source: ImageSource | Sequence[ImageSource]) -> tuple[LoadedImage, ...]:
    """The image of a prompt, or those of a list or tuple.

    Raises:
        InputError: none, more than 32, or one that `load_image` refuses.
    """
    sources: Sequence[ImageSource] = source if isinstance(source, list | tuple) else [source]  # type: ignore[list-item]
    if not 1 <= len(sources) <= MAXIMUM_IMAGES:
        raise InputError(f"a prompt takes from 1 to {MAXIMUM_IMAGES} images; got {len(sources)}")
    return tuple(load_image(one) for one in sources)


def side_by_side(images: Sequence[LoadedImage]) -> LoadedImage:
    """The canvas of several images (see `wherelook.canvas`) as one; an image alone is itself."""
    if len(images) == 1:
        return images[0]
    canvas = Canvas(tuple(image.size for image in images))
    pixels = canvas.paste([image.picture for image in images])
    return LoadedImage(pixels, None, _sha256(pixels.tobytes()))


def load_frames(path: str | Path, count: int) -> tuple[LoadedImage, ...]:
    """Frames of an animated file (GIF, WebP, PNG, TIFF), spread evenly from the first to the last.

    Args:
        path: the file.
        count: how many, from 2 to 32; all of them where the file has fewer.

    Raises:
        InputError: the count is out of range, or the file has one frame, or `load_image` would refuse it.
    """
    if not 2 <= count <= MAXIMUM_IMAGES:
        raise InputError(f"frames are from 2 to {MAXIMUM_IMAGES}; got {count}")
    path = Path(path)
    name = _shown(path)

    def read(image: Image.Image) -> tuple[list[NDArray[np.uint8]], list[float | None], list[int], int]:
        total = getattr(image, "n_frames", 1)
        if total < 2:
            raise InputError(f"{name} has one frame; expected an animation (GIF, WebP, PNG, TIFF)")
        if total * image.width * image.height > MAXIMUM_DECODED:
            raise InputError(
                f"{name} has {total} frames of {image.width} x {image.height} pixels, which would take minutes to "
                f"decode; the limit is {MAXIMUM_DECODED // 10**6} million pixels in all: make it shorter or smaller"
            )
        chosen = np.unique(np.rint(np.linspace(0, total - 1, min(count, total))).astype(int)).tolist()
        frames: list[NDArray[np.uint8]] = []
        times: list[float | None] = []
        shown = 0.0  # milliseconds until this frame; not a number after one that does not tell
        for index in range(chosen[-1] + 1):
            image.seek(index)
            if index in chosen:
                frames.append(_to_rgb(image, name)[0])
                times.append(shown / 1000 if math.isfinite(shown) else None)
            duration = image.info.get("duration")
            shown += float(duration) if isinstance(duration, int | float) and duration > 0 else math.nan
        return frames, times, chosen, total

    data = read_image_file(path)
    (frames, times, chosen, total), digest = decode_with(data, name, read), _sha256(data)
    loaded = [
        LoadedImage(pixels=pixels, path=str(path), sha256=digest, notes=(), frame=index + 1, seconds=seconds)
        for pixels, index, seconds in zip(frames, chosen, times, strict=True)
    ]
    note = f"frames {', '.join(str(index + 1) for index in chosen)} of {total}"
    return (replace(loaded[0], notes=(note,)), *loaded[1:])


def frame_rate(frames: Sequence[LoadedImage]) -> float | None:
    """Frames per second of what `load_frames` returned; None where the file does not tell."""
    first, last = frames[0].seconds, frames[-1].seconds
    return None if first is None or last is None else (len(frames) - 1) / (last - first)


def load_image(source: ImageSource) -> LoadedImage:
    """Reads an image file, or takes a PIL image or an array (height, width[, 1|3|4]) of uint8, or of floats in [0, 1].

    EXIF orientation is applied, transparency is composited on white, gray, palette, CMYK and 16-bit images become RGB,
    of an animated file the first frame is taken (and `notes` says so). An image object is not changed; one with
    several frames gives the frame it stands at.

    Raises:
        InputError: the file is missing, empty, truncated, not an image, of an unsupported format, or larger than
            100 million pixels; the array has another shape or type.
    """
    if isinstance(source, LoadedImage):
        return source
    if isinstance(source, Image.Image):
        pixels, notes = _from_object(source)
        name = getattr(source, "filename", None)
        return LoadedImage(pixels, os.fsdecode(name) if name else None, _sha256(pixels.tobytes()), notes)
    if isinstance(source, np.ndarray):
        array = _from_array(source)
        _check_size(array, "the array")
        pixels, notes = _to_rgb(array, "the array")
        return LoadedImage(pixels, None, _sha256(pixels.tobytes()), notes)
    if isinstance(source, str | Path):
        path = Path(source)
        name = _shown(path)
        return decode_image(read_image_file(path), name, str(path))
    raise InputError(f"an image is a file name, a PIL image or a numpy array; got {type(source).__name__}")


def decode_image(data: bytes, name: str, path: str | None = None) -> LoadedImage:
    """Reads the bytes of an image file, as `load_image` does.

    Args:
        data: the bytes.
        name: what errors call the image.
        path: of the result.

    Raises:
        InputError: see `load_image`.
    """
    pixels, notes = decode_with(data, name, lambda image: _to_rgb(image, name, len(data)))
    return LoadedImage(pixels, path, _sha256(data), notes)


def decode_with(data: bytes, name: str, read: Callable[[Image.Image], Read]) -> Read:
    """What `read` makes of an image file, whose size and cost are checked before.

    Args:
        data: the file's bytes.
        name: what errors call the image.
        read: from the opened image, which is not decoded yet.

    Raises:
        InputError: see `load_image`.
    """
    if not data:
        raise InputError(f"{name} is empty; expected an image file")

    def checked(image: Image.Image) -> Read:
        _check_size(image, name)
        scans = data.count(JPEG_SCAN) if image.format == "JPEG" else 1
        if scans * image.width * image.height > MAXIMUM_SCANNED:
            raise InputError(
                f"{name} has {image.width} x {image.height} pixels in {scans} scans, which would take minutes to "
                f"decode; the limit is {MAXIMUM_SCANNED // 10**6} million in all: save it again"
            )
        return read(image)

    return _decode(data, name, checked)


def _decode(data: bytes, name: str, read: Callable[[Image.Image], Read]) -> Read:
    """What `read` makes of the opened image; errors of its decoding in one line."""
    try:
        try:
            return _open(data, read)
        except Warning:  # where the application has made errors of them; what warns is one setting for the process
            with _WARNINGS, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return _open(data, read)
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(
            f"{name} is not an image in a supported format ({', '.join(FORMATS)}): convert it to PNG or JPEG"
        ) from error
    except Image.DecompressionBombError as error:
        own = Image.MAX_IMAGE_PIXELS
        lower = own is not None and 2 * own < MAXIMUM_PIXELS
        limit = f"PIL.Image.MAX_IMAGE_PIXELS = {own}, as set here" if lower else f"{MAXIMUM_PIXELS // 10**6} million"
        raise InputError(f"{name} has too many pixels; the limit is {limit}") from error
    except Exception as error:  # Pillow's decoders raise many types on damaged data
        if any(word in str(error) for word in PILLOW_LIMITS):
            raise InputError(
                f"{name} is beyond a limit of the image library (Pillow), which is no damage: {_first_line(error)}; "
                "save it again without its metadata"
            ) from error
        raise InputError(f"{name} is damaged and cannot be decoded: {_first_line(error)}") from error


def _open(data: bytes, read: Callable[[Image.Image], Read]) -> Read:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        _refuse_truncated(image)
        return read(image)


def _refuse_truncated(image: Image.Image) -> None:
    """Has the decoder fail where the file ends too early, also in an application that has told Pillow to go on then.

    Pillow asks `load_read`, where an image has one, for more of the file. Its own setting is one for the whole process.
    """
    if not ImageFile.LOAD_TRUNCATED_IMAGES or not isinstance(image, ImageFile.ImageFile):
        return
    whole: Callable[[int], bytes] | None = getattr(image, "load_read", None)

    def load_read(size: int) -> bytes:
        file = image.fp
        assert file is not None
        before = file.tell()
        try:
            found = file.read(size) if whole is None else whole(size)
        except (IndexError, struct.error):
            found = b""
        if not found or file.tell() == before:  # a JPEG's own reader makes up an end
            raise OSError("image file is truncated")
        return found

    image.load_read = load_read  # type: ignore[attr-defined]


def read_image_file(path: Path) -> bytes:
    """The bytes of a regular file of a sensible size.

    Raises:
        InputError: there is none.
    """
    name = _shown(path)
    try:
        if path.is_dir():
            raise InputError(f"{name} is a folder; expected an image file")
        if not path.exists():
            hint = ": addresses are not fetched, download the image first" if re.match(r"\w{2,}:/", str(path)) else ""
            raise InputError(f"there is no image file {name}{hint}")
        if not path.is_file():
            raise InputError(f"{name} is not a regular file; expected an image file")
        size = path.stat().st_size
        if size > MAXIMUM_BYTES:
            raise InputError(f"{name} has {size // 10**6} MB; the limit of an image file is {MAXIMUM_BYTES // 10**6}")
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read image file {name}: {reason}") from error
    return data


def _check_size(image: Image.Image, name: str) -> None:
    if image.width == 0 or image.height == 0:
        raise InputError(f"{name} has no pixels ({image.width} x {image.height})")
    if image.width * image.height > MAXIMUM_PIXELS:
        raise InputError(
            f"{name} has {image.width} x {image.height} pixels; the limit is {MAXIMUM_PIXELS // 10**6} million: "
            "make it smaller first"
        )


def _to_rgb(image: Image.Image, name: str, length: int = 0) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """(height, width, 3) pixels and notes; `name` is what errors call the image, `length` the bytes of its file."""
    notes = []
    frames = _frames(image, length)
    if frames != "1":
        notes.append(f"frame {image.tell() + 1} of {frames}" if image.tell() else f"first of {frames} frames")
    turned = upright(image)
    if turned.mode.startswith("I") or turned.mode == "F":
        turned, top = _from_deep_gray(turned, name)
        notes.append(f"gray levels from 0 to {top:g} reduced to 8 bits")
    if turned.has_transparency_data:
        turned = turned.convert("RGBA")
        if np.asarray(turned.getchannel("A")).min() < 255:
            notes.append("transparency composited on white")
        turned = Image.alpha_composite(Image.new("RGBA", turned.size, "white"), turned)
    return np.array(turned.convert("RGB")), tuple(notes)


def _frames(image: Image.Image, length: int) -> str:
    """How many frames, in words where Pillow would have to go through a large file to count them."""
    if getattr(image, "is_animated", False) and image.format in ("GIF", "TIFF") and length > QUICKLY_COUNTED:
        return "several"
    return str(getattr(image, "n_frames", 1))


def upright(image: Image.Image) -> Image.Image:
    """The decoded image, turned as its EXIF data says."""
    image.load()  # before its EXIF data is asked for: loading a TIFF turns it and clears the tag
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # damaged metadata of a sound image
        return image
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def _from_object(image: Image.Image) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """The pixels of a PIL image that may not be decoded yet; what goes wrong then is said in one line."""
    _check_size(image, "the image")
    try:
        return _to_rgb(image, "the image")
    except InputError:
        raise
    except Exception as error:  # truncated, or closed before it was decoded: OSError, ValueError, AssertionError, ...
        raise InputError(
            f"the image object cannot be decoded (truncated, or its file was closed before image.load()): "
            f"{_first_line(error)}"
        ) from error


def _from_deep_gray(image: Image.Image, name: str) -> tuple[Image.Image, float]:
    """An 8-bit image, and the level that became white.

    That is 65535 in a 16-bit image, whatever it shows: two images of one camera stay comparable. Where the mode does
    not tell the range it is the smallest of the usual ones that holds the values.
    """
    values = np.asarray(image, np.float32)
    usual = {"I": (255.0, 65535.0), "F": (1.0, 255.0, 65535.0)}.get(image.mode, (65535.0,))
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > usual[-1]:
        raise InputError(f"{name} has gray levels outside 0 to {usual[-1]:g}: scale them first")
    top = next(level for level in usual if values.max() <= level)
    return Image.fromarray(np.rint(values * (255 / top)).astype(np.uint8)), top


def _from_array(array: NDArray[Any]) -> Image.Image:
    shape_fits = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))
    if not shape_fits or 0 in array.shape:
        raise InputError(f"an image array has shape (height, width[, 1|3|4]); got {array.shape}")
    if np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise InputError("a floating-point image array holds finite values in [0, 1]")
        array = np.rint(array.astype(np.float64) * 255).astype(np.uint8)
    if array.dtype != np.uint8:
        raise InputError(f"an image array is uint8, or floating point in [0, 1]; got {array.dtype}")
    return Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array)


def _shown(path: Path) -> str:
    """A path for a message: quoted, so that spaces and control characters show, and not endless."""
    text = repr(str(path))
    return text if len(text) <= 200 else f"{text[:100]}...{text[-50:]}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
