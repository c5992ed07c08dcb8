"""Right place against right answer, and reliance against correctness, as numbers of SVG drawings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wherelook.analysis.results import EvidenceLine
from wherelook.report.formatting import DASH, share
from wherelook.report.interval_plot import CHARACTER, shorten
from wherelook.stats import Calibration

WIDTH = 760  # of the drawing of cells
BAR, LINE, TOP, BOTTOM = 18, 30, 6, 40
RIGHT = 20
NARROWEST = 26  # a part that is narrower has no number in it

SIDE = 240  # of a drawing of calibration
FRAME = (44, 228, 12, 196)  # left, right, top and bottom of the area between its axes

CELLS = (
    "right place, right answer",
    "right place, wrong answer",
    "elsewhere, right answer",
    "elsewhere, wrong answer",
)
"""The four cells in the order of `EvidenceLine.cells`."""


@dataclass(frozen=True)
class Part:
    """A part of a bar; `cell` is its place in `CELLS`, `label` its count or "" where there is no room."""

    x: float
    width: float
    cell: int
    label: str
    text: str


@dataclass(frozen=True)
class Bar:
    """The answers of a model, by cell."""

    y: float
    name: str
    whole_name: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Bars:
    """One drawing of cells; `ticks` are (x, label)."""

    height: float
    bottom: float
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Point:
    """Answers of about one reliance: their place, the ends of the interval, and what they are."""

    x: float
    y: float
    low: float
    high: float
    text: str


@dataclass(frozen=True)
class Curve:
    """One drawing of calibration."""

    name: str
    points: tuple[Point, ...]


def cells(lines: Sequence[EvidenceLine]) -> Bars | None:
    """A bar of four parts for every model; None without lines."""
    if not lines:
        return None
    left = 14 + CHARACTER * max(len(shorten(line.model)) for line in lines)
    width = WIDTH - RIGHT - left
    bars = []
    for row, line in enumerate(lines):
        x, parts = left, []
        for index, cell in enumerate(line.cells):
            long = cell.share * width
            text = f"{line.model}, {CELLS[index]}: {cell.count} of {line.answers} ({share(cell.share)})"
            parts.append(Part(x, long, index, str(cell.count) if long >= NARROWEST else "", text))
            x += long
        bars.append(Bar(TOP + LINE * row, shorten(line.model), line.model, tuple(parts)))
    ticks = tuple((left + part * width, f"{100 * part:.0f} %") for part in (0, 0.25, 0.5, 0.75, 1))
    bottom = TOP + LINE * len(lines)
    return Bars(bottom + BOTTOM, bottom, tuple(bars), ticks)


def curve(model: str, calibration: Calibration) -> Curve:
    """Share of right answers over reliance, by bin."""
    left, right, top, bottom = FRAME
    points = []
    for one in calibration.bins:
        y, low, high = (bottom - value * (bottom - top) for value in (one.share, one.low, one.high))
        text = f"reliance {one.score:.2f}: {share(one.share)} right ({100 * one.low:.0f}{DASH}{100 * one.high:.0f}), "
        points.append(Point(left + one.score * (right - left), y, low, high, f"{text}n {one.n}"))
    return Curve(model, tuple(points))
