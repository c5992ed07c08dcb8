"""Reads the weights of a published Mini-Gemini checkpoint, and writes them under the names they have here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers.core_model_loading import revert_weight_conversion

from wherelook.errors import InputError
from wherelook.models.ports.checkpoint import read_weights, weight_files
from wherelook.models.ports.minigemini.configuration import MiniGeminiConfig
from wherelook.models.ports.minigemini.keys import COMPUTED, native_name, published_name
from wherelook.models.ports.minigemini.modeling import MiniGeminiForConditionalGeneration

TOWER_PREFIXES = {"vision_tower": "model.vision_tower.", "high_resolution_tower": "model.high_resolution_tower."}


def expected_weights(config: MiniGeminiConfig) -> dict[str, torch.Size]:
    """Name and shape of every tensor that a model folder of this configuration holds."""
    with torch.device("meta"):
        model = MiniGeminiForConditionalGeneration(config)
    weights = revert_weight_conversion(model, dict(model.state_dict()))
    if config.tie_word_embeddings:
        del weights["lm_head.weight"]
    return {name: weight.shape for name, weight in weights.items()}


def rename_weights(weights: Mapping[str, Tensor], expected: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """The tensors of one published weight file under their names here.

    Args:
        weights: published names and tensors.
        expected: what the model has, as `expected_weights` says.

    Raises:
        InputError: a tensor that the model does not have, or that has another shape.
    """
    renamed = {}
    for name, weight in weights.items():
        native = native_name(name)
        tied = native == "lm_head.weight" and native not in expected
        if tied or COMPUTED.fullmatch(name):
            continue
        if native is None or native not in expected:
            raise InputError(f"the checkpoint has a tensor {name!r}, which is not part of a Mini-Gemini of its config")
        if weight.shape != expected[native]:
            raise InputError(
                f"the checkpoint's tensor {name!r} has shape {tuple(weight.shape)}; "
                f"its config.json says {tuple(expected[native])}"
            )
        renamed[native] = weight
    return renamed


def write_weights(checkpoint: Path, towers: Mapping[str, Path | None], config: MiniGeminiConfig, out: Path) -> None:
    """Writes the checkpoint's weights as safetensors with an index, a file at a time, in the dtype of `config`.

    Args:
        checkpoint: folder of the published weights.
        towers: folders of "vision_tower" and "high_resolution_tower", for what the checkpoint lacks of them.
        config: of the model.
        out: an existing folder.

    Raises:
        InputError: weights that are missing, unknown, damaged or of another shape.
    """
    expected = expected_weights(config)
    places: dict[str, str] = {}
    total = 0

    def write(weights: Mapping[str, Tensor]) -> None:
        nonlocal total
        file = f"model-{len(set(places.values())) + 1:05d}.safetensors"
        shard = {name: weight.to(config.dtype).contiguous() for name, weight in weights.items() if name not in places}
        if shard:
            save_file(shard, out / file, {"format": "pt"})
            places.update(dict.fromkeys(shard, file))
            total += sum(weight.nbytes for weight in shard.values())

    for path in weight_files(checkpoint):
        write(rename_weights(read_weights(path), expected))
    for tower, folder in towers.items():
        complete = all(name in places for name in expected if name.startswith(TOWER_PREFIXES[tower]))
        for path in [] if complete or folder is None else weight_files(folder):
            weights = {published_name(name, tower): weight for name, weight in read_weights(path).items()}
            write(rename_weights({name: weight for name, weight in weights.items() if name}, expected))
    _check_complete(expected, places)
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
    (out / "model.safetensors.index.json").write_text(json.dumps(index, indent=2), encoding="utf-8")


def _check_complete(expected: Mapping[str, torch.Size], found: Mapping[str, str]) -> None:
    missing = sorted(expected.keys() - found.keys())
    for tower, prefix in TOWER_PREFIXES.items():
        if any(name.startswith(prefix) for name in missing):
            option = "--" + tower.replace("_", "-")
            raise InputError(f"the checkpoint does not hold the weights of its {tower}: give its folder with {option}")
    if missing:
        raise InputError(f"the checkpoint lacks {len(missing)} tensors, such as {missing[0]}: download it again")
