"""The mixed model against the analysis of variance by hand, and against statsmodels."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from wherelook.stats import mixed_model


def complete(rng: np.random.Generator, *, items: int, models: int, spread: float) -> np.ndarray:
    """Values of shape (items, models)."""
    return spread * rng.normal(size=(items, 1)) + rng.normal(size=(items, models))


def fit(values: np.ndarray):
    items, models = values.shape
    names = [f"m{model}" for model in range(models)] * items
    return mixed_model(values.ravel(), {"model": names}, np.repeat(np.arange(items), models).tolist())


def test_complete_data_give_the_analysis_of_variance_for_repeated_measures():
    values = complete(np.random.default_rng(0), items=12, models=3, spread=2.0)
    found = fit(values)["model"]
    effect = values.mean(axis=0) - values.mean()
    residual = values - values.mean(axis=1, keepdims=True) - effect
    expected = 12 * (effect @ effect) / 2 / ((residual**2).sum() / 22)
    assert found.statistic == pytest.approx(expected, rel=1e-6)
    assert (found.n, found.clusters) == (36, 12)
    assert found.effect.value == pytest.approx(2 * expected / (2 * expected + 22), rel=1e-6)


def test_two_models_are_the_paired_t_test():
    values = complete(np.random.default_rng(1), items=15, models=2, spread=2.0)
    difference = values[:, 1] - values[:, 0]
    half = 2.144787 * difference.std(ddof=1) / 15**0.5
    estimate = fit(values)["model"].effect
    assert estimate.name == "model: m1 - m0"
    assert (estimate.low, estimate.high) == pytest.approx((difference.mean() - half, difference.mean() + half))


@pytest.mark.parametrize("spread", [0.3, 1.0, 4.0])
def test_incomplete_data_agree_with_statsmodels(spread):
    reference = pytest.importorskip("statsmodels.regression.mixed_linear_model")
    rng = np.random.default_rng(2)
    kept = rng.random(160) < 0.7
    values = complete(rng, items=40, models=4, spread=spread).ravel()[kept]
    item, cell = np.repeat(np.arange(40), 4)[kept], np.tile(np.arange(4), 40)[kept]
    factors = {"architecture": (cell // 2).tolist(), "scale": (cell % 2).tolist()}
    found = mixed_model(values, factors, item.tolist())
    columns = np.stack([np.ones(len(values)), cell // 2 != cell[0] // 2, cell % 2 != cell[0] % 2], axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = reference.MixedLM(values, columns.astype(float), item).fit(reml=True)
    for test, coefficient, error in zip(found.values(), expected.fe_params[1:], expected.bse_fe[1:], strict=True):
        assert test.effect.value == pytest.approx(coefficient, abs=1e-4)
        assert test.statistic == pytest.approx((coefficient / error) ** 2, rel=0.02)


def test_a_planted_difference_between_items():
    """A task belongs to its item: its degrees of freedom are those between items."""
    rng = np.random.default_rng(3)
    task = np.repeat(["color", "count"], 10)
    values = complete(rng, items=20, models=3, spread=1.0) + 3.0 * (task == "count")[:, None]
    names = ["a", "b", "c"] * 20
    found = mixed_model(
        values.ravel(),
        {"task": np.repeat(task, 3).tolist(), "model": names},
        np.repeat(np.arange(20), 3).tolist(),
    )
    means = values.mean(axis=1)
    pooled = (means[:10].var(ddof=1) + means[10:].var(ddof=1)) / 2
    t = (means[10:].mean() - means[:10].mean()) / (pooled / 5) ** 0.5
    assert found["task"].statistic == pytest.approx(t * t, rel=1e-5)
    assert found["task"].p < 0.01
    assert found["model"].p > 0.05


@pytest.mark.parametrize(
    ("values", "factors", "items", "message"),
    [
        ([1, 2, 3, 4], {"m": "abab"}, [0, 0, 1], "3 clusters for 4 values"),
        ([1, 2, 3, 4], {"m": "aaaa"}, [0, 0, 1, 1], "factor 'm' has one level only"),
        ([1, 2, 3, 4], {"m": "aba"}, [0, 0, 1, 1], "factor 'm' has 3 levels for 4 values"),
        ([1, 2, 3, 4], {"m": "abab", "s": "xyxy"}, [0, 0, 1, 1], "'m', 's' cannot be told apart"),
        ([1, 2, 3, 4], {"m": "abab"}, [0, 1, 2, 3], "4 values of 4 items"),
        ([1, 2, 5, 6, 2, 3], {"m": "ababab"}, [0, 0, 1, 1, 2, 2], "no variance is left within items"),
        ([1, 1, 1, 1], {"m": "abab"}, [0, 0, 1, 1], "all values are the same"),
        ([1, 2, 3, 4], {}, [0, 0, 1, 1], "no factors"),
    ],
)
def test_what_cannot_be_fitted(values, factors, items, message):
    with pytest.raises(ValueError, match=message):
        mixed_model(values, factors, items)
