"""Figures with their intervals as numbers of an SVG drawing: a line for every name, one or two marks on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wherelook.stats import Estimate

WIDTH = 520  # of the drawing
CHARACTER = 7.3  # room for a letter of a name
LONGEST_NAME = 24  # characters; what is longer is cut
RIGHT = 22  # room right of the axis
TOP, LINE, BOTTOM = 8, 28, 44  # room above, of every name, and for the axis below
SIDE_BY_SIDE = 5.0  # of the marks on one line, from its middle
STEPS = 5  # of an axis, about


@dataclass(frozen=True)
class Scale:
    """An axis.

    Attributes:
        title: what it measures.
        ticks: values with their labels, rising; the first and the last are its ends.
        logarithmic: whether equal ratios have equal lengths.
        reference: a value to draw a line at, such as chance.
    """

    title: str
    ticks: tuple[tuple[float, str], ...]
    logarithmic: bool = False
    reference: float | None = None

    def share(self, value: float) -> float:
        """Where a value lies between the ends, in [0, 1]; what is beyond them lies at them."""
        along: Callable[[float], float] = _log if self.logarithmic else float
        low, high = along(self.ticks[0][0]), along(self.ticks[-1][0])
        return (min(max(along(value), low), high) - low) / (high - low)


PERCENT = tuple((share / 100, f"{share} %") for share in (0, 25, 50, 75, 100))


@dataclass(frozen=True)
class Entry:
    """A name with a figure for every series; None, or a number without an interval, where there is no estimate."""

    name: str
    figures: tuple[Estimate | float | None, ...]


@dataclass(frozen=True)
class Mark:
    """A point with its interval, in units of the drawing. `series` counts from 0; `text` says what it shows."""

    x: float
    y: float
    low: float
    high: float
    series: int
    text: str


@dataclass(frozen=True)
class Plot:
    """One drawing. `names` are (y, text, whole name), `ticks` are (x, label)."""

    height: float
    left: float
    bottom: float
    title: str
    series: tuple[str, ...]
    names: tuple[tuple[float, str, str], ...]
    ticks: tuple[tuple[float, str], ...]
    reference: float | None
    marks: tuple[Mark, ...]


def plot(
    entries: Sequence[Entry], scale: Scale, series: Sequence[str], text: Callable[[Estimate | float], str]
) -> Plot | None:
    """The drawing; None where no entry has a figure.

    Args:
        entries: from the top down; those without a figure are left out.
        scale: the axis.
        series: names of the series, as many as every entry has figures.
        text: of a figure, for the mark's description.
    """
    shown = [entry for entry in entries if any(figure is not None for figure in entry.figures)]
    if not shown:
        return None
    names = [shorten(entry.name) for entry in shown]
    left = 14 + CHARACTER * max(map(len, names))
    bottom = TOP + LINE * len(shown)

    def place(value: float) -> float:
        return left + scale.share(value) * (WIDTH - RIGHT - left)

    marks = []
    for row, entry in enumerate(shown):
        for index, figure in enumerate(entry.figures):
            if figure is None:
                continue
            low, value, high = (
                (figure.low, figure.value, figure.high) if isinstance(figure, Estimate) else (figure,) * 3
            )
            y = TOP + LINE * (row + 0.5) + (index - (len(series) - 1) / 2) * 2 * SIDE_BY_SIDE
            described = f"{entry.name}, {series[index]}: {text(figure)}"
            marks.append(Mark(place(value), y, place(low), place(high), index, described))
    return Plot(
        height=bottom + BOTTOM,
        left=left,
        bottom=bottom,
        title=scale.title,
        series=tuple(series),
        names=tuple((TOP + LINE * (row + 0.5), names[row], entry.name) for row, entry in enumerate(shown)),
        ticks=tuple((place(value), label) for value, label in scale.ticks),
        reference=None if scale.reference is None else place(scale.reference),
        marks=tuple(marks),
    )


def linear_ticks(figures: Sequence[Estimate | float | None], *values: float) -> tuple[tuple[float, str], ...]:
    """Ticks of an axis that holds all figures with their intervals, and these values, between two round numbers."""
    ends = [end for figure in figures for end in _ends(figure)] + list(values)
    low, high = min(ends), max(ends)
    rough = max(high - low, 0.01) / STEPS
    size = 10.0 ** math.floor(math.log10(rough))
    step = size * next(factor for factor in (1, 2, 5, 10) if factor * size >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    digits = max(0, -math.floor(math.log10(step)))
    return tuple(
        (index * step, f"{index * step:.{digits}f}".replace("-", "\N{MINUS SIGN}"))
        for index in range(first, max(last, first + 1) + 1)
    )


def ratio_ticks(figures: Sequence[Estimate | None]) -> tuple[tuple[float, str], ...]:
    """Ticks of a logarithmic axis: powers of ten around 1 that hold all values; intervals may go beyond."""
    values = [figure.value for figure in figures if figure is not None and 0 < figure.value < math.inf]
    reach = max((abs(math.log10(value)) for value in values), default=0.0)
    power = min(max(1, math.ceil(reach)), 4)
    return tuple((10.0**exponent, f"{10.0**exponent:g}") for exponent in range(-power, power + 1))


def shorten(name: str) -> str:
    """A name that is too long for a drawing loses its middle: models differ at both ends."""
    if len(name) <= LONGEST_NAME:
        return name
    head = (LONGEST_NAME - 1) // 2
    return f"{name[:head]}…{name[head + 1 - LONGEST_NAME :]}"


def _ends(figure: Estimate | float | None) -> list[float]:
    if figure is None:
        return []
    ends = [figure.low, figure.value, figure.high] if isinstance(figure, Estimate) else [figure]
    return [end for end in ends if math.isfinite(end)]


def _log(value: float) -> float:
    return math.log10(value) if value > 0 else -math.inf
