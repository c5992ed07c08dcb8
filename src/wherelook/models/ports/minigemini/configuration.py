"""Configuration of Mini-Gemini."""

from __future__ import annotations

from typing import Any, ClassVar, no_type_check

from transformers import AutoConfig, CLIPVisionConfig, ConvNextConfig, PreTrainedConfig

from wherelook.models.ports.multimodal import CLIP_LARGE, text_configuration

CONVNEXT_LARGE: dict[str, Any] = {"hidden_sizes": [192, 384, 768, 1536], "depths": [3, 3, 27, 3]}
"""OpenCLIP's ConvNeXt-L, the high-resolution tower of every published model."""


@no_type_check  # Transformers lets __init__ take more than its signature says
class MiniGeminiConfig(PreTrainedConfig):
    """Configuration of a Mini-Gemini model.

    Args:
        vision_config: the low-resolution tower, a CLIP vision tower; None is CLIP ViT-L/14 at 336 pixels.
        high_resolution_config: the high-resolution tower, a ConvNeXt; None is ConvNeXt-L.
        text_config: the language model of any family (Llama, Gemma, Mistral, Mixtral ...); None is a Llama.
        image_token_id: what stands for an image token in `input_ids`. It may lie beyond the vocabulary: its row of the
            embedding is never read.
        image_grid: the image is cut into image_grid x image_grid crops for the low-resolution tower; 2 in HD models.
        image_global: whether that tower sees the whole image too, before the crops.
        vision_feature_layer: which hidden states of the low-resolution tower are used.

    Raises:
        ValueError: `image_grid` below 1, or `image_global` without a grid.
    """

    model_type = "mini_gemini"
    sub_configs: ClassVar[dict[str, Any]] = {
        "vision_config": CLIPVisionConfig,
        "high_resolution_config": ConvNextConfig,
        "text_config": AutoConfig,
    }

    vision_config: Any = None
    high_resolution_config: Any = None
    text_config: Any = None
    image_token_id: int = 32000
    image_grid: int = 1
    image_global: bool = False
    vision_feature_layer: int = -2
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        if self.image_grid < 1:
            raise ValueError(f"image_grid is {self.image_grid}; expected 1 or more")
        if self.image_global and self.image_grid == 1:
            raise ValueError("image_global needs an image_grid of 2 or more: a grid of 1 is the whole image")
        if not isinstance(self.vision_config, PreTrainedConfig):
            self.vision_config = CLIPVisionConfig(**(self.vision_config or CLIP_LARGE))
        if not isinstance(self.high_resolution_config, PreTrainedConfig):
            self.high_resolution_config = ConvNextConfig(**(self.high_resolution_config or CONVNEXT_LARGE))
        self.text_config = text_configuration(self.text_config)
        self.tie_word_embeddings = self.tie_word_embeddings or bool(self.text_config.tie_word_embeddings)
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]

    @property
    def views(self) -> int:
        """How many images the low-resolution tower sees: the whole image where it does, and the crops."""
        return self.image_grid**2 + int(self.image_global)
