"""From a published checkpoint, of which nothing is trusted, to a folder that loads like any other model's.

Names of tensors are converted by tables: a name of one stands for everything below it, {} is a number.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CONFIG_MAPPING, PreTrainedConfig, PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion

from wherelook.errors import INTERRUPTED, InputError, WherelookError
from wherelook.models.huggingface.weight_index import PICKLED_INDEX, SAFE_INDEX, check_files, read_index, read_json

CONVNEXT = {
    "stem.0": "embeddings.patch_embeddings",
    "stem.1": "embeddings.layernorm",
    "stages.{}.downsample": "encoder.stages.{}.downsampling_layer",
    "stages.{}.blocks.{}.gamma": "encoder.stages.{}.layers.{}.layer_scale_parameter",
    "stages.{}.blocks.{}.conv_dw": "encoder.stages.{}.layers.{}.dwconv",
    "stages.{}.blocks.{}.norm": "encoder.stages.{}.layers.{}.layernorm",
    "stages.{}.blocks.{}.mlp.fc1": "encoder.stages.{}.layers.{}.pwconv1",
    "stages.{}.blocks.{}.mlp.fc2": "encoder.stages.{}.layers.{}.pwconv2",
}
"""OpenCLIP's names of a ConvNeXt below `visual.trunk.`, and Transformers'."""

COMPUTED = re.compile(r".*(rotary_emb\.inv_freq|embeddings\.position_ids)")
"""Tensors of older checkpoints that follow from the configuration."""

HEAD = "lm_head.weight"

TEXT_SETTINGS = {"bos_token_id", "eos_token_id", "pad_token_id", "tie_word_embeddings", "rope_theta", "rope_scaling"}
"""What a language model's configuration takes beside its own fields."""


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


def text_settings(published: Mapping[str, Any], model_type: str) -> dict[str, Any]:
    """What a published config.json says about its language model, as a configuration of that type takes it."""
    own, every = (fields(kind) for kind in (CONFIG_MAPPING[model_type], PreTrainedConfig))
    known = {field.name for field in own} - {field.name for field in every} | TEXT_SETTINGS
    return {name: value for name, value in published.items() if name in known} | {"model_type": model_type}


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


def rename(name: str, table: Mapping[str, str]) -> str | None:
    """The name with its beginning replaced; None where no entry of the table is its beginning."""
    for old, new in table.items():
        pattern = re.escape(old).replace(r"\{\}", r"(\d+)")
        found = re.fullmatch(rf"{pattern}(\..+)?", name)
        if found:
            *numbers, rest = found.groups()
            return new.format(*numbers) + (rest or "")
    return None


def expected_weights(model: PreTrainedModel) -> dict[str, torch.Size]:
    """Name and shape of every tensor that a folder of this model holds; the model may be on the meta device."""
    weights = revert_weight_conversion(model, dict(model.state_dict()))
    if model.config.tie_word_embeddings:
        del weights[HEAD]
    return {name: weight.shape for name, weight in weights.items()}


def rename_weights(
    weights: Mapping[str, Tensor],
    own_name: Callable[[str], str | None],
    expected: Mapping[str, torch.Size],
    family: str,
) -> dict[str, Tensor]:
    """The tensors of one weight file under their names here.

    Args:
        weights: published names and tensors.
        own_name: the name here of a published one; None where it has none.
        expected: what the model has, as `expected_weights` says.
        family: of the model, for messages.

    Raises:
        InputError: a tensor that the model does not have, or that has another shape.
    """
    renamed = {}
    for name, weight in weights.items():
        own = own_name(name)
        tied = own == HEAD and own not in expected
        if tied or COMPUTED.fullmatch(name):
            continue
        if own is None or own not in expected:
            raise InputError(f"the checkpoint has a tensor {name!r}, which is not part of a {family} of its config")
        if weight.shape != expected[own]:
            raise InputError(
                f"the checkpoint's tensor {name!r} has shape {tuple(weight.shape)}; "
                f"its config.json says {tuple(expected[own])}"
            )
        renamed[own] = weight
    return renamed


def write_weights(
    parts: Iterable[Mapping[str, Tensor]], expected: Mapping[str, torch.Size], dtype: torch.dtype, out: Path
) -> None:
    """Writes tensors as safetensors with an index, a part at a time; one that was in a part before is left out.

    Args:
        parts: tensors under their names here.
        expected: what the model has, as `expected_weights` says.
        dtype: in which they are written.
        out: an existing folder.

    Raises:
        InputError: some are missing.
    """
    places: dict[str, str] = {}
    total = 0
    for part in parts:
        shard = {name: weight.to(dtype).contiguous() for name, weight in part.items() if name not in places}
        if shard:
            file = f"model-{len(set(places.values())) + 1:05d}.safetensors"
            save_file(shard, out / file, {"format": "pt"})
            places.update(dict.fromkeys(shard, file))
            total += sum(weight.nbytes for weight in shard.values())
    missing = sorted(expected.keys() - places.keys())
    if missing:
        raise MissingWeightsError(missing)
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
    (out / SAFE_INDEX).write_text(json.dumps(index, indent=2), encoding="utf-8")


class MissingWeightsError(InputError):
    """Tensors that a checkpoint should have and has not, by their names here."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(f"the checkpoint lacks {len(names)} tensors, such as {names[0]}: download it again")
        self.names = names


def run_command(convert: Callable[[], None], out: Path) -> None:
    """A conversion as a command: what is wrong is one line, and the exit code says which kind."""
    try:
        convert()
    except WherelookError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    print(f"written to {out}; try: wherelook check {out}")
