"""LLaVA models with random weights in any size: for timing, where only the shape matters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from wherelook.models.huggingface.loading import load_processor, locate
from wherelook.models.huggingface.model import VisionLanguageModel
from wherelook.models.zoo import EMBEDDED


@dataclass(frozen=True)
class Shape:
    """Sizes of a LLaVA: image side and patch in pixels; width, layers, heads and feed-forward of both towers."""

    image: int
    patch: int
    vocabulary: int
    vision: tuple[int, int, int, int]
    text: tuple[int, int, int, int]


MEDIUM = Shape(336, 14, 32_000, vision=(512, 8, 8, 2048), text=(768, 12, 12, 2048))
"""About 160 million parameters, 576 image tokens."""

LLAVA_7B = Shape(336, 14, 32_064, vision=(1024, 24, 16, 4096), text=(4096, 32, 32, 11_008))
"""LLaVA-1.5-7B."""


def random_llava(shape: Shape, *, device: str, dtype: torch.dtype, compile: bool = False) -> VisionLanguageModel:
    """A LLaVA of this shape, its weights drawn from seed 0, with the tokenizer of the embedded model."""
    tokenizer = load_processor(locate(EMBEDDED)).tokenizer
    image_token = tokenizer.convert_tokens_to_ids("<image>")
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            image_size=shape.image,
            patch_size=shape.patch,
            **_tower(shape.vision),
        ),
        text_config=LlamaConfig(
            vocab_size=shape.vocabulary,
            pad_token_id=0,
            **_tower(shape.text),
        ),
        image_token_index=image_token,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )
    with torch.random.fork_rng(devices=[]), torch.device(device):
        torch.manual_seed(0)
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            model = LlavaForConditionalGeneration(config)
        finally:
            torch.set_default_dtype(before)
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessorPil(
            size={"shortest_edge": shape.image}, crop_size={"height": shape.image, "width": shape.image}
        ),
        tokenizer=tokenizer,
        patch_size=shape.patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token="<image>",
        chat_template="{{ '<image>' }}{% for part in messages[0]['content'] %}{{ part.get('text', '') }}{% endfor %}",
    )
    return VisionLanguageModel(model.eval(), processor, identifier="random LLaVA", compile=compile)


def _tower(sizes: tuple[int, int, int, int]) -> dict[str, Any]:
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    return dict(zip(names, sizes, strict=True))
