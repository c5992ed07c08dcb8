"""What a metric may look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wherelook.arguments import STEPS
from wherelook.canvas import Canvas
from wherelook.errors import InputError
from wherelook.metrics.deletion_insertion import Replay, replay
from wherelook.metrics.localization import attended_region
from wherelook.metrics.metric import PEOPLE, TRUTH
from wherelook.score import AnswerScore

SUPERPIXEL_READS = 16


@dataclass(frozen=True, kw_only=True)
class MapContext:
    """A map with all that a metric may ask about it. What costs passes of the model is done when it is asked for, once.

    Attributes:
        saliency: the map, (rows, columns) in [0, 1].
        score: of the explained tokens, against one baseline; a `wherelook.score.AnswerScore`.
        truth: (height, width) of the image, True on the evidence; None where it is not known.
        human: (height, width) of the image, where people looked; None where it is not known.
        steps: of the deletion and insertion curves.
        other_score: makes the same score against the baseline that no method worked with.
        still_holds: (score, mask) to whether all explained words are in the answer to the image where the mask is 1 and
            the score's baseline elsewhere.
        superpixels: makes the label of every cell of another grid.
    """

    saliency: Float[Tensor, "rows columns"]
    score: AnswerScore
    truth: Bool[np.ndarray, "height width"] | None = None
    human: Float[np.ndarray, "height width"] | None = None
    steps: int = STEPS
    other_score: Callable[[], AnswerScore]
    still_holds: Callable[[AnswerScore, Float[Tensor, "h w"]], bool]
    superpixels: Callable[[], Int[np.ndarray, "r c"]]

    @property
    def canvas(self) -> Canvas:
        """The explained image, or several side by side."""
        return self.score.canvas

    @cached_property
    def unseen(self) -> MapContext:
        """The same with the baseline that no method worked with; one forward."""
        return replace(self, score=self.other_score())

    @cached_property
    def replay(self) -> Replay:
        """Deletion and insertion of the map; 2 * (steps - 1) forwards."""
        return replay(self.score, self.saliency, steps=self.steps)

    @cached_property
    def superpixel_replay(self) -> Replay:
        """The same by whole superpixels."""
        return replay(self.score, self.saliency, steps=SUPERPIXEL_READS, regions=self.superpixels())

    def holds(self, mask: Float[Tensor, "h w"]) -> bool:
        """Whether all explained words stay in the answer when the image is shown where the mask is 1; one answer."""
        return self.still_holds(self.score, mask)

    def knows(self, needs: str) -> bool:
        """Whether there is what a metric needs."""
        return {TRUTH: self.truth, PEOPLE: self.human}.get(needs, "") is not None

    @property
    def true_region(self) -> Bool[np.ndarray, "height width"]:
        """`truth`.

        Raises:
            InputError: it is not known.
        """
        if self.truth is None:
            raise InputError(f"the metric needs {TRUTH}")
        return self.truth

    @property
    def attention(self) -> Float[Tensor, "height width"]:
        """`human`.

        Raises:
            InputError: it is not known.
        """
        if self.human is None:
            raise InputError(f"the metric needs {PEOPLE}")
        return torch.from_numpy(self.human)

    @cached_property
    def attended_region(self) -> Bool[np.ndarray, "height width"]:
        """The smallest region that holds half of people's attention."""
        return attended_region(self.attention.numpy())
