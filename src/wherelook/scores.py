"""The figures of an explanation's map: replays with both baselines, localization, and whether they speak against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from wherelook.answer import AnsweredQuestion
from wherelook.explanation.picture import OUTLINE_LEVEL
from wherelook.explanation.record import Curve
from wherelook.metrics import energy, pointing, replay, roc_area
from wherelook.metrics.deletion_insertion import Replay
from wherelook.models import AnyScore
from wherelook.score import Token
from wherelook.tokens import FLIP_FLOOR

REPLAY_FIGURES = ("deletion", "insertion", "deletion_normalized", "insertion_normalized")


def replay_both(
    case: AnsweredQuestion, score: AnyScore, saliency: Tensor, steps: int
) -> tuple[tuple[Curve, ...], dict[str, float | None], tuple[str, ...]]:
    """Deletion and insertion with the optimizer's baseline, then with one it never saw; and what they tell of words."""
    notes: tuple[str, ...] = ()
    curves: list[Curve] = []
    metrics: dict[str, float | None] = {}
    seen, unseen = case.baseline, case.unseen_baseline
    for name, suffix, replayed in ((seen, "", score), (unseen, "_unseen", case.against(score, unseen))):
        result = replay(replayed, saliency, steps=steps)
        points = (result.fractions, result.deletion_curve, result.insertion_curve)
        curves.append(Curve(name, suffix == "", *(tuple(values.tolist()) for values in points)))
        metrics |= {f"{figure}{suffix}": getattr(result, figure) for figure in REPLAY_FIGURES}
        if name == seen:
            selected = [case.relevance.tokens[position] for position in case.selected]
            notes = unexplained_word(result, saliency, selected)
    return tuple(curves), metrics, notes


def unexplained_word(
    result: Replay, saliency: Float[Tensor, "rows columns"], tokens: Sequence[Token]
) -> tuple[str, ...]:
    """A note where the map of several words does not explain the one with the largest drop.

    The outlined region, of at least half the map's maximum, is what a reader looks at. Without it the word loses less
    than half of its drop, while the other words together lose half of theirs or more.

    Args:
        result: the map's replay with the baseline that the words were selected with.
        saliency: the map.
        tokens: the selected tokens, in the order of the score's.
    """
    outlined = float((saliency >= OUTLINE_LEVEL * saliency.max()).float().mean())
    lost, total = dict[int | None, float](), dict[int | None, float]()
    for token, drops in zip(tokens, result.drops.T, strict=True):
        lost[token.word] = lost.get(token.word, 0.0) + float(np.interp(outlined, result.fractions, drops))
        total[token.word] = total.get(token.word, 0.0) + float(drops[-1])
    strongest = max(total, key=lambda word: total[word])
    rest, rest_lost = sum(total.values()) - total[strongest], sum(lost.values()) - lost[strongest]
    if len(total) < 2 or total[strongest] < FLIP_FLOOR or rest < FLIP_FLOOR:
        return ()
    if lost[strongest] >= total[strongest] / 2 or rest_lost < rest / 2:
        return ()
    text = "".join(token.text for token in tokens if token.word == strongest).strip()
    return (
        f"the outlined region does not explain {text!r}, the word with the largest drop: without the region it "
        f"loses {max(lost[strongest], 0):.2f} of its {total[strongest]:.2f} nats; --per-token, or --tokens with this "
        "word, shows where it comes from",
    )


def doubts(metrics: Mapping[str, float | None], preset: str) -> tuple[str, ...]:
    """A warning where the map's own replay speaks against it.

    The deletion of a map is the insertion of its reverse, and the other way round.
    """
    deletion, insertion = metrics.get("deletion"), metrics.get("insertion")
    if deletion is None or insertion is None or insertion > deletion:
        return ()
    advice = "the preset 'best', or another method" if preset == "fast" else "another method"
    return (
        f"do not trust this map: its reverse would do as well or better (deletion {deletion:.3f} is not below "
        f"insertion {insertion:.3f}); try {advice}",
    )


def localize(
    saliency: Float[Tensor, "rows columns"], truth: Bool[np.ndarray, "height width"]
) -> dict[str, float | None]:
    """The localization metrics of a map against a ground-truth mask of the image's size."""
    return {
        "pointing": pointing(saliency, truth),
        "energy": energy(saliency, truth),
        "roc_area": roc_area(saliency, truth),
    }
