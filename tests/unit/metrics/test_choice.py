"""Which metrics are meant, what they may return, and what is kept of other people's."""

from __future__ import annotations

import math

import pytest
import torch

from toy import ToyScore, additive, map_context
from wherelook.errors import InputError
from wherelook.metrics import (
    METRICS,
    Metric,
    choose_metrics,
    label_of,
    measure_map,
    measures,
    read_metrics,
    told_metrics,
)

SALIENCY = torch.eye(4)


def mine(context):
    """The largest value."""
    return context.saliency.max()


def test_levels_hold_those_before_them():
    of_map, of_replay, of_all = (set(choose_metrics([name])) for name in ("map", "replay", "all"))
    assert of_map < of_replay < of_all
    assert {"deletion", "insertion"} <= of_replay - of_map
    assert {"flip", "sufficient_area"} <= of_all - of_replay
    assert next(iter(choose_metrics(["flip", "map"]))) == "flip"


def test_names_objects_and_functions_are_metrics():
    named = Metric(summary="-", name="other", measure=lambda context: None)
    chosen = choose_metrics([mine, "pointing", METRICS["energy"], named])
    assert list(chosen) == ["mine", "pointing", "energy", "other"]
    assert (chosen["mine"].summary, chosen["mine"].better) == ("The largest value.", "neither")
    assert measure_map(chosen, map_context(SALIENCY)) == {"mine": 1.0, "other": None}  # no truth is known


def test_what_needs_the_truth_is_taken_where_it_is_known():
    found = measure_map(choose_metrics(["pointing"]), map_context(SALIENCY, truth=torch.eye(4).bool().numpy()))
    assert found == {"pointing": 1.0}


def test_figures_with_both_baselines_cost_their_replays_and_nothing_twice():
    score = ToyScore(additive(torch.arange(16.0).reshape(4, 4) / 16))
    found = measure_map(choose_metrics(["replay"]), map_context(SALIENCY, score, steps=3))
    assert set(found) >= {"deletion", "deletion_unseen", "insertion_normalized_unseen"}
    assert score.cost.forward == 2 * 2 * (3 - 1)


@pytest.mark.parametrize(
    ("values", "bounds", "share"),
    [
        ("0 to 1 (0.5 is chance)", (0, 1), False),
        ("-1 to 1", (-1, 1), False),
        ("above 0 to 1", (0, 1), False),
        ("0 or 1", (0, 1), True),
        ("nats", (-math.inf, math.inf), False),
    ],
)
def test_the_range_is_read_from_what_is_told_of_it(values, bounds, share):
    metric = Metric(summary="-", values=values)
    assert (metric.bounds, metric.yes_or_no) == (bounds, share)


@pytest.mark.parametrize(
    ("values", "returned", "message"),
    [
        ("a number", math.inf, "metric 'odd' returned inf; expected a finite number, or None"),
        ("a number", [1], "metric 'odd' returned a value of type list; expected a finite number, or None"),
        ("0 to 1", 1.2, "metric 'odd' returned 1.2; its values are 0 to 1"),
        ("0 or 1", 0.5, "metric 'odd' returned 0.5; its values are 0 or 1"),
    ],
)
def test_a_figure_that_is_none_is_refused(values, returned, message):
    odd = Metric(summary="-", name="odd", values=values, measure=lambda context: returned)
    with pytest.raises(InputError) as caught:
        measure_map(choose_metrics([odd]), map_context(SALIENCY))
    assert str(caught.value) == message


def test_a_function_cannot_take_the_name_of_a_metric():
    def pointing(context):
        return 1.0

    with pytest.raises(InputError, match="there is a metric 'pointing' already: give your function another name"):
        choose_metrics([pointing])


def test_what_is_told_of_a_metric_is_read_again_and_strangers_can_write_what_they_like():
    metric = Metric(summary="s", name="other", label="Other", group="G", better="lower", values="0 to 1")
    told = told_metrics({"other": metric, "pointing": METRICS["pointing"]})
    assert list(told) == ["other"]
    (again,) = read_metrics(told).values()
    assert (again.label, again.group, again.better, again.bounds) == ("Other", "G", "lower", (0, 1))
    for odd in (None, 3, [], {"a": 1}, {"a": {}}, {"a": {"better": "best"}}, {"a": {"better": ["lower"]}}):
        assert read_metrics(odd) == {}


def test_labels_tell_the_other_baseline():
    found = {name: label_of(name, metric) for name, metric in measures(METRICS.ours).items()}
    assert found["deletion_unseen"] == "Deletion, unseen baseline"
    assert found["deletion"] == "Deletion"
