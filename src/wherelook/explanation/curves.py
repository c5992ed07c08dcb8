"""The deletion and insertion curves of an explanation, as matplotlib figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from wherelook.explanation.drawing import COLORS, label, new_figure, style, tell
from wherelook.explanation.figures import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wherelook.explanation.record import Curve

CURVES = {
    "deletion": ("Deletion: ↓ lower is better", "area removed, %"),
    "insertion": ("Insertion: ↑ higher is better", "area revealed, %"),
}
TOPS = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)


def plot_curves(curves: Sequence[Curve], metrics: Mapping[str, float | None]) -> dict[str, Figure]:
    """A figure of deletion and one of insertion, on the same axes; none without curves.

    Args:
        curves: one for each baseline.
        metrics: of the explanation, with the areas under the curves.
    """
    if not curves:
        return {}
    largest = max(max(*curve.deletion, *curve.insertion) for curve in curves)
    top = min((candidate for candidate in TOPS if candidate >= largest), default=1.0)
    return {name: _plot(name, curves, metrics, top) for name in CURVES}


def _plot(name: str, curves: Sequence[Curve], metrics: Mapping[str, float | None], top: float) -> Figure:
    title, axis = CURVES[name]
    with style():
        figure = new_figure(4.4, 2.75 + 0.2 * len(curves))
        axes = figure.add_subplot()
        for curve in curves:
            area = number(metrics.get(name if curve.seen else f"{name}_unseen"), 3)
            perfect = number(curve.deletion_floor if name == "deletion" else curve.insertion_ceiling, 3)
            seen = "seen" if curve.seen else "unseen"
            told = f"{label(curve.baseline)}, {seen}: area {area} (a perfect map: {perfect})"
            (line,) = axes.plot(
                curve.fractions, getattr(curve, name), label=told, linewidth=1.9,
                color=COLORS["first" if curve.seen else "second"], linestyle="-" if curve.seen else (0, (4, 2.5)),
            )  # fmt: skip
            tell(line, told)
        axes.set(xlim=(0, 1), ylim=(0, top * 1.02), xlabel=axis, ylabel="score", title=title)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
        axes.set_yticks([0, top / 2, top])
        figure.legend(loc="outside lower left")
    return figure
