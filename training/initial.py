"""A vision tower that starts with what a small one spends most of its training on finding."""

from __future__ import annotations

import numpy as np
import torch
from architecture import vision_layers

_HEAD = 32  # channels per head, and of the position: `_shift_matrix` fills a head with one turn of the position
_FREQUENCIES = 2 * np.pi / 16 * np.arange(1, 9)  # 16 positions per period: none of up to 8 wraps around
_OFFSETS = ((0, -1), (0, 1), (-1, 0), (1, 0)), ((-1, -1), (-1, 1), (1, -1), (1, 1))


@torch.no_grad()
def initialize_vision(tower: torch.nn.Module, sample: torch.Tensor) -> None:
    """Set the first weights of a SigLIP or CLIP tower with heads of 32 channels.

    The patch embedding starts as the lowest frequencies of each patch (luminance and two color differences), scaled
    to unit variance on `sample` (batch, 3, side, side); 32 channels hold the patch's position as sines and cosines;
    four heads in each of the first two layers start by looking at one of the eight neighbors.
    """
    layers = vision_layers(tower)
    embeddings = layers.embeddings
    patch = embeddings.patch_embedding.kernel_size[0]
    positions = _position_channels(sample.shape[-1] // patch)
    filters = torch.zeros_like(embeddings.patch_embedding.weight)
    filters[_HEAD:] = patch_filters(len(filters) - _HEAD, patch)
    response = torch.nn.functional.conv2d(sample, filters, stride=patch)
    spread = response.std(dim=(0, 2, 3)).clamp(min=1e-6)
    spread[:_HEAD] = 1.0
    embeddings.patch_embedding.weight.copy_(filters / spread[:, None, None, None])
    if embeddings.patch_embedding.bias is not None:
        embeddings.patch_embedding.bias.zero_()
    embeddings.position_embedding.weight.zero_()
    embeddings.position_embedding.weight[-len(positions) :, :_HEAD] = positions  # a class token comes first

    for layer, directions in zip(layers.encoder.layers[:2], _OFFSETS, strict=True):
        attention = layer.self_attn
        for head, (down, right) in enumerate(directions):
            rows = slice(head * _HEAD, (head + 1) * _HEAD)
            for projection, shift in ((attention.q_proj, (down, right)), (attention.k_proj, (0, 0))):
                projection.weight[rows] *= 0.1
                projection.weight[rows, :_HEAD] += 1.7 * _shift_matrix(shift)


def patch_filters(count: int, patch: int) -> torch.Tensor:
    """(count, 3, patch, patch): cosine functions of lowest frequency, half of luminance, half of color differences."""
    luminance, red_green, blue_yellow = (1 / 3, 1 / 3, 1 / 3), (0.5, -0.5, 0.0), (-0.25, -0.25, 0.5)
    counts = (count - 2 * (count // 4), count // 4, count // 4)
    return torch.cat(
        [
            torch.tensor(mixture)[:, None, None] * _cosine_basis(share, patch)[:, None]
            for mixture, share in zip((luminance, red_green, blue_yellow), counts, strict=True)
        ]
    )


def _position_channels(grid: int) -> torch.Tensor:
    """(patches, 32): cosine and sine of the row, then of the column, for eight frequencies."""
    row, column = np.divmod(np.arange(grid * grid), grid)
    parts = [function(place[:, None] * _FREQUENCIES) for place in (row, column) for function in (np.cos, np.sin)]
    return torch.tensor(np.concatenate(parts, axis=1), dtype=torch.float32)


def _shift_matrix(shift: tuple[int, int]) -> torch.Tensor:
    """(32, 32): turns the channels of a position into those of the position `shift` = (down, right) away."""
    matrix = np.zeros((_HEAD, _HEAD))
    for axis, steps in enumerate(shift):
        for index, frequency in enumerate(_FREQUENCIES):
            c, s = 16 * axis + index, 16 * axis + 8 + index
            turn = steps * frequency
            matrix[c, c], matrix[c, s] = np.cos(turn), -np.sin(turn)
            matrix[s, c], matrix[s, s] = np.sin(turn), np.cos(turn)
    return torch.tensor(matrix, dtype=torch.float32)


def _cosine_basis(count: int, patch: int) -> torch.Tensor:
    """(count, patch, patch): the two-dimensional cosine functions of lowest frequency."""
    place = (np.arange(patch) + 0.5) * np.pi / patch
    order = sorted(((u, v) for u in range(patch) for v in range(patch)), key=lambda uv: (uv[0] ** 2 + uv[1] ** 2, uv))
    waves = [np.outer(np.cos(u * place), np.cos(v * place)) for u, v in order[:count]]
    return torch.tensor(np.stack(waves), dtype=torch.float32)
