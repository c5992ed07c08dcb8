"""What rests on each image, on score functions whose shares are known."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from toy import ToyScore
from wherelook.canvas import Canvas
from wherelook.metrics import ImageShare, image_shares


def score_of(function: Callable[[Tensor], Tensor], count: int) -> ToyScore:
    """log p as a function of how much is kept of each image: (masks, images) to (masks,)."""
    widths = tuple(10 * (index + 1) for index in range(count))

    def kept(masks: Tensor) -> Tensor:
        if masks.shape[2] == sum(widths):
            return torch.stack([part.mean(dim=(1, 2)) for part in masks.split(widths, dim=2)], dim=1)
        assert masks.shape[1:] == (1, count)
        return masks[:, 0]

    score = ToyScore(lambda masks: function(kept(masks))[:, None], image_size=(20, sum(widths)))
    score.canvas = Canvas(tuple((20, width) for width in widths))
    return score


def test_only_the_image_that_is_read_has_a_share():
    shares = image_shares(score_of(lambda kept: 4 * kept[:, 1] - 4, 3))
    assert [share.share for share in shares] == pytest.approx([0, 1, 0])
    assert [share.lost for share in shares] == pytest.approx([0, 1, 0])
    assert [share.restored for share in shares] == pytest.approx([0, 1, 0])


def test_effects_that_add_up_are_shared_as_they_are():
    shares = image_shares(score_of(lambda kept: kept @ torch.tensor([1.0, 3.0, -1.0, 1.0]), 4))
    for share, expected in zip(shares, (0.25, 0.75, -0.25, 0.25), strict=True):
        assert (share.share, share.lost, share.restored) == pytest.approx((expected,) * 3)


def test_an_answer_that_needs_both_images_and_one_that_either_is_enough_for():
    """Both: each alone restores nothing, either loss is whole. Either: the reverse. The shares are halves each time."""
    for function, lost, restored in ((Tensor.prod, 1, 0), (lambda kept, dim: kept.amax(dim), 0, 1)):
        shares = image_shares(score_of(lambda kept, f=function: 5 * f(kept, dim=1), 2))
        for share in shares:
            assert (share.share, share.lost, share.restored) == pytest.approx((0.5, lost, restored))


def test_the_cost_is_that_of_the_sets_of_images():
    for count, passes in ((2, 2), (3, 6), (4, 14)):
        score = score_of(lambda kept: kept.sum(dim=1), count)
        image_shares(score)
        assert score.cost.forward == passes


def test_sampled_orders_share_the_whole_gap_and_are_exact_where_effects_add_up():
    weights = torch.arange(7.0) + 1
    score = score_of(lambda kept: kept @ weights, 7)
    shares = image_shares(score, seed=3)
    assert [share.share for share in shares] == pytest.approx((weights / weights.sum()).tolist(), abs=1e-5)
    assert score.cost.forward <= 16 * 6 + 14
    together = image_shares(score_of(lambda kept: 3 * kept.prod(dim=1), 7), seed=3)
    assert sum(share.share for share in together) == pytest.approx(1)
    assert together == image_shares(score_of(lambda kept: 3 * kept.prod(dim=1), 7), seed=3)


def test_there_is_nothing_to_share_without_a_gap():
    assert image_shares(score_of(lambda kept: 0 * kept.sum(dim=1), 2)) == ()
    assert image_shares(score_of(lambda kept: -kept.sum(dim=1), 2)) == ()


def test_all_of_the_gap_is_the_only_images_at_no_pass():
    score = score_of(lambda kept: 4 * kept[:, 0] - 4, 1)
    assert image_shares(score) == (ImageShare(1, 1, 1),)
    assert score.cost.forward == 0
