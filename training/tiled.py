"""The tiled model: LLaVA-NeXT with a CLIP tower and a Qwen2; a thumbnail and 2 x 2 tiles of every square image."""

from __future__ import annotations

import numpy as np
import torch
from architecture import Architecture, language_settings, tower_input, vision_layers, with_ends
from PIL import Image
from prompts import CHAT_TEMPLATE, IMAGE
from transformers import (
    CLIPVisionConfig,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextImageProcessorPil,
    LlavaNextProcessor,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

TILE_SIDE, PATCH, TILES = 64, 16, 2
TILE_GRID = TILE_SIDE // PATCH
GRID = TILES * TILE_GRID
IMAGE_SIDE = TILES * TILE_SIDE
PINPOINTS = [[IMAGE_SIDE, IMAGE_SIDE]]
WIDTH, HEADS = 128, 4
VISION_LAYERS, VISION_MLP = 4, 384
TEXT_SIZES = {"base": (5, 384), "small": (3, 192)}  # layers, width of the feed-forward part


def build_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaNextProcessor:
    image_processor = LlavaNextImageProcessorPil(
        size={"shortest_edge": TILE_SIDE},
        crop_size={"height": TILE_SIDE, "width": TILE_SIDE},
        image_grid_pinpoints=PINPOINTS,
        resample=2,  # bilinear: no ringing at edges
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    return LlavaNextProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",  # leaves the class token out
        chat_template=CHAT_TEMPLATE,
        image_token=IMAGE,
        num_additional_image_tokens=1,
    )


def build_model(tokenizer: PreTrainedTokenizerFast, scale: str) -> LlavaNextForConditionalGeneration:
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
        image_size=TILE_SIDE,
        patch_size=PATCH,
    )
    config = LlavaNextConfig(
        text_config=text,
        vision_config=vision,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_grid_pinpoints=PINPOINTS,
        image_seq_length=TILE_GRID * TILE_GRID,
        tie_word_embeddings=True,
        projector_hidden_act="gelu",
    )
    return with_ends(LlavaNextForConditionalGeneration(config), tokenizer)


def sample_size(rng: np.random.Generator) -> tuple[int, int]:
    """Square: other shapes take other numbers of image tokens, which a packed batch has no room for."""
    side = int(rng.choice((128, 224, 448), p=(0.65, 0.3, 0.05)))
    return side, side


def view_pixels(image: Image.Image) -> np.ndarray:
    """(1 + TILES * TILES, TILE_SIDE, TILE_SIDE, 3) of a square image: the thumbnail, then the tiles row by row."""
    thumbnail = np.asarray(image.resize((TILE_SIDE, TILE_SIDE), Image.Resampling.BILINEAR))
    whole = np.asarray(image.resize((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.BILINEAR))
    tiles = whole.reshape(TILES, TILE_SIDE, TILES, TILE_SIDE, 3).swapaxes(1, 2)
    return np.concatenate((thumbnail[None], tiles.reshape(TILES * TILES, TILE_SIDE, TILE_SIDE, 3)))


def image_features(model: LlavaNextForConditionalGeneration, pixels: torch.Tensor) -> torch.Tensor:
    """The last layer's patches, without the class token: the thumbnail's, then those of the tiles put together."""
    tower = vision_layers(model.model.vision_tower)
    embedded = tower.pre_layrnorm(tower.embeddings(tower_input(pixels)))
    patches = tower.encoder(inputs_embeds=embedded).last_hidden_state[:, 1:]
    views = patches.unflatten(0, (len(pixels), 1 + TILES * TILES))
    tiles = views[:, 1:].reshape(-1, TILES, TILES, TILE_GRID, TILE_GRID, WIDTH)
    return torch.cat((views[:, 0], tiles.transpose(2, 3).reshape(-1, GRID * GRID, WIDTH)), dim=1)


def embed_image(model: LlavaNextForConditionalGeneration, features: torch.Tensor) -> torch.Tensor:
    """The thumbnail has no line ends; each row across the tiles has one."""
    projected = model.model.multi_modal_projector(features)
    thumbnail, tiles = projected.split((TILE_GRID * TILE_GRID, GRID * GRID), dim=1)
    rows = tiles.unflatten(1, (GRID, GRID))
    line_ends = model.model.image_newline.to(rows.dtype).expand(len(rows), GRID, 1, WIDTH)
    return torch.cat((thumbnail, torch.cat((rows, line_ends), dim=2).flatten(1, 2)), dim=1)


TILED = Architecture(
    image_side=IMAGE_SIDE,
    grids=(TILE_GRID, GRID),
    image_tokens=TILE_GRID * TILE_GRID + GRID * (GRID + 1),
    sample_size=sample_size,
    view_pixels=view_pixels,
    build_processor=build_processor,
    build_model=build_model,
    image_features=image_features,
    embed_image=embed_image,
)
