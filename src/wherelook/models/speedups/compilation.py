"""`torch.compile` for the layers that a model repeats, while it scores masks.

The whole model does not compile to anything that lasts: what leaves the last layer's unread parts out
(`last_layer.py`) changes with every answer. Its other layers are the same for all, and one piece of code
serves all layers of a kind, whatever the number of images and tokens. Everything else, such as generating an answer or
reading the inside, runs as it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial

import torch
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from wherelook.errors import InputError, WherelookError
from wherelook.models.huggingface.internals import find_decoder
from wherelook.models.speedups.patching import INNER_FORWARD, Forward, replacing_forward


def compile_layers(model: nn.Module) -> Mapping[nn.Module, Forward]:
    """The layers of a model and their compiled forwards. Nothing is compiled before it is first called.

    Raises:
        InputError: the model has no layers that are known to repeat, or some of its weights wait elsewhere.
    """
    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    with contextlib.suppress(InputError):  # no decoder is found
        last = find_decoder(model).layers[-1]
        layers = [layer for layer in layers if layer is not last]
    if not layers:
        raise InputError(f"{type(model).__name__} has no layers that torch.compile could be used for: leave it out")
    if any(INNER_FORWARD in module.__dict__ for module in model.modules()):
        raise InputError("torch.compile does not go with a model whose layers lie on several devices: leave one out")
    return {layer: torch.compile(layer.forward, dynamic=True) for layer in layers}


@contextlib.contextmanager
def compiled(layers: Mapping[nn.Module, Forward]) -> Iterator[None]:
    """Inside, these layers run compiled.

    Raises:
        WherelookError: a layer cannot be compiled, or there is no compiler for this device.
    """
    if not layers:  # nothing of the compiler is imported then, whatever goes wrong inside
        yield
        return
    with contextlib.ExitStack() as stack:
        for layer, forward in layers.items():
            stack.enter_context(replacing_forward(layer, partial(_instead, forward)))
        try:
            yield
        except torch._dynamo.exc.TorchDynamoException as error:
            reason = " ".join(str(error).partition("Set TORCHDYNAMO_VERBOSE")[0].split())[:200]  # how to see its trace
            raise WherelookError(f"torch.compile failed: {reason}; leave it out (--compile)") from error


def _instead(other: Forward, _: Forward) -> Forward:
    return other
