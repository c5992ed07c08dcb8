"""The first layer that breaks finite numbers is named, in the forward and in the backward pass."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tools.families import build
from torch import Tensor, nn

from wherelook.models.huggingface.nonfinite import forward_error, gradient_error


class Block(nn.Module):
    """Two layers with something between them that belongs to neither."""

    def __init__(self, between: nn.Module | None = None) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.between = between

    def forward(self, values: Tensor, *, attention_mask: Tensor | None = None) -> Tensor:
        hidden = self.first(values)
        hidden = hidden + 70_000 - 70_000 if self.between is None else self.between(hidden)
        return self.second(hidden)


class Infinite(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values / 0


class Steep(nn.Module):
    """Finite, with an infinite slope."""

    def forward(self, values: Tensor) -> Tensor:
        return values + (values.sum() * 0).sqrt()


class SteepBetween(Block):
    def forward(self, values: Tensor) -> Tensor:
        hidden = self.first(values)
        return self.second(hidden + (hidden.sum() * 0).sqrt())


def network(block: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 4), block(), nn.Linear(4, 4))


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def forward_text(model: nn.Module, values: Tensor) -> str:
    return str(forward_error(model, lambda: model(values)))


def gradient_text(model: nn.Module) -> str:
    leaf = torch.ones(2, 4, requires_grad=True)
    return str(gradient_error(model, lambda: torch.autograd.grad(model(leaf).sum(), leaf), of="mask"))


def test_the_first_of_many_layers_is_named():
    model = network(lambda: Block(Infinite()))
    text = forward_text(model, torch.ones(2, 4))
    assert text == (
        "the model's logits are not finite, first in 1.between (Infinite): "
        "check that the model's weights are those it was trained with"
    )
    assert hooks(model) == 0


def test_what_breaks_between_parts_is_their_owners_fault():
    model = network(Block).half()
    model.dtype = torch.float16
    assert "first in 1 (Block): float16 ends at 65,504: use --dtype bfloat16 or float32" in forward_text(
        model, torch.ones(2, 4, dtype=torch.float16)
    )


def test_damaged_weights_are_told_from_overflow():
    model = network(lambda: Block(nn.Linear(4, 4)))
    model[1].second.weight.data[0, 0] = float("nan")
    text = forward_text(model, torch.ones(2, 4))
    assert "first in 1.second (Linear): its weights are not finite, so the checkpoint is damaged" in text
    model.half().dtype = torch.float16  # where large weights become infinite, too
    text = forward_text(model, torch.ones(2, 4, dtype=torch.float16))
    assert "its weights are not finite: use --dtype bfloat16; if that is no better, the checkpoint is damaged" in text


def test_a_mask_of_minus_infinity_is_no_fault():
    block = network(lambda: Block(Infinite()))[1]
    mask = torch.full((2, 4), -torch.inf)
    text = str(forward_error(block, lambda: block(torch.ones(2, 4), attention_mask=mask)))
    assert "first in between (Infinite)" in text


@pytest.mark.parametrize(
    ("block", "named"), [(lambda: Block(Steep()), "1.between (Steep)"), (SteepBetween, "1 (SteepBetween)")]
)
def test_the_layer_whose_backward_breaks_is_named(block, named):
    model = network(block)
    assert gradient_text(model).startswith(f"the gradient with respect to the mask is not finite, first in {named}: ")
    assert hooks(model) == 0


def test_nothing_is_named_where_every_layer_is_finite():
    assert forward_text(network(lambda: Block(nn.Identity())), torch.ones(2, 4)) == (
        "the model's logits are not finite: check that the model's weights are those it was trained with"
    )


def test_hooks_are_removed_after_an_error():
    model = network(Block)

    def run():
        raise RuntimeError("out of something")

    for error in (lambda: forward_error(model, run), lambda: gradient_error(model, run, of="mask")):
        with pytest.raises(RuntimeError, match="out of something"):
            error()
        assert hooks(model) == 0


def test_a_layer_of_a_vision_language_model():
    model, processor = build("llava")
    layer = model.get_decoder().layers[1].mlp
    layer.down_proj.weight.data[3, 2] = torch.inf
    ids = torch.tensor([processor.tokenizer("what is it")["input_ids"]])
    name = next(name for name, module in model.named_modules() if module is layer.down_proj)
    text = str(forward_error(model, lambda: model(input_ids=ids)))
    assert f"first in {name} (Linear): its weights are not finite" in text
