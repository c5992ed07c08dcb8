"""The words of a comparison, and figures as people read them: with a true minus, and their interval in brackets."""

from __future__ import annotations

import math

from wherelook.stats import Estimate
from wherelook.study.comparison import Question

QUESTIONS: dict[Question, str] = {
    "reliance": "Do the models rely on the image?",
    "focus": "Where do they look?",
    "evidence": "Does looking at the evidence matter?",
}
CORRECTIONS = {"holm": "Holm's correction", "benjamini-hochberg": "Benjamini and Hochberg's correction"}
"""For many tests, by the name of the option."""

SIGNIFICANT = 0.05
"""p-value below which a finding counts, after correction."""

DASH = "\N{EN DASH}"
"""Of ranges, and where there is no figure."""


def percent(estimate: Estimate | None) -> str:
    """A share of 1 as "47 % (40–55)"."""
    return DASH if estimate is None else f"{share(estimate.value)} ({percent_interval(estimate)})"


def share(value: float) -> str:
    """A share of 1 in percent."""
    return f"{100 * value:.0f}\N{NO-BREAK SPACE}%"


def percent_interval(estimate: Estimate) -> str:
    """The interval of a share of 1, in percent without the sign."""
    return f"{100 * estimate.low:.0f}{DASH}{100 * estimate.high:.0f}"


def figure(estimate: Estimate | None) -> str:
    """A figure as "0.47 (0.40–0.55)"."""
    return DASH if estimate is None else f"{number(estimate.value)} ({interval(estimate)})"


def interval(estimate: Estimate) -> str:
    """The interval, readable with negative ends too."""
    return f"{number(estimate.low)}{' to ' if estimate.low < 0 else DASH}{number(estimate.high)}"


def number(value: float) -> str:
    """Two digits after the point."""
    if not math.isfinite(value):
        return _infinite(value)
    return f"{round(value, 2) or 0.0:.2f}".replace("-", "\N{MINUS SIGN}")  # no minus before a zero


def ratio(value: float) -> str:
    """A ratio: two digits that count, or all before the point."""
    if not math.isfinite(value):
        return _infinite(value)
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def ratio_interval(estimate: Estimate) -> str:
    """The interval of a ratio."""
    return f"{ratio(estimate.low)}{DASH}{ratio(estimate.high)}"


def p_value(value: float) -> str:
    """A p-value with its relation: "= 0.012" or "< 0.001"."""
    return "<\N{NO-BREAK SPACE}0.001" if value < 0.001 else f"=\N{NO-BREAK SPACE}{value:.3f}"


def _infinite(value: float) -> str:
    return "∞" if value > 0 else "\N{MINUS SIGN}∞"
