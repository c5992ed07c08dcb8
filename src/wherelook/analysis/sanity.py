"""What the rows under conditions say of a method: is its map stable, and does it depend on the model at all?

Maps are compared by Spearman's rank correlation over 28 x 28 cells with the plain map of the same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch

from wherelook.evaluation.conditions import NOISE, OTHER_SEED, PARAPHRASE, SANITY
from wherelook.evaluation.rows import Row, mask_of
from wherelook.metrics import rank_correlation
from wherelook.stats import bootstrap_interval

LIMIT = 0.3
"""A mean correlation above this after all weights were shuffled is a failure."""

ALL_WEIGHTS = "all weights"

STABILITY_MEASURES = {OTHER_SEED: "stability_seed", NOISE: "stability_noise", PARAPHRASE: "stability_paraphrase"}

Correlations = dict[tuple[int, str, str], float | None]
"""With the plain map, by position, method and condition; None where no map is left, or one is flat."""


def correlations(rows: Iterable[Row]) -> Correlations:
    """Of every row under a condition, but of those with an error.

    Args:
        rows: of a run, those under conditions too (`wherelook.evaluation.run_folder.read_run`).
    """
    plain: dict[tuple[int, str], Row] = {}
    changed: list[Row] = []
    for row in rows:
        if not row["condition"]:
            plain[row["position"], row["run"]] = row
        elif row["status"] != "error":
            changed.append(row)
    found: Correlations = {}
    for row in changed:
        before = plain.get((row["position"], row["run"]))
        maps = [None if one is None or one["mask"] is None else torch.tensor(mask_of(one)) for one in (before, row)]
        found[row["position"], row["run"], row["condition"]] = (
            None if maps[0] is None or maps[1] is None else rank_correlation(maps[0], maps[1])
        )
    return found


def with_stability(rows: Sequence[Row], found: Correlations) -> list[Row]:
    """The plain rows, with the measures of stability where they were made."""
    measured = []
    for row in rows:
        if row["condition"]:
            continue
        key = row["position"], row["run"]
        of_row: Row = {}
        if (*key, NOISE) in found:  # another seed alone is a sanity check
            of_row = {name: found.get((*key, condition)) for condition, name in STABILITY_MEASURES.items()}
        measured.append(row | of_row)
    return measured


def check(found: Correlations, method: str) -> dict[str, Any]:
    """The verdict on a method, the number of answers, and for each stage the mean correlation, its 95 % interval, the
    answers without a map, and all that were checked.

    The verdict is "not checked" without any check, "no map" where there was none to begin with, "fails" when the mean
    after all weights were shuffled is above `LIMIT`, else "passes".
    """
    own = {key: value for key, value in found.items() if key[1] == method}
    answers = {key[0] for key in own if key[2] == ALL_WEIGHTS}
    stages: dict[str, dict[str, Any]] = {}
    for stage in SANITY:
        there = [value for key, value in own.items() if key[2] == stage and key[0] in answers]
        values = [value for value in there if value is not None]
        low, high = bootstrap_interval(values) if values else (None, None)
        stages[stage] = {
            "mean": float(np.mean(values)) if values else None,
            "low": low,
            "high": high,
            "no_map": len(there) - len(values),
            "checked": len(there),
        }
    return {"method": method, "verdict": _verdict(stages, len(answers)), "answers": len(answers), **stages}


def _verdict(
    stages: Mapping[str, Mapping[str, Any]], answers: int
) -> Literal["passes", "fails", "no map", "not checked"]:
    if not answers:
        return "not checked"
    if stages[OTHER_SEED]["mean"] is None:
        return "no map"
    mean = stages[ALL_WEIGHTS]["mean"]
    return "passes" if mean is None or mean <= LIMIT else "fails"
