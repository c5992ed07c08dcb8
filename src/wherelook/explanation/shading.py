"""How pages show a token: its text as something to see, and a shade for how much it owes to the image."""

from __future__ import annotations

import bisect
import itertools
import math

MINUS = "\N{MINUS SIGN}"
WHITE_SPACE = str.maketrans({" ": "␣", "\n": "↵", "\t": "⇥"})

SHADE_BOUNDS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Nats. A token's shade is the number of bounds that its likelihood ratio reaches, in either direction."""


def label(text: str) -> dict[str, str]:
    """A token's text as something to point at, and the spaces before and after it: white space alone becomes signs."""
    if not text.strip():
        return {"before": "", "label": text.translate(WHITE_SPACE) or "▫", "after": ""}
    before = len(text) - len(text.lstrip(" "))
    end = len(text.rstrip(" "))
    return {"before": text[:before], "label": text[before:end].replace("\n", "↵"), "after": text[end:]}


def shade(llr: float) -> str:
    """The CSS class of a likelihood ratio in nats: down5 to down1, level0, up1 to up5."""
    level = bisect.bisect_right(SHADE_BOUNDS, abs(llr)) if math.isfinite(llr) else 0
    return f"{'up' if llr > 0 else 'down'}{level}" if level else "level0"


def legend() -> list[dict[str, str]]:
    """The scale's swatches from left to right, each with the number at its right border."""
    bounds = [-bound for bound in reversed(SHADE_BOUNDS)] + list(SHADE_BOUNDS)
    middles = [
        -2 * SHADE_BOUNDS[-1],
        *((a + b) / 2 for a, b in itertools.pairwise(bounds)),
        bounds[-1] * 2,
    ]
    ends = [f"{bound:g}".replace("-", MINUS) for bound in bounds] + [""]
    return [{"shade": shade(middle), "end": end} for middle, end in zip(middles, ends, strict=True)]
