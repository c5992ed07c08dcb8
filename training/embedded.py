"""The embedded model: LLaVA with a SigLIP tower and a Llama; the whole image in one view."""

from __future__ import annotations

import numpy as np
import torch
from architecture import Architecture, language_settings, tower_input, vision_layers, with_ends
from PIL import Image
from prompts import CHAT_TEMPLATE, IMAGE
from transformers import (
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    SiglipImageProcessor,
    SiglipVisionConfig,
)

IMAGE_SIDE, PATCH = 128, 16
GRID = IMAGE_SIDE // PATCH
WIDTH, HEADS = 160, 5
VISION_LAYERS, VISION_MLP = 4, 480
TEXT_SIZES = {"base": (5, 448), "small": (3, 224)}  # layers, width of the feed-forward part


def build_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    image_processor = SiglipImageProcessor(
        size={"height": IMAGE_SIDE, "width": IMAGE_SIDE},
        resample=2,  # bilinear: no ringing at edges
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    return LlavaProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="full",
        chat_template=CHAT_TEMPLATE,
        image_token=IMAGE,
        num_additional_image_tokens=0,
    )


def build_model(tokenizer: PreTrainedTokenizerFast, scale: str) -> LlavaForConditionalGeneration:
    text = LlamaConfig(
        **language_settings(tokenizer, WIDTH, HEADS, TEXT_SIZES[scale]),
        tie_word_embeddings=True,
    )
    vision = SiglipVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=VISION_MLP,
        num_hidden_layers=VISION_LAYERS,
        num_attention_heads=HEADS,
        image_size=IMAGE_SIDE,
        patch_size=PATCH,
        vision_use_head=False,
    )
    config = LlavaConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        image_seq_length=GRID * GRID,
        tie_word_embeddings=True,
        projector_hidden_act="gelu",
    )
    return with_ends(LlavaForConditionalGeneration(config), tokenizer)


def sample_size(rng: np.random.Generator) -> tuple[int, int]:
    """Mostly the model's own size, which is quick to draw; the rest of any size and shape, larger and smaller."""
    draw = rng.random()
    if draw < 0.45:
        return IMAGE_SIDE, IMAGE_SIDE
    if draw < 0.60:
        return 224, 224
    if draw < 0.62:
        return 448, 448
    side, aspect = rng.uniform(112, 256), 2.0 ** rng.uniform(-0.98, 0.98)
    return int(side * aspect**-0.5), int(side * aspect**0.5)


def view_pixels(image: Image.Image) -> np.ndarray:
    """(IMAGE_SIDE, IMAGE_SIDE, 3)."""
    return np.asarray(image.resize((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.BILINEAR))


def image_features(model: LlavaForConditionalGeneration, pixels: torch.Tensor) -> torch.Tensor:
    """What the last layer puts out, before the tower's final norm: that is what LLaVA takes from its tower."""
    tower = vision_layers(model.model.vision_tower)
    return tower.encoder(inputs_embeds=tower.embeddings(tower_input(pixels))).last_hidden_state


def embed_image(model: LlavaForConditionalGeneration, features: torch.Tensor) -> torch.Tensor:
    return model.model.multi_modal_projector(features)


EMBEDDED = Architecture(
    image_side=IMAGE_SIDE,
    grids=(GRID,),
    image_tokens=GRID * GRID,
    sample_size=sample_size,
    view_pixels=view_pixels,
    build_processor=build_processor,
    build_model=build_model,
    image_features=image_features,
    embed_image=embed_image,
)
