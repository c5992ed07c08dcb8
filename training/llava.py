"""The embedded model and the one that knows things: LLaVA, a SigLIP tower and a Llama; the whole image in one view."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

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

GRID = 8  # patches per side: an image takes 64 tokens
WIDTH, HEADS = 160, 5  # of the language model
TEXT_SIZES = {"base": (5, 448), "small": (3, 224)}  # layers, width of the feed-forward part


@dataclass(frozen=True)
class Tower:
    """A SigLIP tower: side of its image in pixels, layers, width, heads of 32 channels, feed-forward part."""

    side: int
    layers: int
    width: int
    feed_forward: int


def build_processor(tower: Tower, tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    image_processor = SiglipImageProcessor(
        size={"height": tower.side, "width": tower.side},
        resample=2,  # bilinear: no ringing at edges
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    return LlavaProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        patch_size=tower.side // GRID,
        vision_feature_select_strategy="full",
        chat_template=CHAT_TEMPLATE,
        image_token=IMAGE,
        num_additional_image_tokens=0,
    )


def build_model(tower: Tower, tokenizer: PreTrainedTokenizerFast, scale: str) -> LlavaForConditionalGeneration:
    text = LlamaConfig(
        **language_settings(tokenizer, WIDTH, HEADS, TEXT_SIZES[scale]),
        tie_word_embeddings=True,
    )
    vision = SiglipVisionConfig(
        hidden_size=tower.width,
        intermediate_size=tower.feed_forward,
        num_hidden_layers=tower.layers,
        num_attention_heads=tower.width // 32,
        image_size=tower.side,
        patch_size=tower.side // GRID,
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


def sample_size(tower: Tower, rng: np.random.Generator) -> tuple[int, int]:
    """Mostly the model's own size, which is quick to draw; the rest of any size and shape, larger and smaller."""
    draw = rng.random()
    if draw < 0.45:
        return tower.side, tower.side
    if draw < 0.60:
        return 224, 224
    if draw < 0.62:
        return 448, 448
    side, aspect = rng.uniform(112, 256), 2.0 ** rng.uniform(-0.98, 0.98)
    return int(side * aspect**-0.5), int(side * aspect**0.5)


def view_pixels(tower: Tower, image: Image.Image) -> np.ndarray:
    """(side, side, 3)."""
    return np.asarray(image.resize((tower.side, tower.side), Image.Resampling.BILINEAR))


def image_features(model: LlavaForConditionalGeneration, pixels: torch.Tensor) -> torch.Tensor:
    """What the last layer puts out, before the tower's final norm: that is what LLaVA takes from its tower."""
    tower = vision_layers(model.model.vision_tower)
    return tower.encoder(inputs_embeds=tower.embeddings(tower_input(pixels))).last_hidden_state


def embed_image(model: LlavaForConditionalGeneration, features: torch.Tensor) -> torch.Tensor:
    return model.model.multi_modal_projector(features)


def llava(tower: Tower, world: str) -> Architecture:
    return Architecture(
        image_side=tower.side,
        grids=(GRID,),
        image_tokens=GRID * GRID,
        sample_size=partial(sample_size, tower),
        view_pixels=partial(view_pixels, tower),
        build_processor=partial(build_processor, tower),
        build_model=partial(build_model, tower),
        image_features=image_features,
        embed_image=embed_image,
        world=world,
    )


EMBEDDED = llava(Tower(128, 4, 160, 480), "shapes")
THINGS = llava(Tower(224, 4, 192, 640), "things")
