"""Methods with presets, and sweeps of a setting."""

from __future__ import annotations

import pytest

from wherelook.errors import InputError
from wherelook.evaluation.method_spec import parse_methods, sweep_methods


def test_a_changed_setting_has_its_name_and_none_is_there_twice():
    runs = sweep_methods(parse_methods("igos+:fast"), {"l1": "2,2", "alpha": "0.5", "seed": "3"})
    assert [run.name for run in runs] == [
        "igos+:fast", "igos+:fast[l1=2]", "igos+:fast[alpha=0.5]", "igos+:fast[seed=3]",
    ]  # fmt: skip
    assert [run.name for run in parse_methods("center, rise:fast,center:best")] == ["center:best", "rise:fast"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"alpha": "many"}, "alpha='many' is not a number"),
        ({"l1": "-1"}, "weights and noise not negative"),
        ({"l7": "1"}, r"unknown setting of igos\+ 'l7'"),
    ],
)
def test_sweeps_that_cannot_be(values, message):
    with pytest.raises(InputError, match=message):
        sweep_methods(parse_methods("igos+"), values)


@pytest.mark.parametrize(("text", "message"), [("", "no methods"), ("x", "unknown method 'x'"), ("random:x", "preset")])
def test_runs_that_cannot_be(text, message):
    with pytest.raises(InputError, match=message):
        parse_methods(text)
