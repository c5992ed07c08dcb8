"""Reads the files of a published checkpoint, of which nothing is trusted."""

from __future__ import annotations

import json
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from wherelook.errors import InputError


def read_config(folder: Path) -> dict[str, Any]:
    """The content of a checkpoint's config.json.

    Raises:
        InputError: there is none, or it is not a JSON object.
    """
    try:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot read {folder / 'config.json'}: expected the folder of a checkpoint ({error})"
        ) from None
    if not isinstance(content, dict) or not isinstance(content.get("model_type"), str):
        raise InputError(f"{folder / 'config.json'} names no model_type")
    return content


def weight_files(folder: Path) -> list[Path]:
    """The weight files of a folder: safetensors, or else PyTorch's.

    Raises:
        InputError: there are none.
    """
    for pattern in ("*model*.safetensors", "*model*.bin"):  # not training_args.bin, mm_projector.bin
        found = sorted(folder.glob(pattern))
        if found:
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
