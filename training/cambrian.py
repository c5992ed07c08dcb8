"""The model of several encoders: a small Cambrian, with aggregators before and inside its language model."""

from __future__ import annotations

import numpy as np
import torch
from architecture import Architecture, language_settings, tower_input, with_ends
from PIL import Image
from prompts import CHAT_TEMPLATE, IMAGE
from transformers import (
    CLIPVisionConfig,
    ConvNextConfig,
    Dinov2Config,
    LlamaConfig,
    PreTrainedTokenizerFast,
    SiglipVisionConfig,
)

from wherelook.models.ports.cambrian.configuration import TOWERS, CambrianConfig
from wherelook.models.ports.cambrian.modeling import AGGREGATION, CambrianForConditionalGeneration
from wherelook.models.ports.cambrian.processing import CambrianImageProcessor, CambrianProcessor

IMAGE_SIDE, PATCH = 128, 16
GRID = IMAGE_SIDE // PATCH
GRIDS = (GRID, GRID, GRID, 2 * GRID)
WIDTH, HEADS = 128, 4
SIGLIP_LAYERS, CLIP_LAYERS, DINOV2_LAYERS = 3, 3, 2  # the last one of CLIP is not read
VISION_MLP = 256
CONVNEXT_WIDTHS, CONVNEXT_LAYERS = (32, 64, 96, 128), (1, 1, 1, 1)
TEXT_SIZES = {"base": (5, 320), "small": (3, 160)}  # layers, width of the feed-forward part
VIEW = {"side": IMAGE_SIDE, "mean": [0.5] * 3, "std": [0.5] * 3, "padding": [127] * 3}


def build_processor(tokenizer: PreTrainedTokenizerFast) -> CambrianProcessor:
    image_processor = CambrianImageProcessor(
        views=dict.fromkeys(TOWERS, VIEW),
        image_grid=GRID,
        resample=2,  # bilinear: no ringing at edges
    )
    return CambrianProcessor(image_processor, tokenizer, chat_template=CHAT_TEMPLATE, image_token=IMAGE)


def build_model(tokenizer: PreTrainedTokenizerFast, scale: str) -> CambrianForConditionalGeneration:
    text = LlamaConfig(
        **language_settings(tokenizer, WIDTH, HEADS, TEXT_SIZES[scale]),
        tie_word_embeddings=True,
    )
    tower = {
        "hidden_size": WIDTH,
        "num_attention_heads": HEADS,
        "image_size": IMAGE_SIDE,
        "patch_size": PATCH,
    }
    config = CambrianConfig(
        siglip_config=SiglipVisionConfig(**tower, num_hidden_layers=SIGLIP_LAYERS, intermediate_size=VISION_MLP),
        clip_config=CLIPVisionConfig(
            **tower, num_hidden_layers=CLIP_LAYERS, intermediate_size=VISION_MLP, projection_dim=WIDTH
        ),
        dinov2_config=Dinov2Config(**tower, num_hidden_layers=DINOV2_LAYERS, mlp_ratio=VISION_MLP // WIDTH),
        convnext_config=ConvNextConfig(
            hidden_sizes=list(CONVNEXT_WIDTHS), depths=list(CONVNEXT_LAYERS), layer_norm_eps=1e-5
        ),
        text_config=text,
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        vision_grids=GRIDS,
        image_grid=GRID,
        vision_hidden_size=WIDTH,
        aggregator_heads=HEADS,
        connector_layers=2,
        language_aggregators=2,
        language_start=0,
        language_stride=2,
        tie_word_embeddings=True,
    )
    return with_ends(CambrianForConditionalGeneration(config), tokenizer)


def sample_size(rng: np.random.Generator) -> tuple[int, int]:
    """Square: other shapes take other numbers of image tokens, which a packed batch has no room for."""
    side = int(rng.choice((128, 224, 448), p=(0.65, 0.3, 0.05)))
    return side, side


def view_pixels(image: Image.Image) -> np.ndarray:
    """(IMAGE_SIDE, IMAGE_SIDE, 3) of a square image: what every encoder sees."""
    return np.asarray(image.resize((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.BILINEAR))


def image_features(model: CambrianForConditionalGeneration, pixels: torch.Tensor) -> torch.Tensor:
    """The projected map of each encoder."""
    maps = model.model.project([tower_input(pixels)] * len(TOWERS))
    return torch.cat([each.flatten(1, 2) for each in maps], dim=1)


def embed_image(model: CambrianForConditionalGeneration, features: torch.Tensor) -> torch.Tensor:
    """The connector's tokens, with a newline after each row."""
    rows = torch.stack(model.model.connect(_maps(features), _sizes(features)))
    newlines = model.model.image_newline.to(rows.dtype).expand(len(rows), GRID, 1, WIDTH)
    return torch.cat((rows, newlines), dim=2).flatten(1, 2)


def language_inputs(model: CambrianForConditionalGeneration, features: torch.Tensor) -> dict[str, dict]:
    """What the aggregators inside read; the image begins at the second place of a packed sequence."""
    cells = torch.arange(GRID * (GRID + 1)).reshape(GRID, GRID + 1)[:, :-1].flatten() + 1
    rows = torch.arange(len(features)).repeat_interleave(len(cells))
    places = torch.stack((rows, cells.repeat(len(features))), dim=1)
    return {AGGREGATION: {"places": places, **model.model.aggregation(_maps(features), _sizes(features))}}


def encoders(model: CambrianForConditionalGeneration) -> torch.nn.ModuleList:
    """The encoders and their projectors."""
    return torch.nn.ModuleList(
        [*(getattr(model.model, f"{tower}_tower") for tower in TOWERS), model.model.vision_projectors]
    )


def first_towers(model: CambrianForConditionalGeneration) -> list[torch.nn.Module]:
    return [model.model.siglip_tower, model.model.clip_tower]


def _maps(features: torch.Tensor) -> list[torch.Tensor]:
    parts = features.split([side * side for side in GRIDS], dim=1)
    return [part.unflatten(1, (side, side)) for part, side in zip(parts, GRIDS, strict=True)]


def _sizes(features: torch.Tensor) -> list[tuple[int, int]]:
    return [(IMAGE_SIDE, IMAGE_SIDE)] * len(features)


CAMBRIAN = Architecture(
    image_side=IMAGE_SIDE,
    grids=GRIDS,
    image_tokens=GRID * (GRID + 1),
    sample_size=sample_size,
    view_pixels=view_pixels,
    build_processor=build_processor,
    build_model=build_model,
    image_features=image_features,
    embed_image=embed_image,
    language_inputs=language_inputs,
    encoder=encoders,
    first_towers=first_towers,
)
