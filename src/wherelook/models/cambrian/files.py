"""Reads the files of a published checkpoint, of which nothing is trusted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from wherelook.types import InputError


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


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder's weight files: safetensors, or else pickled ones, of which only tensors are read.

    Raises:
        InputError: no weight files, or a damaged one.
    """
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    if not files:
        raise InputError(f"{folder} has no weights; expected *.safetensors or *.bin files")
    weights: dict[str, Tensor] = {}
    for file in files:
        weights |= dict(_read_tensors(file))
    return weights


def _read_tensors(file: Path) -> Iterator[tuple[str, Tensor]]:
    try:
        if file.suffix == ".safetensors":
            content = load_file(file)
        else:
            content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except (SafetensorError, UnpicklingError, OSError, RuntimeError, ValueError, EOFError) as error:
        raise InputError(f"{file} is damaged, or no file of weights: {' '.join(str(error).split())[:200]}") from None
    for name, value in content.items():
        if not isinstance(value, Tensor):
            raise InputError(f"{file} holds something else than tensors at {name!r}")
        yield name, value
