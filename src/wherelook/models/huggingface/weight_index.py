"""The index of a sharded checkpoint, which names files: every name is checked before one of them is opened.

Transformers joins each name to the folder as it stands and reads what does not end in ".safetensors" as a pickle.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from wherelook.errors import InputError

SAFE_WEIGHTS = "model.safetensors"
SAFE_INDEX = "model.safetensors.index.json"
PICKLED_INDEX = "pytorch_model.bin.index.json"

INDEX_LIMIT = 200_000_000
"""Bytes of an index: those of the largest published models have some ten million."""

POINTER = b"version https://git-lfs.github.com/spec/"
"""How a file begins that Git LFS has not fetched."""


def read_index(index: Path, kinds: Sequence[str] = (".safetensors",)) -> list[str]:
    """The names of the weight files in an index, sorted; nothing but the index is opened.

    Args:
        index: the file.
        kinds: endings that a weight file may have.

    Raises:
        InputError: no index that Transformers writes, or a name that is no file of these kinds inside the folder.
    """
    content = read_json(index, INDEX_LIMIT)
    weights = content.get("weight_map")
    if not isinstance(weights, dict) or not weights or not all(isinstance(name, str) for name in weights.values()):
        raise InputError(f"{str(index)!r} has no weight_map from tensors to files; download it again")
    if not isinstance(content.get("metadata"), dict):
        raise InputError(f"{str(index)!r} has no metadata; expected an index as save_pretrained writes it")
    names = sorted(set(weights.values()))
    for name in names:
        check_name(name, index, kinds)
    return names


def check_name(name: str, where: Path, kinds: Sequence[str] = (".safetensors",)) -> None:
    """Refuses the name of a weight file that leaves its folder, or is not of a kind that is read.

    Args:
        name: as it is written in `where`.
        where: the index or configuration, for the message.
        kinds: endings that the name may have.

    Raises:
        InputError: an absolute name, one with "..", or another ending.
    """
    shown = repr(name) if len(name) <= 100 else repr(name[:100]) + "..."
    windows = PureWindowsPath(name)
    outside = (
        PurePosixPath(name).is_absolute() or windows.drive or windows.root or ".." in windows.parts or "\0" in name
    )
    if outside:
        raise InputError(f"{str(where)!r} names {shown}, which is not inside its folder: do not trust this checkpoint")
    if not name.endswith(tuple(kinds)):
        raise InputError(
            f"{str(where)!r} names {shown} as weights; only files that end in {' or '.join(kinds)} are read: "
            "convert the checkpoint with save_pretrained"
        )


def check_files(files: Sequence[Path]) -> None:
    """Refuses an incomplete download before the first of its files is read.

    Raises:
        InputError: files that are missing, or that Git LFS has not fetched.
    """
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(files)} weight files are missing, such as {str(missing[0])!r}: the download is "
            "incomplete"
        )
    for file in files:
        with file.open("rb") as stream:
            if stream.read(len(POINTER)) == POINTER:
                raise InputError(f"{str(file)!r} is a pointer of Git LFS, not the weights: run `git lfs pull`")


def check_weights(folder: Path, *, named: Any = None) -> None:
    """Refuses a model folder whose weights are not safetensors inside it, or not all there.

    Args:
        folder: of the model.
        named: the file of weights that config.json names (`transformers_weights`), where it does.

    Raises:
        InputError: see above.
    """
    if named is not None:
        if not isinstance(named, str):
            raise InputError(f"{str(folder / 'config.json')!r} names no file as transformers_weights: {named!r:.100}")
        check_name(named, folder / "config.json", (".safetensors", ".safetensors.index.json"))
        chosen = folder / named
    else:
        chosen = next(
            (folder / name for name in (SAFE_WEIGHTS, SAFE_INDEX) if (folder / name).is_file()), folder / SAFE_WEIGHTS
        )
    if chosen.name.endswith(".index.json"):
        check_files([folder / name for name in read_index(chosen)])
    elif chosen.is_file():
        check_files([chosen])


def read_json(path: Path, limit: int = 20_000_000) -> dict[str, Any]:
    """The object in a JSON file of bounded size.

    Raises:
        InputError: no file, too large, damaged, or no object.
    """
    try:
        if path.stat().st_size > limit:
            raise InputError(f"{str(path)!r} has more than {limit // 10**6} MB: no such file is so large")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{str(path)!r} cannot be read as JSON: {_first_line(error)}") from None
    if not isinstance(content, dict):
        raise InputError(f"{str(path)!r} holds a {type(content).__name__}; expected an object")
    return content


def _first_line(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error))[:150] or type(error).__name__
