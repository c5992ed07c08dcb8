"""Methods with presets, and sweeps of a setting."""

from __future__ import annotations

import pytest

from wherelook.errors import InputError
from wherelook.evaluation.method_spec import parse_methods, sweep_methods


def test_a_changed_setting_has_its_name_and_none_is_there_twice():
    runs = sweep_methods(parse_methods("guided-igos:fast"), {"l1": "2,2", "alpha": "0.5", "seed": "3"})
    assert [run.name for run in runs] == [
        "guided-igos:fast", "guided-igos:fast[l1=2]", "guided-igos:fast[alpha=0.5]", "guided-igos:fast[seed=3]",
    ]  # fmt: skip
    assert [run.name for run in parse_methods("center, rise:fast,center:best")] == ["center:best", "rise:fast"]


def test_the_name_of_a_run_makes_it_again():
    """Also where settings are changed; a method with one preset has that by default."""
    runs = sweep_methods(parse_methods("guided-igos:best"), {"masks": "2", "alpha": "0.5", "seed": "3"})
    assert [parse_methods(run.name) for run in runs] == [[run] for run in runs]
    both = "guided-igos:fast[masks=2 seed=4 alpha=0.5],igos+"
    assert [run.name for run in parse_methods(both)] == ["guided-igos:fast[masks=2 alpha=0.5 seed=4]", "igos+:paper"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"alpha": "many"}, "alpha='many' is not a number"),
        ({"l1": "-1"}, "weights not negative"),
        ({"l7": "1"}, r"unknown setting of guided-igos 'l7'"),
    ],
)
def test_sweeps_that_cannot_be(values, message):
    with pytest.raises(InputError, match=message):
        sweep_methods(parse_methods("guided-igos"), values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no methods"),
        ("x", "unknown method 'x'"),
        ("random:x", "preset"),
        ("rise[masks=2", "expected NAME"),
        ("rise[masks]", "expected KEY=VALUE"),
        ("rise[seed=x]", "seed='x' is not a number"),
        ("igos+:fast", "is called guided-igos:fast"),
    ],
)
def test_runs_that_cannot_be(text, message):
    with pytest.raises(InputError, match=message):
        parse_methods(text)
