"""Figures as people read them: a true minus, no minus before a zero, digits where they tell something."""

from __future__ import annotations

import math

MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"
"""Where there is no figure."""


def number(value: float | None, digits: int = 2, *, sign: bool = False) -> str:
    """`digits` after the point; a dash for what is not a number.

    >>> number(-0.001), number(-1.5), number(None)
    ('0.00', '−1.50', '–')
    """
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    rounded = round(value, digits) or 0.0  # of a small negative number no minus stays
    return f"{rounded:{'+' if sign else ''},.{digits}f}".replace("-", MINUS)


def percent(share: float | None, digits: int = 0) -> str:
    """A share of 1.

    >>> percent(0.471), percent(-0.004)
    ('47\\xa0%', '0\\xa0%')
    """
    return NOTHING if share is None else f"{number(100 * share, digits)}\N{NO-BREAK SPACE}%"


def digits_for(width: float, least: int = 2, most: int = 6) -> int:
    """Digits after the point that tell the ends of an interval of this width apart.

    >>> digits_for(0.1), digits_for(0.0005)
    (2, 4)
    """
    if not 0 < width < math.inf:
        return least
    return min(most, max(least, math.ceil(-math.log10(width / 2))))
