"""Deletion and insertion curves as numbers of an SVG drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wherelook.explanation.record import Curve

WIDTH, HEIGHT = 360, 230  # of the drawing
LEFT, RIGHT, TOP, BOTTOM = 46, 350, 10, 186  # of the area between the axes
TOPS = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)


@dataclass(frozen=True)
class Line:
    """One curve: its baseline, whether the optimiser saw it, its area, that of a perfect map in as many steps, and its
    points "x,y x,y ..."."""

    baseline: str
    seen: bool
    area: str
    perfect: str
    points: str


@dataclass(frozen=True)
class Chart:
    """One drawing: `ticks` are (position, label), `title` says what it shows and which direction is better."""

    title: str
    better: str
    axis: str
    description: str
    lines: tuple[Line, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]


def charts(curves: Sequence[Curve], metrics: Mapping[str, float | None]) -> tuple[Chart, ...]:
    """The two drawings, deletion and insertion, on the same axes; none without curves."""
    if not curves:
        return ()
    largest = max(max(*curve.deletion, *curve.insertion) for curve in curves)
    top = min((candidate for candidate in TOPS if candidate >= largest), default=1.0)
    return (
        _chart("Deletion", "lower is better", "share of the image removed", "deletion", curves, metrics, top),
        _chart("Insertion", "higher is better", "share of the image revealed", "insertion", curves, metrics, top),
    )


def _chart(
    title: str,
    better: str,
    axis: str,
    name: str,
    curves: Sequence[Curve],
    metrics: Mapping[str, float | None],
    top: float,
) -> Chart:
    lines = []
    for curve in curves:
        area = metrics.get(name if curve.seen else f"{name}_unseen")
        perfect = curve.deletion_floor if name == "deletion" else curve.insertion_ceiling
        points = zip(curve.fractions, getattr(curve, name), strict=True)
        lines.append(
            Line(
                curve.baseline,
                curve.seen,
                "\N{EN DASH}" if area is None else f"{area:.3f}",
                f"{perfect:.3f}",
                " ".join(f"{_x(x):.1f},{_y(y, top):.1f}" for x, y in points),
            )
        )
    areas = "; ".join(f"{line.baseline} {'seen' if line.seen else 'unseen'}: area {line.area}" for line in lines)
    return Chart(
        title,
        better,
        axis,
        f"{title} curves of the score over the {axis}. {areas}.",
        tuple(lines),
        tuple((_x(share), f"{100 * share:.0f} %") for share in (0, 0.25, 0.5, 0.75, 1)),
        tuple((_y(top * share, top), f"{top * share:g}") for share in (0, 0.5, 1)),
    )


def _x(share: float) -> float:
    return LEFT + share * (RIGHT - LEFT)


def _y(score: float, top: float) -> float:
    return BOTTOM - min(max(score / top, 0.0), 1.0) * (BOTTOM - TOP)
