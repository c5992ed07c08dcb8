"""What tells of a map besides its replay: another grid, the model asked again, other maps that should be like it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from wherelook.answer import AnsweredQuestion, ask
from wherelook.attribution import METHODS
from wherelook.attribution.regions import superpixels
from wherelook.errors import WherelookError
from wherelook.evaluation.method_spec import MethodSpec
from wherelook.metrics import rank_correlation, replay, sufficient_area, top_area
from wherelook.tokens import FLIP_FLOOR, holds_words, selected_words

SUPERPIXELS = 64
SUPERPIXEL_READS = 16
FLIP_AREA = 0.125
KEEP_AREA = 0.25
NOISE_LEVEL = 8.0
"""Standard deviation of the image noise for stability, of 255: a person hardly sees it."""


def independent_measures(case: AnsweredQuestion, saliency: Float[Tensor, "height width"]) -> dict[str, float | None]:
    """Measures that ours does not optimise: another grid, and the model's answer when it is asked again.

    The answer is given again with the unseen baseline in place of what is removed; it has flipped when a word that was
    explained is missing from it, and holds when none is.
    """
    score = case.against(case.selected_score(), case.unseen_baseline)
    regions = superpixel_grid(case)
    other = replay(score, saliency, steps=SUPERPIXEL_READS, regions=regions)
    words = selected_words(case.relevance.tokens)

    def holds(mask: Tensor) -> bool:
        return holds_words(case.answer_to(score, mask), words)

    return {
        "deletion_superpixels": other.deletion,
        "insertion_superpixels": other.insertion,
        "flip": float(not holds(1 - top_area(saliency, case.canvas, FLIP_AREA))),
        "keep": float(holds(top_area(saliency, case.canvas, KEEP_AREA))),
        "sufficient_area": sufficient_area(saliency, case.canvas, holds),
    }


def stability_measures(
    case: AnsweredQuestion,
    run: MethodSpec,
    saliency: Float[Tensor, "height width"],
    seed: int,
    *,
    paraphrase: str | None = None,
) -> dict[str, float | None]:
    """Rank correlation of the map with others that should be like it; None where there is no other map.

    They are the map of another seed, that of a slightly noisy image, and that of the same words of the same answer to
    the question in other words.
    """
    method = METHODS[run.method].run
    again = method(case.selected_score(), case.guide, run.settings, seed=seed + 1).saliency
    draw = np.random.default_rng(seed).normal(0, NOISE_LEVEL, case.image.pixels.shape)
    noisy = np.clip(case.image.pixels + draw, 0, 255).astype(np.uint8)
    config = replace(case.config, baseline=case.baseline, baseline_image=case.baseline_image, seed=seed)
    other = ask(case.model, noisy, case.question, config, repeated=case.reply)
    shaken = None
    if other.relevance.status == "ok":
        shaken = rank_correlation(
            saliency, method(other.selected_score(), other.guide, run.settings, seed=seed).saliency
        )
    return {
        "stability_seed": rank_correlation(saliency, again),
        "stability_noise": shaken,
        "stability_paraphrase": None if paraphrase is None else _rephrased(case, run, saliency, seed, paraphrase),
    }


def _rephrased(case: AnsweredQuestion, run: MethodSpec, saliency: Tensor, seed: int, paraphrase: str) -> float | None:
    """Rank correlation with the map to a paraphrase; None where it cannot be asked, or leaves nothing to explain."""
    try:
        score = case.asked(paraphrase)
    except WherelookError:  # the paraphrase is at fault, not the map
        return None
    if float((score.original - score.baseline).sum()) < FLIP_FLOOR:
        return None
    return rank_correlation(saliency, METHODS[run.method].run(score, case.guide, run.settings, seed=seed).saliency)


def superpixel_grid(case: AnsweredQuestion) -> Int[np.ndarray, "rows columns"]:
    """Superpixels of the image, on the coarser of their own grid and 56 cells."""
    return superpixels(case.guide, SUPERPIXELS).numpy()
