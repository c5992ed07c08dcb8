"""The plots: what they show, names that do not cover each other, and SVG and PDF that are safe and always the same."""

from __future__ import annotations

import itertools
import math
import re
from xml.etree import ElementTree

import matplotlib
import pytest
from matplotlib.text import Text

from simulated_runs import Simulated, four_models, simulate_run
from wherelook.analysis.compare import compare_runs
from wherelook.analysis.method_table import Figure, RunSummary
from wherelook.explanation.drawing import COLORS, SVG, inline, to_pdf, to_svg
from wherelook.report import plots
from wherelook.stats import Estimate

EVIL = '<script>alert("1")</script> $x^2$ \x1b[31m\x00 & ]]>'


def summary(run: str, passes: float, mean: float, half: float = 0.02, measure: str = "insertion") -> RunSummary:
    figure = Figure(mean, mean - half, mean + half, 50, False, None)
    return RunSummary(run, 50, 50, {}, 50, {measure: figure}, passes, 0.0, 1.0, 1e8)


def estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate("x", value, low, high, "t")


def texts(svg: bytes) -> list[str]:
    return [found.text or "" for found in ElementTree.fromstring(svg).iter(f"{{{SVG}}}text")]


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    models = [about | {"name": f"{about['name']}{EVIL if place == 0 else ''}"} for place, about in
              enumerate(four_models())]  # fmt: skip
    return compare_runs([
        simulate_run(root / f"run{place}", Simulated(**about, looks=0.9, focus=place // 2, own=1.0), samples=range(40))
        for place, about in enumerate(models)
    ])  # fmt: skip


@pytest.fixture(scope="module")
def figures(comparison):
    return {name: figure for (_, name), figure in plots.comparison_figures(comparison).items()}


def test_a_comparison_has_all_its_plots_and_each_is_told_what_it_shows(figures):
    assert set(figures) == set(plots.PLOTS) - {"cost-insertion", "cost-deletion"}


def test_text_of_others_stays_text_and_is_no_formula(figures):
    for name, figure in figures.items():
        svg = to_svg(figure, EVIL.replace("\x00", "").replace("\x1b", ""))
        root = ElementTree.fromstring(svg)
        assert not [element for element in root.iter() if element.tag.endswith(("script", "style", "metadata"))]
        assert b"<script" not in svg
        if name in ("reliance", "cells"):
            told = [element.text for element in root.iter(f"{{{SVG}}}title")]
            assert any("$x^2$ ⟨U+001B⟩[31m⟨U+0000⟩ & ]]>" in text for text in told if text)
            assert any("$x^2$ ⟨U+" not in text and "…" in text for text in texts(svg))  # shortened in the middle


def test_inside_a_page_a_figure_has_its_colors_its_own_ids_and_no_style(figures):
    text = "".join(inline(figure, "What it is", f"figure-{number}") for number, figure in enumerate(figures.values()))
    assert " style=" not in text
    assert "<style" not in text
    ids = re.findall(r' id="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'(?:href="|url\()#([^")]*)', text))
    assert used <= set(ids)
    assert all(name.startswith("figure-") for name in ids)
    assert not re.search(r'"#[0-9a-f]{6}"', text)
    assert set(re.findall(r"var\(--([\w-]+)\)", text)) <= set(COLORS)
    assert "What it is" in text


def test_the_same_figure_gives_the_same_bytes_and_nobodys_settings_change(comparison):
    before = dict(matplotlib.rcParams)
    made = []
    for _ in range(2):
        with matplotlib.rc_context({"font.size": 30, "text.parse_math": True}):
            figure = plots.cells(comparison.evidence)
            made.append((to_svg(figure, "x"), to_pdf(figure)))
            assert matplotlib.rcParams["font.size"] == 30
    assert made[0] == made[1]
    assert made[0][1].startswith(b"%PDF")
    assert dict(matplotlib.rcParams) == before


def test_intervals_lie_where_their_figures_are():
    entries = [("a", (estimate(0.5, 0.25, 0.75), 0.1)), ("left out", (None, None)), ("b", (estimate(1, 1, 1), None))]
    (axes,) = plots.intervals(entries, ("one", "two"), "share, %").axes
    lines = {str(line.get_gid()): line.get_xdata().tolist() for line in axes.lines if len(line.get_xdata())}
    assert {name.replace("\xa0", " "): values for name, values in lines.items()} == {
        "tip:a, one: 50 % (25\N{EN DASH}75)": [0.5],
        "tip:a, two: 10 %": [0.1],
        "tip:b, one: 100 % (100\N{EN DASH}100)": [1],
    }
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["a", "b"]
    assert axes.get_xlim() == (0, 1)
    assert plots.intervals([("a", (None,))], ("one",), "x") is None


def test_ratios_without_an_upper_bound_end_at_the_border():
    (axes,) = plots.intervals([("a", (estimate(20, 2, math.inf),))], ("odds",), "odds ratio", "ratio").axes
    assert axes.get_xlim() == (0.01, 100)
    bar = next(line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_gid())
    assert bar.get_xdata().tolist() == [2, 100]


def test_the_tree_joins_its_branches_at_their_distances(comparison):
    (tree,) = comparison.trees
    figure = plots.similarity(comparison.pairs, tree.hierarchy)
    matrix, branches = figure.axes
    assert [max(line.get_xdata()) for line in branches.lines] == pytest.approx(
        [merge.height for merge in tree.hierarchy.merges]
    )
    assert len(matrix.patches) == 2 * len(comparison.pairs)
    ends = [line.get_ydata()[end] for line in branches.lines for end in (0, -1) if line.get_xdata()[end] == 0]
    assert sorted(ends) == list(range(4))  # every model once, none crossed


def test_cells_add_up_to_the_whole_bar(comparison):
    (axes,) = plots.cells(comparison.evidence[:1]).axes
    widths = [patch.get_width() for patch in axes.patches]
    assert widths == pytest.approx([cell.share for cell in comparison.evidence[0].cells])
    assert plots.cells([]) is None
    assert plots.calibration([]) is None


# ---- cost against quality ----


def test_names_of_twenty_crowded_runs_do_not_cover_each_other():
    runs = [
        summary(f"method-{index}:preset", (0, 1, 40, 100, 200)[index % 5], 0.4 + 0.02 * index) for index in range(20)
    ]
    figure = plots.cost(runs, "insertion")
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in figure.axes[0].texts]  # without their lines
    assert len(boxes) == 20
    for first, second in itertools.combinations(boxes, 2):
        assert not first.overlaps(second)
    right = figure.axes[0].get_window_extent().x1
    assert all(right < box.x0 < box.x1 <= figure.bbox.x1 for box in boxes)


def test_axis_is_logarithmic_with_zero_apart():
    runs = [summary("a", 0, 0.2), summary("b", 1, 0.4), summary("c", 10, 0.6), summary("d", 100, 0.8)]
    (axes,) = plots.cost(runs, "insertion").axes
    zero, one, ten, hundred = (axes.transData.transform((passes, 0.5))[0] for passes in (0, 1, 10, 100))
    assert zero < one
    assert hundred - ten == pytest.approx(ten - one)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "1", "10", "100"]
    low, high = axes.get_ylim()
    assert low < 0.18
    assert high > 0.82


@pytest.mark.parametrize(("higher", "expected"), [(True, ["a", "d"]), (False, ["a", "b"])])
def test_frontier_is_what_no_cheaper_run_equals(higher, expected):
    assert plots.frontier({"a": (1, 0.5), "b": (10, 0.4), "c": (20, 0.5), "d": (50, 0.6)}, higher=higher) == expected


def test_equal_runs_stand_side_by_side():
    (axes,) = plots.cost([summary("a", 40, 0.5), summary("b", 40, 0.51)], "insertion").axes
    first, second = (
        line.get_transform().transform((40, 0.5))[0] for line in axes.lines if line.get_marker() == "o"
    )  # fmt: skip
    assert abs(first - second) == pytest.approx(plots.BESIDE / 72 * axes.figure.dpi)


def test_a_single_control_and_no_run_at_all():
    assert plots.cost([summary("random", 0, 0.5, half=0.0)], "insertion").axes
    assert plots.cost([], "insertion") is None
    assert plots.cost([summary("a", 1, 0.5)], "deletion") is None
