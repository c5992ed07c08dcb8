"""From a published Cambrian checkpoint to a folder that `wherelook` and Transformers load.

    python -m wherelook.models.ports.cambrian.convert CHECKPOINT OUT

CHECKPOINT is a downloaded folder (`hf download nyu-visionx/cambrian-8b --local-dir CHECKPOINT`). The encoders are not
in it: they come from their own repositories, or from folders given with --siglip, --clip, --dinov2 and --convnext.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from torch import Tensor
from transformers import (
    AutoTokenizer,
    CLIPVisionModel,
    Dinov2Model,
    GenerationConfig,
    SiglipVisionModel,
)
from transformers.core_model_loading import revert_weight_conversion

from wherelook.errors import InputError, WherelookError
from wherelook.models.huggingface.loading import explain_failure
from wherelook.models.ports.cambrian.configuration import TOWERS, CambrianConfig
from wherelook.models.ports.cambrian.modeling import CambrianForConditionalGeneration
from wherelook.models.ports.cambrian.processing import CambrianImageProcessor, CambrianProcessor
from wherelook.models.ports.checkpoint import (
    CONVNEXT,
    expected_weights,
    new_folder,
    read_config,
    read_weights,
    rename,
    rename_weights,
    run_command,
    text_settings,
    weight_files,
    write_weights,
)
from wherelook.models.ports.conversations import PLAIN, chat_template

KEYS = {
    "model.vision_query": "model.image_query",
    "model.image_newline": "model.image_newline",
    "model.mm_projector_aux_{}.0": "model.vision_projectors.{}.feed_forward.linear_1",
    "model.mm_projector_aux_{}.2": "model.vision_projectors.{}.feed_forward.linear_2",
    "model.mm_projector_aux_{}.3": "model.vision_projectors.{}.norm",
    "model.mm_projector.0": "model.projector.linear_1",
    "model.mm_projector.2": "model.projector.linear_2",
    "model.vision_sampler_0": "model.connector",
    "model.vision_sampler_layers.{}": "model.language_aggregators.{}",
    "model.embed_tokens": "model.language_model.embed_tokens",
    "model.layers.{}": "model.language_model.layers.{}",
    "model.norm": "model.language_model.norm",
    "lm_head": "lm_head",
}
"""Published names and ours. A name stands for everything below it; {} is a number."""

AGGREGATOR_KEYS = {
    "proj_context": "context_projection",
    "proj_in": "query_projection",
    "pos_embed_{}": "position_embeddings.{}",
    "cross_attn.q_proj": "attention.query",
    "cross_attn.k_proj_{}": "attention.keys.{}",
    "cross_attn.v_proj_{}": "attention.values.{}",
    "cross_attn.o_proj": "attention.output",
    "norm": "norm",
    "proj_out": "output",
}
"""The same below `layers.{}` of an aggregator."""

SOURCES = {
    "siglip": "google/siglip-so400m-patch14-384",
    "clip": "openai/clip-vit-large-patch14-336",
    "dinov2": "facebook/dinov2-giant",
    "convnext": "laion/CLIP-convnext_xxlarge-laion2B-s34B-b82K-augreg-soup",
}
"""Where the encoders' weights are on the hub."""

LANGUAGE_MODELS = {"phi3": "phi3", "llama": "llama"}
"""What a published `model_type` ends with, and the language model's own; "llava_llama" is Cambrian's too."""

IMAGE = "<image>"

REQUIRED = (
    "model_type",
    "mm_projector_type",
    "mm_vision_tower_aux_token_len_list",
    "image_token_len",
    "query_num_list",
    "vision_hidden_size",
    "connector_depth",
    "connector_only",
)
"""What a published config.json says about everything but the language model."""


def convert(checkpoint: Path, out: Path, towers: Mapping[str, str]) -> None:
    """Writes configuration, weights and processor to `out`.

    Args:
        checkpoint: folder of the published checkpoint.
        out: folder to write; it must not exist.
        towers: hub id or folder of each encoder; see `SOURCES`.

    Raises:
        InputError: a file that is missing, damaged or of another model, or weights that do not fit.
    """
    if out.exists():
        raise InputError(f"{str(out)!r} exists already: name a folder to make")
    published = read_config(checkpoint)
    source, part = str(checkpoint), "tokenizer"
    parts = {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        part = "weights"
        for tower in TOWERS:
            source = towers[tower]
            parts[tower] = load_tower(tower, source)
    except WherelookError:
        raise
    except Exception as error:  # libraries raise every type on damaged and missing files
        raise explain_failure(source, part, error) from error
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE]})
    image_token_id: Any = tokenizer.convert_tokens_to_ids(IMAGE)
    config = make_config(
        published,
        image_token_id=image_token_id,
        vision_configs={tower: config for tower, (config, _) in parts.items()},
    )
    with torch.device("meta"):
        model = CambrianForConditionalGeneration(config)
    expected = expected_weights(model)

    def weights() -> Iterator[dict[str, Tensor]]:
        for file in weight_files(checkpoint):
            yield rename_weights(read_weights(file), own_name, expected, "Cambrian")
        for tower, (_, tensors) in parts.items():
            own = {f"model.{tower}_tower.{name}": value for name, value in tensors.items()}
            yield rename_weights(revert_weight_conversion(model, own), lambda name: name, expected, "Cambrian")

    dtype = getattr(torch, str(published.get("torch_dtype") or "bfloat16"))
    config.dtype = dtype
    config.architectures = [type(model).__name__]
    stops = stop_tokens(checkpoint) | {tokenizer.eos_token_id}
    settings: Any = {"image_grid": config.image_grid}
    processor = CambrianProcessor(
        CambrianImageProcessor(**settings),
        tokenizer,
        chat_template=tokenizer.chat_template or chat_template(PLAIN),
        image_token=IMAGE,
    )
    with new_folder(out) as made:
        write_weights(weights(), expected, dtype, made)
        config.save_pretrained(made)
        processor.save_pretrained(made)
        GenerationConfig(eos_token_id=sorted(stops), pad_token_id=tokenizer.pad_token_id).save_pretrained(made)


def make_config(
    published: Mapping[str, Any], *, image_token_id: int, vision_configs: Mapping[str, Any] | None = None
) -> CambrianConfig:
    """Our configuration from a published config.json.

    Args:
        published: its content.
        image_token_id: what stands for an image token in `input_ids`.
        vision_configs: the encoders' configurations by name; those of the published models where none is given.

    Raises:
        InputError: the file is not that of a Cambrian with an aggregator, or of one with several groups of queries.
    """
    missing = [name for name in REQUIRED if name not in published]
    if missing:
        raise InputError(f"config.json has no {', '.join(missing)}; expected that of a published Cambrian checkpoint")
    if published["mm_projector_type"] != "sva":
        raise InputError(
            f"config.json has mm_projector_type {published['mm_projector_type']!r}; expected 'sva', Cambrian's"
        )
    groups = published["query_num_list"]
    if groups != [published["image_token_len"]]:
        raise InputError(
            f"config.json has query_num_list {groups}; expected one group of as many queries as image_token_len"
        )
    family = next((own for end, own in LANGUAGE_MODELS.items() if published["model_type"].endswith(end)), "")
    if not family:
        raise InputError(
            f"config.json has model_type {published['model_type']!r}; expected one that ends with "
            f"{' or '.join(LANGUAGE_MODELS)}"
        )
    lengths = published["mm_vision_tower_aux_token_len_list"]
    return CambrianConfig(
        **{f"{tower}_config": config for tower, config in (vision_configs or {}).items()},
        text_config=text_settings(published, family),
        image_token_id=image_token_id,
        vision_grids=[math.isqrt(length) for length in lengths],
        image_grid=math.isqrt(published["image_token_len"]),
        vision_hidden_size=published["vision_hidden_size"],
        connector_layers=published["connector_depth"],
        language_aggregators=0 if published["connector_only"] else published.get("num_of_vision_sampler_layers", 0),
        language_start=published.get("start_of_vision_sampler_layers", 0),
        language_stride=published.get("stride_of_vision_sampler_layers", 1),
    )


def own_name(published: str) -> str | None:
    """The name here of a tensor of a published checkpoint; None where it has none."""
    name = rename(published, KEYS)
    inside = re.fullmatch(r"(model\.(?:connector|language_aggregators\.\d+)\.layers\.\d+\.)(.+)", name or "")
    if inside is None:
        return name
    part = rename(inside[2], AGGREGATOR_KEYS)
    return part and inside[1] + part


def load_tower(tower: str, source: str) -> tuple[Any, dict[str, Tensor]]:
    """Configuration (None is the published one) and weights of an encoder, under Transformers' names.

    Args:
        tower: one of `TOWERS`.
        source: hub id or folder: of Transformers, or of OpenCLIP for "convnext".
    """
    if tower != "convnext":
        classes: dict[str, Any] = {"siglip": SiglipVisionModel, "clip": CLIPVisionModel, "dinov2": Dinov2Model}
        options = {"vision_use_head": False} if tower == "siglip" else {}
        if Path(source).is_dir():
            weight_files(Path(source))  # refuses an index that names other files than its folder's weights
        model = classes[tower].from_pretrained(source, dtype="auto", **options)
        return model.config, model.state_dict()
    folder = Path(source)
    if not folder.is_dir():
        folder = Path(snapshot_download(source, allow_patterns=["open_clip_model.safetensors"]))
    weights = {}
    for file in weight_files(folder):
        for name, value in read_weights(file).items():
            found = re.fullmatch(r"visual\.trunk\.(?!head\.)(.+)", name)  # the head belongs to the pooled output
            if found:
                weights[rename(found[1], CONVNEXT) or name] = value
    return None, weights


def stop_tokens(checkpoint: Path) -> set[int]:
    """Ids that end an answer, as far as a checkpoint's generation_config.json names them."""
    try:
        ends = GenerationConfig.from_pretrained(checkpoint).eos_token_id
    except OSError:  # there is no such file
        return set()
    return set(ends) if isinstance(ends, list) else {ends} - {None}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m wherelook.models.ports.cambrian.convert")
    parser.add_argument("checkpoint", type=Path, help="folder of the published checkpoint")
    parser.add_argument("out", type=Path, help="folder to write")
    for tower, source in SOURCES.items():
        parser.add_argument(f"--{tower}", default=source, metavar="ID_OR_DIR", help=f"default: {source}")
    given = parser.parse_args()
    towers = {tower: getattr(given, tower) for tower in TOWERS}
    run_command(lambda: convert(given.checkpoint, given.out, towers), given.out)


if __name__ == "__main__":
    main()
