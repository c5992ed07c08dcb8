"""The Spatial Vision Aggregator: queries that attend to their own places in the feature maps of several encoders.

Source: Cambrian-1 (arXiv 2406.16860), section 3 and equation 1. The encoders' features are projected to one width;
a query attends to the cells of every map that lie where it lies, all encoders in one softmax.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from wherelook.models.ports.multimodal import FeedForward

Windows = Sequence[Float[Tensor, "queries _ channels"]]
"""For each encoder the cells that each query attends to."""

WindowMasks = Sequence[Bool[Tensor, "queries _"]]
"""For each encoder which of these cells are open."""


class WindowAttention(nn.Module):
    """Attention of one query to its window in every encoder's map, with keys and values of each encoder's own."""

    def __init__(self, width: int, encoders: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = _normed_linear(width)
        self.keys = nn.ModuleList(_normed_linear(width) for _ in range(encoders))
        self.values = nn.ModuleList(_normed_linear(width) for _ in range(encoders))
        self.output = nn.Linear(width, width, bias=False)

    def forward(
        self, queries: Float[Tensor, "queries channels"], windows: Windows, masks: WindowMasks
    ) -> Float[Tensor, "queries channels"]:
        keys = torch.cat([project(window) for project, window in zip(self.keys, windows, strict=True)], dim=1)
        values = torch.cat([project(window) for project, window in zip(self.values, windows, strict=True)], dim=1)
        attended = functional.scaled_dot_product_attention(
            self._heads(self.query(queries)[:, None]),
            self._heads(keys),
            self._heads(values),
            attn_mask=torch.cat(list(masks), dim=1)[:, None, None],
        )
        result: Float[Tensor, "queries channels"] = self.output(attended.flatten(1))
        return result

    def _heads(self, states: Float[Tensor, "queries cells channels"]) -> Float[Tensor, "queries heads cells _"]:
        result: Float[Tensor, "queries heads cells _"] = states.unflatten(2, (self.heads, -1)).transpose(1, 2)
        return result


class AggregatorLayer(nn.Module):
    """One round of attention.

    Args:
        query_width: channels of the queries.
        width: channels of the maps, of the context and inside.
        window_sizes: cells that a query attends to, for each encoder.
        heads: attention heads.
    """

    def __init__(self, query_width: int, width: int, window_sizes: Sequence[int], heads: int) -> None:
        super().__init__()
        self.context_projection = nn.Linear(width, width, bias=False)
        self.query_projection = nn.Linear(query_width + width, width, bias=False)
        self.position_embeddings = nn.ParameterDict(
            {str(index): torch.empty(cells, width) for index, cells in enumerate(window_sizes) if cells > 1}
        )
        self.attention = WindowAttention(width, len(window_sizes), heads)
        self.norm = nn.LayerNorm(width)
        self.output = FeedForward(width, width, query_width, bias=False)

    def forward(
        self,
        queries: Float[Tensor, "queries query_channels"],
        context: Float[Tensor, "queries channels"],
        windows: Windows,
        masks: WindowMasks,
    ) -> Float[Tensor, "queries query_channels"]:
        """The queries with what the image adds; see `SpatialVisionAggregator`."""
        placed = [
            window + self.position_embeddings[str(index)] if str(index) in self.position_embeddings else window
            for index, window in enumerate(windows)
        ]
        states = self.query_projection(torch.cat([queries, self.context_projection(context)], dim=-1))
        states = self.norm(states + self.attention(states, placed, masks))
        result: Float[Tensor, "queries query_channels"] = queries + self.output(states)
        return result


class SpatialVisionAggregator(nn.Module):
    """Several rounds of attention; see `AggregatorLayer` for the arguments."""

    def __init__(self, query_width: int, width: int, window_sizes: Sequence[int], heads: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(AggregatorLayer(query_width, width, window_sizes, heads) for _ in range(layers))

    def forward(
        self,
        queries: Float[Tensor, "queries query_channels"],
        context: Float[Tensor, "queries channels"],
        windows: Windows,
        masks: WindowMasks,
    ) -> Float[Tensor, "queries query_channels"]:
        """The queries with what the image adds.

        Args:
            queries: one for each place.
            context: what the query's whole image shows.
            windows: projected features where the query lies, for each encoder.
            masks: which of them the query may attend to; at least one in all for every query.
        """
        for layer in self.layers:
            queries = layer(queries, context, windows, masks)
        return queries


def _normed_linear(width: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width, bias=False))
