"""Convolutions without overlap as matrix products: the same numbers, and only where they are such."""

from __future__ import annotations

import pytest
import torch
from tools.families import build
from torch import nn

from wherelook.models.speedups.patch_embedding import as_products, patch_embeddings

SIZES = {
    "square": (nn.Conv2d(3, 5, 4, 4), (2, 3, 8, 12)),
    "rest left out": (nn.Conv2d(3, 5, (4, 3), (4, 3), bias=False), (2, 3, 11, 10)),
    "smaller than a window": (nn.Conv2d(3, 5, 4, 4), (2, 3, 4, 3)),
    "no image": (nn.Conv2d(3, 5, 4, 4), (0, 3, 8, 8)),
    "time": (nn.Conv3d(3, 5, (2, 4, 4), (2, 4, 4)), (3, 3, 2, 4, 4)),
    "unbatched": (nn.Conv2d(3, 5, 4, 4), (3, 8, 12)),
}


@pytest.mark.parametrize("name", SIZES)
def test_numbers_and_gradients_are_the_convolutions(name):
    convolution, shape = SIZES[name]
    convolution = convolution.double()
    pixels = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    if name == "smaller than a window":
        with pytest.raises(RuntimeError):
            convolution(pixels)
        return
    expected = convolution(pixels)
    (gradient,) = torch.autograd.grad(expected.square().sum(), pixels)
    with as_products(patch_embeddings(convolution)):
        assert "forward" in convolution.__dict__
        found = convolution(pixels)
    assert "forward" not in convolution.__dict__
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found.square().sum(), pixels)[0], gradient)


@pytest.mark.parametrize(
    "other",
    [
        nn.Conv2d(3, 5, 4, 2),  # overlap
        nn.Conv2d(3, 5, 4, 4, padding=1),
        nn.Conv2d(4, 4, 4, 4, groups=2),
        nn.Conv2d(3, 5, 2, 2, dilation=2),
        nn.Conv2d(3, 5, 1, 1),  # a product already
        nn.Linear(3, 5),
        type("Own", (nn.Conv2d,), {})(3, 5, 4, 4),
    ],
    ids=["overlap", "padding", "groups", "dilation", "one pixel", "linear", "subclass"],
)
def test_others_stay_as_they_are(other):
    assert patch_embeddings(other) == ()


@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "internvl"])
def test_vision_towers_begin_with_one(family):
    model, _ = build(family)
    found = patch_embeddings(model)
    assert found
    assert {type(one) for one in found} <= {nn.Conv2d, nn.Conv3d}


def test_the_convolution_is_as_it_was_after_an_error():
    convolution, _ = SIZES["square"]
    with pytest.raises(ZeroDivisionError), as_products([convolution]):
        _ = 1 / 0
    assert "forward" not in convolution.__dict__
