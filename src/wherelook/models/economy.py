"""Leaves out what no selected token reads.

The logits of a selected token come from the last layer's output at the place before it. What the last layer puts out
at all other places is thrown away, so its feed-forward part, which treats every place by itself, need not run there. In
a small model of five layers that is an eighth of all arithmetic, in one of 32 layers two per cent.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from wherelook.models.inside import find_decoder
from wherelook.types import InputError

FEED_FORWARD = "mlp"
"""What Transformers' decoder layers call it. Where a layer has none of that name, everything is computed."""


@contextlib.contextmanager
def feed_forward_only(model: nn.Module, from_end: Int[Tensor, " places"]) -> Iterator[None]:
    """Inside, the last layer's feed-forward part runs at these places only; elsewhere it gives zeros.

    Args:
        model: of Transformers; it is left as it was, also after an error.
        from_end: distances from the end of the language model's input (1: the last place), each of them once.
    """
    part = last_feed_forward(model)
    if part is None:
        yield
        return
    whole: Any = part.forward
    replaced = "forward" in part.__dict__  # accelerate puts its own there

    def forward(hidden: Tensor, *arguments: Any, **options: Any) -> Any:
        if hidden.dim() != 3 or hidden.shape[1] < int(from_end.max()):
            return whole(hidden, *arguments, **options)
        places = (hidden.shape[1] - from_end).to(hidden.device)
        found = whole(hidden.index_select(1, places), *arguments, **options)
        if not isinstance(found, Tensor):  # a mixture of experts that also tells whom it asked
            return whole(hidden, *arguments, **options)
        everywhere = torch.zeros(*hidden.shape[:2], found.shape[-1], dtype=found.dtype, device=found.device)
        return everywhere.index_copy(1, places.to(found.device), found)

    part.forward = forward
    try:
        yield
    finally:
        if replaced:
            part.forward = whole
        else:
            del part.forward


def last_feed_forward(model: nn.Module) -> nn.Module | None:
    """The feed-forward part of the language model's last layer, where it is found."""
    try:
        last = find_decoder(model).layers[-1]
    except InputError:
        return None
    part = getattr(last, FEED_FORWARD, None)
    return part if isinstance(part, nn.Module) else None
