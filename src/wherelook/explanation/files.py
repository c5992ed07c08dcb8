"""The files of an explanation: all of one explanation, or none of it."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wherelook.explanation import picture
from wherelook.file_set import FileSet
from wherelook.storage import make_folder

if TYPE_CHECKING:
    from wherelook.explanation.record import Explanation

RECORD_FILE = "explanation.json"
"""It is written last, and lists the other files: where it is, all of its explanation are."""

COMPRESSION = 1
"""Of PNG files, from 0 to 9: a photograph of 12 million pixels is then written in a fraction of the time."""

_NAMES = re.compile(r"report\.html|token_masks\.npy|mask(-[1-9]\d*)?\.npy|(heatmap|overlay)(-[1-9]\d*)?\.png")


def check_folder(folder: Path) -> None:
    """Finds what would keep an explanation out of a folder, before the work. Makes the folder where it is missing.

    Raises:
        InputError: it cannot be made; or it holds something under a name of an explanation's files that no explanation
            wrote, or that was changed since.
        WherelookError: it cannot be read.
    """
    make_folder(folder)
    FILE_SET.check(folder)


def save(explanation: Explanation, folder: Path) -> None:
    """Writes all files of an explanation, in place of an earlier one's.

    Raises:
        InputError: see `check_folder`.
        WherelookError: the disk refuses; see `FileSet.write` for an earlier explanation.
    """
    make_folder(folder)
    FILE_SET.write(folder, _files(explanation), explanation.to_dict())


def _is_record(record: Mapping[str, Any]) -> bool:
    return record.keys() >= {"schema_version", "status", "answer"}


FILE_SET = FileSet(
    record=RECORD_FILE,
    is_record=_is_record,
    is_name=lambda name: _NAMES.fullmatch(name) is not None,
    writer="an explanation",
)


def _files(explanation: Explanation) -> Iterator[tuple[str, bytes]]:
    yield "mask.npy", _array(explanation.heatmap.astype(np.float32))
    if explanation.token_maps:
        stack = np.stack([token_map.heatmap for token_map in explanation.token_maps])
        yield "token_masks.npy", _array(stack.astype(np.float32))
    yield "heatmap.png", _png(explanation.heatmap_image())
    yield "overlay.png", _png(explanation.overlay())
    several = explanation.images if len(explanation.images) > 1 else ()
    for index, image in enumerate(several, start=1):
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
