"""Cambrian-1: four encoders, an aggregator before the language model and more of them inside it.

Source: Cambrian-1 (arXiv 2406.16860), section 3. The encoders and the language model are Transformers' own; the
aggregators inside run as hooks on its decoder layers, so that any family of language models fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModel, Cache
from transformers import initialization as init
from transformers.models.llava.modeling_llava import LlavaCausalLMOutputWithPast
from transformers.utils.generic import ModelOutput

from wherelook.canvas import Size
from wherelook.models.ports.cambrian.aggregator import SpatialVisionAggregator
from wherelook.models.ports.cambrian.configuration import TOWERS, CambrianConfig
from wherelook.models.ports.cambrian.grids import content_box, crop, cut_windows, window_masks
from wherelook.models.ports.cambrian.towers import TOWER_CLASSES, join_maps
from wherelook.models.ports.multimodal import (
    FeedForward,
    PortedForConditionalGeneration,
    PortedModel,
    PortedPreTrainedModel,
)

AGGREGATION = "image_aggregation"
"""The keyword under which decoder layers are given what the aggregators inside the language model read."""


@dataclass
class CambrianImageOutput(ModelOutput):
    """What the language model reads of the images.

    Attributes:
        pooler_output: for each image its tokens, (rows * (columns + 1), width): a newline ends each row.
        is_cell: for the tokens of all images one after another, whether each is a cell and not a newline.
        aggregation: what the aggregators inside the language model read of these cells: `context`, and `windows` and
            `masks` with an entry for each encoder; see `SpatialVisionAggregator`.
    """

    pooler_output: Any = None
    is_cell: Any = None
    aggregation: Any = None


class VisionProjector(nn.Module):
    """From an encoder's width to the aggregators'."""

    def __init__(self, width: int, vision_width: int) -> None:
        super().__init__()
        self.feed_forward = FeedForward(width, vision_width, vision_width)
        self.norm = nn.LayerNorm(vision_width)

    def forward(self, features: Float[Tensor, "*shape _"]) -> Float[Tensor, "*shape vision_width"]:
        result: Float[Tensor, "*shape vision_width"] = self.norm(self.feed_forward(features))
        return result


class CambrianPreTrainedModel(PortedPreTrainedModel):
    """How the weights of both models below begin."""

    config_class = CambrianConfig
    _no_split_modules = ["AggregatorLayer", "VisionProjector"]  # noqa: RUF012

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)  # type: ignore[no-untyped-call]
        if isinstance(module, nn.ParameterDict):  # of an aggregator: only modules with weights of their own are asked
            for embedding in module.values():
                init.normal_(embedding)
        elif isinstance(module, CambrianModel):
            deviation = self.config.text_config.hidden_size**-0.5
            init.normal_(module.image_query, std=deviation)
            init.normal_(module.image_newline, std=deviation)


class CambrianModel(CambrianPreTrainedModel, PortedModel):
    """The encoders, the aggregators and the language model without its head."""

    def __init__(self, config: CambrianConfig) -> None:
        super().__init__(config)
        width, text_width = config.vision_hidden_size, config.text_config.hidden_size
        window_sizes = [(side // config.image_grid) ** 2 for side in config.vision_grids]
        heads = config.aggregator_heads
        for tower, settings in config.vision_configs.items():
            setattr(self, f"{tower}_tower", TOWER_CLASSES[tower](settings))
        self.vision_projectors = nn.ModuleList(VisionProjector(each, width) for each in config.vision_widths)
        self.image_query = nn.Parameter(torch.empty(1, width))
        self.image_newline = nn.Parameter(torch.empty(text_width))
        self.connector = SpatialVisionAggregator(
            query_width=width, width=width, window_sizes=window_sizes, heads=heads, layers=config.connector_layers
        )
        self.projector = FeedForward(width, text_width, text_width)
        self.language_aggregators = nn.ModuleList(
            SpatialVisionAggregator(
                query_width=text_width, width=width, window_sizes=window_sizes, heads=heads, layers=1
            )
            for _ in config.language_layers
        )
        self.language_model = AutoModel.from_config(config.text_config)
        for index, layer in enumerate(config.language_layers):
            # Part of the arguments, not of a closure: a deep copy of the model has to run its own aggregators.
            hook = partial(aggregate_after_layer, self.language_aggregators, index)
            self.language_model.layers[layer].register_forward_hook(hook, with_kwargs=True)
        self.post_init()  # type: ignore[no-untyped-call]

    def get_image_features(
        self,
        pixel_values_siglip: Float[Tensor, "images 3 _ _"] | None,
        pixel_values_clip: Float[Tensor, "images 3 _ _"] | None,
        pixel_values_dinov2: Float[Tensor, "images 3 _ _"] | None,
        pixel_values_convnext: Float[Tensor, "images 3 _ _"] | None,
        image_sizes: Tensor | None,
        **_: Any,
    ) -> CambrianImageOutput:
        """The image tokens as the language model reads them.

        Args:
            pixel_values_siglip, pixel_values_clip, pixel_values_dinov2, pixel_values_convnext: the images, padded to
                squares, as each encoder takes them.
            image_sizes: (images, 2), height and width of each image in pixels before padding.

        Raises:
            ValueError: one of them is None.
        """
        pixels = (pixel_values_siglip, pixel_values_clip, pixel_values_dinov2, pixel_values_convnext)
        if image_sizes is None or any(each is None for each in pixels):
            raise ValueError(f"expected image_sizes and the pixel values of all of {', '.join(TOWERS)}")
        sizes = [(int(height), int(width)) for height, width in image_sizes.tolist()]
        maps = self.project(pixels)
        rows = self.connect(maps, sizes)
        newline = self.image_newline.to(rows[0].device, rows[0].dtype)
        tokens = [torch.cat([each, newline.expand(len(each), 1, -1)], dim=1) for each in rows]
        ends = [functional.pad(each.new_ones(each.shape[:2]), (0, 1)) for each in rows]
        return CambrianImageOutput(
            pooler_output=[each.flatten(0, 1) for each in tokens],
            is_cell=torch.cat([each.flatten() for each in ends]) > 0,
            aggregation=self.aggregation(maps, sizes),
        )

    def project(self, pixels: Sequence[Any]) -> list[Float[Tensor, "images _ _ channels"]]:
        """Each encoder's map, resized to `vision_grids` and projected to one width.

        Args:
            pixels: (images, 3, height, width) for each encoder.
        """
        maps = []
        for tower, values, side, projector in zip(
            TOWERS, pixels, self.config.vision_grids, self.vision_projectors, strict=True
        ):
            maps.append(projector(join_maps(getattr(self, f"{tower}_tower")(values), side)))
        return maps

    def connect(
        self, maps: Sequence[Float[Tensor, "images _ _ channels"]], sizes: Sequence[Size]
    ) -> list[Float[Tensor, "rows columns width"]]:
        """From projected feature maps to image tokens: for each image those of its cells, padding left out.

        Args:
            maps: for each encoder the map of the padded images, of `vision_grids` rows and columns.
            sizes: (height, width) of each image in pixels before padding.
        """
        grid, device = self.config.image_grid, maps[0].device
        queries = self.image_query.to(device).expand(len(sizes) * grid**2, -1)
        context = maps[0].mean(dim=(1, 2)).repeat_interleave(grid**2, dim=0)
        windows = [cut_windows(each, grid).flatten(0, 2).to(device) for each in maps]
        masks = [window_masks(sizes, side, grid).flatten(0, 2).to(device) for side in self.config.vision_grids]
        cells = self.projector(self.connector(queries, context, windows, masks))
        return crop(cells.unflatten(0, (len(sizes), grid, grid)), [content_box(size, grid) for size in sizes])

    def aggregation(
        self, maps: Sequence[Float[Tensor, "images _ _ channels"]], sizes: Sequence[Size]
    ) -> dict[str, Any]:
        """What the aggregators inside the language model read; see `CambrianImageOutput` and `connect`."""
        grid, device = self.config.image_grid, maps[0].device
        boxes = [content_box(size, grid) for size in sizes]
        counts = torch.tensor([(right - left) * (bottom - top) for left, top, right, bottom in boxes], device=device)
        windows = [crop(cut_windows(each, grid), boxes) for each in maps]
        masks = [crop(window_masks(sizes, side, grid), boxes) for side in self.config.vision_grids]
        return {
            "context": maps[0].mean(dim=(1, 2)).repeat_interleave(counts, dim=0),
            "windows": [torch.cat([part.flatten(0, 1) for part in each]).to(device) for each in windows],
            "masks": [torch.cat([part.flatten(0, 1) for part in each]).to(device) for each in masks],
        }

    def language_inputs(self, found: CambrianImageOutput, is_image: Tensor) -> dict[str, Any]:
        places = is_image.nonzero()[found.is_cell.to(is_image.device)]
        return {AGGREGATION: {"places": places, **found.aggregation}}


def aggregate_after_layer(
    aggregators: nn.ModuleList, index: int, layer: nn.Module, arguments: Any, options: dict[str, Any], hidden: Tensor
) -> Tensor | None:
    """A forward hook of a decoder layer: the image's cells go on as queries of an aggregator.

    Args:
        aggregators: those inside the language model.
        index: which of them runs after this layer.
        layer: the decoder layer.
        arguments: its positional arguments.
        options: its keyword arguments; without `AGGREGATION` among them nothing happens.
        hidden: its output, (batch, length, width).
    """
    read = options.get(AGGREGATION)
    if read is None:
        return None
    batch, position = read["places"].to(hidden.device).unbind(dim=1)
    cells = hidden[batch, position]
    changed = aggregators[index](cells, read["context"], read["windows"], read["masks"])
    return hidden.index_put((batch, position), changed.to(hidden.device, hidden.dtype))


class CambrianForConditionalGeneration(CambrianPreTrainedModel, PortedForConditionalGeneration):
    """Cambrian with its language model's head."""

    model_class = CambrianModel

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values_siglip: Tensor | None = None,
        pixel_values_clip: Tensor | None = None,
        pixel_values_dinov2: Tensor | None = None,
        pixel_values_convnext: Tensor | None = None,
        image_sizes: Tensor | None = None,
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
            images=(pixel_values_siglip, pixel_values_clip, pixel_values_dinov2, pixel_values_convnext, image_sizes),
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            **kwargs,
        )
