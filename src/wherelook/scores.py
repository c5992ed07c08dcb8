"""The figures of an explanation's map: replays with both baselines, localisation, and whether they speak against it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from wherelook.case import Case
from wherelook.explanation.record import Curve
from wherelook.metrics import energy, pointing, replay, roc_area
from wherelook.models import AnyScore

REPLAY_FIGURES = ("deletion", "insertion", "deletion_normalized", "insertion_normalized")


def replay_both(
    case: Case, score: AnyScore, saliency: Tensor, steps: int
) -> tuple[tuple[Curve, ...], dict[str, float | None]]:
    """Deletion and insertion with the optimiser's baseline, then with one it never saw."""
    curves: list[Curve] = []
    metrics: dict[str, float | None] = {}
    seen, unseen = case.baseline, case.unseen_baseline
    for name, suffix, replayed in ((seen, "", score), (unseen, "_unseen", case.against(score, unseen))):
        result = replay(replayed, saliency, steps=steps)
        points = (result.fractions, result.deletion_curve, result.insertion_curve)
        curves.append(Curve(name, suffix == "", *(tuple(values.tolist()) for values in points)))
        metrics |= {f"{figure}{suffix}": getattr(result, figure) for figure in REPLAY_FIGURES}
    return tuple(curves), metrics


def doubts(metrics: Mapping[str, float | None], preset: str) -> tuple[str, ...]:
    """A warning where the map's own replay speaks against it.

    The deletion of a map is the insertion of its reverse, and the other way round.
    """
    deletion, insertion = metrics.get("deletion"), metrics.get("insertion")
    if deletion is None or insertion is None or insertion > deletion:
        return ()
    advice = "another method" if preset == "best" else "the preset 'best', or another method"
    return (
        f"do not trust this map: its reverse would do as well or better (deletion {deletion:.3f} is not below "
        f"insertion {insertion:.3f}); try {advice}",
    )


def localize(
    saliency: Float[Tensor, "rows columns"], truth: Bool[np.ndarray, "height width"]
) -> dict[str, float | None]:
    """The localisation metrics of a map against a ground-truth mask of the image's size."""
    return {
        "pointing": pointing(saliency, truth),
        "energy": energy(saliency, truth),
        "roc_area": roc_area(saliency, truth),
    }
