"""Converts a published Mini-Gemini checkpoint into a folder that loads like any other model.

    python -m wherelook.models.ports.minigemini.convert CHECKPOINT OUT

One weight file at a time is in memory. Pickled weights are read as tensors only (`weights_only`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AddedToken, AutoTokenizer, GenerationConfig, PreTrainedConfig

from wherelook.errors import InputError
from wherelook.models.ports.checkpoint import (
    CONVNEXT,
    MissingWeightsError,
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
from wherelook.models.ports.conversations import CONVERSATIONS, chat_template, conversation_for
from wherelook.models.ports.minigemini.configuration import CONVNEXT_LARGE, MiniGeminiConfig
from wherelook.models.ports.minigemini.modeling import MiniGeminiForConditionalGeneration
from wherelook.models.ports.minigemini.processing import MiniGeminiImageProcessor, MiniGeminiProcessor
from wherelook.models.ports.multimodal import CLIP_LARGE

LOW, HIGH = "model.vision_tower", "model.high_resolution_tower"

KEYS = {
    # projector: Linear, GELU, Linear
    "model.mm_projector.0": "model.multi_modal_projector.linear_1",
    "model.mm_projector.2": "model.multi_modal_projector.linear_2",
    # patch info mining: LayerNorm, Linear
    "model.vlm_uni_query_projector": "model.mining.query",
    "model.vlm_uni_aux_projector": "model.mining.key",
    "model.vlm_uni_val_projector": "model.mining.value",
    # low-resolution tower: CLIP; high-resolution tower: ConvNeXt in the names of OpenCLIP (timm)
    "model.vision_tower.vision_tower.vision_model": LOW,
    "model.vision_tower.vision_tower": LOW,
    **{f"model.vision_tower_aux.vision_{old}": f"{HIGH}.{new}" for old, new in CONVNEXT.items()},
    # language model; Transformers itself puts Mixtral's experts together when it loads them
    "model.embed_tokens": "model.language_model.embed_tokens",
    "model.layers": "model.language_model.layers",
    "model.norm": "model.language_model.norm",
    "lm_head": "lm_head",
}
"""Published names and ours, see `wherelook.models.ports.checkpoint`; the first that fits."""

TOWER_KEYS = {
    "vision_tower": {"vision_model": LOW},
    "high_resolution_tower": {f"visual.trunk.{old}": f"{HIGH}.{new}" for old, new in CONVNEXT.items()},
}
"""The same in a tower's own repository; what is not in them is not read."""

LANGUAGE_MODELS = ("mixtral", "mistral", "gemma", "llama")
"""What the class name in a published config.json may hold: the `model_type` of its language model."""

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}

SUPPORTED = {
    "image_aspect_ratio": "pad",
    "mm_projector_type": "mlp2x_gelu",
    "mm_vision_select_feature": "patch",
    "mm_use_im_start_end": False,
}
"""Settings of a published config.json, where it has them, with the only value that is known here."""


def convert(
    checkpoint: Path,
    out: Path,
    *,
    vision_tower: Path | None = None,
    high_resolution_tower: Path | None = None,
    conversation: str | None = None,
    vision_config: Mapping[str, Any] = CLIP_LARGE,
    high_resolution_config: Mapping[str, Any] = CONVNEXT_LARGE,
) -> None:
    """Writes the model, its processor and its generation settings to `out`.

    Args:
        checkpoint: folder with config.json, the tokenizer and the weights (safetensors, or PyTorch's .bin).
        out: folder to write; it must not exist.
        vision_tower: folder of CLIP ViT-L/14-336, for checkpoints without it.
        high_resolution_tower: folder of OpenCLIP's ConvNeXt-L d-320, for checkpoints without it.
        conversation: one of `CONVERSATIONS`; None takes that of the language model.
        vision_config: of the low-resolution tower.
        high_resolution_config: of the high-resolution tower.

    Raises:
        InputError: no such folder, not a Mini-Gemini checkpoint, or weights that are missing, unknown, damaged or of
            another shape than the configuration says.
    """
    if out.exists():
        raise InputError(f"{str(out)!r} exists already: name a folder to make")
    if conversation is not None and conversation not in CONVERSATIONS:
        raise InputError(f"unknown conversation {conversation!r}; valid: {', '.join(CONVERSATIONS)}")
    published = read_published_config(checkpoint)
    config = translate_config(published, vision_config=vision_config, high_resolution_config=high_resolution_config)
    text = config.text_config
    tokenizer = _read_tokenizer(checkpoint, text)
    tokenizer.add_tokens([AddedToken("<image>", special=True, normalized=False)], special_tokens=True)
    config.image_token_id = tokenizer.convert_tokens_to_ids("<image>")
    style = CONVERSATIONS[conversation or conversation_for(text.model_type, text.vocab_size)]
    processor = MiniGeminiProcessor(
        image_processor=_image_processor(published, config),
        tokenizer=tokenizer,
        patch_size=config.vision_config.patch_size,
        chat_template=chat_template(style),
    )
    towers = {"vision_tower": vision_tower, "high_resolution_tower": high_resolution_tower}
    with torch.device("meta"):
        expected = expected_weights(MiniGeminiForConditionalGeneration(config))
    dtype: Any = config.dtype
    with new_folder(out) as made:
        try:
            write_weights(_weights(checkpoint, towers, expected), expected, dtype, made)
        except MissingWeightsError as error:
            raise _without_tower(error) from None
        config.architectures = [MiniGeminiForConditionalGeneration.__name__]
        config.save_pretrained(made)
        processor.save_pretrained(made)
        _generation_config(config, tokenizer, style.stop).save_pretrained(made)


def read_published_config(checkpoint: Path) -> dict[str, Any]:
    """The config.json of a published checkpoint.

    Raises:
        InputError: there is none, it is damaged, or of another kind of model.
    """
    path, published = checkpoint / "config.json", read_config(checkpoint)
    needed = ("architectures", "mm_vision_tower_aux", "mm_hidden_size", "mm_hidden_size_aux", "image_size_aux")
    missing = [name for name in needed if name not in published]
    if missing:
        raise InputError(f"{str(path)!r} is not of a published Mini-Gemini: it has no {', '.join(missing)}")
    for name, value in SUPPORTED.items():
        if published.get(name, value) != value:
            raise InputError(f"{str(path)!r} says {name} is {published[name]!r}; only {value!r} is supported")
    return published


def translate_config(
    published: Mapping[str, Any],
    *,
    vision_config: Mapping[str, Any] = CLIP_LARGE,
    high_resolution_config: Mapping[str, Any] = CONVNEXT_LARGE,
) -> MiniGeminiConfig:
    """The configuration here of a published one, but for the image token, which is the tokenizer's.

    Raises:
        InputError: an unknown language model, or sizes that do not go together.
    """
    name = str(published["architectures"]).lower()
    model_type = next((language for language in LANGUAGE_MODELS if language in name), None)
    if model_type is None:
        raise InputError(f"unknown language model {published['architectures']!r}; known: {', '.join(LANGUAGE_MODELS)}")
    try:
        config = MiniGeminiConfig(
            vision_config=dict(vision_config),
            high_resolution_config=dict(high_resolution_config),
            text_config=text_settings(published, model_type),
            image_grid=published.get("image_grid", 1),
            image_global=published.get("image_global", False),
            vision_feature_layer=published.get("mm_vision_select_layer", -2),
        )
    except (ValueError, TypeError) as error:
        raise InputError(f"the config.json cannot be used: {' '.join(str(error).split())[:300]}") from error
    widths = (config.vision_config.hidden_size, sum(config.high_resolution_config.hidden_sizes))
    if (published["mm_hidden_size"], published["mm_hidden_size_aux"]) != widths:
        raise InputError(
            f"the towers have {published['mm_hidden_size']} and {published['mm_hidden_size_aux']} channels; "
            f"expected {widths[0]} and {widths[1]} (CLIP ViT-L/14-336 and OpenCLIP ConvNeXt-L in all published models)"
        )
    cell = config.high_resolution_config.patch_size * config.image_grid * _tokens_per_side(config)
    side = published["image_size_aux"]
    if not isinstance(side, int) or side <= 0 or side % cell:
        raise InputError(f"image_size_aux is {side!r}; expected a multiple of {cell}")
    config.dtype = DTYPES.get(str(published.get("torch_dtype", published.get("dtype"))), torch.bfloat16)
    return config


def _weights(
    checkpoint: Path, towers: Mapping[str, Path | None], expected: Mapping[str, torch.Size]
) -> Iterator[dict[str, Tensor]]:
    """The tensors of each weight file under our names: of the checkpoint, then of what it may lack of its towers."""
    for file in weight_files(checkpoint):
        yield rename_weights(read_weights(file), partial(rename, table=KEYS), expected, "Mini-Gemini")
    for tower, folder in towers.items():
        own_name = partial(rename, table=TOWER_KEYS[tower])
        for file in [] if folder is None else weight_files(folder):
            used = {name: weight for name, weight in read_weights(file).items() if own_name(name) is not None}
            yield rename_weights(used, own_name, expected, "Mini-Gemini")


def _without_tower(error: MissingWeightsError) -> InputError:
    """The error for a checkpoint that lacks weights, which says so where they are those of a tower."""
    for tower, prefix in (("vision_tower", LOW), ("high_resolution_tower", HIGH)):
        if any(name.startswith(f"{prefix}.") for name in error.names):
            option = "--" + tower.replace("_", "-")
            return InputError(f"the checkpoint does not hold the weights of its {tower}: give its folder with {option}")
    return error


def _tokens_per_side(config: MiniGeminiConfig) -> int:
    result: int = config.vision_config.image_size // config.vision_config.patch_size
    return result


def _image_processor(published: Mapping[str, Any], config: MiniGeminiConfig) -> MiniGeminiImageProcessor:
    high, low = published["image_size_aux"], config.vision_config.image_size
    return MiniGeminiImageProcessor(
        size={"height": high, "width": high},
        crop_size={"height": low, "width": low},
        image_grid=config.image_grid,
        image_global=config.image_global,
    )


def _read_tokenizer(checkpoint: Path, text: PreTrainedConfig) -> Any:
    try:
        return AutoTokenizer.from_pretrained(str(checkpoint), config=text, local_files_only=True)
    except Exception as error:  # every type, as in wherelook.models.huggingface.loading
        raise InputError(
            f"the tokenizer in {str(checkpoint)!r} cannot be read ({' '.join(str(error).split())[:200]}): expected "
            "tokenizer.json, or tokenizer.model and `pip install sentencepiece`"
        ) from error


def _generation_config(config: MiniGeminiConfig, tokenizer: Any, stop: str) -> GenerationConfig:
    text = config.text_config
    ends = text.eos_token_id if isinstance(text.eos_token_id, list) else [text.eos_token_id]
    stops = sorted({end for end in (*ends, tokenizer.convert_tokens_to_ids(stop)) if isinstance(end, int)})
    return GenerationConfig(bos_token_id=text.bos_token_id, eos_token_id=stops, pad_token_id=text.pad_token_id)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m wherelook.models.ports.minigemini.convert",
        description="Converts a published Mini-Gemini checkpoint into a folder that loads like any other model.",
    )
    parser.add_argument("checkpoint", type=Path, help="folder with config.json, the tokenizer and the weights")
    parser.add_argument("out", type=Path, help="folder to write; it must not exist")
    parser.add_argument("--vision-tower", type=Path, help="folder of CLIP ViT-L/14-336, if the checkpoint lacks it")
    parser.add_argument(
        "--high-resolution-tower", type=Path, help="folder of OpenCLIP's ConvNeXt-L d-320, if the checkpoint lacks it"
    )
    parser.add_argument("--conversation", choices=CONVERSATIONS, help="how prompts are written, if not as usual")
    given = parser.parse_args()
    run_command(lambda: convert(**vars(given)), given.out)


if __name__ == "__main__":
    main()
