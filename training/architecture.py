"""What the recipe has to know of a model that it trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast, ProcessorMixin

Model = TypeVar("Model", bound=PreTrainedModel)

SCALES = ("base", "small")
"""Sizes of the language model; the small one has two fifths of the weights and the same width."""


def tower_input(pixels: torch.Tensor) -> torch.Tensor:
    """(..., side, side, 3) uint8 to (views, 3, side, side) in -1 to 1."""
    return pixels.flatten(0, -4).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def vision_tower(model: PreTrainedModel) -> torch.nn.Module:
    return model.model.vision_tower


def vision_layers(tower: torch.nn.Module) -> torch.nn.Module:
    """The module of a SigLIP or CLIP tower that holds `embeddings` and `encoder`; some versions wrap it once more."""
    return getattr(tower, "vision_model", tower)


def only_tower(model: PreTrainedModel) -> list[torch.nn.Module]:
    return [vision_tower(model)]


def no_tower(model: PreTrainedModel) -> list[torch.nn.Module]:
    return []


def nothing_set(model: PreTrainedModel, pixels: torch.Tensor) -> None:
    """Everything else starts at random."""


def in_order(length: int) -> torch.Tensor:
    """(1, length): places in the sequence."""
    return torch.arange(length)[None]


def nothing_more(model: PreTrainedModel, features: torch.Tensor) -> dict[str, Any]:
    """The image is among the embeddings alone."""
    return {}


def language_settings(
    tokenizer: PreTrainedTokenizerFast, width: int, heads: int, text_size: tuple[int, int]
) -> dict[str, Any]:
    """What the configurations of all language models here have in common.

    Args:
        text_size: layers, and the width of the feed-forward part.
    """
    layers, feed_forward = text_size
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "intermediate_size": feed_forward,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "max_position_embeddings": 512,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "initializer_range": 0.05,
    }


def with_ends(model: Model, tokenizer: PreTrainedTokenizerFast) -> Model:
    """The model, told which tokens end and pad an answer, and to answer greedily."""
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    model.config.eos_token_id, model.config.pad_token_id = end, pad
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=pad, max_new_tokens=32, do_sample=False)
    return model


@dataclass(frozen=True)
class Architecture:
    """A model that can be trained with packed questions.

    Attributes:
        image_side: side, in pixels, of the square that a scene is drawn on for patch labels.
        grids: patches per side of each view of the whole image, in the order of `image_features`.
        image_tokens: how many tokens a square image takes in the prompt.
        sample_size: draws the (height, width) of a training image.
        view_pixels: image -> uint8 (..., side, side, 3), what the model's image processor would cut out of it.
        build_processor: tokenizer -> the processor that is saved with the model.
        build_model: (tokenizer, scale of the language model, one of `SCALES`) -> the untrained model, in float32; reads
            torch's global seed.
        image_features: (model, uint8 pixels of a batch) -> (batch, patches, tower's width); views after one another,
            each row by row.
        embed_image: (model, `image_features`) -> (batch, image_tokens, language model's width): projected and in the
            order of the prompt.
        language_inputs: (model, `image_features`) -> what the language model is given beside the embeddings.
        prefix_positions: length -> positions of the prompt's first token and of the image after it, as the whole model
            computes them: (1, length), or (axes, 1, length) where they have several axes.
        encoder: model -> everything before `image_features`, which the first stage trains.
        first_towers: model -> its SigLIP and CLIP towers, which do not start at random (see `initialize_vision`).
        first_tower_input: uint8 pixels of a batch -> what these towers see of them.
        initialize: (model, uint8 pixels of a batch): sets the first weights of what is no such tower.
        world: what its scenes are made of, a key of `WORLDS`.
    """

    image_side: int
    grids: tuple[int, ...]
    image_tokens: int
    sample_size: Callable[[np.random.Generator], tuple[int, int]]
    view_pixels: Callable[[Image.Image], np.ndarray]
    build_processor: Callable[[PreTrainedTokenizerFast], ProcessorMixin]
    build_model: Callable[[PreTrainedTokenizerFast, str], PreTrainedModel]
    image_features: Callable[[PreTrainedModel, torch.Tensor], torch.Tensor]
    embed_image: Callable[[PreTrainedModel, torch.Tensor], torch.Tensor]
    language_inputs: Callable[[PreTrainedModel, torch.Tensor], dict[str, Any]] = nothing_more
    prefix_positions: Callable[[int], torch.Tensor] = in_order
    encoder: Callable[[PreTrainedModel], torch.nn.Module] = vision_tower
    first_towers: Callable[[PreTrainedModel], Sequence[torch.nn.Module]] = only_tower
    first_tower_input: Callable[[torch.Tensor], torch.Tensor] = tower_input
    initialize: Callable[[PreTrainedModel, torch.Tensor], None] = nothing_set
    world: str = "shapes"
