"""Planted families of models are found; where there are none the support says so."""

from __future__ import annotations

import numpy as np
import pytest

from wherelook.stats import cluster_models

NAMES = ("b1", "a1", "b2", "a2")


def distances(rng: np.random.Generator, items: int, between: float) -> np.ndarray:
    """Distances around 1, between the families a and b larger by `between`."""
    square = rng.uniform(0.5, 1.5, (items, 4, 4))
    family = np.array([name[0] == "a" for name in NAMES])
    square += between * (family[:, None] != family[None])
    square = np.triu(square, 1)
    return square + square.transpose(0, 2, 1)


def test_planted_families():
    tree = cluster_models(NAMES, distances(np.random.default_rng(0), 40, 1.0), resamples=100)
    assert {frozenset(merge.members) for merge in tree.merges[:2]} == {frozenset(("a1", "a2")), frozenset(("b1", "b2"))}
    assert all(merge.support == 1 for merge in tree.merges)
    assert tree.merges[-1].height == pytest.approx(2, abs=0.1)
    assert {name[0] for name in tree.order[:2]} in ({"a"}, {"b"})
    assert tree.cophenetic_correlation > 0.95
    assert tree.items == 40


def test_no_families():
    tree = cluster_models(NAMES, distances(np.random.default_rng(1), 40, 0.0), resamples=100)
    assert min(merge.support for merge in tree.merges) < 0.8
    assert tree.merges[-1].support == 1  # all of them always form a branch
    assert tree == cluster_models(NAMES, distances(np.random.default_rng(1), 40, 0.0), resamples=100)


@pytest.mark.parametrize(
    ("square", "message"),
    [
        (np.zeros((3, 2, 2)), r"distances of shape \(3, 2, 2\) for 4 models"),
        (np.full((1, 4, 4), np.nan), "finite"),
        (np.triu(np.ones((1, 4, 4)), 1), "symmetric"),
    ],
)
def test_what_is_no_distance(square, message):
    with pytest.raises(ValueError, match=message):
        cluster_models(NAMES, square)
