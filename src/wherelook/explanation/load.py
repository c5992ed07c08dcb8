"""Reads an explanation back from its files, which may come from a stranger: sizes are bounded, nothing is unpickled,
every value has the type that its record declares, and a mask holds numbers in [0, 1].
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from wherelook.arguments import shown
from wherelook.data.images import MAXIMUM_IMAGES, MAXIMUM_PIXELS, ImageSource, LoadedImage, load_frames, load_image
from wherelook.data.images import load_images as load_given
from wherelook.errors import InputError, WherelookError
from wherelook.explanation.files import FILE_SET, RECORD_FILE
from wherelook.explanation.record import SCHEMA_VERSION, Curve, Explanation, ImagePart, TokenMap

GRAY = np.uint8(208)
"""Of the pixels of an image that is not there."""

NUMBERS = {
    "reliance": ("score", "gap", "alpha"),
    "cost": ("forward", "backward", "seconds", "peak_bytes"),
    "execution": ("memory_limit",),
}
MAPPINGS = {"config": ("settings", "baseline_image", "chat_template_kwargs"), "method": ("parameters",)}
"""Entries of the free-form parts of a record that pages and commands count on, where they are there and not null."""


def load(folder: Path, images: ImageSource | Sequence[ImageSource] | None = None) -> Explanation:
    """See `Explanation.load`."""
    record = FILE_SET.read_record(folder)
    if record["schema_version"] != SCHEMA_VERSION:
        raise InputError(
            f"{folder / RECORD_FILE} has schema_version {shown(record['schema_version'])}, and this version of "
            f"wherelook reads {SCHEMA_VERSION}: explain the image again"
        )
    arrays = FILE_SET.read_files(folder, record, wanted=lambda name: name.endswith(".npy"))
    try:
        return _explanation(record, arrays, folder, images)
    except _DamagedError as error:
        said = " ".join(str(error).split())  # names of a stranger's entries may have lines
        raise InputError(f"{folder} holds a damaged explanation: {said}") from error


class _DamagedError(Exception):
    """What is wrong, without the name of the folder."""


def _explanation(
    record: Mapping[str, Any],
    arrays: Mapping[str, bytes],
    folder: Path,
    images: ImageSource | Sequence[ImageSource] | None,
) -> Explanation:
    apart = {"images", "token_maps"}
    hints = get_type_hints(Explanation)
    values = {
        one.name: _typed(hints[one.name], _entry(record, one.name), one.name)
        for one in fields(Explanation)
        if one.name not in apart
    }
    _check_free_form(values)
    _check_curves(values["curves"])
    entries = _image_entries(record)
    heatmaps = _heatmaps(arrays, len(entries))
    found = _find(entries, folder) if images is None else _given(entries, images)
    return Explanation(
        **values,
        images=tuple(_image_part(*one) for one in zip(entries, heatmaps, found, strict=True)),
        token_maps=_token_maps(record, arrays, _array(arrays, "mask.npy", 2).shape, len(values["tokens"])),
    )


# ---- values of JSON as the types of a record ----


def _entry(record: Mapping[str, Any], name: str, within: str = "") -> Any:
    if name not in record:
        raise _DamagedError(f"{within or RECORD_FILE} has no {name!r}")
    return record[name]


def _typed(kind: Any, value: Any, name: str) -> Any:
    """A value of JSON as the type that a field of a record has: null is not a number for a `float`, a list a tuple."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (UnionType, Union):  # some type or None
        return None if value is None else _typed(arguments[0], value, name)
    if origin is tuple and isinstance(value, list):
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(kinds) == len(value):
            return tuple(_typed(*pair, f"{name}[{index}]") for index, pair in enumerate(zip(kinds, value, strict=True)))
    elif origin is Literal and value in arguments:
        return value
    elif origin is Mapping and isinstance(value, dict):
        return {key: _typed(arguments[1], item, f"{name}.{key}") for key, item in value.items()}
    elif hasattr(kind, "__dataclass_fields__") and isinstance(value, dict):
        hints = get_type_hints(kind)
        return kind(**{
            one.name: _typed(hints[one.name], _entry(value, one.name, name), f"{name}.{one.name}")
            for one in fields(kind)
        })  # fmt: skip
    elif kind is float and (value is None or type(value) in (int, float)):
        return math.nan if value is None else float(value)
    elif type(value) is kind:
        return value
    raise _DamagedError(f"{name} is {shown(value)}")


def _check_free_form(values: Mapping[str, Any]) -> None:
    for part, names in NUMBERS.items():
        for name in names:
            _typed(float, values[part].get(name), f"{part}.{name}")
    for part, names in MAPPINGS.items():
        for name in names:
            _typed(Mapping[str, Any] | None, values[part].get(name), f"{part}.{name}")
    _typed(tuple[float, ...] | None, values["method"].get("objective"), "method.objective")


def _check_curves(curves: Sequence[Curve]) -> None:
    for curve in curves:
        if len(curve.fractions) < 2 or not len(curve.fractions) == len(curve.deletion) == len(curve.insertion):
            raise _DamagedError("a curve has less than two points, or not as many scores as shares")


# ---- masks ----


def _array(arrays: Mapping[str, bytes], name: str, dimensions: int) -> NDArray[np.float32]:
    """A float32 array with values in [0, 1]; no more memory is used than the file has bytes."""
    if name not in arrays:
        raise _DamagedError(f"{name} is missing")
    file = io.BytesIO(arrays[name])
    try:
        if npy.read_magic(file) != (1, 0):
            raise ValueError
        shape, by_column, kind = npy.read_array_header_1_0(file)
    except ValueError as error:
        raise _DamagedError(f"{name} is not an array as numpy.save writes it") from error
    rest = file.read()
    if len(shape) != dimensions or min(shape) < 1 or kind != np.float32 or 4 * math.prod(shape) != len(rest):
        raise _DamagedError(f"{name} is no float32 array of {dimensions} dimensions: {kind}, shape {shape}")
    values = np.frombuffer(rest, np.float32).reshape(shape, order="F" if by_column else "C").copy(order="K")
    if not ((values >= 0) & (values <= 1)).all():
        raise _DamagedError(f"{name} holds values outside [0, 1]")
    return values


def _heatmaps(arrays: Mapping[str, bytes], count: int) -> list[NDArray[np.float32]]:
    """The map of each image; those of several lie side by side in mask.npy."""
    whole = _array(arrays, "mask.npy", 2)
    if count == 1:
        return [whole]
    parts = [_array(arrays, f"mask-{index}.npy", 2) for index in range(1, count + 1)]
    if any(len(part) != len(whole) for part in parts) or not np.array_equal(np.concatenate(parts, axis=1), whole):
        raise _DamagedError(f"the masks of the {count} images, side by side, are not mask.npy")
    return parts


def _token_maps(
    record: Mapping[str, Any], arrays: Mapping[str, bytes], shape: tuple[int, ...], tokens: int
) -> tuple[TokenMap, ...]:
    positions = _typed(tuple[int, ...], _entry(record, "token_maps"), "token_maps")
    if not positions:
        return ()
    if len(set(positions)) < len(positions) or not all(0 <= position < tokens for position in positions):
        raise _DamagedError(f"token_maps is not a list of positions among {tokens} tokens")
    stack = _array(arrays, "token_masks.npy", 3)
    if stack.shape != (len(positions), *shape):
        raise _DamagedError(f"token_masks.npy has shape {stack.shape}; expected {(len(positions), *shape)}")
    return tuple(TokenMap(*one) for one in zip(positions, stack, strict=True))


# ---- images ----


def _image_entries(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entries of `images`, each with the fields of an `ImagePart` that JSON has, and its `size`."""
    listed = _typed(tuple[Mapping[str, Any], ...], _entry(record, "images"), "images")
    if not 1 <= len(listed) <= MAXIMUM_IMAGES:
        raise _DamagedError(f"it has {len(listed)} images")
    apart = {"pixels", "heatmap", "missing"}
    hints = {name: kind for name, kind in get_type_hints(ImagePart).items() if name not in apart}
    hints |= {"width": int, "height": int}
    entries = []
    for index, image in enumerate(listed):
        name = f"images[{index}]"
        entry = {key: _typed(kind, _entry(image, key, name), f"{name}.{key}") for key, kind in hints.items()}
        size = entry.pop("height"), entry.pop("width")
        if min(size) < 1 or math.prod(size) > MAXIMUM_PIXELS:
            raise _DamagedError(f"{name} has {size[1]} x {size[0]} pixels")
        entries.append(entry | {"size": size})
    return entries


def _image_part(entry: Mapping[str, Any], heatmap: NDArray[np.float32], found: LoadedImage | None) -> ImagePart:
    values = {key: value for key, value in entry.items() if key != "size"}
    pixels = np.broadcast_to(GRAY, (*entry["size"], 3)) if found is None else found.pixels
    return ImagePart(**values, pixels=pixels, heatmap=heatmap, missing=found is None)


def _given(
    entries: Sequence[Mapping[str, Any]], images: ImageSource | Sequence[ImageSource]
) -> tuple[LoadedImage, ...]:
    given = load_given(images)
    if len(given) != len(entries):
        raise InputError(f"the explanation is of {len(entries)} images; got {len(given)}")
    for index, (entry, image) in enumerate(zip(entries, given, strict=True), start=1):
        if not _is_same(entry, image):
            raise InputError(
                f"image {index} is not the one that was explained: its size, frame or SHA-256 is another "
                f"(recorded: {entry['size'][1]} x {entry['size'][0]} pixels, SHA-256 {entry['sha256'][:12]!a}...)"
            )
    return given


def _find(entries: Sequence[Mapping[str, Any]], folder: Path) -> list[LoadedImage | None]:
    """Each image as its record names it, or beside the explanation, or a folder up; None where it is not there."""

    @cache
    def read(place: Path, animated: bool) -> tuple[LoadedImage, ...]:
        try:
            return load_frames(place, len(entries)) if animated else (load_image(place),)
        except WherelookError:
            return ()

    found: list[LoadedImage | None] = []
    for entry in entries:
        path, animated = Path(entry["path"] or ""), entry["frame"] is not None
        known = (
            image for place in (path, folder / path.name, folder.parent / path.name) for image in read(place, animated)
        )
        found.append(next((image for image in known if _is_same(entry, image)), None))
    return found


def _is_same(entry: Mapping[str, Any], image: LoadedImage) -> bool:
    if image.size != entry["size"] or image.frame != entry["frame"]:
        return False
    recorded: str = entry["sha256"]
    return recorded == image.sha256 or recorded == hashlib.sha256(image.pixels.tobytes()).hexdigest()
