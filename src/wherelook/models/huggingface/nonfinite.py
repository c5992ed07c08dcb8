"""Where numbers stop being finite: the first layer that is given finite numbers and does not return them.

One more pass with hooks on every module, made only after a result was found that is not finite. The hooks are removed,
also after an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from wherelook.errors import WherelookError
from wherelook.models.huggingface.internals import removing


def forward_error(model: nn.Module, run: Callable[[], Any]) -> WherelookError:
    """The error for logits that are not finite.

    Args:
        model: the model.
        run: repeats the forward pass that gave them.
    """
    names = _names(model)
    fault: dict[str, nn.Module] = {}

    def watch(module: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any], output: Any) -> None:
        # A module's parts finish before it does. What enters a part broken was broken between the parts.
        if not fault and not _finite(output) and _finite([arguments, _hidden(options)]):
            fault["first"] = module

    hooks = [module.register_forward_hook(watch, with_kwargs=True) for module in names]
    with torch.no_grad(), removing(hooks):
        run()
    return WherelookError(f"the model's logits are not finite{_where(names, fault)}: {_advice(model, fault)}")


def gradient_error(model: nn.Module, run: Callable[[], Any], *, of: str) -> WherelookError:
    """The error for gradients that are not finite.

    Args:
        model: the model.
        run: repeats the forward and the backward pass that gave them.
        of: with respect to what, for the message.
    """
    names = _names(model)
    fault: dict[str, nn.Module] = {}

    def watch(module: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any], output: Any) -> None:
        broken_after: list[bool] = []  # whether a gradient came into this call of the module broken

        def leave(gradient: Tensor) -> None:
            broken_after.append(not _finite(gradient))

        def enter(gradient: Tensor) -> None:
            # The backward pass leaves a module's parts before it leaves the module.
            if not fault and not _finite(gradient) and not any(broken_after):
                fault["first"] = module

        for tensor in _tensors(output):
            if tensor.requires_grad:
                tensor.register_hook(leave)
        for tensor in _tensors([arguments, _hidden(options)]):
            if tensor.requires_grad:
                tensor.register_hook(enter)

    hooks = [module.register_forward_hook(watch, with_kwargs=True) for module in names]
    with removing(hooks):
        run()
    return WherelookError(
        f"the gradient with respect to the {of} is not finite{_where(names, fault)}: {_advice(model, fault)}"
    )


def _names(model: nn.Module) -> dict[nn.Module, str]:
    return {module: name or "the model" for name, module in model.named_modules()}


def _where(names: Mapping[nn.Module, str], fault: Mapping[str, nn.Module]) -> str:
    if not fault:
        return ""
    return f", first in {names[fault['first']]} ({type(fault['first']).__name__})"


def _advice(model: nn.Module, fault: Mapping[str, nn.Module]) -> str:
    dtype = getattr(model, "dtype", None)
    own = fault["first"].parameters(recurse=False) if fault else ()
    if any(not bool(torch.isfinite(weight).all()) for weight in own if weight.is_floating_point()):
        if dtype == torch.float16:
            return "its weights are not finite: use --dtype bfloat16; if that is no better, the checkpoint is damaged"
        return "its weights are not finite, so the checkpoint is damaged: download or convert it again"
    if dtype == torch.float16:
        return "float16 ends at 65,504: use --dtype bfloat16 or float32"
    if dtype == torch.bfloat16:
        return "use --dtype float32"
    return "check that the model's weights are those it was trained with"


def _hidden(options: Mapping[str, Any]) -> list[Any]:
    """What a module is given by name, but masks, where minus infinity is meant."""
    return [value for name, value in options.items() if "mask" not in name]


def _tensors(values: Any) -> Iterator[Tensor]:
    """The tensors of floating-point numbers in what a module takes or gives."""
    if isinstance(values, Tensor):
        if values.is_floating_point():
            yield values
    elif isinstance(values, Mapping):
        yield from _tensors(list(values.values()))
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _tensors(value)


def _finite(values: Any) -> bool:
    return all(bool(torch.isfinite(tensor).all()) for tensor in _tensors(values))
