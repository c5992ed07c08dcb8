"""What is known of a metric beside its function."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from wherelook.metrics.context import MapContext

TRUTH, PEOPLE = "a ground-truth mask", "a map of where people looked"
"""What a metric may need that not every sample has: see `MapContext.knows`."""

Better = Literal["higher", "lower", "neither"]

Level = Literal["map", "replay", "all"]
"""How much it takes, each with the ones before: the map alone, the two curves, or the model asked again."""

LEVELS: dict[Level, str] = {
    "map": "what needs no pass of the model: where the map lies, against the evidence and people where these are known",
    "replay": "deletion and insertion with both baselines too",
    "all": "superpixels, flip, keep and the sufficient area too",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Metric:
    """A figure of a map: how it is taken, and all that is told of it. Columns, tables and pages are made from this.

    Attributes:
        name: what records call it where it is given as an object; that of its function if empty.
        measure: from a `wherelook.metrics.MapContext` to a number; None where the figure is undefined, as with a map
            of zeros. No function: the figure is made of two maps of a run, see `wherelook.analysis`.
        summary: one line.
        better: the direction that speaks for a map.
        label: as tables call it; its name if empty.
        group: heading of the table that compares methods by it; "" for a figure that stands in the records alone.
        values: its range, written as LEAST to MOST; or "0 or 1" for a yes or no.
        cost: in forward passes.
        needs: what a sample must have; "-" for nothing.
        source: where it comes from.
        level: with which of `LEVELS` it is taken; None: where it is asked for by name alone.
        both_baselines: whether it is taken a second time, as NAME_unseen, with a baseline that no method worked with.

    Example:
        >>> largest = Metric(measure=lambda context: float(context.saliency.max()), summary="the largest value")
        >>> largest.better, largest.values
        ('neither', 'a number')
    """

    summary: str
    name: str = ""
    measure: Callable[[MapContext], float | None] | None = None
    better: Better = "neither"
    label: str = ""
    group: str = ""
    values: str = "a number"
    cost: str = "none"
    needs: str = "-"
    source: str = "-"
    level: Level | None = "map"
    both_baselines: bool = False

    @property
    def yes_or_no(self) -> bool:
        """Whether it is 1 or 0, so that its mean is a share."""
        return self.values == "0 or 1"

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the largest number that it can be, as `values` says; infinite where it does not."""
        found = re.match(r"(?:above )?(-?[\d.]+) (?:to|or) (-?[\d.]+)", self.values)
        return (float(found[1]), float(found[2])) if found else (-math.inf, math.inf)
