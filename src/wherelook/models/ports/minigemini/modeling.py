"""Mini-Gemini: a low-resolution and a high-resolution encoder, patch info mining between them, a language model.

Source: Mini-Gemini (arXiv 2403.18814), sections 3.1 and 3.2. The towers and the language model are Transformers' own.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModel, Cache
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.llava.modeling_llava import LlavaCausalLMOutputWithPast

from wherelook.models.ports.minigemini.configuration import MiniGeminiConfig
from wherelook.models.ports.multimodal import ConvNextStages, FeedForward, PortedForConditionalGeneration, PortedModel


class HighResolutionTower(ConvNextStages):
    """A ConvNeXt whose stages' maps are put together at the size of the first one."""

    def forward(
        self, pixel_values: Float[Tensor, "images 3 height width"], **_: Any
    ) -> Float[Tensor, "images channels rows columns"]:
        """The maps of all stages; rows and columns are a quarter of the pixels for a patch size of 4."""
        maps = super().forward(pixel_values)
        size, device = maps[0].shape[-2:], maps[0].device
        return torch.cat([maps[0], *(_resize(each, size).to(device) for each in maps[1:])], dim=1)


class PatchInfoMining(nn.Module):
    """Each low-resolution token asks the high-resolution cells of its own patch (paper, equation 1).

    Args:
        width: channels of the low-resolution tokens.
        high_resolution_width: channels of the high-resolution map.
    """

    def __init__(self, width: int, high_resolution_width: int) -> None:
        super().__init__()
        self.query = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))
        self.key = nn.Sequential(nn.LayerNorm(high_resolution_width), nn.Linear(high_resolution_width, width))
        self.value = nn.Sequential(nn.LayerNorm(high_resolution_width), nn.Linear(high_resolution_width, width))

    def forward(
        self, tokens: Float[Tensor, "views tokens width"], features: Float[Tensor, "views channels rows columns"]
    ) -> Float[Tensor, "views tokens width"]:
        """The tokens, each with what its patch of the map adds.

        Args:
            tokens: of a square grid, row by row.
            features: the map of the same square; the grid divides its rows and columns.
        """
        grid = math.isqrt(tokens.shape[1])
        cells = features.unflatten(3, (grid, -1)).unflatten(2, (grid, -1))
        cells = cells.permute(0, 2, 4, 3, 5, 1).flatten(3, 4).flatten(1, 2)  # views, tokens, cells, channels
        query, key, value = self.query(tokens), self.key(cells), self.value(cells)
        weights = torch.softmax(torch.einsum("vtw,vtcw->vtc", query, key) / math.sqrt(query.shape[-1]), dim=-1)
        return tokens + torch.einsum("vtc,vtcw->vtw", weights, value)


class MiniGeminiModel(PortedModel):
    """Both encoders, the mining, the projector and the language model without its head."""

    config_class = MiniGeminiConfig

    def __init__(self, config: MiniGeminiConfig) -> None:
        super().__init__(config)
        width = config.vision_config.hidden_size
        self.vision_tower = AutoModel.from_config(config.vision_config)
        self.high_resolution_tower = HighResolutionTower(config.high_resolution_config)
        self.mining = PatchInfoMining(width, sum(config.high_resolution_config.hidden_sizes))
        self.multi_modal_projector = FeedForward(width, config.text_config.hidden_size, config.text_config.hidden_size)
        self.language_model = AutoModel.from_config(config.text_config)
        self.post_init()  # type: ignore[no-untyped-call]

    def get_image_features(
        self,
        pixel_values: Float[Tensor, "images views 3 side side"] | None,
        high_res_pixel_values: Float[Tensor, "images 3 height width"] | None,
        **_: Any,
    ) -> BaseModelOutputWithPooling:
        """The image tokens as the language model reads them: `pooler_output`, (images, tokens, width).

        Args:
            pixel_values: what the low-resolution tower sees: the whole image where it does, then the crops row by row.
            high_res_pixel_values: the whole image at high resolution.

        Raises:
            ValueError: one of them is None.
        """
        if pixel_values is None or high_res_pixel_values is None:
            raise ValueError("expected both pixel_values and high_res_pixel_values, or neither")
        images, views = pixel_values.shape[:2]
        hidden = self.vision_tower(pixel_values.flatten(0, 1), output_hidden_states=True).hidden_states
        tokens = hidden[self.config.vision_feature_layer][:, 1:]  # without the class token
        regions = self._regions(self.high_resolution_tower(high_res_pixel_values))
        mined = self.mining(tokens, regions.flatten(0, 1)).unflatten(0, (images, views)).flatten(1, 2)
        return BaseModelOutputWithPooling(last_hidden_state=mined, pooler_output=self.multi_modal_projector(mined))

    def _regions(
        self, features: Float[Tensor, "images channels height width"]
    ) -> Float[Tensor, "images views channels rows columns"]:
        """The part of the high-resolution map that belongs to each view, all of one size."""
        grid = self.config.image_grid
        crops = features.unflatten(3, (grid, -1)).unflatten(2, (grid, -1)).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
        if not self.config.image_global:
            result: Float[Tensor, "images views channels rows columns"] = crops
            return result
        whole = _resize(features, crops.shape[-2:])
        return torch.cat([whole[:, None], crops], dim=1)


class MiniGeminiForConditionalGeneration(PortedForConditionalGeneration):
    """Mini-Gemini with its language model's head."""

    config_class = MiniGeminiConfig
    model_class = MiniGeminiModel

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        high_res_pixel_values: Tensor | None = None,
        attention_mask: Any = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> LlavaCausalLMOutputWithPast:
        """Logits of the next token at every place, or at those of `logits_to_keep` (how many last ones, or which)."""
        return self.read(
            labels,
            logits_to_keep,
            images=(pixel_values, high_res_pixel_values),
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            **kwargs,
        )


def _resize(features: Float[Tensor, "images channels _ _"], size: Any) -> Float[Tensor, "images channels rows columns"]:
    return functional.interpolate(features, size=tuple(size), mode="bilinear", align_corners=False)
