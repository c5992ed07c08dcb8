"""A model that is changed for a while: another forward for a module, weights that ask for no gradient.

Every change is made inside the model's `turn` (`wherelook.models.turns`): no other thread meets it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

from wherelook.errors import InputError

Forward = Callable[..., Any]

INNER_FORWARD = "_old_forward"
"""Where accelerate keeps a module's forward that it calls once the weights are there."""


@contextlib.contextmanager
def replacing_forward(
    module: nn.Module, other: Callable[[Forward], Forward], *, name: str = "forward"
) -> Iterator[None]:
    """Inside, the module's forward is `other(its own)`. It is left as it was, also after an error.

    Hooks on the module still run. Only one thread may do so at a time (`wherelook.models.turns`).

    Args:
        name: of the attribute; `INNER_FORWARD` where accelerate has put its own forward around it.
    """
    before: Forward = getattr(module, name)
    replaced = name in module.__dict__  # accelerate puts its own there
    setattr(module, name, other(before))
    try:
        yield
    finally:
        if replaced:
            setattr(module, name, before)
        else:
            delattr(module, name)


@contextlib.contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """No gradient for weights inside: autograd then saves less. The flags are restored, also after an error.

    Raises:
        InputError: weights that were made in inference mode, through which PyTorch passes no gradient.
    """
    check_differentiable(model)
    named = model.named_parameters(remove_duplicate=False)
    trainable = {name: parameter for name, parameter in named if parameter.requires_grad}
    for parameter in trainable.values():
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for name in trainable:  # by name: offloading makes new parameters meanwhile, and one for each that is tied
            model.get_parameter(name).requires_grad_(True)


def check_differentiable(model: nn.Module) -> None:
    """Raises InputError where PyTorch passes no gradient through weights, because they were made in inference mode."""
    if any(parameter.is_inference() for parameter in model.parameters()):
        raise InputError(
            "the model's weights were made inside torch.inference_mode(), and PyTorch passes no gradient through them: "
            "load the model outside of it, or use a method without gradients, for example occlusion"
        )
