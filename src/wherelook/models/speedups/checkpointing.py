"""Gradient checkpointing (Chen et al. 2016, arXiv 1604.06174): layers are computed again in the backward pass.

Memory for a gradient is then one input per layer and the inside of one layer, for one more forward pass. Transformers'
own switch works in training mode only, which an explanation must not be in. Weights that wait on the CPU or the disk
are also fetched again, and no longer held by the graph until the backward pass is over.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop
from transformers.modeling_layers import GradientCheckpointingLayer

from wherelook.models.speedups.patching import Forward, replacing_forward


@contextlib.contextmanager
def recomputing(model: nn.Module) -> Iterator[None]:
    """Inside, a Transformers model's layers keep only their inputs for the backward pass, which must be inside too.

    The model is left as it was, also after an error.
    """
    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    with contextlib.ExitStack() as stack:
        # Stopping early is by an exception, at which accelerate would leave what it fetched where it is.
        stack.enter_context(set_checkpoint_early_stop(False))
        for layer in layers:
            stack.enter_context(replacing_forward(layer, _checkpointed))
        yield


def _checkpointed(whole: Forward) -> Forward:
    def forward(*arguments: Any, **options: Any) -> Any:
        # In evaluation mode nothing is random, so there is no random state to restore.
        return checkpoint(whole, *arguments, use_reentrant=False, preserve_rng_state=False, **options)

    return forward
