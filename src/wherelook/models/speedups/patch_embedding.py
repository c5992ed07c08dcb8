"""Patch embeddings as matrix products.

Nearly every vision tower begins with a convolution whose windows do not overlap, which is a matrix product of each
window's pixels. Libraries are slow at such a convolution's gradient with respect to the pixels, above all on a CPU; a
product is not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from math import prod
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from wherelook.models.speedups.patching import INNER_FORWARD, Forward, replacing_forward

CONVOLUTIONS: tuple[type[nn.Conv2d] | type[nn.Conv3d], ...] = (nn.Conv2d, nn.Conv3d)


def patch_embeddings(model: nn.Module) -> tuple[nn.Module, ...]:
    """The convolutions of a model whose windows neither overlap nor leave anything out."""
    return tuple(module for module in model.modules() if _has_separate_windows(module))


@contextlib.contextmanager
def as_products(convolutions: Sequence[nn.Module]) -> Iterator[None]:
    """Inside, these convolutions are computed as matrix products; the same numbers to rounding.

    Args:
        convolutions: see `patch_embeddings`.
    """
    with contextlib.ExitStack() as stack:
        for convolution in convolutions:
            name = INNER_FORWARD if INNER_FORWARD in convolution.__dict__ else "forward"
            stack.enter_context(replacing_forward(convolution, partial(_product, convolution), name=name))
        yield


def _has_separate_windows(module: nn.Module) -> bool:
    # Not a subclass with a forward of its own, nor one that got another, but by accelerate, which keeps the first.
    if type(module) not in CONVOLUTIONS or ("forward" in module.__dict__ and INNER_FORWARD not in module.__dict__):
        return False
    convolution: Any = module
    return (
        convolution.kernel_size == convolution.stride
        and prod(convolution.kernel_size) > 1
        and set(convolution.dilation) == {1}
        and convolution.padding in (tuple(0 for _ in convolution.stride), "valid")
        and convolution.groups == 1
    )


def _product(convolution: Any, whole: Forward) -> Forward:
    window = convolution.kernel_size

    def forward(pixels: Tensor) -> Any:
        if pixels.dim() != 2 + len(window):  # a single image
            return whole(pixels)
        counts = [size // side for size, side in zip(pixels.shape[2:], window, strict=True)]
        if 0 in counts:  # an error
            return whole(pixels)
        for axis, (count, side) in enumerate(zip(counts, window, strict=True), start=2):
            pixels = pixels.narrow(axis, 0, count * side)  # a convolution leaves the rest out, too
        sides = [part for pair in zip(counts, window, strict=True) for part in pair]
        places, inside = range(2, 2 + len(sides), 2), range(3, 3 + len(sides), 2)
        windows = pixels.reshape(*pixels.shape[:2], *sides).permute(0, *places, 1, *inside)
        rows = windows.reshape(len(pixels), prod(counts), pixels.shape[1] * prod(window))
        found = functional.linear(rows, convolution.weight.flatten(1), convolution.bias)
        return found.transpose(1, 2).reshape(len(pixels), found.shape[-1], *counts)

    return forward
