"""Corrections for many tests at once. Holm's is not in SciPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import false_discovery_control


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (Holm 1979): p-values that keep the family-wise error, in the order given."""
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(p_values))
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return [float(value) for value in corrected]


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Step-up correction that keeps the false discovery rate (Benjamini and Hochberg 1995), in the order given.

    Of the tests below a corrected p of q, a share of at most q is expected to be false, for tests that are independent
    or depend on each other positively.
    """
    return [float(value) for value in false_discovery_control(p_values)]
