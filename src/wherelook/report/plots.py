"""The plots of the reports, as matplotlib figures: `wherelook.explanation.drawing` makes SVG and PDF of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wherelook.analysis.method_table import RunSummary, metric_of
from wherelook.analysis.results import CalibrationLine, Comparison, EvidenceLine, PairLine
from wherelook.explanation.drawing import COLORS, LONGEST_LABEL, label, new_figure, style, tell
from wherelook.report.formatting import Kind, text, words
from wherelook.report.tables import CELLS
from wherelook.stats import Estimate, Hierarchy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 7.2  # inches of a full figure; half of it for one beside another
HALF = 4.6
SHADES = 6  # of a matrix
NAMED = ("first", "second")  # colors of series
BESIDE = 7.0  # points between two runs of equal cost
LABEL = 0.19  # inches of a line of names

PLOTS = {
    "reliance": "Visually grounded answers and tokens of words",
    "accuracy": "Accuracy with and without the image",
    "similarity": "Similarity of focus of every two models, and their tree",
    "relations": "Similarity of focus by what differs between two models",
    "cells": "Right place against right answer",
    "places": "How often the focus lies on the evidence",
    "odds": "Odds of a right answer at the right place by those elsewhere",
    "calibration": "Accuracy over reliance on the image",
    "cost-insertion": "Insertion over the passes that a map costs",
    "cost-deletion": "Deletion over the passes that a map costs",
}
"""What each plot shows."""

Entry = tuple[str, Sequence[Estimate | float | None]]
"""A name with a figure for every series."""


def comparison_figures(comparison: Comparison) -> dict[tuple[str, str], Figure]:
    """All plots of a comparison, by benchmark and name; over all tasks."""
    found: dict[tuple[str, str], Figure | None] = {}
    for benchmark in dict.fromkeys(line.benchmark for line in comparison.coverage):
        lines: dict[str, list[Any]] = {
            name: [line for line in getattr(comparison, name)
                   if line.benchmark == benchmark and getattr(line, "task", None) is None]
            for name in ("reliance", "evidence", "calibrations", "relations", "pairs", "trees")
        }  # fmt: skip
        reliance, evidence = lines["reliance"], lines["evidence"]
        plots = {
            "reliance": intervals(
                [(line.model, (line.resting, line.tokens_resting)) for line in reliance],
                ("answers", "tokens"), "visually grounded, %",
            ),
            "accuracy": intervals(
                [(line.model, (line.accuracy, line.blind_accuracy)) for line in reliance],
                ("with the image", "without"), "accuracy, %",
            ),
            "similarity": similarity(lines["pairs"], lines["trees"][0].hierarchy) if lines["trees"] else None,
            "relations": intervals(
                [(line.relation if line.within is None else f"{line.relation}: {line.within}", (line.similarity,))
                 for line in lines["relations"]],
                ("similarity",), f"{words(comparison.measure)} of two models' maps", "number",
            ),
            "cells": cells(evidence),
            "places": intervals(
                [(line.model, (line.right_place, line.chance)) for line in evidence],
                ("model", "a random place"), "focus on the evidence, %",
            ),
            "odds": intervals(
                [(line.model, (line.odds_ratio,)) for line in evidence], ("odds ratio",), "odds ratio", "ratio"
            ),
            "calibration": calibration(lines["calibrations"]),
        }  # fmt: skip
        found |= {(benchmark, name): figure for name, figure in plots.items()}
    return {key: figure for key, figure in found.items() if figure is not None}


def method_figures(summaries: Sequence[RunSummary]) -> dict[str, Figure]:
    """Cost against insertion and deletion, as far as they were measured."""
    found = {f"cost-{name}": cost(summaries, name) for name in ("insertion", "deletion")}
    return {name: figure for name, figure in found.items() if figure is not None}


# ---- intervals ----


def intervals(entries: Sequence[Entry], series: Sequence[str], title: str, kind: Kind = "percent") -> Figure | None:
    """A row for every name with a point and its interval for every series; None where no entry has a figure.

    Args:
        entries: from the top down; those without a figure are left out.
        series: names of the series.
        title: of the axis.
        kind: percent has an axis from 0 to 100, ratio a logarithmic one around a line at 1.
    """
    shown = [entry for entry in entries if any(figure is not None for figure in entry[1])]
    if not shown:
        return None
    with style():
        figure = new_figure(HALF, 0.75 + 0.33 * len(shown) + 0.25 * (len(series) > 1))
        axes = figure.add_subplot()
        low, high = _axis(axes, [one for _, figures in shown for one in figures if one is not None], kind)
        for row, (name, figures) in enumerate(shown):
            for index, one in enumerate(figures):
                if one is None:
                    continue
                y, color = row + 0.28 * (index - (len(series) - 1) / 2), COLORS[NAMED[index]]
                middle, *ends = (one.value, one.low, one.high) if isinstance(one, Estimate) else (one, one, one)
                fill = color if index == 0 else COLORS["page"]
                tip = f"{name}, {series[index]}: {text(one, kind)}"
                if ends[0] < ends[1]:
                    tell(axes.plot(np.clip(ends, low, high), [y, y], color=color)[0], tip)
                marker: Any = {"marker": "o", "markersize": 5, "markerfacecolor": fill, "linestyle": "none"}
                tell(axes.plot([min(max(middle, low), high)], [y], color=color, clip_on=False, **marker)[0], tip)
        _names(axes, [name for name, _ in shown])
        axes.set_xlabel(title)
        if len(series) > 1:
            handles = [
                axes.plot([], [], "o-", color=COLORS[NAMED[index]], label=name, markersize=5,
                          markerfacecolor=COLORS["page"] if index else COLORS[NAMED[index]])[0]
                for index, name in enumerate(series)
            ]  # fmt: skip
            figure.legend(handles=handles, loc="outside upper left", ncols=len(series))
    return figure


def _axis(axes: Axes, figures: Sequence[Estimate | float], kind: Kind) -> tuple[float, float]:
    """The horizontal axis that these figures need, and its ends."""
    if kind == "percent":
        low, high = 0.0, 1.0
        axes.set_xticks(np.linspace(0, 1, 5), [f"{tick}" for tick in (0, 25, 50, 75, 100)])
    elif kind == "ratio":  # powers of ten that hold all values; intervals may go beyond
        values = [one.value for one in figures if isinstance(one, Estimate) and 0 < one.value < math.inf]
        power = min(max(1, *(math.ceil(abs(math.log10(value))) for value in values), 1), 4)
        low, high = 10.0**-power, 10.0**power
        axes.set_xscale("log")
        axes.set_xticks([10.0**step for step in range(-power, power + 1)],
                        [f"{10.0**step:g}" for step in range(-power, power + 1)])  # fmt: skip
        axes.axvline(1, color=COLORS["quiet"], linestyle=(0, (4, 3)), linewidth=1)
    else:
        ends = [end for one in figures for end in ((one.low, one.high) if isinstance(one, Estimate) else (one,))]
        known = [end for end in ends if math.isfinite(end)] + [0.0]
        margin = 0.05 * (max(known) - min(known) or 1.0)
        low, high = min(known) - margin * (min(known) < 0), max(known) + margin
    axes.set_xlim(low, high)
    return low, high


def _names(axes: Axes, names: Sequence[str]) -> None:
    """Names of rows, from the top down."""
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), [label(name) for name in names])
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    for tick, name in zip(axes.get_yticklabels(), names, strict=True):
        tell(tick, name)


# ---- which models look alike ----


def similarity(pairs: Sequence[PairLine], tree: Hierarchy) -> Figure:
    """A matrix of similarities beside the tree of the models, in the tree's order.

    Args:
        pairs: of one benchmark, all that there are of the tree's models.
        tree: of the same models.
    """
    from matplotlib.patches import Rectangle
    from scipy.cluster.hierarchy import leaves_list

    rank = {name: place for place, name in enumerate(tree.order)}
    count = len(rank)
    with style():
        figure = new_figure(2.2 + 0.52 * count + 2.2, 0.9 + 0.52 * count)
        matrix, branches = figure.subplots(1, 2, width_ratios=(0.52 * count, 2.2))
        for pair in pairs:
            tip = f"{pair.first} and {pair.second}: {text(pair.similarity)}"
            level = min(max(int(pair.similarity.value * SHADES), 0), SHADES - 1)
            for row, column in ((pair.first, pair.second), (pair.second, pair.first)):
                x, y = rank[column], rank[row]
                tile = Rectangle((x - 0.47, y - 0.47), 0.94, 0.94, facecolor=COLORS[f"tile{level}"])
                tell(matrix.add_patch(tile), tip)
                shade = COLORS["tile-light" if level > 3 else "tile-dark"]
                matrix.text(x, y, text(pair.similarity.value), color=shade, ha="center", va="center", fontsize=8)
        _names(matrix, [f"{name}  {place + 1}" for name, place in rank.items()])
        matrix.set(xlim=(-0.5, count - 0.5), xticks=range(count), xticklabels=range(1, count + 1))
        place = {int(leaf): (float(row), 0.0) for row, leaf in enumerate(leaves_list(np.array(tree.linkage)))}
        for number, ((one, other, height, _), merge) in enumerate(zip(tree.linkage, tree.merges, strict=True)):
            (y0, x0), (y1, x1) = place[int(one)], place[int(other)]
            place[count + number] = (y0 + y1) / 2, height
            (line,) = branches.plot([x0, height, height, x1], [y0, y0, y1, y1], color=COLORS["ink"], linewidth=1.2)
            support = text(merge.support, "percent")
            tell(line, f"{', '.join(merge.members)}: distance {text(merge.height)}, support {support}")
            branches.annotate(support, (height, (y0 + y1) / 2), (3, 3), textcoords="offset points", fontsize=7.5,
                              color=COLORS["quiet"])  # fmt: skip
        branches.set(xlabel="distance at which branches join", ylim=(count - 0.5, -0.5), yticks=[], xlim=(0, None))
        for axes in (matrix, branches):
            axes.spines[["left", "bottom"]].set_visible(False)
        matrix.grid(visible=False)
    return figure


# ---- place and answer ----


def cells(lines: Sequence[EvidenceLine]) -> Figure | None:
    """A bar of four parts for every model: right place and right answer, and so on; None without lines."""
    if not lines:
        return None
    with style():
        figure = new_figure(WIDTH, 1.05 + 0.34 * len(lines))
        axes = figure.add_subplot()
        for row, line in enumerate(lines):
            left = 0.0
            for index, cell in enumerate(line.cells):
                name = CELLS[index] if row == 0 else None
                (bar,) = axes.barh(
                    [row], [cell.share], left=left, height=0.66, linewidth=0, color=COLORS[f"cell{index}"], label=name
                )
                share = text(cell.share, "percent")
                tell(bar, f"{line.model}, {CELLS[index]}: {cell.count} of {line.answers} ({share})")
                if cell.share > 0.04:
                    axes.text(left + cell.share / 2, row, f"{cell.count:,}", color=COLORS[f"on{index}"], ha="center",
                              va="center")  # fmt: skip
                left += cell.share
        _axis(axes, (), "percent")
        _names(axes, [line.model for line in lines])
        axes.set_xlabel("answers, %")
        figure.legend(loc="outside upper left", ncols=2, handlelength=1, handleheight=1)
    return figure


def calibration(lines: Sequence[CalibrationLine]) -> Figure | None:
    """Accuracy over reliance, by bins of reliance, for every model; None without lines."""
    if not lines:
        return None
    with style():
        columns = min(len(lines), 4)
        rows = math.ceil(len(lines) / columns)
        figure = new_figure(WIDTH if columns > 2 else HALF, 2.2 * rows)
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for axes, line in zip(grid.flat, lines, strict=False):
            axes.plot([0, 1], [0, 1], color=COLORS["quiet"], linestyle=(0, (4, 3)), linewidth=1)
            for one in line.calibration.bins:
                accuracy = text(
                    Estimate(name="accuracy", value=one.share, low=one.low, high=one.high, method="Wilson"), "percent"
                )
                tip = f"{line.model}, reliance {one.score:.2f}: accuracy {accuracy}, n {one.n}"
                tell(axes.plot([one.score] * 2, [one.low, one.high], color=COLORS["first"])[0], tip)
                tell(axes.plot([one.score], [one.share], "o", color=COLORS["first"], markersize=4)[0], tip)
            axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1), aspect="equal")
            axes.set_yticklabels(["0", "50", "100"])
            axes.set_title(label(line.model, 20), fontsize=8.5)
        for axes in grid.flat[len(lines) :]:
            axes.set_visible(False)
        figure.supxlabel("reliance on the image", fontsize=9)
        figure.supylabel("accuracy, %", fontsize=9)
    return figure


# ---- cost against quality ----


def cost(summaries: Sequence[RunSummary], measure: str) -> Figure | None:
    """Mean passes of every run against a measure, with its interval; None where no run has both.

    Filled points: no run of the same or a lower cost is better; the line joins them.
    """
    known = [
        (summary.run, float(summary.passes), found)
        for summary in summaries
        if (found := summary.figures.get(measure)) is not None and summary.passes is not None
    ]
    if not known:
        return None
    known.sort(key=lambda one: one[1])
    better = metric_of(measure).better
    best = frontier({run: (passes, found.mean) for run, passes, found in known}, higher=better == "higher")
    with style():
        figure = new_figure(WIDTH, max(3.8, 0.6 + LABEL * len(known)))
        axes = figure.add_subplot()
        _cost_axis(axes, [passes for _, passes, _ in known])
        low, high = min(found.low for *_, found in known), max(found.high for *_, found in known)
        margin = 0.04 * (high - low or 0.1)
        axes.set_ylim(low - margin, high + margin)
        front = [(passes, found.mean) for run, passes, found in known if run in best]
        end = axes.get_xlim()[1]
        axes.step([x for x, _ in front] + [end], [y for _, y in front] + [front[-1][1]], where="post",
                  color=COLORS["first"], linewidth=1.1, linestyle=(0, (5, 4)))  # fmt: skip
        names = _place_names(known, (low - margin, high + margin), axes.bbox.height / figure.dpi)
        for (run, passes, found), shift, y in zip(
            known, _beside([passes for _, passes, _ in known]), names, strict=True
        ):
            interval = Estimate(name=measure, value=found.mean, low=found.low, high=found.high, method="")
            _point(axes, run, (passes, shift, y), interval, run in best)
        axes.set_xlabel("forward and backward passes per map")
        axes.set_title(f"{measure.capitalize()}: {'↑ higher' if better == 'higher' else '↓ lower'} is better")
    return figure


def frontier(runs: Mapping[str, tuple[float, float]], *, higher: bool) -> list[str]:
    """The runs that are better than every run of the same or a lower cost.

    Args:
        runs: (cost, quality) by name.
        higher: whether more quality is better.

    >>> frontier({"a": (1, 0.5), "b": (10, 0.4), "c": (50, 0.6)}, higher=True)
    ['a', 'c']
    """
    sign, found, best = 1 if higher else -1, [], -math.inf
    for run, (_, quality) in sorted(runs.items(), key=lambda one: (one[1][0], -sign * one[1][1])):
        if sign * quality > best:
            found.append(run)
            best = sign * quality
    return found


def _cost_axis(axes: Axes, passes: Sequence[float]) -> None:
    """Logarithmic in whole decades, with a place of its own for zero."""
    positive = [max(value, 1.0) for value in passes if value > 0] or [1.0, 10.0]
    first, last = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    last = max(last, first + 1)
    ticks = [10.0**power for power in range(first, last + 1)]
    if min(passes) <= 0:
        axes.set_xscale("symlog", linthresh=ticks[0], linscale=0.5)
        axes.set_xlim(-0.25 * ticks[0], 1.3 * ticks[-1])
        ticks.insert(0, 0.0)
    else:
        axes.set_xscale("log")
        axes.set_xlim(ticks[0] / 1.3, 1.3 * ticks[-1])
    axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    axes.minorticks_off()


def _beside(passes: Sequence[float]) -> list[float]:
    """Points to the right at which runs of about equal cost stand beside each other."""
    groups = [round(16 * math.log10(max(value, 1.0))) if value > 0 else -1 for value in passes]
    return [
        BESIDE * (groups[:index].count(group) - (groups.count(group) - 1) / 2) for index, group in enumerate(groups)
    ]


def _place_names(known: Sequence[tuple[str, float, Any]], ends: tuple[float, float], height: float) -> list[float]:
    """Where each run's name stands on the right, in shares of the axis: beside its point, and none over another."""
    gap = min(LABEL / height, 1 / max(1, len(known)))
    order = sorted(range(len(known)), key=lambda index: known[index][2].mean)
    places: list[float] = []
    for index in order:
        wanted = (known[index][2].mean - ends[0]) / (ends[1] - ends[0])
        places.append(max(wanted, places[-1] + gap) if places else wanted)
    for place in range(len(places) - 1, -1, -1):
        places[place] = min(places[place], places[place + 1] - gap if place + 1 < len(places) else 1.0)
    return [places[order.index(index)] for index in range(len(known))]


def _point(axes: Axes, run: str, place: tuple[float, float, float], one: Estimate, best: bool) -> None:
    """A run with its interval, and its name on the right."""
    from matplotlib.transforms import ScaledTranslation

    passes, shift, y = place
    figure = axes.get_figure()
    assert figure is not None
    moved = axes.transData + ScaledTranslation(shift / 72, 0, figure.dpi_scale_trans)
    color, fill = COLORS["first"], COLORS["first" if best else "page"]
    tip = f"{run}: {text(one, digits=3)} at {passes:,.0f} passes"
    tell(axes.plot([passes] * 2, [one.low, one.high], color=color, linewidth=1.2, alpha=0.6, transform=moved)[0], tip)
    (mark,) = axes.plot([passes], [one.value], "o", markersize=5.5, color=color, markerfacecolor=fill, transform=moved)
    tell(mark, tip)
    line = {"arrowstyle": "-", "linestyle": (0, (1, 2)), "linewidth": 0.8, "color": COLORS["quiet"], "relpos": (0, 0.5)}
    axes.annotate(
        label(run, LONGEST_LABEL), (passes, one.value), (1.03, y), xycoords=moved, textcoords="axes fraction",
        va="center", fontsize=8.5, fontweight="bold" if best else "normal", arrowprops=line,
    )  # fmt: skip
