"""Where do models look? How alike their focus is, what goes with it, and which models are alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import combinations

import numpy as np
from jaxtyping import Float
from torch import Tensor

from wherelook.analysis.align_runs import Benchmark, read_maps
from wherelook.analysis.findings import Asked, Outcome, Precision
from wherelook.analysis.results import ADVICE, PairLine, Relation, RelationLine, StudyModel, Tree
from wherelook.metrics import earth_movers_distance, rank_correlation, top_overlap
from wherelook.stats import Test, cluster_models, mean_interval, paired_test

Similarity = Callable[[Tensor, Tensor], float | None]
"""(map, map) to how alike they are, 1: equal, at most; None where one of them is flat."""


def transport_closeness(first: Float[Tensor, "a b"], second: Float[Tensor, "c d"]) -> float | None:
    """1 - the earth mover's distance of two maps of a square image."""
    distance = earth_movers_distance(first, second)
    return None if distance is None else 1 - distance


SIMILARITIES: Mapping[str, Similarity] = {
    "rank-correlation": rank_correlation,
    "top-overlap": top_overlap,
    "transport": transport_closeness,
}
"""By name; see docs/compare.md."""

MAPS_NEEDED = 0.5
"""A model with maps on a smaller share of the samples takes no part: too little would be left of the others."""

CHANCE_ITEMS = 200
"""Most samples that similarity by chance is measured on."""

LEAST_ITEMS = 10
"""Fewer are not tested."""

Array = Float[np.ndarray, "items pairs"]


def compare_focus(
    benchmark: Benchmark, models: Sequence[StudyModel], *, method: str, measure: str, precision: Precision
) -> tuple[tuple[RelationLine, ...], tuple[PairLine, ...], Tree | None, Outcome]:
    """Similarity of focus between all models that have maps, on the samples where all of these have one.

    The tests ask, by sample: are maps of one architecture more alike than those of two, and maps of one scale? What
    else differs between two models is held equal where there are pairs to do so.

    Args:
        benchmark: the samples.
        models: that have rows for them.
        method: whose maps.
        measure: one of `SIMILARITIES`.
        precision: of figures and tests.
    """
    taking_part, items, notes = _with_maps(benchmark, models)
    if len(taking_part) < 2 or not items:
        reason = f"{benchmark.name}: focus is not compared: fewer than two models have maps of the same samples."
        return (), (), None, Outcome((), (*notes, reason))
    maps = {model.name: read_maps([benchmark.rows[model.name][i] for i in items], method) for model in taking_part}
    pairs = tuple(combinations(taking_part, 2))
    values = _similarities([(maps[first.name], maps[second.name]) for first, second in pairs], SIMILARITIES[measure])
    whole = np.flatnonzero(np.isfinite(values).all(axis=1))
    if len(whole) < len(items):
        notes.append(f"{benchmark.name}: {len(items) - len(whole)} samples with a flat map are left out of similarity.")
    if not len(whole):
        return (), (), None, Outcome((), tuple(notes))
    values = values[whole]
    kept = [items[place] for place in whole]
    clusters = None if benchmark.clusters is None else [benchmark.clusters[item] for item in kept]
    relations = [relation(first, second) for first, second in pairs]
    pair_lines = []
    for column, (first, second) in enumerate(pairs):
        chosen = [maps[model.name][place] for model in (first, second) for place in whole]
        chance = _by_chance(chosen[: len(whole)], chosen[len(whole) :], clusters, SIMILARITIES[measure])
        pair_lines.append(
            PairLine(
                benchmark=benchmark.name,
                first=first.name,
                second=second.name,
                relation=relations[column],
                items=len(whole),
                similarity=mean_interval(values[:, column], clusters=clusters, level=precision.level).within(-1, 1),
                chance=mean_interval(chance, level=precision.level).within(-1, 1) if len(chance) else None,
            )
        )
    lines = tuple(_relation_lines(benchmark.name, pairs, values, clusters, precision.level))
    asked, untested = _contrasts(benchmark.name, relations, values, clusters, precision)
    tree = _tree(benchmark.name, [model.name for model in taking_part], values, clusters, precision.seed)
    return lines, tuple(pair_lines), tree, Outcome(tuple(asked), (*notes, *untested))


def relation(first: StudyModel, second: StudyModel) -> Relation:
    """What differs between two models."""
    if first.architecture == second.architecture:
        return "neither differs" if first.scale == second.scale else "other scale"
    return "other architecture" if first.scale == second.scale else "both differ"


def _with_maps(benchmark: Benchmark, models: Sequence[StudyModel]) -> tuple[list[StudyModel], list[int], list[str]]:
    """The models that take part, the samples on which each has a map, and who does not take part."""
    taking_part, notes = [], []
    for model in models:
        count = sum(row["status"] == "ok" for row in benchmark.rows[model.name])
        if count >= MAPS_NEEDED * len(benchmark.samples):
            taking_part.append(model)
        else:
            notes.append(
                f"{benchmark.name}: {model.name} takes no part in the comparison of focus: it has maps on {count} of "
                f"{len(benchmark.samples)} samples."
            )
    items = [
        place
        for place in range(len(benchmark.samples))
        if all(benchmark.rows[model.name][place]["status"] == "ok" for model in taking_part)
    ]
    return taking_part, items, notes


def _similarities(pairs: Sequence[tuple[Sequence[Tensor], Sequence[Tensor]]], measure: Similarity) -> Array:
    """Not a number where a map is flat."""
    columns = [[measure(one, other) for one, other in zip(*pair, strict=True)] for pair in pairs]
    return np.array(columns, dtype=np.float64).T


def _by_chance(
    first: Sequence[Tensor], second: Sequence[Tensor], clusters: Sequence[int] | None, measure: Similarity
) -> list[float]:
    """Similarities of one model's maps with the other's of the sample half the dataset away, of another cluster."""
    count, shift = len(first), max(1, len(first) // 2)
    found = []
    for place in range(min(count, CHANCE_ITEMS)):
        other = (place + shift) % count
        if other == place or (clusters is not None and clusters[place] == clusters[other]):
            continue
        value = measure(first[place], second[other])
        if value is not None:
            found.append(value)
    return found


def _relation_lines(
    benchmark: str,
    pairs: Sequence[tuple[StudyModel, StudyModel]],
    values: Array,
    clusters: Sequence[int] | None,
    level: float,
) -> list[RelationLine]:
    groups: dict[tuple[Relation, str | None], list[int]] = {}
    order: tuple[Relation, ...] = ("neither differs", "other scale", "other architecture", "both differ")
    for kind in order:
        columns = [place for place, pair in enumerate(pairs) if relation(*pair) == kind]
        if not columns:
            continue
        groups[kind, None] = columns
        if kind in ("other scale", "other architecture"):
            for place in columns:
                shared = pairs[place][0].architecture if kind == "other scale" else pairs[place][0].scale
                groups.setdefault((kind, shared), []).append(place)
    return [
        RelationLine(
            benchmark=benchmark,
            relation=kind,
            within=within,
            pairs=len(columns),
            items=len(values),
            similarity=mean_interval(values[:, columns].mean(axis=1), clusters=clusters, level=level).within(-1, 1),
        )
        for (kind, within), columns in groups.items()
    ]


def _contrasts(
    benchmark: str,
    relations: Sequence[Relation],
    values: Array,
    clusters: Sequence[int] | None,
    precision: Precision,
) -> tuple[list[Asked], list[str]]:
    """Tests of pairs that share an architecture, or a scale, against pairs that do not, by sample."""
    means = {kind: values[:, [other == kind for other in relations]].mean(axis=1) for kind in set(relations)}
    # Pairs that share the factor and pairs that do not, the other factor being different, or the same, in both.
    strata: Mapping[str, Sequence[tuple[Relation, Relation]]] = {
        "architecture": (("other scale", "both differ"), ("neither differs", "other architecture")),
        "scale": (("other architecture", "both differ"), ("neither differs", "other scale")),
    }

    def tested(first: Float[np.ndarray, " items"], second: Float[np.ndarray, " items"]) -> Test:
        test = paired_test(first, second, clusters=clusters, **asdict(precision))
        return replace(test, assumptions=f"{test.assumptions} Speaks of these models, not of others.")

    needed = {
        "architecture": "it takes models of one architecture and models of several, at the same scales",
        "scale": "it takes models of one scale and models of several, of the same architectures",
    }
    asked, notes = [], []
    for factor, kinds in strata.items():
        usable = [(same, other) for same, other in kinds if same in means and other in means]
        if not usable or len(values) < LEAST_ITEMS:
            why = (
                f"{len(values)} samples are too few" if usable else f"too few model pairs ({needed[factor]}); {ADVICE}"
            )
            notes.append(f"{benchmark}: whether focus depends on {factor} is not tested: {why}.")
            continue
        shared = np.mean([means[same] for same, _ in usable], axis=0)
        apart = np.mean([means[other] for _, other in usable], axis=0)
        question = f"Is focus more alike within one {factor} than across?"
        asked.append(
            Asked(question="focus", benchmark=benchmark, subject=factor, asked=question, test=tested(shared, apart))
        )
    if {"other scale", "other architecture"} <= set(means) and len(values) >= LEAST_ITEMS:
        question = "Is focus more alike across scales than across architectures?"
        test = tested(means["other scale"], means["other architecture"])
        asked.append(
            Asked(question="focus", benchmark=benchmark, subject="architecture or scale", asked=question, test=test)
        )
    return asked, notes


def _tree(
    benchmark: str, names: Sequence[str], values: Array, clusters: Sequence[int] | None, seed: int
) -> Tree | None:
    """Of three models or more."""
    count = len(names)
    if count < 3:
        return None
    distances = np.zeros((len(values), count, count))
    for column, (first, second) in enumerate(combinations(range(count), 2)):
        distances[:, first, second] = distances[:, second, first] = np.maximum(1 - values[:, column], 0)
    return Tree(benchmark, cluster_models(names, distances, clusters=clusters, seed=seed))
