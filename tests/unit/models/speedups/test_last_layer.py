"""Leaving out what no selected token reads: models that are not as expected, and what is left behind."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from wherelook.models.speedups.last_layer import only_at, parts_at_selected

PLACES = torch.tensor([3, 1])  # of six: the fourth and the last


class Double(nn.Module):
    def forward(self, hidden):
        return 2 * hidden


class TellsMore(nn.Module):
    def forward(self, hidden):
        return 2 * hidden, "whom it asked"


class Attention(nn.Module):
    """Named as Transformers names them; keys and values are not needed here."""

    def __init__(self, between: nn.Module | None = None) -> None:
        super().__init__()
        with torch.random.fork_rng():
            self.q_proj, self.k_proj, self.o_proj = (nn.Linear(3, 3) for _ in range(3))
        self.between = between


class Model(nn.Module):
    """A model whose decoder's last layer has this feed-forward part, and this attention."""

    def __init__(self, part: nn.Module | None, attention: nn.Module | None = None) -> None:
        super().__init__()
        last = nn.Module()
        last.self_attn = attention
        if part is not None:
            last.mlp = part
        self.decoder = nn.Module()
        self.decoder.layers = nn.ModuleList([nn.Module(), last])

    def get_decoder(self):
        return self.decoder


def test_zeros_elsewhere_and_nothing_left_behind():
    part = Double()
    hidden = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    with only_at(parts_at_selected(Model(part)), PLACES):
        found = part(hidden)
    expected = torch.zeros(2, 6, 3)
    expected[:, [3, 5]] = 2 * hidden[:, [3, 5]]
    assert torch.equal(found, expected)
    assert "forward" not in part.__dict__
    assert torch.equal(part(hidden), 2 * hidden)


def test_a_forward_that_was_replaced_before_is_put_back_after_an_error():
    part = Double()
    part.forward = theirs = lambda hidden: 3 * hidden
    with pytest.raises(ZeroDivisionError), only_at(parts_at_selected(Model(part)), PLACES):
        raise ZeroDivisionError
    assert part.forward is theirs


@pytest.mark.parametrize("hidden", [torch.ones(6, 3), torch.ones(1, 2, 3)], ids=["flat", "shorter than the places"])
def test_another_shape_is_computed_whole(hidden):
    part = Double()
    with only_at(parts_at_selected(Model(part)), PLACES):
        assert torch.equal(part(hidden), 2 * hidden)


def test_a_part_that_returns_more_than_its_output_is_computed_whole():
    part = TellsMore()
    with only_at(parts_at_selected(Model(part)), PLACES):
        found, said = part(torch.ones(1, 6, 3))
    assert torch.equal(found, torch.full((1, 6, 3), 2.0))
    assert said == "whom it asked"


def test_a_part_that_takes_more_than_the_hidden_states_is_computed_whole():
    class WithTypes(nn.Module):
        def forward(self, hidden, types):
            return 2 * hidden * types

    part = WithTypes()
    with only_at(parts_at_selected(Model(part)), PLACES):
        assert torch.equal(part(torch.ones(1, 6, 3), torch.ones(1, 6, 1)), torch.full((1, 6, 3), 2.0))
        assert torch.equal(part(hidden=torch.ones(1, 6, 3), types=torch.ones(1, 6, 1)), torch.full((1, 6, 3), 2.0))


def test_a_part_that_also_serves_another_layer_is_left_alone():
    model = Model(Double())
    model.decoder.layers[0].mlp = model.decoder.layers[1].mlp
    assert parts_at_selected(model) == ()


@pytest.mark.parametrize(("part", "left_out"), [(nn.Conv1d(3, 3, 2), False), (nn.LayerNorm(3), True)])
def test_a_layer_with_a_part_that_reads_several_places_is_left_alone(part, left_out):
    model = Model(Double())
    model.decoder.layers[-1].after = part
    assert bool(parts_at_selected(model)) is left_out


def test_queries_and_what_attention_puts_out_are_left_out_too():
    attention = Attention()
    model = Model(Double(), attention)
    parts = parts_at_selected(model)
    assert parts == (model.decoder.layers[-1].mlp, attention.q_proj, attention.o_proj)
    hidden = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    with only_at(parts, PLACES):
        found = attention.q_proj(hidden)
        assert attention.k_proj(hidden)[:, 0].abs().min() > 0
    expected = torch.zeros(2, 6, 3)
    expected[:, [3, 5]] = attention.q_proj(hidden)[:, [3, 5]]
    torch.testing.assert_close(found, expected)
    assert "forward" not in attention.q_proj.__dict__


@pytest.mark.parametrize(("between", "left_out"), [(nn.Conv1d(3, 3, 2), 1), (nn.LayerNorm(3), 3)])
def test_attention_with_a_part_that_reads_several_places_is_left_alone(between, left_out):
    """A convolution over the queries, as attention of linear cost has it."""
    assert len(parts_at_selected(Model(Double(), Attention(between)))) == left_out


def test_parts_that_round_all_places_together_are_computed_whole():
    """bitsandbytes' int8 has one set of columns of large values for all places that it is given."""
    attention = Attention()
    attention.q_proj.__class__ = type("Linear8bitLt", (nn.Linear,), {})
    model = Model(Double(), attention)
    assert parts_at_selected(model) == (model.decoder.layers[-1].mlp, attention.o_proj)


def test_a_model_that_is_asked_for_its_routers_keeps_its_feed_forward_part():
    model = Model(Double())
    model.decoder.config = SimpleNamespace(output_router_logits=True)
    assert parts_at_selected(model) == ()


@pytest.mark.parametrize("model", [Model(None), nn.Linear(1, 1)], ids=["no such part", "no decoder"])
def test_a_model_without_such_a_part_is_left_alone(model):
    assert parts_at_selected(model) == ()
    with only_at(parts_at_selected(model), PLACES):
        pass
