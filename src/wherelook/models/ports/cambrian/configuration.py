"""Configuration of Cambrian."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, no_type_check

from transformers import (
    AutoConfig,
    CLIPVisionConfig,
    ConvNextConfig,
    Dinov2Config,
    PreTrainedConfig,
    SiglipVisionConfig,
)

from wherelook.models.ports.multimodal import CLIP_LARGE, text_configuration

TOWERS = ("siglip", "clip", "dinov2", "convnext")
"""The encoders, in the order of the published models. The first one gives the global context."""

PUBLISHED_TOWERS: dict[str, dict[str, Any]] = {
    "siglip": {
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_hidden_layers": 27,
        "num_attention_heads": 16,
        "image_size": 384,
        "patch_size": 14,
    },
    "clip": CLIP_LARGE,
    "dinov2": {
        "hidden_size": 1536,
        "num_hidden_layers": 40,
        "num_attention_heads": 24,
        "image_size": 518,  # of its position embeddings, which it resizes to the 27 x 27 patches of 378 pixels
        "patch_size": 14,
        "use_swiglu_ffn": True,
    },
    "convnext": {"hidden_sizes": [384, 768, 1536, 3072], "depths": [3, 4, 30, 3], "layer_norm_eps": 1e-5},
}
"""SigLIP SO400M/14 at 384 pixels, CLIP ViT-L/14 at 336, DINOv2-giant, and CLIP ConvNeXt-XXL."""


@no_type_check  # Transformers lets __init__ take more than its signature says
class CambrianConfig(PreTrainedConfig):
    """Configuration of a Cambrian-1 model; the defaults are those of the 8B size, but for the language model.

    Args:
        siglip_config, clip_config, dinov2_config, convnext_config: the encoders, as configurations or dictionaries;
            None is the published one.
        text_config: the language model, likewise; its layers must take further keyword arguments (as those of Llama
            and Phi-3 do). None is a Llama.
        image_token_id: what stands for an image token in `input_ids`. It may lie beyond the vocabulary: its row of the
            embedding is never read.
        vision_grids: rows (and columns) of each encoder's feature map after resizing, in the order of `TOWERS`; each
            a multiple of `image_grid`.
        image_grid: rows (and columns) of image tokens of a square image.
        vision_hidden_size: channels of the projected features and of the aggregators.
        aggregator_heads: attention heads of every aggregator.
        connector_layers: layers of the aggregator before the language model.
        language_aggregators: how many aggregators run inside the language model; 0 is the published `connector_only`.
        language_start: the decoder layer after which the first of them runs, counted from 0.
        language_stride: decoder layers from one of them to the next.

    Raises:
        ValueError: a number of `vision_grids` that is not one per encoder, a grid that `image_grid` does not divide,
            or aggregators beyond the last decoder layer.
    """

    model_type = "cambrian"
    sub_configs: ClassVar[dict[str, Any]] = {
        "siglip_config": SiglipVisionConfig,
        "clip_config": CLIPVisionConfig,
        "dinov2_config": Dinov2Config,
        "convnext_config": ConvNextConfig,
        "text_config": AutoConfig,
    }

    siglip_config: Any = None
    clip_config: Any = None
    dinov2_config: Any = None
    convnext_config: Any = None
    text_config: Any = None
    image_token_id: int = 128256
    vision_grids: Sequence[int] = (24, 24, 24, 96)
    image_grid: int = 24
    vision_hidden_size: int = 1024
    aggregator_heads: int = 16
    connector_layers: int = 3
    language_aggregators: int = 10
    language_start: int = 0
    language_stride: int = 3
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        for tower in TOWERS:
            given, name = getattr(self, f"{tower}_config"), f"{tower}_config"
            if not isinstance(given, PreTrainedConfig):
                setattr(self, name, self.sub_configs[name](**(given or PUBLISHED_TOWERS[tower])))
        self.siglip_config.vision_use_head = False  # the head pools, and pooled features are not read
        self.text_config = text_configuration(self.text_config)
        self.vision_grids = list(self.vision_grids)
        if len(self.vision_grids) != len(TOWERS) or any(side % self.image_grid for side in self.vision_grids):
            raise ValueError(
                f"vision_grids is {self.vision_grids}; expected a multiple of image_grid ({self.image_grid}) for each "
                f"of {', '.join(TOWERS)}"
            )
        layers = self.text_config.num_hidden_layers
        if any(layer >= layers for layer in self.language_layers):
            raise ValueError(
                f"{self.language_aggregators} aggregators from layer {self.language_start}, one every "
                f"{self.language_stride}, do not fit into {layers} decoder layers"
            )
        self.tie_word_embeddings = self.tie_word_embeddings or bool(self.text_config.tie_word_embeddings)
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]

    @property
    def vision_configs(self) -> dict[str, Any]:
        """The encoders' configurations, in their order."""
        return {tower: getattr(self, f"{tower}_config") for tower in TOWERS}

    @property
    def vision_widths(self) -> list[int]:
        """Channels of each encoder's feature map; those of ConvNeXt are the sum over its stages."""
        return [
            sum(config.hidden_sizes) if hasattr(config, "hidden_sizes") else config.hidden_size
            for config in self.vision_configs.values()
        ]

    @property
    def language_layers(self) -> list[int]:
        """The decoder layers after which an aggregator runs."""
        return [self.language_start + index * self.language_stride for index in range(self.language_aggregators)]
