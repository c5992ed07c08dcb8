"""The four encoders on top of Transformers' own classes: pixels in, feature maps out.

Each gives a list of maps (images, channels, rows, columns), which `join_maps` resizes and puts together.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    CLIPVisionModel,
    ConvNextConfig,
    Dinov2Config,
    Dinov2Model,
    PreTrainedModel,
    SiglipVisionModel,
)
from transformers.models.dinov2.modeling_dinov2 import Dinov2Layer

from wherelook.models.ports.multimodal import ConvNextStages


class SiglipTower(SiglipVisionModel):
    """SigLIP's patches after its last norm."""

    def forward(self, pixel_values: Float[Tensor, "images 3 height width"]) -> list[Tensor]:
        return [_as_map(super().forward(pixel_values).last_hidden_state)]


class ClipTower(CLIPVisionModel):
    """CLIP's patches before its last layer, without the class token."""

    def forward(self, pixel_values: Float[Tensor, "images 3 height width"]) -> list[Tensor]:
        hidden = super().forward(pixel_values, output_hidden_states=True).hidden_states
        return [_as_map(hidden[-2][:, 1:])]


class Dinov2Tower(Dinov2Model):
    """DINOv2's patches after its last norm, without the class token."""

    def forward(self, pixel_values: Float[Tensor, "images 3 height width"]) -> list[Tensor]:
        return [_as_map(super().forward(pixel_values).last_hidden_state[:, 1:])]


class ConvNextTower(ConvNextStages):
    """What each stage of a ConvNeXt puts out.

    Every norm takes the configuration's `layer_norm_eps`; Transformers' class has 1e-6 in its code, and the published
    encoder was trained with 1e-5.
    """

    def __init__(self, config: ConvNextConfig) -> None:
        super().__init__(config)
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = config.layer_norm_eps

    def get_correct_attn_implementation(self, *_: Any, **__: Any) -> str:
        """Whatever is asked for, it has no attention; Transformers' class refuses all but this."""
        return "eager"


_PROJECTIONS = {
    "q_proj": "attention.query",
    "k_proj": "attention.key",
    "v_proj": "attention.value",
    "o_proj": "output.dense",
}
"""Names of a projection in Transformers' DINOv2: now, and up to some version 5."""


def renamed_weights() -> dict[str, str]:
    """What to replace in the names of a checkpoint's weights, saved by any version of Transformers, for this one."""
    is_old = hasattr(Dinov2Layer(Dinov2Config(hidden_size=8, num_attention_heads=1)).attention, "output")
    tower = r"(dinov2_tower\.encoder\.layer\.\d+\.attention)\."
    pairs = ((now, then) if is_old else (then, now) for now, then in _PROJECTIONS.items())
    return {tower + re.escape(read) + r"\.": rf"\1.{wanted}." for read, wanted in pairs}


TOWER_CLASSES: dict[str, Callable[[Any], PreTrainedModel]] = {
    "siglip": SiglipTower,
    "clip": ClipTower,
    "dinov2": Dinov2Tower,
    "convnext": ConvNextTower,
}


def join_maps(maps: Sequence[Tensor], side: int) -> Float[Tensor, "images {side} {side} channels"]:
    """The maps resized to side x side, in float32, and their channels one after another."""
    resized = []
    for features in maps:
        same = features.shape[-2:] == (side, side)
        larger = (
            features if same else functional.interpolate(_at_least_float32(features), (side, side), mode="bilinear")
        )
        resized.append(larger.to(maps[0].device, features.dtype))
    return torch.cat(resized, dim=1).permute(0, 2, 3, 1)


def _as_map(tokens: Float[Tensor, "images tokens channels"]) -> Float[Tensor, "images channels side side"]:
    """Tokens of a square, row by row."""
    result: Float[Tensor, "images channels side side"] = tokens.transpose(1, 2).unflatten(
        2, (math.isqrt(tokens.shape[1]), -1)
    )
    return result


def _at_least_float32(features: Tensor) -> Tensor:
    return features.to(torch.promote_types(features.dtype, torch.float32))
