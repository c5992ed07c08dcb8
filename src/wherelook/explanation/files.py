"""The files of an explanation: all of one explanation, or none of it."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wherelook.errors import InputError
from wherelook.explanation import picture
from wherelook.storage import list_folder, make_folder, read_bytes, unfinished_path, write_together

if TYPE_CHECKING:
    from wherelook.explanation.record import Explanation

RECORD_FILE = "explanation.json"
"""It is written last, and removed first: where it is, all files of its explanation are."""

COMPRESSION = 1
"""Of PNG files, from 0 to 9: a photograph of 12 million pixels is then written in a fraction of the time."""

_NAMES = re.compile(
    r"explanation\.json|report\.html|token_masks\.npy|mask(-[1-9]\d*)?\.npy|(heatmap|overlay)(-[1-9]\d*)?\.png"
)


def check_folder(folder: Path) -> None:
    """Finds what would keep an explanation out of a folder, before the work.

    Raises:
        InputError: it cannot be made; or it holds no explanation, but something else under a name of an explanation's
            files.
        WherelookError: it cannot be read.
    """
    make_folder(folder)
    record = folder / RECORD_FILE
    there = [name for name in list_folder(folder) if _NAMES.fullmatch(name)]
    for name in there:
        if (folder / name).is_dir():
            raise InputError(f"{folder / name} is a folder where a file is to be written; name another folder")
    if RECORD_FILE in there:
        if not _is_record(read_bytes(record) or b""):
            raise InputError(f"{record} is no explanation of wherelook: name another folder, or move it away")
    elif there and not unfinished_path(record).exists():  # the mark of a process that was killed while it wrote
        raise InputError(
            f"{folder / there[0]} is there and belongs to no explanation: name another folder, or move it away"
        )


def save(explanation: Explanation, folder: Path) -> None:
    """Writes all files of an explanation, in place of an earlier one's.

    Raises:
        InputError: see `check_folder`.
        WherelookError: the disk refuses; an earlier explanation is as it was.
    """
    check_folder(folder)
    write_together(folder, _files(explanation), last=RECORD_FILE, ours=lambda name: _NAMES.fullmatch(name) is not None)


def _files(explanation: Explanation) -> Iterator[tuple[str, bytes]]:
    text = json.dumps(explanation.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    # A file name that is not UTF-8 holds lone surrogates: escaped as JSON does.
    yield RECORD_FILE, (text + "\n").encode("utf-8", "backslashreplace")
    yield "mask.npy", _array(explanation.heatmap.astype(np.float32))
    if explanation.token_maps:
        stack = np.stack([token_map.heatmap for token_map in explanation.token_maps])
        yield "token_masks.npy", _array(stack.astype(np.float32))
    yield "heatmap.png", _png(explanation.heatmap_image())
    yield "overlay.png", _png(explanation.overlay())
    for index, image in enumerate(explanation.images, start=1):
        size = (image.pixels.shape[0], image.pixels.shape[1])
        yield f"mask-{index}.npy", _array(image.heatmap)
        colors = picture.heatmap(image.heatmap, size, meaningful=explanation.meaningful)
        yield f"heatmap-{index}.png", _png(colors)
        shown = picture.overlay(image.pixels, image.heatmap, meaningful=explanation.meaningful)
        yield f"overlay-{index}.png", _png(shown)
    yield "report.html", explanation.to_html().encode("utf-8")


def _array(values: NDArray[np.floating]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=COMPRESSION)
    return buffer.getvalue()


def _is_record(data: bytes) -> bool:
    try:
        record = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(record, dict) and record.keys() >= {"schema_version", "status", "answer"}
