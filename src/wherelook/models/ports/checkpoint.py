"""Reads the files of a published checkpoint, of which nothing is trusted."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from wherelook.errors import InputError, WherelookError
from wherelook.models.huggingface.weight_index import PICKLED_INDEX, SAFE_INDEX, check_files, read_index, read_json


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to write a converted checkpoint to: it gets its name when the block ends; else nothing is left of it.

    Raises:
        InputError: there is something of this name.
        WherelookError: the disk refuses.
    """
    if out.exists():
        raise InputError(f"{str(out)!r} exists already: name a folder to make")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent) as folder:
            made = Path(folder) / "model"
            made.mkdir()
            yield made
            made.rename(out)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
        raise WherelookError(f"cannot write {out}: {reason}; mend the cause, and convert again") from error


def read_config(folder: Path) -> dict[str, Any]:
    """The content of a checkpoint's config.json.

    Raises:
        InputError: there is none, it is not a JSON object, or it names no model_type.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(f"cannot read {path}: expected the folder of a checkpoint, and there is no such file")
    content = read_json(path)
    if not isinstance(content.get("model_type"), str):
        raise InputError(f"{str(path)!r} names no model_type")
    return content


def weight_files(folder: Path) -> list[Path]:
    """The weight files of a folder: safetensors, or else PyTorch's. Where there is an index they are those it names.

    Raises:
        InputError: there are none, some are missing, or the index names others than weight files of the folder.
    """
    for ending, index in ((".safetensors", SAFE_INDEX), (".bin", PICKLED_INDEX)):
        # Not training_args.bin, mm_projector.bin.
        found = sorted(file for file in folder.glob(f"*model*{ending}") if file.is_file())
        if (folder / index).is_file():
            found = [folder / name for name in read_index(folder / index, (ending,))]
        if found:
            check_files(found)
            return found
    raise InputError(f"{str(folder)!r} has no weights: expected *model*.safetensors or *model*.bin")


def read_weights(file: Path) -> dict[str, Tensor]:
    """The named tensors of one weight file; of a pickled one nothing but tensors is read.

    Raises:
        InputError: the file is damaged, or holds something else.
    """
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except (SafetensorError, UnpicklingError, OSError, RuntimeError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{str(file)!r} is damaged, or cannot be read as tensors alone: {reason}") from None
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise InputError(f"{str(file)!r} holds something else than named tensors")
    return content
