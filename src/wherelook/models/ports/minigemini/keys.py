"""What the published checkpoints call their tensors, and what they are called here."""

from __future__ import annotations

import re

KEYS = (
    # projector: Linear, GELU, Linear
    (r"model\.mm_projector\.0\.", "model.multi_modal_projector.linear_1."),
    (r"model\.mm_projector\.2\.", "model.multi_modal_projector.linear_2."),
    # patch info mining: LayerNorm, Linear
    (r"model\.vlm_uni_query_projector\.", "model.mining.query."),
    (r"model\.vlm_uni_aux_projector\.", "model.mining.key."),
    (r"model\.vlm_uni_val_projector\.", "model.mining.value."),
    # low-resolution tower: CLIP
    (r"model\.vision_tower\.vision_tower\.(?:vision_model\.)?", "model.vision_tower."),
    # high-resolution tower: ConvNeXt in the names of OpenCLIP (timm)
    (r"model\.vision_tower_aux\.vision_stem\.0\.", "model.high_resolution_tower.embeddings.patch_embeddings."),
    (r"model\.vision_tower_aux\.vision_stem\.1\.", "model.high_resolution_tower.embeddings.layernorm."),
    (
        r"model\.vision_tower_aux\.vision_stages\.(\d+)\.downsample\.",
        r"model.high_resolution_tower.encoder.stages.\1.downsampling_layer.",
    ),
    (
        r"model\.vision_tower_aux\.vision_stages\.(\d+)\.blocks\.(\d+)\.conv_dw\.",
        r"model.high_resolution_tower.encoder.stages.\1.layers.\2.dwconv.",
    ),
    (
        r"model\.vision_tower_aux\.vision_stages\.(\d+)\.blocks\.(\d+)\.norm\.",
        r"model.high_resolution_tower.encoder.stages.\1.layers.\2.layernorm.",
    ),
    (
        r"model\.vision_tower_aux\.vision_stages\.(\d+)\.blocks\.(\d+)\.mlp\.fc([12])\.",
        r"model.high_resolution_tower.encoder.stages.\1.layers.\2.pwconv\3.",
    ),
    (
        r"model\.vision_tower_aux\.vision_stages\.(\d+)\.blocks\.(\d+)\.gamma",
        r"model.high_resolution_tower.encoder.stages.\1.layers.\2.layer_scale_parameter",
    ),
    # language model; Transformers itself puts Mixtral's experts together when it loads them
    (r"model\.(embed_tokens|layers|norm)\.", r"model.language_model.\1."),
    (r"lm_head\.", "lm_head."),
)
"""(start of a published name, start of the name here), the first that fits."""

TOWER_KEYS = {
    "vision_tower": ((r"vision_model\.", "model.vision_tower.vision_tower."),),
    "high_resolution_tower": (
        (r"visual\.trunk\.stem\.", "model.vision_tower_aux.vision_stem."),
        (r"visual\.trunk\.stages\.", "model.vision_tower_aux.vision_stages."),
    ),
}
"""(start of a name in a tower's own repository, start of the name in a published checkpoint); others are not read."""

COMPUTED = re.compile(r".*(rotary_emb\.inv_freq|embeddings\.position_ids)")
"""Tensors of older checkpoints that follow from the configuration."""


def native_name(published: str) -> str | None:
    """The name here of a tensor of a published checkpoint; None where it has none."""
    return _renamed(published, KEYS)


def published_name(name: str, tower: str) -> str | None:
    """The name in a published checkpoint of a tensor of `tower`'s own repository; None where it is not used."""
    return _renamed(name, TOWER_KEYS[tower])


def _renamed(name: str, table: tuple[tuple[str, str], ...]) -> str | None:
    for pattern, start in table:
        found = re.match(pattern, name)
        if found:
            return found.expand(start) + name[found.end() :]
    return None
