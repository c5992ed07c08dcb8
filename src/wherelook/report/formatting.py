"""Values as people read them: a true minus, digits where they tell something, and the interval apart."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from wherelook.analysis.results import Question
from wherelook.explanation import figures
from wherelook.explanation.figures import NOTHING
from wherelook.stats import Estimate

Kind = Literal[
    "text", "list", "names", "count", "number", "percent", "ratio", "p", "passes", "seconds", "bytes"
]  # fmt: skip
"""What a value is. list: shown in part; names: all of them; percent: a proportion in [0, 1], shown in %; passes: a mean
of whole numbers."""

QUESTIONS: dict[Question, str] = {
    "reliance": "Do the models rely on the image?",
    "focus": "Where do they look?",
    "evidence": "Does looking at the evidence matter?",
}
CORRECTIONS = {"holm": "Holm's correction", "benjamini-hochberg": "Benjamini and Hochberg's correction"}
"""For many tests, by the name of the option."""

SIGNIFICANT = 0.05
"""p-value below which a finding counts, after correction."""

DASH = NOTHING
"""Of ranges, and where there is no figure."""

NAMED = 3
"""Entries of a list that are shown."""


def parts(value: Any, kind: Kind = "number", digits: int = 2) -> tuple[str, str]:
    """A value, and its interval; "" where it has none. A narrow interval brings more digits.

    Args:
        value: of the kind, or an `Estimate` of such; None where there is none.
        kind: see `Kind`.
        digits: after the point of a number, at least.

    >>> from wherelook.stats import Estimate
    >>> parts(Estimate("x", 0.471, 0.40, 0.55, "t"), "percent"), parts(3.0)
    (('47', '40–55'), ('3.00', ''))
    """
    if value is None:
        return DASH, ""
    if not isinstance(value, Estimate):
        few = 0 if kind == "percent" and (value == 0 or value >= 0.0995) else 1
        return _SHOWN[kind](value, few if kind == "percent" else digits), ""
    width = value.high - value.low
    digits = (
        figures.digits_for(100 * width, least=0, most=4) if kind == "percent" else figures.digits_for(width, digits)
    )
    shown, low, high = (_SHOWN[kind](one, digits) for one in (value.value, value.low, value.high))
    return shown, f"{low}{' to ' if value.low < 0 else DASH}{high}"


def text(value: Any, kind: Kind = "number", digits: int = 2) -> str:
    """A value with its interval in brackets: "0.47 (0.40–0.55)"; a proportion with its sign: "47 % (40–55)"."""
    shown, interval = parts(value, kind, digits)
    sign = "\N{NO-BREAK SPACE}%" if kind == "percent" and value is not None else ""
    return f"{shown}{sign} ({interval})" if interval else f"{shown}{sign}"


def p_value(value: float, *, floor: bool = False) -> str:
    """A p-value with its relation: "= 0.012", "< 0.001".

    Args:
        value: the p-value.
        floor: whether the test can give no smaller one, so that the true one may lie below: "≤ 0.012".
    """
    shown = _p(value, 3)
    return shown if shown.startswith("<") else f"{'≤' if floor else '='}\N{NO-BREAK SPACE}{shown}"


def plural(count: int, noun: str) -> str:
    """ "1 model", "2 models"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def words(name: str) -> str:
    """A name of an option in words."""
    return name.replace("-", " ").replace("_", " ")


def _p(value: float, _: int) -> str:
    return "<\N{NO-BREAK SPACE}0.001" if value < 0.001 else f"{value:.3f}"


def _ratio(value: float, _: int) -> str:
    """Two digits that count, or all before the point."""
    if not math.isfinite(value):
        return figures.number(value)
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def _passes(value: float, _: int) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def _bytes(value: float, _: int) -> str:
    return DASH if not value else f"{value / 1e9:.2f} GB" if value >= 1e9 else f"{value / 1e6:.0f} MB"


def _list(values: Any, _: int) -> str:
    more = f" and {len(values) - NAMED} more" if len(values) > NAMED else ""
    return ", ".join(values[:NAMED]) + more


_SHOWN: Mapping[Kind, Callable[[Any, int], str]] = {
    "text": lambda value, _: str(value),
    "list": _list,
    "names": lambda values, _: ", ".join(values),
    "count": lambda value, _: f"{value:,}",
    "number": figures.number,
    "percent": lambda value, digits: figures.number(100 * value, digits),
    "ratio": _ratio,
    "p": _p,
    "passes": _passes,
    "seconds": lambda value, _: f"{value:.2f}",
    "bytes": _bytes,
}


def slug(name: str) -> str:
    """A name as a part of a file's name: letters of ASCII, digits and dashes, at most 40."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower(), flags=re.ASCII).strip("-")[:40]
