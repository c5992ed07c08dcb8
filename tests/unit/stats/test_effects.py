"""The effect size against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from wherelook.stats import cohens_dz


def test_cohens_dz():
    differences = np.random.default_rng(0).normal(0.5, 1, 40)
    estimate = cohens_dz(differences)
    assert estimate.value == pytest.approx(differences.mean() / differences.std(ddof=1))
    assert estimate.low < estimate.value < estimate.high
    mirrored = cohens_dz(-differences)
    assert (mirrored.low, mirrored.high) == pytest.approx((-estimate.high, -estimate.low))
    with pytest.raises(ValueError, match="all differences are the same"):
        cohens_dz([0.1, 0.1, 0.1])


def test_jackknife_of_cohens_dz_leaves_each_cluster_out():
    differences, clusters = np.array([0.2, 1.0, 0.7, -0.3, 0.9, 1.4]), np.array([0, 0, 1, 1, 1, 2])
    kept = [differences[clusters != cluster] for cluster in range(3)]
    left_out = np.arcsinh([rest.mean() / rest.std(ddof=1) / 2**0.5 for rest in kept])
    error = (2 / 3 * ((left_out - left_out.mean()) ** 2).sum()) ** 0.5
    value = differences.mean() / differences.std(ddof=1)
    high = 2**0.5 * np.sinh(np.arcsinh(value / 2**0.5) + 4.302653 * error)
    assert cohens_dz(differences, clusters=clusters.tolist()).high == pytest.approx(high, rel=1e-5)


def test_what_one_difference_decides_is_not_bounded():
    estimate = cohens_dz([0.0, 0.0, 0.0, 1.0])
    assert (estimate.low, estimate.high) == (-np.inf, np.inf)
