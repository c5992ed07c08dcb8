"""The dual-encoder model: Mini-Gemini with a small CLIP tower, a small ConvNeXt and a Qwen2."""

from __future__ import annotations

import numpy as np
import torch
from architecture import Architecture, language_settings, tower_input, with_ends
from PIL import Image
from prompts import CHAT_TEMPLATE, IMAGE
from transformers import CLIPVisionConfig, ConvNextConfig, PreTrainedTokenizerFast, Qwen2Config

from wherelook.models.ports.minigemini.configuration import MiniGeminiConfig
from wherelook.models.ports.minigemini.modeling import MiniGeminiForConditionalGeneration
from wherelook.models.ports.minigemini.processing import MiniGeminiImageProcessor, MiniGeminiProcessor, cut_views

HIGH_SIDE, LOW_SIDE, PATCH = 128, 64, 8
GRID = LOW_SIDE // PATCH
WIDTH, HEADS = 128, 4
VISION_LAYERS, VISION_MLP = 4, 256
HIGH_WIDTHS, HIGH_DEPTHS = [24, 32, 48, 64], [1, 1, 1, 1]
TEXT_SIZES = {"base": (5, 384), "small": (3, 192)}  # layers, width of the feed-forward part


def build_processor(tokenizer: PreTrainedTokenizerFast) -> MiniGeminiProcessor:
    image_processor = MiniGeminiImageProcessor(
        size={"height": HIGH_SIDE, "width": HIGH_SIDE},
        crop_size={"height": LOW_SIDE, "width": LOW_SIDE},
        resample=2,  # bilinear: no ringing at edges
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    return MiniGeminiProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        patch_size=PATCH,
        chat_template=CHAT_TEMPLATE,
        image_token=IMAGE,
    )


def build_model(tokenizer: PreTrainedTokenizerFast, scale: str) -> MiniGeminiForConditionalGeneration:
    text = Qwen2Config(
        **language_settings(tokenizer, WIDTH, HEADS, TEXT_SIZES[scale]),
        tie_word_embeddings=True,
    )
    vision = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=VISION_MLP,
        projection_dim=WIDTH,
        num_hidden_layers=VISION_LAYERS,
        num_attention_heads=HEADS,
        image_size=LOW_SIDE,
        patch_size=PATCH,
    )
    config = MiniGeminiConfig(
        text_config=text,
        vision_config=vision,
        # A layer scale of 1e-6, made for depth, would keep so few blocks shut for most of the training.
        high_resolution_config=ConvNextConfig(hidden_sizes=HIGH_WIDTHS, depths=HIGH_DEPTHS, layer_scale_init_value=0.1),
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        vision_feature_layer=-1,
    )
    return with_ends(MiniGeminiForConditionalGeneration(config), tokenizer)


def sample_size(rng: np.random.Generator) -> tuple[int, int]:
    """Square: the border that the processor adds to other shapes has no patch labels."""
    side = int(rng.choice((128, 224, 448), p=(0.65, 0.3, 0.05)))
    return side, side


def view_pixels(image: Image.Image) -> np.ndarray:
    """(HIGH_SIDE, HIGH_SIDE, 3) of a square image; what the low-resolution tower sees is made from it."""
    return np.asarray(image.resize((HIGH_SIDE, HIGH_SIDE), Image.Resampling.BILINEAR))


def low_resolution(pixels: torch.Tensor) -> torch.Tensor:
    """(batch, HIGH_SIDE, HIGH_SIDE, 3) uint8 to (batch, 3, LOW_SIDE, LOW_SIDE) in -1 to 1."""
    return torch.cat([cut_views(image, LOW_SIDE, grid=1, whole=False) for image in tower_input(pixels[:, None])])


def image_features(model: MiniGeminiForConditionalGeneration, pixels: torch.Tensor) -> torch.Tensor:
    """The low-resolution tokens with what they mined from the high-resolution map."""
    low, high = low_resolution(pixels)[:, None], tower_input(pixels[:, None])
    return model.model.get_image_features(low, high).last_hidden_state


def embed_image(model: MiniGeminiForConditionalGeneration, features: torch.Tensor) -> torch.Tensor:
    return model.model.multi_modal_projector(features)


def encoders(model: MiniGeminiForConditionalGeneration) -> torch.nn.Module:
    """Both towers and the mining between them learn to see together."""
    inner = model.model
    return torch.nn.ModuleList([inner.vision_tower, inner.high_resolution_tower, inner.mining])


MINIGEMINI = Architecture(
    image_side=HIGH_SIDE,
    grids=(GRID,),
    image_tokens=GRID * GRID,
    sample_size=sample_size,
    view_pixels=view_pixels,
    build_processor=build_processor,
    build_model=build_model,
    image_features=image_features,
    embed_image=embed_image,
    encoder=encoders,
    first_tower_input=low_resolution,
)
