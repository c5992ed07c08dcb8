"""What the layers share: the errors a user can meet, the score protocol that every method sees, small records.

Nothing here knows a model, a method or a file format.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

Status = Literal["ok", "not_visual", "weak_gap"]
"""ok: the heatmap means something. not_visual: no word of the answer rests on the image. weak_gap: the chosen words
lose too little likelihood without the image for an optimiser to hold on to."""

Size = tuple[int, int]
"""(height, width) in pixels or cells."""

Progress = Callable[[str, int, int], None]
"""Called as progress(stage, done, total)."""


class WherelookError(Exception):
    """Something failed. One clear line: what, what was expected, how to fix it."""

    exit_code = 1


class InputError(WherelookError):
    """The user's input or usage is at fault."""

    exit_code = 2


def unknown_name(kind: str, name: str, valid: Sequence[str]) -> InputError:
    """The error for a name that does not exist: it lists the names that do."""
    return InputError(f"unknown {kind} {name!r}; valid: {', '.join(valid)}")


@dataclass
class Cost:
    """Work done so far. A pass is one image through the model: a batch of eight counts as eight. Generating an answer
    is counted by its tokens, which share one pass over the image.

    Mutable on purpose: the score function adds to it, and everyone who holds it sees the total.
    """

    forward: int = 0
    backward: int = 0
    generated_tokens: int = 0


@dataclass(frozen=True)
class Passes:
    """Images through the model: `forward` of them, `backward` of these with a gradient."""

    forward: int = 0
    backward: int = 0


@dataclass(frozen=True)
class Token:
    """One token of the answer.

    Attributes:
        text: the characters this token adds to the decoded answer (spaces included).
        id: its id in the model's vocabulary.
        log_prob: log p(token | image, question, earlier tokens), nats.
        log_prob_baseline: the same with the baseline image.
        llr: log_prob - log_prob_baseline, nats.
        selected: whether the explanation is about this token.
        word: index of the word it belongs to; None for punctuation, white space and special tokens.
        flips: whether the baseline image makes the model prefer another token here.
    """

    text: str
    id: int
    log_prob: float
    log_prob_baseline: float
    llr: float
    selected: bool
    word: int | None = None
    flips: bool = False


@dataclass(frozen=True)
class Noise:
    """Gaussian noise added to the blended pixels, in the model's normalised pixel space.

    One seed per mask, so that the noise does not depend on how the masks are batched.
    """

    standard_deviation: float
    seeds: tuple[int, ...]


class AnswerScore(Protocol):
    """The one function that attribution methods and metrics see.

    A mask M of shape (h, w) with values in [0, 1] blends the image I with the baseline B inside the model's own input
    space, Phi(M) = I*M + B*(1-M): 1 keeps the image, 0 shows the baseline. The score is the log-probability of each
    selected answer token given Phi(M), the question and the earlier tokens.

    Attributes:
        original: log-probabilities for the untouched image, M = 1; nats, shape (tokens,).
        baseline: log-probabilities for the baseline alone, M = 0; nats, shape (tokens,).
        image_size: (height, width) of the explained image.
        cost: counts every forward and backward.
    """

    image_size: Size
    cost: Cost

    @property
    def original(self) -> Float[Tensor, " tokens"]: ...

    @property
    def baseline(self) -> Float[Tensor, " tokens"]: ...

    @property
    def device(self) -> torch.device: ...

    def __call__(self, masks: Float[Tensor, "masks height width"]) -> Float[Tensor, "masks tokens"]:
        """Log-probabilities, float32. Differentiable with respect to `masks` where autograd is recording."""
        ...

    def gradient(
        self, masks: Float[Tensor, "masks height width"], *, noise: Noise | None = None
    ) -> tuple[Float[Tensor, "masks tokens"], Float[Tensor, "masks height width"]]:
        """Log-probabilities and, for each mask, the gradient of their sum over tokens with respect to it.

        Memory is bounded by one micro-batch, however many masks are given.
        """
        ...


@dataclass(frozen=True)
class Attribution:
    """What a method returns.

    Attributes:
        saliency: (h, w) float32 on the CPU, in [0, 1], 1 = most salient.
        trace: the objective after each iteration, for methods that iterate.
    """

    saliency: Float[Tensor, "height width"]
    trace: tuple[float, ...] = field(default=())
