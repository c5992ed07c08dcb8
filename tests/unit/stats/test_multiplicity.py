"""Corrections against published examples."""

from __future__ import annotations

import pytest

from wherelook.stats import benjamini_hochberg, holm

PUBLISHED = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
             0.7590, 1.0]  # fmt: skip
"""Benjamini and Hochberg 1995, section 3.2: four of them are significant at 5 %, three by Bonferroni's rule."""


def test_holm_steps_down():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_published_example():
    assert sum(p < 0.05 for p in benjamini_hochberg(PUBLISHED)) == 4
    assert sum(p < 0.05 for p in holm(PUBLISHED)) == 3


def test_benjamini_hochberg_steps_up_in_the_given_order():
    assert benjamini_hochberg([0.04, 0.01, 0.03]) == pytest.approx([0.04, 0.03, 0.04])
    assert benjamini_hochberg([0.9, 0.5]) == pytest.approx([0.9, 0.9])
    assert benjamini_hochberg([]) == []
