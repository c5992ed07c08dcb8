"""What tells of a map besides its replay: another grid, and the model asked again."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from wherelook.answer import AnsweredQuestion
from wherelook.attribution.grids import superpixels
from wherelook.metrics import replay, sufficient_area, top_area
from wherelook.tokens import holds_words, selected_words

SUPERPIXELS = 64
SUPERPIXEL_READS = 16
FLIP_AREA = 0.125
KEEP_AREA = 0.25


def independent_measures(
    answered: AnsweredQuestion, saliency: Float[Tensor, "height width"]
) -> dict[str, float | None]:
    """Measures that ours does not optimize: another grid, and the model's answer when it is asked again.

    The answer is given again with the unseen baseline in place of what is removed; it has flipped when a word that was
    explained is missing from it, and holds when none is.
    """
    score = answered.against(answered.selected_score(), answered.unseen_baseline)
    regions = superpixel_grid(answered)
    other = replay(score, saliency, steps=SUPERPIXEL_READS, regions=regions)
    words = selected_words(answered.relevance.tokens)

    def holds(mask: Tensor) -> bool:
        return holds_words(answered.answer_to(score, mask), words)

    return {
        "deletion_superpixels": other.deletion,
        "insertion_superpixels": other.insertion,
        "flip": float(not holds(1 - top_area(saliency, answered.canvas, FLIP_AREA))),
        "keep": float(holds(top_area(saliency, answered.canvas, KEEP_AREA))),
        "sufficient_area": sufficient_area(saliency, answered.canvas, holds),
    }


def superpixel_grid(answered: AnsweredQuestion) -> Int[np.ndarray, "rows columns"]:
    """Superpixels of the image, on the coarser of their own grid and 56 cells."""
    return superpixels(answered.guide, SUPERPIXELS).numpy()
