"""`torch.compile` for the layers of a model one by one: they share their code, which is compiled once for each kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from wherelook.types import InputError


def compile_layers(model: nn.Module, *, backend: str | Callable[..., Any] = "inductor") -> None:
    """Compiles the layers when they are first called, for any batch size and length. The model is changed in place.

    Args:
        model: of Transformers.
        backend: of torch.compile; "inductor" needs a C++ compiler on a CPU.

    Raises:
        InputError: a model with quantised or offloaded weights, or one whose layers cannot be told.
    """
    if getattr(model, "is_quantized", False):
        raise InputError("--compile is for whole weights: leave it or --quantize out")
    if any(hasattr(module, "_hf_hook") for module in model.modules()):
        raise InputError("--compile is for a model on one device: leave it or --device auto out")
    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not layers:
        raise InputError(f"--compile finds no layers in {type(model).__name__}: leave it out")
    for layer in layers:
        layer.compile(backend=backend, dynamic=True)
