"""What the recipe has to know of a model that it trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import PreTrainedModel, PreTrainedTokenizerFast, ProcessorMixin


def vision_layers(tower: torch.nn.Module) -> torch.nn.Module:
    """The module of a SigLIP or CLIP tower that holds `embeddings` and `encoder`; some versions wrap it once more."""
    return getattr(tower, "vision_model", tower)


def vision_tower(model: PreTrainedModel) -> torch.nn.Module:
    """Of a model that has one."""
    return model.model.vision_tower


def plain_towers(model: PreTrainedModel) -> list[torch.nn.Module]:
    """The only tower."""
    return [vision_tower(model)]


def nothing_more(model: PreTrainedModel, features: torch.Tensor) -> dict[str, Any]:
    """The image is among the embeddings alone."""
    return {}


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
        build_model: tokenizer -> the untrained model, in float32; reads torch's global seed.
        image_features: (model, uint8 pixels of a batch) -> (batch, patches, tower's width); views after one another,
            each row by row.
        embed_image: (model, `image_features`) -> (batch, image_tokens, language model's width): projected and in the
            order of the prompt.
        language_inputs: (model, `image_features`) -> what the language model is given beside the embeddings.
        vision: model -> all that makes `image_features`; the first stage trains it, the last one at a slower rate.
        towers: model -> those of SigLIP's or CLIP's kind, which get first weights (`initialise_vision`).
    """

    image_side: int
    grids: tuple[int, ...]
    image_tokens: int
    sample_size: Callable[[np.random.Generator], tuple[int, int]]
    view_pixels: Callable[[Image.Image], np.ndarray]
    build_processor: Callable[[PreTrainedTokenizerFast], ProcessorMixin]
    build_model: Callable[[PreTrainedTokenizerFast], PreTrainedModel]
    image_features: Callable[[PreTrainedModel, torch.Tensor], torch.Tensor]
    embed_image: Callable[[PreTrainedModel, torch.Tensor], torch.Tensor]
    language_inputs: Callable[[PreTrainedModel, torch.Tensor], dict[str, Any]] = nothing_more
    vision: Callable[[PreTrainedModel], torch.nn.Module] = vision_tower
    towers: Callable[[PreTrainedModel], Sequence[torch.nn.Module]] = plain_towers


def tower_input(pixels: torch.Tensor) -> torch.Tensor:
    """(..., side, side, 3) uint8 to (views, 3, side, side) in -1 to 1."""
    return pixels.flatten(0, -4).permute(0, 3, 1, 2).float() / 127.5 - 1.0
