"""Mini-Gemini once more, from its weights alone: plain loops over tokens, layers and views, in float64.

Nothing of the package and none of Transformers' modules is used. Written from the paper (arXiv 2403.18814) and from the
papers of CLIP, ConvNeXt and Llama.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def linear(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    result = x @ weights[f"{name}.weight"].T
    return result + weights[f"{name}.bias"] if f"{name}.bias" in weights else result


def layer_norm(x: Tensor, weights: dict[str, Tensor], name: str, epsilon: float) -> Tensor:
    centered = x - x.mean(-1, keepdim=True)
    scaled = centered / (centered.pow(2).mean(-1, keepdim=True) + epsilon).sqrt()
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def gelu(x: Tensor) -> Tensor:
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def bilinear(image: Tensor, size: int) -> Tensor:
    """(channels, side, side) to (channels, size, size), each pixel from its four neighbors."""
    side = image.shape[-1]
    result = image.new_zeros(len(image), size, size)
    for row in range(size):
        for column in range(size):
            y, x = (min(max((at + 0.5) * side / size - 0.5, 0), side - 1) for at in (row, column))
            top, left = int(y), int(x)
            down, right = min(top + 1, side - 1), min(left + 1, side - 1)
            v, u = y - top, x - left
            upper = image[:, top, left] * (1 - u) + image[:, top, right] * u
            lower = image[:, down, left] * (1 - u) + image[:, down, right] * u
            result[:, row, column] = upper * (1 - v) + lower * v
    return result


def clip_tokens(pixels: Tensor, weights: dict[str, Tensor], *, layers: int, heads: int) -> Tensor:
    """(3, side, side) to the patches' states after `layers` layers, (patches, width)."""
    kernel = weights["embeddings.patch_embedding.weight"]
    patch = kernel.shape[-1]
    tokens = [weights["embeddings.class_embedding"]]
    for row in range(0, pixels.shape[1], patch):
        for column in range(0, pixels.shape[2], patch):
            cut = pixels[:, row : row + patch, column : column + patch]
            tokens.append((kernel * cut).sum(dim=(1, 2, 3)))
    x = torch.stack(tokens) + weights["embeddings.position_embedding.weight"]
    x = layer_norm(x, weights, "pre_layrnorm", 1e-5)
    for index in range(layers):
        name = f"encoder.layers.{index}"
        seen = layer_norm(x, weights, f"{name}.layer_norm1", 1e-5)
        parts = [linear(seen, weights, f"{name}.self_attn.{part}_proj") for part in "qkv"]
        attended = []
        for query, key, value in zip(*(part.chunk(heads, dim=-1) for part in parts), strict=True):
            attended.append((query @ key.T / math.sqrt(query.shape[-1])).softmax(-1) @ value)
        x = x + linear(torch.cat(attended, dim=-1), weights, f"{name}.self_attn.out_proj")
        hidden = linear(layer_norm(x, weights, f"{name}.layer_norm2", 1e-5), weights, f"{name}.mlp.fc1")
        x = x + linear(hidden * torch.sigmoid(1.702 * hidden), weights, f"{name}.mlp.fc2")
    return x[1:]


def convnext_map(pixels: Tensor, weights: dict[str, Tensor], *, stages: int) -> Tensor:
    """(3, side, side) to the maps of all stages at the first one's size, (channels, side / 4, side / 4)."""

    def convolved(x: Tensor, name: str, **options: int) -> Tensor:
        return functional.conv2d(x[None], weights[f"{name}.weight"], weights[f"{name}.bias"], **options)[0]

    def normed(x: Tensor, name: str) -> Tensor:
        return layer_norm(x.permute(1, 2, 0), weights, name, 1e-6).permute(2, 0, 1)

    x = normed(convolved(pixels, "embeddings.patch_embeddings", stride=4), "embeddings.layernorm")
    maps = []
    for index in range(stages):
        name = f"encoder.stages.{index}"
        if f"{name}.downsampling_layer.0.weight" in weights:
            x = convolved(normed(x, f"{name}.downsampling_layer.0"), f"{name}.downsampling_layer.1", stride=2)
        for layer in range(100):
            block = f"{name}.layers.{layer}"
            if f"{block}.dwconv.weight" not in weights:
                break
            y = normed(convolved(x, f"{block}.dwconv", padding=3, groups=len(x)), f"{block}.layernorm")
            y = linear(gelu(linear(y.permute(1, 2, 0), weights, f"{block}.pwconv1")), weights, f"{block}.pwconv2")
            x = x + (y * weights[f"{block}.layer_scale_parameter"]).permute(2, 0, 1)
        maps.append(x)
    return torch.cat([bilinear(each, maps[0].shape[-1]) for each in maps])


def mined(tokens: Tensor, features: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """Each token with what it mines from the cells of its own patch: (tokens, width), (channels, side, side)."""
    grid = math.isqrt(len(tokens))
    cells = features.shape[-1] // grid
    result = []
    for row in range(grid):
        for column in range(grid):
            token = tokens[row * grid + column]
            query = linear(layer_norm(token, weights, "query.0", 1e-5), weights, "query.1")
            keys, values = [], []
            for y in range(row * cells, (row + 1) * cells):
                for x in range(column * cells, (column + 1) * cells):
                    cell = features[:, y, x]
                    keys.append(linear(layer_norm(cell, weights, "key.0", 1e-5), weights, "key.1"))
                    values.append(linear(layer_norm(cell, weights, "value.0", 1e-5), weights, "value.1"))
            scores = torch.stack([query @ key for key in keys]) / math.sqrt(len(query))
            share = scores.exp() / scores.exp().sum()
            result.append(token + sum(part * value for part, value in zip(share, values, strict=True)))
    return torch.stack(result)


def llama_logits(embedded: Tensor, weights: dict[str, Tensor], head: Tensor, *, layers: int, heads: int) -> Tensor:
    """(length, width) to (length, vocabulary): causal, with rotary positions and one key and value for all heads."""
    length, width = embedded.shape
    channels = width // heads
    # Transformers takes the angles in float32.
    frequencies = torch.tensor([10000.0 ** (-2 * index / channels) for index in range(channels // 2)]).float()
    angles = (torch.arange(length).float()[:, None] * frequencies).double().repeat(1, 2)

    def rotated(x: Tensor) -> Tensor:
        first, second = x.chunk(2, dim=-1)
        return x * angles.cos() + torch.cat((-second, first), dim=-1) * angles.sin()

    def normed(x: Tensor, name: str) -> Tensor:
        return x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * weights[f"{name}.weight"]

    x = embedded
    later = torch.ones(length, length, dtype=torch.bool).triu(1)
    for index in range(layers):
        name = f"layers.{index}"
        seen = normed(x, f"{name}.input_layernorm")
        queries = linear(seen, weights, f"{name}.self_attn.q_proj").chunk(heads, dim=-1)
        key = rotated(linear(seen, weights, f"{name}.self_attn.k_proj"))
        value = linear(seen, weights, f"{name}.self_attn.v_proj")
        attended = []
        for query in queries:
            scores = (rotated(query) @ key.T / math.sqrt(channels)).masked_fill(later, -math.inf)
            attended.append(scores.softmax(-1) @ value)
        x = x + linear(torch.cat(attended, dim=-1), weights, f"{name}.self_attn.o_proj")
        seen = normed(x, f"{name}.post_attention_layernorm")
        gate, up = (linear(seen, weights, f"{name}.mlp.{part}_proj") for part in ("gate", "up"))
        x = x + linear(gate * torch.sigmoid(gate) * up, weights, f"{name}.mlp.down_proj")
    return normed(x, "norm") @ head.T


def image_tokens(pixels: Tensor, high: Tensor, weights: dict[str, Tensor], *, grid: int, whole: bool) -> Tensor:
    """What the language model reads for one image: (views, 3, side, side) and (3, high side, high side)."""
    towers = {name: part_of(weights, f"model.{name}.") for name in ("vision_tower", "high_resolution_tower", "mining")}
    features = convnext_map(high, towers["high_resolution_tower"], stages=4)
    side = features.shape[-1] // grid
    regions = [bilinear(features, side)] if whole else []
    for row in range(grid):
        for column in range(grid):
            regions.append(features[:, row * side : (row + 1) * side, column * side : (column + 1) * side])
    tokens = []
    for view, region in zip(pixels, regions, strict=True):
        tokens.append(mined(clip_tokens(view, towers["vision_tower"], layers=1, heads=2), region, towers["mining"]))
    projector = part_of(weights, "model.multi_modal_projector.")
    return linear(gelu(linear(torch.cat(tokens), projector, "linear_1")), projector, "linear_2")


def part_of(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
