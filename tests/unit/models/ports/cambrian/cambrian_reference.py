"""Cambrian once more: plain loops over images, queries, encoders and heads, from the model's weights.

Nothing of the package is used. The encoders and the decoder layers are Transformers' own classes, called one by one;
everything that is Cambrian's is written here from the paper (arXiv 2406.16860, section 3).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import transformers
from torch import Tensor

Weights = Mapping[str, Tensor]


def logits(config, weights: Weights, ids: Tensor, pixels: Mapping[str, Tensor], sizes: list[tuple[int, int]]) -> Tensor:
    """(batch, length, vocabulary): one image for each row of `ids`."""
    maps = {tower: feature_map(config, weights, tower, values) for tower, values in pixels.items()}
    projected = []
    for index, (tower, features) in enumerate(maps.items()):
        side = config.vision_grids[index]
        joined = torch.cat([_resize(each, side) for each in features], dim=1).permute(0, 2, 3, 1)
        name = f"model.vision_projectors.{index}"
        hidden = _gelu(_linear(weights, f"{name}.feed_forward.linear_1", joined))
        projected.append(_norm(weights, f"{name}.norm", _linear(weights, f"{name}.feed_forward.linear_2", hidden)))
        assert tower == ("siglip", "clip", "dinov2", "convnext")[index]
    rows = [
        language_model(config, weights, ids[row], [each[row] for each in projected], sizes[row])
        for row in range(len(ids))
    ]
    return torch.stack(rows)


def feature_map(config, weights: Weights, tower: str, pixels: Tensor) -> list[Tensor]:
    """(images, channels, rows, columns) of one encoder, a map for each stage of a ConvNeXt."""
    classes = {
        "siglip": transformers.SiglipVisionModel,
        "clip": transformers.CLIPVisionModel,
        "dinov2": transformers.Dinov2Model,
        "convnext": transformers.ConvNextModel,
    }
    with torch.random.fork_rng():  # classes draw weights, which are replaced
        model = classes[tower](getattr(config, f"{tower}_config")).double().eval()
    prefix = f"model.{tower}_tower."
    own = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    missing, unexpected = model.load_state_dict(own, strict=False)
    assert not unexpected
    assert set(missing) <= {"layernorm.weight", "layernorm.bias"}
    if tower == "convnext":
        for module in model.modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.eps = config.convnext_config.layer_norm_eps
        states = model.embeddings(pixels)
        maps = []
        for stage in model.encoder.stages:
            states = stage(states)
            maps.append(states)
        return maps
    output = model(pixels, output_hidden_states=True)
    tokens = {
        "siglip": output.last_hidden_state,
        "clip": output.hidden_states[-2][:, 1:],
        "dinov2": output.last_hidden_state[:, 1:],
    }[tower]
    side = math.isqrt(tokens.shape[1])
    return [tokens.transpose(1, 2).reshape(len(tokens), -1, side, side)]


def language_model(config, weights: Weights, ids: Tensor, maps: list[Tensor], size: tuple[int, int]) -> Tensor:
    """(length, vocabulary) for one row of ids and the projected maps of its image of (height, width)."""
    grid = config.image_grid
    context = maps[0].reshape(-1, maps[0].shape[-1]).mean(dim=0)
    height, width = size
    cut_y = (grid - int(height * (grid / width))) // 2 if width > height else 0
    cut_x = (grid - int(width * (grid / height))) // 2 if height > width else 0

    image, cells = [], []
    for row in range(cut_y, grid - cut_y):
        for column in range(cut_x, grid - cut_x):
            query = weights["model.image_query"][0]
            for layer in range(config.connector_layers):
                name = f"model.connector.layers.{layer}"
                query = aggregate(config, weights, name, query, context, maps, (row, column), size)
            hidden = _gelu(_linear(weights, "model.projector.linear_1", query))
            cells.append((len(image), row, column))
            image.append(_linear(weights, "model.projector.linear_2", hidden))
        image.append(weights["model.image_newline"])

    with torch.random.fork_rng():
        decoder = transformers.AutoModel.from_config(config.text_config, attn_implementation="sdpa").double().eval()
    prefix = "model.language_model."
    decoder.load_state_dict(
        {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    )
    first = int((ids == config.image_token_id).nonzero()[0])
    last = int((ids == config.image_token_id).nonzero()[-1])
    assert last - first + 1 == len(image)
    hidden = torch.cat([decoder.embed_tokens(ids[:first]), torch.stack(image), decoder.embed_tokens(ids[last + 1 :])])
    length = len(ids)
    causal = torch.full((length, length), -torch.inf, dtype=hidden.dtype).triu(1)[None, None]
    positions = torch.arange(length)[None]
    rotary = decoder.rotary_emb(hidden[None], position_ids=positions)
    chosen = [config.language_start + index * config.language_stride for index in range(config.language_aggregators)]
    for index, layer in enumerate(decoder.layers):
        hidden = layer(hidden[None], attention_mask=causal, position_ids=positions, position_embeddings=rotary)[0]
        if index in chosen:
            name = f"model.language_aggregators.{chosen.index(index)}.layers.0"
            changed = hidden.clone()
            for place, row, column in cells:
                changed[first + place] = aggregate(
                    config, weights, name, hidden[first + place], context, maps, (row, column), size
                )
            hidden = changed
    return decoder.norm(hidden) @ weights["lm_head.weight"].T


def aggregate(
    config,
    weights: Weights,
    name: str,
    query: Tensor,
    context: Tensor,
    maps: list[Tensor],
    place: tuple[int, int],
    size: tuple[int, int],
) -> Tensor:
    """One query, at (row, column) of the grid, after one layer of an aggregator."""
    own = {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}
    told = torch.cat([query, own["context_projection.weight"] @ context])
    state = own["query_projection.weight"] @ told
    keys, values = [], []
    for index, features in enumerate(maps):
        side = len(features)
        step = side // config.image_grid
        height, width = size
        cut_y = (side - int(height * (side / width))) // 2 if width > height else 0
        cut_x = (side - int(width * (side / height))) // 2 if height > width else 0
        window = []
        for down in range(step):
            for right in range(step):
                y, x = place[0] * step + down, place[1] * step + right
                inside = cut_y <= y < side - cut_y and cut_x <= x < side - cut_x
                window.append((inside, features[y, x], down * step + right))
        nothing = not any(inside for inside, _, _ in window)
        for inside, feature, number in window:
            if inside or nothing:
                if step > 1:
                    feature = feature + own[f"position_embeddings.{index}"][number]  # noqa: PLW2901
                keys.append(own[f"attention.keys.{index}.1.weight"] @ _norm(own, f"attention.keys.{index}.0", feature))
                values.append(
                    own[f"attention.values.{index}.1.weight"] @ _norm(own, f"attention.values.{index}.0", feature)
                )
    asked = own["attention.query.1.weight"] @ _norm(own, "attention.query.0", state)
    channels = len(asked) // config.aggregator_heads
    heads = []
    for head in range(config.aggregator_heads):
        part = slice(head * channels, (head + 1) * channels)
        scores = torch.stack([asked[part] @ key[part] for key in keys]) / math.sqrt(channels)
        shares = torch.exp(scores - scores.max())
        shares = shares / shares.sum()
        heads.append(sum(share * value[part] for share, value in zip(shares, values, strict=True)))
    state = _norm(own, "norm", state + own["attention.output.weight"] @ torch.cat(heads))
    return query + own["output.linear_2.weight"] @ _gelu(own["output.linear_1.weight"] @ state)


def _resize(features: Tensor, side: int) -> Tensor:
    """Bilinear, corners of pixels aligned: each new cell's center is read between the four nearest old centers."""
    rows, columns = (_interpolation(length, side) for length in features.shape[-2:])
    return rows @ features @ columns.T


def _interpolation(length: int, side: int) -> Tensor:
    """(side, length)"""
    matrix = torch.zeros(side, length, dtype=torch.float64)
    for new in range(side):
        place = max(0.0, (new + 0.5) * length / side - 0.5)
        before = int(place)
        after = min(before + 1, length - 1)
        matrix[new, before] += 1 - (place - before)
        matrix[new, after] += place - before
    return matrix


def _linear(weights: Weights, name: str, values: Tensor) -> Tensor:
    return values @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _norm(weights: Weights, name: str, values: Tensor) -> Tensor:
    centered = values - values.mean(dim=-1, keepdim=True)
    scaled = centered / torch.sqrt(centered.square().mean(dim=-1, keepdim=True) + 1e-5)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _gelu(values: Tensor) -> Tensor:
    return 0.5 * values * (1 + torch.erf(values / math.sqrt(2)))
