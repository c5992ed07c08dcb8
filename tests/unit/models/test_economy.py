"""Leaving out what no selected token reads: models that are not as expected, and what is left behind."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from wherelook.models.economy import feed_forward_only, last_feed_forward

PLACES = torch.tensor([3, 1])  # of six: the fourth and the last


class Double(nn.Module):
    def forward(self, hidden):
        return 2 * hidden


class TellsMore(nn.Module):
    def forward(self, hidden):
        return 2 * hidden, "whom it asked"


class Model(nn.Module):
    """A model whose decoder's last layer has this feed-forward part."""

    def __init__(self, part: nn.Module | None) -> None:
        super().__init__()
        last = nn.Module()
        if part is not None:
            last.mlp = part
        self.decoder = nn.Module()
        self.decoder.layers = nn.ModuleList([nn.Module(), last])

    def get_decoder(self):
        return self.decoder


def test_zeros_elsewhere_and_nothing_left_behind():
    part = Double()
    hidden = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    with feed_forward_only(Model(part), PLACES):
        found = part(hidden)
    expected = torch.zeros(2, 6, 3)
    expected[:, [3, 5]] = 2 * hidden[:, [3, 5]]
    assert torch.equal(found, expected)
    assert "forward" not in part.__dict__
    assert torch.equal(part(hidden), 2 * hidden)


def test_a_forward_that_was_replaced_before_is_put_back_after_an_error():
    part = Double()
    part.forward = theirs = lambda hidden: 3 * hidden
    with pytest.raises(ZeroDivisionError), feed_forward_only(Model(part), PLACES):
        raise ZeroDivisionError
    assert part.forward is theirs


@pytest.mark.parametrize("hidden", [torch.ones(6, 3), torch.ones(1, 2, 3)], ids=["flat", "shorter than the places"])
def test_another_shape_is_computed_whole(hidden):
    part = Double()
    with feed_forward_only(Model(part), PLACES):
        assert torch.equal(part(hidden), 2 * hidden)


def test_a_part_that_returns_more_than_its_output_is_computed_whole():
    part = TellsMore()
    with feed_forward_only(Model(part), PLACES):
        found, said = part(torch.ones(1, 6, 3))
    assert torch.equal(found, torch.full((1, 6, 3), 2.0))
    assert said == "whom it asked"


@pytest.mark.parametrize("model", [Model(None), nn.Linear(1, 1)], ids=["no such part", "no decoder"])
def test_a_model_without_such_a_part_is_left_alone(model):
    assert last_feed_forward(model) is None
    with feed_forward_only(model, PLACES):
        pass
