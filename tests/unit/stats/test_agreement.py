"""Cohen's kappa against the formula."""

from __future__ import annotations

import pytest

from wherelook.stats import cohens_kappa


def verdicts(both: int, first: int, second: int, neither: int) -> tuple[list[str], list[str]]:
    return (
        ["yes"] * (both + first) + ["no"] * (second + neither),
        ["yes"] * both + ["no"] * first + ["yes"] * second + ["no"] * neither,
    )


def test_kappa_of_a_table():
    """Agreement 0.7, by chance 0.5: kappa 0.4. Standard error of Fleiss, Cohen and Everitt 1969 within 3 %."""
    estimate = cohens_kappa(*verdicts(20, 5, 10, 15))
    assert estimate.value == pytest.approx(0.4)
    assert estimate.low == pytest.approx(0.4 - 2.01 * 0.1265, abs=0.05)
    assert cohens_kappa(*verdicts(200, 50, 100, 150)).low == pytest.approx(0.4 - 1.96 * 0.1265 / 10**0.5, abs=0.005)


def test_judges_who_always_agree():
    estimate = cohens_kappa([0, 1] * 10, [0, 1] * 10)
    assert (estimate.value, estimate.high) == (1, 1)
    assert 0.6 < estimate.low < 0.7  # Wilson's for 20 of 20 is 0.839


def test_one_cluster_bounds_nothing():
    estimate = cohens_kappa(["a", "b", "a"], ["a", "b", "b"], clusters=[1, 1, 1])
    assert (estimate.low, estimate.high) == (-1, 1)


def test_judges_by_chance_and_against():
    assert cohens_kappa(*verdicts(10, 10, 10, 10)).value == pytest.approx(0)
    assert cohens_kappa(*verdicts(0, 10, 10, 0)).value == pytest.approx(-1)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (["a", "a"], ["a", "a"]),
        (["a", "a", "a"], ["a", "b", "a"]),
        ([1, 0, 1, 0], [1, 1, 1, 1]),
    ],
)
def test_a_judge_who_says_the_same_of_all_has_no_kappa(first, second):
    """Kappa would be 0 whatever the other judge says, with an interval of no width."""
    with pytest.raises(ValueError, match="a judge says the same of all items"):
        cohens_kappa(first, second)


def test_verdicts_without_any_spread_bound_nothing():
    """Every item says the same of kappa, here -0.5: that is no certainty."""
    estimate = cohens_kappa(["a", "b", "c"], ["b", "c", "a"])
    assert (estimate.value, estimate.low, estimate.high) == (pytest.approx(-0.5), -1, 1)
