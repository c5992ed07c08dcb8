"""How good a map is: faithfulness to the model (deletion and insertion) and, where the truth is known, localization.
And what it is like: how it is spread, and how much like another map.

A metric is a function of a `MapContext` with what is told of it, a `Metric`. It stands in `METRICS` of the file of its
kind, or comes from another package.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from wherelook.arguments import expected, shown
from wherelook.errors import InputError, unknown_name
from wherelook.metrics import answer_change, deletion_insertion, localization, map_similarity, map_statistics
from wherelook.metrics.answer_change import sufficient_area
from wherelook.metrics.context import MapContext
from wherelook.metrics.deletion_insertion import Replay, replay, top_area
from wherelook.metrics.localization import attended_region, energy, focus_box, peak, pointing, roc_area
from wherelook.metrics.map_similarity import earth_movers_distance, rank_correlation, top_overlap
from wherelook.metrics.map_statistics import border_mass, center_mass, center_of_mass, compactness, effective_area
from wherelook.metrics.metric import LEVELS, Better, Metric
from wherelook.metrics.shapley import ImageShare, image_shares
from wherelook.registry import Registry, called, check_call, first_line

__all__ = [
    "LEVELS",
    "METRICS",
    "ImageShare",
    "MapContext",
    "Metric",
    "Replay",
    "attended_region",
    "border_mass",
    "center_mass",
    "center_of_mass",
    "choose_metrics",
    "compactness",
    "earth_movers_distance",
    "effective_area",
    "energy",
    "focus_box",
    "image_shares",
    "label_of",
    "measure_map",
    "measures",
    "metric_name",
    "peak",
    "pointing",
    "rank_correlation",
    "read_metrics",
    "replay",
    "roc_area",
    "sufficient_area",
    "told_metrics",
    "top_area",
    "top_overlap",
]

MetricLike = str | Metric | Callable[[MapContext], float | None]
"""A name of `wherelook metrics` or of `LEVELS`, a `Metric`, or a function from a `MapContext` to a number."""

TOLD = ("summary", "better", "label", "group", "values", "cost", "needs", "source")
"""What is told of a metric."""

ROUNDING = 1e-6
"""By so much a figure may be beyond its range."""

OTHER_GROUP = "Other metrics"
UNSEEN = "_unseen"


def _metric(name: str, found: Any) -> Metric:
    if isinstance(found, Metric):
        return found
    check_call("metric", found, "(context)", None)
    return Metric(measure=found, summary=first_line(found), label=name, group=OTHER_GROUP)


METRICS: Registry[Metric] = Registry(
    "metric",
    "wherelook.metrics",
    {
        **localization.METRICS,
        **deletion_insertion.METRICS,
        **answer_change.METRICS,
        **map_statistics.METRICS,
        **map_similarity.METRICS,
    },
    _metric,
)
"""By name. Other packages add theirs by an entry point of the group wherelook.metrics."""


def choose_metrics(wanted: Sequence[MetricLike]) -> dict[str, Metric]:
    """The metrics that are meant, by name.

    Args:
        wanted: names of metrics; names of `LEVELS`, which stand for all that this package takes with them; metrics; or
            functions of the user's.

    Raises:
        InputError: an unknown name, something else than these, one that is made of two maps, or a function that has the
            name of a metric.

    Example:
        >>> list(choose_metrics(["pointing", "flip"]))
        ['pointing', 'flip']
    """
    levels = list(LEVELS)
    chosen: dict[str, Metric] = {}
    for one in wanted:
        if isinstance(one, str) and one in levels:
            within = levels[: levels.index(one) + 1]
            chosen |= {name: metric for name, metric in METRICS.ours.items() if metric.level in within}
            continue
        if isinstance(one, str):
            if one not in METRICS:
                of_two = {name for name, metric in METRICS.ours.items() if metric.measure is None}
                raise unknown_name("metric", one, (*levels, *(name for name in METRICS if name not in of_two)))
            name, metric = one, METRICS[one]
        elif isinstance(one, Metric) or callable(one):
            name = metric_name(one)
            metric = _metric(name, one)
            if name in METRICS.ours and METRICS.ours[name] is not metric:
                raise InputError(f"there is a metric {name!r} already: give your function another name")
        else:
            raise expected("a metric", "a name of `wherelook metrics`, a Metric or a function", one)
        if metric.measure is None:
            raise InputError(f"metric {name!r} compares two maps of a run: it is not taken of one")
        chosen[name] = metric
    return chosen


def metric_name(metric: MetricLike) -> str:
    """What a record calls a metric: its name, or that of the function."""
    if isinstance(metric, str):
        return metric
    if isinstance(metric, Metric):
        return METRICS.name_of(metric) or metric.name or called(metric.measure)
    return called(metric)


def measures(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """What each metric is called in a record: by its name, and with the unseen baseline by NAME_unseen."""
    found = dict(metrics)
    return found | {f"{name}{UNSEEN}": metric for name, metric in metrics.items() if metric.both_baselines}


def label_of(name: str, metric: Metric) -> str:
    """How tables and pages call a measure, by its name in records."""
    label = metric.label or name
    return f"{label}, unseen baseline" if metric.both_baselines and name.endswith(UNSEEN) else label


def told_metrics(metrics: Mapping[str, Metric]) -> dict[str, dict[str, str]]:
    """What a run keeps of metrics that are not ours, so that its tables can be made where their package is not."""
    others = {name: metric for name, metric in metrics.items() if name not in METRICS.ours}
    return {name: {one: getattr(metric, one) for one in TOLD} for name, metric in others.items()}


def read_metrics(told: object) -> dict[str, Metric]:
    """The metrics that `told_metrics` wrote, without their functions. What is none is left out: a file may lie."""
    found = {}
    for name, parts in told.items() if isinstance(told, dict) else ():
        known: dict[str, Any] = (
            {one: str(parts[one]) for one in TOLD if one in parts} if isinstance(parts, dict) else {}
        )
        if known.get("better") in get_args(Better):
            found[str(name)] = Metric(**known | {"summary": known.get("summary", "")})
    return found


def measure_map(metrics: Mapping[str, Metric], context: MapContext) -> dict[str, float | None]:
    """The figures of a map, by name. What needs something that is not known is left out.

    Raises:
        InputError: a metric returned something else than None or a finite number in its range.
    """
    found: dict[str, float | None] = {}
    for name, metric in measures(metrics).items():
        if metric.measure is not None and context.knows(metric.needs):
            value = metric.measure(context.unseen if name not in metrics else context)
            found[name] = None if value is None else _number(name, value, metric)
    return found


def _number(name: str, value: Any, metric: Metric) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, RuntimeError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"metric {name!r} returned {shown(value)}; expected a finite number, or None")
    least, most = metric.bounds
    if (metric.yes_or_no and number not in (0, 1)) or not least - ROUNDING <= number <= most + ROUNDING:
        raise InputError(f"metric {name!r} returned {number:g}; its values are {metric.values}")
    return number
