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
from transformers import AutoModel, Cache, ConvNextConfig, ConvNextModel, GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.llava.modeling_llava import LlavaCausalLMOutputWithPast, LlavaModelOutputWithPast

from wherelook.models.ports.language_head import causal_output
from wherelook.models.ports.minigemini.configuration import MiniGeminiConfig


class HighResolutionTower(ConvNextModel):
    """A ConvNeXt whose stages' maps are put together at the size of the first one."""

    def __init__(self, config: ConvNextConfig) -> None:
        super().__init__(config)
        self.layernorm = nn.Identity()  # type: ignore[assignment] # of the pooled output, which nobody reads

    def forward(
        self, pixel_values: Float[Tensor, "images 3 height width"], **_: Any
    ) -> Float[Tensor, "images channels rows columns"]:
        """The maps of all stages; rows and columns are a quarter of the pixels for a patch size of 4."""
        features = self.embeddings(pixel_values)
        maps = []
        for stage in self.encoder.stages:
            features = stage(features)
            maps.append(features)
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


class Projector(nn.Module):
    """From the encoder's width to the language model's."""

    def __init__(self, width: int, text_width: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(width, text_width)
        self.linear_2 = nn.Linear(text_width, text_width)

    def forward(self, tokens: Float[Tensor, "*shape width"]) -> Float[Tensor, "*shape text_width"]:
        result: Float[Tensor, "*shape text_width"] = self.linear_2(functional.gelu(self.linear_1(tokens)))
        return result


class MiniGeminiPreTrainedModel(PreTrainedModel):
    """What both models below tell Transformers about themselves."""

    config_class = MiniGeminiConfig
    base_model_prefix = "model"
    input_modalities = ("image", "text")  # type: ignore[assignment]
    supports_gradient_checkpointing = True
    _skip_keys_device_placement = ["past_key_values"]  # noqa: RUF012
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True


class MiniGeminiModel(MiniGeminiPreTrainedModel):
    """Both encoders, the mining, the projector and the language model without its head."""

    def __init__(self, config: MiniGeminiConfig) -> None:
        super().__init__(config)
        width = config.vision_config.hidden_size
        self.vision_tower = AutoModel.from_config(config.vision_config)
        self.high_resolution_tower = HighResolutionTower(config.high_resolution_config)
        self.mining = PatchInfoMining(width, sum(config.high_resolution_config.hidden_sizes))
        self.multi_modal_projector = Projector(width, config.text_config.hidden_size)
        self.language_model = AutoModel.from_config(config.text_config)
        self.post_init()  # type: ignore[no-untyped-call]

    def get_image_features(
        self,
        pixel_values: Float[Tensor, "images views 3 side side"],
        high_res_pixel_values: Float[Tensor, "images 3 height width"],
        **_: Any,
    ) -> BaseModelOutputWithPooling:
        """The image tokens as the language model reads them: `pooler_output`, (images, tokens, width).

        Args:
            pixel_values: what the low-resolution tower sees: the whole image where it does, then the crops row by row.
            high_res_pixel_values: the whole image at high resolution.
        """
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

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        high_res_pixel_values: Tensor | None = None,
        attention_mask: Any = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: Any,
    ) -> LlavaModelOutputWithPast:
        """Puts the image tokens where `input_ids` holds `image_token_id`, and runs the language model.

        Raises:
            ValueError: only one of the two pixel tensors, pixels without `input_ids`, or another number of
                placeholders than of image tokens.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("expected either input_ids or inputs_embeds")
        if (pixel_values is None) != (high_res_pixel_values is None):
            raise ValueError("expected both pixel_values and high_res_pixel_values, or neither")
        image_features: Any = None
        if input_ids is not None:
            is_image = input_ids == self.config.image_token_id
            inputs_embeds = self.get_input_embeddings()(input_ids.masked_fill(is_image, 0))
            if pixel_values is not None and high_res_pixel_values is not None:
                image_features = self.get_image_features(pixel_values, high_res_pixel_values).pooler_output
                image_features = image_features.to(inputs_embeds.device, inputs_embeds.dtype)
                placeholders, tokens = int(is_image.sum()), image_features.shape[0] * image_features.shape[1]
                if placeholders != tokens:
                    raise ValueError(f"the prompt has {placeholders} image placeholders for {tokens} image tokens")
                inputs_embeds = inputs_embeds.masked_scatter(is_image[..., None], image_features)
        elif pixel_values is not None:
            raise ValueError("pixel_values need input_ids, which say where the image is")
        outputs = self.language_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            **kwargs,
        )
        return LlavaModelOutputWithPast(
            last_hidden_state=outputs.last_hidden_state,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            image_hidden_states=image_features,
        )


class MiniGeminiForConditionalGeneration(MiniGeminiPreTrainedModel, GenerationMixin):
    """Mini-Gemini with its language model's head."""

    _tied_weights_keys = {"lm_head.weight": "model.language_model.embed_tokens.weight"}  # noqa: RUF012

    def __init__(self, config: MiniGeminiConfig) -> None:
        super().__init__(config)
        self.model = MiniGeminiModel(config)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        self.post_init()  # type: ignore[no-untyped-call]

    def get_image_features(self, *arguments: Any, **options: Any) -> BaseModelOutputWithPooling:
        """See `MiniGeminiModel.get_image_features`."""
        result: BaseModelOutputWithPooling = self.model.get_image_features(*arguments, **options)
        return result

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
        outputs = self.model(
            input_ids=input_ids,
            pixel_values=pixel_values,
            high_res_pixel_values=high_res_pixel_values,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            **kwargs,
        )
        return causal_output(self, outputs, labels, logits_to_keep)


def _resize(features: Float[Tensor, "images channels _ _"], size: Any) -> Float[Tensor, "images channels rows columns"]:
    return functional.interpolate(features, size=tuple(size), mode="bilinear", align_corners=False)
