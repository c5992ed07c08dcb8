"""Leaves out what no selected token reads.

The logits of a selected token come from the last layer's output at the place before it. What the last layer puts out
at all other places is thrown away, so neither its feed-forward part, nor the queries of its attention, nor what turns
attention's result into hidden states need run there: each treats every place by itself. Keys and values are needed at
every place. In a small model of five layers (the embedded one) that is 10 % of all multiplications, in LLaVA-1.5-7B
2.5 %.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from wherelook.errors import InputError
from wherelook.models.huggingface.internals import find_decoder
from wherelook.models.speedups.patching import Forward, replacing_forward

FEED_FORWARD = "mlp"
"""What Transformers' decoder layers call it. Where a layer has none of that name, everything is computed."""

ATTENTION = "self_attn"
PROJECTIONS = ("q_proj", "o_proj")
"""Of the queries, and of attention's result; likewise."""

ROUNDS_TOGETHER = "Linear8bitLt"
"""bitsandbytes' int8 looks for columns of large values over all places that it is given: such parts run whole."""


@contextlib.contextmanager
def only_at(parts: Sequence[nn.Module], from_end: Int[Tensor, " places"]) -> Iterator[None]:
    """Inside, these parts of a model run at these places only; elsewhere they give zeros.

    Where that might not be the same for the places asked for, a part runs as it is.

    Args:
        parts: see `parts_at_selected`; they are left as they were, also after an error.
        from_end: distances from the end of the language model's input (1: the last place), each of them once.
    """
    with contextlib.ExitStack() as stack:
        for part in parts:
            stack.enter_context(replacing_forward(part, partial(_only_at, from_end, int(from_end.max()))))
        yield


def _only_at(from_end: Tensor, furthest: int, whole: Forward) -> Forward:
    def forward(*arguments: Any, **options: Any) -> Any:
        hidden = arguments[0] if len(arguments) == 1 and not options else None
        if not isinstance(hidden, Tensor) or hidden.dim() != 3 or hidden.shape[1] < furthest:
            return whole(*arguments, **options)
        places = (hidden.shape[1] - from_end).to(hidden.device)
        found = whole(hidden.index_select(1, places))
        if not isinstance(found, Tensor):  # a mixture of experts that also tells whom it asked
            return whole(hidden)
        everywhere = torch.zeros(*hidden.shape[:2], found.shape[-1], dtype=found.dtype, device=found.device)
        return everywhere.index_copy(1, places.to(found.device), found)

    return forward


def parts_at_selected(model: nn.Module) -> tuple[nn.Module, ...]:
    """The parts of the language model's last layer that need run only where a selected token is predicted.

    Its feed-forward part, and attention's projections of queries and of its result; those of them that are found and
    do not serve elsewhere too.
    """
    try:
        decoder = find_decoder(model)
    except InputError:
        return ()
    last = decoder.layers[-1]
    if sum(layer is last for layer in decoder.layers) > 1:
        return ()
    attention = getattr(last, ATTENTION, None)
    candidates = [] if _is_asked_for_routers(model, decoder) else [getattr(last, FEED_FORWARD, None)]
    if isinstance(attention, nn.Module) and not _mixes_places(attention):
        candidates += [getattr(attention, name, None) for name in PROJECTIONS]
    if any(_mixes_places(child) for name, child in last.named_children() if not _is_known(name)):
        return ()
    uses = Counter(id(module) for _, module in model.named_modules(remove_duplicate=False))
    parts = [part for part in candidates if isinstance(part, nn.Module) and uses[id(part)] == 1]
    return tuple(part for part in parts if ROUNDS_TOGETHER not in {type(one).__name__ for one in part.modules()})


def _is_asked_for_routers(*models: nn.Module) -> bool:
    """A mixture of experts that tells whom it asked tells it for every place."""
    configurations = (getattr(model, "config", None) for model in models)
    return any(getattr(configuration, "output_router_logits", False) for configuration in configurations)


def _is_known(name: str) -> bool:
    """Attention, which reads other places' inputs only, and the feed-forward part."""
    return name == FEED_FORWARD or name.endswith(("attn", "attention"))


def _mixes_places(part: nn.Module) -> bool:
    """Whether a part may read several places of what it is given, such as a convolution does.

    Linear maps and norms treat every place by itself.
    """
    return any(
        not isinstance(module, nn.Linear) and not type(module).__name__.endswith("Norm")
        for module in part.modules()
        if next(module.parameters(recurse=False), None) is not None
    )
