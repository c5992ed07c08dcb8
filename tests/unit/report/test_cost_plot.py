"""Cost against quality: places on the axes, the frontier, and names that do not cover each other."""

from __future__ import annotations

import itertools

import pytest

from wherelook.analysis.method_table import Figure, RunSummary
from wherelook.report import cost_plot


def summary(run: str, passes: float, mean: float, half: float = 0.02, measure: str = "insertion") -> RunSummary:
    figure = Figure(mean, mean - half, mean + half, 50, False, None)
    return RunSummary(run, 50, 50, {}, 50, {measure: figure}, passes, 0.0, 1.0, 1e8)


def text_box(point: cost_plot.Point) -> tuple[float, float, float, float]:
    width = cost_plot.CHARACTER * len(point.run)
    left = point.name.x - (width if point.name.anchor == "end" else 0)
    return left, point.name.y - 10, left + width, point.name.y + 2


def overlap(first, second) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


def test_names_of_twenty_crowded_runs_do_not_cover_each_other_or_a_point():
    runs = [
        summary(f"method-{index}:preset", (0, 1, 40, 100, 200)[index % 5], 0.4 + 0.02 * index) for index in range(20)
    ]
    plot = cost_plot.plot(runs, "insertion")
    named = [point for point in plot.points if point.name]
    assert len(named) == 20
    for first, second in itertools.combinations(named, 2):
        assert not overlap(text_box(first), text_box(second)), (first.run, second.run)
    for named_point, point in itertools.product(named, plot.points):
        mark = (point.x - 4, point.y - 4, point.x + 4, point.y + 4)
        assert not overlap(text_box(named_point), mark), (named_point.run, point.run)
        box = text_box(named_point)
        assert cost_plot.LEFT < box[0] < box[2] < cost_plot.WIDTH


def test_axis_is_logarithmic_with_zero_apart():
    plot = cost_plot.plot([summary("a", 0, 0.2), summary("b", 1, 0.4), summary("c", 10, 0.6), summary("d", 100, 0.8)],
                          "insertion")  # fmt: skip
    zero, one, ten, hundred = (point.x for point in plot.points)
    assert zero == cost_plot.ZERO < one
    assert hundred - ten == pytest.approx(ten - one)
    assert plot.x_ticks[0] == (float(cost_plot.ZERO), "0")
    assert [label for _, label in plot.x_ticks] == ["0", "1", "10", "100"]
    heights = [point.y for point in plot.points]
    assert heights == sorted(heights, reverse=True)  # more is higher up
    for point in plot.points:
        assert cost_plot.TOP <= point.high < point.y < point.low <= cost_plot.BOTTOM


@pytest.mark.parametrize(("measure", "expected"), [("insertion", {"a", "d"}), ("deletion", {"a", "b"})])
def test_frontier_is_what_no_cheaper_run_equals(measure, expected):
    runs = [summary(run, passes, mean, measure=measure) for run, passes, mean in
            (("a", 1, 0.5), ("b", 10, 0.4), ("c", 20, 0.5), ("d", 50, 0.6))]  # fmt: skip
    plot = cost_plot.plot(runs, measure)
    assert {point.run for point in plot.points if point.frontier} == expected


def test_equal_runs_stand_side_by_side():
    first, second = cost_plot.plot([summary("a", 40, 0.5), summary("b", 40, 0.51)], "insertion").points
    assert abs(first.x - second.x) == pytest.approx(cost_plot.BAR_ROOM)


def test_a_single_control_and_no_run_at_all():
    plot = cost_plot.plot([summary("random", 0, 0.5, half=0.0)], "insertion")
    assert plot.points[0].x == cost_plot.ZERO
    assert cost_plot.plot([], "insertion") is None
    assert cost_plot.plot([summary("a", 1, 0.5)], "deletion") is None
