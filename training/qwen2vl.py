"""The packed model: Qwen2-VL, whose image keeps its shape and becomes a sequence of patches with rotary positions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from architecture import Architecture, language_settings, no_tower, tower_input, with_ends
from initial import patch_filters
from PIL import Image
from prompts import ASSISTANT, CHAT_TEMPLATE, END, IMAGE, PAD, USER
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    Qwen2VLProcessor,
    Qwen2VLTextConfig,
    Qwen2VLVisionConfig,
)

IMAGE_SIDE, PATCH, MERGE, FRAMES = 128, 8, 2, 2
GRID = IMAGE_SIDE // PATCH
CELLS = GRID // MERGE
VISION_WIDTH, VISION_LAYERS, VISION_HEADS, VISION_MLP_RATIO = 96, 4, 4, 3
VISION_ROTARY_BASE = 100.0  # a grid has 16 places a side: the usual 10,000 would leave most frequencies idle
NEIGHBOURS = ((0, -1), (0, 1), (-1, 0), (1, 0)), ((-2, -2), (-2, 2), (2, -2), (2, 2))
ATTENTION_BIAS = 4.0  # three fifths of the attention then fall on the place meant
WIDTH, HEADS = 128, 4
TEXT_SIZES = {"base": (5, 384), "small": (3, 192)}  # layers, width of the feed-forward part
# A head has 16 frequencies, from 1 down to 1 / base, which go to time, rows and columns in this order. The tower knows
# distances alone, so the language model finds the place of a token by its turn against the first one: from the first to
# the last of 8 cells, rows turn by 2.4 to 4.9 radians and columns by up to 1.7. The slow ones serve what a token holds.
ROTARY_BASE, ROTARY_SECTIONS = 300.0, (1, 3, 12)
VIDEO = "<video>"


class ImagesOnlyProcessor(Qwen2VLProcessor):
    """A Qwen2-VL processor without its part for videos, which torchvision alone can make; saved with its settings."""

    def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> type:
        if argument_name == "video_processor":
            return type(None)
        return super().check_argument_for_proper_class(argument_name, argument)

    def save_pretrained(self, folder: Path) -> None:
        images = self.image_processor.to_dict()
        shared = ("size", "patch_size", "temporal_patch_size", "merge_size", "image_mean", "image_std", "resample")
        videos = {"video_processor_type": "Qwen2VLVideoProcessor", **{name: images[name] for name in shared}}
        parts = {"processor_class": Qwen2VLProcessor.__name__, "image_processor": images, "video_processor": videos}
        self.tokenizer.save_pretrained(folder)
        (folder / "processor_config.json").write_text(json.dumps(parts, indent=2) + "\n", encoding="utf-8")
        (folder / "chat_template.jinja").write_text(self.chat_template, encoding="utf-8")


def build_processor(tokenizer: PreTrainedTokenizerFast) -> Qwen2VLProcessor:
    """Of every image about `IMAGE_SIDE` squared pixels are kept, in its own shape."""
    image_processor = Qwen2VLImageProcessorPil(
        size={"shortest_edge": IMAGE_SIDE**2, "longest_edge": IMAGE_SIDE**2},
        resample=2,  # bilinear: no ringing at edges
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
        patch_size=PATCH,
        temporal_patch_size=FRAMES,
        merge_size=MERGE,
    )
    return ImagesOnlyProcessor(
        image_processor=image_processor, tokenizer=name_placeholders(tokenizer), chat_template=CHAT_TEMPLATE
    )


def name_placeholders(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """The same tokens and one for videos, which no prompt has, under the names that the processor reads."""
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT],
        extra_special_tokens={"image_token": IMAGE, "video_token": VIDEO},
        clean_up_tokenization_spaces=False,
        model_max_length=512,
        padding_side="left",
    )


def build_model(tokenizer: PreTrainedTokenizerFast, scale: str) -> Qwen2VLForConditionalGeneration:
    user, image, video = tokenizer.convert_tokens_to_ids([USER, IMAGE, VIDEO])
    text = Qwen2VLTextConfig(
        **language_settings(tokenizer, WIDTH, HEADS, TEXT_SIZES[scale]),
        rope_parameters={"rope_type": "default", "rope_theta": ROTARY_BASE, "mrope_section": list(ROTARY_SECTIONS)},
    )
    vision = Qwen2VLVisionConfig(
        depth=VISION_LAYERS,
        embed_dim=VISION_WIDTH,
        hidden_size=WIDTH,
        num_heads=VISION_HEADS,
        mlp_ratio=VISION_MLP_RATIO,
        patch_size=PATCH,
        spatial_merge_size=MERGE,
        temporal_patch_size=FRAMES,
        rope_parameters={"rope_type": "axial", "rope_theta": VISION_ROTARY_BASE},
    )
    config = Qwen2VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=user,  # an image begins right after it
        vision_end_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=True,
    )
    return with_ends(Qwen2VLForConditionalGeneration(config), tokenizer)


def sample_size(rng: np.random.Generator) -> tuple[int, int]:
    """Square: other shapes take other numbers of image tokens, which a packed batch has no room for."""
    side = int(rng.choice((128, 224, 448), p=(0.65, 0.3, 0.05)))
    return side, side


def view_pixels(image: Image.Image) -> np.ndarray:
    """(IMAGE_SIDE, IMAGE_SIDE, 3) of a square image."""
    return np.asarray(image.resize((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.BILINEAR))


def flatten_patches(pixels: torch.Tensor) -> torch.Tensor:
    """(batch, IMAGE_SIDE, IMAGE_SIDE, 3) uint8 to the image processor's (batch * patches, 3 * FRAMES * PATCH * PATCH).

    The patches of a cell, which become one token, follow one another.
    """
    sides = (CELLS, MERGE, PATCH)
    patches = tower_input(pixels).unflatten(3, sides).unflatten(2, sides).permute(0, 2, 5, 3, 6, 1, 4, 7)
    return patches.unsqueeze(6).expand(*patches.shape[:6], FRAMES, PATCH, PATCH).reshape(-1, 3 * FRAMES * PATCH**2)


def image_features(model: Qwen2VLForConditionalGeneration, pixels: torch.Tensor) -> torch.Tensor:
    """What the last layer puts out, before four patches become one token."""
    grids = torch.tensor([[1, GRID, GRID]]).expand(len(pixels), 3)
    cells = model.model.visual(flatten_patches(pixels), grid_thw=grids).last_hidden_state
    cells = cells.reshape(len(pixels), CELLS, CELLS, MERGE, MERGE, VISION_WIDTH)
    return cells.transpose(2, 3).reshape(len(pixels), GRID * GRID, VISION_WIDTH)


def embed_image(model: Qwen2VLForConditionalGeneration, features: torch.Tensor) -> torch.Tensor:
    cells = features.reshape(len(features), CELLS, MERGE, CELLS, MERGE, VISION_WIDTH).transpose(2, 3)
    return model.model.visual.merger(cells).reshape(len(features), CELLS * CELLS, WIDTH)


def prefix_positions(length: int) -> torch.Tensor:
    """(3, 1, length): time, row and column of the first token and the image; text goes on from the largest (M-RoPE)."""
    cells = torch.cartesian_prod(torch.zeros(1, dtype=torch.long), torch.arange(CELLS), torch.arange(CELLS)).T
    return torch.cat((torch.zeros(3, 1, dtype=torch.long), 1 + cells), dim=1)[:, None, :length]


def encoder(model: Qwen2VLForConditionalGeneration) -> torch.nn.ModuleList:
    """The tower without the merger, which makes tokens of patches."""
    return torch.nn.ModuleList([model.model.visual.patch_embed, model.model.visual.blocks])


@torch.no_grad()
def initialize(model: Qwen2VLForConditionalGeneration, pixels: torch.Tensor) -> None:
    """As `initialize_vision`, for rotary positions: heads of the first two layers start by looking at a neighbor.

    A key that starts as (a, 0) in every rotary plane, and a query as (a cos(d f), a sin(d f)) in the plane of frequency
    f, have their largest product where the key's place is the query's plus d.
    """
    tower = model.model.visual
    filters = patch_filters(VISION_WIDTH, PATCH)
    spread = torch.nn.functional.conv2d(tower_input(pixels), filters, stride=PATCH).std(dim=(0, 2, 3)).clamp(min=1e-6)
    tower.patch_embed.proj.weight.copy_((filters / spread[:, None, None, None] / FRAMES).unsqueeze(2))
    frequencies = tower.rotary_pos_emb.inv_freq
    for layer, places in zip(tower.blocks, NEIGHBOURS, strict=False):
        query, key, _ = layer.attn.qkv.bias.view(3, VISION_HEADS, 2, -1)
        for head, (down, right) in enumerate(places):
            turns = torch.cat((down * frequencies, right * frequencies))
            query[head].copy_(ATTENTION_BIAS * torch.stack((turns.cos(), turns.sin())))
            key[head, 0] = ATTENTION_BIAS


QWEN2VL = Architecture(
    image_side=IMAGE_SIDE,
    grids=(GRID,),
    image_tokens=CELLS * CELLS,
    sample_size=sample_size,
    view_pixels=view_pixels,
    build_processor=build_processor,
    build_model=build_model,
    image_features=image_features,
    embed_image=embed_image,
    prefix_positions=prefix_positions,
    encoder=encoder,
    first_towers=no_tower,
    initialize=initialize,
)
